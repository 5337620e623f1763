//! The rows of the answer, as the database evaluates them over the state of each group.

use super::IncrementalState;
use crate::error::Result;
use crate::payload::Payload;
use crate::store::{Cell, Datum, Session};
use crate::window::analysis::{GroupParam, OutputColumn};
use crate::window::emission::GroupId;
use crate::window::failing::{FailureContext, is_final};

/// A row of the answer, where all of it is kept.
pub(in crate::window) struct RankedRow {
    pub(super) sort_key: SortKey,
    at: u32,
    row: Payload,
}

impl IncrementalState {
    /// The row of a group in the answer, where it has one.
    ///
    /// # Errors
    /// What the database cannot compute; a double that JSON cannot hold.
    pub fn evaluate(&mut self, at: u32, session: &mut Session) -> Result<Option<Payload>> {
        self.evaluate_off(at, session, None)
    }

    /// The same; `None` where the query cannot give it and the event in hand is not to context: it does
    /// not touch the group, or the group was broken before it.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate), where it is.
    pub fn evaluate_for(
        &mut self,
        at: u32,
        session: &mut Session,
        context: &mut FailureContext<'_>,
    ) -> Result<Option<Option<Payload>>> {
        match self.evaluate(at, session) {
            Ok(row) => {
                if !context.failing.is_empty() {
                    context.failing.mend(&self.group_id(at));
                }
                Ok(Some(row))
            }
            Err(error) if is_final(&error) => {
                let group = self.group_id(at);
                if context.touched.contains(&at) && !context.failing.has(&group) {
                    return Err(error);
                }
                context.failing.add(group, error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The same, as if one of its aggregates were off by so much.
    fn evaluate_off(
        &mut self,
        at: u32,
        session: &mut Session,
        off: Option<(usize, f64)>,
    ) -> Result<Option<Payload>> {
        if self.groups.rows(at) == 0 && !self.keys.is_empty() {
            return Ok(None);
        }
        if let (Some(sql), Some(evaluation)) = (&self.plan.group, &self.evaluation) {
            self.totals.clear();
            for number in 0..self.plan.aggregates.len() {
                self.totals.push(self.groups.aggregate(at, number)?);
            }
            if let Some((number, by)) = off
                && let Datum::Real(total) = &mut self.totals[number]
            {
                *total += by;
            }
            let window = self.groups.window(at).unwrap_or_default();
            let (key, totals) = (self.groups.key(at), &self.totals);
            let mut cells = sql.params.iter().map(|param| match param {
                GroupParam::Key(number) => key[*number].cell(),
                GroupParam::Aggregate(number) => totals[*number].cell(),
                GroupParam::WindowStart => seconds(window.0),
                GroupParam::WindowEnd => seconds(self.rules.shown_end(window.1)),
            });
            if !session.evaluate(evaluation, &mut cells, &mut self.values)? {
                return Ok(None);
            }
        }
        self.bytes.clear();
        self.bytes.push(b'{');
        for (number, output) in self.plan.outputs.iter().enumerate() {
            if number > 0 {
                self.bytes.push(b',');
            }
            self.bytes.extend_from_slice(&self.names[number]);
            let column = &self.columns[number];
            match output {
                OutputColumn::Key(number) => {
                    self.groups.key(at)[*number].write_json(column, &mut self.bytes)?;
                }
                OutputColumn::Computed(place) => {
                    self.values[*place].write_json(column, &mut self.bytes)?;
                }
                OutputColumn::Count(number) => {
                    let count = self.groups.aggregate(at, *number)?;
                    count.write_json(column, &mut self.bytes)?;
                }
            }
        }
        self.bytes.push(b'}');
        Ok(Some(self.bytes.as_slice().into()))
    }

    /// The rows that a group has where sums of doubles are rounded otherwise: first the one that it
    /// has, then those with each of its sums as little and as great as others may have it.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    pub fn variants(&mut self, at: u32, session: &mut Session) -> Result<Vec<Option<Payload>>> {
        let mut variants = vec![self.evaluate(at, session)?];
        for number in 0..self.plan.aggregates.len() {
            let slack = self.groups.slack(at, number);
            if slack > 0.0 {
                for by in [-slack, slack] {
                    variants.push(self.evaluate_off(at, session, Some((number, by)))?);
                }
            }
        }
        Ok(variants)
    }

    /// The groups of a window that slides (`None`) or ends.
    pub fn groups_in(&self, window: Option<(i64, i64)>) -> Vec<u32> {
        match window {
            Some(window) => self.groups.of_window(window),
            None => self.groups.all().collect(),
        }
    }

    /// What the rows of an answer are sorted by, of a group that was just evaluated.
    pub fn sort_key(&self, at: u32) -> Result<SortKey> {
        let key = self.groups.key(at);
        let mut terms = Vec::with_capacity(self.plan.order.len() + key.len());
        for order in &self.plan.order {
            let datum = match order.by {
                OutputColumn::Key(number) => key[number].clone(),
                OutputColumn::Computed(place) => self.values[place].clone(),
                OutputColumn::Count(number) => self.groups.aggregate(at, number)?,
            };
            terms.push((datum, order.descending));
        }
        let keys = key.iter().map(|key| (key.clone(), false));
        Ok(SortKey(
            self.groups.window(at),
            terms.into_iter().chain(keys).collect(),
        ))
    }

    /// Every row of the answer, in its order: of a window that slides, or of these.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate); more rows than an answer may have.
    pub fn listing(
        &mut self,
        session: &mut Session,
        windows: Vec<Option<(i64, i64)>>,
        context: &mut FailureContext<'_>,
    ) -> Result<Vec<Payload>> {
        let changed = self.groups.take_changed();
        for (number, at) in changed.iter().copied().enumerate() {
            self.listed.retain(|listed| listed.at != at);
            let row = match self.evaluate_for(at, session, context) {
                Ok(row) => row.flatten(),
                Err(error) => {
                    self.groups.note_all(&changed[number..]);
                    return Err(error);
                }
            };
            if let Some(row) = row {
                let sort_key = self.sort_key(at)?;
                let place = self
                    .listed
                    .partition_point(|listed| listed.sort_key < sort_key);
                self.listed.insert(place, RankedRow { sort_key, at, row });
            }
            self.groups.let_go(at);
        }
        let wanted = |listed: &&RankedRow| windows.contains(&listed.sort_key.0);
        let rows = self.listed.iter().filter(wanted);
        let rows: Vec<Payload> = rows.map(|listed| listed.row.clone()).collect();
        self.limits.check_rows(rows.len())?;
        self.limits
            .check_bytes(rows.iter().map(|row| row.bytes().len()).sum())?;
        Ok(rows)
    }

    /// The rows of these groups, in the order of the answer.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    pub fn rows_of(
        &mut self,
        groups: &[u32],
        session: &mut Session,
        context: &mut FailureContext<'_>,
    ) -> Result<Vec<Payload>> {
        if self.plan.order.is_empty() {
            // By their keys alone, which need not be copied for that.
            let mut groups = groups.to_vec();
            groups.sort_by(|a, b| {
                let windows = self.groups.window(*a).cmp(&self.groups.window(*b));
                windows.then_with(|| self.groups.key(*a).cmp(self.groups.key(*b)))
            });
            let rows = groups.into_iter();
            let rows = rows.map(|at| self.evaluate_for(at, session, context));
            return rows
                .filter_map(|row| row.map(Option::flatten).transpose())
                .collect();
        }
        let mut rows = Vec::with_capacity(groups.len());
        for at in groups {
            if let Some(row) = self.evaluate_for(*at, session, context)?.flatten() {
                rows.push((self.sort_key(*at)?, row));
            }
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// The rows of a window that slides (`None`) or ends, with what their groups are called, in
    /// the order of the answer.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate); more rows than an answer may have.
    pub fn rows_in(
        &mut self,
        window: Option<(i64, i64)>,
        session: &mut Session,
    ) -> Result<Vec<(GroupId, Payload)>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        for at in self.groups_in(window) {
            if let Some(row) = self.evaluate(at, session)? {
                bytes += row.bytes().len();
                self.limits.check_bytes(bytes)?;
                rows.push((self.sort_key(at)?, self.group_id(at), row));
            }
        }
        self.limits.check_rows(rows.len())?;
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(rows
            .into_iter()
            .map(|(_, group_id, row)| (group_id, row))
            .collect())
    }
}

/// What rows of an answer are sorted by.
#[derive(PartialEq, Eq)]
pub(in crate::window) struct SortKey(pub(super) Option<(i64, i64)>, Vec<(Datum, bool)>);

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let windows = self.0.map(|(start, end)| (end, start));
        let terms = self.1.iter().zip(&other.1).map(|(a, b)| match a.1 {
            false => a.0.cmp(&b.0),
            true => b.0.cmp(&a.0),
        });
        let by_terms = terms.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then);
        windows
            .cmp(&other.0.map(|(start, end)| (end, start)))
            .then(by_terms)
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn seconds(micros: i64) -> Cell<'static> {
    match micros.rem_euclid(1_000_000) {
        0 => Cell::Integer(micros / 1_000_000),
        _ => Cell::Real(micros as f64 / 1e6),
    }
}
