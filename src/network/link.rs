//! Links: one bounded channel each, which carries batches.
//!
//! The capacity of a link is counted in events and bytes. Its channel has so many slots, and
//! batches are cut so that a full channel holds no more than the capacity: `capacity` 1 is one
//! batch of one event. While a sender waits for room it listens to its control channel too, so that
//! only a node's own code can make it deaf.

use super::stats::{LinkAccount, add, add_nanos};
use super::worker::Control;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Batch;
use crate::time::monotonic;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much may wait in a link before its sender has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Events, from 1 to 1,000,000.
    pub events: usize,
    /// Bytes of payload, at least 1; a single event is let through however large it is.
    pub bytes: usize,
}

impl Default for Capacity {
    /// 4,096 events and 64 MiB.
    fn default() -> Self {
        Capacity {
            events: 4_096,
            bytes: 64 << 20,
        }
    }
}

impl Capacity {
    /// The most events that travel together.
    pub const BATCH: usize = 256;

    /// Checks the ranges.
    ///
    /// # Errors
    /// A number outside of them.
    pub fn check(self) -> Result<Self> {
        match self {
            Capacity {
                events: 1..=1_000_000,
                bytes: 1..,
            } => Ok(self),
            Capacity { bytes: 0, .. } => Err(Error::new(
                ErrorKind::Usage,
                "bad capacity of 0 bytes: at least 1",
            )),
            Capacity { events, .. } => Err(Error::new(
                ErrorKind::Usage,
                format!("bad capacity of {events} events: allowed is 1 to 1000000"),
            )),
        }
    }

    fn batch_events(self) -> usize {
        self.events.min(Self::BATCH)
    }

    fn slots(self) -> usize {
        self.events / self.batch_events()
    }

    fn batch_bytes(self) -> usize {
        self.bytes / self.slots()
    }
}

/// What travels in a channel.
pub(crate) enum Parcel {
    Batch(Batch),
    /// A batch that its sender may still take back (it listens to control at the same time) or
    /// that is offered to several receivers: the first to come takes it.
    Offer(Arc<Mutex<Option<Batch>>>),
}

fn lock(cell: &Mutex<Option<Batch>>) -> MutexGuard<'_, Option<Batch>> {
    // A batch is taken whole, so a panic elsewhere cannot have left it half changed.
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sender's end of a link.
pub(crate) struct LinkSender {
    tx: flume::Sender<Parcel>,
    pub(super) capacity: Capacity,
    account: Arc<LinkAccount>,
}

/// The receiver's end of a link.
pub(crate) struct LinkReceiver {
    pub rx: flume::Receiver<Parcel>,
    capacity: Capacity,
    account: Arc<LinkAccount>,
}

/// Makes a link. In a simulation its channel has no bound: nobody could wait there.
pub(crate) fn link(
    capacity: Capacity,
    bounded: bool,
    account: Arc<LinkAccount>,
) -> (LinkSender, LinkReceiver) {
    let (tx, rx) = match bounded {
        true => flume::bounded(capacity.slots()),
        false => flume::unbounded(),
    };
    let sender = LinkSender {
        tx,
        capacity,
        account: account.clone(),
    };
    let receiver = LinkReceiver {
        rx,
        capacity,
        account,
    };
    (sender, receiver)
}

impl LinkReceiver {
    /// Whether this is as much as its receiver takes in hand at once.
    pub fn fills(&self, batch: &Batch) -> bool {
        batch.len() >= self.capacity.batch_events() || batch.bytes() >= self.capacity.batch_bytes()
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
        }
    }
}

impl Drop for LinkReceiver {
    fn drop(&mut self) {
        // What still waits is lost with the receiver; whoever tracks it hears that it failed.
        while let Ok(parcel) = self.rx.try_recv() {
            if let Some(batch) = self.unpack(parcel) {
                add(&self.account.lost, batch.len() as u64);
            }
        }
    }
}

/// What a sender listens to while it waits, and what it heard but must not act on yet.
pub(crate) struct Ear<'a> {
    pub control: &'a flume::Receiver<Control>,
    pub heard: &'a mut VecDeque<Control>,
    /// Where the time that it waits is counted, beside the link.
    pub blocked: &'a AtomicU64,
}

