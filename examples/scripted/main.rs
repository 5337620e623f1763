//! A network that is written in Lua: a ticker, a rate limit, a fan-out and a fan-in.
//!
//! ```sh
//! cargo run --release --example scripted               # until Ctrl-C
//! cargo run --release --example scripted -- --for 5s   # ends by itself
//! ```
//!
//! It prints the network as a Graphviz graph, then a dot for every tick that arrives, two when
//! the rate limit passes one:
//!
//! ```text
//! digraph network {
//!   rankdir=LR;
//!   node[shape=box style=rounded];
//!   "tick_printer"[style=solid peripheries=2];
//!   "ticker_500ms"[shape=oval];
//!   "filter_2s";
//!   "forwarder1";
//!   "forwarder2";
//!   "ticker_500ms" -> "forwarder1";
//!   "forwarder1" -> "filter_2s";
//!   "forwarder1" -> "forwarder2";
//!   "filter_2s" -> "tick_printer";
//!   "forwarder2" -> "tick_printer";
//! }
//!
//! ...…
//! ```

use std::error::Error;
use std::time::Duration;
use tributary::{DrawingFormat, Network, Runtime, time::parse_positive_duration};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/scripted/network.lua");

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let run_for = match (args.next().as_deref(), args.next()) {
        (Some("--for"), Some(time)) => Some(parse_positive_duration(&time)?),
        (None, _) => None,
        _ => return Err("usage: scripted [--for TIME]".into()),
    };

    let network = Network::new();
    Runtime::new(&network)?.run(SCRIPT)?;
    println!("{}", network.draw(DrawingFormat::Dot));

    network.start()?;
    match run_for {
        None => network.wait()?,
        Some(time) => {
            if network.wait_timeout(time).is_none() {
                network.stop_within(Duration::from_secs(2))?;
            }
        }
    }
    println!();
    Ok(())
}
