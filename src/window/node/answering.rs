//! What is emitted of the answer, by the mode and the plan.

use super::{Output, Update, Window};
use crate::error::{Error, Result};
use crate::event::{Event, Meta};
use crate::payload::Payload;
use crate::time::Timestamp;
use crate::window::answer::{Answer, group_id};
use crate::window::emission::{GroupId, OutboxEntry};
use crate::window::failing::{FailureContext, is_final};
use crate::window::kind::WindowKind;
use crate::window::options::{Emit, Plan};
use crate::window::strategy::incremental::SortKey;
use serde_json::{Map, Value};
use std::collections::HashSet;

impl Window {
    /// Brings the answer up to date and emits of it what is asked for; `touched` are the groups
    /// of the state that the event touches.
    pub(super) fn answer(&mut self, update: &Update<'_>, touched: &[u32]) -> Result<()> {
        match (self.emit, update.event) {
            (Emit::Close, _) | (Emit::All | Emit::Touched, None) => Ok(()),
            (Emit::All, Some(event)) => {
                let rows = self.every_row(update, touched)?;
                rows.into_iter()
                    .for_each(|row| self.emit_for(event, update.key, row));
                Ok(())
            }
            (Emit::Touched, Some(event)) => match self.incremental {
                Some(_) => self.emit_touched(event, update.key, touched),
                None => {
                    let rows = self.touched_rows(update)?;
                    rows.into_iter()
                        .for_each(|row| self.emit_for(event, update.key, row));
                    Ok(())
                }
            },
            (Emit::Changes | Emit::Enter | Emit::Leave, _) => {
                let answers = self.changed_rows(update, touched)?;
                self.observe(update, answers);
                Ok(())
            }
        }
    }

    /// The windows to which an event belongs: one that slides, or those that have not ended.
    pub(super) fn windows_of(&self, update: &Update<'_>) -> Vec<Option<(i64, i64)>> {
        match (self.rules.kind, update.time) {
            (WindowKind::Hopping { .. }, Some(time)) => {
                let open = self.rules.open_windows(time, self.ended_by(update.now));
                open.map(Some).collect()
            }
            _ => vec![None],
        }
    }

    /// Every row of the answer, in its order.
    fn every_row(&mut self, update: &Update<'_>, touched: &[u32]) -> Result<Vec<Payload>> {
        let windows = self.windows_of(update);
        let session = Self::session(&mut self.session)?;
        if let Some(incremental) = &mut self.incremental {
            let failing = &mut self.failing;
            return incremental.listing(session, windows, &mut FailureContext { failing, touched });
        }
        let mut rows = Vec::new();
        let event = fields(self.asks, update)?;
        for window in windows {
            let binding = self.binding(update.now, window, event);
            let session = Self::session(&mut self.session)?;
            let asked = self.queries.full.rows(session, &binding);
            rows.extend(self.failing.excuse(asked)?.unwrap_or_default());
        }
        Ok(rows)
    }

    /// Emits the rows of the groups of the state that the event touches.
    fn emit_touched(&mut self, event: &Event, key: Option<u128>, touched: &[u32]) -> Result<()> {
        let session = Self::session(&mut self.session)?;
        let Some(incremental) = &mut self.incremental else {
            return Ok(());
        };
        let mut context = FailureContext {
            failing: &mut self.failing,
            touched,
        };
        if let [at] = touched {
            if let Some(row) = incremental
                .evaluate_for(*at, session, &mut context)?
                .flatten()
            {
                self.emit_for(event, key, row);
            }
            return Ok(());
        }
        for row in incremental.rows_of(touched, session, &mut context)? {
            self.emit_for(event, key, row);
        }
        Ok(())
    }

    /// The rows of the groups that the event touches, as the database has them.
    fn touched_rows(&mut self, update: &Update<'_>) -> Result<Vec<Payload>> {
        let (answers, _) = self.asked(update)?;
        let rows = answers.into_iter().filter(|answer| answer.touched);
        Ok(rows.filter_map(|answer| answer.row).collect())
    }

