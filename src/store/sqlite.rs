//! SQLite, in memory or in a file: one connection that all nodes share.
//!
//! Several connections to one database in memory fail at once with "table is locked", and a file has one
//! writer anyway. So there is one connection behind a mutex, which a transaction holds until it ends.

mod dialect;
mod driver;
mod fault;
mod functions;
mod location;
mod queue;
mod round;
mod schema;
mod scratch;
mod values;
mod watch;

pub(crate) use queue::{QueueFile, Stored};

use super::dialect::{Dialect, not_one_select, with_names};
use super::driver::{Backend, Driver, Existing, Refusal};
use super::limits::QueryLimits;
use super::reads::{Asked, Checked};
use super::statements;
use super::table::Table;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::time::monotonic;
pub(crate) use dialect::DIALECT;
use fault::DatabaseName;
pub(super) use location::{SCHEME, at};
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, MAIN_DB, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a lock of another process is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// How many statements stay prepared.
const PREPARED: usize = 256;
/// The number of steps of SQLite between two checks of the deadline. One step can compute a value of the
/// greatest size, so the number is small.
const STEPS: i32 = 250;

/// The backend.
struct Sqlite {
    shared: Shared,
}

/// The most bytes of a pattern of LIKE or GLOB: a comparison takes up to the product of the lengths of text
/// and pattern, and no time is looked at within it.
const PATTERN: i32 = 1_000;

/// The connection that all drivers share.
#[derive(Clone)]
struct Shared {
    connection: Arc<Mutex<Connection>>,
    deadline: Deadline,
    place: DatabaseName,
}

/// When the running query is interrupted, in milliseconds of the monotonic clock since this was created;
/// 0 if no query runs.
#[derive(Clone)]
struct Deadline {
    since: std::time::Instant,
    at: Arc<AtomicU64>,
}

impl Deadline {
    fn new() -> Self {
        Deadline {
            since: monotonic(),
            at: Arc::default(),
        }
    }

    fn now(&self) -> u64 {
        let elapsed = monotonic().duration_since(self.since);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    /// Sets it for one query, until the returned guard is dropped.
    fn set(&self, time: Duration) -> Running<'_> {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.at
            .store(self.now().saturating_add(time), Ordering::Relaxed);
        Running(self)
    }

    fn is_over(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        at != 0 && self.now() > at
    }
}

/// A query that has a deadline.
struct Running<'a>(&'a Deadline);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.at.store(0, Ordering::Relaxed);
    }
}

/// The limit on the size of values while one query runs. It does not apply to stored values.
struct Lengths<'a> {
    connection: &'a Connection,
    before: i32,
}

impl<'a> Lengths<'a> {
    fn limit(connection: &'a Connection, bytes: usize) -> rusqlite::Result<Self> {
        let before = connection.limit(Limit::SQLITE_LIMIT_LENGTH)?;
        set_length(connection, bytes)?;
        Ok(Lengths { connection, before })
    }
}

impl Drop for Lengths<'_> {
    fn drop(&mut self) {
        // It was the limit before, so it is valid.
        let _ = self
            .connection
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, self.before);
    }
}

/// Limits the length of each value, and of each row.
fn set_length(connection: &Connection, bytes: usize) -> rusqlite::Result<()> {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, bytes)?;
    Ok(())
}

impl Sqlite {
    /// A database in memory.
    fn memory() -> Result<Self> {
        let place = DatabaseName::memory();
        let connection = Connection::open_in_memory().map_err(|e| place.error(e))?;
        Sqlite::new(connection, place)
    }

    /// A database in a file, created if it is missing.
    fn file(path: &Path) -> Result<Self> {
        let place = DatabaseName::file(path);
        probe(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).map_err(|error| place.error(error))?;
        let set_up = || {
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")
        };
        set_up().map_err(|error| place.broken(error))?;
        if connection.is_readonly(MAIN_DB).unwrap_or(false) {
            return Err(Error::new(
                ErrorKind::NoPermission,
                format!("{place}: it can only be read"),
            ));
        }
        Sqlite::new(connection, place)
    }

