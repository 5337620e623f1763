//! Several events as one.

use super::bounds::{Bounds, Most, positive};
use super::key::Key;
use super::keys::Keys;
use super::part::Part;
use crate::ack::{Ack, Outcome, Token};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::payload::{MAX_DEPTH, depth};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// How long no event comes until what a source waits for leaves.
const SILENCE: Duration = Duration::from_secs(1);

/// From this size on, in bytes, a text does not double its capacity as it grows.
const LARGE: usize = 1 << 20;

/// Why a batch leaves before it is full.
const EARLY: &str =
    "max_keys, max_events or max_bytes is reached, so the oldest batch is emitted early";

/// When a batch is full; the first limit that is reached counts.
///
/// ```
/// use std::time::Duration;
/// use tributary::pipeline::{BatchLimits, Collect, Key};
///
/// let limits = BatchLimits::new().count(100).time(Duration::from_secs(1));
/// let node = Collect::new(limits, Key::none())?;
/// # let _ = node;
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimits {
    /// So many events.
    pub count: Option<usize>,
    /// So many bytes of their payloads.
    pub bytes: Option<usize>,
    /// So long after its first event.
    pub time: Option<Duration>,
}

impl BatchLimits {
    /// No limit yet; a batch needs at least one.
    pub const fn new() -> Self {
        BatchLimits {
            count: None,
            bytes: None,
            time: None,
        }
    }

    /// The same limits, and so many events.
    #[must_use]
    pub const fn count(mut self, events: usize) -> Self {
        self.count = Some(events);
        self
    }

    /// The same limits, and so many bytes of payloads.
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The same limits, and so much time after the first event.
    #[must_use]
    pub const fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }
}

/// Collects the events of a key, and emits them as one event, whose payload is the JSON list of
/// theirs, with the time of the last one. Each of them is delivered when that one is. At the end of the
/// stream what is collected is emitted at once.
///
/// It collects for [10,000,000 keys](Bounds::KEYS) at most, [10,000,000 events](Bounds::EVENTS) of all
/// keys together, and [256 MiB](Bounds::BYTES) of their texts. Where one more would be too much, the batch
/// that is the next to leave, or without a limit of time the one that was begun first, leaves at once. An
/// event that is larger than all that may be held is rejected.
///
/// Where a source waits for the outcome of its events and there is no limit of time, what is collected
/// leaves too when no event has come for a second: the source may send no more until then.
#[derive(Debug)]
pub struct Collect {
    limits: BatchLimits,
    key: Key,
    most: Most,
    open: Keys<Open>,
    /// How many events are collected, and the bytes of their texts.
    held: usize,
    bytes: usize,
    /// When the last tracked event arrived, if no time limits a batch.
    awaited: Option<Timestamp>,
    /// What is left is emitted, part by part.
    leaving: bool,
    /// The acks of the events of batches that are under way.
    under_way: HashMap<Token, Vec<Ack>>,
}

/// A batch that is not full.
#[derive(Debug)]
struct Open {
    /// The list as it is written, without its end.
    text: Vec<u8>,
    count: usize,
    /// The bytes of the payloads.
    bytes: usize,
    /// Of the last event.
    time: Timestamp,
    /// The tracked events.
    acks: Option<Box<Acks>>,
}

/// A word in place of three for the many batches without a tracked event.
#[derive(Debug, Default)]
struct Acks(Vec<Ack>);

impl Collect {
    /// A node that collects up to these limits.
    ///
    /// # Errors
    /// No limit at all, or one of zero.
    pub fn new(limits: BatchLimits, key: Key) -> Result<Self> {
        if limits == BatchLimits::default() {
            return Err(
                Error::data("a batch needs a limit").with_hint("give it count, bytes or time")
            );
        }
        if limits.count == Some(0) || limits.bytes == Some(0) {
            return Err(Error::data(
                "bad limit of a batch: it must be more than zero",
            ));
        }
        limits
            .time
            .map(|time| positive(time, "batch"))
            .transpose()?;
        Ok(Collect {
            limits,
            key,
            most: Most::default(),
            open: Keys::default(),
            held: 0,
            bytes: 0,
            awaited: None,
            leaving: false,
            under_way: HashMap::new(),
        })
    }

    /// The same node with these bounds.
    ///
    /// # Errors
    /// A bound of zero.
    pub fn bounds(mut self, bounds: Bounds) -> Result<Self> {
        let known = ["max_keys", "max_events", "max_bytes"];
        self.most = bounds.of("batch", &known, self.most)?;
        Ok(self)
    }

    /// Emits what is due by then, or a part of it.
    fn emit_until(&mut self, until: Timestamp, cx: &mut Context<'_>) {
        let mut part = Part::default();
        while !part.is_full()
            && let Some(open) = self.open.pop(until)
        {
            part.add(open.text.len());
            self.emit(open, cx);
        }
    }

    fn emit(&mut self, mut open: Open, cx: &mut Context<'_>) {
        self.held -= open.count;
        self.bytes -= open.text.len();
        open.text.push(b']');
        let whole = Event::new(open.text, open.time);
        match open.acks {
            Some(acks) => drop(self.under_way.insert(cx.emit_tracked(whole), acks.0)),
            None => cx.emit(whole),
        }
    }

