//! The last event before a silence.

use super::due::{Due, positive};
use super::key::Key;
use crate::ack::Outcome;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::time::Timestamp;
use std::time::Duration;

/// Holds an event back until no other of its key has come for this time; an earlier one that it
/// takes the place of ends here. At the end of the stream what is held goes on at once.
///
/// It holds an event for each key, of 1,000,000 keys at most: an event of one more is rejected.
#[derive(Debug)]
pub struct Debounce {
    quiet: Duration,
    key: Key,
    held: Due<Event>,
}

impl Debounce {
    /// A debounce of this time.
    ///
    /// # Errors
    /// A time of zero.
    pub fn new(quiet: Duration, key: Key) -> Result<Self> {
        Ok(Debounce {
            quiet: positive(quiet, "debounce")?,
            key,
            held: Due::default(),
        })
    }
}

impl Node for Debounce {
    fn wake(&self) -> Option<Timestamp> {
        self.held.next()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.held.hasten(cx.now().after(self.quiet));
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

impl Pipeline for Debounce {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let due = cx.now().after(self.quiet);
        let key = self.key.of(event)?;
        self.held.check_room(key)?;
        if let Some(before) = self.held.put(key, due, event.clone()) {
            before.settle(Outcome::Delivered);
        }
        Ok(())
    }
}
