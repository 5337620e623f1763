//! Rows into sessions.

use super::{IncrementalState, StateRow};
use crate::error::Result;
use crate::store::{Connection, Datum, Row};
use crate::time::Timestamp;
use crate::window::answer::group_id;
use crate::window::emission::GroupId;
use crate::window::state::{Digest, GroupIndex, SessionRow};

/// A member of a row: the key of its group, and the arguments of the aggregates.
pub(super) struct OwnedMember {
    pub key: Vec<Datum>,
    pub arguments: Vec<Datum>,
}

impl IncrementalState {
    /// Adds a row to the sessions of its keys; the gap is in microseconds.
    pub(super) fn add_to_sessions(
        &mut self,
        row: &Row<'_>,
        entry: StateRow,
        gap: i64,
        connection: &mut Connection,
        touched: &mut Vec<GroupIndex>,
    ) -> Result<()> {
        // All members first: reading one may fail.
        let mut members: Vec<OwnedMember> = Vec::new();
        self.members_of.each(row, connection, &mut |member| {
            members.push(OwnedMember {
                key: member.key(),
                arguments: member.arguments.to_vec(),
            });
        })?;
        self.arrived += 1;
        let time = entry.time.as_micros();
        let in_time = time.saturating_add(gap) > entry.closed.as_micros();
        for member in members {
            let name = self.digest_of(&member.key);
            if !in_time && !self.groups.may_join(name, time, gap) {
                continue;
            }
            let index = self.add_to_session(&member, entry, gap, None);
            if !touched.contains(&index) {
                touched.push(index);
            }
        }
        Ok(())
    }

    /// Adds a member to a session; where there is a boundary, to one that ended by then.
    pub(super) fn add_to_session(
        &mut self,
        member: &OwnedMember,
        entry: StateRow,
        gap: i64,
        boundary: Option<i64>,
    ) -> GroupIndex {
        let name = self.digest_of(&member.key);
        let row = SessionRow {
            key: boundary.map_or(name, |boundary| name.in_window(boundary)),
            time: entry.time.as_micros(),
            gap,
            digest: entry.digest,
            arguments: &member.arguments,
        };
        self.groups
            .join(&row, |key| key.clone_from_slice(&member.key))
    }

    /// The digest of the key of a group.
    pub(super) fn digest_of(&mut self, key: &[Datum]) -> Digest {
        self.bytes.clear();
        for datum in key {
            Datum::encode(&datum.cell(), &mut self.bytes);
        }
        Digest::of(&self.bytes)
    }

    /// The sessions that a row would join; they are in `touched` afterwards.
    pub(super) fn find_sessions(
        &mut self,
        row: &Row<'_>,
        time: Timestamp,
        gap: i64,
        connection: &mut Connection,
        touched: &mut Vec<GroupIndex>,
    ) -> Result<()> {
        let groups = &self.groups;
        self.members_of.each(row, connection, &mut |member| {
            for index in groups.sessions_at(member.name, time.as_micros(), gap) {
                if !touched.contains(&index) {
                    touched.push(index);
                }
            }
        })
    }

    /// Whether a row of this time belongs to a session that is open.
    ///
    /// # Errors
    /// An expression that the database cannot compute for the row.
    pub fn joins_open(
        &mut self,
        row: &Row<'_>,
        time: Timestamp,
        connection: &mut Connection,
    ) -> Result<bool> {
        let Some(gap) = self.rules.session_gap() else {
            return Ok(false);
        };
        let (groups, mut joins) = (&self.groups, false);
        self.members_of.each(row, connection, &mut |member| {
            joins |= groups.may_join(member.name, time.as_micros(), gap);
        })?;
        Ok(joins)
    }

    /// The groups of which a session has begun that overlaps the one before it, and when that one
    /// ended; each once.
    pub fn take_boundaries(&mut self) -> Vec<(GroupId, i64)> {
        let overlapping = self.groups.take_overlapping().into_iter();
        let boundary = |(index, end)| (group_id(None, self.groups.key(index)), end);
        overlapping.map(boundary).collect()
    }
}
