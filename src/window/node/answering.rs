//! What is emitted of the answer, by the mode and the plan.

use super::{Step, Window};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::Context;
use crate::payload::Payload;
use crate::store::Store;
use crate::time::Timestamp;
use crate::window::answer::{Answer, identity};
use crate::window::emission::{Due, Identity};
use crate::window::incremental::Rank;
use crate::window::options::{Emit, Extent, Plan};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};

impl Window {
    /// Brings the answer up to date and emits of it what is asked for; `touched` are the groups
    /// of the state that the event touches.
    pub(super) fn answer(
        &mut self,
        step: &Step<'_>,
        touched: &[u32],
        cx: &mut Context<'_>,
    ) -> Result<()> {
        match (self.emit, step.event) {
            (Emit::Close, _) => self.emit_owed(step, cx),
            (Emit::All, Some(event)) => {
                for row in self.every_row(step)? {
                    cx.emit(event.derive(row));
                }
                Ok(())
            }
            (Emit::Touched, Some(event)) => match self.incremental {
                Some(_) => self.emit_touched(event, touched, cx),
                None => {
                    for row in self.touched_rows(step)? {
                        cx.emit(event.derive(row));
                    }
                    Ok(())
                }
            },
            (Emit::All | Emit::Touched, None) => Ok(()),
            (Emit::Changes | Emit::Enter | Emit::Leave, _) => {
                let mut answers = self.changed_rows(step, touched)?;
                if !step.repeats {
                    answers.retain(|answer| !self.emission.is_owed(&answer.identity));
                }
                self.observe(step, answers, cx)
            }
        }
    }

    /// The windows to which an event belongs: one that slides, or those that have not ended.
    pub(super) fn windows_of(&self, step: &Step<'_>) -> Vec<Option<(i64, i64)>> {
        match (self.span.extent, step.time) {
            (Extent::Hopping { .. }, Some(time)) => {
                let open = self.span.open_windows(time, self.ended_by(step.now));
                open.map(Some).collect()
            }
            _ => vec![None],
        }
    }

    /// Every row of the answer, in its order.
    fn every_row(&mut self, step: &Step<'_>) -> Result<Vec<Payload>> {
        let windows = self.windows_of(step);
        let session = Self::session(&mut self.session)?;
        if let Some(incremental) = &mut self.incremental {
            return incremental.listing(session, windows);
        }
        let mut rows = Vec::new();
        let event = fields(self.asks, step)?;
        for window in windows {
            let binding = self.binding(step.now, window, event);
            let session = Self::session(&mut self.session)?;
            rows.extend(self.requery.rows(session, &binding)?);
        }
        Ok(rows)
    }

    /// Emits the rows of the groups of the state that the event touches.
    fn emit_touched(&mut self, event: &Event, touched: &[u32], cx: &mut Context<'_>) -> Result<()> {
        let session = Self::session(&mut self.session)?;
        let Some(incremental) = &mut self.incremental else {
            return Ok(());
        };
        if let [at] = touched {
            if let Some(row) = incremental.evaluate(*at, session)? {
                cx.emit(event.derive(row));
            }
            return Ok(());
        }
        for row in incremental.rows_of(touched, session)? {
            cx.emit(event.derive(row));
        }
        Ok(())
    }

    /// The rows of the groups that the event touches, as the database has them.
    fn touched_rows(&mut self, step: &Step<'_>) -> Result<Vec<Payload>> {
        let answers = self.asked(step)?;
        let rows = answers.into_iter().filter(|answer| answer.touched);
        Ok(rows.filter_map(|answer| answer.row).collect())
    }

    /// The rows of the groups that may have changed.
    fn changed_rows(&mut self, step: &Step<'_>, touched: &[u32]) -> Result<Vec<Answer>> {
        let again = match step.repeats {
            true => self.emission.take_again(),
            false => BTreeSet::new(),
        };
        if self.incremental.is_some() {
            return self.changed_groups(step, touched, &again.into_iter().collect());
        }
        let whole = step.whole || !again.is_empty() || self.plan == Plan::Requery;
        let mut answers = match whole {
            false => return self.asked(step),
            true => match self.asked_whole(step) {
                Ok(answers) => answers,
                Err(error) => {
                    self.emission.put_again(again);
                    return Err(error);
                }
            },
        };
        // What is not in the answer any more.
        let there: HashSet<&Identity> = answers.iter().map(|answer| &answer.identity).collect();
        let gone = self
            .emission
            .present()
            .filter(|known| !there.contains(known));
        let mut gone: Vec<Identity> = gone.cloned().collect();
        gone.sort();
        answers.extend(gone.into_iter().map(|identity| Answer {
            identity,
            row: None,
            touched: false,
        }));
        Ok(answers)
    }

