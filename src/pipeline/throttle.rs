//! So many events in a time.

use super::due::{Due, positive};
use super::key::Key;
use crate::ack::{Outcome, Token};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Lets at most so many events of a key pass in any span of this length, and drops the others with
/// the reason `throttle`. An event that failed behind this node does not count: it passes if it is sent
/// again, unless others have taken its place.
///
/// It keeps the instants of those that passed within the interval, of 1,000,000 keys at most: an event of
/// one more is rejected.
#[derive(Debug)]
pub struct Throttle {
    count: usize,
    interval: Duration,
    key: Key,
    /// When the last ones passed; a key is forgotten when all of that is long ago.
    passed: Due<VecDeque<Timestamp>>,
    /// Events that passed and whose outcome is not known: their keys, and when they passed.
    under_way: HashMap<Token, (u128, Timestamp)>,
}

impl Throttle {
    /// A throttle of so many events in this time.
    ///
    /// # Errors
    /// No event, or no time.
    pub fn new(count: usize, interval: Duration, key: Key) -> Result<Self> {
        if count == 0 {
            return Err(Error::data("a throttle lets at least one event pass"));
        }
        Ok(Throttle {
            count,
            interval: positive(interval, "throttle")?,
            key,
            passed: Due::default(),
            under_way: HashMap::new(),
        })
    }
}

impl Node for Throttle {
    fn wake(&self) -> Option<Timestamp> {
        self.passed.next()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while self.passed.pop(cx.now()).is_some() {}
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
        }
        Ok(())
    }
}

impl Pipeline for Throttle {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let (key, now) = (self.key.of(event)?, cx.now());
        self.passed.check_room(key)?;
        let mut passed = self.passed.take(key).unwrap_or_default();
        // A clock that was set back counts like one that went on.
        passed.retain(|at| now.since(*at).max(at.since(now)) < self.interval);
        if passed.len() < self.count {
            passed.push_back(now);
            if event.is_tracked() {
                let token = cx.emit_tracked(event.clone());
                self.under_way.insert(token, (key, now));
            } else {
                cx.pass();
            }
        } else {
            cx.drop("throttle");
        }
        let last = passed.back().copied().unwrap_or(now);
        self.passed.put(key, last.after(self.interval), passed);
        Ok(())
    }
}
