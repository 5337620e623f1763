//! What was emitted last, and what is emitted next because of it.
//!
//! For each group its last row is remembered, or that it has none; the mode decides which rows are
//! emitted. A row counts as emitted at once: that is committed with the rows of the table, and the
//! emitted row stays in the outbox until it is delivered.
//!
//! | | a row, was none | another row | none, was a row |
//! |---|---|---|---|
//! | changes | emits | emits | |
//! | enter | emits | | |
//! | leave | | | emits the row that was |
//!
//! - `outbox` — what was emitted and is not delivered.
//! - `inheriting` — the memory of a window that is replaced, in the hands of its successor.
//! - `session_boundaries` — sessions that the table does not tell apart.

mod inheriting;
mod outbox;
mod session_boundaries;

#[doc(hidden)]
pub use outbox::outbox_line;

use super::options::Emit;
use crate::ack::{Outcome, Token};
use crate::error::Result;
use crate::event::Event;
use crate::payload::Payload;
use crate::store::{Connection, Store};
use crate::time::Timestamp;
use outbox::Outbox;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(super) use inheriting::{Heir, ScopeName};
use inheriting::{Relocation, agree};
pub(super) use outbox::{NewEntry, OutboxEntry};
pub(super) use session_boundaries::SessionBoundaries;

/// The name under which a database keeps up to when windows have closed. Group ids begin with a bracket.
const CLOSED: &str = "closed";

/// The id of a group: its key, and the start of its window where windows close, as a JSON array.
pub(super) type GroupId = Arc<str>;

/// The memory of what was emitted.
pub(super) struct Emission {
    mode: Emit,
    /// The name under which a database on disk keeps the memory, where the database is on disk.
    scope: Option<Arc<str>>,
    /// Whether more is kept there than the outbox.
    remembers: bool,
    last: HashMap<GroupId, LastRow>,
    /// Up to when windows have closed, in microseconds.
    closed: i64,
    /// `closed` before the batch.
    closed_before: i64,
    boundaries: SessionBoundaries,
    /// What this batch has changed in `last`: the groups, and their rows before.
    before: Vec<(GroupId, Option<LastRow>)>,
    outbox: Outbox,
    /// Whether no more input comes.
    ended: bool,
    /// Whether rows may be remembered that a window with other columns has emitted.
    mixed: bool,
    /// What is to be done to the memory in the database, with the next commit.
    relocation: Option<Relocation>,
}

/// The row of a group that was emitted last, or was there last.
#[derive(Clone)]
struct LastRow {
    row: Payload,
    /// The order of its entry in the outbox.
    order: u64,
    /// Whether its columns may be others: a window that was replaced has emitted it.
    inherited: bool,
}

impl Emission {
    /// The memory of a window of this mode, with the name under which a database on disk keeps it;
    /// `boundaries`: whether its windows are sessions.
    pub fn new(mode: Emit, scope: Option<Arc<str>>, boundaries: bool) -> Self {
        Emission {
            mode,
            remembers: Self::keeps_more(mode, boundaries),
            scope,
            last: HashMap::new(),
            closed: i64::MIN,
            closed_before: i64::MIN,
            boundaries: SessionBoundaries::default(),
            before: Vec::new(),
            outbox: Outbox::new(),
            ended: false,
            mixed: false,
            relocation: None,
        }
    }

    /// Whether a database keeps more than the outbox.
    fn keeps_more(mode: Emit, boundaries: bool) -> bool {
        mode.remembers() || mode == Emit::Close || boundaries
    }

