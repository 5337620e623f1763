//! Events, a while later.

use super::bounds::{Bounds, Most, positive};
use super::part::Part;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// How many events it holds, by default.
const EVENTS: usize = 1_000_000;

/// The capacity that is kept.
const SMALL: usize = 1_024;

/// Lets every event go on this long after it came, in the same order. At the end of the stream
/// what is left goes on at once.
///
/// What it holds is not bounded by a link: as many events as come in the time, 1,000,000 and
/// [256 MiB](Bounds::BYTES) at most. An event beyond that is rejected.
#[derive(Debug)]
pub struct Delay {
    time: Duration,
    most: Most,
    held: VecDeque<(Timestamp, Event)>,
    /// Of what is held.
    bytes: usize,
}

impl Delay {
    /// A delay of this time.
    ///
    /// # Errors
    /// A time of zero.
    pub fn new(time: Duration) -> Result<Self> {
        Ok(Delay {
            time: positive(time, "delay")?,
            most: Most {
                events: EVENTS,
                ..Most::default()
            },
            held: VecDeque::new(),
            bytes: 0,
        })
    }

    /// How many events it holds at most: the bound `max_events`.
    ///
    /// # Errors
    /// None at all.
    pub fn limit(self, events: usize) -> Result<Self> {
        self.bounds(Bounds::new().max_events(events))
    }

    /// The same node with these bounds: `max_events`, `max_bytes`.
    ///
    /// # Errors
    /// A bound of zero, or another one.
    pub fn bounds(mut self, bounds: Bounds) -> Result<Self> {
        self.most = bounds.of("delay", &["max_events", "max_bytes"], self.most)?;
        Ok(self)
    }

    /// Emits what is due by then, or a part of it.
    fn emit_until(&mut self, until: Timestamp, cx: &mut Context<'_>) {
        let mut part = Part::default();
        while !part.is_full()
            && let Some((_, event)) = self.held.pop_front_if(|(at, _)| *at <= until)
        {
            let size = event.size();
            part.add(size);
            self.bytes -= size;
            cx.emit(event);
        }
        // What came in a rush is not kept room for.
        if self.held.capacity() > SMALL.max(self.held.len() * 8) {
            self.held.shrink_to(self.held.len() * 2);
        }
    }
}

impl Node for Delay {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(Delay {
            held: std::mem::take(&mut self.held),
            bytes: std::mem::take(&mut self.bytes),
            ..*self
        }))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let mut old = state.downcast::<Self>()?;
        for (at, _) in &mut old.held {
            *at = at.saturating_add(self.time).saturating_sub(old.time);
        }
        (self.held, self.bytes) = (old.held, old.bytes);
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        self.held.front().map(|(at, _)| *at)
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        // Where the clock was set back.
        let latest = now.saturating_add(self.time);
        let late = self.held.iter_mut().rev();
        late.take_while(|(at, _)| *at > latest)
            .for_each(|(at, _)| *at = latest);
        self.emit_until(now, cx);
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.emit_until(Timestamp::MAX, cx);
        if !self.held.is_empty() {
            cx.call_again();
        }
        Ok(())
    }
}

impl Pipeline for Delay {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if self.held.len() >= self.most.events {
            let error = format!("{} events are delayed already", self.most.events);
            return Err(Error::data(error).with_hint("the option max_events allows more"));
        }
        let event = event.compact();
        let size = event.size();
        self.most.check_bytes(self.bytes, size)?;
        self.bytes += size;
        let due = cx.now().saturating_add(self.time);
        self.held.push_back((due, event));
        Ok(())
    }
}
