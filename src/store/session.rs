//! One connection at work: everything that a [`Store`] does, written once over a [`Driver`].

mod emitted;
mod later;
mod letters;
mod outbox;
mod upsert;

use super::catalog::Catalog;
use super::datum::Datum;
use super::dialect::Dialect;
use super::driver::{Driver, Each, Evaluation, Failure};
use super::feed::{Brought, Feed, Listeners};
use super::query::Binding;
use super::row::{Cell, Row};
use super::statements::{self, Statements, keys};
use super::{Inserted, Params, Query, Store, Table, Type, value};
use crate::error::{Error, Result, quote};
use crate::payload::Payload;
use crate::time::Timestamp;
use later::Pending;
pub(crate) use outbox::Piece;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A [`Store`] over a [`Driver`].
pub(crate) struct Session {
    driver: Box<dyn Driver>,
    dialect: Dialect,
    options: String,
    catalog: Arc<Catalog>,
    open: bool,
    /// The tables that were worked on: few, so that a search costs less than a hash.
    known: Vec<Known>,
    /// The generations of the tables that this transaction has written.
    written: Vec<Arc<AtomicU64>>,
    /// What its owner hears of others.
    feed: Option<Arc<Feed>>,
    /// What this transaction has to tell others: of which table, and the rows.
    news: Vec<(Arc<Listeners>, Vec<Option<Payload>>)>,
    /// Whether a row with child rows is inserted within a savepoint in any case.
    careful: bool,
    /// Whether rows may wait, to be written together.
    batches: bool,
    /// Whether some that waited were there already.
    known_rows: bool,
    pending: Pending,
}

/// What is known of a table that was worked on.
struct Known {
    table: Arc<Table>,
    statements: Statements,
    generation: Arc<AtomicU64>,
    listeners: Arc<Listeners>,
    /// Whether it is as we make it, with its child tables, once that was asked for.
    exact: Option<bool>,
}

impl Session {
    pub fn new(
        driver: Box<dyn Driver>,
        dialect: Dialect,
        options: &str,
        catalog: Arc<Catalog>,
    ) -> Self {
        Session {
            driver,
            dialect,
            options: options.to_owned(),
            catalog,
            open: false,
            known: Vec::new(),
            written: Vec::new(),
            feed: None,
            news: Vec::new(),
            careful: false,
            batches: dialect.batches_rows(),
            known_rows: false,
            pending: Pending::default(),
        }
    }

    /// Does something in the open transaction, or in one of its own.
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

    fn know(&mut self, table: &Table) -> &Known {
        let found = self
            .known
            .iter()
            .position(|known| known.table.name() == table.name());
        let at = found.unwrap_or_else(|| {
            self.known.push(Known {
                table: Arc::new(table.clone()),
                statements: Statements::new(self.dialect, table),
                generation: self.catalog.generation(table.name()),
                listeners: self.catalog.listeners(table.name()),
                exact: None,
            });
            self.known.len() - 1
        });
        &self.known[at]
    }

    /// Whether a table and its child tables are as we make them: then no row that was read can be
    /// refused half-way.
    fn is_exact(&mut self, table: &Table) -> Result<bool> {
        if let Some(exact) = self.know(table).exact {
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

    fn note_written(&mut self, table: &Table) {
        let generation = self.know(table).generation.clone();
        if !self.written.iter().any(|g| Arc::ptr_eq(g, &generation)) {
            self.written.push(generation);
        }
    }

    /// Tells whoever listens to a table of a row, or that more has happened than rows can tell.
    fn tell(&mut self, table: &Table, row: Option<&Payload>) {
        let listeners = self.know(table).listeners.clone();
        if !listeners.has_others(self.feed.as_ref()) {
            return;
        }
        match self
            .news
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &listeners))
        {
            Some((_, rows)) => rows.push(row.cloned()),
            None => self.news.push((listeners, vec![row.cloned()])),
        }
    }

    /// Inserts the row that was read from an event, and tells others of it.
    ///
    /// # Errors
    /// Those of [`insert_row_of`](Self::insert_row_of).
    pub fn insert_event(&mut self, row: &Row<'_>, payload: &Payload) -> Result<Inserted> {
        let inserted = self.insert_whole(row)?;
        if inserted == Inserted::New {
            self.tell(row.table, Some(payload));
        }
        Ok(inserted)
    }

    /// Listens to what others do to a table.
    pub fn listen(&mut self, table: &Table) {
        self.feed = Some(self.catalog.listeners(table.name()).join());
    }

    /// What others have done since the last call.
    pub fn brought(&self) -> Brought {
        self.feed
            .as_ref()
            .map(|feed| feed.take())
            .unwrap_or_default()
    }

