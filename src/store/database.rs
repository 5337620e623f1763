//! The handle to a database: what is declared of it, and the way to connections.

use super::catalog::{Catalog, Hold, Last, Mark};
use super::dialect::{self, Dialect, Paged};
use super::driver::{Backend, Driver};
use super::feed::Use;
use super::mysql::Mysql;
use super::query::Asker;
use super::session::Session;
use super::sqlite::Sqlite;
use super::url::Url;
use super::{Limits, Query, Store, Table, fit, reads, statements};
use crate::claim::Claim;
use crate::error::{Error, Result, quote};
use crate::time::Timestamp;
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A database: where it is, and which tables are declared. A cheap handle; clones share it,
/// but for the [limits](Self::with_limits) and what queries may [read](Self::with_reads) beside the
/// declared tables, which each has of its own.
///
/// SQLite, in memory or in a file, is one connection that all nodes of the process share: who is
/// in a transaction shuts out the others until it ends. On MySQL each node has its own.
#[derive(Clone)]
pub struct Database {
    url: Arc<Url>,
    backend: Arc<dyn Backend>,
    catalog: Arc<Catalog>,
    limits: Limits,
    reads: Vec<String>,
}

impl Database {
    /// Opens a database: `"sqlite::memory:"`, `"sqlite:path"` (made where it is missing) or
    /// `"mysql://user:password@host:port/database"`, with user and password percent-encoded.
    /// Connects once, so that what is wrong comes out here.
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
        let url = Url::parse(url)?;
        let backend: Arc<dyn Backend> = match &url {
            Url::Memory => Arc::new(Sqlite::memory()?),
            Url::File(path) => Arc::new(Sqlite::file(path)?),
            Url::Mysql(server) => Arc::new(Mysql::open(server, url.to_string(), patience)?),
        };
        Ok(Database {
            url: Arc::new(url),
            backend,
            catalog: Arc::default(),
            limits: Limits::default(),
            reads: Vec::new(),
        })
    }

    /// Checks an address without opening anything, and gives it as messages show it, without its
    /// password.
    ///
    /// # Errors
    /// A malformed URL.
    pub fn check_url(url: &str) -> Result<String> {
        Ok(Url::parse(url)?.to_string())
    }

    /// The database in this file, which is made where it is missing.
    ///
    /// # Errors
    /// A file that cannot be opened or is something else.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        Ok(Database {
            url: Arc::new(Url::File(path.to_owned())),
            backend: Arc::new(Sqlite::file(path)?),
            catalog: Arc::default(),
            limits: Limits::default(),
            reads: Vec::new(),
        })
    }

    /// Which dialect the database at this address speaks; opens nothing.
    ///
    /// # Errors
    /// A malformed URL.
    pub(crate) fn dialect_of(url: &str) -> Result<Dialect> {
        Url::parse(url).map(|url| match url {
            Url::Memory | Url::File(_) => dialect::sqlite::DIALECT,
            Url::Mysql(_) => dialect::mysql::DIALECT,
        })
    }

    /// The same database, whose queries have these limits when they are asked through connections
    /// of this handle.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
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
    /// assert!(database.prepare(sql).is_err(), "nobody has declared it");
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
        reads::check_names(&*self.backend, &self.catalog, &names)?;
        self.reads.extend(names);
        Ok(self)
    }

    /// How much a query may ask for.
    pub(crate) fn limits(&self) -> Limits {
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
    /// function that it may not call, and whatever the database says against it, with the place.
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
    /// cannot be told, as of a view.
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
    pub fn connect(&self) -> Result<Box<dyn Store>> {
        Ok(Box::new(self.session()?))
    }

    /// A connection, as [`connect`](Self::connect) makes it, with all that the windows use.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub(crate) fn session(&self) -> Result<Session> {
        self.make_session().map_err(|error| self.named(error))
    }

    /// An error of what a file holds, which names the file.
    pub(crate) fn named(&self, error: Error) -> Error {
        let Url::File(path) = &*self.url else {
            return error;
        };
        let path = quote(path.display().to_string());
        match error.message().contains(&path) {
            true => error,
            false => error.within(format_args!("database {path}")),
        }
    }

    fn make_session(&self) -> Result<Session> {
        let mut driver = self.backend.connect(self.limits)?;
        for table in self.tables() {
            self.make(&mut *driver, &table)?;
        }
        for window in self.catalog.windows() {
            self.make_index(&mut *driver, &window.table, &[&window.column]);
        }
        for (table, columns) in self.catalog.indexes() {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            self.make_index(&mut *driver, &table, &columns);
        }
        Ok(Session::new(
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

    /// Makes an index where none serves. Without it all is slower, and nothing is wrong.
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

    /// How often a table was written through this database: raised by every transaction that
    /// writes it, while it is committed.
    pub fn generation(&self, table: &str) -> u64 {
        self.catalog.generation(table).load(Ordering::SeqCst)
    }

    /// Notes that somebody reads or writes a table, for as long as what comes out is kept.
    ///
    /// # Errors
    /// A table of which no rows are stored.
    pub(crate) fn name_table(&self, table: &str) -> Result<Arc<Use>> {
        self.catalog.name(vec![table.to_owned()])
    }

    /// Notes that somebody reads or writes a table and those that a query names.
    ///
    /// # Errors
    /// A table of which no rows are stored.
    pub(crate) fn name_tables(&self, table: &str, sql: &str) -> Result<Arc<Use>> {
        let mut tables = self.catalog.named_in(sql);
        tables.retain(|named| named != table);
        tables.push(table.to_owned());
        self.catalog.name(tables)
    }

    /// Has the rows of a table not be stored, where nobody else names it. Says whether that is so.
    pub(crate) fn keep_to_itself(&self, table: &str, own: &Arc<Use>) -> bool {
        self.catalog.keep_to_itself(table, own)
    }

    /// Whether a table, with its child tables, is as we make it, or is still to be made.
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

    /// Takes a name under which a window keeps what it emits, which no other window has.
    pub(crate) fn claim_scope(&self, name: &str) -> Arc<str> {
        self.catalog.claim_scope(name)
    }

    /// Whether nothing of it outlives the process.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(*self.url, Url::Memory)
    }

    /// What a node claims that keeps its state in this database: its file, where it is one. Nodes of one
    /// process share it.
    pub(crate) fn claim(&self) -> Option<Claim> {
        self.path()
            .map(|path| Claim::new("database", path).shared())
    }

    /// Its file, where it is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let Url::File(path) = &*self.url else {
            return None;
        };
        // SQLite follows symbolic links.
        Some(path.canonicalize().unwrap_or_else(|_| path.clone()))
    }

    /// Has an index be made when a node connects.
    pub(crate) fn want_index(&self, table: &str, columns: &[String]) {
        self.catalog.want_index(table, columns);
    }

    /// Lets a window hold rows of a table by this column: `size` says which before it is open.
    pub(crate) fn hold(
        &self,
        table: &str,
        column: &str,
        size: Option<Duration>,
    ) -> Result<Arc<Hold>> {
        self.catalog.hold(table, column, size)
    }

    /// Lets a window have the last so many rows of a table; says whether it `asks` the table.
    pub(crate) fn last(&self, table: &str, rows: usize, asks: bool) -> Result<Arc<Last>> {
        self.catalog.last(table, rows, asks)
    }

    /// Whether what leaves this window is to be deleted by it.
    pub(crate) fn deletes(&self, last: &Last) -> bool {
        self.catalog.deletes(last)
    }

    /// Before which time no window needs rows of this table any more; `now` is the network's instant.
    pub(crate) fn floor(&self, table: &str, now: Timestamp) -> Option<Timestamp> {
        self.catalog.floor(table, now)
    }

    /// The declared tables that a query may name, child tables by their own names.
    pub(crate) fn tables_in(&self, sql: &str) -> Vec<String> {
        let words = sql.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
        let words: HashSet<String> = words.map(str::to_lowercase).collect();
        let mut named = Vec::new();
        for table in self.tables() {
            table.walk(&mut |table| {
                if words.contains(&table.name().to_lowercase()) {
                    named.push(table.name().to_owned());
                }
            });
        }
        named
    }

    /// The declarations as they are now, for [`reset`](Self::reset).
    pub fn mark(&self) -> Mark {
        self.catalog.mark()
    }

    /// Takes back what was declared since `mark`: for a script that failed half-way.
    pub fn reset(&self, mark: Mark) {
        self.catalog.reset(mark);
    }
}

/// The URL, without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.url, f)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.url)
    }
}
