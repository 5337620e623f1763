//! How far each partition that is ours has been delivered.
//!
//! The invariants: a position moves over messages that are delivered, in their order, and never past
//! one that is not; an outcome of a message that came before its partition was revoked, or assigned
//! again, moves nothing.

use std::collections::{HashMap, VecDeque};

/// The partitions of a topic that are ours.
#[derive(Default)]
pub(super) struct Positions {
    partitions: HashMap<i32, Partition>,
    /// How many times a partition was given to us.
    given: u64,
    /// How many messages are at or behind their partition's position.
    ahead: usize,
}

/// A partition, from when it was given to us until it is taken away.
struct Partition {
    given: u64,
    /// The messages from the position on by their offsets, and whether each is delivered.
    messages: VecDeque<(i64, bool)>,
}

/// A message's place; it means nothing once the partition is not ours any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub partition: i32,
    given: u64,
    offset: i64,
}

impl Positions {
    /// The partition is ours from now on.
    pub fn give(&mut self, partition: i32) {
        self.take_away(partition);
        self.given += 1;
        let new = Partition {
            given: self.given,
            messages: VecDeque::new(),
        };
        self.partitions.insert(partition, new);
    }

    /// The partition is not ours any more.
    pub fn take_away(&mut self, partition: i32) {
        if let Some(gone) = self.partitions.remove(&partition) {
            self.ahead -= gone.messages.len();
        }
    }

    /// None is ours any more.
    pub fn take_all(&mut self) {
        self.partitions.clear();
        self.ahead = 0;
    }

    /// A message has come; `None` where its partition is not ours.
    pub fn came(&mut self, partition: i32, offset: i64) -> Option<Spot> {
        let last = self.partitions.get(&partition)?.messages.back();
        if last.is_some_and(|(last, _)| *last >= offset) {
            // The cluster has lost messages, or the position was reset.
            self.give(partition);
        }
        let known = self.partitions.get_mut(&partition)?;
        known.messages.push_back((offset, false));
        self.ahead += 1;
        Some(Spot {
            partition,
            given: known.given,
            offset,
        })
    }

    /// Whether the partition of this message is still ours as it was.
    pub fn is_ours(&self, spot: Spot) -> bool {
        let known = self.partitions.get(&spot.partition);
        known.is_some_and(|known| known.given == spot.given)
    }

    /// A message is delivered; where that moves the position of its partition, it comes out: the
    /// offset of the next message to deliver.
    pub fn delivered(&mut self, spot: Spot) -> Option<i64> {
        let known = self.partitions.get_mut(&spot.partition)?;
        if known.given != spot.given {
            return None;
        }
        let messages = &mut known.messages;
        if let Ok(at) = messages.binary_search_by_key(&spot.offset, |(offset, _)| *offset) {
            messages[at].1 = true;
        }
        let mut position = None;
        while let Some((offset, true)) = messages.front() {
            position = Some(offset + 1);
            messages.pop_front();
            self.ahead -= 1;
        }
        position
    }

    /// How many messages have come that no position has passed.
    pub fn ahead(&self) -> usize {
        self.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::Positions;

    #[test]
    fn a_position_never_passes_what_is_not_delivered() {
        let mut positions = Positions::default();
        positions.give(3);
        // Offsets have gaps where a topic is compacted.
        let spots = [10, 11, 15, 16].map(|offset| positions.came(3, offset).expect("ours"));
        assert_eq!(positions.delivered(spots[1]), None);
        assert_eq!(positions.delivered(spots[3]), None);
        assert_eq!(positions.ahead(), 4);
        assert_eq!(positions.delivered(spots[0]), Some(12));
        assert_eq!(positions.delivered(spots[0]), None);
        assert_eq!(positions.delivered(spots[2]), Some(17));
        assert_eq!(positions.ahead(), 0);
    }

    #[test]
    fn what_came_before_a_partition_was_taken_away_moves_nothing() {
        let mut positions = Positions::default();
        positions.give(0);
        let old = positions.came(0, 5).expect("ours");
        positions.take_away(0);
        assert!(positions.came(0, 6).is_none());
        assert_eq!(positions.delivered(old), None);
        positions.give(0);
        let new = positions.came(0, 5).expect("ours");
        assert!(!positions.is_ours(old) && positions.is_ours(new));
        assert_eq!(positions.delivered(old), None);
        assert_eq!(positions.delivered(new), Some(6));
    }

    #[test]
    fn a_partition_that_was_set_back_begins_anew() {
        let mut positions = Positions::default();
        positions.give(0);
        let old = positions.came(0, 5).expect("ours");
        let new = positions.came(0, 2).expect("ours");
        assert_eq!(positions.delivered(old), None);
        assert_eq!(positions.delivered(new), Some(3));
        assert_eq!(positions.ahead(), 0);
    }
}
