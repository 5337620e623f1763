//! Pauses between attempts: the one way in which they grow.

use std::time::Duration;

/// Pauses that double after each failure, from the first one up to the longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// 100 ms to 10 s: the pauses before an event that failed is sent again.
    pub const EVENT: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));

    /// Pauses from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Backoff { first, longest }
    }

    /// The pause after this many failures in a row, at least one.
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = failures.saturating_sub(1).min(30);
        self.first.saturating_mul(1 << doubled).min(self.longest)
    }

    /// The pause after the first failure.
    pub const fn first(&self) -> Duration {
        self.first
    }

    /// The longest pause.
    pub const fn longest(&self) -> Duration {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let pauses = [1, 2, 3, 100].map(|failures| backoff.pause(failures).as_millis());
        assert_eq!(pauses, [100, 200, 400, 2_000]);
    }
}
