//! Rows in the order of the answer.

use super::{GroupResult, IncrementalState};
use crate::error::Result;
use crate::payload::Payload;
use crate::store::{Connection, Datum};
use crate::window::analysis::OutputColumn;
use crate::window::failing::FailureContext;
use crate::window::kind::WindowBounds;
use crate::window::state::GroupIndex;
use crate::window::strategy::GroupRow;
use std::cmp::Ordering;

/// A row of the answer, where all of it is kept.
pub(super) struct RankedRow {
    pub sort_key: SortKey,
    group: GroupIndex,
    row: Payload,
}

/// What a row of the answer is sorted by: its window, ORDER BY, and then the key of its group.
#[derive(PartialEq, Eq)]
pub(in crate::window) struct SortKey {
    pub(super) window: Option<WindowBounds>,
    terms: Vec<Term>,
}

#[derive(PartialEq, Eq)]
struct Term {
    value: Datum,
    descending: bool,
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let terms = self.terms.iter().zip(&other.terms).map(|(a, b)| {
            if a.descending {
                b.value.cmp(&a.value)
            } else {
                a.value.cmp(&b.value)
            }
        });
        let by_terms = terms.fold(Ordering::Equal, Ordering::then);
        self.window.cmp(&other.window).then(by_terms)
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl IncrementalState {
    /// The sort key of a group that was just evaluated.
    ///
    /// # Errors
    /// A sum of integers beyond 64 bits.
    pub fn sort_key(&self, index: GroupIndex) -> Result<SortKey> {
        let key = self.groups.key(index);
        let mut terms = Vec::with_capacity(self.query.order.len() + key.len());
        for order in &self.query.order {
            let value = match order.by {
                OutputColumn::Key(number) => key[number].clone(),
                OutputColumn::Computed(number) => self.values[number].clone(),
                OutputColumn::Count(number) => self.groups.aggregate(index, number)?,
            };
            terms.push(Term {
                value,
                descending: order.descending,
            });
        }
        terms.extend(key.iter().map(|value| Term {
            value: value.clone(),
            descending: false,
        }));
        Ok(SortKey {
            window: self.groups.window(index),
            terms,
        })
    }

    /// Every row of the answer over these windows, in its order. The rows are kept from call to call;
    /// only those of groups that have changed are evaluated.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate); more rows than an answer may have.
    pub fn listing(
        &mut self,
        connection: &mut Connection,
        windows: &[Option<WindowBounds>],
        context: &mut FailureContext<'_>,
    ) -> Result<Vec<Payload>> {
        let changed = self.groups.take_changed();
        for (number, group) in changed.iter().copied().enumerate() {
            self.listed.retain(|listed| listed.group != group);
            let row = match self.evaluate_for(group, connection, context) {
                Ok(result) => result.row(),
                Err(error) => {
                    self.groups.note_changes(&changed[number..]);
                    return Err(error);
                }
            };
            if let Some(row) = row {
                let ranked = RankedRow {
                    sort_key: self.sort_key(group)?,
                    group,
                    row,
                };
                let before = |listed: &RankedRow| listed.sort_key < ranked.sort_key;
                let rank = self.listed.partition_point(before);
                self.listed.insert(rank, ranked);
            }
            self.groups.release(group);
        }
        let wanted = |listed: &&RankedRow| windows.contains(&listed.sort_key.window);
        let rows = self.listed.iter().filter(wanted);
        let rows: Vec<Payload> = rows.map(|listed| listed.row.clone()).collect();
        self.limits.check_rows(rows.len())?;
        let sizes = rows.iter().map(|row| row.bytes().len());
        self.limits.check_bytes(sizes.sum())?;
        Ok(rows)
    }

    /// The rows of these groups, in the order of the answer.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    pub fn rows_of(
        &mut self,
        groups: &[GroupIndex],
        connection: &mut Connection,
        context: &mut FailureContext<'_>,
    ) -> Result<Vec<Payload>> {
        if self.query.order.is_empty() {
            // By their windows and keys, which need not be copied for that.
            let mut groups = groups.to_vec();
            let window = |index: &GroupIndex| {
                let window = self.groups.window(*index);
                window.map(|window| (window.start, window.end))
            };
            groups.sort_by(|a, b| {
                let by_key = || self.groups.key(*a).cmp(self.groups.key(*b));
                window(a).cmp(&window(b)).then_with(by_key)
            });
            let rows = groups.into_iter();
            let rows = rows.map(|index| self.evaluate_for(index, connection, context));
            return rows
                .filter_map(|result| result.map(GroupResult::row).transpose())
                .collect();
        }
        let mut rows = Vec::with_capacity(groups.len());
        for index in groups {
            if let Some(row) = self.evaluate_for(*index, connection, context)?.row() {
                rows.push((self.sort_key(*index)?, row));
            }
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// The rows of one window, with their groups, in the order of the answer.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate); more rows than an answer may have.
    pub fn rows_in(
        &mut self,
        window: Option<WindowBounds>,
        connection: &mut Connection,
    ) -> Result<Vec<GroupRow>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        for index in self.groups_in(window) {
            if let Some(row) = self.evaluate(index, connection)? {
                bytes += row.bytes().len();
                self.limits.check_bytes(bytes)?;
                let group_id = self.group_id(index);
                rows.push((self.sort_key(index)?, GroupRow { group_id, row }));
            }
        }
        self.limits.check_rows(rows.len())?;
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}
