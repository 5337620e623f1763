//! One connection at work: everything that a [`Store`] does, written once over a [`Driver`].

mod emitted;
mod later;

use super::catalog::Catalog;
use super::dialect::Dialect;
use super::driver::{Driver, Failure};
use super::row::{Cell, Row};
use super::statements::{self, Statements, keys};
use super::{Inserted, Params, Query, Store, Table, value};
use crate::error::{Error, Result, quote};
use crate::time::Timestamp;
use later::Pending;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A [`Store`] over a [`Driver`].
pub(crate) struct Session {
    driver: Box<dyn Driver>,
    dialect: Dialect,
    options: String,
    catalog: Arc<Catalog>,
    open: bool,
    known: HashMap<String, Known>,
    /// The generations of the tables that this transaction has written.
    written: Vec<Arc<AtomicU64>>,
    /// Whether rows may wait, to be written together.
    batches: bool,
    pending: Pending,
}

/// What is known of a table that was worked on.
struct Known {
    table: Arc<Table>,
    statements: Statements,
    generation: Arc<AtomicU64>,
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
            known: HashMap::new(),
            written: Vec::new(),
            batches: dialect == Dialect::Mysql,
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
        // Looked up by reference first: a name is copied once in the life of a connection.
        if !self.known.contains_key(table.name()) {
            let known = Known {
                table: Arc::new(table.clone()),
                statements: Statements::new(self.dialect, table),
                generation: self.catalog.generation(table.name()),
            };
            self.known.insert(table.name().to_owned(), known);
        }
        &self.known[table.name()]
    }

    fn note_written(&mut self, table: &Table) {
        let generation = self.know(table).generation.clone();
        if !self.written.iter().any(|g| Arc::ptr_eq(g, &generation)) {
            self.written.push(generation);
        }
    }

    /// A number that changes when another process has changed the database; `None` where nobody
    /// else can, or nobody tells.
    ///
    /// # Errors
    /// A database that is gone.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for the windows that keep what they have read")
    )]
    pub fn data_version(&mut self) -> Result<Option<u64>> {
        self.driver.data_version()
    }

    /// Whether rows are to be read with the lengths of their texts checked.
    pub fn sized(&self) -> bool {
        self.dialect == Dialect::Mysql
    }

    /// Inserts a row that was read, and its child rows, all or nothing.
    ///
    /// # Errors
    /// Those of [`Store::insert`], but for those of reading.
    pub fn insert_row_of(&mut self, row: &Row<'_>) -> Result<Inserted> {
        self.write_pending()?;
        if row.children.is_empty() {
            return self.within(|store| store.insert_row(row));
        }
        self.within(|store| {
            store.run("SAVEPOINT tributary_row", &[])?;
            let done = store.insert_row(row);
            let broken = matches!(&done, Err(error) if error.is_retryable());
            if done.is_err() && !broken {
                store.run("ROLLBACK TO SAVEPOINT tributary_row", &[])?;
            }
            if !broken {
                store.run("RELEASE SAVEPOINT tributary_row", &[])?;
            }
            done
        })
    }

    fn insert_row(&mut self, row: &Row<'_>) -> Result<Inserted> {
        self.know(row.table);
        let sql = &self.known[row.table.name()].statements.insert;
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
        let sql = &self.known[row.table.name()].statements.exists;
        Ok(!self.driver.rows(sql, &key)?.is_empty())
    }

    fn run(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<u64> {
        Ok(self.driver.execute(sql, cells)?)
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
            self.driver.release();
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.written.clear();
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
        table.expect_column(column)?;
        let bound = [match cutoff.as_micros() % 1_000_000 {
            0 => Cell::Integer(cutoff.as_secs()),
            _ => Cell::Real(cutoff.as_secs_f64()),
        }];
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

    fn oldest(&mut self, table: &Table, column: &str) -> Result<Option<Timestamp>> {
        table.expect_column(column)?;
        self.write_pending()?;
        let sql = statements::oldest(self.dialect, table, column);
        let rows = self.driver.rows(&sql, &[])?;
        let value = rows.first().and_then(|row| row.get("oldest"));
        Ok(value.and_then(Value::as_f64).map(|seconds| {
            // The cast saturates.
            Timestamp::from_micros((seconds * 1e6) as i64)
        }))
    }

    fn query(&mut self, query: &Query, params: &Params<'_>) -> Result<Vec<Map<String, Value>>> {
        self.write_pending()?;
        query.bind(params, |cells| self.driver.rows(query.text(), cells))
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

/// A node that panics within a transaction must not leave it open.
impl Drop for Session {
    fn drop(&mut self) {
        self.rollback();
    }
}

#[cfg(test)]
mod tests;
