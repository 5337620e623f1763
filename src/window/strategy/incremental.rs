//! The plan `incremental`: running state for each group, nothing is read again.
//!
//! What an event brings is added to its groups, what leaves is taken away from them, and the
//! database evaluates SELECT, HAVING and ORDER BY over the state of one group at a time. The state
//! is made anew from the table when the node opens, and after an error.
//!
//! - `evaluating` — the rows of the answer, from the state.
//! - `rebuilding` — the state, from the table.

mod evaluating;
mod rebuilding;

use super::members::MemberReader;
use crate::error::Result;
use crate::store::{Asker, Database, Datum, Evaluation, Limits, Query, Row, Session, Table};
use crate::time::Timestamp;
use crate::window::analysis::{self, GroupedQuery, RowValue};
use crate::window::answer::group_id;
use crate::window::emission::GroupId;
use crate::window::kind::{ROW, WindowKind, WindowRules};
use crate::window::state::{Digest, Groups, SessionRow, StateOptions};
use std::collections::HashSet;
use std::sync::Arc;

use evaluating::RankedRow;
pub(in crate::window) use evaluating::SortKey;

/// The state of a window's groups, and how it is read.
pub(in crate::window) struct IncrementalState {
    plan: analysis::IncrementalQuery,
    table: Arc<Table>,
    /// The places of the columns of its key.
    key: Vec<usize>,
    keys: Vec<RowValue>,
    rules: WindowRules,
    /// How long the whole answer may be.
    limits: Limits,
    pub groups: Groups,
    reader: MemberReader,
    /// The names of the answer's columns, as JSON writes them before a value.
    names: Vec<Box<[u8]>>,
    columns: Vec<String>,
    /// The column that tells when rows have come, where one does.
    order: Option<String>,
    load: Query,
    live: Query,
    state_options: StateOptions,
    /// How many rows have come, of a window of the last so many.
    arrived: i64,
    /// The answer in its order, where all of it is wanted at every event.
    listed: Vec<RankedRow>,
    /// SELECT, HAVING and ORDER BY over the state of a group.
    evaluation: Option<Evaluation>,
    totals: Vec<Datum>,
    values: Vec<Datum>,
    members: Vec<u32>,
    arguments: Vec<Datum>,
    bytes: Vec<u8>,
}

/// A member as it was read from the table: its key, and its arguments.
type Loaded = (Vec<Datum>, Vec<Datum>);

/// A row of the window's table, as the state knows it.
#[derive(Clone, Copy)]
pub(in crate::window) struct StateRow {
    pub digest: Digest,
    pub time: Timestamp,
}

impl IncrementalState {
    /// The state for a query that was read, whose answer has these columns.
    ///
    /// # Errors
    /// What the database says against the SQL by which the state is made anew.
    pub fn new(
        database: &Database,
        table: Arc<Table>,
        (grouped, plan): (GroupedQuery, analysis::IncrementalQuery),
        columns: &[String],
        order: Option<String>,
        rules: WindowRules,
        state_options: StateOptions,
    ) -> Result<Self> {
        let arguments = plan
            .aggregates
            .iter()
            .map(|aggregate| Some((aggregate.arg?, aggregate.kind)))
            .collect();
        let name = |name: &String| {
            let mut written = serde_json::Value::from(name.as_str()).to_string();
            written.push(':');
            written.into_bytes().into()
        };
        let evaluation = plan
            .group
            .as_ref()
            .map(|sql| Evaluation::new(sql.sql.as_str()));
        Ok(IncrementalState {
            reader: MemberReader::new(
                grouped.chain,
                grouped.keys.clone(),
                grouped.filter,
                arguments,
                plan.computed.clone(),
            ),
            load: database.prepare_for(Asker::Plan, &plan.load.sql)?,
            live: database.prepare_for(Asker::Plan, &plan.live)?,
            groups: groups(&plan, grouped.keys.len(), state_options),
            plan,
            key: {
                let places = table.key_columns().iter();
                places
                    .filter_map(|name| table.find(name).map(|(at, _)| at))
                    .collect()
            },
            table,
            keys: grouped.keys,
            rules,
            limits: database.limits(),
            names: columns.iter().map(name).collect(),
            columns: columns.to_vec(),
            order,
            state_options,
            arrived: 0,
            listed: Vec::new(),
            evaluation,
            totals: Vec::new(),
            values: Vec::new(),
            members: Vec::new(),
            arguments: Vec::new(),
            bytes: Vec::new(),
        })
    }