    fn new(mut connection: Connection, place: DatabaseName) -> Result<Self> {
        let deadline = Deadline::new();
        let handler = deadline.clone();
        let set_up = || {
            configure(&connection)?;
            connection.set_prepared_statement_cache_capacity(PREPARED);
            connection.progress_handler(STEPS, Some(move || handler.is_over()))
        };
        set_up().map_err(|error| place.broken(error))?;
        Ok(Sqlite {
            shared: Shared {
                connection: Arc::new(Mutex::new(connection)),
                deadline,
                place,
            },
        })
    }
}

/// Settings of every connection: a name in double quotes is never a text, and LIKE compares texts
/// by their bytes, as `=` does, and as it does on tables that Tributary creates on MySQL. A pattern is short.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.pragma_update(None, "case_sensitive_like", true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN)?;
    functions::register(connection)
}

/// Opens the file once, since the errors of the system are clearer than those of SQLite.
fn probe(path: &Path) -> Result<()> {
    let named = || format!("database {}", quote(path.display().to_string()));
    if path.is_dir() {
        return Err(Error::new(
            ErrorKind::Io,
            format!("{}: it is a directory", named()),
        ));
    }
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let error = match opened {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if error.kind() != std::io::ErrorKind::NotFound {
        return Err(Error::io(named(), &error));
    }
    let missing = path.parent().filter(|parent| !parent.is_dir());
    let hint = missing.map(|parent| {
        let parent = quote(parent.display().to_string());
        format!("there is no directory {parent}")
    });
    let message = format!("{}: cannot create it", named());
    Err(Error::new(ErrorKind::CannotCreate, message).with_hint_opt(hint))
}

impl Backend for Sqlite {
    fn dialect(&self) -> Dialect {
        DIALECT
    }

    fn table_options(&self) -> &str {
        ""
    }

    fn existing(&self, name: &str) -> Result<Option<Existing>> {
        let connection = self.shared.connection.lock();
        schema::existing(&connection, name).map_err(|error| self.shared.place.broken(error))
    }

    fn relations(&self) -> Result<Vec<String>> {
        let connection = self.shared.connection.lock();
        let relations = watch::relations(&connection).map_err(|e| self.shared.place.broken(e))?;
        Ok(relations.into_iter().map(|(name, _)| name).collect())
    }

    fn check(&self, query: &Asked<'_>, tables: &[Arc<Table>]) -> Result<Checked, Refusal> {
        let schema = {
            let connection = self.shared.connection.lock();
            schema::copy(&connection)
        };
        let other = |error| Refusal::Other(self.shared.place.broken(error));
        let mut scratch = Connection::open_in_memory().map_err(other)?;
        configure(&scratch).map_err(other)?;
        for sql in schema.map_err(other)? {
            // What cannot be copied (a virtual table of an unknown module) is left out.
            let _ = scratch.execute_batch(&sql);
        }
        for table in tables {
            let mut all = Vec::new();
            table.walk(&mut |table| all.push(table));
            for table in all {
                let sql = statements::create_table(DIALECT, table, "");
                scratch.execute_batch(&sql).map_err(other)?;
            }
        }
        let with = with_names(DIALECT, query.sql).map_err(Refusal::Other)?;
        // Preparing a query may compute its constant parts.
        set_length(&scratch, QueryLimits::default().bytes).map_err(other)?;
        let watch = watch::Watch::on(&mut scratch).map_err(other)?;
        let statement = scratch
            .prepare(query.text)
            .map_err(|error| fault::refusal(&error))?;
        if !statement.readonly() {
            return Err(Refusal::Other(not_one_select()));
        }
        let seen = watch.take();
        let outside = seen.outside(&scratch, &watch, &with, &query.reach);
        Ok(Checked {
            columns: statement.column_names().map(str::to_owned).collect(),
            outside: outside.map_err(other)?,
            calls: seen.calls,
        })
    }

    fn connect(&self, limits: QueryLimits) -> Result<Box<dyn Driver>> {
        Ok(Box::new(driver::Sqlite::new(self.shared.clone(), limits)))
    }
}
