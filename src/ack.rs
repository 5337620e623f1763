//! Acknowledgement by the last holder, in three small types.
//!
//! An event that somebody waits for carries an [`Ack`]; its clones and what is derived from it
//! share the ack, each as one holder. A holder *settles* with an [`Outcome`]; one that is dropped
//! unsettled (a panic, an abort, a lost channel) counts as failed. With the last holder the
//! outcome is decided (failed if any holder failed) and sent home to whoever tracks the event.
//!
//! | holders | first | second | outcome |
//! |---|---|---|---|
//! | 1 | delivered | | delivered |
//! | 1 | dropped | | failed |
//! | 2 | delivered | delivered | delivered |
//! | 2 | delivered | failed, or dropped | failed |
//!
//! One allocation (a `Group`) serves many events, so that a tracked event costs no allocation of
//! its own. A group goes home at the first outcome decided since it was last there, so that
//! neither does a slow event hold back its neighbours nor is there a message for each event.
//!
//! What one thread settles together, and alone holds, costs no locked operation: the outcomes are
//! written plainly, the message that carries them home makes them known, and the handles of the
//! group go with it, to be used again where all of them have come. Of a whole group not even the
//! slots are written: the message says what became of all, and no line of memory goes to and fro.

// Another package takes this file as it is, to try it under all kinds of schedules.
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::fmt;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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

/// Where decided groups go. It must not block: whoever settles last calls it.
pub(crate) trait Home: Send + Sync {
    fn settled(&self, settled: Settled);
}

impl<T: From<Settled> + Send> Home for flume::Sender<T> {
    fn settled(&self, settled: Settled) {
        // The tracking node is gone: nobody wants to know any more.
        let _ = self.send(settled.into());
    }
}

/// A group of which something was decided.
pub(crate) struct Settled {
    group: Arc<Group>,
    /// Further handles of the same group.
    more: Vec<Arc<Group>>,
    /// What became of all events of the group, where these are all handles that it had; its slots
    /// say nothing then.
    all: Option<Outcome>,
}

impl Settled {
    /// Hands over every outcome that was decided since the last call, with the ack that the event
    /// had before it was tracked here, which is to be settled alike. Only the tracking node's
    /// thread calls this.
    pub(crate) fn collect(&self, each: impl FnMut(Token, Outcome, Ack)) {
        match self.all {
            Some(outcome) => self.group.collect_all(outcome, each),
            None => self.group.collect(each),
        }
    }

    /// The handles of a group whose events are all settled and told of, where every handle is
    /// here: nobody else knows the group any more.
    pub(crate) fn into_handles(self) -> Option<Vec<Arc<Group>>> {
        let slots = &self.group.slots;
        let told = |slot: &AtomicU32| slot.load(Ordering::SeqCst) & REPORTED != 0;
        let whole = self.more.len() + 1 == slots.len()
            && Arc::strong_count(&self.group) == slots.len()
            && (self.all.is_some() || slots.iter().all(told));
        whole.then(|| {
            let mut handles = self.more;
            handles.push(self.group);
            handles
        })
    }
}

const FAILED: u32 = 1 << 30;
const REPORTED: u32 = 1 << 31;
const HOLDERS: u32 = FAILED - 1;
/// One holder, and none that failed.
const ALONE: u32 = 1;

/// The outcomes of a run of tracked events: a count of holders and an outcome for each.
pub(crate) struct Group {
    /// Only the tracking node's thread asks for it, or changes it.
    first: AtomicU64,
    slots: Box<[AtomicU32]>,
    /// Acks that an event had before it was tracked here: they are settled alike, once the node
    /// that tracks it here has heard its outcome.
    outer: OnceLock<Box<[Mutex<Ack>]>>,
    home: Arc<dyn Home>,
    on_its_way: AtomicBool,
}

impl Group {
    /// A group for events with the tokens from `first` on, at most `size` of them.
    pub(crate) fn new(first: u64, size: usize, home: Arc<dyn Home>) -> Arc<Self> {
        let slots = (0..size).map(|_| AtomicU32::new(REPORTED)).collect();
        Arc::new(Group {
            first: AtomicU64::new(first),
            slots,
            outer: OnceLock::new(),
            home,
            on_its_way: AtomicBool::new(false),
        })
    }

    /// Handles of a group for so many events, as many as there are events: of this group where it
    /// fits, whose handles these are; of a new one otherwise.
    pub(crate) fn again(
        handles: Option<Vec<Arc<Self>>>,
        first: u64,
        size: usize,
        home: &Arc<dyn Home>,
    ) -> Vec<Arc<Self>> {
        match handles {
            Some(handles) if handles.len() == size => {
                handles[0].first.store(first, Ordering::Relaxed);
                handles
            }
            _ => vec![Group::new(first, size, home.clone()); size],
        }
    }

