//! One event: its row is inserted and its answer emitted, or neither.
//!
//! An event that is rejected leaves no row. Where rows are stored, its batch is spoiled: the commit
//! fails, and the engine feeds the events again, one by one. Where they are not, its row is taken out of
//! the state again. Before an event is rejected, the query is run without its row: where it fails then
//! too, because rows have left, that is rejected once, and the event is taken without an answer.

use super::event_key::EventKey;
use super::{LATE, Update, Window};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::store::{Connection, Row};
use crate::time::Timestamp;
use crate::window::answer::group_id;
use crate::window::failing::{FailureContext, is_final};
use crate::window::kind::WindowBounds;
use crate::window::options::Plan;
use crate::window::strategy::incremental::IncrementalState;
use std::sync::Arc;

impl Pipeline for Window {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if self.emitter.emission.is_full() {
            let text = "too many emitted events are not delivered yet";
            return Err(Error::new(ErrorKind::Unavailable, text).busy());
        }
        // Its batch is fed again, event by event.
        if let Some(error) = &self.batch.spoiled {
            return Err(error.clone());
        }
        let alone = !std::mem::replace(&mut self.batch.active, true);
        let check_first = !self.answering.failing.is_empty();
        self.current.row_taken = false;
        let mut taken = self.take(event, check_first, cx);
        if let Err(error) = &taken
            && is_final(error)
            && self.current.row_taken
            && !check_first
            && (alone || !self.storage.stored)
        {
            if self.storage.stored {
                Node::rollback(self);
                self.batch.active = true;
            }
            taken = self.take(event, true, cx);
        }
        match taken {
            Ok(()) => {
                self.emitter.send(cx);
                Ok(())
            }
            Err(error) => {
                if self.storage.stored && self.current.row_taken && is_final(&error) {
                    self.batch.spoiled = Some(error.clone());
                }
                Err(error)
            }
        }
    }
}

impl Window {
    /// Takes an event; its answer goes to the emitter. With `check_first`, the query is run without the
    /// event's row before.
    fn take(&mut self, event: &Event, check_first: bool, cx: &mut Context<'_>) -> Result<()> {
        let more = self.catch_up(cx)?;
        let sized = Self::connection(&mut self.connection)?.sized();
        let reader = Arc::clone(&self.storage.reader);
        let row = reader.read(event.payload(), sized)?;
        let time = self.clock.time_of(&row, cx.now(), &self.name)?;
        self.current.row_taken = true;
        let now = self.clock.now_for(time, cx);
        let left = self.move_to(now, cx.now())?;
        let key = EventKey::of(event, &row, reader.table().key_columns());
        let key = key.as_ref();
        let answered_before = key.is_some_and(|key| self.emitter.answers(key));
        let late = time.filter(|time| self.is_late(*time, now));
        if let Some(time) = late
            && !self.joins_open(&row, time)?
        {
            // It was in time before, and all that was to be emitted for it was.
            if answered_before || event.is_tracked() && self.is_back(&row)? {
                self.emitter.emit_again(event, key);
                return Ok(());
            }
            return cx.drop_event_to(LATE, "late");
        }
        if answered_before {
            self.emitter.emit_again(event, key);
        }
        let mut update = Update {
            now,
            event: Some(event),
            row: Some(&row),
            time,
            whole: more || left,
            key,
        };
        if check_first {
            self.check_without(&update)?;
        }
        let inserted = self.insert(&row, event.payload(), time, now)?;
        update.whole |= inserted.evicted;
        let mut answered = if answered_before && !self.answering.emit.remembers() {
            Ok(())
        } else {
            self.answer(&update, &inserted.touched)
        };
        if answered.is_ok() && self.verification.is_due() {
            answered = self.verify_for(event, &update);
        }
        self.current.touched = inserted.touched;
        if let (Err(error), false, Some(entry)) = (&answered, self.storage.stored, inserted.added)
            && is_final(error)
            && let Some(incremental) = &mut self.answering.incremental
        {
            incremental.take_back(entry);
        }
        answered?;
        self.reject_failing(now)
    }

