//! The plan `incremental`: running state for each group, nothing is read again.
//!
//! What an event brings is added to its groups, what leaves is taken away from them, and the
//! database evaluates SELECT, HAVING and ORDER BY over the state of one group at a time. The state
//! is made anew from the table when the node opens, and after an error.

use super::answer::identity;
use super::emission::{Cuts, Identity};
use super::options::Extent;
use super::plan::{self, Grouped, Item, Numeric, Output, Param};
use super::rows::{Reader, argument};
use super::span::{ROW, Span, micros};
use super::state::{Digest, Groups, Joining, Keeping};
use crate::error::Result;
use crate::payload::Payload;
use crate::store::{
    Asker, Binding, Cell, Database, Datum, Evaluation, Limits, Query, Row, Session, Table,
};
use crate::time::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The state of a window's groups, and how it is read.
pub(super) struct Incremental {
    plan: plan::Incremental,
    table: Arc<Table>,
    /// The places of the columns of its key.
    key: Vec<usize>,
    keys: Vec<Item>,
    span: Span,
    /// How long the whole answer may be.
    limits: Limits,
    pub groups: Groups,
    reader: Reader,
    /// The names of the answer's columns, as JSON writes them before a value.
    names: Vec<Box<[u8]>>,
    columns: Vec<String>,
    /// The column that tells when rows have come, where one does.
    order: Option<String>,
    load: Query,
    live: Query,
    keeping: Keeping,
    /// How many rows have come, of a window of the last so many.
    arrived: i64,
    /// The answer in its order, where all of it is wanted at every event.
    listed: Vec<Listed>,
    /// SELECT, HAVING and ORDER BY over the state of a group.
    evaluation: Option<Evaluation>,
    totals: Vec<Datum>,
    values: Vec<Datum>,
    members: Vec<u32>,
    arguments: Vec<Datum>,
    bytes: Vec<u8>,
}

/// A row of the answer, where all of it is kept.
struct Listed {
    rank: Rank,
    at: u32,
    row: Payload,
}

/// A member as it was read from the table: its key, and its arguments.
type Loaded = (Vec<Datum>, Vec<Datum>);

/// A row of the window's table, as the state knows it.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub digest: Digest,
    pub time: Timestamp,
}

