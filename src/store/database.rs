//! The handle to a database: its declarations, and its connections.

mod tables;

use super::catalog::{Catalog, DeclarationsMark};
use super::connection::Connection;
use super::dialect::{self, Dialect, Paged};
use super::driver::{Backend, Driver};
use super::location::Location;
use super::query::Asker;
use super::url;
use super::{Query, QueryLimits, Store, Table, fit, reads, statements};
use crate::claim::Claim;
use crate::error::{Error, Result, quote};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The longest time that a server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A database: where it is, and which tables are declared. A cheap handle; clones share it,
/// but for the [limits](Self::with_limits) and what queries may [read](Self::with_reads) beside the
/// declared tables, which each has of its own.
///
/// SQLite, in memory or in a file, has one connection that all nodes of the process share: a node in a
/// transaction locks out the others until it ends. On MySQL each node has its own connection.
#[derive(Clone)]
pub struct Database {
    location: Arc<dyn Location>,
    backend: Arc<dyn Backend>,
    catalog: Arc<Catalog>,
    limits: QueryLimits,
    reads: Vec<String>,
}

impl Database {
    /// Opens a database: `"sqlite::memory:"`, `"sqlite:path"` (created if it is missing) or
    /// `"mysql://user:password@host:port/database"`, with user and password percent-encoded.
    /// Connects once, so that errors occur here.
    ///
    /// # Errors
    /// A malformed URL, a wrong password, a database that does not answer, a file that cannot be
    /// opened. No message shows the password.
    pub fn open(url: &str) -> Result<Self> {
        Self::open_within(url, PATIENCE)
    }

