//! Events that say something new.

use super::due::{Due, positive};
use super::key::Key;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::time::Timestamp;
use std::time::Duration;

/// Lets an event pass when the values of some fields are not those of the last event of its key,
/// and drops it otherwise, with the reason `unchanged`. The first one passes.
#[derive(Debug)]
pub struct Changed {
    values: Key,
    key: Key,
    /// How long a key is remembered without an event.
    forget: Option<Duration>,
    last: Due<u128>,
}

impl Changed {
    /// A node that looks at these fields.
    ///
    /// # Errors
    /// No field to look at, a time of zero.
    pub fn new(values: Key, key: Key, forget: Option<Duration>) -> Result<Self> {
        if values.is_none() {
            return Err(Error::data("a node for changes needs at least one field"));
        }
        Ok(Changed {
            values,
            key,
            forget: forget.map(|time| positive(time, "memory")).transpose()?,
            last: Due::default(),
        })
    }
}

impl Node for Changed {
    fn wake(&self) -> Option<Timestamp> {
        self.last.next().filter(|at| *at < Timestamp::MAX)
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while self.last.pop(cx.now()).is_some() {}
        Ok(())
    }
}

impl Pipeline for Changed {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let (key, value) = (self.key.of(event)?, self.values.of(event)?);
        let due = self
            .forget
            .map_or(Timestamp::MAX, |time| cx.now().after(time));
        match self.last.put(key, due, value) {
            Some(before) if before == value => cx.drop("unchanged"),
            _ => cx.pass(),
        }
        Ok(())
    }
}
