//! The frame: what a node emits, passes, drops and rejects of one batch, until the engine takes it.

mod emitting;

use super::tracker::Tracker;
use crate::ack::AckId;
use crate::error::{Error, Result, did_you_mean, quote};
use crate::event::{Batch, Event};
use crate::name::Port;
use crate::payload::MAX_EVENT_BYTES;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes a node emits before they leave, though it has more events in hand.
const MOST_BYTES: usize = 16 << 20;

/// What became of the event in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Consumed,
    Passed,
    Dropped(&'static str),
}

/// One thing that leaves the node when the batch is committed, in order.
pub(crate) enum Output {
    /// The event of the batch itself.
    Pass { index: u32, port: u16 },
    /// An event made here.
    New { index: u32, port: u16, event: Event },
    /// The event of the batch, dropped on purpose.
    Drop {
        index: u32,
        port: u16,
        reason: &'static str,
    },
    /// The event of the batch, rejected.
    Reject {
        index: u32,
        error: Error,
        /// How often it was tried.
        tried: u32,
    },
    /// An event made here, rejected.
    Refuse {
        index: u32,
        event: Event,
        error: Error,
    },
}

impl Output {
    /// The index in the batch of the event to which it belongs.
    pub(crate) fn index(&self) -> u32 {
        match self {
            Output::Pass { index, .. }
            | Output::New { index, .. }
            | Output::Drop { index, .. }
            | Output::Reject { index, .. }
            | Output::Refuse { index, .. } => *index,
        }
    }
}

/// How many events a node has processed, written by its thread for each event. On a cache line of its own, so
/// that no other thread is held up.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Processed(AtomicU64);

impl Processed {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a node did with one batch: what leaves, and how each event is counted.
///
/// The common cases are kept cheap. While every event so far has simply passed, only `uniform`
/// counts up, and a batch that is uniform to its end is sent on whole. New events for `out` go
/// straight into the batch that will leave, until there is another output.
pub(crate) struct Frame {
    /// The names of the ports, by number.
    pub ports: Vec<Port>,
    /// Whether the node has an output at all.
    pub can_emit: bool,
    /// The largest payload that a source may emit, in bytes.
    pub event_bytes: usize,
    /// So many events at the head of the batch passed on `out` and left nothing else.
    pub uniform: u32,
    /// After those: the new events that leave by `out` before anything in `outputs`.
    pub fresh: Batch,
    pub outputs: Vec<Output>,
    /// Of the new events in `outputs`.
    bytes: usize,
    pub tracker: Tracker,
    /// Before which of the emitted events a source has skipped a line; kept for a replay only.
    pub skipped: Option<Vec<usize>>,
    /// The numbers of the links that are open, ascending.
    pub inputs: Vec<usize>,
    /// The number of the link by which the batch came.
    pub input: Option<usize>,
    /// The index in the batch of the event in hand.
    pub index: u32,
    /// How many events were resolved before those in hand.
    pub resolved: u64,
    /// How many events its code has returned from.
    pub processed: Arc<Processed>,
    /// Events that passed beside the uniform ones.
    pub passed: u64,
    pub rejected: u64,
    pub dropped: Vec<(&'static str, u64)>,
    /// What the node has let go before its time, by reason.
    pub let_go: Vec<(&'static str, u64)>,
    /// Whether `finish` is to be called again.
    pub again: bool,
    /// The details of the event in hand, once it does more than simply pass.
    hand: Option<Hand>,
    /// How many new events the previous batch emitted: space is reserved for as many.
    expected: usize,
}

/// The event in hand.
struct Hand {
    fate: Fate,
    /// Whether it was passed or dropped already.
    marked: bool,
    /// Where `fresh` and `outputs` stood before it.
    fresh: usize,
    outputs: usize,
    /// A wrong use of the context, which becomes the error of the event.
    fault: Option<Error>,
}

fn count(counted: &mut Vec<(&'static str, u64)>, reason: &'static str, more: u64) {
    match counted.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, count)) => *count += more,
        None => counted.push((reason, more)),
    }
}

impl Frame {
    pub const OUT: u16 = 0;
    pub const ERRORS: u16 = 1;
    pub const DROPPED: u16 = 2;
    /// The index of what belongs to no event: emissions of `read`, `tick`, `commit` and `finish`.
    pub const NO_EVENT: u32 = u32::MAX;

    pub fn new(ports: Vec<Port>, can_emit: bool, tracker: Tracker) -> Self {
        Frame {
            ports,
            can_emit,
            event_bytes: MAX_EVENT_BYTES,
            skipped: None,
            uniform: 0,
            fresh: Batch::default(),
            outputs: Vec::new(),
            bytes: 0,
            tracker,
            inputs: Vec::new(),
            input: None,
            index: Self::NO_EVENT,
            resolved: 0,
            processed: Arc::default(),
            passed: 0,
            rejected: 0,
            dropped: Vec::new(),
            let_go: Vec::new(),
            again: false,
            hand: None,
            expected: 0,
        }
    }

