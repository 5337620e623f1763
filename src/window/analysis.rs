//! The analysis of a query: what a SELECT computes, and the SQL that serves each plan.
//!
//! A window can answer an event in three ways: run the whole query again, run it for the groups that
//! the event touches, or keep running state for each group and read nothing. [`read_within`] finds
//! which of them a query allows, why it does not allow the others, and what they need. It uses the
//! declaration of the window's table, and no database.
//!
//! The SQL is as the user wrote it: clocks are still to be replaced, parameters are named. Only
//! [`RowSql`] and [`GroupSql`] are ready to run, since their parameters are ours: their values are
//! bound by position (SQLite's are numbered, so one that occurs twice is bound once).
//!
//! - `scope`, `links` — what names stand for, and how the child tables are joined.
//! - `survey`, `functions`, `sql_type` — what an expression consists of, and its type.
//! - `bound`, `time_sum`, `restriction` — the bound on time, and the SQL restricted to a window.
//! - `grouped`, `row_sql` — keys and filter, and what is computed for a row.
//! - `incremental`, `aggregate`, `load` — the state of a group, its row, and loading it again.
//! - `symbol`, `expressions` — resolved names in expressions; expressions taken apart.
//!
//! The invariant: a query is refused, with a reason, unless its plan is known to be right. To support
//! another form of query, accept it where it is refused, and add it to the queries of
//! `tests/answers.rs`.

mod aggregate;
mod bound;
mod expressions;
mod functions;
mod grouped;
mod incremental;
mod links;
mod load;
mod restriction;
mod row_sql;
mod scope;
mod sql_type;
mod survey;
mod symbol;
mod time_sum;

use super::aggregates::{AggregateFunction, ArgumentType};
use crate::error::Result;
use crate::store::{Dialect, Table, Type, dialect};
use grouped::ParsedQuery;
use restriction::TimeRestriction;
use sqlparser::ast::Query;
use std::time::Duration;

/// Why a plan cannot serve a query, for the user to read.
pub(crate) type Reason = String;

/// The parameter of the instant at which the window begins, in unix seconds.
pub(crate) const WINDOW_START: &str = "window_start";
/// The parameter of the instant before which the window ends, in unix seconds.
pub(crate) const WINDOW_END: &str = "window_end";
/// The parameters by which a time column is bounded where its values have fractions: the least
/// numbers of seconds that are rounded to the first instant and to the one that ends the window.
pub(crate) const FROM: &str = "tributary_from";
pub(crate) const TO: &str = "tributary_to";
/// How the parameters of `keyed` and the columns that `whole` adds begin; the place of the key
/// follows.
pub(crate) const KEY: &str = "tributary_key_";

/// What was read of a query.
#[derive(Debug)]
pub(crate) struct Analysis {
    /// The query restricted to the window's extent: serves `requery`, and `emit = all`.
    pub whole: RestrictedSql,
    /// What is needed to answer by group, or why it cannot be.
    pub grouped: Result<GroupedQuery, Reason>,
    /// What is needed beyond that to keep the state of each group, or why it cannot be.
    pub incremental: Result<IncrementalQuery, Reason>,
    /// The lower bound on the time column in WHERE; `Err` where there is one that is not
    /// understood.
    pub bound: Result<Option<Bound>, Reason>,
    /// Whether a clock stands anywhere but in the bound.
    pub clock: bool,
}

/// A query in both of its restrictions. Columns keep their places, yet a column without an alias
/// may be called otherwise in a text that is changed: take names from the query itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RestrictedSql {
    /// For windows that slide: with its own bound where it has one and no row that it finds is
    /// older than the window is long, else with `time >= :window_start`.
    ///
    /// Where the time or the bound has a fraction, the database would round otherwise than the
    /// state does: then with `time >= :tributary_from` in place of what it says of the time itself.
    pub sliding: SqlText,
    /// For windows that end: without its own bound, with
    /// `time >= :window_start AND time < :window_end`, or `:tributary_from` and `:tributary_to`.
    pub bounded: SqlText,
}

/// A query in SQL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SqlText {
    pub sql: String,
    /// Where not, it is byte for byte what the user wrote.
    pub changed: bool,
}

/// A bound on time: a row is in when its time is at least (or more than) the instant, cut to the
/// whole second where `whole_seconds`, minus `length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub length: Duration,
    pub inclusive: bool,
    pub whole_seconds: bool,
}

/// A column of the window's table (depth 0) or of a child table along the joined chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub depth: usize,
    /// The place in [`Table::columns`].
    pub at: usize,
    pub kind: Type,
}

/// What is needed to answer by group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupedQuery {
    /// The joined child tables by their declared names; the first has depth 1.
    pub chain: Vec<String>,
    /// The keys of a group in the order of GROUP BY; none where everything is one group.
    pub keys: Vec<RowValue>,
    /// Whether a row counts: it does where each of these is 1. An item of a lower depth may speak
    /// before rows of a higher one are looked at.
    pub filter: Vec<RowValue>,
    /// What the database computes for a row, for `keys` and `filter`.
    pub computed: Vec<RowSql>,
    /// The query with each key as one more column, `tributary_key_0` and so on, at the end.
    pub whole: RestrictedSql,
    /// The same for one group, of which `:tributary_key_0` and so on are the keys.
    pub keyed: RestrictedSql,
    /// For each key the column of the answer that is exactly that key, if there is one.
    pub key_columns: Vec<Option<usize>>,
    /// Indexes that serve `keyed`: a table and its columns.
    pub index: Vec<(String, Vec<String>)>,
    /// Whether tables are joined that are not the window's: answers change without an event.
    pub foreign: bool,
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowValue {
    Column(Column),
    Computed {
        /// The place in the list of [`RowSql`].
        computed: usize,
        output: usize,
    },
}

