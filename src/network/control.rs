//! The control messages of a worker, and the links that are added to one that runs.

use super::link::{LinkReceiver, WakeSender};
use super::on_error::Retries;
use super::routes::Route;
use crate::ack::Settled;

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
    /// No more input: a source stops reading, the others end with their links.
    Stop,
    /// All sources have ended: a node without links ends too.
    Sourceless,
    /// End at once; what is in hand fails.
    Abort,
}

/// Links to add to a worker.
#[derive(Default)]
pub(crate) struct Attachment {
    pub inputs: Vec<LinkReceiver>,
    /// Each with the number of the port that it leads from.
    pub routes: Vec<(u16, Route)>,
    /// How often an event is tried again from now on, if that changes.
    pub retries: Option<Retries>,
}

impl Attachment {
    /// Whether it adds nothing.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.routes.is_empty() && self.retries.is_none()
    }

    /// The inputs, and the rest: receivers are attached before anything is sent to them.
    pub fn split(self) -> (Attachment, Attachment) {
        let Attachment {
            inputs,
            routes,
            retries,
        } = self;
        let receiving = Attachment {
            inputs,
            ..Attachment::default()
        };
        let sending = Attachment {
            inputs: Vec::new(),
            routes,
            retries,
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
