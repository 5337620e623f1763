//! A connection to a database: a [`Store`], written once over the [`Driver`] of the backend.
//!
//! - `rows` — rows that are inserted with their child rows.
//! - `upsert` — rows that replace the row with their key.
//! - `write_buffer` — rows that are collected and written together.
//! - `window_queries` — what windows need beyond `Store`.
//! - `emitted`, `outbox`, `letters` — the tables of Tributary itself.

mod emitted;
mod letters;
mod outbox;
mod rows;
mod upsert;
mod window_queries;
mod write_buffer;

use super::catalog::Catalog;
use super::datum::Datum;
use super::dialect::Dialect;
use super::driver::Driver;
use super::feed::{Feed, ReceivedRows, Subscribers};
use super::row::{Cell, Row};
use super::statements::{self, Statements, keys};
use super::{Inserted, Params, Query, Store, Table, value};
use crate::error::{Error, Result, quote};
use crate::payload::Payload;
use crate::time::Timestamp;
pub(crate) use outbox::Piece;
use serde_json::{Map, Value};
use std::sync::Arc;
use write_buffer::WriteBuffer;

/// A connection to a database.
pub(crate) struct Connection {
    driver: Box<dyn Driver>,
    dialect: Dialect,
    options: String,
    catalog: Arc<Catalog>,
    open: bool,
    /// The tables that were used: few, so that a search costs less than a hash.
    known: Vec<TableState>,
    /// The changes by other nodes, if its owner has subscribed.
    feed: Option<Arc<Feed>>,
    /// The changes of this transaction that are to be published, by table.
    unpublished: Vec<(Arc<Subscribers>, Vec<Option<Payload>>)>,
    /// Whether rows with child rows are inserted within a savepoint even into tables that Tributary created.
    always_in_savepoint: bool,
    /// Whether rows are collected and written together.
    buffers_rows: bool,
    /// Whether the keys of some collected rows existed already.
    found_duplicates: bool,
    buffer: WriteBuffer,
}

/// A table that was used.
struct TableState {
    table: Arc<Table>,
    statements: Statements,
    subscribers: Arc<Subscribers>,
    /// Whether it is as Tributary creates it, with its child tables, once that was checked.
    exact: Option<bool>,
}

impl Connection {
    pub fn new(
        driver: Box<dyn Driver>,
        dialect: Dialect,
        options: &str,
        catalog: Arc<Catalog>,
    ) -> Self {
        Connection {
            driver,
            dialect,
            options: options.to_owned(),
            catalog,
            open: false,
            known: Vec::new(),
            feed: None,
            unpublished: Vec::new(),
            always_in_savepoint: false,
            buffers_rows: dialect.batches_rows(),
            found_duplicates: false,
            buffer: WriteBuffer::default(),
        }
    }

    /// Runs `work` in the open transaction, or in one of its own.
    fn within<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.open {
            return work(self);
        }
        self.begin()?;
        match work(self).and_then(|done| self.commit().map(|()| done)) {
            Ok(done) => Ok(done),
            Err(error) => {
                self.rollback();
                Err(error)
            }
        }
    }

    fn table_state(&mut self, table: &Table) -> &TableState {
        let found = self
            .known
            .iter()
            .position(|known| known.table.name() == table.name());
        let at = found.unwrap_or_else(|| {
            self.known.push(TableState {
                table: Arc::new(table.clone()),
                statements: Statements::new(self.dialect, table),
                subscribers: self.catalog.subscribers(table.name()),
                exact: None,
            });
            self.known.len() - 1
        });
        &self.known[at]
    }

    /// Whether a table and its child tables are as Tributary creates them: then no row that was read can be
    /// refused after a part of it was inserted.
    fn is_exact(&mut self, table: &Table) -> Result<bool> {
        if let Some(exact) = self.table_state(table).exact {
            return Ok(exact);
        }
        let mut exact = true;
        let mut tables = Vec::new();
        table.walk(&mut |table| tables.push(table));
        for table in tables {
            exact &= self
                .driver
                .existing(table.name())?
                .is_some_and(|there| there.exact);
        }
        let known = self
            .known
            .iter_mut()
            .find(|known| known.table.name() == table.name());
        if let Some(known) = known {
            known.exact = Some(exact);
        }
        Ok(exact)
    }

    /// Publishes an inserted row, or a change of another kind (`None`), when the transaction commits.
    fn publish(&mut self, table: &Table, row: Option<&Payload>) {
        let subscribers = self.table_state(table).subscribers.clone();
        if !subscribers.has_others(self.feed.as_ref()) {
            return;
        }
        match self
            .unpublished
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &subscribers))
        {
            Some((_, rows)) => rows.push(row.cloned()),
            None => self.unpublished.push((subscribers, vec![row.cloned()])),
        }
    }

    /// Subscribes to the changes of a table by other nodes.
    pub fn subscribe(&mut self, table: &Table) {
        self.feed = Some(self.catalog.subscribers(table.name()).join());
    }

    /// The changes by other nodes since the last call.
    pub fn received(&self) -> ReceivedRows {
        self.feed
            .as_ref()
            .map(|feed| feed.take())
            .unwrap_or_default()
    }

    /// Whether a transaction is open.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// A number that changes when another process has changed the database; `None` where no other process
    /// can, or the database has no such number.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn data_version(&mut self) -> Result<Option<u64>> {
        self.driver.data_version()
    }

    /// Whether the lengths of texts are checked when rows are read.
    pub fn sized(&self) -> bool {
        self.dialect.bounds_texts()
    }

    fn run(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<u64> {
        Ok(self.driver.execute(sql, cells)?)
    }
}

