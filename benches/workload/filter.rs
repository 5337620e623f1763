//! A filter over a million keys: each key comes once and passes, then keys of them all come again
//! in no order and are dropped, and a last one passes.

use super::bare::{self, Item};
use super::network::Drain;
use super::watch::Watch;
use super::{BATCH, PAYLOAD, SLOTS};
use flume::bounded;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tributary::pipeline::{Filter, FilterKey};
use tributary::{Context, Event, Network, Node, ReadStatus, Result, Source};
use xxhash_rust::xxh3::xxh3_128;

/// Longer than any run.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// The keys of a run of so many events.
struct Keys {
    next: u64,
    events: u64,
}

impl Iterator for Keys {
    type Item = [u8; PAYLOAD.len()];

    fn next(&mut self) -> Option<Self::Item> {
        let (at, live) = (self.next, self.events / 2);
        let key = match at {
            at if at >= self.events => return None,
            at if at < live || at == self.events - 1 => at,
            at => at.wrapping_mul(0x9e37_79b9_7f4a_7c15) % live,
        };
        self.next += 1;
        let mut payload = PAYLOAD;
        payload[..8].copy_from_slice(&key.to_be_bytes());
        Some(payload)
    }
}

/// Makes one event of each key.
struct Spring {
    watch: Arc<Watch>,
    keys: Keys,
}

impl Node for Spring {}

impl Source for Spring {
    /// Stays when there are no more keys: at its end the filter would forget them.
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        self.watch.begin();
        let now = cx.now();
        let mut count = 0;
        for payload in self.keys.by_ref().take(BATCH) {
            cx.emit(Event::new(&payload[..], now));
            count += 1;
        }
        if count == 0 {
            thread::sleep(wait);
            return Ok(ReadStatus::Idle);
        }
        Ok(ReadStatus::More)
    }
}

/// Runs a filter over so many events; calls `then` before it ends.
pub fn run(events: u64, then: impl FnOnce()) -> Result<Duration> {
    let watch = Watch::new(1);
    let network = Network::new();
    let spring = Spring {
        watch: watch.clone(),
        keys: Keys { next: 0, events },
    };
    network.add_source("spring", spring)?;
    network.add_pipeline("filter", Filter::new(INTERVAL, FilterKey::Payload)?)?;
    network.add_sink("drain", Drain::new(&watch, events / 2 + 1))?;
    network.link("spring", "filter")?;
    network.link("filter", "drain")?;
    network.start()?;
    let took = watch.wait();
    then();
    network.stop()?;
    Ok(took)
}

/// The filter of the library.
pub fn network(events: u64) -> Duration {
    run(events, || {}).expect("a filter runs")
}

/// The same with a map of the keys and a queue of their times.
pub fn bare(events: u64) -> Duration {
    bare::run(3, 1, |team| {
        let (tx, rx) = bounded(SLOTS);
        team.spawn(move |watch| {
            watch.begin();
            let mut keys = Keys { next: 0, events };
            loop {
                let now = bare::now();
                let batch = keys.by_ref().take(BATCH);
                let batch: Vec<Item> = batch.map(|payload| (payload.into(), now)).collect();
                if batch.is_empty() {
                    break;
                }
                bare::send(&tx, batch);
            }
        });
        let mut passed: HashMap<u128, i64> = HashMap::new();
        let mut order = VecDeque::new();
        let interval = i64::try_from(INTERVAL.as_micros()).expect("an hour is short");
        let next = team.hop(rx, move |batch: &mut Vec<Item>| {
            let now = bare::now();
            while let Some(&(at, key)) = order.front()
                && now - at >= interval
            {
                order.pop_front();
                passed.remove(&key);
            }
            batch.retain(|(payload, _)| {
                let key = xxh3_128(payload);
                let is_new = !passed.contains_key(&key);
                if is_new {
                    passed.insert(key, now);
                    order.push_back((now, key));
                }
                is_new
            });
        });
        team.sink(next, events / 2 + 1, Vec::len);
    })
}
