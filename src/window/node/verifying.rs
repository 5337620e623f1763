//! On a share of the events, the answer is compared with that of the whole query.
//!
//! Under `incremental` the whole answer is compared, under `keyed` the groups that the event touches.
//! Under `requery` there is nothing to compare.

use super::comparing::{may_be, same, same_row, shown};
use super::{Update, Window};
use crate::error::{Error, Result, quote};
use crate::payload::Payload;
use crate::window::answer::group_id;
use crate::window::emission::GroupId;
use crate::window::options::Plan;
use crate::window::state::GroupIndex;
use crate::window::strategy::GroupRow;
use crate::window::strategy::incremental::{IncrementalState, RebuildSource};
use std::collections::{HashMap, HashSet};

/// On which events the answer is verified.
pub(in crate::window) struct Verification {
    /// The share of the events.
    share: f64,
    /// The fraction of a verification that the events since the last one add up to.
    owed: f64,
    /// Under `keyed`: a state for the same query, which has how far sums may differ.
    beside: Option<Box<IncrementalState>>,
}

impl Verification {
    pub fn new(share: f64, beside: Option<IncrementalState>) -> Self {
        Verification {
            share,
            owed: 0.0,
            beside: beside.map(Box::new),
        }
    }

    /// Counts an event. Returns whether its answer is verified.
    pub fn is_due(&mut self) -> bool {
        self.owed += self.share;
        let due = self.owed >= 1.0;
        if due {
            self.owed -= 1.0;
        }
        due
    }
}

impl Window {
    /// Compares the answer with that of the whole query. Where they differ, the event is rejected with
    /// both, and the state is rebuilt.
    pub(super) fn verify(&mut self, update: &Update<'_>) -> Result<()> {
        let difference = match self.answering.plan {
            Plan::Incremental => self.verify_state(update)?,
            Plan::Keyed => self.verify_groups(update)?,
            Plan::Requery => None,
        };
        let Some(error) = difference else {
            return Ok(());
        };
        self.batch.progress.stale = true;
        if let Some(event) = update.event {
            self.emitter.reject(event.detached(), error);
        }
        Ok(())
    }

    /// Compares the whole answer of the running state.
    fn verify_state(&mut self, update: &Update<'_>) -> Result<Option<Error>> {
        let mut theirs = self.whole_answer(update)?;
        let windows = self.windows_of(update);
        let Some(incremental) = &mut self.answering.incremental else {
            return Ok(None);
        };
        let connection = Self::connection(&mut self.connection)?;
        let mut ours: Vec<GroupRow> = Vec::new();
        for window in windows {
            ours.extend(incremental.rows_in(window, connection)?);
        }
        sort(&mut ours);
        sort(&mut theirs);
        if same(&ours, &theirs) || self.differs_by_rounding(update, &theirs)? {
            return Ok(None);
        }
        let error = Error::data(format!(
            "the running state gives {}, the query gives {}",
            shown(&ours),
            shown(&theirs)
        ));
        Ok(Some(error.with_hint(format!(
            "the state was rebuilt; if that does not help, set plan = {}",
            quote("requery")
        ))))
    }

    /// Whether an answer is one that the state could have too, if each sum of doubles were rounded
    /// after each row, as the database may do.
    fn differs_by_rounding(&mut self, update: &Update<'_>, theirs: &[GroupRow]) -> Result<bool> {
        let windows = self.windows_of(update);
        let Some(incremental) = &mut self.answering.incremental else {
            return Ok(false);
        };
        let connection = Self::connection(&mut self.connection)?;
        let theirs = theirs.iter().map(|found| (&found.group_id, &found.row));
        let mut theirs: HashMap<&GroupId, &Payload> = theirs.collect();
        for window in windows {
            for index in incremental.groups_in(window) {
                let right = theirs.remove(&incremental.group_id(index));
                if !may_be(&incremental.variants(index, connection)?, right) {
                    return Ok(false);
                }
            }
        }
        Ok(theirs.is_empty())
    }

