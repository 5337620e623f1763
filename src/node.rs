//! The contracts of nodes: what a node is, and when it is called.
//!
//! A node uses no channel, no thread and no clock. It borrows an event, decides by the [`Context`]
//! what becomes of it, and returns when it is to be woken. So a node runs unchanged on a thread and in
//! a simulation.
//!
//! For each batch the engine calls [`Pipeline::process`] or [`Sink::write`] for one event after
//! the other and then [`Node::commit`] once. Nothing leaves the node before that has succeeded.
//! All events of a batch came by the same link, which [`Context::input`] numbers; when links were
//! added to a node, or one has ended while others remain, [`Node::tick`] is called.
//!
//! | what fails | what the engine does |
//! |---|---|
//! | `process`/`write`, retryable | `rollback`; `open` again, with backoff; the whole batch is fed again |
//! | `process`/`write`, [busy](crate::Error::busy) | what came before the event is committed; it is fed again after 100 ms, while the node is ticked |
//! | `process`/`write`, otherwise, or a panic in it | what it emitted for this event is taken back, the event is tried again where [`on_error`](crate::OnError) sets retries, then rejected (port `errors`), the batch goes on |
//! | ten of these panics in a row | the node has failed and is not called any more; what it gets counts as failed, the network stops and reports it |
//! | `commit`, retryable | as for `process` |
//! | `commit`, [fatal](crate::Error::fatal) | `rollback`; every event of the batch is rejected, the node has failed: the network stops and reports it |
//! | `commit`, otherwise | `rollback`; the events are fed one by one, so that only the bad ones are rejected |
//! | `tick`, `settle`, `finish`, retryable | `rollback`; `open` again, with backoff; `tick` or `finish` again; a `settle` is not repeated, only its `commit` |
//! | `tick`, `settle`, `finish`, otherwise | `rollback`; logged and counted as an error of the node |
//! | `read`, retryable | `open` again, with backoff |
//! | `open`, retryable | `open` again, with backoff; the others run meanwhile ([`Network::fail_fast`](crate::Network::fail_fast) has `start` fail instead) |
//! | a panic in `wake` | the node has failed: the network stops and reports it |
//! | `read`, otherwise; `open`, not retryable | the node has failed: the network stops and reports it |

mod boxed;
mod context;
mod frame;
mod loss;
mod tracker;

use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::Result;
use crate::event::Event;
use crate::time::Timestamp;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

pub use context::Context;
pub(crate) use frame::{Frame, Output, Processed};
pub use loss::Loss;
pub(crate) use tracker::Tracker;

/// What every node may have beyond its one job; all of it has a default.
///
/// All calls come from the node's own thread (in a simulation: from the caller's).
pub trait Node: Send {
    /// Makes connections and whatever else cannot move between threads. Called once before
    /// anything else, and again after every retryable error and where a successor of the node did not
    /// open: then it restores what was lost (a connection) and keeps its state (an offset, tracked events
    /// that have no outcome yet).
    fn open(&mut self) -> Result<()> {
        Ok(())
    }

    /// The named ports that it sends to, beside `out`, `errors` and `dropped`. Asked once, when
    /// the node is added.
    fn ports(&self) -> Vec<String> {
        Vec::new()
    }

    /// The files that it needs for itself. Asked once, before any node of the network is opened: where
    /// one of them is in use, the network does not start ([`ErrorKind::Locked`](crate::ErrorKind)).
    /// They are locked until the node is dropped.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// How many events it takes in hand before it commits, where so many wait in a link. Asked once,
    /// when the node is added. A greater number suits a node whose commit is slow, because it syncs a
    /// disk for example: the slower that is, the more events have come meanwhile for the next one.
    fn batch_size(&self) -> usize {
        256
    }

    /// Makes the effects of the batch durable, all or nothing. Called after every batch, `tick`,
    /// `settle` and `finish`, also when there was nothing to do.
    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Makes the node be as it was before the batch. Called after a failed `commit`, and after any
    /// retryable error; the connection may be gone.
    fn rollback(&mut self) {}

