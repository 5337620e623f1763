//! An alarm when events stay away.

use super::due::{Due, positive};
use super::key::Key;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
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
/// It keeps the fields of each key until its alarm, of 1,000,000 keys at most: an event of one more is
/// rejected. At the end of the stream there is no alarm.
#[derive(Debug)]
pub struct Deadman {
    time: Duration,
    key: Key,
    alive: Due<(Value, Timestamp)>,
    begun: bool,
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
            alive: Due::default(),
        })
    }

    fn hear(&mut self, key: u128, shown: Value, now: Timestamp) {
        self.alive.put(key, now.after(self.time), (shown, now));
    }
}

impl Node for Deadman {
    fn ports(&self) -> Vec<String> {
        vec![PORT.to_owned()]
    }

    /// The first wake is at once: that is when the time begins to run.
    fn wake(&self) -> Option<Timestamp> {
        match self.begun {
            true => self.alive.next(),
            false => Some(Timestamp::EPOCH),
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        if !self.begun {
            self.begun = true;
            self.hear(0, Value::Object(serde_json::Map::new()), now);
        }
        self.alive.hasten(now.after(self.time));
        while let Some((_, (mut alarm, last))) = self.alive.pop(now) {
            alarm["since"] = last.as_secs_f64().into();
            cx.emit_to(PORT, Event::new(alarm, now))?;
        }
        Ok(())
    }
}

impl Pipeline for Deadman {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let (key, shown) = (self.key.of(event)?, self.key.shown(event)?);
        self.alive.check_room(key)?;
        self.begun = true;
        self.hear(key, shown, cx.now());
        cx.pass();
        Ok(())
    }
}
