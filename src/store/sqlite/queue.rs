//! The file of a durable queue: a SQLite database of its own, with events in the order in which they
//! came.
//!
//! It is opened exclusively. Its version is in SQLite's header, so that a program that doesn't
//! know a newer one changes nothing in it. A new version: raise [`VERSION`], and bring an older file
//! up to it in `prepare`.
//!
//! Each event has a checksum over all of it, since SQLite has none: a bit that has flipped in a payload is
//! found when the event is read. Version 1 had none. The events of such a file are read without, up to the
//! number in the table `upgraded`.

use super::{BUSY, probe};
use crate::error::{Error, ErrorKind, Result};
use crate::payload::Payload;
use crate::store::sqlite::fault::DatabaseName;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use std::ops::Range;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// The application id of a queue ("trbq").
const APPLICATION: i64 = 0x7472_6271;
/// The version of the tables in it.
const VERSION: i64 = 2;
/// The columns of the table of events in version 1; version 2 has the checksum beside them.
const COLUMNS: &str = "id INTEGER 1,time INTEGER 0,payload BLOB 0,meta TEXT 0";

/// An event as it is stored.
pub(crate) struct Stored {
    pub id: u64,
    /// In microseconds since 1970.
    pub time: i64,
    pub payload: Payload,
    /// A JSON object, or nothing.
    pub meta: Option<String>,
    /// Whether it is not as it was written.
    pub damaged: bool,
}

impl Stored {
    fn sum(&self) -> i64 {
        let meta = self.meta.as_ref().map(String::as_bytes);
        sum(self.id, self.time, self.payload.bytes(), meta)
    }
}

/// The checksum of an event.
fn sum(id: u64, time: i64, payload: &[u8], meta: Option<&[u8]>) -> i64 {
    let mut hasher = Xxh3::new();
    hasher.update(&id.to_le_bytes());
    hasher.update(&time.to_le_bytes());
    hasher.update(&(payload.len() as u64).to_le_bytes());
    hasher.update(payload);
    // No meta is not the same as an empty one.
    hasher.update(&[u8::from(meta.is_some())]);
    hasher.update(meta.unwrap_or_default());
    hasher.digest().cast_signed()
}

/// An open queue.
pub(crate) struct QueueFile {
    connection: Connection,
    place: DatabaseName,
    /// Whether what is committed is synced.
    synced: bool,
    /// Events up to this number may lack a checksum.
    unsummed: u64,
}

impl QueueFile {
    /// Opens a queue; the file is created if it is missing.
    ///
    /// # Errors
    /// A file that is something else, that a newer version has written, or that another process has open
    /// (retryable); errors of the system.
    pub fn open(path: &Path) -> Result<Self> {
        let place = DatabaseName::file(path);
        probe(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).map_err(|error| place.broken(error))?;
        let mut queue = QueueFile {
            connection,
            place,
            synced: true,
            unsummed: 0,
        };
        queue.prepare()?;
        let unsummed =
            queue
                .connection
                .query_row("SELECT coalesce(max(last), 0) FROM upgraded", [], |row| {
                    row.get::<_, i64>(0)
                });
        let unsummed = unsummed.map_err(|error| queue.place.broken(error))?;
        queue.unsummed = u64::try_from(unsummed).unwrap_or(0);
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
        let mut upgrade = "";
        match set_up().map_err(|error| self.place.broken(error))? {
            (APPLICATION, VERSION, _) => self.check(&format!("{COLUMNS},sum INTEGER 0"))?,
            (APPLICATION, 1, _) => {
                self.check(COLUMNS)?;
                upgrade = "ALTER TABLE queue ADD COLUMN sum INTEGER;
                     INSERT INTO upgraded SELECT coalesce(max(id), 0) FROM queue;";
            }
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
                 (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, payload BLOB NOT NULL, meta TEXT,
                  sum INTEGER);
             CREATE TABLE IF NOT EXISTS upgraded (last INTEGER NOT NULL);
             {upgrade}
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
    fn check(&self, expected: &str) -> Result<()> {
        let text = |sql| {
            let found = self
                .connection
                .query_row(sql, [], |row| row.get::<_, String>(0));
            found.map_err(|error| self.place.broken(error))
        };
        let found = text("PRAGMA quick_check(1)")?;
        // The message follows a heading, if there is one.
        let mut damage = found.lines().last().unwrap_or_default().to_owned();
        let columns = text(
            "SELECT coalesce(group_concat(name || ' ' || type || ' ' || pk), '')
             FROM pragma_table_info('queue')",
        )?;
        if columns != expected {
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
    /// Errors of the database.
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
    /// Errors of the database; then nothing is changed.
    pub fn change(&mut self, add: &[Stored], remove: &[Range<u64>]) -> Result<()> {
        let synced = !add.is_empty();
        let mut change = || -> rusqlite::Result<()> {
            if std::mem::replace(&mut self.synced, synced) != synced {
                let level = if synced { "FULL" } else { "NORMAL" };
                self.connection.pragma_update(None, "synchronous", level)?;
            }
            let transaction = self.connection.transaction()?;
            if !add.is_empty() {
                let sql = "INSERT INTO queue (id, time, payload, meta, sum) VALUES (?, ?, ?, ?, ?)";
                let mut insert = transaction.prepare_cached(sql)?;
                for event in add {
                    let id = event.id as i64;
                    let sum = event.sum();
                    insert.execute((id, event.time, event.payload.bytes(), &event.meta, sum))?;
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
    /// Errors of the database.
    pub fn after(&self, id: u64, most: usize) -> Result<Vec<Stored>> {
        let read = || -> rusqlite::Result<Vec<Stored>> {
            let mut select = self.connection.prepare_cached(
                "SELECT id, time, payload, meta, sum FROM queue WHERE id > ? ORDER BY id LIMIT ?",
            )?;
            let rows = select.query_map((id as i64, most as i64), |row| self.stored(row))?;
            rows.collect()
        };
        read().map_err(|error| self.place.broken(error))
    }

    /// An event as far as it can be read.
    fn stored(&self, row: &Row<'_>) -> rusqlite::Result<Stored> {
        let id = row.get::<_, i64>(0)? as u64;
        let time = row.get_ref(1)?.as_i64().ok();
        let payload = match row.get_ref(2)? {
            ValueRef::Blob(bytes) => Some(bytes),
            _ => None,
        };
        let meta = row.get_ref(3)?.as_bytes_or_null().ok();
        let text = meta.map(|meta| meta.map(str::from_utf8).transpose().ok());
        let whole = match (time, payload, meta, text.flatten(), row.get_ref(4)?) {
            (Some(time), Some(payload), Some(meta), Some(_), ValueRef::Integer(read)) => {
                read == sum(id, time, payload, meta)
            }
            (Some(_), Some(_), Some(_), Some(_), ValueRef::Null) => id <= self.unsummed,
            _ => false,
        };
        Ok(Stored {
            id,
            time: time.unwrap_or(0),
            payload: payload.unwrap_or_default().into(),
            meta: text.flatten().flatten().map(str::to_owned),
            damaged: !whole,
        })
    }
}
