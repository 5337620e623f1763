//! At most one event in a time.

use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::time::Timestamp;
use std::time::Duration;

/// Lets an event pass when at least the interval lies between its time and that of the last one
/// that passed; drops the others, with the reason `rate limit`.
///
/// It goes by the events' own times, so neither a slow sink nor a late thread makes the rate drift.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    last: Option<Timestamp>,
}

impl RateLimit {
    /// A limit of one event in this time.
    ///
    /// # Errors
    /// An interval of zero.
    pub fn new(interval: Duration) -> Result<Self> {
        match interval.as_micros() {
            0 => Err(Error::data(
                "bad interval of a rate limit: it must be more than zero",
            )),
            _ => Ok(RateLimit {
                interval,
                last: None,
            }),
        }
    }
}

impl Node for RateLimit {}

impl Pipeline for RateLimit {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let time = event.time();
        // A clock that was set back counts like one that went on.
        let near = |last: Timestamp| time.since(last).max(last.since(time)) < self.interval;
        if self.last.is_some_and(near) {
            cx.drop("rate limit");
        } else {
            self.last = Some(time);
            cx.pass();
        }
        Ok(())
    }
}
