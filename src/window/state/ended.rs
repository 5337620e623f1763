//! Which sessions have ended so lately that a row may still come that would have joined one.

use super::digest::{AsIs, Digest};
use std::collections::{HashMap, VecDeque};

/// When the last session of each key ended, for those that ended lately.
#[derive(Default)]
pub(super) struct Ended {
    last: HashMap<Digest, i64, AsIs>,
    /// The same in the order in which they ended.
    order: VecDeque<(i64, Digest)>,
}

impl Ended {
    /// A session of this key has ended.
    pub fn note(&mut self, key: Digest, end: i64) {
        self.last.insert(key, end);
        self.order.push_back((end, key));
    }

    /// The end of the last session of a key where one that begins at an instant overlaps with it;
    /// each is told once.
    pub fn take_after(&mut self, key: Digest, begins: i64) -> Option<i64> {
        self.last.get(&key).filter(|end| **end > begins)?;
        self.last.remove(&key)
    }

    /// No session begins any more that overlaps with one that ended by this instant.
    pub fn forget(&mut self, by: i64) {
        while let Some((end, key)) = self.order.pop_front_if(|(end, _)| *end <= by) {
            if self.last.get(&key) == Some(&end) {
                self.last.remove(&key);
            }
        }
    }
}