    fn changed_groups(
        &mut self,
        step: &Step<'_>,
        touched: &[u32],
        again: &HashSet<Identity>,
    ) -> Result<Vec<Answer>> {
        let session = Self::session(&mut self.session)?;
        let Some(incremental) = &mut self.incremental else {
            return Ok(Vec::new());
        };
        if !again.is_empty() {
            incremental.ask_again(again);
        }
        let changed = incremental.groups.take_changed();
        let mut answers: Vec<(Rank, Answer)> = Vec::with_capacity(changed.len());
        let mut left: Vec<Answer> = Vec::new();
        for at in &changed {
            let row = match incremental.evaluate(*at, session) {
                Ok(row) => row,
                Err(error) => {
                    // They are still to be looked at.
                    incremental.groups.note_all(&changed);
                    return Err(error);
                }
            };
            let answer = Answer {
                identity: incremental.identity(*at),
                row,
                touched: touched.contains(at),
            };
            // What has no row has no place in the order either.
            match answer.row {
                Some(_) => answers.push((incremental.rank(*at)?, answer)),
                None => left.push(answer),
            }
        }
        answers.sort_by(|a, b| a.0.cmp(&b.0));
        left.sort_by(|a, b| a.identity.cmp(&b.identity));
        let answers = answers.into_iter().map(|(_, answer)| answer);
        let mut answers: Vec<Answer> = answers.chain(left).collect();
        if step.whole {
            // After a restart, groups may be known of which no row is left.
            let there = incremental.identities();
            let gone = self
                .emission
                .present()
                .filter(|known| !there.contains(*known));
            let mut gone: Vec<Identity> = gone.cloned().collect();
            gone.sort();
            answers.extend(gone.into_iter().map(|identity| Answer {
                identity,
                row: None,
                touched: false,
            }));
        }
        for at in changed {
            incremental.groups.let_go(at);
        }
        Ok(answers)
    }

    /// Asks the database for the groups that the event touches.
    fn asked(&mut self, step: &Step<'_>) -> Result<Vec<Answer>> {
        let Some(row) = step.row else {
            return Ok(Vec::new());
        };
        let session = Self::session(&mut self.session)?;
        let keys = self.requery.touched(row, session)?;
        let event = fields(self.asks, step)?;
        let mut answers = Vec::new();
        for window in self.windows_of(step) {
            let binding = self.binding(step.now, window, event);
            let session = Self::session(&mut self.session)?;
            // Tables that were made elsewhere may take different texts for one key.
            if self.plan == Plan::Keyed || !self.exact {
                for key in &keys {
                    answers.push(Answer {
                        identity: identity(window, key),
                        row: self.requery.of_group(key, session, &binding)?,
                        touched: true,
                    });
                }
                continue;
            }
            let touched: HashSet<Identity> = keys.iter().map(|key| identity(window, key)).collect();
            for found in self.requery.answer(session, &binding, window)? {
                answers.push(Answer {
                    touched: touched.contains(&found.identity),
                    identity: found.identity,
                    row: Some(found.row),
                });
            }
        }
        Ok(answers)
    }

    /// Asks the database for everything.
    fn asked_whole(&mut self, step: &Step<'_>) -> Result<Vec<Answer>> {
        let session = Self::session(&mut self.session)?;
        let keys = match step.row {
            Some(row) => self.requery.touched(row, session)?,
            None => Vec::new(),
        };
        let event = fields(self.asks, step)?;
        let windows: Vec<_> = match self.span.extent.is_bounded() {
            false => vec![None],
            true => self
                .moment
                .begun
                .iter()
                .map(|(end, start)| Some((*start, *end)))
                .collect(),
        };
        let opaque = !self.requery.knows_groups() && step.event.is_some();
        let mut answers = Vec::new();
        for window in windows {
            let touched: HashSet<Identity> = keys.iter().map(|key| identity(window, key)).collect();
            let binding = self.binding(step.now, window, event);
            let session = Self::session(&mut self.session)?;
            for found in self.requery.answer(session, &binding, window)? {
                answers.push(Answer {
                    touched: opaque || touched.contains(&found.identity),
                    identity: found.identity,
                    row: Some(found.row),
                });
            }
        }
        Ok(answers)
    }

    /// Tells the memory of what was emitted about these groups, and emits what is due.
    fn observe(
        &mut self,
        step: &Step<'_>,
        answers: Vec<Answer>,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        self.emit_owed(step, cx)?;
        for answer in answers {
            let mut session = self.session.as_mut();
            if let (Some(session), true) = (&mut session, self.emission.is_kept()) {
                session.begin()?;
            }
            let row = answer.row.as_ref();
            let due = self.emission.observe(&answer.identity, row, session)?;
            if let Some(due) = due {
                let origin = step.event.filter(|_| answer.touched);
                self.emit_due(due, origin, step.now, cx);
            }
        }
        Ok(())
    }