impl Incremental {
    /// The state for a query that was read, whose answer has these columns.
    ///
    /// # Errors
    /// What the database says against the SQL by which the state is made anew.
    pub fn new(
        database: &Database,
        table: Arc<Table>,
        (grouped, plan): (Grouped, plan::Incremental),
        columns: &[String],
        order: Option<String>,
        span: Span,
        keeping: Keeping,
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
        Ok(Incremental {
            reader: Reader::new(
                grouped.chain,
                grouped.keys.clone(),
                grouped.filter,
                arguments,
                plan.computed.clone(),
            ),
            load: database.prepare_for(Asker::Plan, &plan.load.sql)?,
            live: database.prepare_for(Asker::Plan, &plan.live)?,
            groups: groups(&plan, grouped.keys.len(), keeping),
            plan,
            key: {
                let places = table.key_columns().iter();
                places
                    .filter_map(|name| table.find(name).map(|(at, _)| at))
                    .collect()
            },
            table,
            keys: grouped.keys,
            span,
            limits: database.limits(),
            names: columns.iter().map(name).collect(),
            columns: columns.to_vec(),
            order,
            keeping,
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
        (entry, ended): (Entry, Timestamp),
        session: &mut Session,
        touched: &mut Vec<u32>,
    ) -> Result<()> {
        if let Extent::Session(gap) = self.span.extent {
            return self.join(row, entry, micros(gap), session, touched);
        }
        self.members.clear();
        self.arguments.clear();
        let bounded = self.span.extent.is_bounded();
        let (groups, members) = (&mut self.groups, &mut self.members);
        let (arguments, span) = (&mut self.arguments, &self.span);
        let read = self.reader.each(row, session, &mut |member| {
            if !bounded {
                members.push(groups.find_or_make(member.name, None, |key| member.write_key(key)));
                arguments.extend_from_slice(member.arguments);
                return;
            }
            for window in span.open_windows(entry.time, ended) {
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

    /// An event of this time has come. Of a query without keys, each window that it is in has a
    /// row from now on, whatever the query leaves out; not those that have ended by an instant.
    pub fn begin(&mut self, time: Timestamp, ended: Timestamp) {
        if !self.keys.is_empty() || !matches!(self.span.extent, Extent::Hopping { .. }) {
            return;
        }
        let windows: Vec<(i64, i64)> = self.span.open_windows(time, ended).collect();
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
        entry: Entry,
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
        for (key, arguments) in members {
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
        entry: Entry,
        gap: i64,
        cut: Option<i64>,
    ) -> u32 {
        self.bytes.clear();
        for datum in &key {
            Datum::encode(&datum.cell(), &mut self.bytes);
        }
        let name = Digest::of(&self.bytes);
        let joining = Joining {
            key: cut.map_or(name, |cut| name.in_window(cut)),
            time: entry.time.as_micros(),
            gap,
            digest: entry.digest,
            arguments: given,
        };
        self.groups
            .join(&joining, |place| place.clone_from_slice(&key))
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
        if let Extent::Session(gap) = self.span.extent {
            let groups = &self.groups;
            return self.reader.each(row, session, &mut |member| {
                let found = groups.sessions_at(member.name, time.as_micros(), micros(gap));
                touched.extend(
                    found
                        .into_iter()
                        .filter(|at| !touched.contains(at))
                        .collect::<Vec<_>>(),
                );
            });
        }
        let bounded = self.span.extent.is_bounded();
        let (groups, span) = (&self.groups, &self.span);
        let mut found = |name: Digest| {
            touched.extend(groups.find(name).filter(|at| !touched.contains(at)));
        };
        self.reader.each(row, session, &mut |member| match bounded {
            false => found(member.name),
            true => span
                .windows(time)
                .for_each(|window| found(member.name.in_window(window.0))),
        })
    }

    fn leaves(&self, time: Timestamp) -> i64 {
        match self.span.extent {
            // When so many have come after it.
            Extent::Count(rows) => (self.arrived + 1 + rows as i64) * ROW,
            Extent::Sliding(_) => self.span.leaves(time),
            Extent::Hopping { .. } => {
                let ends = self.span.windows(time).last().map(|(_, end)| end);
                ends.unwrap_or(i64::MIN)
            }
            Extent::Session(_) => i64::MAX,
        }
    }

    /// Whether a row of this time is in the window, or was already out when it came.
    pub fn takes(&self, time: Timestamp, now: Timestamp) -> bool {
        match self.span.extent {
            Extent::Count(_) | Extent::Session(_) => true,
            Extent::Sliding(_) | Extent::Hopping { .. } => {
                time >= now || self.leaves(time) > now.as_micros()
            }
        }
    }

    /// Takes out what has left by now; says whether anything has.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        match self.span.extent {
            Extent::Count(_) => self.groups.expire(self.arrived * ROW),
            _ => self.groups.expire(now.as_micros()),
        }
    }

    /// The row of a group in the answer, where it has one.
    ///
    /// # Errors
    /// What the database cannot compute; a double that JSON cannot hold.
    pub fn evaluate(&mut self, at: u32, session: &mut Session) -> Result<Option<Payload>> {
        self.evaluate_off(at, session, None)
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
                Param::Key(number) => key[*number].cell(),
                Param::Aggregate(number) => totals[*number].cell(),
                Param::WindowStart => seconds(window.0),
                Param::WindowEnd => seconds(window.1),
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
                Output::Key(number) => {
                    self.groups.key(at)[*number].write_json(column, &mut self.bytes)?;
                }
                Output::Computed(place) => {
                    self.values[*place].write_json(column, &mut self.bytes)?;
                }
                Output::Count(number) => {
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
    pub fn rank(&self, at: u32) -> Result<Rank> {
        let key = self.groups.key(at);
        let mut terms = Vec::with_capacity(self.plan.order.len() + key.len());
        for order in &self.plan.order {
            let datum = match order.by {
                Output::Key(number) => key[number].clone(),
                Output::Computed(place) => self.values[place].clone(),
                Output::Count(number) => self.groups.aggregate(at, number)?,
            };
            terms.push((datum, order.descending));
        }
        let keys = key.iter().map(|key| (key.clone(), false));
        Ok(Rank(
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
    ) -> Result<Vec<Payload>> {
        let changed = self.groups.take_changed();
        for (number, at) in changed.iter().copied().enumerate() {
            self.listed.retain(|listed| listed.at != at);
            let row = match self.evaluate(at, session) {
                Ok(row) => row,
                Err(error) => {
                    self.groups.note_all(&changed[number..]);
                    return Err(error);
                }
            };
            if let Some(row) = row {
                let rank = self.rank(at)?;
                let place = self.listed.partition_point(|listed| listed.rank < rank);
                self.listed.insert(place, Listed { rank, at, row });
            }
            self.groups.let_go(at);
        }
        let wanted = |listed: &&Listed| windows.contains(&listed.rank.0);
        let rows = self.listed.iter().filter(wanted);
        let rows: Vec<Payload> = rows.map(|listed| listed.row.clone()).collect();
        self.limits.check_rows(rows.len())?;
        Ok(rows)
    }

    /// The rows of these groups, in the order of the answer.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    pub fn rows_of(&mut self, groups: &[u32], session: &mut Session) -> Result<Vec<Payload>> {
        if self.plan.order.is_empty() {
            // By their keys alone, which need not be copied for that.
            let mut groups = groups.to_vec();
            groups.sort_by(|a, b| {
                let windows = self.groups.window(*a).cmp(&self.groups.window(*b));
                windows.then_with(|| self.groups.key(*a).cmp(self.groups.key(*b)))
            });
            let rows = groups.into_iter().map(|at| self.evaluate(at, session));
            return rows.filter_map(Result::transpose).collect();
        }
        let mut rows = Vec::with_capacity(groups.len());
        for at in groups {
            if let Some(row) = self.evaluate(*at, session)? {
                rows.push((self.rank(*at)?, row));
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
    ) -> Result<Vec<(Identity, Payload)>> {
        let mut rows = Vec::new();
        for at in self.groups_in(window) {
            if let Some(row) = self.evaluate(at, session)? {
                rows.push((self.rank(at)?, self.identity(at), row));
            }
        }
        self.limits.check_rows(rows.len())?;
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(rows
            .into_iter()
            .map(|(_, identity, row)| (identity, row))
            .collect())
    }

    /// Forgets a window that has ended.
    pub fn end(&mut self, window: (i64, i64)) {
        self.listed.retain(|listed| listed.rank.0 != Some(window));
        self.groups.end(window);
        if let Extent::Session(gap) = self.span.extent {
            // What comes from now on would end later.
            self.groups
                .forget_ended(window.1.saturating_sub(micros(gap)));
        }
    }

    /// The groups of which a session has begun that overlaps with the one before, and when that one
    /// ended; each once.
    pub fn take_cuts(&mut self) -> Vec<(Identity, i64)> {
        let overlapping = self.groups.take_overlapping().into_iter();
        let cut = |(at, end)| (identity(None, self.groups.key(at)), end);
        overlapping.map(cut).collect()
    }

    /// What all groups are called.
    pub fn identities(&mut self) -> HashSet<Identity> {
        let all: Vec<u32> = self.groups.all().collect();
        all.into_iter().map(|at| self.identity(at)).collect()
    }

    /// Has the groups that are called so be looked at.
    pub fn ask_again(&mut self, called: &HashSet<Identity>) {
        let all: Vec<u32> = self.groups.all().collect();
        let mut found = all;
        found.retain(|at| called.contains(&self.identity(*at)));
        self.groups.note_all(&found);
    }

    /// What a group is called.
    pub fn identity(&mut self, at: u32) -> Identity {
        let group = self.groups.group(at);
        if let Some(identity) = &group.identity {
            return identity.clone();
        }
        let made = identity(group.window, self.groups.key(at));
        self.groups.group_mut(at).identity = Some(made.clone());
        made
    }

    /// Makes the state anew from the table; what has left meanwhile stays out, and sessions that
    /// were cut stay so.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn rebuild(
        &mut self,
        session: Option<&mut Session>,
        now: Timestamp,
        cuts: &Cuts,
    ) -> Result<()> {
        self.groups = groups(&self.plan, self.keys.len(), self.keeping);
        self.listed.clear();
        self.arrived = 0;
        if let Some(session) = session {
            self.load(session, now, cuts)?;
        }
        if self.keys.is_empty() && !self.span.extent.is_bounded() {
            // The one group of a query without keys has a row even if there is none in the window.
            let at = self.groups.find_or_make(Digest::of(&[]), None, |_| {});
            self.groups.note_all(&[at]);
        }
        self.expire(now);
        Ok(())
    }

    fn load(&mut self, session: &mut Session, now: Timestamp, cuts: &Cuts) -> Result<()> {
        let binding = Binding {
            now,
            event: None,
            window: None,
            keys: &[],
        };
        let items = self.plan.load.items.clone();
        let ids = self.plan.load.ids;
        let from = usize::from(self.plan.load.time);
        let place = |item: &Item| from + ids + place(&items, item);
        let keys: Vec<usize> = self.keys.iter().map(place).collect();
        let arguments: Vec<Option<(usize, Numeric)>> = self
            .plan
            .aggregates
            .iter()
            .map(|aggregate| Some((place(aggregate.arg.as_ref()?), aggregate.kind)))
            .collect();
        // Of each row of the table its members, in the order in which they are read.
        let mut members: HashMap<Digest, Vec<Loaded>> = HashMap::new();
        let mut rows: Vec<Entry> = Vec::new();
        let mut number = 0;
        session.data(&self.load, &binding, &mut |row| {
            let digest = match ids {
                0 => Digest::numbered(number),
                _ => digest_of(&row[from..from + ids]),
            };
            number += 1;
            let key = keys.iter().map(|at| row[*at].clone()).collect();
            let given = arguments.iter().map(|given| match given {
                Some((at, kind)) => argument(*kind, &row[*at].cell()),
                None => Ok(Datum::Integer(1)),
            });
            let given = given.collect::<Result<_>>()?;
            members.entry(digest).or_default().push((key, given));
            if ids == 0 {
                rows.push(Entry {
                    digest,
                    time: time(row, from),
                });
            }
            Ok(())
        })?;
        if let Extent::Count(_) = self.span.extent {
            // In the order of their arrival, as far as a column tells it.
            session.keys(&self.table, self.order.as_deref(), &mut |key| {
                rows.push(Entry {
                    digest: digest_of(key),
                    time: now,
                });
            })?;
        } else if ids > 0 {
            session.data(&self.live, &binding, &mut |row| {
                rows.push(Entry {
                    digest: digest_of(&row[from..from + ids]),
                    time: time(row, from),
                });
                Ok(())
            })?;
        }
        for entry in rows {
            let found = members.remove(&entry.digest).unwrap_or_default();
            self.restore(entry, found, now, cuts);
        }
        Ok(())
    }

    fn restore(&mut self, entry: Entry, found: Vec<Loaded>, now: Timestamp, cuts: &Cuts) {
        if !self.takes(entry.time, now) && !self.span.extent.is_bounded() {
            return;
        }
        if let Extent::Session(gap) = self.span.extent {
            self.arrived += 1;
            for (key, given) in found {
                let cut = match cuts.is_empty() {
                    true => None,
                    false => cuts.of(&identity(None, &key), entry.time.after(gap).as_micros()),
                };
                self.join_one(key, &given, entry, micros(gap), cut);
            }
            return;
        }
        if self.span.extent.is_bounded() {
            self.begin(entry.time, Timestamp::from_micros(i64::MIN));
        }
        self.members.clear();
        self.arguments.clear();
        for (key, given) in found {
            let name = digest_of(&key);
            match self.span.extent.is_bounded() {
                false => {
                    let at = self
                        .groups
                        .find_or_make(name, None, |place| place.clone_from_slice(&key));
                    self.members.push(at);
                    self.arguments.extend(given);
                }
                true => {
                    for window in self.span.windows(entry.time) {
                        let name = name.in_window(window.0);
                        let at = self
                            .groups
                            .find_or_make(name, Some(window), |place| place.clone_from_slice(&key));
                        self.members.push(at);
                        self.arguments.extend_from_slice(&given);
                    }
                }
            }
        }
        let leaves = self.leaves(entry.time);
        self.arrived += 1;
        self.groups
            .add(entry.digest, leaves, &self.members, &self.arguments);
    }
}

/// What rows of an answer are sorted by.
#[derive(PartialEq, Eq)]
pub(super) struct Rank(Option<(i64, i64)>, Vec<(Datum, bool)>);

impl Ord for Rank {
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

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn groups(plan: &plan::Incremental, keys: usize, keeping: Keeping) -> Groups {
    let functions = plan.aggregates.iter().map(|aggregate| aggregate.function);
    Groups::new(functions.collect(), keys, keeping)
}

fn place(items: &[Item], item: &Item) -> usize {
    let found = items.iter().position(|known| known == item);
    found.expect("every key and argument is loaded")
}

fn time(row: &[Datum], from: usize) -> Timestamp {
    let time = row.first().filter(|_| from > 0).and_then(Datum::as_time);
    time.unwrap_or(Timestamp::from_micros(0))
}

fn digest_of(key: &[Datum]) -> Digest {
    let mut bytes = Vec::new();
    key.iter()
        .for_each(|datum| Datum::encode(&datum.cell(), &mut bytes));
    Digest::of(&bytes)
}

fn seconds(micros: i64) -> Cell<'static> {
    match micros.rem_euclid(1_000_000) {
        0 => Cell::Integer(micros / 1_000_000),
        _ => Cell::Real(micros as f64 / 1e6),
    }
}
