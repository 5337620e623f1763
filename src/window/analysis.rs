//! The analysis of a query: what a SELECT computes, and the SQL that serves each plan.
//!
//! A window can answer an event in three ways: run the whole query again, run it for the groups that
//! the event touches, or keep running state for each group and read nothing. [`analyse`] finds
//! which of them a query allows, why it does not allow the others, and what they need. It uses the
//! declaration of the window's table, and no database.
//!
//! The SQL is as the user wrote it: clocks are still to be replaced, parameters are named. Only
//! [`RowSql`] and [`GroupSql`] are ready to run, since their parameters are ours: their values are
//! bound by position (SQLite's are numbered, so one that occurs twice is bound once).
//!
//! - `scope`, `links` — what names stand for, and how the child tables are joined.
//! - `survey`, `functions`, `sql_type` — what an expression consists of, and its type.
//! - `bound`, `time_sum` — the bound on time; `restriction`, `table_references` — the SQL restricted to a
//!   window.
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
mod shape;
mod sql_type;
mod survey;
mod symbol;
mod table_references;
mod time_sum;

use super::aggregates::{AggregateFunction, ArgumentType};
use crate::error::Result;
use crate::store::{Dialect, Table, Type, dialect};
use grouped::ParsedQuery;
use restriction::TimeRestriction;
pub(crate) use shape::{GroupShape, StateShape};
use sqlparser::ast::Query;
use std::time::Duration;

/// Why a plan cannot serve a query, for the user to read.
pub(crate) type Reason = String;

/// The parameter of the instant at which the window begins, in unix seconds.
pub(crate) const WINDOW_START: &str = "window_start";
/// The parameter of the instant before which the window ends, in unix seconds.
pub(crate) const WINDOW_END: &str = "window_end";
/// The parameters that bound a time column whose values have fractions: the least numbers of seconds
/// that are rounded to the start of the window, and to its end.
pub(crate) const FROM: &str = "tributary_from";
pub(crate) const TO: &str = "tributary_to";
/// The prefix of the parameters of `keyed` and of the columns that `whole` adds; the number of the key
/// follows.
pub(crate) const KEY: &str = "tributary_key_";

/// What each plan needs of a query, or why it cannot serve it.
#[derive(Debug)]
pub(crate) struct Analysis {
    /// The query, restricted to one window: for `requery`, and `emit = all`.
    pub whole: RestrictedSql,
    /// For answers by group.
    pub grouped: Result<GroupedQuery, Reason>,
    /// For running state of each group, in addition to `grouped`.
    pub incremental: Result<IncrementalQuery, Reason>,
    /// The lower bound on the time column in WHERE; `Err` where a condition is not supported.
    pub bound: Result<Option<Bound>, Reason>,
    /// Whether the query uses a clock outside of the bound.
    pub clock: bool,
}

/// A query, restricted to one window in each of two ways. The columns are in the same order, yet one
/// without an alias may have another name in SQL that is changed: the query itself has their names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RestrictedSql {
    /// For windows without bounds: with the query's own bound on the time, where it has one and that
    /// finds no row older than the window is long; otherwise with `time >= :window_start`.
    ///
    /// Where the time or the bound has a fraction, the database would round it in another way than the
    /// state: then with `time >= :tributary_from` in place of the query's own conditions on the time.
    pub sliding: SqlText,
    /// For windows with bounds: without the query's own bound, with
    /// `time >= :window_start AND time < :window_end`, or `:tributary_from` and `:tributary_to`.
    pub bounded: SqlText,
}

/// A query in SQL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SqlText {
    pub sql: String,
    /// Whether it differs from what the user wrote.
    pub changed: bool,
}

/// A bound on the time of a row: it is at least (or, unless `inclusive`, more than) the current instant,
/// cut to the whole second where `whole_seconds`, minus `length`.
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
    /// The index in [`Table::columns`].
    pub index: usize,
    pub kind: Type,
}

/// A query whose groups are known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupedQuery {
    /// The joined child tables by their declared names; the first has depth 1.
    pub chain: Vec<String>,
    /// The keys of a group in the order of GROUP BY; none where everything is one group.
    pub keys: Vec<RowValue>,
    /// Whether the query uses a row: it does where each of these is 1. A value of a lower depth can be
    /// checked before the rows of a higher one are read.
    pub filter: Vec<RowValue>,
    /// What the database computes for a row, for `keys` and `filter`.
    pub computed: Vec<RowSql>,
    /// The query with each key as one more column, `tributary_key_0` and so on, at the end.
    pub whole: RestrictedSql,
    /// `whole` for one group, whose keys are the parameters `:tributary_key_0` and so on.
    pub keyed: RestrictedSql,
    /// For each key the column of the answer that is exactly that key, if there is one.
    pub key_columns: Vec<Option<usize>>,
    /// Indexes that serve `keyed`: a table and its columns.
    pub index: Vec<(String, Vec<String>)>,
    /// Whether tables are joined that are not the window's: answers change without an event.
    pub foreign: bool,
}

