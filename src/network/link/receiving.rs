//! The receiver's end of a link.

use super::message::Message;
use super::options::Capacity;
use super::overflow_buffer::OverflowBuffer;
use super::room::ReceiverGuard;
use crate::event::Batch;
use crate::network::id::LinkId;
use crate::network::stats::{LinkAccount, add};
#[cfg(shuttle)]
use shuttle::sync::atomic::Ordering;
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::sync::atomic::Ordering;

/// The receiver's end of a link.
pub(crate) struct LinkReceiver {
    pub id: LinkId,
    pub rx: flume::Receiver<Message>,
    capacity: Capacity,
    account: Arc<LinkAccount>,
    buffer: Option<Arc<OverflowBuffer>>,
    /// After `rx`: a sender that waits is woken when the channel is closed.
    guard: ReceiverGuard,
}

impl LinkReceiver {
    pub(super) fn new(
        id: LinkId,
        rx: flume::Receiver<Message>,
        capacity: Capacity,
        account: Arc<LinkAccount>,
        buffer: Option<Arc<OverflowBuffer>>,
        guard: ReceiverGuard,
    ) -> Self {
        LinkReceiver {
            id,
            rx,
            capacity,
            account,
            buffer,
            guard,
        }
    }

    /// Whether this is as much as its receiver takes in hand at once: a batch of the link, or so many
    /// events, if the link holds them.
    pub fn fills(&self, batch: &Batch, events: usize) -> bool {
        let most = self.capacity.batch_events();
        if events <= most {
            return batch.len() >= most || batch.bytes() >= self.capacity.batch_bytes();
        }
        // With the next batch it is no more than the link holds.
        batch.len() + most > events.min(self.capacity.events)
            || batch.bytes() + self.capacity.batch_bytes() > self.capacity.bytes
    }

    /// Whether nothing more can come: its sender was given up.
    pub fn is_cut(&self) -> bool {
        self.account.is_cut()
    }

    /// Whether it was removed from the network: its end is not that of its sender.
    pub fn is_removed(&self) -> bool {
        self.account.removed.load(Ordering::Acquire)
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
