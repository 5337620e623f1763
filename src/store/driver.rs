//! The traits of a backend: only what differs between databases.
//!
//! A [`Backend`] opens connections and reads the schema; a [`Driver`] is one connection that runs
//! statements. All else (rows, child rows, eviction, keys) is written once, over a driver, in
//! `connection.rs`.

use super::datum::Datum;
use super::dialect::Dialect;
use super::limits::QueryLimits;
use super::reads::{Asked, Checked};
use super::row::Cell;
use super::table::Table;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// A database behind a [`Database`](super::Database).
pub(crate) trait Backend: Send + Sync {
    fn dialect(&self) -> Dialect;

    /// What follows the columns in `CREATE TABLE`.
    fn table_options(&self) -> &str;

    /// The table of this name, as it is in the database.
    fn existing(&self, name: &str) -> Result<Option<Existing>>;

    /// The names of the tables and views that are there.
    fn relations(&self) -> Result<Vec<String>>;

    /// Prepares a query against a scratch copy of the schema, in which those of these tables that
    /// don't exist are made; returns what it reaches.
    fn check(&self, query: &Asked<'_>, tables: &[Arc<Table>]) -> Result<Checked, Refusal>;

    /// A new connection, whose queries have these limits.
    fn connect(&self, limits: QueryLimits) -> Result<Box<dyn Driver>>;
}

/// One connection.
pub(crate) trait Driver: Send {
    fn begin(&mut self) -> Result<()>;
    /// Commits; on SQLite other connections stay locked out until `release`.
    fn commit(&mut self) -> Result<()>;
    /// Ends a transaction that was not committed; never fails.
    fn rollback(&mut self);
    /// Releases the lock after a commit.
    fn release(&mut self);

    /// Runs a statement; returns how many rows it changed.
    fn execute(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<u64, Failure>;

    /// Runs a query within the limits of the connection.
    fn rows(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Map<String, Value>>>;

    /// Runs a query of Tributary itself, whose answer may be long, without limits.
    fn all(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Map<String, Value>>>;

    /// The same, and hands over the rows as they come.
    fn data(&mut self, sql: &str, cells: &[Cell<'_>], each: &mut Each<'_>) -> Result<()>;

    /// Evaluates a SELECT without tables: at most one row, into `row`; returns whether there was one.
    fn evaluate(
        &mut self,
        evaluation: &Evaluation,
        cells: &mut dyn Iterator<Item = Cell<'_>>,
        row: &mut Vec<Datum>,
    ) -> Result<bool>;

    /// A number that changes when another process has changed the database; `None` if there is no such
    /// number, or no other process can.
    fn data_version(&mut self) -> Result<Option<u64>>;

    /// A number that changes when the connection was replaced by another one, which holds none of its
    /// locks.
    fn session(&self) -> u64 {
        0
    }

    /// The table of this name as this connection sees it.
    fn existing(&mut self, name: &str) -> Result<Option<Existing>>;
}

/// A function that is called with one row after the other.
pub(crate) type Each<'a> = dyn FnMut(&mut Vec<Datum>) -> Result<()> + 'a;

/// A SELECT without tables, with positional parameters, that is to be run often.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub sql: String,
    /// Unique within the process.
    pub number: u64,
    /// What a driver keeps prepared for it is of no use after its end: a driver keeps the weak reference.
    life: Arc<()>,
}

impl Evaluation {
    pub fn new(sql: impl Into<String>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Evaluation {
            sql: sql.into(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            life: Arc::default(),
        }
    }

    /// A reference that shows whether the evaluation is still there.
    pub fn life(&self) -> Weak<()> {
        Arc::downgrade(&self.life)
    }
}

/// Why a statement failed.
pub(crate) enum Failure {
    /// A row with the same key exists already.
    Conflict(Error),
    Other(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict(error) | Failure::Other(error) => error,
        }
    }
}

/// Why a database refused a query.
pub(crate) enum Refusal {
    /// Its message about the query, and the word that the message names, if any.
    Query {
        message: String,
        near: Option<String>,
    },
    /// Something else, such as a database that is gone.
    Other(Error),
}

/// A table that exists.
pub(crate) struct Existing {
    pub columns: Vec<ExistingColumn>,
    /// The columns of each index, and whether it is unique.
    pub indexes: Vec<(Vec<String>, bool)>,
    /// Whether the table is as Tributary would have created it: values are read as they were written,
    /// texts are equal only if their bytes are, and only statements change its rows.
    pub exact: bool,
}

/// A column that exists.
pub(crate) struct ExistingColumn {
    pub name: String,
    /// Its type, as the database names it.
    pub kind: String,
    /// The classes of declared types that fit it: integer, real, text.
    pub takes: [bool; 3],
    /// Whether a row must give it a value.
    pub required: bool,
    /// Whether different texts can be equal in it.
    pub folds: bool,
}
