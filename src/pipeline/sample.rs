//! The last event of each interval.

use super::due::{Due, positive};
use super::key::Key;
use crate::ack::Outcome;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::time::Timestamp;
use std::time::Duration;

/// Emits, for each key, the last event of each interval; the intervals of a key begin with its
/// first event after a silence. The other events end here. At the end of the stream what is held goes
/// on at once.
///
/// It holds an event for each key, of 1,000,000 keys at most: an event of one more is rejected.
#[derive(Debug)]
pub struct Sample {
    interval: Duration,
    key: Key,
    held: Due<Event>,
}

impl Sample {
    /// A sample at this interval.
    ///
    /// # Errors
    /// An interval of zero.
    pub fn new(interval: Duration, key: Key) -> Result<Self> {
        Ok(Sample {
            interval: positive(interval, "sample")?,
            key,
            held: Due::default(),
        })
    }
}

impl Node for Sample {
    fn wake(&self) -> Option<Timestamp> {
        self.held.next()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.held.hasten(cx.now().after(self.interval));
        while let Some((_, event)) = self.held.pop(cx.now()) {
            cx.emit(event);
        }
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while let Some((_, event)) = self.held.pop(Timestamp::MAX) {
            cx.emit(event);
        }
        Ok(())
    }
}

impl Pipeline for Sample {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let key = self.key.of(event)?;
        self.held.check_room(key)?;
        match self.held.get_mut(key) {
            Some(held) => std::mem::replace(held, event.clone()).settle(Outcome::Delivered),
            None => {
                let due = cx.now().after(self.interval);
                self.held.put(key, due, event.clone());
            }
        }
        Ok(())
    }
}
