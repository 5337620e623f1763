//! Acknowledgement by the last holder, in three small types.
//!
//! An event that somebody waits for carries an [`Ack`]; its clones and what is derived from it
//! share the ack, each as one holder. A holder *settles* with an [`Outcome`]; one that is dropped
//! unsettled (a panic, an abort, a lost channel) counts as failed. With the last holder the
//! outcome is decided (failed if any holder failed) and sent to the channel of the node that tracks the event.
//!
//! | holders | first | second | outcome |
//! |---|---|---|---|
//! | 1 | delivered | | delivered |
//! | 1 | dropped | | failed |
//! | 2 | delivered | delivered | delivered |
//! | 2 | delivered | failed, or dropped | failed |
//!
//! One allocation (a `Group`) serves many events, so that a tracked event costs no allocation of
//! its own. A group is sent at the first outcome decided since it was last sent, so that
//! neither does a slow event hold back its neighbours nor is there a message for each event.
//!
//! What counts references to a group is what counts the holders of its events: an ack is two plain
//! words. So a group is never freed. It is used again, by whoever needs one, once its tracker has
//! been told of all its events and nobody is left who could look at it: each thread that decides
//! an outcome looks at the group for the last time when it adds to its `news`.
//!
//! What one thread settles together, and alone holds, costs no locked operation: the outcomes are
//! written plainly, and then made known together. Of a whole group not even the slots are written:
//! the message says what became of all, and no line of memory goes to and fro.

// Another package takes this file as it is, to try it under all kinds of schedules.
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::fmt;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every branch delivered it, or let it go on purpose.
    Delivered,
    /// Some branch failed or lost it.
    Failed,
}

/// Names a tracked event towards the node that tracks it; unique within that node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What tells apart what acks are holders of.
pub(crate) type AckId = (usize, usize);

/// Where decided groups go. It must not block: whoever settles last calls it.
pub(crate) trait OutcomeChannel: Send + Sync {
    fn settled(&self, settled: Settled);
}

impl<T: From<Settled> + Send> OutcomeChannel for flume::Sender<T> {
    fn settled(&self, settled: Settled) {
        // The tracking node is gone: nobody wants to know any more.
        let _ = self.send(settled.into());
    }
}

/// A group of which something was decided. Where nobody hears of it, what its events held before
/// they were tracked fails.
pub(crate) struct Settled {
    group: &'static Group,
    /// What became of all events of the group, where one thread has settled all of them together;
    /// its slots say nothing then.
    all: Option<Outcome>,
}

impl Settled {
    /// Hands over every outcome that was decided since the last call, with the ack that the event
    /// had before it was tracked here, which is to be settled alike. Only the tracking node's
    /// thread calls this. The group comes back where all its events have been told of: it is free.
    pub(crate) fn collect(self, each: impl FnMut(Token, Outcome, Ack)) -> Option<&'static Group> {
        let (group, all) = (self.group, self.all);
        std::mem::forget(self);
        group.collect(all, each).then_some(group)
    }

    /// What became of all events of the group alike, for none of which anybody else waits: their
    /// tokens, and the group, which is free. Where it is not so simple, it is to be collected.
    pub(crate) fn collect_whole(self) -> Result<Whole, Self> {
        let group = self.group;
        match self.all {
            Some(outcome) if !group.has_outer.load(Ordering::Relaxed) => {
                std::mem::forget(self);
                let given = group.given.load(Ordering::Acquire);
                let first = group.first.load(Ordering::Relaxed);
                let is_free = group.has_told(given);
                debug_assert!(is_free, "all its events were settled together");
                Ok(Whole {
                    first,
                    events: given as usize,
                    outcome,
                    group,
                })
            }
            _ => Err(self),
        }
    }
}

/// A group of which everything was decided alike.
pub(crate) struct Whole {
    pub first: u64,
    pub events: usize,
    pub outcome: Outcome,
    pub group: &'static Group,
}

impl Drop for Settled {
    fn drop(&mut self) {
        // The acks that come out are dropped.
        if self.group.collect(self.all, |_, _, _| {}) {
            self.group.give_back();
        }
    }
}

const FAILED: u32 = 1 << 30;
const REPORTED: u32 = 1 << 31;
const HOLDERS: u32 = FAILED - 1;
/// One holder, and none that failed.
const ALONE: u32 = 1;
/// Added to what is left to be told of, while events can be added.
const OPEN: u32 = 1 << 31;