    /// The key of a row.
    pub fn digest(&mut self, row: &Row<'_>) -> Digest {
        if self.key.is_empty() {
            // Every row is another one.
            return Digest::numbered(self.arrived as u64);
        }
        self.bytes.clear();
        for at in &self.key {
            Datum::encode(&row.cells[*at], &mut self.bytes);
        }
        Digest::of(&self.bytes)
    }

    /// Takes a row in, but not into windows that have ended by an instant. What it adds to is in
    /// `touched` afterwards.
    ///
    /// # Errors
    /// What the database cannot compute of it; then nothing was added.
    pub fn add(
        &mut self,
        row: &Row<'_>,
        (entry, ended): (StateRow, Timestamp),
        session: &mut Session,
        touched: &mut Vec<u32>,
    ) -> Result<()> {
        if let Some(gap) = self.rules.gap() {
            return self.join(row, (entry, ended), gap, session, touched);
        }
        self.members.clear();
        self.arguments.clear();
        let bounded = self.rules.kind.is_bounded();
        let (groups, members) = (&mut self.groups, &mut self.members);
        let (arguments, rules) = (&mut self.arguments, &self.rules);
        let read = self.reader.each(row, session, &mut |member| {
            if !bounded {
                members.push(groups.find_or_make(member.name, None, |key| member.write_key(key)));
                arguments.extend_from_slice(member.arguments);
                return;
            }
            for window in rules.open_windows(entry.time, ended) {
                let name = member.name.in_window(window.0);
                members.push(groups.find_or_make(name, Some(window), |key| member.write_key(key)));
                arguments.extend_from_slice(member.arguments);
            }
        });
        if let Err(error) = read {
            self.members.iter().for_each(|at| self.groups.let_go(*at));
            return Err(error);
        }
        let leaves = self.leaves(entry.time);
        self.arrived += 1;
        self.groups
            .add(entry.digest, leaves, &self.members, &self.arguments);
        for at in &self.members {
            if !touched.contains(at) {
                touched.push(*at);
            }
        }
        Ok(())
    }

    /// Takes the row back that was added last, of a window whose rows are not stored. One that has
    /// joined a session stays there.
    pub fn take_back(&mut self, entry: StateRow) {
        if let WindowKind::Session(_) = self.rules.kind {
            return;
        }
        self.arrived -= 1;
        let leaves = self.leaves(entry.time);
        self.groups
            .take_back(entry.digest, leaves, &self.members, &self.arguments);
    }

    /// An event of this time has come. Of a query without keys, each window that it is in has a
    /// row from now on, whatever the query leaves out; not those that have ended by an instant.
    pub fn begin(&mut self, time: Timestamp, ended: Timestamp) {
        if !self.keys.is_empty() || !matches!(self.rules.kind, WindowKind::Hopping { .. }) {
            return;
        }
        let windows: Vec<(i64, i64)> = self.rules.open_windows(time, ended).collect();
        for window in windows {
            self.begin_window(window);
        }
    }

    /// The same for a window.
    pub fn begin_window(&mut self, window: (i64, i64)) {
        if !self.keys.is_empty() {
            return;
        }
        let name = Digest::of(&[]).in_window(window.0);
        if self.groups.find(name).is_none() {
            let at = self.groups.find_or_make(name, Some(window), |_| {});
            self.groups.note_all(&[at]);
        }
    }

    /// Takes a row into the sessions of its keys.
    fn join(
        &mut self,
        row: &Row<'_>,
        (entry, ended): (StateRow, Timestamp),
        gap: i64,
        session: &mut Session,
        touched: &mut Vec<u32>,
    ) -> Result<()> {
        // All of it first: it may fail half-way.
        let mut members: Vec<Loaded> = Vec::new();
        self.reader.each(row, session, &mut |member| {
            members.push((member.key(), member.arguments.to_vec()));
        })?;
        self.arrived += 1;
        let time = entry.time.as_micros();
        let in_time = time.saturating_add(gap) > ended.as_micros();
        for (key, arguments) in members {
            let name = self.name_of(&key);
            if !in_time && !self.groups.may_join(name, time, gap) {
                continue;
            }
            let at = self.join_one(key, &arguments, entry, gap, None);
            if !touched.contains(&at) {
                touched.push(at);
            }
        }
        Ok(())
    }

    /// Takes a member into a session; into none but those before a cut, where there is one.
    fn join_one(
        &mut self,
        key: Vec<Datum>,
        given: &[Datum],
        entry: StateRow,
        gap: i64,
        cut: Option<i64>,
    ) -> u32 {
        let name = self.name_of(&key);
        let joining = SessionRow {
            key: cut.map_or(name, |cut| name.in_window(cut)),
            time: entry.time.as_micros(),
            gap,
            digest: entry.digest,
            arguments: given,
        };
        self.groups
            .join(&joining, |place| place.clone_from_slice(&key))
    }

