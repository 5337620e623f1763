//! The window node: rows come in and leave, and the rows of the answer that this changes are emitted.
//!
//! For each event, in one transaction with the others of its batch: the clock moves, rows that have left
//! by then are taken out, the row is inserted, and the answer is brought up to date by the plan. When
//! the timer wakes the node, the same happens without a row.
//!
//! The parts of a window, each with its own state:
//!
//! - `clock` — system or event time, and the time of a row.
//! - `storage` — the table: what is stored, and what must be kept of it.
//! - `batch` — what changes within a batch, and is restored when the batch is rolled back.
//! - `emitter` — events on their way out; `event_key` — which of them answer an event that comes again.
//!
//! What it does with them:
//!
//! - `feeding` — one event: its row, its answer, and what becomes of both where one fails.
//! - `catching_up` — the state after opening, and rows that others have inserted.
//! - `inserting` — rows come in; `evicting` — rows leave, and are deleted.
//! - `answering` — the rows of the answer, by the mode and the plan; `asking` — from the database.
//! - `closing` — windows close.
//! - `handing_over` — a window that is replaced, and its successor.
//! - `verifying`, `comparing` — on a share of the events, the answer is compared with that of the whole
//!   query.

mod answering;
mod asking;
mod batch;
mod catching_up;
mod clock;
mod closing;
mod comparing;
mod emitter;
mod event_key;
mod evicting;
mod feeding;
mod handing_over;
mod inserting;
mod storage;
mod verifying;

use super::emission::ScopeName;
use super::explain::Explanation;
use super::failing::FailingGroups;
use super::kind::{WindowBounds, WindowRules};
use super::options::{Emit, Plan, TimeDomain};
use super::outline::WindowOutline;
use super::state::GroupIndex;
use super::strategy::Queries;
use super::strategy::incremental::IncrementalState;
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::node::{Context, Handover, Loss, Node, Outline};
use crate::store::{Binding, Connection, Database, Row, Store};
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;

pub(super) use batch::Batch;
pub(super) use clock::{TimeColumn, WindowClock};
pub(super) use emitter::Emitter;
use event_key::EventKey;
pub(super) use handing_over::FormerWindow;
pub(super) use storage::{Storage, StorageParts};
pub(super) use verifying::Verification;

/// The port of rows that came too late.
pub(super) const LATE: &str = "late";

/// Inserts each event into a table, keeps the answer of a query over the rows of the window up to
/// date, and emits the rows of it that its mode selects.
///
/// Rows that are too late for their window leave by the port `late`. A second event with the same
/// key is not inserted again, and answered all the same. An event whose query fails (too many rows, too
/// long, a sum that overflows because of it) is rejected, and its row is not kept.
pub struct Window {
    pub(super) database: Database,
    pub(super) connection: Option<Connection>,
    /// The name of the window in the log.
    pub(super) name: String,
    pub(super) explanation: Explanation,
    pub(super) rules: WindowRules,
    pub(super) clock: WindowClock,
    pub(super) storage: Storage,
    pub(super) answering: Answering,
    pub(super) verification: Verification,
    pub(super) batch: Batch,
    pub(super) emitter: Emitter,
    pub(super) current: CurrentEvent,
    /// What a successor has to know of it.
    pub(super) outline: Arc<WindowOutline>,
    /// The name under which a database on disk keeps what it emits.
    pub(super) scope: Option<ScopeName>,
    /// Whether it may lack rows when it replaces another window.
    pub(super) accepts_loss: bool,
    /// What it has taken of the window that it replaces, until it begins.
    pub(super) former: Option<Box<FormerWindow>>,
}

opaque_debug!(Window, name);

/// How the answer is kept up to date, and what is emitted of it.
pub(super) struct Answering {
    pub emit: Emit,
    pub plan: Plan,
    pub queries: Queries,
    /// The running state, under the plan `incremental`.
    pub incremental: Option<IncrementalState>,
    /// Whether the query has fields of the event as parameters.
    pub uses_event: bool,
    pub failing: FailingGroups,
}

/// What belongs to the current event.
#[derive(Default)]
pub(super) struct CurrentEvent {
    /// The groups of the state that it touches.
    pub touched: Vec<GroupIndex>,
    /// Whether anything was changed for it: its row could be read.
    pub row_taken: bool,
}

/// An event, or a wake by the timer, to the answer.
struct Update<'a> {
    now: Timestamp,
    event: Option<&'a Event>,
    row: Option<&'a Row<'a>>,
    /// The time of the row, where windows go by time.
    time: Option<Timestamp>,
    /// Whether groups may have changed that the event does not touch: some row has left, or nothing is
    /// known yet.
    whole: bool,
    /// The event's key, where the event may come again.
    key: Option<&'a EventKey<'a>>,
}

impl<'a> Update<'a> {
    /// The fields of the event, where the query has some of them as parameters.
    fn fields(&self, uses_event: bool) -> Result<Option<&'a Map<String, Value>>> {
        match self.event {
            Some(event) if uses_event => event.payload().object().map(Some),
            _ => Ok(None),
        }
    }
}

impl Window {
    /// How the answer is kept up to date, and why.
    pub fn explain(&self) -> Explanation {
        self.explanation.clone()
    }

    fn connection(connection: &mut Option<Connection>) -> Result<&mut Connection> {
        connection
            .as_mut()
            .ok_or_else(|| Error::new(ErrorKind::Failed, "the window is not open"))
    }

