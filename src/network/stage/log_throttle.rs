//! How often a stage logs about events that it rejects or drops.

use std::time::{Duration, Instant};

/// Keeps the log of rejected events to a line a second, by real time: virtual
/// time may pass as fast as events do.
#[derive(Default)]
pub(crate) struct LogThrottle {
    last: Option<Instant>,
    pub silent: u64,
    /// An event was dropped by a port that is not linked.
    pub of_drop: bool,
    /// Something was let go before its time.
    pub of_let_go: bool,
}

impl LogThrottle {
    /// Whether a line may be written now, and how many were not written before it.
    pub fn may_warn(&mut self, now: Instant) -> Option<u64> {
        let soon = |last: Instant| now.duration_since(last) < Duration::from_secs(1);
        if self.last.is_some_and(soon) {
            self.silent += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.silent))
    }
}
