//! Functions of a host program for scripts: one that computes, one that creates nodes.
//!
//! ```sh
//! cargo run --release --example custom_export
//! ```
//!
//! ```text
//! my_custom_fn got arg1 and 2
//! it returned true
//! hello
//! hello
//! world
//! world
//! ```

use std::error::Error;
use tributary::{Network, Runtime, pipeline, sink, source};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCRIPT: &str = r#"
local tb = require("tributary")
print("it returned " .. tostring(tb.my_custom_fn("arg1", 2)))
tb.create_repeat("twice", 2)
tb.create_repeat("once", 1)
tb.chain("words", "twice", "once", "printer")
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new();
    network.add_source("words", source::from_iter(["hello", "world"]))?;
    network.add_sink("printer", sink::LineSink::stdout())?;

    let runtime = Runtime::new(&network)?;
    runtime.export("my_custom_fn", |args| {
        let (first, second) = (args.string(1)?, args.integer(2)?);
        println!("my_custom_fn got {first} and {second}");
        Ok(true.into())
    })?;
    // `create_repeat(name, times)` creates an injector, which emits each event n times.
    runtime.export_pipeline("create_repeat", |args| {
        let times = usize::try_from(args.integer(2)?).unwrap_or(0);
        Ok(pipeline::injector(move |e| Ok(vec![e.clone(); times])))
    })?;
    runtime.run_text("network.lua", SCRIPT)?;

    network.start()?;
    network.wait()?;
    Ok(())
}
