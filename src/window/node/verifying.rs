//! On a share of the events, the answer is held against that of the whole query.
//!
//! What is compared is what the plan would say: of `incremental` the whole answer, of `keyed` the
//! groups that the event touches. `requery` has nothing to compare.

use super::answering::fields;
use super::{Output, Update, Window};
use crate::error::{Error, Result, quote};
use crate::payload::Payload;
use crate::window::answer::group_id;
use crate::window::emission::GroupId;
use crate::window::options::Plan;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Rows of an answer, with what their groups are called.
type Rows = Vec<(GroupId, Payload)>;

impl Window {
    /// Compares the answer with that of the whole query. A difference is told with both, and the
    /// state made anew.
    pub(super) fn verify(&mut self, update: &Update<'_>) -> Result<()> {
        let difference = match self.plan {
            Plan::Incremental => self.verify_state(update)?,
            Plan::Keyed => self.verify_groups(update)?,
            Plan::Requery => None,
        };
        let Some(error) = difference else {
            return Ok(());
        };
        self.progress.fresh = true;
        if let Some(event) = update.event {
            self.outputs.push(Output::Refuse(event.detached(), error));
        }
        Ok(())
    }

    /// Compares all of the running answer.
    fn verify_state(&mut self, update: &Update<'_>) -> Result<Option<Error>> {
        let mut theirs = self.right(update)?;
        let windows = self.windows_of(update);
        let Some(incremental) = &mut self.incremental else {
            return Ok(None);
        };
        let session = Self::session(&mut self.session)?;
        let mut ours = Rows::new();
        for window in windows {
            ours.extend(incremental.rows_in(window, session)?);
        }
        ours.sort_by(|a, b| a.0.cmp(&b.0));
        theirs.sort_by(|a, b| a.0.cmp(&b.0));
        if same(&ours, &theirs) || self.rounds_otherwise(update, &theirs)? {
            return Ok(None);
        }
        let error = Error::data(format!(
            "the running answer differs from that of the query: {} is kept, {} is right",
            shown(&ours),
            shown(&theirs)
        ));
        Ok(Some(error.with_hint(format!(
            "the state is made anew; force plan = {} where that is not enough",
            quote("requery")
        ))))
    }

    /// Whether an answer is one that the running sums could have too, if what doubles round off
    /// were not carried: the database may add them up one after the other.
    fn rounds_otherwise(&mut self, update: &Update<'_>, theirs: &Rows) -> Result<bool> {
        let windows = self.windows_of(update);
        let Some(incremental) = &mut self.incremental else {
            return Ok(false);
        };
        let session = Self::session(&mut self.session)?;
        let mut theirs: HashMap<&GroupId, &Payload> = theirs
            .iter()
            .map(|(group_id, row)| (group_id, row))
            .collect();
        for window in windows {
            for at in incremental.groups_in(window) {
                let right = theirs.remove(&incremental.group_id(at));
                if !may_be(&incremental.variants(at, session)?, right) {
                    return Ok(false);
                }
            }
        }
        Ok(theirs.is_empty())
    }