    /// Clears everything; events that were emitted are settled as failed.
    pub fn clear(&mut self) {
        self.uniform = 0;
        self.fresh = Batch::default();
        self.outputs.clear();
        self.bytes = 0;
        self.index = Self::NO_EVENT;
        self.passed = 0;
        self.rejected = 0;
        self.dropped.clear();
        self.let_go.clear();
        self.hand = None;
    }

    /// The same while these events are still in hand and are to be fed again: the events made from them
    /// decide no outcome.
    pub fn clear_of(&mut self, events: &[Event]) {
        self.let_go_after(0, 0, events);
        self.clear();
    }

    /// Takes back what was emitted from these indices on, while the events are still in hand.
    fn let_go_after(&mut self, fresh: usize, outputs: usize, held: &[Event]) {
        let fresh = self.fresh.split_off(fresh).into_iter();
        let outputs = self.outputs.drain(outputs.min(self.outputs.len())..);
        let made = outputs.filter_map(|output| match output {
            Output::New { event, .. } | Output::Refuse { event, .. } => Some(event),
            Output::Pass { .. } | Output::Drop { .. } | Output::Reject { .. } => None,
        });
        let mut made = fresh.chain(made).filter(Event::is_tracked).peekable();
        if made.peek().is_none() {
            return;
        }
        let held: HashSet<AckId> = held.iter().filter_map(Event::ack_id).collect();
        made.for_each(|event| self.tracker.let_go(event, |id| held.contains(&id)));
    }

    /// From here on nothing belongs to an event of the batch.
    pub fn begin_no_event(&mut self) {
        self.index = Self::NO_EVENT;
        self.hand = None;
    }

    /// From here on everything belongs to this event of the batch.
    #[inline]
    pub fn begin(&mut self, index: u32) {
        self.index = index;
        let before = self.resolved + u64::from(index);
        self.processed.0.store(before, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn end(&mut self) -> Result<bool> {
        match self.hand.take() {
            Some(hand) => {
                self.count(hand)?;
                Ok(self.fresh.bytes() + self.bytes >= MOST_BYTES)
            }
            None => Ok(false),
        }
    }

    fn count(&mut self, mut hand: Hand) -> Result<()> {
        if let Some(fault) = hand.fault.take() {
            self.hand = Some(hand);
            return Err(fault);
        }
        match hand.fate {
            _ if self.has_simply_passed() => {}
            Fate::Passed => self.passed += 1,
            Fate::Consumed => {}
            Fate::Dropped(reason) => count(&mut self.dropped, reason, 1),
        }
        Ok(())
    }

    /// Counts what was let go before its time.
    pub(super) fn let_go(&mut self, reason: &'static str, more: u64) {
        count(&mut self.let_go, reason, more);
    }

    /// Whether the event in hand is among the `uniform`; they are counted as passed together.
    #[inline]
    fn has_simply_passed(&self) -> bool {
        self.uniform > self.index
    }

    pub(super) fn is_marked(&self) -> bool {
        self.has_simply_passed() || self.hand.as_ref().is_some_and(|hand| hand.marked)
    }

    /// The details of the event in hand, which does more than simply pass.
    #[inline]
    fn stir(&mut self) -> &mut Hand {
        self.hand.get_or_insert_with(|| Hand {
            fate: Fate::Consumed,
            marked: false,
            fresh: self.fresh.len(),
            outputs: self.outputs.len(),
            fault: None,
        })
    }

    /// Rejects an event that was made here.
    pub(super) fn refuse(&mut self, event: Event, error: Error) {
        self.stir();
        self.bytes += event.size();
        self.outputs.push(Output::Refuse {
            index: self.index,
            event,
            error,
        });
    }

    /// Takes back what the event in hand has emitted, and rejects it.
    pub fn reject_in_hand(&mut self, event: &Event, error: Error, tried: u32) {
        self.take_back(event);
        self.rejected += 1;
        self.outputs.push(Output::Reject {
            index: self.index,
            error,
            tried,
        });
    }

    /// Takes back what the event in hand has emitted.
    pub fn take_back(&mut self, event: &Event) {
        if self.has_simply_passed() {
            self.uniform = self.index;
        }
        if let Some(hand) = self.hand.take() {
            self.let_go_after(hand.fresh, hand.outputs, std::slice::from_ref(event));
        }
    }

    /// Whether nothing leaves apart from events that simply passed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.outputs.is_empty()
    }

    /// The new events that leave before anything in `outputs`.
    pub fn take_fresh(&mut self) -> Batch {
        if !self.fresh.is_empty() {
            self.expected = self.fresh.len();
        }
        std::mem::take(&mut self.fresh)
    }

    /// The error of a call without an event in its use of the context.
    pub fn take_fault(&mut self) -> Result<()> {
        let fault = self.hand.as_mut().and_then(|hand| hand.fault.take());
        fault.map_or(Ok(()), Err)
    }

    pub(super) fn port(&self, name: &str) -> Result<u16> {
        match self.ports.iter().position(|port| port.as_str() == name) {
            Some(at) => Ok(u16::try_from(at).expect("a node has fewer than 65,536 ports")),
            None => Err(Error::data(format!("no port {}", quote(name)))
                .with_hint_opt(did_you_mean(name, self.ports.iter().map(Port::as_str)))),
        }
    }
}
