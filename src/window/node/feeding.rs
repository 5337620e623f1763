//! One event: its row comes in and its answer goes out, or neither.
//!
//! An event that is rejected leaves no row. Where rows are stored, its batch is spoiled: the commit
//! fails, and the engine feeds the events one by one. Where they are not, its row is taken out of the
//! state again. Before an event is blamed, the answer is asked for without its row: one that cannot be
//! given then either, since rows have left, is rejected once, and the event is taken in without it.

use super::answering::fields;
use super::{Output, Update, Window};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::store::{Datum, Row};
use crate::time::Timestamp;
use crate::window::answer::group_id;
use crate::window::failing::{FailingGroups, FailureContext, is_final};
use crate::window::options::Plan;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

impl Pipeline for Window {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if self.emission.is_full() {
            let text = "it takes nothing more in until some of what it has emitted is delivered";
            return Err(Error::new(ErrorKind::Unavailable, text).busy());
        }
        // Its batch is fed again, event by event.
        if let Some(error) = &self.spoiled {
            return Err(error.clone());
        }
        let alone = !std::mem::replace(&mut self.stirred, true);
        let careful = !self.failing.is_empty();
        self.row_taken = false;
        let mut took = self.take(event, careful, cx);
        if let Err(error) = &took
            && is_final(error)
            && self.row_taken
            && !careful
            && (alone || !self.stored)
        {
            if self.stored {
                Node::rollback(self);
                self.stirred = true;
            }
            took = self.take(event, true, cx);
        }
        match took {
            Ok(()) => {
                self.leave_now(cx);
                Ok(())
            }
            Err(error) => {
                if self.stored && self.row_taken && is_final(&error) {
                    self.spoiled = Some(error.clone());
                }
                Err(error)
            }
        }
    }
}

impl Window {
    /// Takes an event in; what comes of it is in `outputs`. Where it is `careful`, the answer is asked
    /// for without the event first.
    fn take(&mut self, event: &Event, careful: bool, cx: &mut Context<'_>) -> Result<()> {
        let more = self.catch_up(cx)?;
        let sized = Self::session(&mut self.session)?.sized();
        let reader = Arc::clone(&self.reader);
        let row = reader.read(event.payload(), sized)?;
        let time = self.time_of(&row, cx.now())?;
        self.row_taken = true;
        let now = self.now_for(time, cx);
        let left = self.move_to(now, cx.now())?;
        let key = self.key_of(event, &row);
        let answers = key.is_some_and(|key| self.emission.answers(key));
        let late = time.filter(|time| self.is_late(*time, now));
        if let Some(time) = late
            && !self.joins_open(&row, time)?
        {
            return match answers || event.is_tracked() && self.is_back(&row)? {
                // It was in time before, and all that was to be emitted of it was.
                true => {
                    self.emit_again(event, key);
                    Ok(())
                }
                false => cx.drop_to(super::LATE, "late"),
            };
        }
        if answers {
            self.emit_again(event, key);
        }
        let mut update = Update {
            now,
            event: Some(event),
            row: Some(&row),
            time,
            whole: more || left,
            key,
        };
        if careful {
            self.without(&update)?;
        }
        let inserted = self.insert(&row, event.payload(), time, now)?;
        update.whole |= inserted.gone;
        let mut answered = match answers && !self.emit.remembers() {
            true => Ok(()),
            false => self.answer(&update, &inserted.touched),
        };
        if answered.is_ok() && self.verify.is_due() {
            answered = self
                .verify(&update)
                .or_else(|error| match is_final(&error) {
                    // That its answer cannot be checked is no fault of the event.
                    true => {
                        self.outputs.push(Output::Refuse(event.detached(), error));
                        Ok(())
                    }
                    false => Err(error),
                });
        }
        self.touched = inserted.touched;
        if let (Err(error), false, Some(entry)) = (&answered, self.stored, inserted.added)
            && is_final(error)
            && let Some(incremental) = &mut self.incremental
        {
            incremental.take_back(entry);
        }
        answered?;
        self.reject_failing(now)
    }

