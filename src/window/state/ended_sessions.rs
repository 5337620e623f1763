//! Sessions that have ended, as long as a row may still come that would have joined them.

use super::digest::{Digest, DigestHashBuilder};
use std::collections::{HashMap, VecDeque};

/// When the last session of each key ended, in microseconds, for the keys whose rows may be stored.
#[derive(Default)]
pub(super) struct EndedSessions {
    last: HashMap<Digest, LastEnd, DigestHashBuilder>,
    /// The same in the order in which they ended.
    order: VecDeque<(i64, Digest)>,
}

#[derive(Clone, Copy)]
struct LastEnd {
    end: i64,
    /// Whether a session overlaps with it.
    overlapped: bool,
}

impl EndedSessions {
    /// A session of this key has ended.
    pub fn note(&mut self, key: Digest, end: i64) {
        let overlapped = false;
        self.last.insert(key, LastEnd { end, overlapped });
        self.order.push_back((end, key));
    }

    /// A session that had ended and is overlapped by another one, where it is not known yet.
    pub fn note_again(&mut self, key: Digest, end: i64) {
        if self.last(key).is_none_or(|known| known < end) {
            self.note(key, end);
            self.note_overlap(key, end);
        }
    }

    /// When the last session of a key ended, as far as it is known.
    pub fn last(&self, key: Digest) -> Option<i64> {
        self.last.get(&key).map(|last| last.end)
    }

    /// The end of the last session of a key, if one that begins at an instant is the first to
    /// overlap with it.
    pub fn note_overlap(&mut self, key: Digest, begins: i64) -> Option<i64> {
        let last = self.last.get_mut(&key)?;
        let first = last.end >= begins && !last.overlapped;
        last.overlapped |= first;
        first.then_some(last.end)
    }

    /// Forgets what ended before an instant.
    pub fn forget(&mut self, before: i64) {
        while let Some((end, key)) = self.order.pop_front_if(|(end, _)| *end < before) {
            if self.last(key) == Some(end) {
                self.last.remove(&key);
            }
        }
    }
}