/// A value that depends on one row: a column, or what the database computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowValue {
    Column(Column),
    Computed {
        /// The index in the list of [`RowSql`], and that of its column.
        computed: usize,
        output: usize,
    },
}

/// A SELECT without tables: it computes values from one row of depth `depth` and the rows above it, which
/// are its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowSql {
    pub depth: usize,
    pub sql: String,
    /// The values of its parameters, in order.
    pub inputs: Vec<Column>,
    /// The number of its columns.
    pub outputs: usize,
    /// What each of its columns computes, with the names of this analysis for columns.
    pub texts: Vec<String>,
}

/// A query of which the state of each group can be kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IncrementalQuery {
    /// What the database computes for a row. The list begins with that of [`GroupedQuery::computed`], so
    /// the values of a [`GroupedQuery`] are valid with it: use it instead.
    pub computed: Vec<RowSql>,
    /// Each aggregate of SELECT, HAVING and ORDER BY once.
    pub aggregates: Vec<Aggregate>,
    /// What the database computes for a group; `None` where each column of the answer is a key or a
    /// count, the answer is sorted by these alone, and there is no HAVING.
    pub group: Option<GroupSql>,
    /// The columns of the answer, in order.
    pub outputs: Vec<OutputColumn>,
    /// ORDER BY.
    pub order: Vec<SortTerm>,
    /// Reads all rows that the query uses, whatever their time.
    pub load: LoadQuery,
    /// Reads the time and the key of each row of the table, also of those that the query does not use.
    /// The columns are the first ones of `load`.
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

/// A SELECT without tables: it computes the row of a group, or none where HAVING leaves the group out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupSql {
    pub sql: String,
    /// The values of its parameters, in order.
    pub params: Vec<GroupParam>,
    /// The number of its columns: those of the answer, then those that are only sorted by.
    pub outputs: usize,
}

/// The value of a parameter of a [`GroupSql`].
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
    /// An aggregate whose value is an integer, by its index.
    Count(usize),
    /// A column of [`GroupSql`], by its index.
    Computed(usize),
}

/// A term of ORDER BY. NULL is first, or, where `descending`, last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SortTerm {
    pub by: OutputColumn,
    pub descending: bool,
}

/// A SELECT of all rows that the query uses, in the order of their time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoadQuery {
    /// The columns: the time, where the window has one (`tributary_time`); the key of the window's
    /// table, column by column (`tributary_id_0` ..); `items` (`tributary_item_0` ..).
    pub sql: String,
    /// Whether the time is the first column.
    pub time: bool,
    /// The number of columns of the key.
    pub ids: usize,
    /// The other columns: each key of a group and each argument of an aggregate, once.
    pub items: Vec<RowValue>,
}

/// How the windows of a query go by time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowTime<'a> {
    /// The column with the time of a row; `None` where windows do not go by time.
    pub column: Option<&'a str>,
    /// The size of a sliding window.
    pub size: Option<Duration>,
}

/// Analyses a query of a window over `table`, whose rows go by the column `time` (or by none).
///
/// # Errors
/// Those of [`analyse`].
#[cfg(test)]
fn read(dialect: Dialect, sql: &str, table: &Table, time: Option<&str>) -> Result<Analysis> {
    let window = WindowTime {
        column: time,
        size: None,
    };
    analyse(dialect, sql, table, window)
}

/// Analyses a query of a window over `table`.
///
/// # Errors
/// Anything but one SELECT, a clock that cannot be replaced, and a subquery of WITH that has the
/// table's name. What a plan cannot serve is a [`Reason`] in the analysis.
pub(crate) fn analyse(
    dialect: Dialect,
    sql: &str,
    table: &Table,
    window: WindowTime<'_>,
) -> Result<Analysis> {
    dialect::parsed(dialect, sql, |parsed| match parsed {
        Ok(query) => analyse_parsed(dialect, sql, &query, table, window),
        Err(why) => Ok(unknown(sql, &why)),
    })
}

fn analyse_parsed(
    dialect: Dialect,
    sql: &str,
    original: &Query,
    table: &Table,
    window: WindowTime<'_>,
) -> Result<Analysis> {
    let mut query = original.clone();
    dialect::replace_clocks(dialect, &mut query)?;
    let restriction = TimeRestriction::read(dialect, original, &query, table, window)?;
    let source = ParsedQuery {
        dialect,
        sql,
        original,
        query: &query,
        time: window.column,
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

/// The analysis of a query that the SQL parser does not know.
fn unknown(sql: &str, why: &str) -> Analysis {
    let text = SqlText {
        sql: sql.to_owned(),
        changed: false,
    };
    let why = format!("the SQL parser does not support this query: {why}");
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
