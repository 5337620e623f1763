//! The window node: rows come in and leave, and what their groups say of it is emitted.
//!
//! For each event, in one transaction with the others of its batch: the clock moves, what has left
//! by then is taken out, the row is inserted, and the answer is brought up to date by the plan. By
//! time alone the same happens without a row, when the timer wakes the node.
//!
//! - `feeding` — one event: its row, its answer, and what becomes of both where one fails.
//! - `rows` — rows come in, leave, and are deleted; windows end.
//! - `answering` — what is emitted of the answer.
//! - `time` — the time of a row.
//! - `verifying` — on a share of the events, the answer is held against that of the whole query.

mod answering;
mod feeding;
mod rows;
mod time;
mod verifying;

use super::emission::{Emission, OutboxEntry};
use super::explain::Explanation;
use super::failing::FailingGroups;
use super::kind::{WindowKind, WindowRules};
use super::options::{Emit, Plan, TimeDomain};
use super::strategy::Queries;
use super::strategy::incremental::IncrementalState;
use super::watermark::Watermark;
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::node::{Context, Node};
use crate::store::{
    Binding, Database, Datum, Hold, Interval, Last, Row, RowReader, Session, Store, Table, Use,
};
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// The port of rows that came too late.
pub(super) const LATE: &str = "late";

/// Inserts each event into a table, keeps the answer of a query over the rows of the window up to
/// date, and emits of it what is asked for.
///
/// Rows that are too late for their window leave by the port `late`. A second event with the same
/// key is not inserted again, and answered all the same. An event that the query cannot answer (too
/// many rows, too long, a sum that overflows because of it) is rejected, and its row is not kept.
pub struct Window {
    pub(super) database: Database,
    pub(super) table: Arc<Table>,
    pub(super) reader: Arc<RowReader>,
    /// The place of the time column.
    pub(super) time: Option<usize>,
    pub(super) rules: WindowRules,
    pub(super) clock: TimeDomain,
    pub(super) emit: Emit,
    pub(super) plan: Plan,
    pub(super) queries: Queries,
    pub(super) incremental: Option<IncrementalState>,
    pub(super) watermark: Watermark,
    /// The same before the batch: one that is fed again is no later for that.
    pub(super) watermark_before: Watermark,
    pub(super) emission: Emission,
    pub(super) hold: Option<Arc<Hold>>,
    /// Of a window of the last so many rows.
    pub(super) last: Option<Arc<Last>>,
    pub(super) verify: Verification,
    pub(super) explanation: Explanation,
    /// What it is called in the log.
    pub(super) name: String,
    /// Whether a time far from the clock was logged.
    pub(super) far: bool,
    /// Whether the query asks for fields of the event.
    pub(super) asks: bool,
    /// Whether rows are stored: decided when the node opens.
    pub(super) stored: bool,
    /// Whether the tables are as we make them.
    pub(super) exact: bool,
    /// Whether they may be kept to the window, where nobody else names the table.
    pub(super) may_keep: bool,
    pub(super) used: Arc<Use>,
    /// The latest row that was there when the node was opened.
    pub(super) latest: Option<Timestamp>,
    /// The keys of the rows of a window of the last so many, as they came.
    pub(super) arrivals: VecDeque<Box<[Datum]>>,
    /// When others had committed last, as far as the database tells.
    pub(super) version: Option<u64>,
    pub(super) session: Option<Session>,
    /// The key of the event in hand, as bytes.
    pub(super) bytes: Vec<u8>,
    /// The groups that the event in hand touches.
    pub(super) touched: Vec<u32>,
    /// What leaves once the event in hand, or the wake, is done with.
    pub(super) outputs: Vec<Output>,
    pub(super) failing: FailingGroups,
    /// Whether anything was done since the last commit.
    pub(super) stirred: bool,
    /// Whether anything was done for the event in hand: its row could be read.
    pub(super) row_taken: bool,
    /// The error of an event of the batch whose row must not be kept.
    pub(super) spoiled: Option<Error>,
    pub(super) progress: Progress,
    /// The same before the batch.
    pub(super) before: Progress,
}

