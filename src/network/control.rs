//! The control messages of a worker: among them the links that are added to one that runs, and its pause
//! for a change.

use super::id::LinkId;
use super::link::{LinkReceiver, WakeSender};
use super::on_error::Retries;
use super::routes::Route;
use super::runner::Runner;
use super::tap_sender::TapSender;
use crate::ack::Settled;
use crate::error::Result;
use crate::name::Port;

/// A message to a worker. The channel has no bound, so that sending never blocks.
pub(crate) enum Control {
    /// Every node of the network is open: begin.
    Go,
    /// An instant that the node asked for may have come.
    Wake,
    /// There is room in a link that the worker waits to send into.
    Room,
    /// Outcomes of tracked events.
    Settled(Settled),
    /// More links, at the next boundary between batches.
    Attach(Attachment),
    /// Pause at the next boundary between batches, for a change.
    Pause(Pause),
    /// The change is made, or (false) undone: go on.
    Resume(bool),
    /// The node was removed: process what waits for it, and end.
    Remove,
    /// Copy what is taken or sent from now on.
    Tap(TapSender),
    /// No more input: a source stops reading, the others end with their links.
    Stop,
    /// All sources have ended: a node without links ends too.
    Sourceless,
    /// End at once; what is in hand fails.
    Abort,
}

/// Changes to the links of a worker, made together.
#[derive(Default)]
pub(crate) struct Attachment {
    pub inputs: Vec<Input>,
    /// Each with the port that it leads from.
    pub routes: Vec<(Port, Route)>,
    /// How often an event is tried again from now on, if that changes.
    pub retries: Option<Option<Retries>>,
    /// Links that lead from the node and are removed.
    pub removed: Vec<LinkId>,
}

/// A link that leads to the node.
pub(crate) struct Input {
    pub link: LinkReceiver,
    /// The link whose place it takes: it is read when that one has ended.
    pub follows: Option<LinkId>,
}

/// A request to pause.
pub(crate) struct Pause {
    /// Links to be emptied before: their senders are paused already.
    pub drain: Vec<LinkId>,
    /// The node that is to replace this one, if any.
    pub successor: Option<Successor>,
    /// Where the node reports that it is paused and its successor is open, or why it is not.
    pub report: flume::Sender<Result<()>>,
}

/// A node that is to replace another.
pub(crate) struct Successor {
    pub runner: Box<dyn Runner>,
    pub ports: Vec<Port>,
}

impl Attachment {
    /// Whether it adds nothing.
    pub fn is_empty(&self) -> bool {
        self.adds_no_link() && self.retries.is_none() && self.removed.is_empty()
    }

    /// Whether no link begins or ends at the node by it.
    pub fn adds_no_link(&self) -> bool {
        self.inputs.is_empty() && self.routes.is_empty()
    }

    /// The inputs, and the rest: receivers are attached before anything is sent to them.
    pub fn split(self) -> (Attachment, Attachment) {
        let Attachment {
            inputs,
            routes,
            retries,
            removed,
        } = self;
        let receiving = Attachment {
            inputs,
            ..Attachment::default()
        };
        let sending = Attachment {
            inputs: Vec::new(),
            routes,
            retries,
            removed,
        };
        (receiving, sending)
    }
}

impl WakeSender for flume::Sender<Control> {
    fn wake(&self) {
        // A worker that has ended waits for nothing.
        let _ = self.send(Control::Room);
    }
}
