//! Links: one channel each, which carries batches.
//!
//! The capacity of a link is counted in events and bytes, by its sender: batches are cut so that
//! they fit, and `capacity` 1 is one batch of one event. The channel itself has no bound. A sender
//! that finds no room waits at its control channel, where the receiver sends a message once there
//! is room: so only a node's own code can make it deaf.
//!
//! The parts: `options` (what a link is to be), `room` (how much it holds, and how its sender is
//! woken), `sending` (how a batch gets in), `overflow_buffer` (where events wait in a link that drops or spills what
//! it has no room for), `spill` (their file). One more thing to do with events that have no room: a
//! variant of [`Overflow`], and what `OverflowBuffer::put` does then.

mod options;
mod overflow_buffer;
mod room;
mod sending;
mod spill;

pub(crate) use options::LinkSettings;
pub use options::{Capacity, LinkOptions, Overflow, Spill};
pub(crate) use sending::{Aborted, LinkSender, LinkTimeout, SendContext};
pub(super) use sending::{PendingSend, wait};
#[doc(hidden)]
pub use spill::spilled;

use super::stats::{LinkAccount, add};
use super::worker::Control;
use crate::event::Batch;
use crate::name::{Endpoint, Name};
use overflow_buffer::OverflowBuffer;
use room::{ReceiverGuard, Room};
use std::sync::Arc;

/// What travels in a channel.
pub(crate) enum Message {
    Batch(Batch),
    /// A batch waits in the overflow buffer.
    Ready,
}

/// The receiver's end of a link.
pub(crate) struct LinkReceiver {
    pub rx: flume::Receiver<Message>,
    capacity: Capacity,
    account: Arc<LinkAccount>,
    buffer: Option<Arc<OverflowBuffer>>,
    /// After `rx`: a sender that waits is woken when the channel is closed.
    guard: ReceiverGuard,
}

/// Makes a link, whose sender's node is woken at this control channel. In a simulation it has no
/// bound, since nothing can wait there: one that blocks or spills takes everything, one that drops
/// does so there too.
pub(crate) fn link(
    from: &Endpoint,
    to: &Name,
    settings: &LinkSettings,
    bounded: bool,
    account: Arc<LinkAccount>,
    control: flume::Sender<Control>,
) -> (LinkSender, LinkReceiver) {
    let shelved = match settings.overflow {
        Overflow::Block => false,
        Overflow::Spill(_) => bounded,
        Overflow::DropNewest | Overflow::DropOldest => true,
    };
    let buffer = shelved.then(|| {
        let label = format!("{from} -> {to}");
        Arc::new(OverflowBuffer::new(label, settings, account.clone()))
    });
    let room = Arc::new(Room::new(control, account.clone()));
    let guard = ReceiverGuard(room.clone());
    let room = bounded.then_some(room);
    let (tx, rx) = flume::unbounded();
    let sender = LinkSender::new(tx, to, settings, account.clone(), room, buffer.clone());
    let receiver = LinkReceiver {
        rx,
        capacity: settings.capacity,
        account,
        buffer,
        guard,
    };
    (sender, receiver)
}

impl LinkReceiver {
    /// Whether this is as much as its receiver takes in hand at once: a batch of the link, or so many
    /// events, if the link holds them.
    pub fn fills(&self, batch: &Batch, events: usize) -> bool {
        let most = self.capacity.batch_events();
        match events <= most {
            true => batch.len() >= most || batch.bytes() >= self.capacity.batch_bytes(),
            false => {
                // With the next batch it is no more than the link holds.
                batch.len() + most > events.min(self.capacity.events)
                    || batch.bytes() + self.capacity.batch_bytes() > self.capacity.bytes
            }
        }
    }

    /// Whether nothing more can come: its sender was given up.
    pub fn is_cut(&self) -> bool {
        self.account.is_cut()
    }

    /// Counts a message that came out of the channel; there may be nothing left for it.
    pub fn accept(&self, message: Message) -> Option<Batch> {
        match message {
            Message::Batch(batch) => {
                self.guard.0.take(&batch);
                Some(batch)
            }
            Message::Ready => {
                let (batch, waited_for) = self.buffer.as_ref()?.take();
                let batch = batch.inspect(|batch| add(&self.account.received, batch.len() as u64));
                if waited_for {
                    self.guard.0.wake();
                }
                batch
            }
        }
    }
}

impl Drop for LinkReceiver {
    fn drop(&mut self) {
        // What still waits is lost with the receiver, and has failed for the source that tracks it.
        if let Some(buffer) = &self.buffer {
            return buffer.close();
        }
        while let Ok(Message::Batch(batch)) = self.rx.try_recv() {
            self.guard.0.leave(&batch);
        }
    }
}