    /// Whether a transaction is open.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// A number that changes when another process has changed the database; `None` where nobody
    /// else can, or nobody tells.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn data_version(&mut self) -> Result<Option<u64>> {
        self.driver.data_version()
    }

    /// Whether rows are to be read with the lengths of their texts checked.
    pub fn sized(&self) -> bool {
        self.dialect.bounds_texts()
    }

    /// Inserts a row that was read, and its child rows, all or nothing.
    ///
    /// # Errors
    /// Those of [`Store::insert`], but for those of reading.
    pub fn insert_row_of(&mut self, row: &Row<'_>) -> Result<Inserted> {
        self.tell(row.table, None);
        self.insert_whole(row)
    }

    fn insert_whole(&mut self, row: &Row<'_>) -> Result<Inserted> {
        self.write_pending()?;
        if row.children.is_empty() {
            return self.within(|store| store.insert_row(row));
        }
        if !self.careful && self.is_exact(row.table)? {
            return self.within(|store| {
                store.insert_row(row).map_err(|error| {
                    // Against all odds: all of it once more, with more care.
                    store.careful = true;
                    match error.is_fatal() {
                        true => error,
                        false => error.retryable(),
                    }
                })
            });
        }
        self.within(|store| store.in_savepoint(|store| store.insert_row(row)))
    }

    /// Does something in the open transaction that is undone where it fails.
    fn in_savepoint<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.run("SAVEPOINT tributary_row", &[])?;
        let done = work(self);
        let broken = matches!(&done, Err(error) if error.is_retryable());
        if done.is_err() && !broken {
            self.run("ROLLBACK TO SAVEPOINT tributary_row", &[])?;
        }
        if !broken {
            self.run("RELEASE SAVEPOINT tributary_row", &[])?;
        }
        done
    }

    fn insert_row(&mut self, row: &Row<'_>) -> Result<Inserted> {
        self.know(row.table);
        let known = self
            .known
            .iter()
            .find(|known| known.table.name() == row.table.name());
        let sql = &known.expect("it is known from here on").statements.insert;
        match self.driver.execute(sql, &row.cells) {
            Ok(_) => {}
            Err(Failure::Conflict(_)) if self.has_key(row)? => return Ok(Inserted::Duplicate),
            Err(failure) => return Err(Error::from(failure).within(quote(row.table.name()))),
        }
        self.note_written(row.table);
        for child in &row.children {
            self.insert_row(child)?;
        }
        Ok(Inserted::New)
    }

    /// Whether a row with the key of this one is there, or waits to be.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn has_row(&mut self, row: &Row<'_>) -> Result<bool> {
        self.write_pending()?;
        self.has_key(row)
    }

    /// Whether a row with the key of this one is there.
    fn has_key(&mut self, row: &Row<'_>) -> Result<bool> {
        if row.table.key_columns().is_empty() {
            return Ok(false);
        }
        let key: Vec<Cell<'_>> = row
            .table
            .key_columns()
            .iter()
            .map(|column| row.cell(column))
            .collect();
        let sql = self.know(row.table).statements.exists.clone();
        let sql = &sql;
        Ok(!self.driver.rows(sql, &key)?.is_empty())
    }

    fn run(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<u64> {
        Ok(self.driver.execute(sql, cells)?)
    }
}

/// What windows ask beyond [`Store`].
impl Session {
    /// Runs a query; a JSON object for each row.
    pub fn ask(&mut self, query: &Query, to: &Binding<'_>) -> Result<Vec<Map<String, Value>>> {
        self.write_pending()?;
        query.bind(to, |cells| self.driver.rows(query.text(), cells))
    }

    /// Runs a query, and hands over its rows as they come.
    pub fn data(&mut self, query: &Query, to: &Binding<'_>, each: &mut Each<'_>) -> Result<()> {
        self.write_pending()?;
        query.bind(to, |cells| self.driver.data(query.text(), cells, each))
    }

    /// Deletes the rows that no window needs any more: nobody has to be told.
    ///
    /// # Errors
    /// Those of [`Store::evict`].
    pub fn expire(&mut self, table: &Table, column: &str, cutoff: Timestamp) -> Result<u64> {
        table.expect_column(column)?;
        let bound = [bound(table, column, cutoff)];
        self.write_pending()?;
        self.within(|store| {
            let mut count = 0;
            for sql in statements::evict(store.dialect, table, column) {
                count += store.run(&sql, &bound)?;
            }
            if count > 0 {
                let mut tables = Vec::new();
                table.walk(&mut |table| tables.push(table));
                tables
                    .into_iter()
                    .for_each(|table| store.note_written(table));
            }
            Ok(count)
        })
    }

