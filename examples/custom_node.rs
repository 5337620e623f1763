//! Custom nodes: a source, a pipeline with state and a timer, a sink. They are tested in virtual time
//! first, then run.
//!
//! ```sh
//! cargo run --release --example custom_node
//! ```
//!
//! ```text
//! in virtual time: [3, 1]
//! live: 1
//! live: 2
//! live: 3
//! ```

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tributary::time::Timestamp;
use tributary::{Context, Event, Network, Node, Pipeline, ReadStatus, Result, Sink, Source, sink};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Counts 1, 2, 3 and ends.
#[derive(Default)]
struct Count(u32);

impl Node for Count {}

impl Source for Count {
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        if self.0 == 3 {
            return Ok(ReadStatus::End);
        }
        self.0 += 1;
        cx.emit(Event::new(self.0.to_string(), cx.now()));
        Ok(ReadStatus::More)
    }
}

/// Emits the number of events of every ten seconds.
#[derive(Default)]
struct PerTenSeconds {
    count: u32,
    until: Option<Timestamp>,
}

impl Node for PerTenSeconds {
    fn wake(&self) -> Option<Timestamp> {
        self.until
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.until = None;
        cx.emit(Event::new(
            std::mem::take(&mut self.count).to_string(),
            cx.now(),
        ));
        Ok(())
    }
}

impl Pipeline for PerTenSeconds {
    fn process(&mut self, _event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.count += 1;
        self.until
            .get_or_insert(cx.now().saturating_add(Duration::from_secs(10)));
        Ok(())
    }
}

/// Prints each event with a prefix.
struct Print(&'static str);

impl Node for Print {}

impl Sink for Print {
    fn write(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        println!("{}: {}", self.0, event.payload().text().unwrap_or("?"));
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let network = Network::new();
    network.add_pipeline("per_ten_seconds", PerTenSeconds::default())?;
    network.add_sink("seen", sink::collect(&seen))?;
    network.link("per_ten_seconds", "seen")?;
    let mut simulation = network.simulate(Timestamp::EPOCH)?;
    for second in [1, 2, 9, 11] {
        let wait = Timestamp::from_secs(second).since(simulation.now());
        simulation.advance(wait);
        simulation.inject("per_ten_seconds", "an event")?;
    }
    simulation.advance(Duration::from_secs(60));
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let counts: Vec<&str> = seen
        .iter()
        .filter_map(|event| event.payload().text())
        .collect();
    println!("in virtual time: [{}]", counts.join(", "));

    let network = Network::new();
    network.add_source("count", Count::default())?;
    network.add_sink("print", Print("live"))?;
    network.link("count", "print")?;
    network.start()?;
    network.wait()?;
    Ok(())
}
