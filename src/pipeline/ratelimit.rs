//! At most one event in a time.

use crate::ack::{Outcome, Token};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// Lets an event pass when at least the interval lies between its time and that of the last one
/// that passed; drops the others, with the reason `rate limit`.
///
/// It goes by the events' own times, so neither a slow sink nor a late thread makes the rate drift.
/// An event that failed behind this node does not count: it passes if it is sent again, unless another
/// one has passed.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    last: Option<Timestamp>,
    /// Events that passed and whose outcome is not known: their times, and that of the one before.
    under_way: HashMap<Token, (Timestamp, Option<Timestamp>)>,
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
                under_way: HashMap::new(),
            }),
        }
    }
}

impl Node for RateLimit {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let (last, under_way) = (self.last.take(), std::mem::take(&mut self.under_way));
        Some(Box::new(RateLimit {
            last,
            under_way,
            ..*self
        }))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<Self>()?;
        (self.last, self.under_way) = (old.last, old.under_way);
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        if let Some((time, before)) = self.under_way.remove(&token)
            && outcome == Outcome::Failed
            && self.last == Some(time)
        {
            self.last = before;
        }
        Ok(())
    }
}

impl Pipeline for RateLimit {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let time = event.time();
        // A clock that was set back counts like one that went on.
        let near = |last: Timestamp| time.since(last).max(last.since(time)) < self.interval;
        if self.last.is_some_and(near) {
            cx.drop_event("rate limit");
            return Ok(());
        }
        let before = self.last.replace(time);
        if event.is_tracked() {
            let token = cx.emit_tracked(event.clone());
            self.under_way.insert(token, (time, before));
        } else {
            cx.pass();
        }
        Ok(())
    }
}