    /// Compares the rows of the groups that the event touches, each from a query of its own, with those
    /// in the whole answer.
    fn verify_groups(&mut self, update: &Update<'_>) -> Result<Option<Error>> {
        let Some(row) = update.row else {
            return Ok(None);
        };
        let mut theirs = self.whole_answer(update)?;
        let connection = Self::connection(&mut self.connection)?;
        let keys = self.answering.queries.touched(row, connection)?;
        let event = update.fields(self.answering.uses_event)?;
        let mut ours: Vec<GroupRow> = Vec::new();
        let mut touched: HashSet<GroupId> = HashSet::new();
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            for key in &keys {
                let connection = Self::connection(&mut self.connection)?;
                let row = self.answering.queries.of_group(key, connection, &binding)?;
                let group_id = group_id(window, key);
                ours.extend(row.map(|row| GroupRow {
                    group_id: group_id.clone(),
                    row,
                }));
                touched.insert(group_id);
            }
        }
        // In a table that was made elsewhere, a group may have another key than the event.
        let has = |rows: &[GroupRow], row: &Payload| rows.iter().any(|r| same_row(&r.row, row));
        if self.storage.exact {
            theirs.retain(|found| touched.contains(&found.group_id));
        } else {
            theirs.retain(|found| has(&ours, &found.row));
        }
        sort(&mut ours);
        sort(&mut theirs);
        let agrees = if self.storage.exact {
            same(&ours, &theirs)
        } else {
            ours.iter().all(|found| has(&theirs, &found.row))
        };
        if agrees || self.both_differ_by_rounding(update, &touched, [&ours, &theirs])? {
            return Ok(None);
        }
        Ok(Some(
            Error::data(format!(
                "the query by group gives {}, the whole query gives {}",
                shown(&ours),
                shown(&theirs)
            ))
            .with_hint(format!("set plan = {}", quote("requery"))),
        ))
    }

    /// Whether both answers of these groups could come from sums that are rounded after each row, in
    /// one order and in another. For that a state is rebuilt from the table, this once.
    fn both_differ_by_rounding(
        &mut self,
        update: &Update<'_>,
        touched: &HashSet<GroupId>,
        answers: [&[GroupRow]; 2],
    ) -> Result<bool> {
        let windows = self.windows_of(update);
        let (true, Some(beside)) = (self.storage.exact, &mut self.verification.beside) else {
            return Ok(false);
        };
        let connection = Self::connection(&mut self.connection)?;
        let boundaries = self.emitter.emission.boundaries();
        let source = RebuildSource {
            connection: &mut *connection,
            arrivals: &self.storage.arrivals,
        };
        beside.rebuild(Some(source), update.now, boundaries)?;
        let mut found: HashSet<GroupId> = HashSet::new();
        let mut may = true;
        let groups = windows.iter().flat_map(|window| beside.groups_in(*window));
        let groups: Vec<GroupIndex> = groups.collect();
        for index in groups {
            let group_id = beside.group_id(index);
            if touched.contains(&group_id) {
                let variants = beside.variants(index, connection)?;
                may &= answers.iter().all(|rows| {
                    let row = rows.iter().find(|found| found.group_id == group_id);
                    may_be(&variants, row.map(|found| &found.row))
                });
                found.insert(group_id);
            }
        }
        beside.rebuild(None, update.now, boundaries)?;
        let mut rows = answers.into_iter().flatten();
        Ok(may && rows.all(|row| found.contains(&row.group_id)))
    }

    /// The answer of the whole query, for the windows of an event.
    fn whole_answer(&mut self, update: &Update<'_>) -> Result<Vec<GroupRow>> {
        let event = update.fields(self.answering.uses_event)?;
        let mut rows = Vec::new();
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            let connection = Self::connection(&mut self.connection)?;
            let full = &self.answering.queries.full;
            rows.extend(full.answer(connection, &binding, window)?);
        }
        Ok(rows)
    }
}

fn sort(rows: &mut [GroupRow]) {
    rows.sort_by(|a, b| a.group_id.cmp(&b.group_id));
}