    /// Lets the oldest batches go until there is room for an event with a text of so many bytes, which
    /// begins a batch or not.
    fn make_room(&mut self, size: usize, begins: bool, cx: &mut Context<'_>) {
        let keys = self.most.keys - usize::from(begins);
        while self.open.len() > keys
            || self.held >= self.most.events
            || self.bytes + size > self.most.bytes
        {
            let Some(open) = self.open.pop(Timestamp::MAX) else {
                return;
            };
            self.emit(open, cx);
            cx.let_go(EARLY, 1);
        }
    }
}

impl Open {
    fn new(time: Timestamp, size: usize) -> Self {
        let mut text = Vec::with_capacity(size + 1);
        text.push(b'[');
        Open {
            text,
            count: 0,
            bytes: 0,
            time,
            acks: None,
        }
    }

    fn add(&mut self, event: &Event, text: &[u8]) {
        if self.count > 0 {
            self.text.push(b',');
        }
        let (len, capacity) = (self.text.len(), self.text.capacity());
        // Two more for a comma and the end.
        let more = text.len() + 2;
        if capacity > LARGE && len + more > capacity {
            self.text.reserve_exact(more.max(capacity / 8));
        }
        self.text.extend(text);
        self.count += 1;
        self.bytes += event.payload().size();
        self.time = event.time();
        if event.is_tracked() {
            let ack = event.clone().into_parts().3;
            self.acks.get_or_insert_default().0.push(ack);
        }
    }

    fn is_full(&self, limits: &BatchLimits) -> bool {
        limits.count.is_some_and(|most| self.count >= most)
            || limits.bytes.is_some_and(|most| self.bytes >= most)
    }
}

impl Node for Collect {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(Collect {
            key: self.key.clone(),
            open: std::mem::take(&mut self.open),
            held: std::mem::take(&mut self.held),
            bytes: std::mem::take(&mut self.bytes),
            awaited: self.awaited.take(),
            under_way: std::mem::take(&mut self.under_way),
            ..*self
        }))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let mut old = state.downcast::<Self>()?;
        match (old.limits.time, self.limits.time) {
            _ if old.key != self.key => return Err(old),
            (Some(from), Some(to)) => old.open.shift(from, to),
            (None, None) => {}
            // When its batches began is not known.
            (None, Some(_)) | (Some(_), None) => return Err(old),
        }
        (self.open, self.held, self.bytes) = (old.open, old.held, old.bytes);
        (self.awaited, self.under_way) = (old.awaited, old.under_way);
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        if self.leaving {
            return Some(Timestamp::EPOCH);
        }
        let due = self.open.next().filter(|at| *at < Timestamp::MAX);
        let silent = self.awaited.map(|last| last.saturating_add(SILENCE));
        due.into_iter().chain(silent).min()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if let Some(time) = self.limits.time {
            self.open.hasten(cx.now().saturating_add(time));
        }
        if let Some(last) = self.awaited {
            // A clock that was set back lengthens no wait.
            let last = last.min(cx.now());
            self.awaited = Some(last);
            if cx.now().since(last) >= SILENCE {
                self.awaited = None;
                self.leaving = true;
            }
        }
        if self.leaving {
            self.emit_until(Timestamp::MAX, cx);
            self.leaving = self.open.len() > 0;
            return Ok(());
        }
        self.emit_until(cx.now(), cx);
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.emit_until(Timestamp::MAX, cx);
        if self.open.len() > 0 {
            cx.call_again();
        }
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        let mut acks = self.under_way.remove(&token).unwrap_or_default();
        Ack::settle_all(acks.iter_mut(), outcome);
        Ok(())
    }
}

impl Pipeline for Collect {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let key = self.key.of(event)?;
        // Found out now, while it is this event's error.
        let value = event.payload().json()?;
        if depth(value) + 1 >= MAX_DEPTH {
            let error = format!("nesting deeper than {MAX_DEPTH} in the list of a batch");
            return Err(Error::data(error));
        }
        let text = value.to_string().into_bytes();
        // With the comma or bracket before it.
        let size = text.len() + 1;
        self.most.check_bytes(0, size)?;
        let begins = self.open.get_mut(key).is_none();
        self.make_room(size, begins, cx);
        if event.is_tracked() && self.limits.time.is_none() {
            self.awaited = Some(cx.now());
        }
        self.held += 1;
        self.bytes += size;
        let limits = self.limits;
        let full = match self.open.get_mut(key) {
            Some(open) => {
                open.add(event, &text);
                open.is_full(&limits)
            }
            None => {
                let due = limits.time.map(|time| cx.now().saturating_add(time));
                let mut open = Open::new(event.time(), size);
                open.add(event, &text);
                let full = open.is_full(&limits);
                self.open.put(key, due.unwrap_or(Timestamp::MAX), open);
                full
            }
        };
        if let Some(open) = full.then(|| self.open.take(key)).flatten() {
            self.emit(open, cx);
        }
        Ok(())
    }
}