    /// The rows of the groups that may have changed.
    fn changed_rows(&mut self, update: &Update<'_>, touched: &[u32]) -> Result<Vec<Answer>> {
        if self.incremental.is_some() {
            return self.changed_groups(update, touched);
        }
        if !(update.whole || self.plan == Plan::Requery) {
            return Ok(self.asked(update)?.0);
        }
        let (mut answers, complete) = self.asked_whole(update)?;
        if !complete {
            return Ok(answers);
        }
        // What is not in the answer any more.
        let there: HashSet<&GroupId> = answers.iter().map(|answer| &answer.group_id).collect();
        let gone = self
            .emission
            .present()
            .filter(|known| !there.contains(known));
        let mut gone: Vec<GroupId> = gone.cloned().collect();
        gone.sort();
        answers.extend(gone.into_iter().map(|group_id| Answer {
            group_id,
            row: None,
            touched: false,
        }));
        Ok(answers)
    }

    fn changed_groups(&mut self, update: &Update<'_>, touched: &[u32]) -> Result<Vec<Answer>> {
        let session = Self::session(&mut self.session)?;
        let Some(incremental) = &mut self.incremental else {
            return Ok(Vec::new());
        };
        let changed = incremental.groups.take_changed();
        let mut answers: Vec<(SortKey, Answer)> = Vec::with_capacity(changed.len());
        let mut left: Vec<Answer> = Vec::new();
        for at in &changed {
            let mut context = FailureContext {
                failing: &mut self.failing,
                touched,
            };
            let row = match incremental.evaluate_for(*at, session, &mut context) {
                Ok(Some(row)) => row,
                // It is as it was said last, until it can be told.
                Ok(None) => continue,
                Err(error) => {
                    // They are still to be looked at.
                    incremental.groups.note_all(&changed);
                    return Err(error);
                }
            };
            let answer = Answer {
                group_id: incremental.group_id(*at),
                row,
                touched: touched.contains(at),
            };
            // What has no row has no place in the order either.
            match answer.row {
                Some(_) => answers.push((incremental.sort_key(*at)?, answer)),
                None => left.push(answer),
            }
        }
        answers.sort_by(|a, b| a.0.cmp(&b.0));
        left.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        let answers = answers.into_iter().map(|(_, answer)| answer);
        let mut answers: Vec<Answer> = answers.chain(left).collect();
        if update.whole {
            // After a restart, groups may be known of which no row is left.
            let there = incremental.group_ids();
            let gone = self
                .emission
                .present()
                .filter(|known| !there.contains(*known));
            let mut gone: Vec<GroupId> = gone.cloned().collect();
            gone.sort();
            answers.extend(gone.into_iter().map(|group_id| Answer {
                group_id,
                row: None,
                touched: false,
            }));
        }
        for at in changed {
            incremental.groups.let_go(at);
        }
        Ok(answers)
    }

