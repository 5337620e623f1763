//! The limits: the same flows with nothing but flume, vectors and threads.

use super::watch::Watch;
use super::{BATCH, PAYLOAD, SLOTS, is_ours};
use flume::{Receiver, Sender, bounded};
use std::sync::{Arc, Barrier};
use std::thread::{self, Scope};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A payload and an instant.
pub type Item<P = Box<[u8]>> = (P, i64);

/// Microseconds since the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// Threads that begin together, and the watch on what they do.
pub struct Team<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    watch: Arc<Watch>,
    start: Arc<Barrier>,
}

impl<'scope> Team<'scope, '_> {
    pub fn spawn(&self, work: impl FnOnce(&Watch) + Send + 'scope) {
        let (watch, start) = (self.watch.clone(), self.start.clone());
        self.scope.spawn(move || {
            start.wait();
            work(&watch);
        });
    }

    fn source<P>(&self, events: u64, send: impl Fn(Vec<Item<P>>) + Send + 'scope)
    where
        P: From<&'static [u8]>,
    {
        self.spawn(move |watch| {
            watch.begin();
            let mut left = events;
            while left > 0 {
                let now = now();
                let count = left.min(BATCH as u64);
                left -= count;
                send((0..count).map(|_| (P::from(&PAYLOAD[..]), now)).collect());
            }
        });
    }

    /// A thread that sends on what it gets, after a look at it.
    pub fn hop<T: Send + 'scope>(
        &self,
        rx: Receiver<T>,
        mut look: impl FnMut(&mut T) + Send + 'scope,
    ) -> Receiver<T> {
        let (tx, next) = bounded(rx.capacity().unwrap_or(SLOTS));
        self.spawn(move |_| {
            for mut message in rx {
                look(&mut message);
                send(&tx, message);
            }
        });
        next
    }

    pub fn sink<T: Send + 'scope>(&self, rx: Receiver<T>, events: u64, count: fn(&T) -> usize) {
        self.spawn(move |watch| {
            let mut left = events;
            for message in rx {
                left -= count(&message) as u64;
                if left == 0 {
                    watch.end();
                }
            }
        });
    }
}

/// Runs a flow of so many threads with so many ends.
pub fn run(threads: usize, ends: usize, flow: impl FnOnce(&Team<'_, '_>)) -> Duration {
    let watch = Watch::new(ends);
    thread::scope(|scope| {
        let team = Team {
            scope,
            watch: watch.clone(),
            start: Arc::new(Barrier::new(threads)),
        };
        flow(&team);
        watch.wait()
    })
}

/// Sends to one that is there.
pub fn send<T>(tx: &Sender<T>, message: T) {
    tx.send(message).expect("the next one receives to the end");
}

fn chain(hops: usize, events: u64, look: fn(&mut Vec<Item>)) -> Duration {
    run(hops + 2, 1, |team| {
        let (tx, rx) = bounded(SLOTS);
        team.source(events, move |batch| send(&tx, batch));
        let last = (0..hops).fold(rx, |rx, _| team.hop(rx, look));
        team.sink(last, events, Vec::len);
    })
}

/// A chain of threads that send on what they get.
pub fn hop<const N: usize>(events: u64) -> Duration {
    chain(N, events, |_| {})
}

/// Three threads that look at each event and let it pass.
pub fn closure(events: u64) -> Duration {
    chain(3, events, |batch| {
        batch.retain(|(payload, _)| is_ours(payload));
    })
}

/// The same chain with one event in each message.
pub fn single<const N: usize>(events: u64) -> Duration {
    run(N + 2, 1, |team| {
        let (tx, rx) = bounded::<Item>(SLOTS * BATCH);
        team.source(events, move |batch| {
            batch.into_iter().for_each(|event| send(&tx, event));
        });
        let last = (0..N).fold(rx, |rx, _| team.hop(rx, |_| {}));
        team.sink(last, events, |_| 1);
    })
}

/// One source, four sinks that share each payload.
pub fn fanout(events: u64) -> Duration {
    run(5, 4, |team| {
        let links: Vec<_> = (0..4)
            .map(|_| {
                let (tx, rx) = bounded(SLOTS);
                team.sink(rx, events, Vec::len);
                tx
            })
            .collect();
        team.source::<Arc<[u8]>>(events, move |batch| {
            let copies = [batch.clone(), batch.clone(), batch.clone(), batch];
            links
                .iter()
                .zip(copies)
                .for_each(|(link, copy)| send(link, copy));
        });
    })
}

/// Four sources that send to one sink.
pub fn fanin(events: u64) -> Duration {
    run(5, 1, |team| {
        let (tx, rx) = bounded::<Vec<Item>>(4 * SLOTS);
        for tx in [tx.clone(), tx.clone(), tx.clone(), tx] {
            team.source(events / 4, move |batch| send(&tx, batch));
        }
        team.sink(rx, events / 4 * 4, Vec::len);
    })
}
