//! The last event before a silence.

use super::bounds::{Bounds, positive};
use super::held::Held;
use super::key::Key;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::time::Timestamp;
use std::time::Duration;

/// Holds an event back until no other of its key has come for this time; an earlier one that it
/// takes the place of ends here. At the end of the stream what is held goes on at once.
///
/// It holds an event for each key, of [10,000,000 keys](Bounds::KEYS) and in
/// [256 MiB](Bounds::BYTES) at most: an event for which there is no room is rejected.
#[derive(Debug)]
pub struct Debounce {
    quiet: Duration,
    key: Key,
    held: Held,
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
            held: Held::default(),
        })
    }

    /// The same node with these bounds. A key has one event, so the lesser of `max_keys` and
    /// `max_events` counts.
    ///
    /// # Errors
    /// A bound of zero.
    pub fn bounds(mut self, bounds: Bounds) -> Result<Self> {
        self.held.bound(bounds, "debounce")?;
        Ok(self)
    }
}

impl Node for Debounce {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(Debounce {
            key: self.key.clone(),
            held: self.held.take_all(),
            ..*self
        }))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let mut old = state.downcast::<Self>()?;
        if old.key != self.key {
            return Err(old);
        }
        old.held.shift(old.quiet, self.quiet);
        self.held.put_all(old.held);
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        self.held.next()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let latest = cx.now().saturating_add(self.quiet);
        self.held.emit_due(latest, cx);
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.held.emit_all(cx);
        Ok(())
    }
}

impl Pipeline for Debounce {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let due = cx.now().saturating_add(self.quiet);
        self.held.put(self.key.of(event)?, event, due, true)
    }
}
