//! The handle.

use super::{Store, Table};
use crate::error::{Error, Result};
use std::sync::Arc;

/// A database: where it is, and which tables are declared. A cheap handle; clones share it.
#[derive(Clone)]
pub struct Database(Arc<()>);

/// The declarations of a [`Database`] at one moment: see [`Database::mark`].
pub struct Mark(());

/// One SELECT, checked, in which every clock is the network's.
#[derive(Clone)]
pub struct Query(Arc<()>);

impl Query {
    /// The SQL as it is run, with named parameters.
    pub fn sql(&self) -> &str {
        ""
    }

    /// The SQL as it was written.
    pub fn original(&self) -> &str {
        ""
    }
}

impl Database {
    /// Opens a database: `"sqlite::memory:"`, `"sqlite:path"`, `"mysql://user:pass@host:port/db"`.
    ///
    /// # Errors
    /// A malformed URL, a wrong password, a database that does not answer, a file that cannot be
    /// opened.
    pub fn open(_url: &str) -> Result<Self> {
        Ok(Database(Arc::new(())))
    }

    /// Declares a table; changes nothing in the database.
    ///
    /// # Errors
    /// Bad names, another declaration of the same table, a table that exists and doesn't fit.
    pub fn declare(&self, _table: Table) -> Result<()> {
        Ok(())
    }

    /// The table declared under this name.
    ///
    /// # Errors
    /// No such table is declared.
    pub fn table(&self, _name: &str) -> Result<Arc<Table>> {
        Err(todo())
    }

    /// All declared tables, in the order of their declaration; child tables are within them.
    pub fn tables(&self) -> Vec<Arc<Table>> {
        Vec::new()
    }

    /// Checks a query against the declared tables and those that exist; changes no table.
    ///
    /// # Errors
    /// Anything but one SELECT, and whatever the database says against it.
    pub fn prepare(&self, _sql: &str) -> Result<Query> {
        Err(todo())
    }

    /// A connection, to be made on the thread that uses it. Creates declared tables that are
    /// missing.
    ///
    /// # Errors
    /// A database that does not answer (retryable) or refuses.
    pub fn connect(&self) -> Result<Box<dyn Store>> {
        Err(todo())
    }

    /// The declarations as they are now, for [`reset`](Self::reset).
    pub fn mark(&self) -> Mark {
        Mark(())
    }

    /// Takes back what was declared since `mark`: for a script that failed half-way.
    pub fn reset(&self, _mark: Mark) {}
}

fn todo() -> Error {
    Error::data("not there yet")
}
