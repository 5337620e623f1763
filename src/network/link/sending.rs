//! The sender's end of a link: how a batch gets in, and how its sender waits for room.

use super::options::{Capacity, Terms};
use super::shelf::{Put, Shelf};
use super::{Parcel, lock};
use crate::event::Batch;
use crate::name::Name;
use crate::network::stats::{LinkAccount, add, add_nanos};
use crate::network::worker::Control;
use crate::time::monotonic;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The sender's end of a link.
pub(crate) struct LinkSender {
    tx: flume::Sender<Parcel>,
    capacity: Capacity,
    account: Arc<LinkAccount>,
    shelf: Option<(Arc<Shelf>, flume::Receiver<()>)>,
    /// The node that it leads to.
    to: Name,
    timeout: Option<Duration>,
    /// Nothing was taken from it in that time: nobody waits for it again.
    wedged: Cell<bool>,
}

/// What a sender listens to while it waits, and what it heard but must not act on yet.
pub(crate) struct Ear<'a> {
    pub control: &'a flume::Receiver<Control>,
    pub heard: &'a mut VecDeque<Control>,
    /// Where the time that it waits is counted, beside the link.
    pub blocked: &'a AtomicU64,
    /// Set where a node has taken nothing for as long as its link allows.
    pub wedged: &'a mut Option<Wedge>,
}

/// A node that takes nothing.
pub(crate) struct Wedge {
    pub node: Name,
    pub timeout: Duration,
}

/// The network is being aborted.
pub(crate) struct Aborted;

impl LinkSender {
    pub(super) fn new(
        tx: flume::Sender<Parcel>,
        to: &Name,
        terms: &Terms,
        account: Arc<LinkAccount>,
        shelf: Option<(Arc<Shelf>, flume::Receiver<()>)>,
    ) -> Self {
        LinkSender {
            tx,
            capacity: terms.capacity,
            account,
            shelf,
            to: to.clone(),
            timeout: terms.timeout,
            wedged: Cell::new(false),
        }
    }

    /// Sends a batch, cut to the link's capacity, waiting for room.
    pub(in crate::network) fn send(&self, batch: Batch, ear: &mut Ear<'_>) -> Result<(), Aborted> {
        match &self.shelf {
            None => cut(batch, self.batch(), |part| {
                offer(std::slice::from_ref(&self), 0, part, ear).map(drop)
            }),
            Some((shelf, room)) => cut(batch, shelf.batch(), |part| {
                self.shelve(shelf, room, part, ear)
            }),
        }
    }

    /// The most events and bytes that go into a slot.
    pub(in crate::network) fn batch(&self) -> (usize, usize) {
        (self.capacity.batch_events(), self.capacity.batch_bytes())
    }

    fn shelve(
        &self,
        shelf: &Shelf,
        room: &flume::Receiver<()>,
        batch: Batch,
        ear: &mut Ear<'_>,
    ) -> Result<(), Aborted> {
        let count = batch.len() as u64;
        let mut batch = batch;
        let mut waited: Option<Instant> = None;
        let mut until = None;
        let sent = loop {
            match shelf.put(batch) {
                Put::Done(parcels) => {
                    for _ in 0..parcels {
                        // A receiver that has gone has taken the account of it.
                        let _ = self.tx.send(Parcel::Ready);
                    }
                    break Ok(());
                }
                Put::Full(back) if !self.wedged.get() => batch = back,
                Put::Gone | Put::Full(_) => {
                    lose(self, count);
                    break Ok(());
                }
            }
            let begun = *waited.get_or_insert_with(monotonic);
            let until = *until.get_or_insert_with(|| self.deadline(begun));
            match wait_for(room, until, ear) {
                Heard::Control(message) => {
                    let abort = matches!(message, Control::Abort);
                    ear.heard.push_back(message);
                    if abort {
                        lose(self, count);
                        break Err(Aborted);
                    }
                }
                Heard::Late => self.wedge(ear),
                _ => {}
            }
        };
        if let Some(begun) = waited {
            let waited = begun.elapsed();
            add_nanos(&self.account.blocked, waited);
            add_nanos(ear.blocked, waited);
        }
        sent
    }

    fn deadline(&self, from: Instant) -> Option<Instant> {
        self.timeout.and_then(|timeout| from.checked_add(timeout))
    }

    /// Nothing is waited for any more: what finds no room is lost, and fails.
    fn wedge(&self, ear: &mut Ear<'_>) {
        self.wedged.set(true);
        *ear.wedged = Some(Wedge {
            node: self.to.clone(),
            timeout: self.timeout.unwrap_or_default(),
        });
    }
}

/// Waits until the receiver has taken something.
fn wait_for(room: &flume::Receiver<()>, until: Option<Instant>, ear: &Ear<'_>) -> Heard {
    let hear = |message: Result<Control, _>| Heard::Control(message.unwrap_or(Control::Abort));
    let select = flume::Selector::new()
        .recv(ear.control, hear)
        .recv(room, |_| Heard::Gone);
    wait_until(select, until)
}

fn wait_until(select: flume::Selector<'_, Heard>, until: Option<Instant>) -> Heard {
    match until {
        None => select.wait(),
        Some(until) => select.wait_deadline(until).unwrap_or(Heard::Late),
    }
}

/// Cuts a batch so that no part has more events and bytes than so many.
pub(in crate::network) fn cut(
    batch: Batch,
    (most, bytes): (usize, usize),
    mut each: impl FnMut(Batch) -> Result<(), Aborted>,
) -> Result<(), Aborted> {
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
pub(in crate::network) fn offer(
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
                Parcel::Offer(_) | Parcel::Ready => return Ok(at),
            },
        }
        links[at].account.sent.fetch_sub(count, Ordering::Relaxed);
    }
    if links.iter().all(|link| link.wedged.get()) {
        lose(links[first], count);
        return Ok(first);
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
    Late,
}

/// Offers the batch to all links at once and listens to control.
fn wait_for_room(links: &[&LinkSender], batch: Batch, ear: &mut Ear<'_>) -> Result<usize, Aborted> {
    let count = batch.len() as u64;
    let cell = Arc::new(Mutex::new(Some(batch)));
    // Only a link of its own has a timeout.
    let until = match links {
        [link] => link.deadline(monotonic()),
        _ => None,
    };
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
        match wait_until(select, until) {
            Heard::Sent(at) => return Ok(at),
            Heard::Gone => {}
            Heard::Late => {
                if lock(&cell).take().is_some() {
                    links[first].wedge(ear);
                    lose(links[first], count);
                }
                return Ok(first);
            }
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
