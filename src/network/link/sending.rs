//! The sender's end of a link: how a batch gets in, and how its sender waits for room.
//!
//! What leaves a node is sent in two steps. Each way begins with a [`Lane`], which puts in whatever
//! there is room for; the lanes that have something left wait together ([`wait`]). So a link that is
//! full holds back no other one, in whatever order they were made.

use super::options::Terms;
use super::room::{Filling, Room};
use super::shelf::{Put, Shelf};
use super::{Capacity, Parcel};
use crate::event::{Batch, Event};
use crate::name::Name;
use crate::network::stats::{LinkAccount, add, add_nanos};
use crate::network::worker::Control;
use crate::time::monotonic;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicU64, Ordering};
use std::cell::Cell;
use std::collections::VecDeque;
use std::iter::Peekable;
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::vec::IntoIter;

/// The sender's end of a link.
pub(crate) struct LinkSender {
    tx: flume::Sender<Parcel>,
    capacity: Capacity,
    account: Arc<LinkAccount>,
    /// None in a simulation, where there is always room.
    filling: Option<Filling>,
    shelf: Option<Arc<Shelf>>,
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
    /// Nodes that have taken nothing for as long as their links allow.
    pub wedged: &'a mut Vec<Wedge>,
}

/// A node that takes nothing.
pub(crate) struct Wedge {
    pub node: Name,
    pub timeout: Duration,
}

/// The network is being aborted.
pub(crate) struct Aborted;

/// What became of a batch that was to go into a link.
enum Sent {
    Done,
    Full(Batch),
    /// The receiver has gone.
    Gone(Batch),
}

impl LinkSender {
    pub(super) fn new(
        tx: flume::Sender<Parcel>,
        to: &Name,
        terms: &Terms,
        account: Arc<LinkAccount>,
        room: Option<Arc<Room>>,
        shelf: Option<Arc<Shelf>>,
    ) -> Self {
        LinkSender {
            tx,
            capacity: terms.capacity,
            account,
            filling: room.map(|room| Filling::new(room, terms.capacity)),
            shelf,
            to: to.clone(),
            timeout: terms.timeout,
            wedged: Cell::new(false),
        }
    }

    /// The most events and bytes that go in together.
    fn batch(&self) -> (usize, usize) {
        match &self.shelf {
            None => (self.capacity.batch_events(), self.capacity.batch_bytes()),
            Some(shelf) => shelf.batch(),
        }
    }

    /// Puts a batch in that is no larger than [`batch`](Self::batch), if there is room.
    #[inline]
    fn put(&self, batch: Batch) -> Sent {
        if self.account.is_cut() {
            return Sent::Gone(batch);
        }
        if let Some(shelf) = &self.shelf {
            return self.shelve(shelf, batch);
        }
        if let Some(filling) = &self.filling {
            if !filling.fits(&batch) {
                return match self.is_gone() {
                    true => Sent::Gone(batch),
                    false => Sent::Full(batch),
                };
            }
            filling.put(&batch);
        }
        match self.tx.send(Parcel::Batch(batch)) {
            Ok(()) => Sent::Done,
            Err(flume::SendError(Parcel::Batch(batch))) => {
                if let Some(filling) = &self.filling {
                    filling.take_back(&batch);
                }
                Sent::Gone(batch)
            }
            Err(flume::SendError(Parcel::Ready)) => Sent::Done,
        }
    }

    fn shelve(&self, shelf: &Shelf, batch: Batch) -> Sent {
        match shelf.put(batch) {
            Put::Done(parcels) => {
                for _ in 0..parcels {
                    // A receiver that has gone has taken the account of it.
                    let _ = self.tx.send(Parcel::Ready);
                }
                Sent::Done
            }
            Put::Full(batch) => Sent::Full(batch),
            Put::Gone(batch) => Sent::Gone(batch),
        }
    }

    /// Has its node woken when there is room for this batch, which was refused; false where there is
    /// by now. A shelf that has refused wakes it anyway; a link whose receiver has gone never will.
    fn wait_for(&self, batch: &Batch) -> bool {
        let filling = self.filling.as_ref().filter(|_| self.shelf.is_none());
        filling.is_none_or(|filling| self.is_gone() || filling.wait_for(batch))
    }

