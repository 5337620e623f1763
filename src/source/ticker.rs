//! A source that ticks.

use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use crate::time::Timestamp;
use serde_json::json;
use std::time::Duration;

/// Emits an event at every interval, the first one an interval after the start:
/// `{"tick":1,"time":"2026-11-23T20:10:00.5Z"}`. The event's time is the instant that was due, so
/// that ticks do not drift; instants that passed while the node was held up are left out.
#[derive(Debug)]
pub struct Ticker {
    interval: Duration,
    due: Option<Timestamp>,
    count: u64,
}

impl Ticker {
    /// A ticker of this interval.
    ///
    /// # Errors
    /// An interval of zero.
    pub fn new(interval: Duration) -> Result<Self> {
        match interval.as_micros() {
            0 => Err(Error::data(
                "bad interval of a ticker: it must be more than zero",
            )),
            _ => Ok(Ticker {
                interval,
                due: None,
                count: 0,
            }),
        }
    }
}

impl Node for Ticker {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let (interval, due, count) = (self.interval, self.due, self.count);
        Some(Box::new(Ticker {
            interval,
            due,
            count,
        }))
    }

    /// The next tick comes an interval after the last one.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<Self>()?;
        let last = old.due.map(|due| due.saturating_sub(old.interval));
        self.due = last.map(|last| last.saturating_add(self.interval));
        self.count = old.count;
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        self.due
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        let Some(due) = self.due.filter(|due| *due <= now) else {
            return Ok(());
        };
        self.count += 1;
        let payload = json!({"tick": self.count, "time": due.to_string()});
        cx.emit(Event::new(payload, due));
        let next = due.saturating_add(self.interval);
        self.due = Some(if next > now {
            next
        } else {
            now.saturating_add(self.interval)
        });
        Ok(())
    }
}

impl Source for Ticker {
    /// There is nothing to read; the first call sets the first tick, and a later one sets it again
    /// where the clock was set back.
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        let next = cx.now().saturating_add(self.interval);
        if self.due.is_none_or(|due| due > next) {
            self.due = Some(next);
        }
        Ok(ReadStatus::Idle)
    }
}
