//! Events, a while later.

use super::due::positive;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// Lets every event go on this long after it came, in the same order. At the end of the stream
/// what is left goes on at once.
///
/// What it holds is not bounded by a link: as many events as come in the time, up to a limit of 1,000,000
/// (see [`Delay::limit`]). An event beyond that is rejected.
#[derive(Debug)]
pub struct Delay {
    time: Duration,
    limit: usize,
    held: VecDeque<(Timestamp, Event)>,
}

impl Delay {
    /// A delay of this time.
    ///
    /// # Errors
    /// A time of zero.
    pub fn new(time: Duration) -> Result<Self> {
        Ok(Delay {
            time: positive(time, "delay")?,
            limit: 1_000_000,
            held: VecDeque::new(),
        })
    }

    /// How many events it holds at most.
    ///
    /// # Errors
    /// None at all.
    pub fn limit(mut self, events: usize) -> Result<Self> {
        if events == 0 {
            return Err(Error::data(
                "bad limit of a delay: it must be more than zero",
            ));
        }
        self.limit = events;
        Ok(self)
    }
}

impl Node for Delay {
    fn wake(&self) -> Option<Timestamp> {
        self.held.front().map(|(at, _)| *at)
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        // Where the clock was set back.
        let latest = now.after(self.time);
        let late = self.held.iter_mut().rev();
        late.take_while(|(at, _)| *at > latest)
            .for_each(|(at, _)| *at = latest);
        while self.held.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, event)) = self.held.pop_front() {
                cx.emit(event);
            }
        }
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let held = self.held.drain(..);
        held.for_each(|(_, event)| cx.emit(event));
        Ok(())
    }
}

impl Pipeline for Delay {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if self.held.len() >= self.limit {
            let error = format!("{} events are delayed already", self.limit);
            return Err(Error::data(error).with_hint("its option limit allows more"));
        }
        let due = cx.now().after(self.time);
        self.held.push_back((due, event.clone()));
        Ok(())
    }
}