    /// Makes the event's `ack` the first holder of slot `index`; what it held before is settled
    /// with it. Each slot is taken once in the life of a group.
    // Inline: an event that stays in registers need not be written and read again.
    #[inline]
    pub(crate) fn track(self: Arc<Self>, index: usize, ack: &mut Ack) {
        let slot = &self.slots[index];
        // It has stayed as it was where the whole group was settled together in its last life.
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
        *lock(&self.outer.get_or_init(empty)[index]) = std::mem::replace(ack, Ack::none());
    }

    fn collect(&self, mut each: impl FnMut(Token, Outcome, Ack)) {
        // Before the scan: what is decided during it sends the group home again.
        self.on_its_way.swap(false, Ordering::SeqCst);
        let first = self.first.load(Ordering::Relaxed);
        for (at, slot) in self.slots.iter().enumerate() {
            let state = slot.load(Ordering::SeqCst);
            if state & (HOLDERS | REPORTED) == 0 {
                slot.store(state | REPORTED, Ordering::Relaxed);
                each(
                    Token(first + at as u64),
                    outcome(state),
                    self.take_outer(at),
                );
            }
        }
    }

    fn collect_all(&self, outcome: Outcome, mut each: impl FnMut(Token, Outcome, Ack)) {
        let first = self.first.load(Ordering::Relaxed);
        for at in 0..self.slots.len() {
            each(Token(first + at as u64), outcome, self.take_outer(at));
        }
    }

    #[inline]
    fn take_outer(&self, at: usize) -> Ack {
        self.outer.get().map_or(Ack::none(), |outer| {
            std::mem::replace(&mut *lock(&outer[at]), Ack::none())
        })
    }

    fn hold(&self, slot: usize) {
        self.slots[slot].fetch_add(1, Ordering::Relaxed);
    }

    fn settle(self: Arc<Self>, slot: usize, result: Outcome) {
        let cell = &self.slots[slot];
        if result == Outcome::Failed {
            cell.fetch_or(FAILED, Ordering::Relaxed);
        }
        let before = cell.fetch_sub(1, Ordering::SeqCst);
        if before & HOLDERS != 1 {
            return;
        }
        // Read first: most events find their group on its way already. If it is, `collect` has yet
        // to begin and will see this outcome; all four accesses are in one order for that.
        let on_its_way = &self.on_its_way;
        if !on_its_way.load(Ordering::SeqCst) && !on_its_way.swap(true, Ordering::SeqCst) {
            self.home.clone().settled(Settled {
                group: self,
                more: Vec::new(),
                all: None,
            });
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
    handles: Vec<Arc<Group>>,
    slots: Vec<usize>,
}

impl Run {
    fn is_of(&self, group: &Arc<Group>) -> bool {
        let first = self.handles.first();
        first.is_none_or(|first| Arc::ptr_eq(first, group))
    }

    fn add(&mut self, group: Arc<Group>, slot: usize) {
        if self.handles.is_empty() {
            self.handles.reserve(group.slots.len());
            self.slots.reserve(group.slots.len());
        }
        self.handles.push(group);
        self.slots.push(slot);
    }

    /// Ends them. The message is what makes known what was decided.
    fn end(&mut self, outcome: Outcome) {
        let Some(group) = self.handles.first() else {
            return;
        };
        // As many holders as there are slots, each of which has one: these are all that there are.
        let is_alone = |slot: &AtomicU32| slot.load(Ordering::Acquire) == ALONE;
        let is_whole = self.slots.len() == group.slots.len() && group.slots.iter().all(is_alone);
        let mut decided = is_whole;
        if !is_whole {
            for slot in &self.slots {
                decided |= group.let_go(*slot, outcome);
            }
        }
        let mut handles = std::mem::take(&mut self.handles);
        self.slots.clear();
        if decided && let Some(group) = handles.pop() {
            group.home.clone().settled(Settled {
                group,
                more: handles,
                all: is_whole.then_some(outcome),
            });
        }
    }
}

fn lock(outer: &Mutex<Ack>) -> std::sync::MutexGuard<'_, Ack> {
    // An ack is replaced whole, so a panic elsewhere cannot have left it half changed.
    outer.lock().unwrap_or_else(PoisonError::into_inner)
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
    group: Option<Arc<Group>>,
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
                if !run.is_of(&group) {
                    run.end(outcome);
                }
                run.add(group, ack.slot);
            }
        }
        run.end(outcome);
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
        if let Some(group) = &self.group {
            group.hold(self.slot);
        }
        Ack {
            group: self.group.clone(),
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
