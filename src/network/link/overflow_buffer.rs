//! What waits in a link that does more than block: events are counted one by one, and what becomes of
//! those for which there is no room is decided here.
//!
//! The channel beside it carries a message for each batch in the buffer, so that a receiver waits for it as
//! for every other link. There are never fewer messages than batches; one for whose batch there was
//! nothing left, since the oldest were dropped, serves the next.

use super::options::{BatchLimit, Capacity, LinkSettings, Overflow, Spill};
use super::spill::{Block, SpillFile};
use crate::ack::Outcome;
use crate::event::Batch;
use crate::network::stats::{LinkAccount, add};
#[cfg(not(shuttle))]
use parking_lot::{Mutex, MutexGuard};
#[cfg(shuttle)]
use shuttle::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;

/// The most events and bytes that are written to disk at once, however little may stay in memory.
/// Where schedules of threads are tried, a few events spill.
const BLOCK: BatchLimit = if cfg!(shuttle) {
    BatchLimit {
        events: 2,
        bytes: 4,
    }
} else {
    BatchLimit {
        events: Capacity::BATCH,
        bytes: 1 << 20,
    }
};

pub(super) struct OverflowBuffer {
    label: String,
    capacity: Capacity,
    overflow: Overflow,
    account: Arc<LinkAccount>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: VecDeque<Slot>,
    /// Of those in memory.
    events: usize,
    bytes: usize,
    messages: usize,
    file: Option<SpillFile>,
    /// The sender waits for room.
    waiting: bool,
    /// The receiver has gone.
    closed: bool,
    /// What was logged already: that it overflows, that the disk fails.
    logged: bool,
    error_logged: bool,
}

enum Slot {
    Held(Batch),
    Spilled(Block),
}

/// What became of a batch.
pub(super) enum Put {
    /// It was taken, or dropped: so many messages are to be sent.
    Done(usize),
    Full(Batch),
    Gone(Batch),
}

impl OverflowBuffer {
    pub fn new(label: String, settings: &LinkSettings, account: Arc<LinkAccount>) -> Self {
        OverflowBuffer {
            label,
            capacity: settings.capacity,
            overflow: settings.overflow.clone(),
            account,
            state: Mutex::default(),
        }
    }

    #[cfg(not(shuttle))]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Where schedules of threads are tried, the mutex is shuttle's: like that of std it can be poisoned.
    #[cfg(shuttle)]
    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        state.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The most events and bytes of a batch.
    pub fn batch(&self) -> BatchLimit {
        match self.overflow {
            Overflow::Spill(_) => BLOCK,
            _ => self.capacity.batch(),
        }
    }

    /// Puts a batch there that is no larger than [`batch`](Self::batch).
    pub fn put(&self, mut batch: Batch) -> Put {
        let mut state = self.lock();
        if state.closed {
            return Put::Gone(batch);
        }
        let mut dropped = Batch::default();
        match &self.overflow {
            Overflow::DropNewest => dropped = batch.split_off(state.fitting(&batch, self.capacity)),
            Overflow::Spill(spill) => {
                if !self.make_room(&mut state, &batch, spill) {
                    state.waiting = true;
                    return Put::Full(batch);
                }
            }
            Overflow::Block | Overflow::DropOldest => {}
        }
        state.push(batch, self.batch());
        if self.overflow == Overflow::DropOldest {
            dropped = state.excess(self.capacity);
        }
        add(&self.account.dropped, dropped.len() as u64);
        let log = !dropped.is_empty() && !std::mem::replace(&mut state.logged, true);
        let messages = state.slots.len().saturating_sub(state.messages);
        state.messages += messages;
        drop(state);
        if log {
            log::warn!("link {}: full, events are dropped", self.label);
        }
        dropped.settle(Outcome::Delivered);
        Put::Done(messages)
    }