impl Store for Connection {
    fn begin(&mut self) -> Result<()> {
        if !self.open {
            self.driver.begin()?;
            self.open = true;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if self.open {
            self.flush_buffer()?;
            self.refused()?;
            self.driver.commit()?;
            self.open = false;
            // On SQLite, while other connections are still locked out.
            for (subscribers, rows) in self.unpublished.drain(..) {
                subscribers.publish(self.feed.as_ref(), &rows);
            }
            self.driver.release();
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.unpublished.clear();
        self.discard_buffer();
        if std::mem::take(&mut self.open) {
            self.driver.rollback();
        }
    }

    fn insert(&mut self, table: &Table, object: &Map<String, Value>) -> Result<Inserted> {
        let row = Row::read(table, object, self.sized())?;
        self.insert_row_of(&row)
    }

    fn evict(&mut self, table: &Table, column: &str, cutoff: Timestamp) -> Result<u64> {
        self.publish(table, None);
        self.expire(table, column, cutoff)
    }

    fn oldest(&mut self, table: &Table, column: &str) -> Result<Option<Timestamp>> {
        table.expect_column(column)?;
        self.flush_buffer()?;
        let sql = statements::oldest(self.dialect, table, column);
        let mut oldest = None;
        self.driver.data(&sql, &[], &mut |row| {
            oldest = row.first().and_then(Datum::as_time);
            Ok(())
        })?;
        Ok(oldest)
    }

    fn query(&mut self, query: &Query, params: &Params<'_>) -> Result<Vec<Map<String, Value>>> {
        self.ask(query, &params.into())
    }

    fn recall(&mut self, scope: &str, now: Timestamp) -> Result<Vec<(Vec<u8>, Timestamp)>> {
        let create = keys::create(self.dialect, &self.options);
        self.run(&create, &[])?;
        let cells = [Cell::from(scope), Cell::Integer(now.as_micros())];
        self.driver
            .all(keys::RECALL, &cells)?
            .iter()
            .map(|row| {
                let key = row["hash"].as_str().and_then(value::from_hex);
                let until = row["until"].as_i64().map(Timestamp::from_micros);
                match (key, until) {
                    (Some(key), Some(until)) => Ok((key, until)),
                    _ => Err(Error::data(format!(
                        "table {} holds something else than keys",
                        quote(statements::KEYS)
                    ))),
                }
            })
            .collect()
    }

    fn remember(&mut self, scope: &str, key: &[u8], until: Timestamp) -> Result<()> {
        let key = value::to_hex(key);
        let until = Cell::Integer(until.as_micros());
        self.run(
            keys::REMEMBER,
            &[Cell::from(scope), Cell::from(key.as_str()), until],
        )?;
        Ok(())
    }

    fn forget(&mut self, scope: &str, now: Timestamp) -> Result<u64> {
        let cells = [Cell::from(scope), Cell::Integer(now.as_micros())];
        self.run(keys::FORGET, &cells)
    }
}

/// Ends the transaction of a node that panics.
impl Drop for Connection {
    fn drop(&mut self) {
        self.rollback();
    }
}

#[cfg(test)]
mod tests;
