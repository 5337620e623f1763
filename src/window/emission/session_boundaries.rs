//! Where the rows of a group are cut into sessions that the table does not tell apart.
//!
//! A session has ended, and a row comes whose time is within the gap of its last one, but in time
//! for a session of its own: read from the table, both would be one. So the end of the first is
//! kept for as long as its rows may be stored. A row belongs before a cut if a session that begins
//! with it would have ended by then: what came later was later than that, or was too late.

use super::{Emission, GroupId};
use crate::error::Result;
use crate::store::Session;
use std::collections::{BTreeSet, HashMap};

/// What a cut is called on disk: this, and the group.
const CUT: &str = "cut";

/// The boundaries of all groups, in microseconds.
#[derive(Default)]
pub(in crate::window) struct SessionBoundaries {
    of: Ends,
    /// The same before the batch, where it has changed them.
    before: Option<Ends>,
}

type Ends = HashMap<GroupId, BTreeSet<i64>>;

/// What is kept on disk: under which name, and what; nothing any more where nothing is left.
type Kept = (String, Option<String>);

impl Emission {
    /// Where groups are cut into sessions that the table does not tell apart.
    pub(in crate::window) fn boundaries(&self) -> &SessionBoundaries {
        &self.boundaries
    }

    /// A session of a group has ended, and another one has begun that overlaps with it.
    ///
    /// # Errors
    /// A database that is gone.
    pub(in crate::window) fn cut(
        &mut self,
        group: &GroupId,
        end: i64,
        session: &mut Session,
    ) -> Result<()> {
        let kept = self.boundaries.add(group, end);
        self.keep(vec![kept], session)
    }

    /// The rows of sessions that ended before an instant are not stored any more.
    ///
    /// # Errors
    /// A database that is gone.
    pub(in crate::window) fn forget_boundaries(
        &mut self,
        before: i64,
        session: &mut Session,
    ) -> Result<()> {
        let kept = self.boundaries.forget(before);
        self.keep(kept, session)
    }

    fn keep(&self, kept: Vec<Kept>, session: &mut Session) -> Result<()> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        kept.iter().try_for_each(|(name, ends)| match ends {
            Some(ends) => session.set_emitted(scope, name, ends),
            None => session.unset_emitted(scope, name),
        })
    }
}

impl SessionBoundaries {
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The cut before which a row of a group belongs; `ends` is when a session of it alone would.
    pub fn of(&self, group: &str, ends: i64) -> Option<i64> {
        self.of.get(group)?.range(ends..).next().copied()
    }

    /// The last cut of a group.
    pub fn last(&self, group: &str) -> Option<i64> {
        self.of.get(group)?.last().copied()
    }

    fn change(&mut self) -> &mut Ends {
        let of = &self.of;
        self.before.get_or_insert_with(|| of.clone());
        &mut self.of
    }

    /// SessionBoundaries a group where a session of it has ended.
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

    /// What is on disk is to be read: it is all that there is.
    pub(super) fn open(&mut self) {
        *self = SessionBoundaries::default();
    }

    /// Takes in what was kept on disk; says whether that is what it was.
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
    let written = Some(written.join(" ")).filter(|_| !ends.is_empty());
    (format!("{CUT}{group}"), written)
}
