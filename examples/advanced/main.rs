//! Alerts from a live stream of bets, by SQL over a sliding window.
//!
//! ```sh
//! cargo run --release --example advanced            # on embedded SQLite; ends after 20 s
//! cargo run --release --example advanced -- mysql://root:root@localhost:3306/tb_test
//! cargo run --release --example advanced -- --for 5s
//! ```
//!
//! The host program (this file) has the source and the sinks and declares the tables. The first
//! script alerts when the possible win of a customer on one game exceeds 130 within ten seconds. The
//! second one, loaded while the network runs, alerts when a stake of 100 or more is placed on one game.
//! Neither repeats an alert within ten seconds.
//!
//! ```text
//! {"stake":100.0,"customer_uuid":"76d17c9e-734b-452c-a5ee-852d1e6261bd","game_id":654321}
//! {"liability":138.0,"customer_uuid":"76d17c9e-734b-452c-a5ee-852d1e6261bd","game_id":123456}
//! {"liability":…,"customer_uuid":"76d17c9e-734b-452c-a5ee-852d1e6261bd","game_id":…}
//! ```

use serde_json::json;
use std::error::Error;
use std::time::Duration;
use tributary::time::{Timestamp, parse_positive_duration};
use tributary::{
    Context, Database, Event, Network, Node, ReadStatus, Result, Runtime, Source, Table, sink,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/advanced");

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let (mut url, mut run_for) = ("sqlite::memory:".to_owned(), Duration::from_secs(20));
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--for" => run_for = parse_positive_duration(&args.next().unwrap_or_default())?,
            _ => url = arg,
        }
    }

    let database = Database::open(&url)?;
    let selections = Table::new("example_selections")
        .text("bet_uuid")
        .integer("game_id")
        .text("market")
        .real("odds");
    let bets = Table::new("example_bets")
        .text("uuid")
        .integer("create_time")
        .text("customer_uuid")
        .real("stake")
        .text("currency")
        .real("exchange_rate")
        .real("odds")
        .key("uuid")
        .child("selections", selections, &[("bet_uuid", "uuid")]);
    database.declare(bets)?;

    let network = Network::new();
    network.add_source("streaming_ingest", Bets::default())?;
    for printer in ["liability_printer", "stake_printer"] {
        network.add_sink(printer, sink::LineSink::stdout())?;
    }

    let runtime = Runtime::with_database(&network, &database)?;
    runtime.run(format!("{SCRIPTS}/network.lua"))?;
    network.start()?;
    runtime.run(format!("{SCRIPTS}/network2.lua"))?;

    if network.wait_timeout(run_for).is_none() {
        network.stop()?;
    }
    Ok(())
}

/// A bet every 20 ms: now and then a high stake, otherwise low ones of another customer.
#[derive(Default)]
struct Bets {
    count: u64,
    due: Option<Timestamp>,
}

impl Bets {
    fn bet(&self, now: Timestamp) -> serde_json::Value {
        let high = self.count.is_multiple_of(25);
        let customer = if high {
            "76d17c9e-734b-452c-a5ee-852d1e6261bd"
        } else {
            "66440a98-a92a-4ce0-a5aa-d851a6f288d9"
        };
        let game_id = if (self.count / 25).is_multiple_of(2) {
            654321
        } else {
            123456
        };
        json!({
            "uuid": format!("{:016x}-{:08x}", now.as_micros(), self.count),
            "create_time": now.as_secs(),
            "customer_uuid": customer,
            "stake": if high { 100.0 } else { 1.0 },
            "currency": "USD",
            "exchange_rate": 1.0,
            "odds": 1.23,
            "selections": [{"game_id": game_id, "market": "moneyline/home", "odds": 1.23}],
        })
    }
}

impl Node for Bets {
    fn wake(&self) -> Option<Timestamp> {
        self.due
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        cx.emit(Event::new(self.bet(now), now));
        self.count += 1;
        self.due = Some(now.saturating_add(Duration::from_millis(20)));
        Ok(())
    }
}

impl Source for Bets {
    /// There is nothing to read: bets are made by `tick`.
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        self.due.get_or_insert(cx.now());
        Ok(ReadStatus::Idle)
    }
}