    /// Compares what the query says when it is asked for the groups that the event touches with
    /// what it says of them when it is asked for all.
    fn verify_groups(&mut self, update: &Update<'_>) -> Result<Option<Error>> {
        let Some(row) = update.row else {
            return Ok(None);
        };
        let mut theirs = self.right(update)?;
        let session = Self::session(&mut self.session)?;
        let keys = self.queries.touched(row, session)?;
        let event = fields(self.asks, update)?;
        let mut ours = Rows::new();
        let mut touched: HashSet<GroupId> = HashSet::new();
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            for key in &keys {
                let session = Self::session(&mut self.session)?;
                let row = self.queries.of_group(key, session, &binding)?;
                let group_id = group_id(window, key);
                ours.extend(row.map(|row| (group_id.clone(), row)));
                touched.insert(group_id);
            }
        }
        // Tables that were made elsewhere may call a group otherwise than the event does.
        match self.exact {
            true => theirs.retain(|(group_id, _)| touched.contains(group_id)),
            false => theirs.retain(|(_, row)| ours.iter().any(|(_, ours)| same_row(ours, row))),
        }
        ours.sort_by(|a, b| a.0.cmp(&b.0));
        theirs.sort_by(|a, b| a.0.cmp(&b.0));
        let agrees = match self.exact {
            true => same(&ours, &theirs),
            false => ours
                .iter()
                .all(|(_, row)| theirs.iter().any(|(_, theirs)| same_row(row, theirs))),
        };
        if agrees || self.rounds_apart(update, &touched, [&ours, &theirs])? {
            return Ok(None);
        }
        Ok(Some(
            Error::data(format!(
                "the answer by group differs from that of the whole query: {} by group, {} of the \
                 whole",
                shown(&ours),
                shown(&theirs)
            ))
            .with_hint(format!("force plan = {}", quote("requery"))),
        ))
    }

    /// Whether two answers of these groups are both such as sums come out that are not carried, in
    /// one order and another. For that the state is made that could keep them, this once.
    fn rounds_apart(
        &mut self,
        update: &Update<'_>,
        touched: &HashSet<GroupId>,
        answers: [&Rows; 2],
    ) -> Result<bool> {
        let windows = self.windows_of(update);
        let (true, Some(beside)) = (self.exact, &mut self.verify.beside) else {
            return Ok(false);
        };
        let session = Self::session(&mut self.session)?;
        beside.rebuild(Some(&mut *session), update.now, self.emission.boundaries())?;
        let mut found: HashSet<GroupId> = HashSet::new();
        let mut may = true;
        for at in windows
            .iter()
            .flat_map(|w| beside.groups_in(*w))
            .collect::<Vec<_>>()
        {
            let group_id = beside.group_id(at);
            if touched.contains(&group_id) {
                let variants = beside.variants(at, session)?;
                may &= answers.iter().all(|rows| {
                    let row = rows.iter().find(|(named, _)| *named == group_id);
                    may_be(&variants, row.map(|(_, row)| row))
                });
                found.insert(group_id);
            }
        }
        beside.rebuild(None, update.now, self.emission.boundaries())?;
        let mut rows = answers.into_iter().flatten();
        Ok(may && rows.all(|(group_id, _)| found.contains(group_id)))
    }

    /// The answer of the whole query, for the windows of an event.
    fn right(&mut self, update: &Update<'_>) -> Result<Rows> {
        let event = fields(self.asks, update)?;
        let mut rows = Rows::new();
        for window in self.windows_of(update) {
            let binding = self.binding(update.now, window, event);
            let session = Self::session(&mut self.session)?;
            let found = self.queries.full.answer(session, &binding, window)?;
            rows.extend(found.into_iter().map(|found| (found.group_id, found.row)));
        }
        Ok(rows)
    }
}

fn shown(rows: &[(GroupId, Payload)]) -> String {
    let rows: Vec<&str> = rows.iter().filter_map(|(_, row)| row.text()).collect();
    format!("[{}]", rows.join(", "))
}

/// Whether two answers are the same but for what doubles round off.
fn same(ours: &[(GroupId, Payload)], theirs: &[(GroupId, Payload)]) -> bool {
    let rows = ours.iter().zip(theirs);
    ours.len() == theirs.len()
        && rows
            .into_iter()
            .all(|(ours, theirs)| same_row(&ours.1, &theirs.1))
}

fn same_row(ours: &Payload, theirs: &Payload) -> bool {
    let (Ok(a), Ok(b)) = (ours.object(), theirs.object()) else {
        return false;
    };
    a.len() == b.len()
        && a.iter()
            .all(|(name, a)| b.get(name).is_some_and(|b| same_value(a, b)))
}

/// Doubles are the same but for what they round off; all else, types too, is as it is.
fn same_value(ours: &Value, theirs: &Value) -> bool {
    match (real(ours), real(theirs)) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        _ => ours == theirs,
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64(),
        _ => None,
    }
}

/// Whether a group that has one of these rows may have this one. A double may be as far from the
/// first as the others are together, anything else is what one of them has.
fn may_be(variants: &[Option<Payload>], right: Option<&Payload>) -> bool {
    let Some(right) = right else {
        return variants.iter().any(Option::is_none);
    };
    let rows: Vec<_> = variants
        .iter()
        .flatten()
        .flat_map(Payload::object)
        .collect();
    let (Some(first), Ok(right)) = (rows.first(), right.object()) else {
        return false;
    };
    first.len() == right.len()
        && right.iter().all(|(name, right)| {
            let has: Vec<&Value> = rows.iter().filter_map(|row| row.get(name)).collect();
            if has.iter().any(|has| same_value(has, right)) {
                return true;
            }
            let reals: Vec<f64> = has.iter().filter_map(|has| real(has)).collect();
            match (reals.as_slice(), real(right)) {
                ([first, others @ ..], Some(right)) => {
                    let apart: f64 = others.iter().map(|other| (other - first).abs()).sum();
                    (right - first).abs() <= apart
                }
                _ => false,
            }
        })
}
