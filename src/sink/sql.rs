//! Rows in a table of a database.
//!
//! What was written is in the database, committed and synced, before the events count as delivered; a
//! batch is one transaction.

use crate::error::{Error, ErrorKind, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use crate::store::{Connection, Database, RowReader, Store, Table, TableUse};
use std::str::FromStr;
use std::sync::Arc;

/// What becomes of an event whose key is in the table already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlMode {
    /// The row that is there stays, with its child rows, and the event is let go. In a table without
    /// a key every event is a row.
    Insert,
    /// Its row takes the place of the one that is there, and so do its child rows. Columns that are
    /// not declared keep what they have.
    Upsert,
}

impl FromStr for SqlMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "insert" => Ok(SqlMode::Insert),
            "upsert" => Ok(SqlMode::Upsert),
            _ => Err(Error::data(format!(
                "bad mode {}: \"insert\" or \"upsert\" is needed",
                quote(text)
            ))),
        }
    }
}

impl SqlMode {
    /// Checks that rows can be written so.
    ///
    /// # Errors
    /// [`Upsert`](SqlMode::Upsert) into a table that has no key.
    pub(crate) fn check(self, table: &Table) -> Result<()> {
        if self == SqlMode::Upsert && table.key_columns().is_empty() {
            let name = quote(table.name());
            let error = format!("mode \"upsert\" needs a key, and table {name} has none");
            return Err(Error::data(error).with_hint("declare one, as in key = \"id\""));
        }
        Ok(())
    }
}

/// Writes each event as a row, with its child rows, into a declared table.
///
/// An event that is sent again changes nothing that was not changed by the first: with a key in the
/// table and a source that replays, each event has its effect once. Under
/// [`Upsert`](SqlMode::Upsert) the last event of a key wins.
pub struct SqlSink {
    database: Database,
    connection: Option<Connection>,
    reader: RowReader,
    mode: SqlMode,
    _used: Arc<TableUse>,
}

opaque_debug!(SqlSink, mode);

impl SqlSink {
    /// A sink into this table of the database.
    ///
    /// # Errors
    /// A table that is not declared; [`Upsert`](SqlMode::Upsert) into one that has no key.
    pub fn new(database: &Database, table: &str, mode: SqlMode) -> Result<Self> {
        let table = database.table(table)?;
        mode.check(&table)?;
        Ok(SqlSink {
            database: database.clone(),
            connection: None,
            _used: database.name_table(table.name())?,
            reader: RowReader::new(table),
            mode,
        })
    }
}

impl Node for SqlSink {
    fn open(&mut self) -> Result<()> {
        // The old one first: it may hold a transaction.
        self.connection = None;
        self.connection = Some(self.database.connection()?);
        Ok(())
    }

    fn batch_size(&self) -> usize {
        self.database.dialect().events_per_transaction()
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.connection.as_mut().map_or(Ok(()), Store::commit)
    }

    fn rollback(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.rollback();
        }
    }
}

impl Sink for SqlSink {
    fn write(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        let closed = || Error::new(ErrorKind::Failed, "the sink is not open");
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let row = self.reader.read(event.payload(), connection.sized())?;
        connection.begin()?;
        match self.mode {
            SqlMode::Insert => connection.insert_buffered(row, Some(event.payload())),
            SqlMode::Upsert => connection.upsert_buffered(row),
        }
    }
}