/// What of a window changes with every event.
#[derive(Clone, Default)]
pub(super) struct Progress {
    /// The least time of the rows that are stored and in the window, as far as is known.
    pub oldest: Option<Timestamp>,
    /// When rows that others needed are to be looked for again.
    pub sweep: Option<i64>,
    /// The windows that have begun and not ended, by their end; of sessions the state knows.
    pub begun: BTreeSet<(i64, i64)>,
    /// Whether something has changed since the state was made from the table.
    pub changed: bool,
    /// Whether everything is to be looked at at the next wake.
    pub fresh: bool,
}

/// One thing that leaves the window.
pub(super) enum Output {
    Event(Event),
    /// One that waits in the outbox meanwhile; whether it was emitted before.
    Entry(Event, OutboxEntry, bool),
    Refuse(Event, Error),
}

/// On which events the answer is compared with that of the whole query.
pub(super) struct Verification {
    share: f64,
    owed: f64,
    /// What could keep the answer though another plan does: it knows how far sums may be apart.
    beside: Option<Box<IncrementalState>>,
}

impl Verification {
    fn is_due(&mut self) -> bool {
        self.owed += self.share;
        let due = self.owed >= 1.0;
        if due {
            self.owed -= 1.0;
        }
        due
    }
}

impl Verification {
    pub fn new(share: f64, beside: Option<IncrementalState>) -> Self {
        Verification {
            share,
            owed: 0.0,
            beside: beside.map(Box::new),
        }
    }
}

/// What an event or a wake is, to the answer.
struct Update<'a> {
    now: Timestamp,
    event: Option<&'a Event>,
    row: Option<&'a Row<'a>>,
    time: Option<Timestamp>,
    /// Whether time has passed for some row, or nothing is known yet: then more may have changed
    /// than what the event touches.
    whole: bool,
    /// What stands for the key of the event, where that may come again.
    key: Option<u128>,
}

impl Window {
    /// How the answer is kept up to date, and why.
    pub fn explain(&self) -> Explanation {
        self.explanation.clone()
    }

    fn session(session: &mut Option<Session>) -> Result<&mut Session> {
        session
            .as_mut()
            .ok_or_else(|| Error::new(ErrorKind::Failed, "the window is not open"))
    }

    /// The window's instant for a row that has come.
    fn now_for(&mut self, time: Option<Timestamp>, cx: &Context<'_>) -> Timestamp {
        match (self.clock, time) {
            (TimeDomain::Event, Some(time)) => {
                // The network's clock says who is silent for how long, where that matters.
                let now = match self.watermark.goes_by_clock() {
                    true => cx.now(),
                    false => time,
                };
                self.watermark.observe(cx.input(), cx.inputs(), time, now);
                self.watermark.current().unwrap_or(time)
            }
            _ => cx.now(),
        }
    }

    /// The window's instant without a row.
    fn now(&mut self, cx: &Context<'_>) -> Option<Timestamp> {
        match self.clock {
            TimeDomain::System => Some(cx.now()),
            TimeDomain::Event => {
                self.watermark.refresh(cx.inputs(), cx.now());
                self.watermark.current()
            }
        }
    }

