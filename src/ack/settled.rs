//! Decided outcomes, on their way to the node that tracks the events.

use super::group::Group;
use super::{Ack, Outcome, Token};
#[cfg(shuttle)]
use shuttle::sync::atomic::Ordering;
#[cfg(not(shuttle))]
use std::sync::atomic::Ordering;

/// Receives decided groups for the node that tracks their events. It must not block: it is called by
/// the last holder.
pub(crate) trait OutcomeChannel: Send + Sync {
    fn settled(&self, settled: Settled);
}

impl<T: From<Settled> + Send> OutcomeChannel for flume::Sender<T> {
    fn settled(&self, settled: Settled) {
        // Where the tracking node is gone, the outcome is of no use.
        let _ = self.send(settled.into());
    }
}

/// A group of which something was decided. If it is dropped, what its events held before
/// they were tracked fails.
pub(crate) struct Settled {
    pub(super) group: &'static Group,
    /// What became of all events of the group, where one thread has settled all of them together;
    /// its slots are not written then.
    pub(super) all: Option<Outcome>,
}

impl Settled {
    /// Hands over every outcome that was decided since the last call, with the ack that the event
    /// had before it was tracked here, which is to be settled alike. Only the tracking node's
    /// thread calls this. The group comes back once all its outcomes are collected: it is free.
    pub(crate) fn collect(self, each: impl FnMut(Token, Outcome, Ack)) -> Option<&'static Group> {
        let (group, all) = (self.group, self.all);
        std::mem::forget(self);
        group.collect(all, each).then_some(group)
    }

    /// What became of all events of the group alike, none of which has an outer ack: their
    /// tokens, and the group, which is free. Where it is not so simple, it is to be collected.
    pub(crate) fn collect_whole(self) -> Result<Whole, Self> {
        let group = self.group;
        match self.all {
            Some(outcome) if !group.has_outer.load(Ordering::Relaxed) => {
                std::mem::forget(self);
                let given = group.given.load(Ordering::Acquire);
                let first = group.first.load(Ordering::Relaxed);
                let is_free = group.has_collected(given);
                debug_assert!(is_free, "all its events were settled together");
                Ok(Whole {
                    first,
                    events: given as usize,
                    outcome,
                    group,
                })
            }
            _ => Err(self),
        }
    }
}

/// A group of which everything was decided alike.
pub(crate) struct Whole {
    pub first: u64,
    pub events: usize,
    pub outcome: Outcome,
    pub group: &'static Group,
}

impl Drop for Settled {
    fn drop(&mut self) {
        // The acks that come out are dropped.
        if self.group.collect(self.all, |_, _, _| {}) {
            self.group.give_back();
        }
    }
}
