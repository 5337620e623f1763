//! The last event of each key, held until it is due.

use super::bounds::{Bounds, Most};
use super::keys::Keys;
use super::part::Part;
use crate::ack::Outcome;
use crate::error::Result;
use crate::event::Event;
use crate::node::Context;
use crate::time::Timestamp;
use std::time::Duration;

/// One event for each key, bounded by their number and bytes. An event that another one of its key
/// takes the place of is delivered.
#[derive(Debug, Default)]
pub(super) struct Held {
    events: Keys<Event>,
    bytes: usize,
    most: Most,
}

impl Held {
    /// Bounds what is held; each key has one event.
    ///
    /// # Errors
    /// A bound of zero.
    pub fn bound(&mut self, bounds: Bounds, node: &str) -> Result<()> {
        let known = ["max_keys", "max_events", "max_bytes"];
        self.most = bounds.of(node, &known, self.most)?;
        self.most.keys = self.most.keys.min(self.most.events);
        Ok(())
    }

    /// Holds an event in place of the last one of its key. What is held of a key is due at the instant
    /// of its first event, or, where that is `renewed`, of its last.
    ///
    /// # Errors
    /// No room for one more key, or for the bytes of the event.
    pub fn put(&mut self, key: u128, event: &Event, due: Timestamp, renewed: bool) -> Result<()> {
        let event = event.compact();
        let size = event.size();
        let Some(held) = self.events.get_mut(key) else {
            self.most.check_keys(self.events.len())?;
            self.most.check_bytes(self.bytes, size)?;
            self.bytes += size;
            self.events.put(key, due, event);
            return Ok(());
        };
        let others = self.bytes - held.size();
        self.most.check_bytes(others, size)?;
        self.bytes = others + size;
        std::mem::replace(held, event).settle(Outcome::Delivered);
        if renewed {
            self.events.renew(key, due);
        }
        Ok(())
    }

    /// Everything that is held, which is not held here any more.
    pub fn take_all(&mut self) -> Held {
        Held {
            events: std::mem::take(&mut self.events),
            bytes: std::mem::take(&mut self.bytes),
            most: self.most,
        }
    }

    /// Holds what was held elsewhere, where nothing is held yet; the bounds stay.
    pub fn put_all(&mut self, other: Held) {
        (self.events, self.bytes) = (other.events, other.bytes);
    }

    /// Has all that is due `from` after an instant be due `to` after it.
    pub fn shift(&mut self, from: Duration, to: Duration) {
        self.events.shift(from, to);
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.events.next()
    }

    /// Emits what is due by now, or a part of it; nothing is due later than `latest`.
    pub fn emit_due(&mut self, latest: Timestamp, cx: &mut Context<'_>) {
        self.events.hasten(latest);
        self.emit_until(cx.now(), cx);
    }

    /// Emits everything, in parts.
    pub fn emit_all(&mut self, cx: &mut Context<'_>) {
        self.emit_until(Timestamp::MAX, cx);
        if self.events.len() > 0 {
            cx.call_again();
        }
    }

    fn emit_until(&mut self, until: Timestamp, cx: &mut Context<'_>) {
        let mut part = Part::default();
        while !part.is_full()
            && let Some(event) = self.events.pop(until)
        {
            let size = event.size();
            part.add(size);
            self.bytes -= size;
            cx.emit(event);
        }
    }
}
