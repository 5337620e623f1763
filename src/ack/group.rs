//! Groups: the holders and outcomes of many events in one allocation.

use super::settled::{OutcomeChannel, Settled};
use super::{Ack, Outcome, Token};
use parking_lot::Mutex;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

const FAILED: u32 = 1 << 30;
const REPORTED: u32 = 1 << 31;
const HOLDERS: u32 = FAILED - 1;
/// One holder, and none that failed.
pub(super) const ALONE: u32 = 1;
/// Added to `left` while events can be added.
const OPEN: u32 = 1 << 31;

/// The outcomes of a run of tracked events: a count of holders and an outcome for each.
pub(crate) struct Group {
    /// Changed by the tracking node's thread, before it tracks the first event. It goes with that
    /// node, and with it the messages that were never received.
    channel: Mutex<Option<Weak<dyn OutcomeChannel>>>,
    /// Only the tracking node's thread asks for it, or changes it.
    pub(super) first: AtomicU64,
    pub(super) slots: Box<[AtomicU32]>,
    /// Acks that an event had before it was tracked here: they are settled alike, once the node
    /// that tracks it here has got the outcome.
    outer: OnceLock<Box<[Mutex<Ack>]>>,
    /// Whether there are any; read only by holders of its acks or of a message about them.
    pub(super) has_outer: AtomicBool,
    /// How many events it has; 0 while some can be added.
    pub(super) given: AtomicU32,
    /// How many outcomes were decided since the group was last sent to its channel. Who finds none sends it.
    news: AtomicU32,
    /// How many outcomes have not been collected.
    left: AtomicU32,
}

