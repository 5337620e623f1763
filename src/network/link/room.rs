//! Room in a link: how much of it is taken, and how a sender that waits for some is woken.
//!
//! The sender counts what it has put in, the receiver what it has taken out; the difference is what
//! the link holds. A sender that needs more than is free writes at how many events taken there will
//! be enough, and looks once more; the receiver compares after it has counted. So one of the two
//! sees what the other has written, and nothing is locked while there is room.

use super::options::Capacity;
use crate::event::Batch;
use crate::network::stats::{LinkAccount, add};
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicU64, Ordering};
use std::cell::Cell;
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicU64, Ordering};

/// The sender does not wait.
const NEVER: u64 = u64::MAX;

/// Wakes the node that sends into a link, which may wait for room. It must not block.
pub(crate) trait WakeSender: Send + Sync {
    fn wake(&self);
}

/// What both ends of a link share.
pub(super) struct Room {
    /// Bytes that were taken out.
    bytes: AtomicU64,
    /// The sender waits until so many events were taken out.
    wanted: AtomicU64,
    sender: Box<dyn WakeSender>,
    account: Arc<LinkAccount>,
    /// Events that were put in, once the sender has gone.
    put: AtomicU64,
    /// Events that the receiver has left in the channel when it went, as far as it saw them.
    left: AtomicU64,
}

impl Room {
    pub fn new(sender: Box<dyn WakeSender>, account: Arc<LinkAccount>) -> Self {
        Room {
            bytes: AtomicU64::new(0),
            wanted: AtomicU64::new(NEVER),
            sender,
            account,
            put: AtomicU64::new(0),
            left: AtomicU64::new(0),
        }
    }

    /// The receiver has taken a batch out.
    #[inline]
    pub fn take(&self, batch: &Batch) {
        self.bytes
            .fetch_add(batch.bytes() as u64, Ordering::Relaxed);
        let count = batch.len() as u64;
        let received = &self.account.received;
        let taken = received.fetch_add(count, Ordering::SeqCst) + count;
        if taken >= self.wanted.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Wakes the sender if it waits for room.
    fn ring(&self) {
        if self.wanted.swap(NEVER, Ordering::SeqCst) != NEVER {
            self.wake();
        }
    }

    /// Wakes the sender.
    pub fn wake(&self) {
        self.sender.wake();
    }

    /// The receiver goes, and with it this batch that it found in the channel.
    pub fn leave(&self, batch: &Batch) {
        let count = batch.len() as u64;
        self.left.fetch_add(count, Ordering::Relaxed);
        add(&self.account.lost, count);
    }
}

impl Drop for Room {
    /// Both ends have gone. What was put in after the receiver had looked for the last time, and
    /// before the channel was closed, is lost too.
    fn drop(&mut self) {
        let put = self.put.load(Ordering::Relaxed);
        let received = self.account.received.load(Ordering::Relaxed);
        let seen = received + self.left.load(Ordering::Relaxed);
        add(&self.account.lost, put.saturating_sub(seen));
    }
}

/// The receiver's end; when it goes, the sender is woken and finds the channel closed.
pub(super) struct ReceiverGuard(pub Arc<Room>);

impl Drop for ReceiverGuard {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The sender's side: what it has put in, and what it has last seen taken out.
pub(super) struct SenderRoom {
    room: Arc<Room>,
    capacity: Capacity,
    put: Cell<Amount>,
    taken: Cell<Amount>,
}

#[derive(Clone, Copy, Default)]
struct Amount {
    events: u64,
    bytes: u64,
}

impl SenderRoom {
    pub fn new(room: Arc<Room>, capacity: Capacity) -> Self {
        SenderRoom {
            room,
            capacity,
            put: Cell::default(),
            taken: Cell::default(),
        }
    }

    /// Whether there is room for a batch. One that is too large for the link fits where it is empty.
    #[inline]
    pub fn fits(&self, batch: &Batch) -> bool {
        self.seems_to_fit(batch) || {
            self.look();
            self.seems_to_fit(batch)
        }
    }

    /// The same by what was last seen, without a look at what the receiver writes.
    #[inline]
    fn seems_to_fit(&self, batch: &Batch) -> bool {
        let (put, taken) = (self.put.get(), self.taken.get());
        let events = put.events - taken.events;
        let bytes = put.bytes.saturating_sub(taken.bytes);
        let fits = |held: u64, more: usize, most: usize| held + more as u64 <= most as u64;
        events == 0
            || fits(events, batch.len(), self.capacity.events)
                && fits(bytes, batch.bytes(), self.capacity.bytes)
    }

    fn look(&self) {
        self.taken.set(Amount {
            events: self.room.account.received.load(Ordering::SeqCst),
            bytes: self.room.bytes.load(Ordering::Relaxed),
        });
    }

    /// A batch goes in.
    #[inline]
    pub fn put(&self, batch: &Batch) {
        let put = self.put.get();
        self.put.set(Amount {
            events: put.events + batch.len() as u64,
            bytes: put.bytes + batch.bytes() as u64,
        });
    }

    /// A batch that was put in was refused by the channel, whose receiver has gone.
    pub fn take_back(&self, batch: &Batch) {
        let put = self.put.get();
        self.put.set(Amount {
            events: put.events - batch.len() as u64,
            bytes: put.bytes - batch.bytes() as u64,
        });
    }

    /// Has the sender woken when there is room for a batch; false where there is by now.
    pub fn wait_for(&self, batch: &Batch) -> bool {
        let (put, taken) = (self.put.get(), self.taken.get());
        // Where bytes are what is short, the next batch that is taken may be enough; where the batch
        // is larger than the link, all that was put in must be taken, and no more ever is.
        let enough = (put.events + batch.len() as u64).saturating_sub(self.capacity.events as u64);
        let wanted = enough.min(put.events).max(taken.events + 1);
        self.room.wanted.store(wanted, Ordering::SeqCst);
        let waits = !self.fits(batch);
        if !waits {
            self.wait_no_longer();
        }
        waits
    }

    pub fn wait_no_longer(&self) {
        self.room.wanted.store(NEVER, Ordering::SeqCst);
    }
}

impl Drop for SenderRoom {
    fn drop(&mut self) {
        self.room
            .put
            .store(self.put.get().events, Ordering::Relaxed);
    }
}
