//! A filter of many keys against the simplest thing that does the same.

use crate::support::probe::START;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::pipeline::{Filter, FilterKey};
use tributary::{Event, Network, Result, sink};

/// Numbers that look random and are the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// So many events with so many different payloads; a microsecond at most between two of them.
fn agrees(interval: u64, events: usize, keys: u64, pause: u64) -> Result<()> {
    let interval = Duration::from_micros(interval);
    let network = Network::new();
    let out: Arc<Mutex<Vec<Event>>> = Arc::default();
    network.add_pipeline("filter", Filter::new(interval, FilterKey::Payload)?)?;
    network.add_sink("out", sink::collect(&out))?;
    network.link("filter", "out")?;
    let mut simulation = network.simulate(START)?;
    let mut numbers = Numbers(keys);
    let mut passed = HashMap::new();
    let mut expected = Vec::new();
    for n in 0..events {
        let step = match numbers.below(10_000) {
            0 => interval.as_micros() as u64,
            _ => numbers.below(2),
        };
        // Now and then nothing comes for so long that nearly all is forgotten.
        let step = step + pause * u64::from(n % 20_000 == 19_999);
        simulation.advance(Duration::from_micros(step));
        let key = numbers.below(keys);
        let now = simulation.now();
        let old = passed.get(&key);
        if old.is_none_or(|old| now.since(*old) >= interval) {
            passed.insert(key, now);
            expected.push(key.to_string());
        }
        simulation.inject("filter", key.to_string())?;
    }
    let out = out.lock().unwrap();
    let texts: Vec<&str> = out.iter().map(|e| e.payload().text().unwrap()).collect();
    assert!(texts == expected, "{} and {}", texts.len(), expected.len());
    assert!(texts.len() > events / 10 && texts.len() < events);
    Ok(())
}

#[test]
fn a_filter_of_few_keys_lets_pass_what_it_should() -> Result<()> {
    agrees(7, 20_000, 5, 0)
}

#[test]
fn a_filter_of_many_keys_lets_pass_what_it_should() -> Result<()> {
    agrees(20_000, 60_000, 30_000, 19_000)
}

#[test]
fn a_filter_forgets_more_than_it_keeps() -> Result<()> {
    agrees(9_000, 60_000, 1_000_000, 8_999)
}
