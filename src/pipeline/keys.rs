//! What nodes keep for each key: found by the key, and in the order of the instants at which it is due.
//!
//! A key is a hash of 128 bits. Each stands once in a slab, in a list by the instant at which it is
//! due, with what is kept for it: 32 bytes and the size of that. A hash table finds it there and holds
//! nothing but its place, which takes 6 to 11 bytes a key. What nodes keep is always due a fixed time
//! after the event that brought it, so that a key is added at the end of the list; where the clock was
//! set back, those that would be due later than it are due with it.
//!
//! The parts: `slots` (the slab). How much a node may keep, the node decides: see `bounds`.

mod slots;

use crate::time::Timestamp;
use hashbrown::HashTable;
use slots::Slots;
use std::time::Duration;

/// A table of this capacity never shrinks.
const SMALL: usize = 1_024;

/// No place.
const NONE: u32 = u32::MAX;

/// What is kept for each key.
#[derive(Debug)]
pub(super) struct Keys<T> {
    slots: Slots<Kept<T>>,
    /// The places of the keys.
    table: HashTable<u32>,
    /// The key that is due first, and the one that is due last.
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Kept<T> {
    /// Two halves, so that no byte is lost to alignment.
    key: [u64; 2],
    at: Timestamp,
    before: u32,
    after: u32,
    value: T,
}

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Keys {
            slots: Slots::default(),
            table: HashTable::new(),
            first: NONE,
            last: NONE,
        }
    }
}

fn halves(key: u128) -> [u64; 2] {
    [(key >> 64) as u64, key as u64]
}

/// The key is a hash itself.
fn hash(key: [u64; 2]) -> u64 {
    key[1]
}

impl<T> Keys<T> {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    fn place(&self, key: u128) -> Option<u32> {
        let key = halves(key);
        let found = self
            .table
            .find(hash(key), |place| self.slots.get(*place).key == key);
        found.copied()
    }

    pub fn get_mut(&mut self, key: u128) -> Option<&mut T> {
        let place = self.place(key)?;
        Some(&mut self.slots.get_mut(place).value)
    }

    /// Keeps a value that is due at `at`. Returns the previous value of the key.
    pub fn put(&mut self, key: u128, at: Timestamp, value: T) -> Option<T> {
        if let Some(place) = self.place(key) {
            self.unlink(place);
            self.link(place, at);
            let kept = self.slots.get_mut(place);
            return Some(std::mem::replace(&mut kept.value, value));
        }
        let place = self.slots.insert(Kept {
            key: halves(key),
            at,
            before: NONE,
            after: NONE,
            value,
        });
        self.link(place, at);
        let slots = &self.slots;
        self.table.insert_unique(hash(halves(key)), place, |place| {
            hash(slots.get(*place).key)
        });
        None
    }

    /// Has a key be due then, if it is kept; what is kept for it comes out to be changed.
    pub fn renew(&mut self, key: u128, at: Timestamp) -> Option<&mut T> {
        let place = self.place(key)?;
        self.unlink(place);
        self.link(place, at);
        Some(&mut self.slots.get_mut(place).value)
    }