    /// Whether its receiver has gone.
    fn is_gone(&self) -> bool {
        self.tx.is_disconnected() || self.account.is_cut()
    }

    fn wait_no_longer(&self) {
        if let Some(filling) = &self.filling {
            filling.wait_no_longer();
        }
    }

    /// How many events were taken out.
    fn taken(&self) -> u64 {
        self.account.received.load(Ordering::Relaxed)
    }

    fn lose(&self, count: usize) {
        add(&self.account.lost, count as u64);
    }
}

/// A batch that is cut into parts, one by one.
enum Parts {
    Whole(Batch),
    Cut {
        events: Peekable<IntoIter<Event>>,
        /// The most events and bytes of a part.
        most: (usize, usize),
    },
}

impl Parts {
    fn new(batch: Batch, most: (usize, usize)) -> Self {
        let fits = batch.len() <= most.0 && (batch.bytes() <= most.1 || batch.len() == 1);
        match fits {
            true => Parts::Whole(batch),
            false => Parts::Cut {
                events: batch.into_iter().peekable(),
                most,
            },
        }
    }

    fn next(&mut self) -> Option<Batch> {
        let (events, (most, bytes)) = match self {
            Parts::Whole(batch) => {
                return Some(std::mem::take(batch)).filter(|batch| !batch.is_empty());
            }
            Parts::Cut { events, most } => (events, *most),
        };
        let mut part = Batch::with_capacity(most.min(events.len()));
        while let Some(event) = events.next_if(|event| {
            part.is_empty() || part.len() < most && part.bytes() + event.size() <= bytes
        }) {
            part.push(event);
        }
        Some(part).filter(|part| !part.is_empty())
    }

    fn left(&self) -> usize {
        match self {
            Parts::Whole(batch) => batch.len(),
            Parts::Cut { events, .. } => events.len(),
        }
    }
}

/// A batch on its way into a link, or, part by part, into the first of several that has room.
pub(in crate::network) struct Lane<'a> {
    links: &'a [LinkSender],
    /// The link whose turn it is, of several.
    turn: Option<&'a Cell<usize>>,
    /// The link on which what is left is counted as sent: it waits there, as far as anyone can see.
    holder: usize,
    parts: Parts,
    /// The part for which there was no room.
    refused: Option<Batch>,
    /// Since when it waits for room, and how much had been taken then.
    since: Option<(Instant, u64)>,
}

impl<'a> Lane<'a> {
    /// Puts in what there is room for. What is left comes back, to be [waited](wait) for.
    #[inline]
    pub fn begin(
        links: &'a [LinkSender],
        turn: Option<&'a Cell<usize>>,
        batch: Batch,
    ) -> Option<Self> {
        let holder = turn.map_or(0, Cell::get);
        // Counted before it can be received, so that `received` never runs ahead of `sent`; and all
        // of it, since what waits for room is on its way too.
        add(&links[holder].account.sent, batch.len() as u64);
        let mut lane = Lane {
            links,
            turn,
            holder,
            parts: Parts::new(batch, links[0].batch()),
            refused: None,
            since: None,
        };
        (!lane.advance()).then_some(lane)
    }

    /// Puts in what there is room for; says whether that was the rest.
    fn advance(&mut self) -> bool {
        while let Some(part) = self.refused.take().or_else(|| self.parts.next()) {
            let first = self.turn.map_or(0, Cell::get);
            let Some(refused) = self.put(part, first) else {
                continue;
            };
            if self.links.iter().all(|link| link.wedged.get()) {
                self.links[self.holder].lose(refused.len());
                continue;
            }
            // A receiver that goes after this look wakes the sender.
            let waits = self.links.iter().all(|link| link.wait_for(&refused))
                && !self.links.iter().all(LinkSender::is_gone);
            self.refused = Some(refused);
            if waits {
                self.since
                    .get_or_insert_with(|| (monotonic(), self.links[first].taken()));
                return false;
            }
            self.links.iter().for_each(LinkSender::wait_no_longer);
        }
        true
    }