    /// Asks the database for the groups that the event touches. Says whether it has told all that it
    /// was asked for.
    fn asked(&mut self, update: &Update<'_>) -> Result<(Vec<Answer>, bool)> {
        let Some(row) = update.row else {
            return Ok((Vec::new(), true));
        };
        let session = Self::session(&mut self.session)?;
        let keys = self.queries.touched(row, session)?;
        let event = fields(self.asks, update)?;
        let mut answers = Vec::new();
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            let session = Self::session(&mut self.session)?;
            // Tables that were made elsewhere may take different texts for one key.
            if self.plan == Plan::Keyed || !self.exact || self.failing.has_whole() {
                for key in &keys {
                    let group_id = group_id(window, key);
                    let row = self.queries.of_group(key, session, &binding);
                    if let Some(row) = self.failing.excuse_group(&group_id, row)? {
                        answers.push(Answer {
                            group_id,
                            row,
                            touched: true,
                        });
                    }
                }
                continue;
            }
            let touched: HashSet<GroupId> = keys.iter().map(|key| group_id(window, key)).collect();
            for found in self.queries.full.answer(session, &binding, window)? {
                answers.push(Answer {
                    touched: touched.contains(&found.group_id),
                    group_id: found.group_id,
                    row: Some(found.row),
                });
            }
        }
        Ok((answers, !self.failing.has_whole()))
    }

    /// Asks the database for everything; where that cannot be given, for no fault of the event, for
    /// the groups that the event touches. Says whether it has told everything.
    fn asked_whole(&mut self, update: &Update<'_>) -> Result<(Vec<Answer>, bool)> {
        match self.asked_for_all(update) {
            Ok(answers) => {
                self.failing.mend_whole();
                Ok((answers, true))
            }
            Err(error) if is_final(&error) && update.event.is_none() => {
                self.failing.add_whole(error);
                Ok((Vec::new(), false))
            }
            Err(error) if is_final(&error) && self.failing.has_whole() => self.asked(update),
            Err(error) => Err(error),
        }
    }

    pub(super) fn asked_for_all(&mut self, update: &Update<'_>) -> Result<Vec<Answer>> {
        let session = Self::session(&mut self.session)?;
        let keys = match update.row {
            Some(row) => self.queries.touched(row, session)?,
            None => Vec::new(),
        };
        let event = fields(self.asks, update)?;
        let windows: Vec<_> = match self.rules.kind.is_bounded() {
            false => vec![None],
            true => self
                .progress
                .begun
                .iter()
                .map(|(end, start)| Some((*start, *end)))
                .collect(),
        };
        let opaque = self.queries.keyed.is_none() && update.event.is_some();
        let mut answers = Vec::new();
        for window in windows {
            let touched: HashSet<GroupId> = keys.iter().map(|key| group_id(window, key)).collect();
            let binding = self.binding(update.now, window, event);
            let session = Self::session(&mut self.session)?;
            for found in self.queries.full.answer(session, &binding, window)? {
                answers.push(Answer {
                    touched: opaque || touched.contains(&found.group_id),
                    group_id: found.group_id,
                    row: Some(found.row),
                });
            }
        }
        Ok(answers)
    }

    /// Notes the rows of these groups, and emits what is due.
    fn observe(&mut self, update: &Update<'_>, answers: Vec<Answer>) {
        for answer in answers {
            let due = self.emission.observe(&answer.group_id, answer.row.as_ref());
            if let Some(row) = due {
                let origin = update.event.filter(|_| answer.touched);
                self.emit_of(answer.group_id, row, (origin, update.key), update.now);
            }
        }
    }

    /// Emits a row for an event.
    fn emit_for(&mut self, event: &Event, key: Option<u128>, row: Payload) {
        // What fails comes again with its event; without a key that is another row.
        if !self.emission.is_kept() && key.is_none() && event.is_tracked() {
            self.outputs.push(Output::Event(event.derive(row)));
            return;
        }
        let under = (event.time(), event.meta().clone());
        let entry = self.emission.entry(None, row, key, under);
        self.emit_entry(entry, Some(event));
    }

    /// Emits a row of a group, for an event or as the window's own.
    fn emit_of(
        &mut self,
        group_id: GroupId,
        row: Payload,
        (origin, key): (Option<&Event>, Option<u128>),
        now: Timestamp,
    ) {
        let (under, key) = match origin {
            Some(event) => ((event.time(), event.meta().clone()), key),
            None => ((now, Meta::default()), None),
        };
        let entry = self.emission.entry(Some(group_id), row, key, under);
        self.emit_entry(entry, origin);
    }

    /// An event is delivered when its entries are, and takes them when it comes again. Without a key
    /// it would be another row: what is kept on disk needs no event behind it, so that one is delivered
    /// with the commit.
    fn emit_entry(&mut self, entry: OutboxEntry, origin: Option<&Event>) {
        let event = match origin {
            Some(origin) if entry.may_come_again() || !self.emission.is_kept() => {
                entry.event_for(origin)
            }
            _ => entry.event(),
        };
        self.outputs.push(Output::Entry(event, entry, false));
    }

    /// Emits again what has failed, or was found after a restart, and is due.
    pub(super) fn emit_due(&mut self, now: Timestamp) {
        for entry in self.emission.take_due(now) {
            self.outputs.push(Output::Entry(entry.event(), entry, true));
        }
    }

    /// Ends the windows that end by now: says what is asked for of them, and forgets them.
    pub(super) fn close(&mut self, now: Timestamp) -> Result<()> {
        while let Some(window) = self.ended(now) {
            let rows = match self.rows_of(window) {
                Ok(rows) => rows,
                // It would fail again, and those after it would never end.
                Err(error) => {
                    self.refuse(window, now, error)?;
                    Vec::new()
                }
            };
            match self.emit {
                Emit::Close => {
                    for (group_id, row) in rows {
                        let end = self.rules.shown_end(window.1);
                        let at = Timestamp::from_micros(end.min(now.as_micros()));
                        self.emit_of(group_id, row, (None, None), at);
                    }
                }
                Emit::Changes | Emit::Enter | Emit::Leave => self.leave(window, now),
                Emit::All | Emit::Touched => {}
            }
            self.forget(window);
        }
        Ok(())
    }

    /// Rejects what belongs to no event: the answer over a window that the query cannot give.
    ///
    /// # Errors
    /// The same error where trying again can help.
    pub(super) fn refuse(
        &mut self,
        window: (i64, i64),
        now: Timestamp,
        error: Error,
    ) -> Result<()> {
        if !is_final(&error) {
            return Err(error);
        }
        let seconds = |micros: i64| match micros % 1_000_000 {
            0 => Value::from(micros / 1_000_000),
            _ => Value::from(micros as f64 / 1e6),
        };
        let [start, end] = [window.0, self.rules.shown_end(window.1)].map(seconds);
        let window = serde_json::json!({ "window_start": start, "window_end": end });
        let event = Event::new(window, now);
        self.outputs.push(Output::Refuse(event, error));
        Ok(())
    }

    /// The next window that has ended by now.
    fn ended(&self, now: Timestamp) -> Option<(i64, i64)> {
        let asked = self
            .progress
            .begun
            .first()
            .map(|(end, start)| (*start, *end));
        let state = self
            .incremental
            .as_ref()
            .and_then(|state| state.groups.first_end());
        asked.or(state).filter(|(_, end)| *end <= now.as_micros())
    }

    /// The rows of a window, where they are wanted.
    fn rows_of(&mut self, window: (i64, i64)) -> Result<Vec<(GroupId, Payload)>> {
        if self.emit != Emit::Close {
            return Ok(Vec::new());
        }
        let binding = self.binding(Timestamp::from_micros(window.1), Some(window), None);
        let session = Self::session(&mut self.session)?;
        match &mut self.incremental {
            Some(incremental) => incremental.rows_in(Some(window), session),
            None => {
                let found = self.queries.full.answer(session, &binding, Some(window))?;
                Ok(found
                    .into_iter()
                    .map(|found| (found.group_id, found.row))
                    .collect())
            }
        }
    }

    /// The groups of a window that has ended have none of them a row any more.
    fn leave(&mut self, window: (i64, i64), now: Timestamp) {
        let begins = group_id(Some(window), &[]);
        let begins = begins.trim_end_matches(']');
        let of_window = |known: &&GroupId| {
            let rest = known.strip_prefix(begins);
            rest.is_some_and(|rest| rest.starts_with([',', ']']))
        };
        let mut gone: Vec<GroupId> = self.emission.present().filter(of_window).cloned().collect();
        gone.sort();
        for group_id in gone {
            if let Some(row) = self.emission.observe(&group_id, None) {
                self.emit_of(group_id, row, (None, None), now);
            }
        }
    }

    fn forget(&mut self, window: (i64, i64)) {
        self.progress.changed = true;
        self.emission.close(window.1);
        if let WindowKind::Session(_) = self.rules.kind {
            // Which rows are needed depends on which sessions are open.
            self.progress.sweep = Some(window.1);
        }
        self.progress.begun.remove(&(window.1, window.0));
        if let Some(incremental) = &mut self.incremental {
            incremental.end(window);
        }
    }
}

/// The fields of the event, where the query asks for them.
pub(super) fn fields<'a>(
    asks: bool,
    update: &Update<'a>,
) -> Result<Option<&'a Map<String, Value>>> {
    match update.event {
        Some(event) if asks => event.payload().object().map(Some),
        _ => Ok(None),
    }
}
