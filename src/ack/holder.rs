//! The ack of one holder of an event, and holders that end together.

use super::Outcome;
use super::group::{ALONE, Group};
use super::settled::OutcomeChannel;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicU32, Ordering};
use std::fmt;
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicU32, Ordering};

/// Identifies the event of an ack; the same for all holders of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AckId {
    /// The address of the group, which is never freed.
    group: usize,
    slot: usize,
}

/// One holder's part in the outcome of an event; most events are not tracked and have none.
pub struct Ack {
    pub(super) group: Option<&'static Group>,
    /// As wide as a word: a narrower one leaves padding in every event, and to copy an event just
    /// made the processor waits until all earlier writes are done (measured: half the hop).
    pub(super) slot: usize,
}

impl Ack {
    pub(crate) const fn none() -> Self {
        Ack {
            group: None,
            slot: 0,
        }
    }

    pub(crate) fn is_some(&self) -> bool {
        self.group.is_some()
    }

    /// Ends the parts of many holders at once.
    pub(crate) fn settle_all<'a>(acks: impl Iterator<Item = &'a mut Ack>, outcome: Outcome) {
        let mut run = Run::default();
        for ack in acks {
            if let Some(group) = ack.group.take() {
                if !run.is_of(group) {
                    run.end(outcome);
                    run.begin(group);
                }
                run.slots.push(ack.slot);
            }
        }
        run.end(outcome);
    }

    /// The event of which it is a holder.
    pub(crate) fn ack_id(&self) -> Option<AckId> {
        let group = self.group?;
        Some(AckId {
            group: std::ptr::from_ref(group) as usize,
            slot: self.slot,
        })
    }

    /// Ends this holder's part for an event that was emitted and taken back. Where it was made from one
    /// that is still `held`, what becomes of that one decides. The node of `channel`, if it tracked the
    /// event here, gets a failure.
    pub(crate) fn take_back(
        mut self,
        channel: &Arc<dyn OutcomeChannel>,
        held: impl Fn(AckId) -> bool,
    ) {
        let outcome = |ack: &Ack| {
            if ack.ack_id().is_some_and(&held) {
                Outcome::Delivered
            } else {
                Outcome::Failed
            }
        };
        if let Some(group) = self.group.filter(|group| group.is_of(channel)) {
            let outer = group.take_outer(self.slot);
            let decided = outcome(&outer);
            outer.settle(decided);
            self.end(Outcome::Failed);
        } else {
            let decided = outcome(&self);
            self.end(decided);
        }
    }

    /// Ends this holder's part. Dropping an ack is settling it as failed.
    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    #[inline]
    pub(crate) fn end(&mut self, outcome: Outcome) {
        if let Some(group) = self.group.take() {
            group.settle(self.slot, outcome);
        }
    }
}

impl Clone for Ack {
    #[inline]
    fn clone(&self) -> Self {
        if let Some(group) = self.group {
            group.hold(self.slot);
        }
        Ack {
            group: self.group,
            slot: self.slot,
        }
    }
}

impl Drop for Ack {
    #[inline]
    fn drop(&mut self) {
        self.end(Outcome::Failed);
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_some() {
            "Ack(tracked)"
        } else {
            "Ack(none)"
        })
    }
}

/// Holders of one group that end together, on one thread.
#[derive(Default)]
struct Run {
    group: Option<&'static Group>,
    slots: Vec<usize>,
}

impl Run {
    #[inline]
    fn is_of(&self, group: &'static Group) -> bool {
        self.group.is_some_and(|known| std::ptr::eq(known, group))
    }

    fn begin(&mut self, group: &'static Group) {
        self.slots.reserve(group.slots.len());
        self.group = Some(group);
    }

    /// Ends them. The message publishes what was decided.
    fn end(&mut self, outcome: Outcome) {
        let Some(group) = self.group.take() else {
            return;
        };
        // As many holders as there are events, each of which has one: these are all that there are.
        let given = group.given.load(Ordering::Acquire) as usize;
        let is_alone = |slot: &AtomicU32| slot.load(Ordering::Acquire) == ALONE;
        if self.slots.len() == given && group.slots[..given].iter().all(is_alone) {
            group.send(Some(outcome));
        } else {
            let decided = self
                .slots
                .iter()
                .filter(|slot| group.let_go(**slot, outcome));
            let decided = decided.count() as u32;
            if decided > 0 {
                group.decided(decided);
            }
        }
        self.slots.clear();
    }
}
