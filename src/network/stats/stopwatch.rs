//! Time that adds up, with the time of what is under way.
//!
//! One thread writes, any thread reads. A stopwatch that runs stores the negative of its start, less what
//! it had before; so one load gives a total that never goes back.

use crate::time::monotonic;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicI64, Ordering};
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Stopwatch {
    base: Instant,
    /// The total in nanoseconds; while it runs, the total at the start less the nanoseconds from `base` to
    /// the start.
    value: AtomicI64,
    /// The total without what is under way: the least that is shown.
    total: AtomicI64,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Stopwatch {
            base: monotonic(),
            value: AtomicI64::new(0),
            total: AtomicI64::new(0),
        }
    }
}

impl Stopwatch {
    fn nanos(&self, at: Instant) -> i64 {
        let nanos = at.saturating_duration_since(self.base).as_nanos();
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }

    /// Starts at this instant, which may lie ahead: nothing is counted before it.
    pub fn start(&self, at: Instant) {
        let total = self.total.load(Ordering::Relaxed);
        // One more, so that what runs is less than zero.
        self.value
            .store(total - self.nanos(at) - 1, Ordering::Relaxed);
    }

    /// Stops; counts from the start to this instant.
    pub fn stop(&self, at: Instant) {
        let value = self.value.load(Ordering::Relaxed);
        if value < 0 {
            let before = self.total.load(Ordering::Relaxed);
            self.set((value + self.nanos(at) + 1).max(before));
        }
    }

    /// Stops, and counts this much.
    pub fn stop_with(&self, time: Duration) {
        let nanos = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        self.set(self.total.load(Ordering::Relaxed).saturating_add(nanos));
    }

    fn set(&self, total: i64) {
        self.total.store(total, Ordering::Relaxed);
        self.value.store(total, Ordering::Relaxed);
    }

    /// The total at this instant.
    pub fn read(&self, now: Instant) -> Duration {
        let total = self.total.load(Ordering::Relaxed);
        let value = self.value.load(Ordering::Relaxed);
        let nanos = match value {
            0.. => value.max(total),
            _ => (value + self.nanos(now) + 1).max(total),
        };
        Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_stopwatch_counts_what_is_under_way_and_never_goes_back() {
        let watch = Stopwatch::default();
        let at = |millis| watch.base + Duration::from_millis(millis);
        let read = |millis| watch.read(at(millis)).as_millis();
        assert_eq!(read(5), 0);
        watch.start(at(10));
        assert_eq!((read(10), read(25)), (0, 15));
        watch.stop(at(30));
        assert_eq!((read(30), read(99)), (20, 20));
        // A start that lies ahead.
        watch.start(at(200));
        assert_eq!((read(150), read(210)), (20, 30));
        watch.stop_with(Duration::ZERO);
        assert_eq!(read(300), 20);
    }
}
