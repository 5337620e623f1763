//! The file of a durable queue: a SQLite database of its own, with events in the order in which they
//! came.
//!
//! Who has it open has it alone. Its version is in SQLite's header, so that a program that doesn't
//! know a newer one changes nothing in it. A new version: raise [`VERSION`], and bring an older file
//! up to it in `prepare`.

use super::{BUSY, probe};
use crate::error::{Error, ErrorKind, Result};
use crate::payload::Payload;
use crate::store::sqlite::fault::Place;
use rusqlite::{Connection, OpenFlags};
use std::ops::Range;
use std::path::Path;

/// What says that a SQLite file is a queue ("trbq").
const APPLICATION: i64 = 0x7472_6271;
/// The version of the tables in it.
const VERSION: i64 = 1;

/// An event as it is stored.
pub(crate) struct Stored {
    pub id: u64,
    /// In microseconds since 1970.
    pub time: i64,
    pub payload: Payload,
    /// A JSON object, or nothing.
    pub meta: Option<String>,
}

/// An open queue.
pub(crate) struct QueueFile {
    connection: Connection,
    place: Place,
    /// Whether what is committed is synced.
    synced: bool,
}

impl QueueFile {
    /// Opens a queue, which is made where there is no such file.
    ///
    /// # Errors
    /// A file that is something else, that a newer version has written or that somebody else has
    /// open (to be tried again); whatever the system says.
    pub fn open(path: &Path) -> Result<Self> {
        let place = Place::file(path);
        probe(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).map_err(|error| place.broken(error))?;
        let queue = QueueFile {
            connection,
            place,
            synced: true,
        };
        queue.prepare()?;
        Ok(queue)
    }

    fn prepare(&self) -> Result<()> {
        let wrong = |text: String| Error::new(ErrorKind::Data, format!("{}: {text}", self.place));
        let set_up = || -> rusqlite::Result<(i64, i64, i64)> {
            self.connection.busy_timeout(BUSY)?;
            let number = |sql| self.connection.query_row(sql, [], |row| row.get(0));
            Ok((
                number("PRAGMA application_id")?,
                number("PRAGMA user_version")?,
                number("SELECT count(*) FROM sqlite_schema")?,
            ))
        };
        match set_up().map_err(|error| self.place.broken(error))? {
            (APPLICATION, VERSION, _) => self.check()?,
            (APPLICATION, version, _) => {
                let text =
                    format!("the queue is of version {version}, this program knows {VERSION}");
                return Err(wrong(text));
            }
            (0, 0, 0) => {}
            _ => {
                return Err(wrong("it is no queue".to_owned())
                    .with_hint("a file of its own is needed, which need not be there"));
            }
        }
        let make = format!(
            "PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             BEGIN IMMEDIATE;
             CREATE TABLE IF NOT EXISTS queue
                 (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, payload BLOB NOT NULL, meta TEXT);
             PRAGMA application_id = {APPLICATION};
             PRAGMA user_version = {VERSION};
             COMMIT;"
        );
        self.connection
            .execute_batch(&make)
            .map_err(|error| self.place.broken(error))
    }

    /// Looks through the whole file, once: a flipped bit in a number, or in the name of a column,
    /// would have events passed over without a word.
    fn check(&self) -> Result<()> {
        let text = |sql| {
            let found = self
                .connection
                .query_row(sql, [], |row| row.get::<_, String>(0));
            found.map_err(|error| self.place.broken(error))
        };
        let found = text("PRAGMA quick_check(1)")?;
        // What is wrong stands behind a heading, where there is one.
        let mut damage = found.lines().last().unwrap_or_default().to_owned();
        let columns = text(
            "SELECT coalesce(group_concat(name || ' ' || type || ' ' || pk), '')
             FROM pragma_table_info('queue')",
        )?;
        if columns != "id INTEGER 1,time INTEGER 0,payload BLOB 0,meta TEXT 0" {
            damage = format!("its columns are {columns}");
        }
        if damage == "ok" {
            return Ok(());
        }
        let text = format!("{}: the queue is damaged: {damage}", self.place);
        Err(Error::new(ErrorKind::Data, text)
            .with_hint("the command .recover of sqlite3 saves what can be read"))
    }

    /// The number of the last event, 0 where there is none.
    ///
    /// # Errors
    /// Whatever the database says.
    pub fn last(&self) -> Result<u64> {
        let last = self
            .connection
            .query_row("SELECT coalesce(max(id), 0) FROM queue", [], |row| {
                row.get::<_, i64>(0)
            });
        let last = last.map_err(|error| self.place.broken(error))?;
        Ok(u64::try_from(last).unwrap_or(0))
    }

    /// Adds events and removes those in these ranges, in one transaction. It is synced where events
    /// are added: what was only removed comes again if power is lost, and not if the process is killed.
    ///
    /// # Errors
    /// Whatever the database says; then nothing of it is done.
    pub fn change(&mut self, add: &[Stored], remove: &[Range<u64>]) -> Result<()> {
        let synced = !add.is_empty();
        let mut change = || -> rusqlite::Result<()> {
            if std::mem::replace(&mut self.synced, synced) != synced {
                let level = if synced { "FULL" } else { "NORMAL" };
                self.connection.pragma_update(None, "synchronous", level)?;
            }
            let transaction = self.connection.transaction()?;
            if !add.is_empty() {
                let sql = "INSERT INTO queue (id, time, payload, meta) VALUES (?, ?, ?, ?)";
                let mut insert = transaction.prepare_cached(sql)?;
                for event in add {
                    let id = event.id as i64;
                    insert.execute((id, event.time, event.payload.bytes(), &event.meta))?;
                }
            }
            if !remove.is_empty() {
                let mut delete =
                    transaction.prepare_cached("DELETE FROM queue WHERE id >= ? AND id < ?")?;
                for range in remove {
                    delete.execute((range.start as i64, range.end as i64))?;
                }
            }
            transaction.commit()
        };
        change().map_err(|error| self.place.broken(error))
    }

    /// The first events behind a number, in order, at most so many.
    ///
    /// # Errors
    /// Whatever the database says.
    pub fn after(&self, id: u64, most: usize) -> Result<Vec<Stored>> {
        let read = || -> rusqlite::Result<Vec<Stored>> {
            let mut select = self.connection.prepare_cached(
                "SELECT id, time, payload, meta FROM queue WHERE id > ? ORDER BY id LIMIT ?",
            )?;
            let rows = select.query_map((id as i64, most as i64), |row| {
                Ok(Stored {
                    id: row.get::<_, i64>(0)? as u64,
                    time: row.get(1)?,
                    payload: row.get_ref(2)?.as_blob()?.into(),
                    meta: row.get(3)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(|error| self.place.broken(error))
    }
}
