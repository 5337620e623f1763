//! How much memory a key takes in each node that keeps keys: at most 150 bytes, with small keys, each of
//! which has come once.
//!
//! `KEYS` is the number of keys, 300,000 by default; `KEYS=5000000 cargo test --all-features --test
//! key_memory -- --nocapture` shows what five million take, of one node with `NODE=deadman`. The memory of
//! the whole process is measured, with the allocator of the binary, so this is a binary of its own with
//! one test.

use std::error::Error;
use std::fs;
use std::process::Command;
use std::time::Duration;
use tributary::pipeline::{
    BatchLimits, Bounds, Changed, Collect, Deadman, Debounce, Filter, FilterKey, Key, Sample,
    Throttle,
};
use tributary::time::Timestamp;
use tributary::{Batch, Event, Network, Pipeline, sink};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Tested<T> = Result<T, Box<dyn Error>>;

/// The most bytes of a key.
const MOST: usize = 150;

const START: Timestamp = Timestamp::from_secs(1_000);

fn size(name: &str) -> Tested<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kilobytes.ok_or("no size")?.parse::<usize>()? << 10)
}

/// Bytes for each key, once all have come and at the worst moment until all are gone.
fn measure(keys: usize, node: impl Pipeline + 'static) -> Tested<(usize, usize)> {
    let network = Network::new();
    network.add_pipeline("f", node)?;
    network.add_sink("out", sink::handler(|_| Ok(())))?;
    network.add_sink("bad", sink::handler(|event| panic!("{event:?}")))?;
    network.link("f", "out")?;
    network.link("f.errors", "bad")?;
    let mut simulation = network.simulate(START)?;
    // The greatest size is counted anew.
    fs::write("/proc/self/clear_refs", "5")?;
    let before = size("VmRSS")?;
    let mut next = 0;
    while next < keys {
        let until = keys.min(next + 256);
        let event = |n: usize| Event::new(format!(r#"{{"k":"u{n:08}"}}"#), START);
        simulation.inject_batch("f", (next..until).map(event).collect::<Batch>())?;
        next = until;
    }
    let held = size("VmRSS")?.saturating_sub(before);
    simulation.advance(Duration::from_secs(3_600));
    let stats = simulation.finish()?;
    assert_eq!(stats.breaches(), [""; 0]);
    let peak = size("VmHWM")?.saturating_sub(before);
    Ok((held / keys, peak / keys))
}

/// The node of this name.
fn node(name: &str, keys: usize) -> Tested<(usize, usize)> {
    let hour = Duration::from_secs(3_600);
    let key = || Key::fields(["k"]);
    let all = Bounds::new().max_keys(keys).max_events(keys);
    let by_key = Bounds::new().max_keys(keys);
    let by_count = BatchLimits::new().count(10);
    let by_field = FilterKey::Fields(vec!["k".to_owned()]);
    match name {
        "filter" => measure(keys, Filter::new(hour, by_field)?.bounds(by_key)?),
        "changed" => measure(
            keys,
            Changed::new(key(), key(), Some(hour))?.bounds(by_key)?,
        ),
        "throttle" => measure(keys, Throttle::new(1, hour, key())?.bounds(all)?),
        "deadman" => measure(keys, Deadman::new(hour, key())?.bounds(by_key)?),
        "debounce" => measure(keys, Debounce::new(hour, key())?.bounds(all)?),
        "sample" => measure(keys, Sample::new(hour, key())?.bounds(all)?),
        "batch by time" => measure(keys, Collect::new(by_count.time(hour), key())?.bounds(all)?),
        "batch by count" => measure(keys, Collect::new(by_count, key())?.bounds(all)?),
        other => Err(format!("no node {other}").into()),
    }
}

const NODES: [&str; 8] = [
    "filter",
    "changed",
    "throttle",
    "deadman",
    "debounce",
    "sample",
    "batch by time",
    "batch by count",
];

/// Each node has a process of its own: what an earlier one has freed would serve the next.
#[test]
fn a_small_key_takes_at_most_150_bytes() -> Tested<()> {
    let keys = match std::env::var("KEYS") {
        Ok(text) => text.parse()?,
        Err(_) => 300_000,
    };
    if let Ok(name) = std::env::var("NODE") {
        let (held, peak) = node(&name, keys)?;
        eprintln!("{name}: {held} bytes a key, {peak} at most until the end");
        assert!(held <= MOST, "a key of a {name} takes {held} bytes");
        return Ok(());
    }
    for name in NODES {
        let process = Command::new(std::env::current_exe()?)
            .args(["a_small_key_takes_at_most_150_bytes", "--nocapture"])
            .env("NODE", name)
            .status()?;
        assert!(process.success(), "of {name}");
    }
    Ok(())
}