/// The outcomes of a run of tracked events: a count of holders and an outcome for each.
pub(crate) struct Group {
    /// Changed by the tracking node's thread, before it tracks the first event. It goes with that
    /// node, and with it whatever was sent there and never heard.
    channel: Mutex<Option<Weak<dyn OutcomeChannel>>>,
    /// Only the tracking node's thread asks for it, or changes it.
    first: AtomicU64,
    slots: Box<[AtomicU32]>,
    /// Acks that an event had before it was tracked here: they are settled alike, once the node
    /// that tracks it here has heard its outcome.
    outer: OnceLock<Box<[Mutex<Ack>]>>,
    /// Whether there are any; only whoever has the acks, or a message of them, asks.
    has_outer: AtomicBool,
    /// How many events it has; 0 while some can be added.
    given: AtomicU32,
    /// How many outcomes were decided since the group was last sent to its channel. Who finds none sends it.
    news: AtomicU32,
    /// How many events have not been told of.
    left: AtomicU32,
}

/// Groups that nobody uses, by their sizes.
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

    /// A group of this size that nobody uses.
    pub(crate) fn unused(size: usize, channel: &Arc<dyn OutcomeChannel>) -> &'static Self {
        let unused = lock(&UNUSED[size]).pop();
        // What shuttle has made does not outlive a schedule.
        let unused = unused.filter(|_| cfg!(not(shuttle)));
        let group = unused.unwrap_or_else(|| Group::new(Self::SMALLEST << size));
        *lock(&group.channel) = Some(Arc::downgrade(channel));
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
        let channel = lock(&self.channel).take();
        lock(&UNUSED[Self::size_for(self.slots.len())]).push(self);
        drop(channel);
    }

    /// How many events it has room for.
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
    fn is_of(&self, channel: &Arc<dyn OutcomeChannel>) -> bool {
        let known = lock(&self.channel);
        known
            .as_ref()
            .is_some_and(|known| std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(channel)))
    }

    /// So many events were tracked, and no more will be. Says whether it is free again already.
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
        *lock(&self.outer.get_or_init(empty)[index]) = std::mem::replace(ack, Ack::none());
    }

    /// Says whether it is free now.
    fn collect(&self, all: Option<Outcome>, mut each: impl FnMut(Token, Outcome, Ack)) -> bool {
        let first = self.first.load(Ordering::Relaxed);
        let mut told = |at: usize, outcome| {
            each(Token(first + at as u64), outcome, self.take_outer(at));
        };
        let news = if let Some(outcome) = all {
            let given = self.given.load(Ordering::Acquire);
            (0..given as usize).for_each(|at| told(at, outcome));
            given
        } else {
            // Before the scan: what is decided during it sends the group again.
            let news = self.news.swap(0, Ordering::SeqCst);
            for (at, slot) in self.slots.iter().enumerate() {
                let state = slot.load(Ordering::SeqCst);
                if state & (HOLDERS | REPORTED) == 0 {
                    slot.store(state | REPORTED, Ordering::Relaxed);
                    told(at, outcome(state));
                }
            }
            news
        };
        self.has_told(news)
    }

    /// So many more were told of, by somebody who does not look at it any more. Says whether it is
    /// free now: whoever tells of the last one is the last to look.
    fn has_told(&self, events: u32) -> bool {
        self.left.fetch_sub(events, Ordering::AcqRel) == events
    }

    #[inline]
    fn take_outer(&self, at: usize) -> Ack {
        match self.outer.get() {
            Some(outer) if self.has_outer.load(Ordering::Relaxed) => {
                std::mem::replace(&mut *lock(&outer[at]), Ack::none())
            }
            _ => Ack::none(),
        }
    }

    fn hold(&self, slot: usize) {
        self.slots[slot].fetch_add(1, Ordering::Relaxed);
    }

    fn settle(&'static self, slot: usize, result: Outcome) {
        let cell = &self.slots[slot];
        if result == Outcome::Failed {
            cell.fetch_or(FAILED, Ordering::Relaxed);
        }
        let before = cell.fetch_sub(1, Ordering::SeqCst);
        if before & HOLDERS == 1 {
            self.decided(1);
        }
    }

    /// So many more outcomes were decided; until this says so their group stays in use.
    fn decided(&'static self, events: u32) {
        if self.news.fetch_add(events, Ordering::SeqCst) == 0 {
            self.send(None);
        }
    }

    fn send(&'static self, all: Option<Outcome>) {
        let channel = lock(&self.channel).as_ref().and_then(Weak::upgrade);
        let settled = Settled { group: self, all };
        // Without a receiver the outcomes are discarded.
        if let Some(channel) = channel {
            channel.settled(settled);
        }
    }

    /// Ends a holder's part without telling; says whether that has decided the outcome.
    fn let_go(&self, slot: usize, result: Outcome) -> bool {
        let cell = &self.slots[slot];
        let failed = match result {
            Outcome::Delivered => 0,
            Outcome::Failed => FAILED,
        };
        let state = cell.load(Ordering::Acquire);
        if state & HOLDERS == 1 {
            // Nobody but the only holder can make another, so nobody else changes it.
            cell.store(state & FAILED | failed, Ordering::Release);
            return true;
        }
        cell.fetch_or(failed, Ordering::Relaxed);
        cell.fetch_sub(1, Ordering::SeqCst) & HOLDERS == 1
    }
}

