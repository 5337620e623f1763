//! The state, rebuilt from the table.

use super::joining::OwnedMember;
use super::{IncrementalState, StateRow, no_groups};
use crate::error::Result;
use crate::store::{Binding, Connection, Datum};
use crate::time::Timestamp;
use crate::window::aggregates::ArgumentType;
use crate::window::analysis::RowValue;
use crate::window::answer::group_id;
use crate::window::emission::SessionBoundaries;
use crate::window::state::Digest;
use std::collections::{HashMap, VecDeque};

/// No window has closed by this instant.
const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);

/// Where the rows are from which a state is rebuilt.
pub(in crate::window) struct RebuildSource<'a> {
    pub connection: &'a mut Connection,
    /// The keys of the rows of a window with a number of rows, in the order in which they came.
    pub arrivals: &'a VecDeque<Box<[Datum]>>,
}

/// The rows of the table, and their members by the digests of their keys, in the order in which they
/// were read.
#[derive(Default)]
struct LoadedRows {
    rows: Vec<StateRow>,
    members: HashMap<Digest, Vec<OwnedMember>>,
}

impl LoadedRows {
    fn push(&mut self, digest: Digest, time: Timestamp) {
        self.rows.push(StateRow {
            digest,
            time,
            closed: NEVER,
        });
    }
}

impl IncrementalState {
    /// Rebuilds the state from the table, or, without a session, as one without rows. Rows that have
    /// left by `now` are left out, and sessions that the table does not tell apart stay apart.
    ///
    /// # Errors
    /// A database that cannot be reached.
    pub fn rebuild(
        &mut self,
        source: Option<RebuildSource<'_>>,
        now: Timestamp,
        boundaries: &SessionBoundaries,
    ) -> Result<()> {
        self.groups = no_groups(&self.query, self.keys.len(), self.state_options);
        self.listed.clear();
        self.arrived = 0;
        self.begun = true;
        if let Some(source) = source {
            let mut loaded = self.load(source, now)?;
            for entry in loaded.rows {
                let members = loaded.members.remove(&entry.digest).unwrap_or_default();
                self.restore(entry, members, now, boundaries);
            }
        }
        if self.keys.is_empty() && !self.rules.kind.closes() {
            // The one group of a query without keys has a row even if no row is in the window.
            let index = self.groups.find_or_make(Digest::of(&[]), None, |_| {});
            self.groups.note_changes(&[index]);
        }
        self.expire(now);
        Ok(())
    }

    /// Reads the rows of the table and their members.
    fn load(&mut self, source: RebuildSource<'_>, now: Timestamp) -> Result<LoadedRows> {
        let RebuildSource {
            connection,
            arrivals,
        } = source;
        let binding = Binding {
            now,
            event: None,
            window: None,
            keys: &[],
        };
        let items = &self.query.load.items;
        let ids = self.query.load.ids;
        let first_id = usize::from(self.query.load.time);
        let column = |item: &RowValue| {
            let found = items.iter().position(|known| known == item);
            first_id + ids + found.expect("every key and argument is loaded")
        };
        let keys: Vec<usize> = self.keys.iter().map(column).collect();
        let arguments: Vec<Option<(usize, ArgumentType)>> = self
            .query
            .aggregates
            .iter()
            .map(|aggregate| Some((column(aggregate.arg.as_ref()?), aggregate.kind)))
            .collect();
        let time = |row: &[Datum]| {
            let time = row.first().filter(|_| first_id > 0);
            let time = time.and_then(Datum::as_time);
            time.unwrap_or(Timestamp::from_micros(0))
        };
        let mut loaded = LoadedRows::default();
        let mut number = 0;
        connection.data(&self.load, &binding, &mut |row| {
            let digest = match ids {
                0 => Digest::numbered(number),
                _ => digest_of(&row[first_id..first_id + ids]),
            };
            number += 1;
            let values = arguments.iter().map(|argument| match argument {
                Some((column, kind)) => kind.value(&row[*column].cell()),
                None => Ok(Datum::Integer(1)),
            });
            let member = OwnedMember {
                key: keys.iter().map(|column| row[*column].clone()).collect(),
                arguments: values.collect::<Result<_>>()?,
            };
            loaded.members.entry(digest).or_default().push(member);
            if ids == 0 {
                loaded.push(digest, time(row));
            }
            Ok(())
        })?;
        if self.rules.kind.count().is_some() {
            for key in arrivals {
                loaded.push(digest_of(key), now);
            }
        } else if ids > 0 {
            connection.data(&self.live, &binding, &mut |row| {
                loaded.push(digest_of(&row[first_id..first_id + ids]), time(row));
                Ok(())
            })?;
        }
        Ok(loaded)
    }

    fn restore(
        &mut self,
        entry: StateRow,
        members: Vec<OwnedMember>,
        now: Timestamp,
        boundaries: &SessionBoundaries,
    ) {
        if !self.rules.kind.closes() && !self.takes(entry.time, now) {
            return;
        }
        if let Some(gap) = self.rules.session_gap() {
            return self.restore_in_sessions(entry, members, gap, boundaries);
        }
        self.open_windows(entry.time, entry.closed);
        self.members.clear();
        self.arguments.clear();
        for member in members {
            let name = digest_of(&member.key);
            for window in self.rules.windows_of(entry.time, entry.closed) {
                let write = |key: &mut [Datum]| key.clone_from_slice(&member.key);
                let index = self.groups.find_or_make(name.within(window), window, write);
                self.members.push(index);
                self.arguments.extend_from_slice(&member.arguments);
            }
        }
        self.add_members(entry);
    }

    fn restore_in_sessions(
        &mut self,
        entry: StateRow,
        members: Vec<OwnedMember>,
        gap: i64,
        boundaries: &SessionBoundaries,
    ) {
        self.arrived += 1;
        let ends = entry.time.as_micros().saturating_add(gap);
        for member in members {
            let mut boundary = None;
            if !boundaries.is_empty() {
                let group = group_id(None, &member.key);
                if let Some(last) = boundaries.last(&group) {
                    let name = self.digest_of(&member.key);
                    self.groups.note_ended(name, last);
                }
                boundary = boundaries.of(&group, ends);
            }
            self.add_to_session(&member, entry, gap, boundary);
        }
    }
}

fn digest_of(key: &[Datum]) -> Digest {
    let mut bytes = Vec::new();
    key.iter()
        .for_each(|datum| Datum::encode(&datum.cell(), &mut bytes));
    Digest::of(&bytes)
}
