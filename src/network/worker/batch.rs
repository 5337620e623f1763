//! The batch that a node has in hand, and why it waits.

use crate::event::Batch;
use crate::time::Timestamp;

/// Events that a node takes in hand together: all of them came by the same link.
pub(crate) struct InputBatch {
    pub batch: Batch,
    /// The number of that link, if any.
    pub input: Option<usize>,
    /// How often the first event was tried and rejected before.
    pub tried: u32,
}

/// A node that waits: to be opened again, or to try an event again.
pub(super) struct Stalled {
    /// What was in hand, to be fed again: at most one, more where a simulation has injected some.
    pub batches: Vec<InputBatch>,
    pub since: Timestamp,
    pub until: Timestamp,
    /// Whether the node is lost, and is to be opened again.
    pub lost: bool,
}

impl Stalled {
    /// Whether the pause is over; a clock that was set back does not lengthen it.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until || now < self.since
    }
}
