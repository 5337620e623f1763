//! A bound on the time of a row, which moves with the clock.

use super::{SECOND, micros};
use crate::time::Timestamp;
use crate::window::analysis::Bound;
use std::time::Duration;

/// A bound, and its length in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeBound {
    bound: Bound,
    length: i64,
}

impl TimeBound {
    pub fn new(bound: Bound) -> Self {
        TimeBound {
            length: micros(bound.length),
            bound,
        }
    }

    /// The first instant at which a row of this time does not satisfy it.
    #[inline]
    pub fn exceeded(&self, time: Timestamp) -> i64 {
        let edge = time.as_micros().saturating_add(self.length);
        match (self.bound.whole_seconds, self.bound.inclusive) {
            // A query in whole seconds finds the row until the second is over.
            (true, true) => (edge.div_euclid(SECOND) + 1).saturating_mul(SECOND),
            (true, false) => -(-edge).div_euclid(SECOND) * SECOND,
            (false, true) => edge.saturating_add(1),
            (false, false) => edge,
        }
    }

    /// How much later it is exceeded than another one, where that is the same for all times.
    pub fn later_than(&self, other: &TimeBound) -> Option<i64> {
        let later = self.length.saturating_sub(other.length);
        let alike = self.bound.whole_seconds == other.bound.whole_seconds
            && self.bound.inclusive == other.bound.inclusive;
        let even = !self.bound.whole_seconds || later % SECOND == 0;
        (alike && even).then_some(later)
    }

    /// The instant that it sets for the time of a row.
    pub fn edge(&self, now: Timestamp) -> Timestamp {
        let now = if self.bound.whole_seconds {
            Timestamp::from_secs(now.as_secs())
        } else {
            now
        };
        now.saturating_sub(self.bound.length)
    }

    /// The least time of a row that satisfies it.
    pub fn least(&self, now: Timestamp) -> Timestamp {
        let edge = self.edge(now);
        if self.bound.inclusive {
            edge
        } else {
            edge.saturating_add(Duration::from_micros(1))
        }
    }
}
