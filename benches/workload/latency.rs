//! One event at a time through idle threads, from the host's send to the host's receive.
//!
//! In both there are six channels and five threads between the host and itself: source, three
//! forwarders, sink. The time is the median of all trips but the first few, times their number.

use super::bare::Item;
use super::{PAYLOAD, SLOTS};
use flume::bounded;
use std::thread;
use std::time::{Duration, Instant};
use tributary::pipeline::Forwarder;
use tributary::{Network, Result, sink, source};

const WARM_UP: usize = 100;

fn median(events: u64, mut trip: impl FnMut()) -> Duration {
    let count = usize::try_from(events).expect("trips fit in memory");
    (0..WARM_UP).for_each(|_| trip());
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let begun = Instant::now();
            trip();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[count / 2].mul_f64(events as f64)
}

/// Host, source, three forwarders, sink, host.
pub fn network(events: u64) -> Duration {
    let run = || -> Result<Duration> {
        let (sender, source) = source::channel();
        let (receiver, sink) = sink::channel();
        let network = Network::new();
        network.add_source("in", source)?;
        for name in ["a", "b", "c"] {
            network.add_pipeline(name, Forwarder)?;
        }
        network.add_sink("out", sink)?;
        for (from, to) in [("in", "a"), ("a", "b"), ("b", "c"), ("c", "out")] {
            network.link(from, to)?;
        }
        network.start()?;
        let took = median(events, || {
            sender.send(&PAYLOAD[..]).expect("the network runs");
            receiver.recv().expect("what was sent comes out");
        });
        drop(sender);
        network.wait()?;
        Ok(took)
    };
    run().expect("a chain of forwarders runs")
}

/// Host, five threads, host.
pub fn bare(events: u64) -> Duration {
    thread::scope(|scope| {
        let (tx, mut rx) = bounded::<Vec<Item>>(SLOTS);
        for _ in 0..5 {
            let (next, last) = bounded(SLOTS);
            scope.spawn(move || {
                for batch in rx {
                    next.send(batch).expect("the next one receives to the end");
                }
            });
            rx = last;
        }
        let took = median(events, || {
            tx.send(vec![(PAYLOAD[..].into(), 0)])
                .expect("the chain runs");
            rx.recv().expect("what was sent comes out");
        });
        drop(tx);
        took
    })
}
