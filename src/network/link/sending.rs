//! The sender's end of a link: how a batch gets in, and how its sender waits for room.
//!
//! What leaves a node is sent in two steps. Each route begins with a [`PendingSend`], which puts in whatever
//! there is room for; the sends that have something left wait together ([`wait`](super::wait)). So a link that is
//! full holds back no other one, in whatever order they were made.

use super::message::Message;
use super::options::{BatchLimit, Capacity, LinkSettings};
use super::overflow_buffer::{OverflowBuffer, Put};
use super::room::{Room, SenderRoom};
use crate::event::{Batch, Event};
use crate::network::id::LinkId;
use crate::network::stats::{LinkAccount, add};
use crate::time::monotonic;
#[cfg(shuttle)]
use shuttle::sync::atomic::Ordering;
use std::cell::Cell;
use std::iter::Peekable;
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::vec::IntoIter;

/// The sender's end of a link.
pub(crate) struct LinkSender {
    tx: flume::Sender<Message>,
    capacity: Capacity,
    account: Arc<LinkAccount>,
    /// None in a simulation, where there is always room.
    room: Option<SenderRoom>,
    buffer: Option<Arc<OverflowBuffer>>,
    id: LinkId,
    timeout: Option<Duration>,
    /// Nothing was taken from it in that time: no send waits for it again.
    timed_out: Cell<bool>,
}

/// Nothing was taken from a link within its timeout.
pub(crate) struct LinkTimeout {
    pub link: LinkId,
    pub timeout: Duration,
}

/// What became of a batch that was to go into a link.
enum Sent {
    Done,
    Full(Batch),
    /// The receiver has gone.
    Gone(Batch),
}

impl LinkSender {
    pub(super) fn new(
        id: LinkId,
        tx: flume::Sender<Message>,
        settings: &LinkSettings,
        account: Arc<LinkAccount>,
        room: Option<Arc<Room>>,
        buffer: Option<Arc<OverflowBuffer>>,
    ) -> Self {
        LinkSender {
            tx,
            capacity: settings.capacity,
            account,
            room: room.map(|room| SenderRoom::new(room, settings.capacity)),
            buffer,
            id,
            timeout: settings.timeout,
            timed_out: Cell::new(false),
        }
    }

    pub fn id(&self) -> LinkId {
        self.id
    }

    /// The most events and bytes that go in together.
    fn batch(&self) -> BatchLimit {
        match &self.buffer {
            None => self.capacity.batch(),
            Some(buffer) => buffer.batch(),
        }
    }

    /// Puts a batch in that is no larger than [`batch`](Self::batch), if there is room.
    #[inline]
    fn put(&self, batch: Batch) -> Sent {
        if self.account.is_cut() {
            return Sent::Gone(batch);
        }
        if let Some(buffer) = &self.buffer {
            return self.put_in_buffer(buffer, batch);
        }
        if let Some(room) = &self.room {
            if !room.fits(&batch) {
                return if self.is_gone() {
                    Sent::Gone(batch)
                } else {
                    Sent::Full(batch)
                };
            }
            room.put(&batch);
        }
        match self.tx.send(Message::Batch(batch)) {
            Ok(()) => Sent::Done,
            Err(flume::SendError(Message::Batch(batch))) => {
                if let Some(room) = &self.room {
                    room.take_back(&batch);
                }
                Sent::Gone(batch)
            }
            Err(flume::SendError(Message::Ready)) => Sent::Done,
        }
    }

    fn put_in_buffer(&self, buffer: &OverflowBuffer, batch: Batch) -> Sent {
        match buffer.put(batch) {
            Put::Done(messages) => {
                for _ in 0..messages {
                    // A receiver that has gone has taken the account of it.
                    let _ = self.tx.send(Message::Ready);
                }
                Sent::Done
            }
            Put::Full(batch) => Sent::Full(batch),
            Put::Gone(batch) => Sent::Gone(batch),
        }
    }

    /// Has its node woken when there is room for this batch, which was refused; false where there is
    /// by now. A buffer that has refused wakes it anyway; a link whose receiver has gone never will.
    fn wait_for(&self, batch: &Batch) -> bool {
        let room = self.room.as_ref().filter(|_| self.buffer.is_none());
        room.is_none_or(|room| self.is_gone() || room.wait_for(batch))
    }

    /// Whether its receiver has gone.
    fn is_gone(&self) -> bool {
        self.tx.is_disconnected() || self.account.is_cut()
    }

    fn wait_no_longer(&self) {
        if let Some(room) = &self.room {
            room.wait_no_longer();
        }
    }

    /// How many events were taken out.
    fn taken(&self) -> u64 {
        self.account.received.load(Ordering::Relaxed)
    }

