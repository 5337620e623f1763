//! What was emitted last, and what is emitted next because of it.
//!
//! For each group the window notes its row, or that it has none; the mode decides what is to be emitted.
//! What was emitted counts at once: it is committed with the rows, and what was emitted stays in the
//! outbox until it is delivered.
//!
//! | | a row, was none | another row | none, was a row |
//! |---|---|---|---|
//! | changes | emits | emits | |
//! | enter | emits | | |
//! | leave | | | emits the row that was |

mod outbox;
mod session_boundaries;

use super::options::Emit;
use crate::ack::{Outcome, Token};
use crate::error::Result;
use crate::event::{Event, Meta};
use crate::payload::Payload;
use crate::store::{Session, Store};
use crate::time::Timestamp;
use outbox::Outbox;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(super) use outbox::OutboxEntry;
pub(super) use session_boundaries::SessionBoundaries;

/// What is not a group's: up to when windows have ended. The names of groups begin with a bracket.
const CLOSED: &str = "closed";

/// What a group is called.
pub(super) type GroupId = Arc<str>;

/// The memory of what was emitted.
pub(super) struct Emission {
    mode: Emit,
    /// Under which name a database on disk keeps it, where one does.
    scope: Option<Arc<str>>,
    /// Whether more is kept there than the outbox.
    remembers: bool,
    last: HashMap<GroupId, LastRow>,
    /// Up to when windows have ended, in microseconds; the same before the batch.
    closed: i64,
    closed_before: i64,
    boundaries: SessionBoundaries,
    /// What `last` was before the batch.
    before: Vec<(GroupId, Option<LastRow>)>,
    outbox: Outbox,
    /// Whether no more input comes.
    ended: bool,
}

#[derive(Clone)]
struct LastRow {
    row: Payload,
    /// The place of its emission in the order of all.
    order: u64,
}

impl Emission {
    /// The memory of a window of this mode, under the name by which a database on disk would
    /// remember it; `boundaries` says whether its groups are cut into sessions.
    pub fn new(mode: Emit, scope: Option<Arc<str>>, boundaries: bool) -> Self {
        Emission {
            mode,
            remembers: mode.remembers() || mode == Emit::Close || boundaries,
            scope,
            last: HashMap::new(),
            closed: i64::MIN,
            closed_before: i64::MIN,
            boundaries: SessionBoundaries::default(),
            before: Vec::new(),
            outbox: Outbox::new(),
            ended: false,
        }
    }

