//! Keys in the order of the instants at which something is to be done about them.

use crate::error::{Error, Result};
use crate::time::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// How many keys a node keeps: what it takes of memory is bounded, however many keys there are.
const MOST: usize = 1_000_000;

/// What is kept for each key, and when it is due.
///
/// Each key is due at one instant at most. Keys due at one instant come in the order of their
/// numbers, which is the order in which they were first put in: so runs are equal.
#[derive(Debug)]
pub(super) struct Due<T> {
    kept: HashMap<u128, Kept<T>>,
    order: BTreeSet<(Timestamp, u64, u128)>,
    next: u64,
    most: usize,
}

#[derive(Debug)]
struct Kept<T> {
    at: Timestamp,
    number: u64,
    value: T,
}

impl<T> Default for Due<T> {
    fn default() -> Self {
        Due {
            kept: HashMap::new(),
            order: BTreeSet::new(),
            next: 0,
            most: MOST,
        }
    }
}

impl<T> Due<T> {
    /// Refuses one more key than are kept at most.
    pub fn check_room(&self, key: u128) -> Result<()> {
        if self.kept.len() < self.most || self.kept.contains_key(&key) {
            return Ok(());
        }
        let error = format!("{} other keys are kept already", self.most);
        Err(Error::data(error).with_hint("with a shorter time there are fewer"))
    }

    /// Forgets the key that is due first where there are more than are kept at most.
    pub fn forget_excess(&mut self) {
        if self.kept.len() > self.most {
            self.pop(Timestamp::MAX);
        }
    }

    pub fn get_mut(&mut self, key: u128) -> Option<&mut T> {
        self.kept.get_mut(&key).map(|kept| &mut kept.value)
    }

    /// Keeps a value that is due then; what was kept for the key before comes out.
    pub fn put(&mut self, key: u128, at: Timestamp, value: T) -> Option<T> {
        let before = self.take(key);
        let number = self.next;
        self.next += 1;
        self.order.insert((at, number, key));
        self.kept.insert(key, Kept { at, number, value });
        before
    }

    pub fn take(&mut self, key: u128) -> Option<T> {
        let kept = self.kept.remove(&key)?;
        self.order.remove(&(kept.at, kept.number, key));
        Some(kept.value)
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _, _)| *at)
    }

    /// Has nothing be due later than this: the clock was set back.
    pub fn hasten(&mut self, latest: Timestamp) {
        while let Some(&(at, number, key)) = self.order.last() {
            if at <= latest {
                break;
            }
            self.order.pop_last();
            self.order.insert((latest, number, key));
            if let Some(kept) = self.kept.get_mut(&key) {
                kept.at = latest;
            }
        }
    }

    /// Takes the next one that is due by now.
    pub fn pop(&mut self, now: Timestamp) -> Option<(u128, T)> {
        let key = self.order.first().filter(|(at, _, _)| *at <= now)?.2;
        self.take(key).map(|value| (key, value))
    }
}

/// Refuses a time of zero, in which a node of this kind would do nothing.
pub(super) fn positive(time: Duration, node: &str) -> crate::Result<Duration> {
    match time.as_micros() {
        0 => Err(crate::Error::data(format!(
            "bad time of a {node}: it must be more than zero"
        ))),
        _ => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(most: usize) -> Due<u8> {
        Due {
            most,
            ..Due::default()
        }
    }

    #[test]
    fn one_key_more_than_are_kept_is_refused_until_another_is_gone() {
        let mut due = of(2);
        due.put(1, Timestamp::from_secs(1), 1);
        due.put(2, Timestamp::from_secs(2), 2);
        let refused = due.check_room(3).map_err(|error| error.to_string());
        let said = "2 other keys are kept already; with a shorter time there are fewer";
        assert_eq!(refused, Err(said.to_owned()));
        assert!(due.check_room(2).is_ok(), "this one is kept");
        assert_eq!(due.pop(Timestamp::from_secs(1)), Some((1, 1)));
        assert!(due.check_room(3).is_ok());
    }

    #[test]
    fn the_key_that_came_longest_ago_is_forgotten_where_none_is_ever_due() {
        let mut due = of(2);
        for key in [1, 2, 1, 3] {
            due.put(key, Timestamp::MAX, 0);
            due.forget_excess();
        }
        assert!(due.get_mut(2).is_none());
        assert!(due.get_mut(1).is_some() && due.get_mut(3).is_some());
    }
}
