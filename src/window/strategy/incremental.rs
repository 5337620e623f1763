//! The plan `incremental`: running state for each group; nothing is read again.
//!
//! A row is added to its groups when it comes and taken away from them when it leaves, and the
//! database evaluates SELECT, HAVING and ORDER BY over the state of one group at a time. The state
//! is rebuilt from the table when the node opens, and after an error.
//!
//! - `evaluating` — the row of a group in the answer; `ranking` — rows in the order of the answer.
//! - `joining` — rows into sessions.
//! - `rebuilding` — the state, from the table.

mod evaluating;
mod joining;
mod ranking;
mod rebuilding;

use super::members::MemberReader;
use crate::error::Result;
use crate::store::{
    Asker, Connection, Database, Datum, Evaluation, Query, QueryLimits, Row, Table,
};
use crate::time::Timestamp;
use crate::window::analysis::{GroupedQuery, IncrementalQuery, RowValue};
use crate::window::answer::group_id;
use crate::window::emission::GroupId;
use crate::window::kind::{WindowBounds, WindowRules};
use crate::window::state::{Digest, GroupIndex, Groups, StateOptions};
use std::collections::HashSet;
use std::sync::Arc;

pub(in crate::window) use evaluating::GroupResult;
use ranking::RankedRow;
pub(in crate::window) use ranking::SortKey;
pub(in crate::window) use rebuilding::RebuildSource;

/// The state of the groups of a window, and how it is kept.
pub(in crate::window) struct IncrementalState {
    query: IncrementalQuery,
    /// The columns of the table's key, as indexes.
    key_columns: Vec<usize>,
    /// The keys of a group.
    keys: Vec<RowValue>,
    rules: WindowRules,
    /// How long the whole answer may be.
    limits: QueryLimits,
    pub groups: Groups,
    members_of: MemberReader,
    /// The names of the columns of the answer, written as JSON, with their colons.
    names: Vec<Box<[u8]>>,
    columns: Vec<String>,
    load: Query,
    live: Query,
    state_options: StateOptions,
    /// How many rows have come since the state was made.
    arrived: i64,
    /// Whether the state was built.
    begun: bool,
    /// The answer in its order, where all of it is emitted at every event.
    listed: Vec<RankedRow>,
    /// SELECT, HAVING and ORDER BY over the state of a group.
    evaluation: Option<Evaluation>,
    // What the last call has computed; kept for their memory.
    totals: Vec<Datum>,
    values: Vec<Datum>,
    members: Vec<GroupIndex>,
    arguments: Vec<Datum>,
    bytes: Vec<u8>,
}

/// What the state of a window is made for.
pub(in crate::window) struct StateSource<'a> {
    pub database: &'a Database,
    pub table: Arc<Table>,
    pub grouped: GroupedQuery,
    pub query: IncrementalQuery,
    /// The columns of the answer.
    pub columns: &'a [String],
    pub rules: WindowRules,
    pub state_options: StateOptions,
}

/// A row of the window's table, as far as the state knows it.
#[derive(Clone, Copy)]
pub(in crate::window) struct StateRow {
    /// The digest of its key.
    pub digest: Digest,
    pub time: Timestamp,
    /// The instant up to which windows have closed, which do not take the row.
    pub closed: Timestamp,
}

impl IncrementalState {
    /// No state yet.
    ///
    /// # Errors
    /// SQL for rebuilding the state that the database refuses.
    pub fn new(source: StateSource<'_>) -> Result<Self> {
        let StateSource { query, grouped, .. } = source;
        let arguments = query
            .aggregates
            .iter()
            .map(|aggregate| Some((aggregate.arg?, aggregate.kind)))
            .collect();
        let name = |name: &String| {
            let mut written = serde_json::Value::from(name.as_str()).to_string();
            written.push(':');
            written.into_bytes().into()
        };
        let evaluation = query.group.as_ref();
        let evaluation = evaluation.map(|group| Evaluation::new(group.sql.as_str()));
        let key_columns = source.table.key_columns().iter();
        let key_columns = key_columns
            .filter_map(|name| source.table.find(name).map(|(index, _)| index))
            .collect();
        let database = source.database;
        Ok(IncrementalState {
            members_of: MemberReader::new(
                grouped.chain,
                grouped.keys.clone(),
                grouped.filter,
                arguments,
                query.computed.clone(),
            ),
            load: database.prepare_for(Asker::Plan, &query.load.sql)?,
            live: database.prepare_for(Asker::Plan, &query.live)?,
            groups: no_groups(&query, grouped.keys.len(), source.state_options),
            query,
            key_columns,
            keys: grouped.keys,
            rules: source.rules,
            limits: database.limits(),
            names: source.columns.iter().map(name).collect(),
            columns: source.columns.to_vec(),
            state_options: source.state_options,
            arrived: 0,
            begun: false,
            listed: Vec::new(),
            evaluation,
            totals: Vec::new(),
            values: Vec::new(),
            members: Vec::new(),
            arguments: Vec::new(),
            bytes: Vec::new(),
        })
    }

    /// Whether the state was built, or inherited.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Continues with the state of another window, which has the same groups: its aggregates at these
    /// places, and rows that leave so much later.
    pub fn inherit(&mut self, other: IncrementalState, places: &[usize], later: i64) {
        let functions = self.query.aggregates.iter();
        let functions = functions.map(|aggregate| aggregate.function).collect();
        self.groups = other.groups;
        self.groups.select(functions, places, self.state_options);
        self.groups.shift(later);
        self.listed.clear();
        self.arrived = other.arrived;
        self.begun = true;
    }

