//! How long events take from their source to the end of their processing at a node.
//!
//! The node's own thread records, once for a batch, and never waits for a reader: what it cannot record at
//! once is left out. Two histograms take turns, so that what is shown is of the last ten to twenty seconds.

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many digits of a time count.
const DIGITS: u8 = 2;

/// Latency from the source to a node, of the last ten to twenty seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Latency {
    /// Of half of the events it is no longer.
    pub p50: Duration,
    /// Of 99 of 100 events it is no longer.
    pub p99: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct LatencyLog {
    turns: Mutex<Turns>,
    /// Of all events: how many, and the sum of their latencies in microseconds.
    count: AtomicU64,
    sum: AtomicU64,
}

#[derive(Debug, Default)]
struct Turns {
    current: Option<Histogram<u32>>,
    previous: Option<Histogram<u32>>,
}

impl LatencyLog {
    /// Records this latency for so many events.
    pub fn record(&self, latency: Duration, events: usize) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(events as u64, Ordering::Relaxed);
        let sum = micros.saturating_mul(events as u64);
        self.sum.fetch_add(sum, Ordering::Relaxed);
        let Some(mut turns) = self.turns.try_lock() else {
            return;
        };
        if turns.current.is_none() {
            turns.current = Histogram::new(DIGITS).ok();
        }
        if let Some(histogram) = &mut turns.current {
            let events = u32::try_from(events).unwrap_or(u32::MAX);
            // It grows as it must; beyond all bounds nothing is recorded.
            let _ = histogram.record_n(micros.max(1), events);
        }
    }

    /// Ten seconds are over.
    pub fn turn(&self) {
        let mut turns = self.turns.lock();
        turns.previous = turns.current.take();
    }

    /// Of how many events the latency is known, and their sum.
    pub fn all(&self) -> Option<(u64, Duration)> {
        let count = self.count.load(Ordering::Relaxed);
        let sum = Duration::from_micros(self.sum.load(Ordering::Relaxed));
        (count > 0).then_some((count, sum))
    }

    /// What was recorded; `None` where nothing was.
    pub fn read(&self) -> Option<Latency> {
        let turns = self.turns.lock();
        let mut both = turns.previous.as_ref().or(turns.current.as_ref())?.clone();
        if let (Some(_), Some(current)) = (&turns.previous, &turns.current) {
            both.add(current).ok()?;
        }
        drop(turns);
        let at = |quantile| Duration::from_micros(both.value_at_quantile(quantile));
        Some(Latency {
            p50: at(0.5),
            p99: at(0.99),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_of_the_last_two_turns() {
        let log = LatencyLog::default();
        assert_eq!(log.read(), None);
        log.record(Duration::from_millis(10), 98);
        log.record(Duration::from_secs(3), 2);
        let near = |a: Duration, b: Duration| a.abs_diff(b) < b / 50;
        let both = log.read().expect("something was recorded");
        assert!(near(both.p50, Duration::from_millis(10)), "{both:?}");
        assert!(near(both.p99, Duration::from_secs(3)), "{both:?}");
        log.turn();
        assert_eq!(log.read(), Some(both));
        log.record(Duration::from_millis(1), 900);
        let now = log.read().expect("something was recorded");
        assert!(near(now.p50, Duration::from_millis(1)), "{now:?}");
        log.turn();
        log.turn();
        assert_eq!(log.read(), None);
    }
}
