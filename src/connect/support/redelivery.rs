//! Messages that failed, until their pause is over.
//!
//! The invariant: they come in the order in which they failed, each no earlier than the pause after that.

use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// What failed, and when it is due.
#[derive(Debug)]
pub(crate) struct Redelivery<T> {
    pause: Duration,
    failed: VecDeque<(Timestamp, T)>,
}

impl<T> Redelivery<T> {
    /// With the pause of the option `redeliver_after`.
    pub fn after(pause: Duration) -> Self {
        Redelivery {
            pause,
            failed: VecDeque::new(),
        }
    }

    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// The same, with the pause of a successor for what fails from now on.
    pub fn with_pause_of(self, other: &Redelivery<T>) -> Self {
        Redelivery {
            pause: other.pause,
            ..self
        }
    }

    pub fn push(&mut self, message: T, now: Timestamp) {
        let due = now.saturating_add(self.pause);
        self.failed.push_back((due, message));
    }

    pub fn len(&self) -> usize {
        self.failed.len()
    }

    pub fn clear(&mut self) {
        self.failed.clear();
    }

    /// Those that wait, due or not.
    pub fn messages(&self) -> impl Iterator<Item = &T> {
        self.failed.iter().map(|(_, message)| message)
    }

    /// When the first one is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.failed.front().map(|(due, _)| *due)
    }

    /// How many are due.
    pub fn due(&self, now: Timestamp) -> usize {
        self.failed
            .iter()
            .take_while(|(due, _)| *due <= now)
            .count()
    }

    /// Removes so many of the first ones.
    pub fn take(&mut self, count: usize) -> impl Iterator<Item = T> {
        let count = count.min(self.failed.len());
        self.failed.drain(..count).map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_due_after_the_pause_in_the_order_of_failure() {
        let at = Timestamp::from_secs;
        let mut failed = Redelivery::after(Duration::from_secs(2));
        failed.push("a", at(10));
        failed.push("b", at(11));
        assert_eq!((failed.due(at(11)), failed.next_due()), (0, Some(at(12))));
        assert_eq!((failed.due(at(12)), failed.due(at(13))), (1, 2));
        assert_eq!(failed.take(1).collect::<Vec<_>>(), ["a"]);
        assert_eq!(failed.messages().collect::<Vec<_>>(), [&"b"]);
        failed.clear();
        assert_eq!((failed.len(), failed.next_due()), (0, None));
    }
}
