//! Rows that are inserted with their child rows, all or nothing.

use super::Connection;
use crate::error::{Error, Result, quote};
use crate::payload::Payload;
use crate::store::Inserted;
use crate::store::driver::Failure;
use crate::store::row::{Cell, Row};

impl Connection {
    /// Inserts the row that was read from an event, and publishes it.
    ///
    /// # Errors
    /// Those of [`insert_row_of`](Self::insert_row_of).
    pub fn insert_event(&mut self, row: &Row<'_>, payload: &Payload) -> Result<Inserted> {
        let inserted = self.insert_whole(row)?;
        if inserted == Inserted::New {
            self.publish(row.table, Some(payload));
        }
        Ok(inserted)
    }

    /// Inserts a row that was read, and its child rows, all or nothing.
    ///
    /// # Errors
    /// Those of [`Store::insert`], but for those of reading.
    pub fn insert_row_of(&mut self, row: &Row<'_>) -> Result<Inserted> {
        self.publish(row.table, None);
        self.insert_whole(row)
    }

    fn insert_whole(&mut self, row: &Row<'_>) -> Result<Inserted> {
        self.flush_buffer()?;
        if row.children.is_empty() {
            return self.within(|store| store.insert_row(row));
        }
        if !self.always_in_savepoint && self.is_exact(row.table)? {
            return self.within(|store| {
                store.insert_row(row).map_err(|error| {
                    // Unexpected: the whole batch is tried again, with savepoints.
                    store.always_in_savepoint = true;
                    if error.is_fatal() {
                        error
                    } else {
                        error.retryable()
                    }
                })
            });
        }
        self.within(|store| store.in_savepoint(|store| store.insert_row(row)))
    }

    /// Runs `work` in the open transaction, and undoes it if it fails.
    pub(super) fn in_savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
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

    pub(super) fn insert_row(&mut self, row: &Row<'_>) -> Result<Inserted> {
        self.table_state(row.table);
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
        for child in &row.children {
            self.insert_row(child)?;
        }
        Ok(Inserted::New)
    }

    /// Whether a row with the key of this one exists, or is in the write buffer.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn has_row(&mut self, row: &Row<'_>) -> Result<bool> {
        self.flush_buffer()?;
        self.has_key(row)
    }

    /// Whether a row with the key of this one exists.
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
        let sql = self.table_state(row.table).statements.exists.clone();
        let sql = &sql;
        Ok(!self.driver.rows(sql, &key)?.is_empty())
    }
}