    /// What stands for a key.
    fn name_of(&mut self, key: &[Datum]) -> Digest {
        self.bytes.clear();
        for datum in key {
            Datum::encode(&datum.cell(), &mut self.bytes);
        }
        Digest::of(&self.bytes)
    }

    /// Whether a row of this time belongs to a session that is open.
    ///
    /// # Errors
    /// What the database cannot compute of it.
    pub fn joins_open(
        &mut self,
        row: &Row<'_>,
        time: Timestamp,
        session: &mut Session,
    ) -> Result<bool> {
        let Some(gap) = self.rules.gap() else {
            return Ok(false);
        };
        let (groups, mut joins) = (&self.groups, false);
        self.reader.each(row, session, &mut |member| {
            joins |= groups.may_join(member.name, time.as_micros(), gap);
        })?;
        Ok(joins)
    }

    /// The groups of a row that is not taken in.
    ///
    /// # Errors
    /// What the database cannot compute of it.
    pub fn find(
        &mut self,
        row: &Row<'_>,
        time: Timestamp,
        session: &mut Session,
        touched: &mut Vec<u32>,
    ) -> Result<()> {
        if let Some(gap) = self.rules.gap() {
            let groups = &self.groups;
            return self.reader.each(row, session, &mut |member| {
                let found = groups.sessions_at(member.name, time.as_micros(), gap);
                touched.extend(
                    found
                        .into_iter()
                        .filter(|at| !touched.contains(at))
                        .collect::<Vec<_>>(),
                );
            });
        }
        let bounded = self.rules.kind.is_bounded();
        let (groups, rules) = (&self.groups, &self.rules);
        let mut found = |name: Digest| {
            touched.extend(groups.find(name).filter(|at| !touched.contains(at)));
        };
        self.reader.each(row, session, &mut |member| match bounded {
            false => found(member.name),
            true => rules
                .windows(time)
                .for_each(|window| found(member.name.in_window(window.0))),
        })
    }

    fn leaves(&self, time: Timestamp) -> i64 {
        match self.rules.kind {
            // When so many have come after it.
            WindowKind::Count(rows) => (self.arrived + 1 + rows as i64) * ROW,
            WindowKind::Sliding(_) => self.rules.leaves(time),
            WindowKind::Hopping { .. } => {
                let ends = self.rules.windows(time).last().map(|(_, end)| end);
                ends.unwrap_or(i64::MIN)
            }
            WindowKind::Session(_) => i64::MAX,
        }
    }

    /// Whether a row of this time is in the window, or was already out when it came.
    pub fn takes(&self, time: Timestamp, now: Timestamp) -> bool {
        match self.rules.kind {
            WindowKind::Count(_) | WindowKind::Session(_) => true,
            WindowKind::Sliding(_) | WindowKind::Hopping { .. } => {
                time >= now || self.leaves(time) > now.as_micros()
            }
        }
    }

    /// Takes out what has left by now; says whether anything has.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        match self.rules.kind {
            WindowKind::Count(_) => self.groups.expire(self.arrived * ROW),
            _ => self.groups.expire(now.as_micros()),
        }
    }

    /// Forgets a window that has ended.
    pub fn end(&mut self, window: (i64, i64)) {
        self.listed
            .retain(|listed| listed.sort_key.0 != Some(window));
        self.groups.end(window);
    }

    /// The groups of which a session has begun that overlaps with the one before, and when that one
    /// ended; each once.
    pub fn take_boundaries(&mut self) -> Vec<(GroupId, i64)> {
        let overlapping = self.groups.take_overlapping().into_iter();
        let cut = |(at, end)| (group_id(None, self.groups.key(at)), end);
        overlapping.map(cut).collect()
    }

    /// What all groups are called.
    pub fn group_ids(&mut self) -> HashSet<GroupId> {
        let all: Vec<u32> = self.groups.all().collect();
        all.into_iter().map(|at| self.group_id(at)).collect()
    }

    /// What a group is called.
    pub fn group_id(&mut self, at: u32) -> GroupId {
        let group = self.groups.group(at);
        if let Some(group_id) = &group.group_id {
            return group_id.clone();
        }
        let made = group_id(group.window, self.groups.key(at));
        self.groups.group_mut(at).group_id = Some(made.clone());
        made
    }
}

fn groups(plan: &analysis::IncrementalQuery, keys: usize, state_options: StateOptions) -> Groups {
    let functions = plan.aggregates.iter().map(|aggregate| aggregate.function);
    Groups::new(functions.collect(), keys, state_options)
}
