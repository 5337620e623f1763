//! So many events in a time.

use super::bounds::{Bounds, Most, positive};
use super::key::Key;
use super::keys::Keys;
use crate::ack::{Outcome, Token};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Passes at most this many events of a key in any span of this length, and drops the others with
/// the reason `throttle`. An event that failed behind this node does not count: it passes if it is sent
/// again, unless others have taken its place.
///
/// It keeps the instants of those that passed within the interval, of
/// [10,000,000 keys](Bounds::KEYS) and of [10,000,000 events](Bounds::EVENTS) of all keys together at
/// most: an event for which there is no room is rejected.
#[derive(Debug)]
pub struct Throttle {
    count: usize,
    interval: Duration,
    key: Key,
    /// When the last ones passed; a key is forgotten when all of that is long ago.
    passed: Keys<VecDeque<Timestamp>>,
    most: Most,
    /// How many instants are kept.
    held: usize,
    /// Events that passed and whose outcome is not known: their keys, and when they passed.
    under_way: HashMap<Token, (u128, Timestamp)>,
}

impl Throttle {
    /// A throttle of this many events in this time.
    ///
    /// # Errors
    /// No event, or no time.
    pub fn new(count: usize, interval: Duration, key: Key) -> Result<Self> {
        if count == 0 {
            return Err(Error::data("a throttle passes at least one event"));
        }
        Ok(Throttle {
            count,
            interval: positive(interval, "throttle")?,
            key,
            passed: Keys::default(),
            most: Most::default(),
            held: 0,
            under_way: HashMap::new(),
        })
    }

    /// The same node with these bounds: `max_keys`, and `max_events`, the most that have passed within
    /// the interval.
    ///
    /// # Errors
    /// A bound of zero, or another one.
    pub fn bounds(mut self, bounds: Bounds) -> Result<Self> {
        self.most = bounds.of("throttle", &["max_keys", "max_events"], self.most)?;
        Ok(self)
    }

    /// Whether one more of this key may pass. What has passed before the interval is forgotten.
    fn may_pass(&mut self, key: u128, now: Timestamp) -> Result<bool> {
        let Some(passed) = self.passed.get_mut(key) else {
            self.most.check_keys(self.passed.len())?;
            return Ok(true);
        };
        let before = passed.len();
        // A clock that was set back counts like one that went on.
        passed.retain(|at| now.since(*at).max(at.since(now)) < self.interval);
        self.held -= before - passed.len();
        Ok(passed.len() < self.count)
    }
}

impl Node for Throttle {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(Throttle {
            key: self.key.clone(),
            passed: std::mem::take(&mut self.passed),
            held: std::mem::take(&mut self.held),
            under_way: std::mem::take(&mut self.under_way),
            ..*self
        }))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let mut old = state.downcast::<Self>()?;
        if old.key != self.key {
            return Err(old);
        }
        old.passed.shift(old.interval, self.interval);
        (self.passed, self.held, self.under_way) = (old.passed, old.held, old.under_way);
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        self.passed.next()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while let Some(passed) = self.passed.pop(cx.now()) {
            self.held -= passed.len();
        }
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        let Some((key, at)) = self.under_way.remove(&token) else {
            return Ok(());
        };
        if outcome == Outcome::Failed
            && let Some(passed) = self.passed.get_mut(key)
            && let Some(place) = passed.iter().position(|known| *known == at)
        {
            passed.remove(place);
            self.held -= 1;
        }
        Ok(())
    }
}

impl Pipeline for Throttle {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let (key, now) = (self.key.of(event)?, cx.now());
        if !self.may_pass(key, now)? {
            cx.drop_event("throttle");
            return Ok(());
        }
        if self.held >= self.most.events {
            let error = format!("{} events have passed in the time already", self.held);
            return Err(Error::data(error).with_hint("the option max_events allows more"));
        }
        let due = now.saturating_add(self.interval);
        match self.passed.renew(key, due) {
            Some(passed) => passed.push_back(now),
            None => {
                // Most keys have one event.
                let mut passed = VecDeque::with_capacity(1);
                passed.push_back(now);
                self.passed.put(key, due, passed);
            }
        }
        self.held += 1;
        if event.is_tracked() {
            let token = cx.emit_tracked(event.clone());
            self.under_way.insert(token, (key, now));
        } else {
            cx.pass();
        }
        Ok(())
    }
}