    /// The least value of `column` from `from` on, read as unix seconds.
    pub fn oldest_from(
        &mut self,
        table: &Table,
        column: &str,
        from: Timestamp,
    ) -> Result<Option<Timestamp>> {
        self.write_pending()?;
        let sql = statements::oldest_from(self.dialect, table, column);
        let mut least = None;
        self.driver
            .data(&sql, &[bound(table, column, from)], &mut |row| {
                least = row.first().and_then(Datum::as_time);
                Ok(())
            })?;
        Ok(least)
    }

    /// The keys of all rows, by a column and then by themselves.
    pub fn keys(
        &mut self,
        table: &Table,
        by: Option<&str>,
        each: &mut dyn FnMut(&[Datum]),
    ) -> Result<()> {
        self.write_pending()?;
        let sql = statements::keys_by(self.dialect, table, by);
        self.driver.data(&sql, &[], &mut |row| {
            each(row);
            Ok(())
        })
    }

    /// Deletes the row with a key, and its child rows.
    pub fn delete(&mut self, table: &Table, key: &[Datum]) -> Result<()> {
        let cells: Vec<Cell<'_>> = key.iter().map(Datum::cell).collect();
        self.write_pending()?;
        self.within(|store| {
            for sql in statements::delete(store.dialect, table) {
                store.run(&sql, &cells)?;
            }
            store.note_written(table);
            Ok(())
        })
    }

    /// The greatest value of `column`, read as unix seconds.
    pub fn latest(&mut self, table: &Table, column: &str) -> Result<Option<Timestamp>> {
        self.write_pending()?;
        let sql = statements::latest(self.dialect, table, column);
        let mut latest = None;
        self.driver.data(&sql, &[], &mut |row| {
            latest = row.first().and_then(Datum::as_time);
            Ok(())
        })?;
        Ok(latest)
    }

    /// The values of `column`, read as unix seconds, each once.
    pub fn times(
        &mut self,
        table: &Table,
        column: &str,
        each: &mut dyn FnMut(Timestamp),
    ) -> Result<()> {
        self.write_pending()?;
        let sql = statements::times(self.dialect, table, column);
        self.driver.data(&sql, &[], &mut |row| {
            row.first()
                .and_then(Datum::as_time)
                .into_iter()
                .for_each(&mut *each);
            Ok(())
        })
    }

    /// Evaluates a SELECT without tables: at most one row, into `row`; says whether there was one.
    pub fn evaluate(
        &mut self,
        evaluation: &Evaluation,
        with: &mut dyn Iterator<Item = Cell<'_>>,
        row: &mut Vec<Datum>,
    ) -> Result<bool> {
        self.driver.evaluate(evaluation, with, row)
    }
}

impl Store for Session {
    fn begin(&mut self) -> Result<()> {
        if !self.open {
            self.driver.begin()?;
            self.open = true;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if self.open {
            self.write_pending()?;
            self.refused()?;
            self.driver.commit()?;
            self.open = false;
            // While the others are still shut out, where they are.
            for generation in self.written.drain(..) {
                generation.fetch_add(1, Ordering::SeqCst);
            }
            for (listeners, rows) in self.news.drain(..) {
                listeners.tell(self.feed.as_ref(), &rows);
            }
            self.driver.release();
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.written.clear();
        self.news.clear();
        self.drop_pending();
        if std::mem::take(&mut self.open) {
            self.driver.rollback();
        }
    }

    fn insert(&mut self, table: &Table, object: &Map<String, Value>) -> Result<Inserted> {
        let row = Row::read(table, object, self.sized())?;
        self.insert_row_of(&row)
    }

    fn evict(&mut self, table: &Table, column: &str, cutoff: Timestamp) -> Result<u64> {
        self.tell(table, None);
        self.expire(table, column, cutoff)
    }

    fn oldest(&mut self, table: &Table, column: &str) -> Result<Option<Timestamp>> {
        table.expect_column(column)?;
        self.write_pending()?;
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

/// An instant as it is compared with a time column.
fn bound(table: &Table, column: &str, at: Timestamp) -> Cell<'static> {
    let whole = at.as_micros() % 1_000_000 == 0;
    match table.find(column) {
        Some((_, column)) if column.kind == Type::Integer && whole => Cell::Integer(at.as_secs()),
        _ => Cell::Real(at.least_secs()),
    }
}

/// A node that panics within a transaction must not leave it open.
impl Drop for Session {
    fn drop(&mut self) {
        self.rollback();
    }
}

#[cfg(test)]
mod tests;
