//! The keys that passed of late: found by key, forgotten in the order in which they came.
//!
//! Each key stands once in a queue, with its time: 24 bytes, in chunks that are given back as they
//! empty. A hash table finds it there and holds nothing but its number: 5 bytes, of which up to
//! eight sevenths, and just after it has grown twice that, are needed. That is 30 to 36 bytes a key.
//! What was removed or came again leaves its old place in the queue empty until its time is over.

use crate::time::Timestamp;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::VecDeque;

/// How many keys a chunk has.
const CHUNK: usize = 4_096;
/// A table of this capacity never shrinks.
const SMALL: usize = 1_024;

/// Keys in the order in which they came, and when that was.
#[derive(Default)]
pub(super) struct Recent {
    queue: Queue,
    /// The numbers of the keys in the queue.
    table: HashTable<u32>,
}

/// One key. Two halves, so that no place is lost to alignment.
#[derive(Clone, Copy)]
struct Passed {
    key: [u64; 2],
    at: Timestamp,
}

/// Entries by number; numbers go up, and begin again after the greatest.
#[derive(Default)]
struct Queue {
    chunks: VecDeque<Vec<Passed>>,
    /// The number of the first entry of the first chunk.
    base: u32,
    /// How many entries of the first chunk are gone.
    gone: usize,
}

fn halves(key: u128) -> [u64; 2] {
    [(key >> 64) as u64, key as u64]
}

/// The key is a hash itself.
fn hash(key: [u64; 2]) -> u64 {
    key[1]
}

impl Queue {
    fn get(&self, number: u32) -> Passed {
        let at = number.wrapping_sub(self.base) as usize;
        self.chunks[at / CHUNK][at % CHUNK]
    }

    fn front(&self) -> Option<(u32, Passed)> {
        let first = self.chunks.front()?.get(self.gone)?;
        Some((self.base.wrapping_add(self.gone as u32), *first))
    }

    /// How many places there are, those that are gone in the first chunk among them.
    fn places(&self) -> usize {
        let last = self.chunks.back().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * CHUNK + last
    }

    fn len(&self) -> usize {
        self.places() - self.gone
    }

    /// The number that the next entry gets.
    fn next(&self) -> u32 {
        self.base.wrapping_add(self.places() as u32)
    }

    fn push(&mut self, passed: Passed) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(passed),
            // The first one grows as it fills.
            None => self.chunks.push_back(vec![passed]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(passed);
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Removes the first entry; whether that has emptied a chunk.
    fn pop(&mut self) -> bool {
        self.gone += 1;
        let emptied = matches!(self.chunks.front(), Some(chunk) if chunk.len() == self.gone);
        if emptied {
            self.base = self.base.wrapping_add(self.gone as u32);
            self.gone = 0;
            let chunk = self.chunks.pop_front();
            // The last one is used again: most filters have few keys.
            if let (Some(mut chunk), true) = (chunk, self.chunks.is_empty()) {
                chunk.clear();
                self.chunks.push_back(chunk);
            }
        }
        emptied
    }
}

impl Recent {
    /// When this key passed.
    pub fn get(&self, key: u128) -> Option<Timestamp> {
        let key = halves(key);
        let queue = &self.queue;
        let number = self
            .table
            .find(hash(key), |number| queue.get(*number).key == key)?;
        Some(queue.get(*number).at)
    }

    /// Adds a key, in place of the same one where it is there.
    pub fn insert(&mut self, key: u128, at: Timestamp) {
        let key = halves(key);
        let queue = &self.queue;
        let number = queue.next();
        let entry = self.table.entry(
            hash(key),
            |number| queue.get(*number).key == key,
            |number| hash(queue.get(*number).key),
        );
        match entry {
            Entry::Occupied(mut entry) => *entry.get_mut() = number,
            Entry::Vacant(entry) => {
                entry.insert(number);
            }
        }
        self.queue.push(Passed { key, at });
    }

    /// Removes a key.
    pub fn remove(&mut self, key: u128) {
        let key = halves(key);
        let queue = &self.queue;
        let found = self
            .table
            .find_entry(hash(key), |number| queue.get(*number).key == key);
        if let Ok(entry) = found {
            entry.remove();
        }
    }

    /// When the first in the queue passed.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.queue.front().map(|(_, passed)| passed.at)
    }

    /// Forgets the first ones where the queue has more than so many places; how many keys that were.
    pub fn forget_excess(&mut self, most: usize) -> u64 {
        let before = self.table.len();
        while self.queue.len() > most {
            self.forget_oldest();
        }
        (before - self.table.len()) as u64
    }

    /// Forgets the first in the queue.
    pub fn forget_oldest(&mut self) {
        let Some((first, passed)) = self.queue.front() else {
            return;
        };
        // Its key may have come again, or been removed.
        let found = self
            .table
            .find_entry(hash(passed.key), |number| *number == first);
        if let Ok(entry) = found {
            entry.remove();
        }
        if self.queue.pop() {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        let len = self.table.len();
        if self.table.capacity() > SMALL.max(len * 8) {
            let queue = &self.queue;
            self.table
                .shrink_to(len * 2, |number| hash(queue.get(*number).key));
        }
    }
}