/// Holders of one group that end together, on one thread.
#[derive(Default)]
struct Run {
    group: Option<&'static Group>,
    slots: Vec<usize>,
}

impl Run {
    #[inline]
    fn is_of(&self, group: &'static Group) -> bool {
        self.group.is_some_and(|known| std::ptr::eq(known, group))
    }

    fn begin(&mut self, group: &'static Group) {
        self.slots.reserve(group.slots.len());
        self.group = Some(group);
    }

    /// Ends them. The message is what makes known what was decided.
    fn end(&mut self, outcome: Outcome) {
        let Some(group) = self.group.take() else {
            return;
        };
        // As many holders as there are events, each of which has one: these are all that there are.
        let given = group.given.load(Ordering::Acquire) as usize;
        let is_alone = |slot: &AtomicU32| slot.load(Ordering::Acquire) == ALONE;
        if self.slots.len() == given && group.slots[..given].iter().all(is_alone) {
            group.send(Some(outcome));
        } else {
            let decided = self
                .slots
                .iter()
                .filter(|slot| group.let_go(**slot, outcome));
            let decided = decided.count() as u32;
            if decided > 0 {
                group.decided(decided);
            }
        }
        self.slots.clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is in it is replaced whole, so a panic elsewhere cannot have left it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn outcome(state: u32) -> Outcome {
    if state & FAILED == 0 {
        Outcome::Delivered
    } else {
        Outcome::Failed
    }
}

/// One holder's part in the outcome of an event; most events have none, and nobody waits for them.
pub struct Ack {
    group: Option<&'static Group>,
    /// As wide as a word: a narrower one leaves padding in every event, and to copy an event just
    /// made the processor waits until all earlier writes are done (measured: half the hop).
    slot: usize,
}

impl Ack {
    pub(crate) const fn none() -> Self {
        Ack {
            group: None,
            slot: 0,
        }
    }

    pub(crate) fn is_some(&self) -> bool {
        self.group.is_some()
    }

    /// Ends the parts of many holders at once.
    pub(crate) fn settle_all<'a>(acks: impl Iterator<Item = &'a mut Ack>, outcome: Outcome) {
        let mut run = Run::default();
        for ack in acks {
            if let Some(group) = ack.group.take() {
                if !run.is_of(group) {
                    run.end(outcome);
                    run.begin(group);
                }
                run.slots.push(ack.slot);
            }
        }
        run.end(outcome);
    }

    /// What it is a holder of: the same for all holders of one event.
    pub(crate) fn ack_id(&self) -> Option<AckId> {
        let group = self.group?;
        Some((std::ptr::from_ref(group) as usize, self.slot))
    }

    /// Ends this holder's part for an event that was emitted and taken back. Where it was made from one
    /// that is still `held`, what becomes of that one decides. The node of `channel`, if it tracked the event here,
    /// gets a failure.
    pub(crate) fn take_back(
        mut self,
        channel: &Arc<dyn OutcomeChannel>,
        held: impl Fn(AckId) -> bool,
    ) {
        let outcome = |ack: &Ack| match ack.ack_id().is_some_and(&held) {
            true => Outcome::Delivered,
            false => Outcome::Failed,
        };
        if let Some(group) = self.group.filter(|group| group.is_of(channel)) {
            let outer = group.take_outer(self.slot);
            let decided = outcome(&outer);
            outer.settle(decided);
            self.end(Outcome::Failed);
        } else {
            let decided = outcome(&self);
            self.end(decided);
        }
    }

    /// Ends this holder's part. Dropping an ack is settling it as failed.
    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    #[inline]
    pub(crate) fn end(&mut self, outcome: Outcome) {
        if let Some(group) = self.group.take() {
            group.settle(self.slot, outcome);
        }
    }
}

impl Clone for Ack {
    fn clone(&self) -> Self {
        if let Some(group) = self.group {
            group.hold(self.slot);
        }
        Ack {
            group: self.group,
            slot: self.slot,
        }
    }
}

impl Drop for Ack {
    #[inline]
    fn drop(&mut self) {
        self.end(Outcome::Failed);
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_some() {
            "Ack(tracked)"
        } else {
            "Ack(none)"
        })
    }
}