    /// What became of an event that was [tracked](Context::track). Called once for each token, in
    /// no particular order, also for events that were taken back; `commit` follows.
    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        let _ = (token, outcome, cx);
        Ok(())
    }

    /// When [`tick`](Node::tick) is to be called next. Evaluated again after every call.
    fn wake(&self) -> Option<Timestamp> {
        None
    }

    /// Called when the instant of `wake` has come, and, independent of `wake`, when
    /// [`Context::inputs`] has changed: a link has ended while others remain, or one was added to
    /// the running network; and for a node that has named an instant when the clock was set back,
    /// so that it may name an earlier one. So a node that does something at an instant asks whether
    /// it has come.
    /// `commit` follows. If `wake` goes on naming an instant in the past, `tick` is called again at
    /// once; after an error that trying again cannot mend, in a second.
    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Whether it has events in store that it sends bit by bit, as outcomes come and at its `wake`.
    /// Where its links have ended and the network was not stopped, the node ends after them.
    fn holds(&self) -> bool {
        false
    }

    /// Releases what only one node can have at a time, such as a port that it listens on, since its
    /// successor is about to open; its state stays, and [`open`](Node::open) acquires it again. It may still be
    /// asked to settle, to commit and to finish.
    fn close(&mut self) {}

    /// Hands over its state, as of the last commit, to the node that is to replace it: keys, pending events,
    /// positions, tracked events without an outcome. `None`, the default, for a node that hands over
    /// nothing: it is asked to [`finish`](Node::finish) before it is replaced.
    fn give(&mut self) -> Option<Handover> {
        None
    }

    /// Takes the state of the node that it is to replace, before it is opened. It may be of any type.
    ///
    /// # Errors
    /// The state itself, unchanged, where it is none that this node can continue with.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        Err(state)
    }

    /// What a successor has to know of it to say what it would [lose](Node::loss). Asked once, when the node
    /// is added; what it refers to may change while the node works.
    fn outline(&self) -> Option<Outline> {
        None
    }

    /// What would be lost if it replaced, at `now`, the node of which this is the outline. Asked before
    /// anything is changed; where something is lost, the change is refused, unless that was
    /// [accepted](Node::accept_loss).
    fn loss(&self, replaced: &Outline, now: Timestamp) -> Option<Loss> {
        let _ = (replaced, now);
        None
    }

    /// Accepts what is lost when it replaces another node: [`loss`](Node::loss) is `None` from then on.
    fn accept_loss(&mut self) {}

    /// Whether it [takes](Node::take) the state of a node of its own kind. Only the plan of a change is made
    /// from it.
    fn continues(&self) -> bool {
        false
    }

    /// Called when no more input will come: what the node holds back leaves now. `commit` follows;
    /// once both have succeeded only `settle` is called. A node that holds much emits a part of it and
    /// asks for another [call](Context::call_again).
    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let _ = cx;
        Ok(())
    }
}

/// The state of a node, on its way to the node that replaces it. Any type of the node's own.
pub type Handover = Box<dyn Any + Send>;

/// What a successor has to know of a node before it replaces it. Any type of the node's own.
pub type Outline = Arc<dyn Any + Send + Sync>;

/// What a source found when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadStatus {
    /// There may be more: read again at once.
    More,
    /// Nothing now.
    Idle,
    /// Nothing ever again, not even a redelivery: a finite network ends by itself.
    End,
}

/// Where events come from.
///
/// ```
/// use std::time::Duration;
/// use tributary::{Context, Event, Node, ReadStatus, Result, Source};
///
/// struct Countdown(u32);
///
/// impl Node for Countdown {}
///
/// impl Source for Countdown {
///     fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
///         if self.0 == 0 {
///             return Ok(ReadStatus::End);
///         }
///         cx.emit(Event::new(self.0.to_string(), cx.now()));
///         self.0 -= 1;
///         Ok(ReadStatus::More)
///     }
/// }
/// ```
pub trait Source: Node {
    /// Emits what there is, a few hundred events at most, blocking at most `wait` until there is
    /// something. What was emitted leaves as one batch per port. After [`ReadStatus::Idle`] the source
    /// is asked again when `wait` is over since the call began, when a wake is due, or when an
    /// outcome has come.
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus>;
}

/// What takes events and sends events.
///
/// ```
/// use tributary::{Context, Event, Node, Pipeline, Result};
///
/// /// Lets only every second event pass.
/// #[derive(Default)]
/// struct Half(bool);
///
/// impl Node for Half {}
///
/// impl Pipeline for Half {
///     fn process(&mut self, _event: &Event, cx: &mut Context<'_>) -> Result<()> {
///         self.0 = !self.0;
///         if self.0 {
///             cx.pass();
///         } else {
///             cx.drop_event("every second one");
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Pipeline: Node {
    /// Takes one event: passes it, emits others in its place, drops it, or (with none of these)
    /// consumes it. May work in a transaction that it opened; nothing is durable or visible before
    /// `commit`. An error rejects this event only.
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()>;
}

/// Where events go.
pub trait Sink: Node {
    /// Takes one event. It is delivered when `commit` has succeeded. An error rejects this event
    /// only. A sink has no output: to emit or pass from here is an error of the event.
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()>;
}
