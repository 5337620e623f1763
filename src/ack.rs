//! Acknowledgement by the last holder, in three parts.
//!
//! A tracked event carries an ack; its clones and what is derived from it
//! share the ack, each as one holder. A holder *settles* with an [`Outcome`]; one that is dropped
//! unsettled (a panic, an abort, a lost channel) counts as failed. With the last holder the
//! outcome is decided (failed if any holder failed) and sent to the channel of the node that tracks the event.
//!
//! | holders | first | second | outcome |
//! |---|---|---|---|
//! | 1 | delivered | | delivered |
//! | 1 | dropped | | failed |
//! | 2 | delivered | delivered | delivered |
//! | 2 | delivered | failed, or dropped | failed |
//!
//! One allocation (a `Group`) serves many events, so that a tracked event costs no allocation of
//! its own. A group is sent at the first outcome decided since it was last sent, so that
//! neither does a slow event hold back its neighbours nor is there a message for each event.
//!
//! What counts references to a group is what counts the holders of its events: an ack is two plain
//! words. So a group is never freed. It is used again once its tracker has
//! collected all its outcomes and no thread can access it any more: a thread that decides an outcome
//! accesses the group for the last time when it adds to its `news`.
//!
//! What one thread settles together, and alone holds, costs no locked operation: the outcomes are
//! written plainly, and then published together. Of a whole group not even the slots are written: the
//! message has the outcome of all.
//!
//! The parts: `holder` (the ack of one holder), `group` (counts the holders of many events), `settled`
//! (decided outcomes, on their way to the node that tracks them). They refer to each other: an ack is
//! a slot of a group, a group keeps the acks that its events had before, and sends itself when settled.
//! The tests of schedules include these files and use shuttle's atomics.

mod group;
mod holder;
mod settled;

pub(crate) use group::Group;
#[cfg(shuttle)]
pub(crate) use group::UNUSED;
pub(crate) use holder::{Ack, AckId};
pub(crate) use settled::{OutcomeChannel, Settled};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an event is delivered, or it has failed"
)]
pub enum Outcome {
    /// Every branch delivered it, or let it go on purpose.
    Delivered,
    /// Some branch failed or lost it.
    Failed,
}

/// Names a tracked event towards the node that tracks it; unique within that node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a token is its number")]
pub struct Token(pub u64);
