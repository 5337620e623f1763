//! An alarm when events stay away.

use super::bounds::{Bounds, Most, positive};
use super::key::Key;
use super::keys::Keys;
use super::part::Part;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::time::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// Where the alarm goes.
const PORT: &str = "silent";

/// Lets every event pass. When none of a key has come for this time, it sends one event to the port
/// `silent`: the fields of the key, and `since`, the instant of the last one in unix seconds. It
/// sends another only after events have come again.
///
/// Without a key the time also runs from the start, when no event has come at all.
///
/// It keeps the values of each key until its alarm, of [10,000,000 keys](Bounds::KEYS) and in
/// [256 MiB](Bounds::BYTES) at most: an event of one more is rejected. At the end of the stream there is no
/// alarm.
#[derive(Debug)]
pub struct Deadman {
    time: Duration,
    key: Key,
    alive: Keys<Alive>,
    /// Of the values of all keys.
    bytes: usize,
    most: Most,
    begun: bool,
}

/// A key of which an event has come.
#[derive(Debug)]
struct Alive {
    /// The values of its fields, as JSON.
    values: Box<str>,
    last: Timestamp,
}

impl Deadman {
    /// An alarm after this time.
    ///
    /// # Errors
    /// A time of zero.
    pub fn new(time: Duration, key: Key) -> Result<Self> {
        Ok(Deadman {
            time: positive(time, "deadman")?,
            begun: !key.is_none(),
            key,
            alive: Keys::default(),
            bytes: 0,
            most: Most::default(),
        })
    }

    /// The same node with these bounds: `max_keys`, and `max_bytes`, for the values of the keys.
    ///
    /// # Errors
    /// A bound of zero, or another one.
    pub fn bounds(mut self, bounds: Bounds) -> Result<Self> {
        self.most = bounds.of("deadman", &["max_keys", "max_bytes"], self.most)?;
        Ok(self)
    }
}

impl Node for Deadman {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(Deadman {
            key: self.key.clone(),
            alive: std::mem::take(&mut self.alive),
            bytes: std::mem::take(&mut self.bytes),
            ..*self
        }))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let mut old = state.downcast::<Self>()?;
        if old.key != self.key {
            return Err(old);
        }
        old.alive.shift(old.time, self.time);
        (self.alive, self.bytes, self.begun) = (old.alive, old.bytes, old.begun);
        Ok(())
    }

    fn ports(&self) -> Vec<String> {
        vec![PORT.to_owned()]
    }

    /// The first wake is at once: that is when the time begins to run.
    fn wake(&self) -> Option<Timestamp> {
        if self.begun {
            self.alive.next()
        } else {
            Some(Timestamp::EPOCH)
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        if !self.begun {
            self.begun = true;
            let (values, last) = (Box::default(), now);
            self.alive
                .put(0, now.saturating_add(self.time), Alive { values, last });
        }
        self.alive.hasten(now.saturating_add(self.time));
        let mut part = Part::default();
        while !part.is_full()
            && let Some(Alive { values, last }) = self.alive.pop(now)
        {
            self.bytes -= values.len();
            part.add(values.len());
            let mut alarm = self.key.shown(&values)?;
            alarm.insert("since".to_owned(), last.as_secs_f64().into());
            cx.emit_to(PORT, Event::new(Value::Object(alarm), now))?;
        }
        Ok(())
    }
}

impl Pipeline for Deadman {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let (key, last) = (self.key.of(event)?, cx.now());
        let due = last.saturating_add(self.time);
        match self.alive.renew(key, due) {
            Some(alive) => alive.last = last,
            None => {
                self.most.check_keys(self.alive.len())?;
                let values = self.key.values(event)?.into_boxed_str();
                self.most.check_bytes(self.bytes, values.len())?;
                self.bytes += values.len();
                self.alive.put(key, due, Alive { values, last });
            }
        }
        self.begun = true;
        cx.pass();
        Ok(())
    }
}