    /// Spills what came last where memory is full; false where that is not possible.
    fn make_room(&self, state: &mut State, batch: &Batch, spill: &Spill) -> bool {
        let full = state.events >= self.capacity.events || state.bytes >= self.capacity.bytes;
        if !full || state.joins(batch, self.batch()) {
            return true;
        }
        let last = match state.slots.pop_back() {
            Some(Slot::Held(last)) => last,
            other => {
                // It is on disk already: this batch is the one that waits in memory behind it.
                state.slots.extend(other);
                return true;
            }
        };
        let (events, bytes) = (last.len(), last.bytes());
        let put = match &mut state.file {
            Some(file) => file.put(last),
            none => match SpillFile::new(spill) {
                Ok(file) => none.insert(file).put(last),
                Err(error) => Err((last, Some(error))),
            },
        };
        match put {
            Ok(block) => {
                state.slots.push_back(Slot::Spilled(block));
                state.events -= events;
                state.bytes = state.bytes.saturating_sub(bytes);
                add(&self.account.spilled, events as u64);
                if !std::mem::replace(&mut state.logged, true) {
                    log::info!("link {}: full, events wait on disk", self.label);
                }
                true
            }
            Err((last, error)) => {
                state.slots.push_back(Slot::Held(last));
                if let Some(error) = error
                    && !std::mem::replace(&mut state.error_logged, true)
                {
                    log::error!("link {}: {error}; it blocks instead", self.label);
                }
                false
            }
        }
    }

    /// Takes the batch that has waited longest, for a message; returns whether the sender waits for
    /// that.
    pub fn take(&self) -> (Option<Batch>, bool) {
        let mut state = self.lock();
        state.messages -= 1;
        let batch = match state.slots.pop_front() {
            None => None,
            Some(Slot::Held(batch)) => {
                state.events -= batch.len();
                state.bytes = state.bytes.saturating_sub(batch.bytes());
                Some(batch)
            }
            Some(Slot::Spilled(block)) => {
                let file = state.file.as_ref().map(SpillFile::file);
                drop(state);
                let (events, end) = (block.events as u64, block.end());
                let read = file.map(|file| block.read(&file));
                state = self.lock();
                if let Some(file) = &mut state.file {
                    file.free(end);
                }
                match read {
                    Some(Ok(batch)) => Some(batch),
                    failed => {
                        add(&self.account.lost, events);
                        if let Some(Err(error)) = failed {
                            let label = &self.label;
                            log::error!("link {label}: {events} events are lost on disk: {error}");
                        }
                        None
                    }
                }
            }
        };
        (batch, std::mem::take(&mut state.waiting))
    }

    /// The receiver goes: what waits is lost.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let slots = std::mem::take(&mut state.slots);
        drop(state);
        let lost = slots.iter().map(|slot| match slot {
            Slot::Held(batch) => batch.len(),
            Slot::Spilled(block) => block.events,
        });
        add(&self.account.lost, lost.sum::<usize>() as u64);
    }
}

impl State {
    /// Whether a batch can be added to the last one.
    fn joins(&self, batch: &Batch, most: BatchLimit) -> bool {
        let fits = |last: &Batch| {
            last.len() + batch.len() <= most.events && last.bytes() + batch.bytes() <= most.bytes
        };
        matches!(self.slots.back(), Some(Slot::Held(last)) if fits(last))
    }

    fn push(&mut self, batch: Batch, most: BatchLimit) {
        if batch.is_empty() {
            return;
        }
        self.events += batch.len();
        self.bytes += batch.bytes();
        let joins = self.joins(&batch, most);
        match self.slots.back_mut() {
            Some(Slot::Held(last)) if joins => last.append(batch),
            _ => self.slots.push_back(Slot::Held(batch)),
        }
    }

    /// How many events of a batch there is room for; a single one where nothing waits, however
    /// large it is.
    fn fitting(&self, batch: &Batch, capacity: Capacity) -> usize {
        let room = capacity.events.saturating_sub(self.events);
        let mut bytes = self.bytes;
        let mut count = 0;
        for event in batch.events().iter().take(room) {
            bytes += event.size();
            if bytes > capacity.bytes && self.events + count > 0 {
                break;
            }
            count += 1;
        }
        count
    }

    /// Takes out the oldest events for which there is no room.
    fn excess(&mut self, capacity: Capacity) -> Batch {
        let mut dropped = Batch::default();
        while let Some(Slot::Held(oldest)) = self.slots.front_mut() {
            let (mut events, mut bytes) = (self.events, self.bytes);
            let mut count = 0;
            for event in oldest.events() {
                if events <= capacity.events && (bytes <= capacity.bytes || events == 1) {
                    break;
                }
                events -= 1;
                bytes = bytes.saturating_sub(event.size());
                count += 1;
            }
            if count == 0 {
                break;
            }
            let rest = oldest.split_off(count);
            dropped.append(std::mem::replace(oldest, rest));
            if oldest.is_empty() {
                self.slots.pop_front();
            }
            (self.events, self.bytes) = (events, bytes);
        }
        dropped
    }
}