    /// Up to when windows have ended, of those that do. One that has ended stays so, also when the
    /// clock is set back.
    fn ended_by(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_micros(self.emission.closed()))
    }

    /// Whether no window takes a row of this time any more.
    fn is_late(&self, time: Timestamp, now: Timestamp) -> bool {
        match self.rules.kind {
            WindowKind::Hopping { .. } => {
                let mut open = self.rules.open_windows(time, self.ended_by(now));
                open.next().is_none()
            }
            WindowKind::Sliding(_) | WindowKind::Count(_) => {
                self.clock == TimeDomain::Event && time < now
            }
            WindowKind::Session(_) => {
                let ends = time
                    .as_micros()
                    .saturating_add(self.rules.gap().unwrap_or(0));
                ends <= self.ended_by(now).as_micros()
            }
        }
    }

    /// Whether a row that is late by the clock belongs to a session that is open.
    fn joins_open(&mut self, row: &Row<'_>, time: Timestamp) -> Result<bool> {
        match (&mut self.incremental, self.rules.kind) {
            (Some(incremental), WindowKind::Session(_)) => {
                incremental.joins_open(row, time, Self::session(&mut self.session)?)
            }
            _ => Ok(false),
        }
    }

    /// Whether a late row was in time before, and is there: its event comes once more.
    fn is_back(&mut self, row: &Row<'_>) -> Result<bool> {
        let ends = self.rules.kind.is_bounded();
        let forgets = matches!(self.emit, Emit::All | Emit::Touched);
        if ends || !forgets || self.table.key_columns().is_empty() {
            return Ok(false);
        }
        if let Some(incremental) = &mut self.incremental {
            let digest = incremental.digest(row);
            if incremental.groups.is_live(digest) {
                return Ok(true);
            }
        }
        match self.stored {
            true => Self::session(&mut self.session)?.has_row(row),
            false => Ok(false),
        }
    }

    /// What the queries are given.
    fn binding<'a>(
        &self,
        now: Timestamp,
        window: Option<(i64, i64)>,
        event: Option<&'a Map<String, Value>>,
    ) -> Binding<'a> {
        let interval = match window {
            Some((start, end)) => Interval {
                start: Timestamp::from_micros(start),
                end: Timestamp::from_micros(end),
                from: Timestamp::from_micros(start),
            },
            None => Interval {
                start: self.rules.start(now),
                end: now,
                from: self.rules.cutoff(now),
            },
        };
        Binding {
            now,
            event,
            window: Some(interval),
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
        self.session = None;
        let session = self.session.insert(self.database.session()?);
        if self.may_keep && self.stored {
            self.stored = !self.database.keep_to_itself(self.table.name(), &self.used);
        }
        if self.stored {
            session.listen(&self.table);
            if let (TimeDomain::Event, Some(at)) = (self.clock, self.time) {
                let column = &self.table.columns()[at].name;
                let latest = session.latest(&self.table, column);
                self.latest = latest.map_err(|error| self.database.named(error))?;
            }
        }
        let opened = self.emission.open(session);
        opened.map_err(|error| self.database.named(error))?;
        self.progress.fresh = true;
        self.before = self.progress.clone();
        self.spoiled = None;
        Ok(())
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if let Some(error) = self.spoiled.take() {
            return Err(error);
        }
        let mut wrote = false;
        if let Some(session) = &mut self.session {
            wrote = self.emission.write(session, cx.now())?;
            session.commit()?;
            // Rows were taken in that are another's: the table knows.
            self.progress.fresh |= session.take_known();
        }
        self.emission.commit(wrote);
        self.stirred = false;
        self.progress.changed = false;
        self.before.clone_from(&self.progress);
        if self.clock == TimeDomain::Event {
            self.watermark_before.clone_from(&self.watermark);
        }
        Ok(())
    }

    fn rollback(&mut self) {
        if let Some(session) = &mut self.session {
            session.rollback();
        }
        // Rows that are not stored are not taken back, nor is what was emitted because of them.
        if self.stored {
            for output in self.outputs.drain(..) {
                if let Output::Entry(_, entry, true) = output {
                    self.emission.put_back(entry);
                }
            }
        }
        self.stirred = false;
        self.spoiled = None;
        self.emission.rollback();
        self.watermark.clone_from(&self.watermark_before);
        let stale = self.progress.changed && self.stored;
        self.progress.clone_from(&self.before);
        self.progress.fresh |= stale;
    }

    fn wake(&self) -> Option<Timestamp> {
        if self.progress.fresh || !self.outputs.is_empty() {
            return Some(Timestamp::from_micros(i64::MIN));
        }
        let instant = self.next().filter(|next| *next < i64::MAX);
        let instant = instant.map(Timestamp::from_micros);
        let by_time = match self.clock {
            TimeDomain::System => instant,
            TimeDomain::Event => instant.and_then(|instant| self.watermark.reaches(instant)),
        };
        by_time.into_iter().chain(self.emission.wake()).min()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.stirred = true;
        self.emit_due(cx.now());
        let more = self.catch_up(cx)?;
        let Some(now) = self.now(cx) else {
            self.leave_now(cx);
            return Ok(());
        };
        let left = self.move_to(now, cx.now())?;
        let update = Update {
            now,
            event: None,
            row: None,
            time: None,
            whole: more || left,
            key: None,
        };
        let answered = self.answer(&update, &[]);
        answered.or_else(|error| self.refuse_now(now, error))?;
        self.reject_failing(now)?;
        self.leave_now(cx);
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        self.emission.settle(token, outcome, cx.now());
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.emission.end();
        // What is on disk is there when it goes on; what is in memory would never be said.
        if self.rules.kind.is_bounded() && self.database.is_memory() {
            self.start(cx)?;
            self.close(Timestamp::from_micros(i64::MAX))?;
            self.leave_now(cx);
        }
        Ok(())
    }
}