    /// The same, where a server may take at most this time, 5 s at most, to accept a connection and for
    /// each of its answers: here, and when tables are declared and queries prepared. What connects later,
    /// for a node of its own, waits up to 5 s.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_within(url: &str, patience: Duration) -> Result<Self> {
        let patience = patience.clamp(Duration::from_millis(1), PATIENCE);
        Self::at(url::parse(url)?, patience)
    }

    fn at(location: Arc<dyn Location>, patience: Duration) -> Result<Self> {
        Ok(Database {
            backend: location.open(patience)?,
            location,
            catalog: Arc::default(),
            limits: QueryLimits::default(),
            reads: Vec::new(),
        })
    }

    /// Checks an address without opening anything, and gives it as messages show it, without its
    /// password.
    ///
    /// # Errors
    /// A malformed URL.
    #[doc(hidden)]
    pub fn check_url(url: &str) -> Result<String> {
        Ok(url::parse(url)?.to_string())
    }

    /// The database in this file, which is created if it is missing.
    ///
    /// # Errors
    /// A file that cannot be opened or is something else.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        Self::at(super::sqlite::at(path), PATIENCE)
    }

    /// The dialect of the database at this address; opens nothing.
    ///
    /// # Errors
    /// A malformed URL.
    pub(crate) fn dialect_of(url: &str) -> Result<Dialect> {
        url::parse(url)?;
        Ok(url::dialect_of(url).expect("a URL that was parsed has a scheme"))
    }

    /// The same database, whose queries have these limits when they run on connections of this handle.
    #[must_use]
    pub fn with_limits(mut self, limits: QueryLimits) -> Self {
        self.limits = limits.checked();
        self
    }

    /// The same database, whose queries may read these tables and views beside the declared tables,
    /// when they are prepared through this handle. On MySQL `"other.rates"` is a table of another
    /// database of the server.
    ///
    /// ```
    /// use tributary::Database;
    ///
    /// let path = std::env::temp_dir().join("tributary-doc-reads.db");
    /// # let _ = std::fs::remove_file(&path);
    /// let other = rusqlite::Connection::open(&path)?;
    /// other.execute_batch("create table rates (currency text, rate real)")?;
    ///
    /// let database = Database::open(&format!("sqlite:{}", path.display()))?;
    /// let sql = "select rate from rates where currency = 'EUR'";
    /// assert!(database.prepare(sql).is_err(), "it is not declared");
    /// let database = database.with_reads(["rates"])?;
    /// database.prepare(sql)?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A table that is not there, and what belongs to the database itself.
    pub fn with_reads<T: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let backend = &*self.backend;
        reads::check_names(backend.dialect(), &self.catalog, &names, || {
            backend.relations()
        })?;
        self.reads.extend(names);
        Ok(self)
    }

    /// The limits of a query.
    pub(crate) fn limits(&self) -> QueryLimits {
        self.limits
    }

    /// Declares a table, with its child tables. Changes nothing in the database: the tables are
    /// made when a node connects. To declare the same once more is fine.
    ///
    /// # Errors
    /// Bad names and keys, another declaration of the same table, a table that is there already
    /// and doesn't fit.
    pub fn declare(&self, table: Table) -> Result<()> {
        table.check()?;
        let mut tables = Vec::new();
        table.walk(&mut |table| tables.push(table));
        for table in tables {
            match self.backend.existing(table.name())? {
                Some(existing) => {
                    fit::check(table, &existing).map_err(|error| self.named(error))?;
                }
                None => fit::check_key(table, self.backend.dialect())?,
            }
        }
        self.catalog.declare(table)
    }

    /// The table declared under this name; child tables are found in their parents.
    ///
    /// # Errors
    /// No such table is declared.
    pub fn table(&self, name: &str) -> Result<Arc<Table>> {
        self.catalog.table(name)
    }

    /// All declared tables, in the order of their declaration; child tables are within them.
    pub fn tables(&self) -> Vec<Arc<Table>> {
        self.catalog.tables()
    }

    /// Checks a query against the declared tables and those that exist; changes no table. It reads
    /// declared tables and what [`with_reads`](Self::with_reads) names, and calls functions that compute.
    ///
    /// # Errors
    /// Anything but one SELECT, a clock or parameter that is not known, a table that it may not read, a
    /// function that it may not call, and every error of the database, with the position.
    pub fn prepare(&self, sql: &str) -> Result<Query> {
        self.prepare_for(Asker::Anybody, sql)
    }

    /// The same for a window, or for a plan of one.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn prepare_for(&self, asker: Asker, sql: &str) -> Result<Query> {
        Query::prepare(&*self.backend, &self.catalog, sql, asker, &self.reads)
    }

    /// The query of a source that reads on from a cursor, taken apart.
    ///
    /// # Errors
    /// A limit that cannot be raised.
    pub(crate) fn paged(&self, sql: &str) -> Result<Paged> {
        dialect::paged(self.dialect(), sql)
    }

    /// Whether no two rows of a table have the same values in these columns; `None` where that
    /// is not known, as of a view.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn is_unique(&self, table: &str, columns: &[String]) -> Result<Option<bool>> {
        let existing = self.backend.existing(table)?;
        Ok(existing.and_then(|existing| fit::is_unique(&existing, columns)))
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.backend.dialect()
    }

    /// A connection, to be made on the thread that uses it. Makes the declared tables that are
    /// missing, and the indexes that windows need.
    ///
    /// # Errors
    /// A database that does not answer (retryable), or that refuses to make a table.
    #[doc(hidden)]
    pub fn connect(&self) -> Result<Box<dyn Store>> {
        Ok(Box::new(self.connection()?))
    }

    /// A connection, as [`connect`](Self::connect) makes it, with all that the windows use.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub(crate) fn connection(&self) -> Result<Connection> {
        self.make_connection().map_err(|error| self.named(error))
    }

    /// An error about the content of a file, with the name of the file.
    pub(crate) fn named(&self, error: Error) -> Error {
        let Some(path) = self.location.file() else {
            return error;
        };
        let path = quote(path.display().to_string());
        if error.message().contains(&path) {
            return error;
        }
        error.within(format_args!("database {path}"))
    }

    fn make_connection(&self) -> Result<Connection> {
        let mut driver = self.backend.connect(self.limits)?;
        for table in self.tables() {
            self.make(&mut *driver, &table)?;
        }
        let columns = self
            .catalog
            .retention(|retention| retention.columns().to_vec());
        for by in columns {
            self.make_index(&mut *driver, &by.table, &[&by.column]);
        }
        for (table, columns) in self.catalog.indexes() {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            self.make_index(&mut *driver, &table, &columns);
        }
        Ok(Connection::new(
            driver,
            self.backend.dialect(),
            self.backend.table_options(),
            self.catalog.clone(),
        ))
    }

    fn make(&self, driver: &mut dyn Driver, table: &Table) -> Result<()> {
        if driver.existing(table.name())?.is_none() {
            let options = self.backend.table_options();
            let sql = statements::create_table(self.backend.dialect(), table, options);
            driver.execute(&sql, &[])?;
        }
        for child in table.children() {
            self.make(driver, &child.table)?;
            let links: Vec<&str> = child.parent.iter().map(|(theirs, _)| &**theirs).collect();
            self.make_index(driver, child.table.name(), &links);
        }
        Ok(())
    }

    /// Creates an index unless one exists that serves. A failure is not an error: queries are only slower.
    fn make_index(&self, driver: &mut dyn Driver, table: &str, columns: &[&str]) {
        let served = match driver.existing(table) {
            Ok(Some(existing)) => fit::has_index(&existing, columns),
            _ => true,
        };
        if served {
            return;
        }
        let sql = statements::create_index(self.backend.dialect(), table, columns);
        if let Err(failure) = driver.execute(&sql, &[]) {
            let error = crate::Error::from(failure);
            log::warn!("no index on {table} ({}): {error}", columns.join(", "));
        }
    }

    /// Whether a table, with its child tables, is as Tributary creates it, or does not exist yet.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn is_exact(&self, table: &Table) -> Result<bool> {
        let mut tables = Vec::new();
        table.walk(&mut |table| tables.push(table));
        for table in tables {
            if self
                .backend
                .existing(table.name())?
                .is_some_and(|there| !there.exact)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the database ends with the process.
    pub(crate) fn is_memory(&self) -> bool {
        self.location.is_memory()
    }

    /// Whether another handle is to the same database.
    pub(crate) fn is_same(&self, other: &Database) -> bool {
        let same = || self.location.to_string() == other.location.to_string();
        Arc::ptr_eq(&self.catalog, &other.catalog) || !self.is_memory() && same()
    }

    /// The claim of a node that keeps its state in this database: the file, if it is one. Nodes of one
    /// process share it.
    pub(crate) fn claim(&self) -> Option<Claim> {
        self.path()
            .map(|path| Claim::new("database", path).shared())
    }

    /// The file of the database, if it is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let path = self.location.file()?;
        // SQLite follows symbolic links.
        Some(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }

    /// The declarations as they are now, for [`reset`](Self::reset).
    pub(crate) fn mark(&self) -> DeclarationsMark {
        self.catalog.mark()
    }

    /// Removes what was declared since `mark`, for a script that failed.
    pub(crate) fn reset(&self, mark: DeclarationsMark) {
        self.catalog.reset(mark);
    }
}

/// The URL, without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.location, f)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.location)
    }
}