    /// The digest of the key of a row.
    pub fn digest(&mut self, row: &Row<'_>) -> Digest {
        if self.key_columns.is_empty() {
            // Without a key no two rows are the same.
            return Digest::numbered(self.arrived as u64);
        }
        self.bytes.clear();
        for column in &self.key_columns {
            Datum::encode(&row.cells[*column], &mut self.bytes);
        }
        Digest::of(&self.bytes)
    }

    /// Adds a row to the groups of its windows, which are in `touched` afterwards.
    ///
    /// # Errors
    /// An expression that the database cannot compute for the row; then nothing was added.
    pub fn add(
        &mut self,
        row: &Row<'_>,
        entry: StateRow,
        connection: &mut Connection,
        touched: &mut Vec<GroupIndex>,
    ) -> Result<()> {
        if let Some(gap) = self.rules.session_gap() {
            return self.add_to_sessions(row, entry, gap, connection, touched);
        }
        self.members.clear();
        self.arguments.clear();
        let (groups, members) = (&mut self.groups, &mut self.members);
        let (arguments, rules) = (&mut self.arguments, &self.rules);
        let read = self.members_of.each(row, connection, &mut |member| {
            for window in rules.windows_of(entry.time, entry.closed) {
                let name = member.name.within(window);
                members.push(groups.find_or_make(name, window, |key| member.write_key(key)));
                arguments.extend_from_slice(member.arguments);
            }
        });
        if let Err(error) = read {
            let members = self.members.iter();
            members.for_each(|index| self.groups.release(*index));
            return Err(error);
        }
        self.add_members(entry);
        for index in &self.members {
            if !touched.contains(index) {
                touched.push(*index);
            }
        }
        Ok(())
    }

    /// Adds a row to `members`, with `arguments`.
    fn add_members(&mut self, entry: StateRow) {
        let leaves = self.rules.leaves(entry.time, self.arrived);
        self.arrived += 1;
        self.groups
            .add(entry.digest, leaves, &self.members, &self.arguments);
    }

    /// Takes the row back that was added last, of a window whose rows are not stored. A row in a
    /// session stays there.
    pub fn take_back(&mut self, entry: StateRow) {
        if self.rules.kind.is_session() {
            return;
        }
        self.arrived -= 1;
        let leaves = self.rules.leaves(entry.time, self.arrived);
        self.groups
            .take_back(entry.digest, leaves, &self.members, &self.arguments);
    }

    /// Opens the fixed windows of an event that has come. From then on each has a row in the answer of a
    /// query without keys, even if the query leaves out the event's row.
    pub fn open_windows(&mut self, time: Timestamp, closed: Timestamp) {
        if !self.keys.is_empty() {
            return;
        }
        for window in self.rules.open_windows(time, closed) {
            self.open_window(window);
        }
    }

    /// Opens a window with bounds.
    pub fn open_window(&mut self, window: WindowBounds) {
        if !self.keys.is_empty() {
            return;
        }
        let name = Digest::of(&[]).within(Some(window));
        if self.groups.find(name).is_none() {
            let index = self.groups.find_or_make(name, Some(window), |_| {});
            self.groups.note_changes(&[index]);
        }
    }

    /// The groups that a row would be added to, without adding it; they are in `touched` afterwards.
    ///
    /// # Errors
    /// An expression that the database cannot compute for the row.
    pub fn find(
        &mut self,
        row: &Row<'_>,
        time: Timestamp,
        connection: &mut Connection,
        touched: &mut Vec<GroupIndex>,
    ) -> Result<()> {
        if let Some(gap) = self.rules.session_gap() {
            return self.find_sessions(row, time, gap, connection, touched);
        }
        let (groups, rules) = (&self.groups, &self.rules);
        self.members_of.each(row, connection, &mut |member| {
            for window in rules.windows_of(time, Timestamp::from_micros(i64::MIN)) {
                let found = groups.find(member.name.within(window));
                touched.extend(found.filter(|index| !touched.contains(index)));
            }
        })
    }

    /// Whether a row of this time is in the window, or will be.
    pub fn takes(&self, time: Timestamp, now: Timestamp) -> bool {
        self.rules.takes(time, now)
    }

    /// Takes out the rows that have left by `now`. Returns whether there were any.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let expired = self.rules.expired(now, self.arrived);
        self.groups.expire(expired)
    }

    /// Removes a window that has closed.
    pub fn close(&mut self, window: WindowBounds) {
        self.listed
            .retain(|row| row.sort_key.window != Some(window));
        self.groups.close(window);
    }

    /// The ids of all groups.
    pub fn group_ids(&mut self) -> HashSet<GroupId> {
        let all: Vec<GroupIndex> = self.groups.all().collect();
        all.into_iter().map(|index| self.group_id(index)).collect()
    }

    /// The id of a group.
    pub fn group_id(&mut self, index: GroupIndex) -> GroupId {
        let group = self.groups.group(index);
        if let Some(group_id) = &group.group_id {
            return group_id.clone();
        }
        let made = group_id(group.window, self.groups.key(index));
        self.groups.group_mut(index).group_id = Some(made.clone());
        made
    }
}

fn no_groups(query: &IncrementalQuery, keys: usize, options: StateOptions) -> Groups {
    let functions = query.aggregates.iter().map(|aggregate| aggregate.function);
    Groups::new(functions.collect(), keys, options)
}
