//! Events that differ from the one before.

use super::bounds::{Bounds, Most, positive};
use super::key::Key;
use super::keys::Keys;
use crate::ack::{Outcome, Token};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// Lets an event pass when the values of some fields are not those of the last event of its key,
/// and drops it otherwise, with the reason `unchanged`. The first one passes.
///
/// It keeps a hash for each key until its time to forget is over, of [10,000,000 keys](Bounds::KEYS) at
/// most: then the one that came longest ago is forgotten, and its next event passes.
///
/// The values of an event that failed behind this node are forgotten with their key: the same event
/// passes if it is sent again.
#[derive(Debug)]
pub struct Changed {
    values: Key,
    key: Key,
    /// How long a key is remembered without an event.
    forget: Option<Duration>,
    most: Most,
    last: Keys<Last>,
    /// The keys of events that passed and whose outcome is not known.
    under_way: HashMap<Token, u128>,
}

/// The values of the last event of a key.
#[derive(Debug)]
struct Last {
    value: [u64; 2],
    /// The event that brought them, while its outcome is not known.
    token: Option<Token>,
}

impl Changed {
    /// A node that looks at these fields.
    ///
    /// # Errors
    /// No field to look at, a time of zero.
    pub fn new(values: Key, key: Key, forget: Option<Duration>) -> Result<Self> {
        if values.is_none() {
            let error = Error::data("a node for changes needs at least one field to compare");
            return Err(error.with_hint("write by = {\"field\"}"));
        }
        Ok(Changed {
            values,
            key,
            forget: forget.map(|time| positive(time, "memory")).transpose()?,
            most: Most::default(),
            last: Keys::default(),
            under_way: HashMap::new(),
        })
    }

    /// The same node with these bounds: `max_keys`.
    ///
    /// # Errors
    /// A bound of zero, or another one.
    pub fn bounds(mut self, bounds: Bounds) -> Result<Self> {
        self.most = bounds.of("node for changes", &["max_keys"], self.most)?;
        Ok(self)
    }
}

impl Node for Changed {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(Changed {
            values: self.values.clone(),
            key: self.key.clone(),
            last: std::mem::take(&mut self.last),
            under_way: std::mem::take(&mut self.under_way),
            ..*self
        }))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let mut old = state.downcast::<Self>()?;
        if old.key != self.key || old.values != self.values {
            return Err(old);
        }
        // Where one of the two forgets nothing, a key is due after its next event.
        if let (Some(from), Some(to)) = (old.forget, self.forget) {
            old.last.shift(from, to);
        }
        (self.last, self.under_way) = (old.last, old.under_way);
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        self.last.next().filter(|at| *at < Timestamp::MAX)
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while self.last.pop(cx.now()).is_some() {}
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        let Some(key) = self.under_way.remove(&token) else {
            return Ok(());
        };
        if outcome == Outcome::Failed
            && let Some(last) = self.last.get_mut(key)
            && last.token == Some(token)
        {
            self.last.take(key);
        }
        Ok(())
    }
}

impl Pipeline for Changed {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let (key, value) = (self.key.of(event)?, self.values.compared(event)?);
        // No byte is lost to alignment.
        let value = [(value >> 64) as u64, value as u64];
        let due = self
            .forget
            .map_or(Timestamp::MAX, |time| cx.now().saturating_add(time));
        let before = self.last.take(key);
        let is_same = before.as_ref().is_some_and(|last| last.value == value);
        let token = match before {
            Some(last) if is_same => {
                cx.drop_event("unchanged");
                last.token
            }
            _ if event.is_tracked() => {
                let token = cx.emit_tracked(event.clone());
                self.under_way.insert(token, key);
                Some(token)
            }
            _ => {
                cx.pass();
                None
            }
        };
        self.last.put(key, due, Last { value, token });
        if self.last.len() > self.most.keys {
            self.last.pop(Timestamp::MAX);
            cx.let_go("max_keys is reached: the oldest key is removed", 1);
        }
        Ok(())
    }
}