/// A SELECT of one row: what the database computes from one row of depth `depth` and the rows
/// above it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowSql {
    pub depth: usize,
    pub sql: String,
    /// What is bound, in order.
    pub inputs: Vec<Column>,
    /// How many columns it answers with.
    pub outputs: usize,
}

/// What is needed to keep the state of each group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IncrementalQuery {
    /// What the database computes for a row. It begins with what [`GroupedQuery::computed`] has, so
    /// that the items of [`GroupedQuery`] hold here too; use this list instead of that.
    pub computed: Vec<RowSql>,
    /// Each aggregate of SELECT, HAVING and ORDER BY once.
    pub aggregates: Vec<Aggregate>,
    /// What the database computes for a group; `None` where every column of the answer is a key or
    /// a count, nothing more is sorted by, and there is no HAVING.
    pub group: Option<GroupSql>,
    /// One for each column of the answer, in order; the names are those of the query itself.
    pub outputs: Vec<OutputColumn>,
    /// ORDER BY.
    pub order: Vec<SortTerm>,
    /// Asks for all rows that the query looks at.
    pub load: LoadQuery,
    /// Asks for the time and the key of each row of the table, also of those that the query leaves
    /// out; the columns are the first ones of `load`.
    pub live: String,
}

/// An aggregate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Aggregate {
    pub function: AggregateFunction,
    /// `None` counts rows.
    pub arg: Option<RowValue>,
    pub kind: ArgumentType,
}

/// A SELECT of one row, or of none where HAVING leaves the group out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupSql {
    pub sql: String,
    /// What is bound, in order.
    pub params: Vec<GroupParam>,
    /// How many columns it answers with: those of the answer, then those that are only sorted by.
    pub outputs: usize,
}

/// What a parameter of a [`GroupSql`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupParam {
    Key(usize),
    Aggregate(usize),
    WindowStart,
    WindowEnd,
}

/// A column of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputColumn {
    Key(usize),
    /// The place of an aggregate that counts.
    Count(usize),
    /// The column of [`GroupSql`].
    Computed(usize),
}

/// A term of ORDER BY. NULL comes before everything, and last where `descending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SortTerm {
    pub by: OutputColumn,
    pub descending: bool,
}

/// Asks for all rows that the query looks at, in the order of their time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoadQuery {
    /// The columns: the time, where the window has one (`tributary_time`); the key of the window's
    /// table, column by column (`tributary_id_0` ..); `items` (`tributary_item_0` ..).
    pub sql: String,
    /// Whether the time is the first column.
    pub time: bool,
    /// How many columns the key has.
    pub ids: usize,
    /// What the other columns are: each key of the group and each argument once.
    pub items: Vec<RowValue>,
}

/// Reads a query of a window over `table`, whose rows go by the column `time` (or by none).
///
/// # Errors
/// Anything but one SELECT, a clock that cannot be served, and a subquery that has the table's
/// name. What a plan cannot serve is a [`Reason`] in the reading.
#[cfg(test)]
fn read(dialect: Dialect, sql: &str, table: &Table, time: Option<&str>) -> Result<Analysis> {
    read_within(dialect, sql, table, time, None)
}

/// The same of a window that slides and is so long, where one is.
pub(crate) fn read_within(
    dialect: Dialect,
    sql: &str,
    table: &Table,
    time: Option<&str>,
    size: Option<Duration>,
) -> Result<Analysis> {
    dialect::parsed(dialect, sql, |parsed| match parsed {
        Ok(query) => read_parsed(dialect, sql, &query, table, (time, size)),
        Err(why) => Ok(unknown(sql, &why)),
    })
}

fn read_parsed(
    dialect: Dialect,
    sql: &str,
    original: &Query,
    table: &Table,
    (time, size): (Option<&str>, Option<Duration>),
) -> Result<Analysis> {
    let mut query = original.clone();
    dialect::replace_clocks(dialect, &mut query)?;
    let restriction = TimeRestriction::read(dialect, original, &query, table, (time, size))?;
    let source = ParsedQuery {
        dialect,
        sql,
        original,
        query: &query,
        time,
        restriction: &restriction,
    };
    let (grouped, incremental) = match grouped::read(&source, table) {
        Ok((grouped, groups)) => (Ok(grouped), incremental::read(&source, groups)),
        Err(why) => (Err(why.clone()), Err(why)),
    };
    Ok(Analysis {
        whole: restriction.restrict(sql, original, false),
        grouped,
        incremental,
        clock: restriction.has_other_clock(&query),
        bound: restriction.bound,
    })
}

/// The reading of a query that the parser doesn't know. It names no clock.
fn unknown(sql: &str, why: &str) -> Analysis {
    let text = SqlText {
        sql: sql.to_owned(),
        changed: false,
    };
    let why = format!("the SQL parser does not know this query: {why}");
    Analysis {
        whole: RestrictedSql {
            sliding: text.clone(),
            bounded: text,
        },
        grouped: Err(why.clone()),
        incremental: Err(why.clone()),
        bound: Err(why),
        clock: false,
    }
}

#[cfg(test)]
mod tests;