/// Groups that are free, by their sizes.
pub(crate) static UNUSED: [Mutex<Vec<&'static Group>>; Group::SIZES] =
    [const { Mutex::new(Vec::new()) }; Group::SIZES];

impl Group {
    const SMALLEST: usize = 8;
    /// Each is twice as large as the one before.
    pub(crate) const SIZES: usize = 6;

    /// Which size holds so many events, or as many of them as fit into one group.
    pub(crate) fn size_for(events: usize) -> usize {
        let size = events.div_ceil(Self::SMALLEST).next_power_of_two();
        (size.trailing_zeros() as usize).min(Self::SIZES - 1)
    }

    /// A free group of this size.
    pub(crate) fn unused(size: usize, channel: &Arc<dyn OutcomeChannel>) -> &'static Self {
        let unused = UNUSED[size].lock().pop();
        // What shuttle has made does not outlive a schedule.
        let unused = unused.filter(|_| cfg!(not(shuttle)));
        let group = unused.unwrap_or_else(|| Group::new(Self::SMALLEST << size));
        *group.channel.lock() = Some(Arc::downgrade(channel));
        group
    }

    fn new(events: usize) -> &'static Self {
        let slots = (0..events).map(|_| AtomicU32::new(ALONE)).collect();
        Box::leak(Box::new(Group {
            channel: Mutex::new(None),
            first: AtomicU64::new(0),
            slots,
            outer: OnceLock::new(),
            has_outer: AtomicBool::new(false),
            given: AtomicU32::new(0),
            news: AtomicU32::new(0),
            left: AtomicU32::new(0),
        }))
    }

    /// Nobody uses it any more.
    pub(crate) fn give_back(&'static self) {
        let channel = self.channel.lock().take();
        UNUSED[Self::size_for(self.slots.len())].lock().push(self);
        drop(channel);
    }

    /// How many events it has room for.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.slots.len()
    }

    /// From here on it takes events, with the tokens from `first` on. It is free.
    pub(crate) fn open(&self, first: u64) {
        self.first.store(first, Ordering::Relaxed);
        self.has_outer.store(false, Ordering::Relaxed);
        self.given.store(0, Ordering::Relaxed);
        self.left.store(OPEN, Ordering::Relaxed);
    }

    /// Whether outcomes go to this channel.
    #[inline]
    pub(super) fn is_of(&self, channel: &Arc<dyn OutcomeChannel>) -> bool {
        let known = self.channel.lock();
        known
            .as_ref()
            .is_some_and(|known| std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(channel)))
    }

    /// So many events were tracked, and no more will be. Returns whether it is free again already.
    pub(crate) fn close(&self, given: usize) -> bool {
        let given = u32::try_from(given).expect("a group is for a few hundred events");
        self.given.store(given, Ordering::Release);
        let before = self
            .left
            .fetch_add(given.wrapping_sub(OPEN), Ordering::AcqRel);
        before.wrapping_add(given) == OPEN
    }

    /// Makes the event's `ack` the first holder of slot `index`; what it held before is settled
    /// with it. Each slot is taken once between `open` and `close`, the lowest first.
    // Inline: an event that stays in registers need not be written and read again.
    #[inline]
    pub(crate) fn track(&'static self, index: usize, ack: &mut Ack) {
        let slot = &self.slots[index];
        // It has stayed as it was where the whole group was settled together before.
        if slot.load(Ordering::Relaxed) != ALONE {
            slot.store(ALONE, Ordering::Relaxed);
        }
        if ack.is_some() {
            self.keep_outer(index, ack);
        }
        *ack = Ack {
            group: Some(self),
            slot: index,
        };
    }

    #[cold]
    fn keep_outer(&self, index: usize, ack: &mut Ack) {
        let empty = || self.slots.iter().map(|_| Mutex::new(Ack::none())).collect();
        self.has_outer.store(true, Ordering::Relaxed);
        *self.outer.get_or_init(empty)[index].lock() = std::mem::replace(ack, Ack::none());
    }

    /// Returns whether it is free now.
    pub(super) fn collect(
        &self,
        all: Option<Outcome>,
        mut each: impl FnMut(Token, Outcome, Ack),
    ) -> bool {
        let first = self.first.load(Ordering::Relaxed);
        let mut collected = |index: usize, outcome| {
            each(Token(first + index as u64), outcome, self.take_outer(index));
        };
        let news = if let Some(outcome) = all {
            let given = self.given.load(Ordering::Acquire);
            (0..given as usize).for_each(|index| collected(index, outcome));
            given
        } else {
            // Before the scan: what is decided during it sends the group again.
            let news = self.news.swap(0, Ordering::SeqCst);
            for (index, slot) in self.slots.iter().enumerate() {
                let state = slot.load(Ordering::SeqCst);
                if state & (HOLDERS | REPORTED) == 0 {
                    slot.store(state | REPORTED, Ordering::Relaxed);
                    collected(index, outcome(state));
                }
            }
            news
        };
        self.has_collected(news)
    }

    /// So many more outcomes were collected, by a thread that does not access the group any more.
    /// Returns whether the group is free now.
    #[inline]
    pub(super) fn has_collected(&self, events: u32) -> bool {
        self.left.fetch_sub(events, Ordering::AcqRel) == events
    }

    #[inline]
    pub(super) fn take_outer(&self, index: usize) -> Ack {
        match self.outer.get() {
            Some(outer) if self.has_outer.load(Ordering::Relaxed) => {
                std::mem::replace(&mut *outer[index].lock(), Ack::none())
            }
            _ => Ack::none(),
        }
    }

    #[inline]
    pub(super) fn hold(&self, slot: usize) {
        self.slots[slot].fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn settle(&'static self, slot: usize, result: Outcome) {
        let cell = &self.slots[slot];
        if result == Outcome::Failed {
            cell.fetch_or(FAILED, Ordering::Relaxed);
        }
        let before = cell.fetch_sub(1, Ordering::SeqCst);
        if before & HOLDERS == 1 {
            self.decided(1);
        }
    }

    /// So many more outcomes were decided; until this call their group stays in use.
    #[inline]
    pub(super) fn decided(&'static self, events: u32) {
        if self.news.fetch_add(events, Ordering::SeqCst) == 0 {
            self.send(None);
        }
    }

    pub(super) fn send(&'static self, all: Option<Outcome>) {
        let channel = self.channel.lock().as_ref().and_then(Weak::upgrade);
        let settled = Settled { group: self, all };
        // Without a receiver the outcomes are discarded.
        if let Some(channel) = channel {
            channel.settled(settled);
        }
    }

    /// Ends a holder's part without a message; returns whether that has decided the outcome.
    #[inline]
    pub(super) fn let_go(&self, slot: usize, result: Outcome) -> bool {
        let cell = &self.slots[slot];
        let failed = match result {
            Outcome::Delivered => 0,
            Outcome::Failed => FAILED,
        };
        let state = cell.load(Ordering::Acquire);
        if state & HOLDERS == 1 {
            // Only the last holder could make another, so no other thread changes it.
            cell.store(state & FAILED | failed, Ordering::Release);
            return true;
        }
        cell.fetch_or(failed, Ordering::Relaxed);
        cell.fetch_sub(1, Ordering::SeqCst) & HOLDERS == 1
    }
}

fn outcome(state: u32) -> Outcome {
    if state & FAILED == 0 {
        Outcome::Delivered
    } else {
        Outcome::Failed
    }
}
