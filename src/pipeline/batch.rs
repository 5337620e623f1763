//! Several events as one.

use super::due::{Due, positive};
use super::key::Key;
use crate::ack::{Outcome, Token};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::time::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// How long no event comes until what a source waits for leaves.
const SILENCE: Duration = Duration::from_secs(1);

/// How many events are collected at most.
const MOST_EVENTS: usize = 1_000_000;

/// When a batch is full; the first limit that is reached counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchLimits {
    /// So many events.
    pub count: Option<usize>,
    /// So many bytes of their payloads.
    pub bytes: Option<usize>,
    /// So long after its first event.
    pub time: Option<Duration>,
}

/// Collects the events of a key, and emits them as one event, whose payload is the JSON list of
/// theirs, with the time of the last one. Each of them is delivered when that one is. At the end of the
/// stream what is collected is emitted at once.
///
/// It holds 1,000,000 events at most, of all keys together: one more is rejected.
///
/// Where a source waits for the outcome of its events and there is no limit of time, what is collected
/// leaves too when no event has come for a second: the source may send no more until then.
#[derive(Debug)]
pub struct Collect {
    limits: BatchLimits,
    key: Key,
    open: Due<Open>,
    /// How many events are collected.
    held: usize,
    /// When the last event came that somebody waits for, where no time limits a batch.
    awaited: Option<Timestamp>,
    /// The events of batches that are under way.
    under_way: HashMap<Token, Vec<Event>>,
}

#[derive(Debug)]
struct Open {
    events: Vec<Event>,
    bytes: usize,
}

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
            open: Due::default(),
            held: 0,
            awaited: None,
            under_way: HashMap::new(),
        })
    }

    fn emit_all(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.awaited = None;
        while let Some((_, open)) = self.open.pop(Timestamp::MAX) {
            self.emit(open, cx)?;
        }
        Ok(())
    }

    fn emit(&mut self, open: Open, cx: &mut Context<'_>) -> Result<()> {
        self.held -= open.events.len();
        let values = open
            .events
            .iter()
            .map(|event| event.payload().json().cloned());
        let list = Value::Array(values.collect::<Result<_>>()?);
        let time = open.events.last().map_or(cx.now(), Event::time);
        let whole = Event::new(list, time);
        if open.events.iter().any(Event::is_tracked) {
            self.under_way.insert(cx.emit_tracked(whole), open.events);
        } else {
            cx.emit(whole);
        }
        Ok(())
    }
}

impl Open {
    fn is_full(&self, limits: &BatchLimits) -> bool {
        limits.count.is_some_and(|most| self.events.len() >= most)
            || limits.bytes.is_some_and(|most| self.bytes >= most)
    }
}

impl Node for Collect {
    fn wake(&self) -> Option<Timestamp> {
        let due = self.open.next().filter(|at| *at < Timestamp::MAX);
        let silent = self.awaited.map(|last| last.after(SILENCE));
        due.into_iter().chain(silent).min()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if let Some(time) = self.limits.time {
            self.open.hasten(cx.now().after(time));
        }
        if let Some(last) = self.awaited {
            // A clock that was set back lengthens no wait.
            let last = last.min(cx.now());
            self.awaited = Some(last);
            if cx.now().since(last) >= SILENCE {
                return self.emit_all(cx);
            }
        }
        while let Some((_, open)) = self.open.pop(cx.now()) {
            self.emit(open, cx)?;
        }
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.emit_all(cx)
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        let events = self.under_way.remove(&token).unwrap_or_default();
        events.into_iter().for_each(|event| event.settle(outcome));
        Ok(())
    }
}

impl Pipeline for Collect {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let key = self.key.of(event)?;
        // Found out now, while it is this event's error.
        event.payload().json()?;
        if self.held >= MOST_EVENTS {
            return Err(Error::data(format!(
                "{MOST_EVENTS} events are collected already"
            )));
        }
        self.held += 1;
        let size = event.payload().size();
        if event.is_tracked() && self.limits.time.is_none() {
            self.awaited = Some(cx.now());
        }
        match self.open.get_mut(key) {
            Some(open) => {
                open.events.push(event.clone());
                open.bytes += size;
            }
            None => {
                let due = self.limits.time.map(|time| cx.now().after(time));
                let open = Open {
                    events: vec![event.clone()],
                    bytes: size,
                };
                self.open.put(key, due.unwrap_or(Timestamp::MAX), open);
            }
        }
        let limits = self.limits;
        let full = self
            .open
            .get_mut(key)
            .is_some_and(|open| open.is_full(&limits));
        if let Some(open) = full.then(|| self.open.take(key)).flatten() {
            self.emit(open, cx)?;
        }
        Ok(())
    }
}