    /// Counts events as sent.
    #[inline]
    fn count(&self, events: u64) {
        match &self.room {
            Some(_) => self.account.send(monotonic(), events),
            // In virtual time nothing waits.
            None => add(&self.account.sent, events),
        }
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
        most: BatchLimit,
    },
}

impl Parts {
    fn new(batch: Batch, most: BatchLimit) -> Self {
        let fits = batch.len() <= most.events && (batch.bytes() <= most.bytes || batch.len() == 1);
        if fits {
            return Parts::Whole(batch);
        }
        Parts::Cut {
            events: batch.into_iter().peekable(),
            most,
        }
    }

    fn next(&mut self) -> Option<Batch> {
        let (events, most) = match self {
            Parts::Whole(batch) => {
                return Some(std::mem::take(batch)).filter(|batch| !batch.is_empty());
            }
            Parts::Cut { events, most } => (events, *most),
        };
        let mut part = Batch::with_capacity(most.events.min(events.len()));
        while let Some(event) = events.next_if(|event| {
            part.is_empty() || part.len() < most.events && part.bytes() + event.size() <= most.bytes
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

/// A batch on its route into a link, or, part by part, into the first of several that has room.
pub(crate) struct PendingSend<'a> {
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

impl<'a> PendingSend<'a> {
    /// Puts in what there is room for. What is left comes back, to be [waited](super::wait) for.
    #[inline]
    pub fn begin(
        links: &'a [LinkSender],
        turn: Option<&'a Cell<usize>>,
        batch: Batch,
    ) -> Option<Self> {
        let holder = turn.map_or(0, Cell::get);
        // Counted before it can be received, so that `received` never runs ahead of `sent`; and all
        // of it, since what waits for room is on its way too.
        links[holder].count(batch.len() as u64);
        let mut send = PendingSend {
            links,
            turn,
            holder,
            parts: Parts::new(batch, links[0].batch()),
            refused: None,
            since: None,
        };
        (!send.advance()).then_some(send)
    }

    /// Puts in what there is room for; returns whether that was the rest.
    pub(super) fn advance(&mut self) -> bool {
        while let Some(part) = self.refused.take().or_else(|| self.parts.next()) {
            let first = self.turn.map_or(0, Cell::get);
            let Some(refused) = self.put(part, first) else {
                continue;
            };
            if self.links.iter().all(|link| link.timed_out.get()) {
                self.links[self.holder].lose(refused.len());
                continue;
            }
            // A receiver that goes after this look wakes the sender.
            let waits = self.links.iter().all(|link| link.wait_for(&refused))
                && !self.links.iter().all(LinkSender::is_gone);
            self.refused = Some(refused);
            if waits {
                if self.since.is_none() {
                    let now = monotonic();
                    self.since = Some((now, self.links[first].taken()));
                    self.links[self.holder].account.blocked.start(now);
                }
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
        for index in (first..self.links.len()).chain(0..first) {
            let (link, elsewhere) = (&self.links[index], index != self.holder);
            if elsewhere {
                link.count(count);
            }
            part = match link.put(part) {
                Sent::Done => {
                    if elsewhere {
                        self.links[self.holder].account.take_back(count);
                    }
                    if let Some(turn) = self.turn {
                        turn.set((index + 1) % self.links.len());
                    }
                    if self.since.take().is_some() {
                        self.links[self.holder].account.blocked.stop(monotonic());
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
                link.account.take_back(count);
            }
        }
        if !full {
            self.links[self.holder].lose(part.len());
            return None;
        }
        Some(part)
    }

    /// Until when something is to be taken from its link, where that has a limit.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // Only a link of its own has one.
        let [link] = self.links else { return None };
        let (since, _) = self.since?;
        since.checked_add(link.timeout?)
    }

    /// The limit is over: where nothing was taken from the link, nothing is waited for any more, and
    /// what finds no room is lost, and fails.
    pub(super) fn expire(&mut self) -> Option<LinkTimeout> {
        let ([link], Some((_, before))) = (self.links, self.since) else {
            return None;
        };
        let taken = link.taken();
        if taken != before {
            self.since = Some((monotonic(), taken));
            return None;
        }
        link.timed_out.set(true);
        Some(LinkTimeout {
            link: link.id,
            timeout: link.timeout.unwrap_or_default(),
        })
    }
}

impl Drop for PendingSend<'_> {
    /// What is left is lost.
    fn drop(&mut self) {
        let refused = self.refused.as_ref().map_or(0, Batch::len);
        self.links[self.holder].lose(refused + self.parts.left());
        if self.since.is_some() {
            self.links[self.holder].account.blocked.stop(monotonic());
        }
    }
}