    /// The instant up to which windows have closed. A window stays closed when the clock is set back.
    fn closed_by(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_micros(self.emitter.emission.closed()))
    }

    /// Whether no window takes a row of this time any more.
    fn is_late(&self, time: Timestamp, now: Timestamp) -> bool {
        let (closed, domain) = (self.closed_by(now), self.clock.domain);
        self.rules.is_late(time, now, closed, domain)
    }

    /// What a query over a window is run with.
    fn binding<'a>(
        &self,
        now: Timestamp,
        window: Option<WindowBounds>,
        event: Option<&'a Map<String, Value>>,
    ) -> Binding<'a> {
        Binding {
            now,
            event,
            window: Some(self.rules.interval(now, window)),
            keys: &[],
        }
    }
}

impl Node for Window {
    fn claims(&self) -> Vec<Claim> {
        self.database.claim().into_iter().collect()
    }

    fn ports(&self) -> Vec<String> {
        vec![LATE.to_owned()]
    }

    fn open(&mut self) -> Result<()> {
        // The old one first: it may hold a transaction.
        self.connection = None;
        let connection = self.connection.insert(self.database.connection()?);
        let former = self.former.as_deref();
        self.storage
            .open(&self.database, former.map(FormerWindow::storage))?;
        self.outline.facts.set_stored(self.storage.stored);
        if self.storage.stored {
            connection.subscribe(&self.storage.table);
            let by_event = self.clock.domain == TimeDomain::Event && former.is_none();
            if let (true, Some(column)) = (by_event, &self.clock.column) {
                let latest = connection.latest(&self.storage.table, &column.name);
                self.clock.latest = latest.map_err(|error| self.database.named(error))?;
            }
        }
        if former.is_some() && self.emitter.emission.is_kept() {
            // The one that is replaced may not have remembered.
            connection.make_emitted()?;
        }
        let opened = self.emitter.emission.open(connection);
        opened.map_err(|error| self.database.named(error))?;
        self.batch.open();
        Ok(())
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if let Some(error) = self.batch.spoiled.take() {
            return Err(error);
        }
        let mut wrote = false;
        if let Some(connection) = &mut self.connection {
            wrote = self.emitter.emission.write(connection, cx.now())?;
            connection.commit()?;
            // Rows whose keys were in the table already: only the table has their values.
            self.batch.progress.stale |= connection.take_duplicates();
        }
        self.emitter.emission.commit(wrote);
        self.batch.commit();
        self.clock.commit();
        self.outline.facts.set_now(self.clock.watermark.current());
        Ok(())
    }

    fn rollback(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.rollback();
        }
        // Rows that are not stored stay in the state, and so do the rows emitted because of them.
        if self.storage.stored {
            self.emitter.discard();
        }
        self.emitter.emission.rollback();
        self.clock.rollback();
        self.batch.rollback(self.storage.stored);
    }

    fn wake(&self) -> Option<Timestamp> {
        if self.batch.progress.stale || self.emitter.has_outputs() {
            return Some(Timestamp::from_micros(i64::MIN));
        }
        let instant = self.next().filter(|next| *next < i64::MAX);
        let instant = instant.map(Timestamp::from_micros);
        let by_time = instant.and_then(|instant| self.clock.wakes_at(instant));
        by_time
            .into_iter()
            .chain(self.emitter.emission.wake())
            .min()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.batch.active = true;
        let connection = Self::connection(&mut self.connection)?;
        self.emitter.emission.look(connection, cx.now())?;
        self.emitter.emit_due(cx.now());
        let more = self.catch_up(cx)?;
        let Some(now) = self.clock.now(cx) else {
            self.emitter.send(cx);
            return Ok(());
        };
        let is_due = self.next().is_some_and(|next| next <= now.as_micros());
        let left = self.move_to(now, cx.now())?;
        if !(more || left || is_due) {
            // Woken for its outbox alone: what a query finds does not depend on that.
            self.emitter.send(cx);
            return Ok(());
        }
        let update = Update {
            now,
            event: None,
            row: None,
            time: None,
            whole: more || left,
            key: None,
        };
        let answered = self.answer(&update, &[]);
        answered.or_else(|error| self.reject_now(now, error))?;
        self.reject_failing(now)?;
        self.emitter.send(cx);
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        self.emitter.emission.settle(token, outcome, cx.now());
        Ok(())
    }

    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(self.give_state())
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        self.take_state(state.downcast::<FormerWindow>()?)
            .map_err(|state| state as Handover)
    }

    fn outline(&self) -> Option<Outline> {
        Some(self.outline.clone())
    }

    fn loss(&self, replaced: &Outline, now: Timestamp) -> Option<Loss> {
        let replaced = replaced.downcast_ref::<WindowOutline>();
        let replaced = replaced.filter(|_| !self.accepts_loss)?;
        self.outline.loss(replaced, now)
    }

    fn accept_loss(&mut self) {
        self.accepts_loss = true;
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.emitter.emission.end();
        // Open windows on disk are there after a restart; those in memory would be lost.
        if self.rules.kind.closes() && self.database.is_memory() {
            self.start(cx)?;
            self.close(Timestamp::from_micros(i64::MAX))?;
            self.emitter.send(cx);
        }
        Ok(())
    }
}