    /// Puts a part into the first link that has room, counted from `first`; it comes back where none
    /// has. One for which every receiver has gone is lost.
    fn put(&mut self, part: Batch, first: usize) -> Option<Batch> {
        let (count, mut part, mut full) = (part.len() as u64, part, false);
        for at in (first..self.links.len()).chain(0..first) {
            let (link, elsewhere) = (&self.links[at], at != self.holder);
            if elsewhere {
                add(&link.account.sent, count);
            }
            part = match link.put(part) {
                Sent::Done => {
                    if elsewhere {
                        let holder = &self.links[self.holder].account;
                        holder.sent.fetch_sub(count, Ordering::Relaxed);
                    }
                    if let Some(turn) = self.turn {
                        turn.set((at + 1) % self.links.len());
                    }
                    if let Some((since, _)) = self.since.take() {
                        add_nanos(&link.account.blocked, since.elapsed());
                        self.links.iter().for_each(LinkSender::wait_no_longer);
                    }
                    return None;
                }
                Sent::Full(back) => {
                    full = true;
                    back
                }
                Sent::Gone(back) => back,
            };
            if elsewhere {
                link.account.sent.fetch_sub(count, Ordering::Relaxed);
            }
        }
        if !full {
            self.links[self.holder].lose(part.len());
            return None;
        }
        Some(part)
    }

    /// Until when something is to be taken from its link, where that has a limit.
    fn deadline(&self) -> Option<Instant> {
        // Only a link of its own has one.
        let [link] = self.links else { return None };
        let (since, _) = self.since?;
        since.checked_add(link.timeout?)
    }

    /// The limit is over: where nothing was taken, nothing is waited for any more, and what finds no
    /// room is lost, and fails.
    fn expire(&mut self, wedged: &mut Vec<Wedge>) {
        let ([link], Some((since, before))) = (self.links, self.since) else {
            return;
        };
        let taken = link.taken();
        if taken != before {
            add_nanos(&link.account.blocked, since.elapsed());
            self.since = Some((monotonic(), taken));
            return;
        }
        link.wedged.set(true);
        wedged.push(Wedge {
            node: link.to.clone(),
            timeout: link.timeout.unwrap_or_default(),
        });
    }
}

impl Drop for Lane<'_> {
    /// What is left is lost.
    fn drop(&mut self) {
        let refused = self.refused.as_ref().map_or(0, Batch::len);
        self.links[self.holder].lose(refused + self.parts.left());
        if let Some((since, _)) = self.since {
            add_nanos(&self.links[self.holder].account.blocked, since.elapsed());
        }
    }
}

/// Waits until there was room for all of these, listening to control.
pub(in crate::network) fn wait(mut lanes: Vec<Lane<'_>>, ear: &mut Ear<'_>) -> Result<(), Aborted> {
    let begun = monotonic();
    let mut done = Ok(());
    // An abort may have come before this began, while the node was in its own code.
    if ear.heard.iter().any(|m| matches!(m, Control::Abort)) {
        lanes.clear();
        done = Err(Aborted);
    }
    while !lanes.is_empty() {
        let message = match lanes.iter().filter_map(Lane::deadline).min() {
            None => ear.control.recv().unwrap_or(Control::Abort),
            Some(until) => match ear.control.recv_deadline(until) {
                Ok(message) => message,
                Err(flume::RecvTimeoutError::Disconnected) => Control::Abort,
                Err(flume::RecvTimeoutError::Timeout) => {
                    let over = |lane: &Lane<'_>| lane.deadline().is_some_and(|at| at <= until);
                    let late = lanes.iter_mut().filter(|lane| over(lane));
                    late.for_each(|lane| lane.expire(ear.wedged));
                    Control::Room
                }
            },
        };
        match message {
            Control::Room => lanes.retain_mut(|lane| !lane.advance()),
            Control::Abort => {
                ear.heard.push_back(Control::Abort);
                lanes.clear();
                done = Err(Aborted);
            }
            other => ear.heard.push_back(other),
        }
    }
    add_nanos(ear.blocked, begun.elapsed());
    done
}