    pub fn take(&mut self, key: u128) -> Option<T> {
        let place = self.place(key)?;
        Some(self.remove(place))
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Timestamp> {
        let place = Some(self.first).filter(|place| *place != NONE)?;
        Some(self.slots.get(place).at)
    }

    /// Has nothing be due later than this: the clock was set back.
    pub fn hasten(&mut self, latest: Timestamp) {
        let mut place = self.last;
        while place != NONE {
            let kept = self.slots.get_mut(place);
            if kept.at <= latest {
                break;
            }
            kept.at = latest;
            place = kept.before;
        }
    }

    /// Has all that is due `from` after an instant be due `to` after it.
    pub fn shift(&mut self, from: Duration, to: Duration) {
        let mut place = self.first;
        while place != NONE {
            let kept = self.slots.get_mut(place);
            if kept.at < Timestamp::MAX {
                kept.at = kept.at.saturating_add(to).saturating_sub(from);
            }
            place = kept.after;
        }
    }

    /// Takes the next value that is due.
    pub fn pop(&mut self, now: Timestamp) -> Option<T> {
        self.next().filter(|at| *at <= now)?;
        Some(self.remove(self.first))
    }

    fn link(&mut self, place: u32, at: Timestamp) {
        self.hasten(at);
        let last = self.last;
        let kept = self.slots.get_mut(place);
        (kept.at, kept.before, kept.after) = (at, last, NONE);
        match last {
            NONE => self.first = place,
            last => self.slots.get_mut(last).after = place,
        }
        self.last = place;
    }

    fn unlink(&mut self, place: u32) {
        let kept = self.slots.get(place);
        let (before, after) = (kept.before, kept.after);
        match before {
            NONE => self.first = after,
            before => self.slots.get_mut(before).after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.slots.get_mut(after).before = before,
        }
    }

    fn remove(&mut self, place: u32) -> T {
        self.unlink(place);
        let hash_of = hash(self.slots.get(place).key);
        if let Ok(entry) = self.table.find_entry(hash_of, |found| *found == place) {
            entry.remove();
        }
        let kept = self.slots.remove(place);
        let len = self.table.len();
        if self.table.capacity() > SMALL.max(len * 8) {
            let slots = &self.slots;
            self.table
                .shrink_to(len * 2, |place| hash(slots.get(*place).key));
        }
        kept.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    /// The same by two trees, which need 660 bytes a key.
    #[derive(Default)]
    struct Plain {
        kept: BTreeMap<u128, (Timestamp, u64, usize)>,
        order: BTreeSet<(Timestamp, u64, u128)>,
        number: u64,
    }

    impl Plain {
        fn put(&mut self, key: u128, at: Timestamp, value: usize) -> Option<usize> {
            let before = self.take(key);
            self.hasten(at);
            self.number += 1;
            self.kept.insert(key, (at, self.number, value));
            self.order.insert((at, self.number, key));
            before
        }

        fn take(&mut self, key: u128) -> Option<usize> {
            let (at, number, value) = self.kept.remove(&key)?;
            self.order.remove(&(at, number, key));
            Some(value)
        }

        fn hasten(&mut self, latest: Timestamp) {
            for (at, number, key) in self.order.split_off(&(latest, u64::MAX, 0)) {
                assert!(at > latest);
                self.order.insert((latest, number, key));
                self.kept.entry(key).and_modify(|kept| kept.0 = latest);
            }
        }

        fn pop(&mut self, now: Timestamp) -> Option<usize> {
            let key = self.order.first().filter(|(at, _, _)| *at <= now)?.2;
            self.take(key)
        }
    }

    #[test]
    fn whatever_is_done_the_keys_are_those_of_two_trees() {
        let (mut keys, mut plain) = (Keys::default(), Plain::default());
        let (mut random, mut now) = (7_u64, 0_i64);
        for step in 0..200_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let draw = (random >> 33) as usize;
            // Many keys at first, few later.
            let key = (draw % [60_000, 50][step / 100_000]) as u128;
            let key = key << 64 | key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            match draw >> 16 & 15 {
                0 => assert_eq!(keys.take(key), plain.take(key)),
                1 => assert_eq!(keys.pop(at(now)), plain.pop(at(now))),
                2 if step.is_multiple_of(50) => {
                    now -= 30;
                    keys.hasten(at(now + 100));
                    plain.hasten(at(now + 100));
                }
                _ => {
                    let before = keys.put(key, at(now + 100), step);
                    assert_eq!(before, plain.put(key, at(now + 100), step));
                }
            }
            now += i64::from(draw.is_multiple_of(7));
            assert_eq!(keys.len(), plain.kept.len());
            assert_eq!(keys.next(), plain.order.first().map(|due| due.0));
        }
        while let Some(value) = plain.pop(Timestamp::MAX) {
            assert_eq!(keys.pop(Timestamp::MAX), Some(value));
        }
        assert_eq!((keys.pop(Timestamp::MAX), keys.len()), (None, 0));
    }

    #[test]
    fn a_key_that_is_due_again_is_the_last_one() {
        let mut keys = Keys::default();
        for key in [1, 2, 3] {
            keys.put(key, Timestamp::MAX, key);
        }
        assert_eq!(keys.renew(1, Timestamp::MAX), Some(&mut 1));
        assert_eq!(keys.renew(4, Timestamp::MAX), None);
        let order: Vec<u128> = std::iter::from_fn(|| keys.pop(Timestamp::MAX)).collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
