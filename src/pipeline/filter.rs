//! No event twice within a time.

mod recent;

use super::bounds::{Bounds, Most};
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::store::{Database, Store};
use crate::time::Timestamp;
use recent::Recent;
use std::collections::HashMap;
use std::io;
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// What makes two events the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterKey {
    /// Equal payloads, byte for byte.
    Payload,
    /// Equal values of these fields of the JSON payload. An event that lacks one is rejected.
    Fields(Vec<String>),
}

/// Hashes what is written to it.
struct Hashed<'a>(&'a mut Xxh3);

impl io::Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FilterKey {
    fn of(&self, event: &Event) -> Result<u128> {
        match self {
            FilterKey::Payload => Ok(xxhash_rust::xxh3::xxh3_128(event.payload().bytes())),
            FilterKey::Fields(fields) => {
                let object = event.payload().object()?;
                let mut hasher = Xxh3::new();
                for field in fields {
                    let value = object.get(field).ok_or_else(|| {
                        Error::data(format!("no field {} to filter by", quote(field)))
                    })?;
                    serde_json::to_writer(Hashed(&mut hasher), value)
                        .expect("a hash takes all that is written");
                    // No JSON text has this byte, so that fields cannot run into each other.
                    hasher.update(&[0xff]);
                }
                Ok(hasher.digest128())
            }
        }
    }
}

/// Drops an event that is the same as one that passed less than the interval ago, with the reason
/// `duplicate`. The time counts from the event that passed, and is exact: once it is over, the next
/// one passes.
///
/// An event is remembered for good only once it was delivered: when it failed behind the filter,
/// the same event passes again if it is sent again. Keys are kept as 128-bit hashes, in memory, and
/// in a database too where that is [asked for](Filter::stored): then they survive a restart.
///
/// It keeps [10,000,000 keys](Bounds::KEYS) at most: then the one that passed longest ago is forgotten,
/// and the same event passes again.
pub struct Filter {
    interval: Duration,
    key: FilterKey,
    passed: Recent,
    most: Most,
    /// Events that passed and whose outcome is not known.
    under_way: HashMap<Token, (u128, Timestamp)>,
    memory: Option<Memory>,
}

opaque_debug!(Filter, interval, key);

/// Where keys are remembered beyond the life of the node.
struct Memory {
    database: Database,
    scope: String,
    store: Option<Box<dyn Store>>,
    /// Delivered, and not written yet.
    delivered: Vec<(u128, Timestamp)>,
    /// Whether there are old keys to be deleted.
    sweep: Option<Timestamp>,
}

impl Filter {
    /// A filter that keeps its keys in memory.
    ///
    /// # Errors
    /// An interval of zero, no field to filter by.
    pub fn new(interval: Duration, key: FilterKey) -> Result<Self> {
        if interval.as_micros() == 0 {
            return Err(Error::data(
                "bad interval of a filter: it must be more than zero",
            ));
        }
        if matches!(&key, FilterKey::Fields(fields) if fields.is_empty()) {
            return Err(Error::data("a filter by fields needs at least one field"));
        }
        Ok(Filter {
            interval,
            key,
            passed: Recent::default(),
            most: Most::default(),
            under_way: HashMap::new(),
            memory: None,
        })
    }

    /// The same filter with these bounds: `max_keys`.
    ///
    /// # Errors
    /// A bound of zero, or another one.
    pub fn bounds(mut self, bounds: Bounds) -> Result<Self> {
        self.most = bounds.of("filter", &["max_keys"], self.most)?;
        Ok(self)
    }

    /// The same filter, whose keys are kept in the database too, under the name `scope`, as soon
    /// as their events were delivered.
    #[must_use]
    pub fn stored(mut self, database: &Database, scope: impl Into<String>) -> Self {
        self.memory = Some(Memory {
            database: database.clone(),
            scope: scope.into(),
            store: None,
            delivered: Vec::new(),
            sweep: None,
        });
        self
    }

    /// Whether an event that passed then still keeps others out; a clock that was set back counts
    /// like one that went on.
    fn keeps_out(&self, passed: Timestamp, now: Timestamp) -> bool {
        now.since(passed).max(passed.since(now)) < self.interval
    }

    fn forget_old(&mut self, now: Timestamp) {
        while let Some(at) = self.passed.oldest() {
            if self.keeps_out(at, now) {
                break;
            }
            self.passed.forget_oldest();
        }
    }
}

