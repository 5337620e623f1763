//! The rows of the answer that are emitted for an event, by the mode and the plan.

use super::emitter::Origin;
use super::{Update, Window};
use crate::error::Result;
use crate::payload::Payload;
use crate::window::answer::Answer;
use crate::window::emission::GroupId;
use crate::window::failing::FailureContext;
use crate::window::kind::WindowBounds;
use crate::window::options::{Emit, Plan};
use crate::window::state::GroupIndex;
use crate::window::strategy::GroupRow;
use crate::window::strategy::incremental::{GroupResult, SortKey};
use std::collections::HashSet;

impl Window {
    /// Brings the answer up to date and emits the rows that the mode selects; `touched` are the groups
    /// of the state that the event touches.
    pub(super) fn answer(&mut self, update: &Update<'_>, touched: &[GroupIndex]) -> Result<()> {
        let origin = update.event.map(|event| Origin {
            event,
            key: update.key,
        });
        match (self.answering.emit, origin) {
            (Emit::Close, _) | (Emit::All | Emit::Touched, None) => Ok(()),
            (Emit::All, Some(origin)) => {
                let rows = self.every_row(update, touched)?;
                self.emit_rows(origin, rows);
                Ok(())
            }
            (Emit::Touched, Some(origin)) if self.answering.incremental.is_some() => {
                self.emit_touched(origin, touched)
            }
            (Emit::Touched, Some(origin)) => {
                let rows = self.touched_rows(update)?;
                self.emit_rows(origin, rows);
                Ok(())
            }
            (Emit::Changes | Emit::Enter | Emit::Leave, _) => {
                let answers = self.changed_rows(update, touched)?;
                self.observe(update, origin, answers);
                Ok(())
            }
        }
    }

    fn emit_rows(&mut self, origin: Origin<'_>, rows: Vec<Payload>) {
        for row in rows {
            self.emitter.emit_for(origin, row);
        }
    }

    /// The windows of an event: those with bounds that are open, or the one without them.
    pub(super) fn windows_of(&self, update: &Update<'_>) -> Vec<Option<WindowBounds>> {
        match update.time {
            Some(time) => {
                let windows = self.rules.windows_of(time, self.closed_by(update.now));
                windows.collect()
            }
            None => vec![None],
        }
    }

    /// Every row of the answer, in its order.
    fn every_row(&mut self, update: &Update<'_>, touched: &[GroupIndex]) -> Result<Vec<Payload>> {
        let windows = self.windows_of(update);
        if let Some(incremental) = &mut self.answering.incremental {
            let connection = Self::connection(&mut self.connection)?;
            let failing = &mut self.answering.failing;
            let mut context = FailureContext { failing, touched };
            return incremental.listing(connection, &windows, &mut context);
        }
        let mut rows = Vec::new();
        let event = update.fields(self.answering.uses_event)?;
        for window in windows {
            let binding = self.binding(update.now, window, event);
            let connection = Self::connection(&mut self.connection)?;
            let answer = self.answering.queries.full.rows(connection, &binding);
            let answer = self.answering.failing.excuse(answer)?;
            rows.extend(answer.unwrap_or_default());
        }
        Ok(rows)
    }

    /// Emits the rows of the groups of the state that the event touches.
    fn emit_touched(&mut self, origin: Origin<'_>, touched: &[GroupIndex]) -> Result<()> {
        let connection = Self::connection(&mut self.connection)?;
        let Some(incremental) = &mut self.answering.incremental else {
            return Ok(());
        };
        let failing = &mut self.answering.failing;
        let mut context = FailureContext { failing, touched };
        // The common case needs no list.
        if let [group] = touched {
            let result = incremental.evaluate_for(*group, connection, &mut context)?;
            if let Some(row) = result.row() {
                self.emitter.emit_for(origin, row);
            }
            return Ok(());
        }
        for row in incremental.rows_of(touched, connection, &mut context)? {
            self.emitter.emit_for(origin, row);
        }
        Ok(())
    }

