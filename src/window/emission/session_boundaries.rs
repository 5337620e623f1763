//! The ends of sessions that the table does not tell apart.
//!
//! A session has ended, and then a row comes whose time is within the gap of its last one, but late
//! enough for a session of its own. Read from the table, both would be one session. So the end of the
//! first is kept, as a boundary, for as long as its rows may be stored. A row belongs before a boundary
//! if a session that begins with it would have ended by then: the rows that came after the end were
//! later than that, or too late.

use super::{Emission, GroupId};
use crate::error::Result;
use crate::store::Connection;
use std::collections::{BTreeSet, HashMap};

/// The name under which the boundaries of a group are kept begins with this; its id follows.
const CUT: &str = "cut";

/// The boundaries of all groups, in microseconds.
#[derive(Default)]
pub(in crate::window) struct SessionBoundaries {
    /// The boundaries of each group: at least one.
    of: Ends,
    /// `of` before the batch, where the batch has changed it.
    before: Option<Ends>,
}

type Ends = HashMap<GroupId, BTreeSet<i64>>;

/// The boundaries of a group as a database keeps them.
struct Kept {
    name: String,
    /// `None` where the group has none any more.
    ends: Option<String>,
}

impl Emission {
    pub(in crate::window) fn boundaries(&self) -> &SessionBoundaries {
        &self.boundaries
    }

    /// A session of a group has ended, and another one has begun that overlaps it.
    ///
    /// # Errors
    /// A database that cannot be reached.
    pub(in crate::window) fn add_boundary(
        &mut self,
        group: &GroupId,
        end: i64,
        connection: &mut Connection,
    ) -> Result<()> {
        let kept = self.boundaries.add(group, end);
        self.keep(vec![kept], connection)
    }

    /// The rows of sessions that ended before an instant are not stored any more.
    ///
    /// # Errors
    /// A database that cannot be reached.
    pub(in crate::window) fn forget_boundaries(
        &mut self,
        before: i64,
        connection: &mut Connection,
    ) -> Result<()> {
        let kept = self.boundaries.forget(before);
        self.keep(kept, connection)
    }

    fn keep(&self, kept: Vec<Kept>, connection: &mut Connection) -> Result<()> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        kept.iter().try_for_each(|kept| match &kept.ends {
            Some(ends) => connection.set_emitted(scope, &kept.name, ends),
            None => connection.unset_emitted(scope, &kept.name),
        })
    }
}

impl SessionBoundaries {
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The boundary before which a row of a group belongs; `ends` is when a session of it alone would
    /// end.
    pub fn of(&self, group: &str, ends: i64) -> Option<i64> {
        self.of.get(group)?.range(ends..).next().copied()
    }

    /// The last boundary of a group.
    pub fn last(&self, group: &str) -> Option<i64> {
        self.of.get(group)?.last().copied()
    }

    fn change(&mut self) -> &mut Ends {
        let of = &self.of;
        self.before.get_or_insert_with(|| of.clone());
        &mut self.of
    }

    /// Adds the end of a session of a group.
    fn add(&mut self, group: &GroupId, end: i64) -> Kept {
        let ends = self.change().entry(group.clone()).or_default();
        ends.insert(end);
        kept(group, ends)
    }

    /// Forgets the boundaries before an instant.
    fn forget(&mut self, before: i64) -> Vec<Kept> {
        let is_old = |ends: &BTreeSet<i64>| ends.first().is_some_and(|end| *end < before);
        if !self.of.values().any(is_old) {
            return Vec::new();
        }
        let mut changed = Vec::new();
        self.change().retain(|group, ends| {
            if is_old(ends) {
                *ends = ends.split_off(&before);
                changed.push(kept(group, ends));
            }
            !ends.is_empty()
        });
        changed
    }

    /// Forgets all: what is on disk is to be read.
    pub(super) fn open(&mut self) {
        *self = SessionBoundaries::default();
    }

    /// Reads the boundaries of a group. Returns whether the name is that of boundaries.
    pub(super) fn read(&mut self, name: &str, ends: &str) -> bool {
        let Some(group) = name.strip_prefix(CUT) else {
            return false;
        };
        let ends = ends.split(' ').filter_map(|end| end.parse().ok());
        self.of.insert(group.into(), ends.collect());
        true
    }

    pub(super) fn commit(&mut self) {
        self.before = None;
    }

    pub(super) fn rollback(&mut self) {
        if let Some(before) = self.before.take() {
            self.of = before;
        }
    }
}

fn kept(group: &str, ends: &BTreeSet<i64>) -> Kept {
    let written: Vec<String> = ends.iter().map(i64::to_string).collect();
    Kept {
        name: format!("{CUT}{group}"),
        ends: (!written.is_empty()).then(|| written.join(" ")),
    }
}