impl Memory {
    fn commit(&mut self) -> Result<()> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        if self.delivered.is_empty() && self.sweep.is_none() {
            return Ok(());
        }
        store.begin()?;
        for (key, until) in &self.delivered {
            store.remember(&self.scope, &key.to_be_bytes(), *until)?;
        }
        if let Some(now) = self.sweep {
            store.forget(&self.scope, now)?;
        }
        store.commit()?;
        self.delivered.clear();
        self.sweep = None;
        Ok(())
    }
}

impl Node for Filter {
    fn close(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.store = None;
        }
    }

    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(Filter {
            interval: self.interval,
            key: self.key.clone(),
            passed: std::mem::take(&mut self.passed),
            most: self.most,
            under_way: std::mem::take(&mut self.under_way),
            memory: self.memory.as_mut().map(|memory| Memory {
                database: memory.database.clone(),
                scope: memory.scope.clone(),
                store: None,
                delivered: std::mem::take(&mut memory.delivered),
                sweep: memory.sweep.take(),
            }),
        }))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<Self>()?;
        let scope = |filter: &Self| filter.memory.as_ref().map(|memory| memory.scope.clone());
        if old.key != self.key || scope(&old) != scope(self) {
            return Err(old);
        }
        (self.passed, self.under_way) = (old.passed, old.under_way);
        if let (Some(memory), Some(old)) = (&mut self.memory, old.memory) {
            (memory.delivered, memory.sweep) = (old.delivered, old.sweep);
        }
        Ok(())
    }

    fn claims(&self) -> Vec<Claim> {
        let memory = self.memory.as_ref();
        memory
            .and_then(|memory| memory.database.claim())
            .into_iter()
            .collect()
    }

    fn open(&mut self) -> Result<()> {
        let Some(memory) = &mut self.memory else {
            return Ok(());
        };
        let first = self.passed.oldest().is_none();
        let mut store = memory.database.connect()?;
        let remembered = store.recall(&memory.scope, Timestamp::EPOCH);
        let remembered = remembered.map_err(|error| memory.database.named(error))?;
        memory.store = Some(store);
        if first {
            // They come in the order in which they end.
            for (key, until) in remembered {
                if let Ok(key) = <[u8; 16]>::try_from(key.as_slice()) {
                    let passed = until.saturating_sub(self.interval);
                    self.passed.insert(u128::from_be_bytes(key), passed);
                    // Those that end first.
                    self.passed.forget_excess(self.most.keys);
                }
            }
        }
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.memory.as_mut().map_or(Ok(()), Memory::commit)
    }

    /// What was delivered stays to be written.
    fn rollback(&mut self) {
        if let Some(store) = self
            .memory
            .as_mut()
            .and_then(|memory| memory.store.as_mut())
        {
            store.rollback();
        }
    }

    fn wake(&self) -> Option<Timestamp> {
        self.passed
            .oldest()
            .map(|at| at.saturating_add(self.interval))
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        self.forget_old(now);
        if let Some(memory) = &mut self.memory {
            memory.sweep = Some(now);
        }
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        let Some((key, at)) = self.under_way.remove(&token) else {
            return Ok(());
        };
        match (outcome, &mut self.memory) {
            // Not the entry of a later event of the same key.
            (Outcome::Failed, _) if self.passed.get(key) == Some(at) => {
                self.passed.remove(key);
            }
            (Outcome::Delivered, Some(memory)) => {
                memory
                    .delivered
                    .push((key, at.saturating_add(self.interval)));
            }
            (Outcome::Failed, _) | (Outcome::Delivered, None) => {}
        }
        Ok(())
    }
}

impl Pipeline for Filter {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let key = self.key.of(event)?;
        let now = cx.now();
        self.forget_old(now);
        if self
            .passed
            .get(key)
            .is_some_and(|at| self.keeps_out(at, now))
        {
            cx.drop_event("duplicate");
            return Ok(());
        }
        self.passed.insert(key, now);
        let forgotten = self.passed.forget_excess(self.most.keys);
        if forgotten > 0 {
            cx.let_go("max_keys is reached: the oldest key is removed", forgotten);
        }
        if event.is_tracked() || self.memory.is_some() {
            let token = cx.emit_tracked(event.clone());
            self.under_way.insert(token, (key, now));
        } else {
            cx.pass();
        }
        Ok(())
    }
}
