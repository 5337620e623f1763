//! SQLite, in memory or in a file: one connection that all nodes share.
//!
//! Several connections to one database in memory fail at once with "table is locked", and a file has one
//! writer anyway. So there is one connection behind a mutex, which a transaction holds until it ends.

mod bounded;
mod bounds;
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
use bounds::{Bounds, PATTERN};
pub(crate) use dialect::DIALECT;
use fault::DatabaseName;
pub(super) use location::{SCHEME, at};
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, MAIN_DB, OpenFlags};
use std::path::Path;
use std::sync::Arc;
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

/// The connection that all drivers share.
#[derive(Clone)]
struct Shared {
    connection: Arc<Mutex<Connection>>,
    bounds: Bounds,
    place: DatabaseName,
}

/// The limit on the size of values while one query runs. It does not apply to stored values.
struct Lengths<'a> {
    connection: &'a Connection,
    bounds: &'a Bounds,
    before: i32,
}

impl<'a> Lengths<'a> {
    fn limit(
        connection: &'a Connection,
        bounds: &'a Bounds,
        bytes: usize,
    ) -> rusqlite::Result<Self> {
        let before = connection.limit(Limit::SQLITE_LIMIT_LENGTH)?;
        set_length(connection, bounds, bytes)?;
        Ok(Lengths {
            connection,
            bounds,
            before,
        })
    }
}

impl Drop for Lengths<'_> {
    fn drop(&mut self) {
        // It was the limit before, so it is valid.
        let before = usize::try_from(self.before).unwrap_or(usize::MAX);
        let _ = set_length(self.connection, self.bounds, before);
    }
}

/// Limits the length of each value, and of each row.
fn set_length(connection: &Connection, bounds: &Bounds, bytes: usize) -> rusqlite::Result<()> {
    bounds.set_bytes(bytes);
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
        let bounds = configure(&mut connection, STEPS).map_err(|error| place.broken(error))?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        Ok(Sqlite {
            shared: Shared {
                connection: Arc::new(Mutex::new(connection)),
                bounds,
                place,
            },
        })
    }
}

/// Settings of every connection: a name in double quotes is never a text, and LIKE compares texts
/// by their bytes, as `=` does, and as it does on tables that Tributary creates on MySQL. A pattern is short.
/// The time of a query is looked at after so many steps.
fn configure(connection: &mut Connection, steps: i32) -> rusqlite::Result<Bounds> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.pragma_update(None, "case_sensitive_like", true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN)?;
    let bounds = Bounds::new();
    functions::register(connection)?;
    bounded::register(connection, &bounds)?;
    let looked = bounds.clone();
    connection.progress_handler(steps, Some(move || looked.is_over()))?;
    Ok(bounds)
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
        let bounds = configure(&mut scratch, STEPS).map_err(other)?;
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
        let limits = QueryLimits::default();
        set_length(&scratch, &bounds, limits.bytes).map_err(other)?;
        let _running = bounds.begin(limits.time);
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
