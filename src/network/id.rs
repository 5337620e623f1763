//! The identities of nodes and links within one network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a node of a network. No id is used twice, not even one of a draft that was discarded;
/// of two nodes the later one has the greater id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u64);

/// Identifies a link of a network, as a [`NodeId`] a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(u64);

/// Gives out the ids of one network. All clones share one counter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ids(Arc<AtomicU64>);

/// A point between two ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdMark(u64);

impl Ids {
    pub fn node(&self) -> NodeId {
        NodeId(self.0.fetch_add(1, Ordering::Relaxed))
    }

    pub fn link(&self) -> LinkId {
        LinkId(self.0.fetch_add(1, Ordering::Relaxed))
    }

    /// The point after every id that was given out.
    pub fn mark(&self) -> IdMark {
        IdMark(self.0.load(Ordering::Relaxed))
    }
}

impl NodeId {
    pub fn is_before(self, mark: IdMark) -> bool {
        self.0 < mark.0
    }
}

impl LinkId {
    pub fn is_before(self, mark: IdMark) -> bool {
        self.0 < mark.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_never_give_out_the_same_id() {
        let ids = Ids::default();
        let other = ids.clone();
        let first = ids.node();
        let mark = other.mark();
        let second = other.node();
        assert!(first < second && first.is_before(mark) && !second.is_before(mark));
        assert!(!ids.link().is_before(mark));
    }
}
