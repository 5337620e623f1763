//! A sink from which a host program takes events.

use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use std::time::Duration;

/// How many events may wait for the host.
const CAPACITY: usize = 4_096;

/// The host's end: takes events out of the network, from any thread.
pub struct Receiver(flume::Receiver<Event>);

opaque_debug!(Receiver);

impl Receiver {
    /// Waits for the next event; `None` once the network has ended and everything was taken.
    pub fn recv(&self) -> Option<Event> {
        self.0.recv().ok()
    }

    /// The next event, if it comes within this time.
    pub fn recv_timeout(&self, wait: Duration) -> Option<Event> {
        self.0.recv_timeout(wait).ok()
    }

    /// The next event, if there is one now.
    pub fn try_recv(&self) -> Option<Event> {
        self.0.try_recv().ok()
    }

    /// Every event until the network has ended, waiting for each.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter()
    }
}

/// The network's end of [`channel`].
pub struct ChannelSink {
    tx: flume::Sender<Event>,
    by_host: bool,
    written: Vec<Event>,
}

opaque_debug!(ChannelSink, by_host);

/// A channel out of a network: the sink puts events in, a blocking program takes them out.
///
/// An event counts as delivered when it was handed over. While 4,096 events wait the sink waits
/// too, and with it the network: a host that stops takes what is there, or drops its
/// receiver.
///
/// ```
/// use tributary::{Network, sink, source};
///
/// let (receiver, sink) = sink::channel();
/// let network = Network::new();
/// network.add_source("in", source::from_iter(["1", "2"]))?;
/// network.add_sink("out", sink)?;
/// network.link("in", "out")?;
/// network.start()?;
/// assert_eq!(receiver.iter().count(), 2);
/// network.wait()?;
/// # Ok::<(), tributary::Error>(())
/// ```
pub fn channel() -> (Receiver, ChannelSink) {
    let (tx, rx) = flume::bounded(CAPACITY);
    (
        Receiver(rx),
        ChannelSink {
            tx,
            by_host: false,
            written: Vec::new(),
        },
    )
}

impl ChannelSink {
    /// The host settles each event with [`Event::settle`]; one that it drops
    /// counts as failed.
    #[must_use]
    pub fn settled_by_host(mut self) -> Self {
        self.by_host = true;
        self
    }
}

impl Node for ChannelSink {
    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        for event in self.written.drain(..) {
            self.tx.send(event).map_err(|_| {
                Error::new(ErrorKind::Failed, "the host dropped its receiver").fatal()
            })?;
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.written.clear();
    }
}

impl Sink for ChannelSink {
    fn write(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.written.push(if self.by_host {
            event.clone()
        } else {
            event.detached()
        });
        Ok(())
    }
}