    /// The rows of the groups that the event touches, from the database.
    fn touched_rows(&mut self, update: &Update<'_>) -> Result<Vec<Payload>> {
        let asked = self.ask_touched(update)?;
        let rows = asked.answers.into_iter().filter(|answer| answer.touched);
        Ok(rows.filter_map(|answer| answer.row).collect())
    }

    /// The groups whose rows may have changed.
    fn changed_rows(&mut self, update: &Update<'_>, touched: &[GroupIndex]) -> Result<Vec<Answer>> {
        if self.answering.incremental.is_some() {
            return self.changed_groups(update, touched);
        }
        if !update.whole && self.answering.plan != Plan::Requery {
            return Ok(self.ask_touched(update)?.answers);
        }
        let asked = self.ask_whole(update)?;
        let mut answers = asked.answers;
        if asked.complete {
            let present = answers.iter().map(|answer| answer.group_id.clone());
            let present: HashSet<GroupId> = present.collect();
            self.add_gone(&mut answers, &present);
        }
        Ok(answers)
    }

    fn changed_groups(
        &mut self,
        update: &Update<'_>,
        touched: &[GroupIndex],
    ) -> Result<Vec<Answer>> {
        let connection = Self::connection(&mut self.connection)?;
        let Some(incremental) = &mut self.answering.incremental else {
            return Ok(Vec::new());
        };
        let changed = incremental.groups.take_changed();
        let mut with_row: Vec<(SortKey, Answer)> = Vec::with_capacity(changed.len());
        let mut without_row: Vec<Answer> = Vec::new();
        for group in &changed {
            let failing = &mut self.answering.failing;
            let mut context = FailureContext { failing, touched };
            let row = match incremental.evaluate_for(*group, connection, &mut context) {
                // What was emitted of it last stays valid while it fails.
                Ok(GroupResult::Failing) => continue,
                Ok(result) => result.row(),
                Err(error) => {
                    // They are still to be evaluated.
                    incremental.groups.note_changes(&changed);
                    return Err(error);
                }
            };
            let answer = Answer {
                group_id: incremental.group_id(*group),
                row,
                touched: touched.contains(group),
            };
            // A group without a row has no place in the order of the answer.
            match answer.row {
                Some(_) => with_row.push((incremental.sort_key(*group)?, answer)),
                None => without_row.push(answer),
            }
        }
        with_row.sort_by(|a, b| a.0.cmp(&b.0));
        without_row.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        let with_row = with_row.into_iter().map(|(_, answer)| answer);
        let mut answers: Vec<Answer> = with_row.chain(without_row).collect();
        // After a restart, groups may have been emitted that have no rows any more.
        let present = update.whole.then(|| incremental.group_ids());
        for group in changed {
            incremental.groups.release(group);
        }
        if let Some(present) = present {
            self.add_gone(&mut answers, &present);
        }
        Ok(answers)
    }

    /// Adds the groups that had a row when they were last emitted and are not present any more.
    fn add_gone(&self, answers: &mut Vec<Answer>, present: &HashSet<GroupId>) {
        let emitted = self.emitter.emission.present();
        let gone = emitted.filter(|known| !present.contains(*known));
        let mut gone: Vec<GroupId> = gone.cloned().collect();
        gone.sort();
        answers.extend(gone.into_iter().map(|group_id| Answer {
            group_id,
            row: None,
            touched: false,
        }));
    }

    /// Notes the rows of these groups, and emits those that the mode selects.
    fn observe(&mut self, update: &Update<'_>, origin: Option<Origin<'_>>, answers: Vec<Answer>) {
        for answer in answers {
            let group_id = answer.group_id;
            let emission = &mut self.emitter.emission;
            if let Some(row) = emission.observe(&group_id, answer.row.as_ref()) {
                let origin = origin.filter(|_| answer.touched);
                let row = GroupRow { group_id, row };
                self.emitter.emit_row(row, origin, update.now);
            }
        }
    }
}