    /// Verifies the answer. That it cannot be verified rejects nothing but that.
    fn verify_for(&mut self, event: &Event, update: &Update<'_>) -> Result<()> {
        match self.verify(update) {
            Err(error) if is_final(&error) => {
                self.emitter.reject(event.detached(), error);
                Ok(())
            }
            verified => verified,
        }
    }

    /// Whether a row that is late by the clock belongs to a session that is open.
    fn joins_open(&mut self, row: &Row<'_>, time: Timestamp) -> Result<bool> {
        match &mut self.answering.incremental {
            Some(incremental) => {
                incremental.joins_open(row, time, Self::connection(&mut self.connection)?)
            }
            None => Ok(false),
        }
    }

    /// Whether a late row was in time before, and is there: its event comes once more.
    fn is_back(&mut self, row: &Row<'_>) -> Result<bool> {
        if self.rules.kind.closes()
            || self.answering.emit.remembers()
            || self.storage.table.key_columns().is_empty()
        {
            return Ok(false);
        }
        if let Some(incremental) = &mut self.answering.incremental {
            let digest = incremental.digest(row);
            if incremental.groups.is_live(digest) {
                return Ok(true);
            }
        }
        if !self.storage.stored {
            return Ok(false);
        }
        Self::connection(&mut self.connection)?.has_row(row)
    }

    /// Finds the groups of the event whose query fails without the event's row.
    fn check_without(&mut self, update: &Update<'_>) -> Result<()> {
        let (Some(row), time) = (update.row, update.time.unwrap_or(update.now)) else {
            return Ok(());
        };
        let connection = Self::connection(&mut self.connection)?;
        if let Some(incremental) = &mut self.answering.incremental {
            let mut context = FailureContext {
                failing: &mut self.answering.failing,
                touched: &[],
            };
            return check_groups(incremental, row, time, connection, &mut context);
        }
        let keys = self.answering.queries.touched(row, connection)?;
        let whole = self.ask_without(update);
        self.answering.failing.note("", whole)?;
        // If the whole query fails, one error is enough.
        let rejected = self.answering.failing.has_whole();
        let event = update.fields(self.answering.uses_event)?;
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            let connection = Self::connection(&mut self.connection)?;
            for key in &keys {
                let row = self.answering.queries.of_group(key, connection, &binding);
                let group = group_id(window, key);
                if rejected && row.as_ref().is_err_and(is_final) {
                    self.answering.failing.add_rejected(group);
                } else {
                    self.answering.failing.note(&group, row.map(drop))?;
                }
            }
        }
        Ok(())
    }

    /// Runs the whole query, where an event may need it.
    fn ask_without(&mut self, update: &Update<'_>) -> Result<()> {
        if self.answering.emit.remembers() {
            return self.ask_all_windows(update).map(drop);
        }
        if self.answering.plan != Plan::Requery {
            return Ok(());
        }
        let event = update.fields(self.answering.uses_event)?;
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            let connection = Self::connection(&mut self.connection)?;
            self.answering.queries.full.rows(connection, &binding)?;
        }
        Ok(())
    }

    /// Rejects the answers of groups that have begun to fail.
    pub(super) fn reject_failing(&mut self, now: Timestamp) -> Result<()> {
        for error in self.answering.failing.take_errors() {
            self.reject_now(now, error)?;
        }
        Ok(())
    }

    /// Rejects the answer over the window of an instant.
    pub(super) fn reject_now(&mut self, now: Timestamp, error: Error) -> Result<()> {
        let window = WindowBounds {
            start: self.rules.start(now).as_micros(),
            end: now.as_micros(),
        };
        self.reject_window(window, now, error)
    }
}

/// Finds the groups of a row whose query fails.
fn check_groups(
    incremental: &mut IncrementalState,
    row: &Row<'_>,
    time: Timestamp,
    connection: &mut Connection,
    context: &mut FailureContext<'_>,
) -> Result<()> {
    let mut groups = Vec::new();
    incremental.find(row, time, connection, &mut groups)?;
    for index in groups {
        incremental.evaluate_for(index, connection, context)?;
    }
    Ok(())
}