    /// Says what has left and failed to be said.
    fn emit_owed(&mut self, step: &Step<'_>, cx: &mut Context<'_>) -> Result<()> {
        if step.repeats {
            for due in self.emission.take_owed() {
                self.emit_due(due, None, step.now, cx);
            }
        }
        Ok(())
    }

    /// Emits, as part of an event or as the window's own.
    pub(super) fn emit_due(
        &mut self,
        due: Due,
        origin: Option<&Event>,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) {
        let event = match origin {
            Some(origin) => origin.derive(due.row.clone()),
            None => Event::new(due.row.clone(), now),
        };
        self.emission.emitted(cx.emit_tracked(event), due);
    }

    /// Ends the windows that end by now: says what is asked for of them, and forgets them.
    pub(super) fn close(&mut self, now: Timestamp, cx: &mut Context<'_>) -> Result<()> {
        while let Some(window) = self.ended(now) {
            let rows = match self.rows_of(window) {
                Ok(rows) => rows,
                // It would fail again, and those after it would never end.
                Err(error) => {
                    self.refuse(window, now, error, cx)?;
                    Vec::new()
                }
            };
            match self.emit {
                Emit::Close => {
                    for (identity, row) in rows {
                        let due = self.emission.due(identity, row);
                        let end = self.span.shown_end(window.1);
                        let at = Timestamp::from_micros(end.min(now.as_micros()));
                        self.emit_due(due, None, at, cx);
                    }
                }
                Emit::Changes | Emit::Enter | Emit::Leave => self.leave(window, now, cx)?,
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
        &self,
        window: (i64, i64),
        now: Timestamp,
        error: Error,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        if error.is_retryable() || error.is_fatal() {
            return Err(error);
        }
        let seconds = |micros: i64| match micros % 1_000_000 {
            0 => Value::from(micros / 1_000_000),
            _ => Value::from(micros as f64 / 1e6),
        };
        let [start, end] = [window.0, self.span.shown_end(window.1)].map(seconds);
        let window = serde_json::json!({ "window_start": start, "window_end": end });
        cx.reject(Event::new(window, now), error);
        Ok(())
    }

    /// The next window that has ended by now.
    fn ended(&self, now: Timestamp) -> Option<(i64, i64)> {
        let asked = self.moment.begun.first().map(|(end, start)| (*start, *end));
        let state = self
            .incremental
            .as_ref()
            .and_then(|state| state.groups.first_end());
        asked.or(state).filter(|(_, end)| *end <= now.as_micros())
    }

    /// The rows of a window, where they are wanted.
    fn rows_of(&mut self, window: (i64, i64)) -> Result<Vec<(Identity, Payload)>> {
        if self.emit != Emit::Close {
            return Ok(Vec::new());
        }
        let binding = self.binding(Timestamp::from_micros(window.1), Some(window), None);
        let session = Self::session(&mut self.session)?;
        match &mut self.incremental {
            Some(incremental) => incremental.rows_in(Some(window), session),
            None => {
                let found = self.requery.answer(session, &binding, Some(window))?;
                Ok(found
                    .into_iter()
                    .map(|found| (found.identity, found.row))
                    .collect())
            }
        }
    }

    /// The groups of a window that has ended have none of them a row any more.
    fn leave(&mut self, window: (i64, i64), now: Timestamp, cx: &mut Context<'_>) -> Result<()> {
        let begins = identity(Some(window), &[]);
        let begins = begins.trim_end_matches(']');
        let of_window = |known: &&Identity| {
            let rest = known.strip_prefix(begins);
            rest.is_some_and(|rest| rest.starts_with([',', ']']))
        };
        let mut gone: Vec<Identity> = self.emission.present().filter(of_window).cloned().collect();
        gone.sort();
        for identity in gone {
            if let Some(due) = self
                .emission
                .observe(&identity, None, self.session.as_mut())?
            {
                self.emit_due(due, None, now, cx);
            }
        }
        Ok(())
    }

    fn forget(&mut self, window: (i64, i64)) {
        self.moment.changed = true;
        self.emission.close(window.1);
        if let Extent::Session(_) = self.span.extent {
            // Which rows are needed depends on which sessions are open.
            self.moment.sweep = Some(window.1);
        }
        self.moment.begun.remove(&(window.1, window.0));
        if let Some(incremental) = &mut self.incremental {
            incremental.end(window);
        }
    }
}

/// The fields of the event, where the query asks for them.
pub(super) fn fields<'a>(asks: bool, step: &Step<'a>) -> Result<Option<&'a Map<String, Value>>> {
    match step.event {
        Some(event) if asks => event.payload().object().map(Some),
        _ => Ok(None),
    }
}