    /// What stands for the key of an event that may come again.
    fn key_of(&mut self, event: &Event, row: &Row<'_>) -> Option<u128> {
        let key = self.table.key_columns();
        if !event.is_tracked() || key.is_empty() {
            return None;
        }
        self.bytes.clear();
        for column in key {
            Datum::encode(&row.cell(column), &mut self.bytes);
        }
        Some(xxh3_128(&self.bytes))
    }

    /// An event has come again: what is to be emitted of it is, and not a second time.
    fn emit_again(&mut self, event: &Event, key: Option<u128>) {
        let entries = key.map(|key| self.emission.take_for(key, event));
        for (event, entry) in entries.into_iter().flatten() {
            self.outputs.push(Output::Entry(event, entry, true));
        }
    }

    /// Finds out which answers cannot be given though the row of the event is not there, of those that
    /// it is about.
    fn without(&mut self, update: &Update<'_>) -> Result<()> {
        let (Some(row), time) = (update.row, update.time.unwrap_or(update.now)) else {
            return Ok(());
        };
        let session = Self::session(&mut self.session)?;
        if let Some(incremental) = &mut self.incremental {
            let mut touched = Vec::new();
            incremental.find(row, time, session, &mut touched)?;
            let mut context = FailureContext {
                failing: &mut self.failing,
                touched: &[],
            };
            for at in touched {
                incremental.evaluate_for(at, session, &mut context)?;
            }
            return Ok(());
        }
        let keys = self.queries.touched(row, session)?;
        let whole = self.asked_without(update);
        noted(whole, "", &mut self.failing)?;
        // Of a whole answer that cannot be given one error is enough.
        let told = self.failing.has_whole();
        let event = fields(self.asks, update)?;
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            let session = Self::session(&mut self.session)?;
            for key in &keys {
                let of_group = self.queries.of_group(key, session, &binding);
                let group = group_id(window, key);
                match told && of_group.as_ref().is_err_and(is_final) {
                    true => self.failing.add_silently(group),
                    false => noted(of_group.map(drop), &group, &mut self.failing)?,
                }
            }
        }
        Ok(())
    }

    /// Asks for the whole answer, where an event may.
    fn asked_without(&mut self, update: &Update<'_>) -> Result<()> {
        if self.emit.remembers() {
            return self.asked_for_all(update).map(drop);
        }
        if self.plan != Plan::Requery {
            return Ok(());
        }
        let event = fields(self.asks, update)?;
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            let session = Self::session(&mut self.session)?;
            self.queries.full.rows(session, &binding)?;
        }
        Ok(())
    }

    /// Rejects once what cannot be answered for a while.
    pub(super) fn reject_failing(&mut self, now: Timestamp) -> Result<()> {
        for error in self.failing.take_news() {
            self.refuse_now(now, error)?;
        }
        Ok(())
    }

    /// Rejects the answer over the window of an instant.
    pub(super) fn refuse_now(&mut self, now: Timestamp, error: Error) -> Result<()> {
        let start = self.rules.start(now).as_micros();
        self.refuse((start, now.as_micros()), now, error)
    }

    /// What is to leave does.
    pub(super) fn leave_now(&mut self, cx: &mut Context<'_>) {
        for output in self.outputs.drain(..) {
            match output {
                Output::Event(event) => cx.emit(event),
                Output::Entry(event, entry, again) => {
                    let token = cx.emit_tracked(event);
                    self.emission.emitted(token, entry, again);
                }
                Output::Refuse(event, error) => cx.reject(event, error),
            }
        }
    }
}

/// Notes whether an answer can be given.
fn noted(answer: Result<()>, group: &str, failing: &mut FailingGroups) -> Result<()> {
    match answer {
        Ok(()) => failing.mend(&group.into()),
        Err(error) if is_final(&error) => failing.add(group.into(), error),
        Err(error) => return Err(error),
    }
    Ok(())
}
