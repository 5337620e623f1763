//! A source into which a host program puts events.

use crate::ack::{Outcome, Token};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::node::{Context, Node, ReadStatus, Source};
use crate::payload::Payload;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many events may wait between the host and the source.
const CAPACITY: usize = 4_096;
/// How many events leave in one batch.
const AT_ONCE: usize = 256;

/// What a host program sends: see [`channel`].
struct Sent {
    payload: Payload,
    outcome: Option<flume::Sender<Outcome>>,
}

/// The host's end: sends events into the network, from any thread, and is cloned freely. The
/// source ends, and with it a finite network, when the last clone is gone.
#[derive(Clone)]
pub struct Sender {
    tx: flume::Sender<Sent>,
    /// The source has gone: what it has not read will never be read.
    gone: Arc<AtomicBool>,
}

opaque_debug!(Sender);

impl Sender {
    /// Sends an event, waiting while 4,096 events wait already.
    ///
    /// # Errors
    /// The network has ended.
    pub fn send(&self, payload: impl Into<Payload>) -> Result<()> {
        self.put(payload.into(), None)
    }

    /// Sends an event and waits until its outcome is known: everything that was made of it has been
    /// settled by every branch.
    ///
    /// ```
    /// use tributary::{Network, Outcome, sink::Discarder, source};
    ///
    /// let (sender, source) = source::channel();
    /// let network = Network::new();
    /// network.add_source("in", source)?;
    /// network.add_sink("out", Discarder)?;
    /// network.link("in", "out")?;
    /// network.start()?;
    /// assert_eq!(sender.deliver("hello")?, Outcome::Delivered);
    /// network.stop()?;
    /// # Ok::<(), tributary::Error>(())
    /// ```
    ///
    /// # Errors
    /// The network has ended.
    pub fn deliver(&self, payload: impl Into<Payload>) -> Result<Outcome> {
        let (tell, outcome) = flume::bounded(1);
        self.put(payload.into(), Some(tell))?;
        if self.gone.load(Ordering::SeqCst) {
            // The source may have missed the event when it discarded what it had not read.
            return outcome.try_recv().map_err(|_| ended());
        }
        Ok(outcome.recv().unwrap_or(Outcome::Failed))
    }

    fn put(&self, payload: Payload, outcome: Option<flume::Sender<Outcome>>) -> Result<()> {
        self.tx.send(Sent { payload, outcome }).map_err(|_| ended())
    }
}

fn ended() -> Error {
    Error::new(
        ErrorKind::Failed,
        "the network has ended and accepts no more events",
    )
}

/// The network's end of [`channel`].
pub struct ChannelSource {
    rx: flume::Receiver<Sent>,
    waiting: HashMap<Token, flume::Sender<Outcome>>,
    gone: Arc<AtomicBool>,
}

opaque_debug!(ChannelSource);

impl Drop for ChannelSource {
    fn drop(&mut self) {
        // Set before the drop, so that an event that is sent in between is seen.
        self.gone.store(true, Ordering::SeqCst);
        while let Ok(sent) = self.rx.try_recv() {
            drop(sent);
        }
    }
}

/// A channel into a network: a blocking program sends at one end, the other is the source.
///
/// What was accepted before a stop is read before the source stops only as far as it was read by
/// then: a host that needs all of it delivered drops its sender and waits for the network.
pub fn channel() -> (Sender, ChannelSource) {
    let (tx, rx) = flume::bounded(CAPACITY);
    let gone = Arc::<AtomicBool>::default();
    let source = ChannelSource {
        rx,
        waiting: HashMap::new(),
        gone: gone.clone(),
    };
    (Sender { tx, gone }, source)
}

impl ChannelSource {
    fn emit(&mut self, sent: Sent, cx: &mut Context<'_>) {
        let event = Event::new(sent.payload, cx.now());
        match sent.outcome {
            Some(outcome) => {
                self.waiting.insert(cx.emit_tracked(event), outcome);
            }
            None => cx.emit(event),
        }
    }
}

impl Node for ChannelSource {
    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        if let Some(tell) = self.waiting.remove(&token) {
            // The host may have gone meanwhile.
            let _ = tell.send(outcome);
        }
        Ok(())
    }
}

impl Source for ChannelSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        match self.rx.recv_timeout(wait) {
            Ok(sent) => self.emit(sent, cx),
            Err(flume::RecvTimeoutError::Timeout) => return Ok(ReadStatus::Idle),
            Err(flume::RecvTimeoutError::Disconnected) => return Ok(ReadStatus::End),
        }
        for _ in 1..AT_ONCE {
            match self.rx.try_recv() {
                Ok(sent) => self.emit(sent, cx),
                Err(_) => break,
            }
        }
        Ok(ReadStatus::More)
    }
}
