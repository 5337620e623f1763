//! Answers from the database, under the plans `requery` and `keyed`.

use super::{Update, Window};
use crate::error::Result;
use crate::window::answer::{Answer, group_id};
use crate::window::emission::GroupId;
use crate::window::failing::is_final;
use crate::window::options::Plan;
use std::collections::HashSet;

/// Groups and their rows.
pub(super) struct Asked {
    pub answers: Vec<Answer>,
    /// Whether these are all groups that were asked for: no query failed.
    pub complete: bool,
}

impl Window {
    /// Asks for the groups that the event touches.
    pub(super) fn ask_touched(&mut self, update: &Update<'_>) -> Result<Asked> {
        let Some(row) = update.row else {
            return Ok(Asked {
                answers: Vec::new(),
                complete: true,
            });
        };
        let connection = Self::connection(&mut self.connection)?;
        let keys = self.answering.queries.touched(row, connection)?;
        let event = update.fields(self.answering.uses_event)?;
        let mut answers = Vec::new();
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            let connection = Self::connection(&mut self.connection)?;
            let answering = &mut self.answering;
            // In a table that was made elsewhere, different texts may be the same key.
            let by_group = answering.plan == Plan::Keyed
                || !self.storage.exact
                || answering.failing.has_whole();
            if by_group {
                for key in &keys {
                    let group_id = group_id(window, key);
                    let row = answering.queries.of_group(key, connection, &binding);
                    if let Some(row) = answering.failing.excuse_group(&group_id, row)? {
                        answers.push(Answer {
                            group_id,
                            row,
                            touched: true,
                        });
                    }
                }
                continue;
            }
            let touched = keys.iter().map(|key| group_id(window, key));
            let touched: HashSet<GroupId> = touched.collect();
            for found in answering
                .queries
                .full
                .answer(connection, &binding, window)?
            {
                answers.push(Answer {
                    touched: touched.contains(&found.group_id),
                    group_id: found.group_id,
                    row: Some(found.row),
                });
            }
        }
        Ok(Asked {
            answers,
            complete: !self.answering.failing.has_whole(),
        })
    }

    /// Asks for all groups; where that fails, though the event did not cause it, for those that the
    /// event touches.
    pub(super) fn ask_whole(&mut self, update: &Update<'_>) -> Result<Asked> {
        match self.ask_all_windows(update) {
            Ok(answers) => {
                self.answering.failing.remove_whole();
                Ok(Asked {
                    answers,
                    complete: true,
                })
            }
            Err(error) if is_final(&error) && update.event.is_none() => {
                self.answering.failing.add_whole(error);
                Ok(Asked {
                    answers: Vec::new(),
                    complete: false,
                })
            }
            Err(error) if is_final(&error) && self.answering.failing.has_whole() => {
                self.ask_touched(update)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for all groups of all open windows.
    pub(super) fn ask_all_windows(&mut self, update: &Update<'_>) -> Result<Vec<Answer>> {
        let connection = Self::connection(&mut self.connection)?;
        let keys = match update.row {
            Some(row) => self.answering.queries.touched(row, connection)?,
            None => Vec::new(),
        };
        let event = update.fields(self.answering.uses_event)?;
        let windows: Vec<_> = if self.rules.kind.closes() {
            self.batch.progress.open.iter().copied().map(Some).collect()
        } else {
            vec![None]
        };
        // Where groups are not known, an event is taken to touch all of them.
        let touches_all = self.answering.queries.keyed.is_none() && update.event.is_some();
        let mut answers = Vec::new();
        for window in windows {
            let touched = keys.iter().map(|key| group_id(window, key));
            let touched: HashSet<GroupId> = touched.collect();
            let binding = self.binding(update.now, window, event);
            let connection = Self::connection(&mut self.connection)?;
            let full = &self.answering.queries.full;
            for found in full.answer(connection, &binding, window)? {
                answers.push(Answer {
                    touched: touches_all || touched.contains(&found.group_id),
                    group_id: found.group_id,
                    row: Some(found.row),
                });
            }
        }
        Ok(answers)
    }
}