    /// Reads what was emitted before a restart.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn open(&mut self, session: &mut Session) -> Result<()> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        self.outbox.open(scope, session)?;
        if !self.remembers {
            return Ok(());
        }
        let newest = self.outbox.newest();
        self.boundaries.open();
        self.last.clear();
        for (group_id, row) in session.emitted(scope)? {
            if group_id == CLOSED {
                self.closed = self.closed.max(row.parse().unwrap_or(i64::MIN));
                continue;
            }
            if self.boundaries.read(&group_id, &row) {
                continue;
            }
            let order = newest.get(group_id.as_str()).copied().unwrap_or(0);
            let row = row.into();
            self.last.insert(group_id.into(), LastRow { row, order });
        }
        self.closed_before = self.closed;
        Ok(())
    }

    /// The groups that had a row when they were looked at last.
    pub fn present(&self) -> impl Iterator<Item = &GroupId> {
        self.last.keys()
    }

    /// Windows have ended up to an instant.
    pub fn close(&mut self, end: i64) {
        self.closed = self.closed.max(end);
    }

    /// Up to when windows have ended for good, also before a restart.
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

    /// A group has this row now, or none. The row that is to be emitted comes out.
    pub fn observe(&mut self, group_id: &GroupId, row: Option<&Payload>) -> Option<Payload> {
        let last = self.last.get(group_id);
        match (self.mode, last, row) {
            (_, None, None) | (Emit::Enter, Some(_), Some(_)) => None,
            (_, Some(last), Some(row)) if last.row == *row => None,
            (mode, _, Some(row)) => {
                let last = LastRow {
                    row: row.clone(),
                    order: self.outbox.next_order(),
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

    /// An entry of a row that is to be emitted, under an instant. `key` stands for the key of its
    /// event, where that may come again.
    pub fn entry(
        &mut self,
        group_id: Option<GroupId>,
        row: Payload,
        key: Option<u128>,
        under: (Timestamp, Meta),
    ) -> OutboxEntry {
        self.outbox.entry(group_id, row, key, under)
    }

    /// An entry was emitted under a token; for the first time, or `again`.
    pub fn emitted(&mut self, token: Token, entry: OutboxEntry, again: bool) {
        match again {
            false => self.outbox.emitted(token, entry),
            true => self.outbox.repeated(token, entry),
        }
    }

    /// An entry that was to be emitted again is not.
    pub fn put_back(&mut self, entry: OutboxEntry) {
        self.outbox.put_back(entry);
    }

    /// Whether an event that comes again has entries that answer it, or had when the window was opened.
    pub fn answers(&self, key: u128) -> bool {
        self.outbox.answers(key)
    }

    /// The entries that answer an event which has come again, as far as they wait; the others settle
    /// it.
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
            waiting.partition(|entry| is_newest(self.mode, &self.last, entry, entry.order()));
        for entry in superseded {
            self.outbox.done(&entry, now);
        }
        due
    }

    /// When there is something to emit again, or to write.
    pub fn wake(&self) -> Option<Timestamp> {
        self.outbox.wake()
    }

    /// Whether as much is under way and waits as may.
    pub fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    /// What became of an emission.
    pub fn settle(&mut self, token: Token, outcome: Outcome, now: Timestamp) {
        let (mode, last) = (self.mode, &self.last);
        self.outbox.settle(token, outcome, now, |entry, order| {
            is_newest(mode, last, entry, order)
        });
    }

    /// No more input comes.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Writes what the batch has changed, and removes what was delivered. Says whether it did.
    ///
    /// # Errors
    /// A database that is gone, or full.
    pub fn write(&mut self, session: &mut Session, now: Timestamp) -> Result<bool> {
        let Some(scope) = &self.scope else {
            return Ok(false);
        };
        let closed = self.closed > self.closed_before && self.mode == Emit::Close;
        let changed = !self.before.is_empty() || closed;
        if !(session.is_open() || changed || self.outbox.must_write(now, self.ended)) {
            return Ok(false);
        }
        session.begin()?;
        self.outbox.write(scope, session)?;
        let mut seen = BTreeSet::new();
        for (group_id, before) in &self.before {
            if !seen.insert(group_id) {
                continue;
            }
            match (self.last.get(group_id), before) {
                (Some(last), _) => {
                    let row = last.row.text().unwrap_or_default();
                    session.set_emitted(scope, group_id, row)?;
                }
                (None, Some(_)) => session.unset_emitted(scope, group_id)?,
                (None, None) => {}
            }
        }
        if closed {
            session.set_emitted(scope, CLOSED, &self.closed.to_string())?;
        }
        Ok(true)
    }

    /// The batch is committed; `wrote` says whether it was written.
    pub fn commit(&mut self, wrote: bool) {
        self.closed_before = self.closed;
        self.boundaries.commit();
        self.before.clear();
        self.outbox.commit(wrote);
    }

    /// The batch never was: what was to be emitted is not. Nobody got it, so that it has failed,
    /// which is told later, says nothing: what comes again says it.
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

/// Whether no later emission of its group takes the place of an entry.
fn is_newest(
    mode: Emit,
    last: &HashMap<GroupId, LastRow>,
    entry: &OutboxEntry,
    order: u64,
) -> bool {
    let last = entry.group_id().and_then(|group| last.get(group));
    mode != Emit::Changes || last.is_none_or(|last| last.order <= order)
}
