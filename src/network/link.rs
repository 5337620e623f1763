//! Links: one bounded channel each, which carries batches.
//!
//! The capacity of a link is counted in events and bytes. Its channel has so many slots, and
//! batches are cut so that a full channel holds no more than the capacity: `capacity` 1 is one
//! batch of one event. While a sender waits for room it listens to its control channel too, so that
//! only a node's own code can make it deaf.
//!
//! The parts: `options` (what a link is to be), `sending` (the sender's end and how it waits), `shelf` (where events wait in a link that drops or
//! spills what it has no room for), `spill` (their file). One more thing to do with events that have
//! no room: a variant of [`Overflow`], and what `Shelf::put` does then.

mod options;
mod sending;
mod shelf;
mod spill;

pub(crate) use options::Terms;
pub use options::{Capacity, LinkOptions, Overflow, Spill};
pub(crate) use sending::{Aborted, Ear, LinkSender, Wedge};
pub(super) use sending::{cut, offer};

use super::stats::{LinkAccount, add};
use crate::event::Batch;
use crate::name::{Endpoint, Name};
use shelf::Shelf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What travels in a channel.
pub(crate) enum Parcel {
    Batch(Batch),
    /// A batch that its sender may still take back (it listens to control at the same time) or
    /// that is offered to several receivers: the first to come takes it.
    Offer(Arc<Mutex<Option<Batch>>>),
    /// A batch waits on the shelf.
    Ready,
}

fn lock(cell: &Mutex<Option<Batch>>) -> MutexGuard<'_, Option<Batch>> {
    // A batch is taken whole, so a panic elsewhere cannot have left it half changed.
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The receiver's end of a link.
pub(crate) struct LinkReceiver {
    pub rx: flume::Receiver<Parcel>,
    capacity: Capacity,
    account: Arc<LinkAccount>,
    shelf: Option<(Arc<Shelf>, flume::Sender<()>)>,
}

/// Makes a link. In a simulation its channel has no bound, since nobody could wait there: one that
/// blocks or spills takes everything, one that drops does so there too.
pub(crate) fn link(
    from: &Endpoint,
    to: &Name,
    terms: &Terms,
    bounded: bool,
    account: Arc<LinkAccount>,
) -> (LinkSender, LinkReceiver) {
    let capacity = terms.capacity;
    let shelved = match terms.overflow {
        Overflow::Block => false,
        Overflow::Spill(_) => bounded,
        Overflow::DropNewest | Overflow::DropOldest => true,
    };
    let shelf = shelved.then(|| {
        let label = format!("{from} -> {to}");
        let shelf = Arc::new(Shelf::new(label, terms, account.clone()));
        let (tx, rx) = flume::bounded(1);
        ((shelf.clone(), rx), (shelf, tx))
    });
    let (sends, takes) = shelf.unzip();
    let (tx, rx) = match bounded && !shelved {
        true => flume::bounded(capacity.slots()),
        false => flume::unbounded(),
    };
    let sender = LinkSender::new(tx, to, terms, account.clone(), sends);
    let receiver = LinkReceiver {
        rx,
        capacity,
        account,
        shelf: takes,
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

    /// Counts a parcel that came out of the channel; an offer may have been taken back.
    pub fn accept(&self, parcel: Parcel) -> Option<Batch> {
        let batch = self.unpack(parcel)?;
        add(&self.account.received, batch.len() as u64);
        Some(batch)
    }

    /// An offer counts as sent over the link on which it was taken.
    fn unpack(&self, parcel: Parcel) -> Option<Batch> {
        match parcel {
            Parcel::Batch(batch) => Some(batch),
            Parcel::Offer(cell) => {
                let batch = lock(&cell).take()?;
                add(&self.account.sent, batch.len() as u64);
                Some(batch)
            }
            Parcel::Ready => {
                let (shelf, room) = self.shelf.as_ref()?;
                let (batch, waited_for) = shelf.take();
                if waited_for {
                    // Where it is full, the sender is told already.
                    let _ = room.try_send(());
                }
                batch
            }
        }
    }
}

impl Drop for LinkReceiver {
    fn drop(&mut self) {
        // What still waits is lost with the receiver; whoever tracks it hears that it failed.
        if let Some((shelf, _)) = &self.shelf {
            return shelf.close();
        }
        while let Ok(parcel) = self.rx.try_recv() {
            if let Some(batch) = self.unpack(parcel) {
                add(&self.account.lost, batch.len() as u64);
            }
        }
    }
}