/// The network is being aborted.
pub(crate) struct Aborted;

impl LinkSender {
    /// Sends a batch, cut to the link's capacity, waiting for room.
    pub(super) fn send(&self, batch: Batch, ear: &mut Ear<'_>) -> Result<(), Aborted> {
        cut(batch, self.capacity, |part| {
            offer(std::slice::from_ref(&self), 0, part, ear).map(drop)
        })
    }
}

/// Cuts a batch so that no part is larger than a slot of the link.
pub(super) fn cut(
    batch: Batch,
    capacity: Capacity,
    mut each: impl FnMut(Batch) -> Result<(), Aborted>,
) -> Result<(), Aborted> {
    let (most, bytes) = (capacity.batch_events(), capacity.batch_bytes());
    if batch.len() <= most && (batch.bytes() <= bytes || batch.len() == 1) {
        return each(batch);
    }
    let mut part = Batch::with_capacity(most.min(batch.len()));
    for event in batch {
        if part.len() == most || (!part.is_empty() && part.bytes() + event.payload().size() > bytes)
        {
            each(std::mem::take(&mut part))?;
        }
        part.push(event);
    }
    each(part)
}

/// Gives a batch to the first of `links`, counted from `first`, that has room, waiting until one
/// has. Says which one took it; a batch for which every receiver is gone is lost.
pub(super) fn offer(
    links: &[&LinkSender],
    first: usize,
    batch: Batch,
    ear: &mut Ear<'_>,
) -> Result<usize, Aborted> {
    let count = batch.len() as u64;
    if count == 0 {
        return Ok(first);
    }
    let mut batch = batch;
    for at in (first..links.len()).chain(0..first) {
        // Counted before it can be received, so that `received` never runs ahead of `sent`.
        add(&links[at].account.sent, count);
        match links[at].tx.try_send(Parcel::Batch(batch)) {
            Ok(()) => return Ok(at),
            Err(refused) => match refused.into_inner() {
                Parcel::Batch(back) => batch = back,
                Parcel::Offer(_) => return Ok(at),
            },
        }
        links[at].account.sent.fetch_sub(count, Ordering::Relaxed);
    }
    let begun = monotonic();
    let sent = wait_for_room(links, batch, ear);
    let waited = begun.elapsed();
    let link = links[*sent.as_ref().unwrap_or(&first)];
    add_nanos(&link.account.blocked, waited);
    add_nanos(ear.blocked, waited);
    sent
}

fn lose(link: &LinkSender, count: u64) {
    add(&link.account.sent, count);
    add(&link.account.lost, count);
}

enum Heard {
    Sent(usize),
    Gone,
    Control(Control),
}

/// Offers the batch to all links at once and listens to control.
fn wait_for_room(links: &[&LinkSender], batch: Batch, ear: &mut Ear<'_>) -> Result<usize, Aborted> {
    let count = batch.len() as u64;
    let cell = Arc::new(Mutex::new(Some(batch)));
    loop {
        let open = |at: &usize| !links[*at].tx.is_disconnected();
        let open: Vec<usize> = (0..links.len()).filter(open).collect();
        let Some(&first) = open.first() else {
            lose(links[0], count);
            return Ok(0);
        };
        let hear = |message: Result<Control, _>| Heard::Control(message.unwrap_or(Control::Abort));
        let mut select = flume::Selector::new().recv(ear.control, hear);
        for &at in &open {
            let offer = Parcel::Offer(cell.clone());
            select = select.send(&links[at].tx, offer, move |sent| match sent {
                Ok(()) => Heard::Sent(at),
                Err(_) => Heard::Gone,
            });
        }
        match select.wait() {
            Heard::Sent(at) => return Ok(at),
            Heard::Gone => {}
            Heard::Control(message) => {
                let abort = matches!(message, Control::Abort);
                ear.heard.push_back(message);
                let mut offered = lock(&cell);
                if abort {
                    if offered.take().is_some() {
                        lose(links[first], count);
                    }
                    return Err(Aborted);
                }
                if offered.is_none() {
                    return Ok(first);
                }
            }
        }
    }
}