    /// Reads what was emitted before a restart.
    ///
    /// # Errors
    /// A database that cannot be reached.
    pub fn open(&mut self, connection: &mut Connection) -> Result<()> {
        self.relocate_now(connection)?;
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        self.outbox.open(scope, connection)?;
        if !self.remembers {
            return Ok(());
        }
        let emitted = connection.emitted(scope)?;
        self.supersede(&emitted);
        let newest = self.outbox.newest();
        self.boundaries.open();
        self.last.clear();
        for (group_id, row) in emitted {
            if group_id == CLOSED {
                self.closed = self.closed.max(row.parse().unwrap_or(i64::MIN));
                continue;
            }
            if self.boundaries.read(&group_id, &row) {
                continue;
            }
            let order = newest.get(group_id.as_str()).copied().unwrap_or(0);
            let last = LastRow {
                row: row.into(),
                order,
                inherited: self.mixed,
            };
            self.last.insert(group_id.into(), last);
        }
        self.closed_before = self.closed;
        Ok(())
    }

    /// Takes over what other windows have left that are gone, where several processes use the database.
    ///
    /// # Errors
    /// A database that cannot be reached.
    pub fn look(&mut self, connection: &mut Connection, now: Timestamp) -> Result<()> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        if self.outbox.look(scope, connection, now)? && self.mode == Emit::Changes {
            let emitted = connection.emitted(scope)?;
            self.supersede(&emitted);
        }
        Ok(())
    }

    /// Under `changes` a newer row of its group, which the database remembers, supersedes an entry.
    fn supersede(&mut self, emitted: &[(String, String)]) {
        if self.mode == Emit::Changes {
            let rows = emitted.iter();
            let rows = rows.map(|(group_id, row)| (group_id.as_str(), row.as_str()));
            self.outbox.supersede(&rows.collect());
        }
    }

    /// The groups that had a row when they were last observed.
    pub fn present(&self) -> impl Iterator<Item = &GroupId> {
        self.last.keys()
    }

    /// Windows have closed up to an instant.
    pub fn close(&mut self, end: i64) {
        self.closed = self.closed.max(end);
    }

    /// Up to when windows have closed, also before a restart.
    pub fn closed(&self) -> i64 {
        self.closed
    }

    /// Whether a database on disk keeps what is emitted.
    pub fn is_kept(&self) -> bool {
        self.scope.is_some()
    }

    fn set(&mut self, group_id: &GroupId, last: Option<LastRow>) {
        let before = match last {
            Some(last) => self.last.insert(group_id.clone(), last),
            None => self.last.remove(group_id),
        };
        self.before.push((group_id.clone(), before));
    }

    /// A group has this row now, or none. Returns the row that is to be emitted.
    pub fn observe(&mut self, group_id: &GroupId, row: Option<&Payload>) -> Option<Payload> {
        let last = self.last.get(group_id);
        match (self.mode, last, row) {
            (_, None, None) | (Emit::Enter, Some(_), Some(_)) => None,
            (_, Some(last), Some(row)) if last.row == *row => None,
            (_, Some(last), Some(row)) if last.inherited && agree(&last.row, row) => {
                let last = LastRow {
                    row: row.clone(),
                    order: last.order,
                    inherited: false,
                };
                self.set(group_id, Some(last));
                None
            }
            (mode, _, Some(row)) => {
                let last = LastRow {
                    row: row.clone(),
                    order: self.outbox.next_order(),
                    inherited: false,
                };
                self.set(group_id, Some(last));
                (mode != Emit::Leave).then(|| row.clone())
            }
            (mode, Some(last), None) => {
                let row = last.row.clone();
                self.set(group_id, None);
                (mode == Emit::Leave).then_some(row)
            }
        }
    }

    /// An entry of the outbox for a row that is to be emitted.
    pub fn entry(&mut self, entry: NewEntry) -> OutboxEntry {
        self.outbox.entry(entry)
    }

    /// An entry was emitted under a token; for the first time, or `again`.
    pub fn emitted(&mut self, token: Token, entry: OutboxEntry, again: bool) {
        if again {
            self.outbox.repeated(token, entry);
        } else {
            self.outbox.emitted(token, entry);
        }
    }

    /// An entry that was to be emitted again is not.
    pub fn put_back(&mut self, entry: OutboxEntry) {
        self.outbox.put_back(entry);
    }

    /// Whether any event that may come again has entries that answer it, or had.
    pub fn has_keys(&self) -> bool {
        self.outbox.has_keys()
    }

    /// Whether an event that comes again has entries that answer it, or had when the window was opened.
    pub fn answers(&self, key: u128) -> bool {
        self.outbox.answers(key)
    }

    /// An event has come again. Returns the entries that answer it and wait; those in flight settle it.
    pub fn take_for(&mut self, key: u128, event: &Event) -> Vec<(Event, OutboxEntry)> {
        self.outbox.forget(key);
        self.outbox.take_for(key, event)
    }

    /// Takes what is to be emitted again by now, in order.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<OutboxEntry> {
        if !self.outbox.is_due(now) {
            return Vec::new();
        }
        let waiting = self.outbox.take_waiting().into_iter();
        let (due, superseded): (Vec<OutboxEntry>, Vec<OutboxEntry>) =
            waiting.partition(|entry| is_newest(self.mode, &self.last, entry));
        for entry in superseded {
            self.outbox.done(&entry, now);
        }
        due
    }

    /// When there is something to emit again, or to write.
    pub fn wake(&self) -> Option<Timestamp> {
        self.outbox.wake()
    }

    /// Whether as much is in flight or waits as may.
    pub fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    /// The entry of a token was delivered, or has failed.
    pub fn settle(&mut self, token: Token, outcome: Outcome, now: Timestamp) {
        let (mode, last) = (self.mode, &self.last);
        let is_newest = |entry: &OutboxEntry| is_newest(mode, last, entry);
        self.outbox.settle(token, outcome, now, is_newest);
    }

    /// No more input comes.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Writes what the batch has changed, and removes what was delivered. Returns whether it did.
    ///
    /// # Errors
    /// A database that is gone, or full.
    pub fn write(&mut self, connection: &mut Connection, now: Timestamp) -> Result<bool> {
        let Some(scope) = &self.scope else {
            return Ok(false);
        };
        let closed = self.closed > self.closed_before && self.mode == Emit::Close;
        let changed = !self.before.is_empty() || closed;
        let changed = changed || self.relocation.is_some();
        if !(connection.is_open() || changed || self.outbox.must_write(now, self.ended)) {
            return Ok(false);
        }
        connection.begin()?;
        self.relocate(connection)?;
        self.outbox.write(scope, connection)?;
        let mut seen = BTreeSet::new();
        for (group_id, before) in &self.before {
            if !seen.insert(group_id) {
                continue;
            }
            match (self.last.get(group_id), before) {
                (Some(last), _) => {
                    let row = last.row.text().unwrap_or_default();
                    connection.set_emitted(scope, group_id, row)?;
                }
                (None, Some(_)) => connection.unset_emitted(scope, group_id)?,
                (None, None) => {}
            }
        }
        if closed {
            connection.set_emitted(scope, CLOSED, &self.closed.to_string())?;
        }
        Ok(true)
    }

    /// The batch is committed; `wrote`: whether it was written.
    pub fn commit(&mut self, wrote: bool) {
        if wrote {
            self.relocation = None;
        }
        self.closed_before = self.closed;
        self.boundaries.commit();
        self.before.clear();
        self.outbox.commit(wrote);
    }

    /// The batch is rolled back: what it was to emit is not emitted. Tokens of it that are settled later
    /// are ignored: its events are fed again.
    pub fn rollback(&mut self) {
        self.closed = self.closed_before;
        self.boundaries.rollback();
        self.outbox.rollback();
        for (group_id, last) in std::mem::take(&mut self.before).into_iter().rev() {
            match last {
                Some(last) => self.last.insert(group_id, last),
                None => self.last.remove(&group_id),
            };
        }
    }
}

/// Whether no later entry of its group supersedes an entry.
fn is_newest(mode: Emit, last: &HashMap<GroupId, LastRow>, entry: &OutboxEntry) -> bool {
    let last = entry.group_id().and_then(|group| last.get(group));
    mode != Emit::Changes || last.is_none_or(|last| last.order <= entry.order())
}
