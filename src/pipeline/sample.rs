//! The last event of each interval.

use super::bounds::{Bounds, positive};
use super::held::Held;
use super::key::Key;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::time::Timestamp;
use std::time::Duration;

/// Emits, for each key, the last event of each interval; the intervals of a key begin with its
/// first event after a silence. The other events end here. At the end of the stream what is held goes
/// on at once.
///
/// It holds an event for each key, of [10,000,000 keys](Bounds::KEYS) and in
/// [256 MiB](Bounds::BYTES) at most: an event for which there is no room is rejected.
#[derive(Debug)]
pub struct Sample {
    interval: Duration,
    key: Key,
    held: Held,
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
            held: Held::default(),
        })
    }

    /// The same node with these bounds. A key has one event, so the lesser of `max_keys` and
    /// `max_events` counts.
    ///
    /// # Errors
    /// A bound of zero.
    pub fn bounds(mut self, bounds: Bounds) -> Result<Self> {
        self.held.bound(bounds, "sample")?;
        Ok(self)
    }
}

impl Node for Sample {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(Sample {
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
        old.held.shift(old.interval, self.interval);
        self.held.put_all(old.held);
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        self.held.next()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let latest = cx.now().saturating_add(self.interval);
        self.held.emit_due(latest, cx);
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.held.emit_all(cx);
        Ok(())
    }
}

impl Pipeline for Sample {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let due = cx.now().saturating_add(self.interval);
        self.held.put(self.key.of(event)?, event, due, false)
    }
}
