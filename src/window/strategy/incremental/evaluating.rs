//! The row of a group in the answer: the database evaluates it over the state of the group.

use super::IncrementalState;
use crate::error::Result;
use crate::payload::Payload;
use crate::store::{Cell, Connection, Datum};
use crate::window::analysis::{GroupParam, OutputColumn};
use crate::window::failing::{FailureContext, is_final};
use crate::window::kind::WindowBounds;
use crate::window::state::GroupIndex;

/// What the evaluation of a group gave for the current event.
#[derive(Debug)]
pub(in crate::window) enum GroupResult {
    /// The group has this row in the answer.
    Row(Payload),
    /// It has none.
    NoRow,
    /// The query fails, and the current event did not cause it.
    Failing,
}

impl GroupResult {
    /// The row, where there is one.
    pub fn row(self) -> Option<Payload> {
        match self {
            GroupResult::Row(row) => Some(row),
            GroupResult::NoRow | GroupResult::Failing => None,
        }
    }
}

/// A change of the value of one aggregate.
#[derive(Debug, Clone, Copy)]
struct Deviation {
    /// The number of the aggregate.
    aggregate: usize,
    by: f64,
}

impl IncrementalState {
    /// The row of a group in the answer, where it has one.
    ///
    /// # Errors
    /// An expression that the database cannot compute; a double that JSON cannot hold.
    pub fn evaluate(
        &mut self,
        index: GroupIndex,
        connection: &mut Connection,
    ) -> Result<Option<Payload>> {
        self.evaluate_with(index, connection, None)
    }

    /// The row of a group, as [`evaluate`](Self::evaluate) returns it. The current event did not cause a
    /// failure if it does not touch the group, or if the group failed before.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate), where the current event caused them.
    pub fn evaluate_for(
        &mut self,
        index: GroupIndex,
        connection: &mut Connection,
        context: &mut FailureContext<'_>,
    ) -> Result<GroupResult> {
        match self.evaluate(index, connection) {
            Ok(row) => {
                if !context.failing.is_empty() {
                    context.failing.remove(&self.group_id(index));
                }
                Ok(row.map_or(GroupResult::NoRow, GroupResult::Row))
            }
            Err(error) if is_final(&error) => {
                let group = self.group_id(index);
                if context.touched.contains(&index) && !context.failing.has(&group) {
                    return Err(error);
                }
                context.failing.add(group, error);
                Ok(GroupResult::Failing)
            }
            Err(error) => Err(error),
        }
    }

    fn evaluate_with(
        &mut self,
        index: GroupIndex,
        connection: &mut Connection,
        deviation: Option<Deviation>,
    ) -> Result<Option<Payload>> {
        if self.groups.rows(index) == 0 && !self.keys.is_empty() {
            return Ok(None);
        }
        if let (Some(sql), Some(evaluation)) = (&self.query.group, &self.evaluation) {
            self.totals.clear();
            for number in 0..self.query.aggregates.len() {
                self.totals.push(self.groups.aggregate(index, number)?);
            }
            if let Some(Deviation { aggregate, by }) = deviation
                && let Datum::Real(total) = &mut self.totals[aggregate]
            {
                *total += by;
            }
            let window = self.groups.window(index).unwrap_or_default();
            let (key, totals) = (self.groups.key(index), &self.totals);
            let mut cells = sql.params.iter().map(|param| match param {
                GroupParam::Key(number) => key[*number].cell(),
                GroupParam::Aggregate(number) => totals[*number].cell(),
                GroupParam::WindowStart => seconds(window.start),
                GroupParam::WindowEnd => seconds(self.rules.shown_end(window)),
            });
            if !connection.evaluate(evaluation, &mut cells, &mut self.values)? {
                return Ok(None);
            }
        }
        self.write_row(index)?;
        Ok(Some(self.bytes.as_slice().into()))
    }

    /// Writes the row of a group to `bytes`, as JSON; `values` are its computed columns.
    fn write_row(&mut self, index: GroupIndex) -> Result<()> {
        self.bytes.clear();
        self.bytes.push(b'{');
        for (number, output) in self.query.outputs.iter().enumerate() {
            if number > 0 {
                self.bytes.push(b',');
            }
            self.bytes.extend_from_slice(&self.names[number]);
            let column = &self.columns[number];
            match output {
                OutputColumn::Key(number) => {
                    self.groups.key(index)[*number].write_json(column, &mut self.bytes)?;
                }
                OutputColumn::Computed(number) => {
                    self.values[*number].write_json(column, &mut self.bytes)?;
                }
                OutputColumn::Count(number) => {
                    let count = self.groups.aggregate(index, *number)?;
                    count.write_json(column, &mut self.bytes)?;
                }
            }
        }
        self.bytes.push(b'}');
        Ok(())
    }

    /// The rows that a group may have in the database, which rounds sums of doubles after each row:
    /// first its own row, then those with each of its sums at the limits of its slack.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    pub fn variants(
        &mut self,
        index: GroupIndex,
        connection: &mut Connection,
    ) -> Result<Vec<Option<Payload>>> {
        let mut variants = vec![self.evaluate(index, connection)?];
        for aggregate in 0..self.query.aggregates.len() {
            let slack = self.groups.slack(index, aggregate);
            if slack > 0.0 {
                for by in [-slack, slack] {
                    let deviation = Some(Deviation { aggregate, by });
                    variants.push(self.evaluate_with(index, connection, deviation)?);
                }
            }
        }
        Ok(variants)
    }

    /// The groups of a window with bounds, or of the one without them.
    pub fn groups_in(&self, window: Option<WindowBounds>) -> Vec<GroupIndex> {
        match window {
            Some(window) => self.groups.of_window(window),
            None => self.groups.all().collect(),
        }
    }
}

fn seconds(micros: i64) -> Cell<'static> {
    match micros.rem_euclid(1_000_000) {
        0 => Cell::Integer(micros / 1_000_000),
        _ => Cell::Real(micros as f64 / 1e6),
    }
}
