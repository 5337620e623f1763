//! The write buffer: on MySQL, rows are collected and written together.
//!
//! A statement per row is a round trip per row. So a row whose caller does not need to know whether it is
//! new is collected until the next query or the end of the transaction. Then a few statements query the
//! keys that exist already and insert the other rows: parents first, then the children of new parents.
//! The result is the same as one by one; if the database refuses a statement, the rows are written one by
//! one. The error of a bad row fails the commit, and the batch is then retried event by event, which finds
//! that row. Rows that replace others are collected in the same buffer.

use super::Connection;
use crate::error::{Error, Result};
use crate::payload::Payload;
use crate::store::row::{Cell, Row, convert};
use crate::store::statements::Statements;
use crate::store::table::Table;
use crate::store::{Inserted, Store};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;

/// The most parameters of one statement; MySQL takes 65,535.
const PARAMS: usize = 60_000;
/// About the most bytes of one statement.
const BYTES: usize = 1 << 20;
/// The most keys in one query.
const KEYS: usize = 1_024;
/// Up to this many rows are written in one statement. Beyond it, a statement has a power of two of rows,
/// so that few different statements are prepared.
const EXACT_ROWS: usize = 16;

/// A row in the buffer.
pub(super) struct BufferedRow {
    table: Arc<Table>,
    cells: Vec<Cell<'static>>,
    children: Vec<BufferedRow>,
    /// The event that it was read from, to be published.
    payload: Option<Payload>,
    /// Whether it replaces the row with its key.
    replaces: bool,
}

/// The rows that are not written yet.
#[derive(Default)]
pub(super) struct WriteBuffer {
    rows: Vec<BufferedRow>,
    /// Of all rows in the buffer, child rows included.
    params: usize,
    bytes: usize,
    /// The first error of a row that was refused.
    refused: Option<Error>,
}

impl BufferedRow {
    fn bytes(&self) -> usize {
        self.cells.iter().map(Cell::size).sum()
    }

    /// The key as bytes, which differ for different keys of one table. Texts that a collation treats as
    /// equal differ here; the database detects those.
    pub fn key(&self, columns: &[usize]) -> Vec<u8> {
        key(columns.iter().map(|at| &self.cells[*at]))
    }

    /// The value of this column.
    pub fn cell(&self, column: &str) -> Cell<'_> {
        match self.table.find(column) {
            Some((at, _)) => self.cells[at].borrowed(),
            None => Cell::Null,
        }
    }

    pub fn children(&self) -> &[BufferedRow] {
        &self.children
    }

    /// The same row, borrowed.
    fn row(&self) -> Row<'_> {
        Row {
            table: &self.table,
            cells: self.cells.iter().map(Cell::borrowed).collect(),
            children: self.children.iter().map(BufferedRow::row).collect(),
        }
    }
}

fn key<'a>(cells: impl Iterator<Item = &'a Cell<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for cell in cells {
        match cell {
            Cell::Null => bytes.push(0),
            Cell::Integer(whole) => bytes.extend(whole.to_be_bytes()),
            // Zero has two signs.
            Cell::Real(real) => bytes.extend((real + 0.0).to_be_bytes()),
            Cell::Text(text) => {
                bytes.extend(text.len().to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
    }
    bytes
}

impl Connection {
    /// Inserts a row whose caller does not need to know whether it is new: if its key exists already, it is
    /// ignored, with its children. It may be written as late as the next query or the commit, which then
    /// fails for it.
    ///
    /// # Errors
    /// Those of [`insert_row_of`](Self::insert_row_of).
    pub fn insert_buffered(&mut self, row: Row<'_>, payload: Option<&Payload>) -> Result<()> {
        if !self.can_buffer() {
            let done = match payload {
                Some(payload) => self.insert_event(&row, payload)?,
                None => self.insert_row_of(&row)?,
            };
            return match done {
                Inserted::New | Inserted::Duplicate => Ok(()),
            };
        }
        self.buffer_row(row, payload, false)
    }

    /// Whether a row can be buffered now.
    pub(super) fn can_buffer(&self) -> bool {
        self.buffers_rows && self.open
    }

    /// Adds a row to the buffer.
    pub(super) fn buffer_row(
        &mut self,
        row: Row<'_>,
        payload: Option<&Payload>,
        replaces: bool,
    ) -> Result<()> {
        let mut row = self.keep(row);
        row.payload = payload.cloned();
        row.replaces = replaces;
        self.buffer.rows.push(row);
        if self.buffer.params > PARAMS || self.buffer.bytes > BYTES {
            self.flush_buffer()
        } else {
            Ok(())
        }
    }

    /// Inserts a row that its caller expects to be new. Returns `None` if it is buffered; whether buffered
    /// rows existed already is returned by [`take_duplicates`](Self::take_duplicates).
    ///
    /// # Errors
    /// Those of [`insert_row_of`](Self::insert_row_of).
    pub fn insert_event_soon(
        &mut self,
        row: &Row<'_>,
        payload: &Payload,
    ) -> Result<Option<Inserted>> {
        if !self.buffers_rows {
            return self.insert_event(row, payload).map(Some);
        }
        self.begin()?;
        self.insert_buffered(row.clone(), Some(payload))?;
        Ok(None)
    }

    /// Whether keys of buffered rows existed already, since the last call.
    pub fn take_duplicates(&mut self) -> bool {
        std::mem::take(&mut self.found_duplicates)
    }

    fn keep(&mut self, row: Row<'_>) -> BufferedRow {
        let kept = BufferedRow {
            table: self.table_state(row.table).table.clone(),
            cells: row.cells.into_iter().map(Cell::into_owned).collect(),
            children: row.children.into_iter().map(|row| self.keep(row)).collect(),
            payload: None,
            replaces: false,
        };
        self.buffer.params += kept.cells.len();
        self.buffer.bytes += kept.bytes();
        kept
    }

    /// Discards the buffer of a transaction that is rolled back.
    pub(super) fn discard_buffer(&mut self) {
        self.buffer = WriteBuffer::default();
    }

    /// Takes the first error of a row that was refused.
    pub(super) fn refused(&mut self) -> Result<()> {
        self.buffer.refused.take().map_or(Ok(()), Err)
    }

    /// Writes the buffered rows. To be called before every read of a table, so that the read returns them.
    /// The error of a row is kept for the commit.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn flush_buffer(&mut self) -> Result<()> {
        if self.buffer.rows.is_empty() {
            return Ok(());
        }
        let refused = self.buffer.refused.take();
        let WriteBuffer { rows, .. } = std::mem::take(&mut self.buffer);
        let written = self.write(&rows);
        match written {
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => self.buffer.refused = Some(error),
            Ok(()) => {}
        }
        if refused.is_some() {
            self.buffer.refused = refused;
        }
        Ok(())
    }

    fn write(&mut self, rows: &[BufferedRow]) -> Result<()> {
        self.run("SAVEPOINT tributary_rows", &[])?;
        let mut done = self.write_in_bulk(rows.iter().collect());
        if let Err(error) = &done
            && !error.is_retryable()
        {
            log::debug!("rows are inserted one by one: {error}");
            self.run("ROLLBACK TO SAVEPOINT tributary_rows", &[])?;
            done = self.write_one_by_one(rows);
        }
        if matches!(&done, Err(error) if error.is_retryable()) {
            return done;
        }
        self.run("RELEASE SAVEPOINT tributary_rows", &[])?;
        done
    }

    /// Writes every row that can be written; the error is that of the first row that cannot.
    fn write_one_by_one(&mut self, rows: &[BufferedRow]) -> Result<()> {
        let mut done = Ok(());
        for row in rows {
            let written = if row.replaces {
                self.upsert_row(&row.row())
            } else {
                self.insert_row_of(&row.row()).map(|_| ())
            };
            match written {
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) if done.is_ok() => done = Err(error),
                _ => {}
            }
        }
        done
    }

    fn write_in_bulk(&mut self, rows: Vec<&BufferedRow>) -> Result<()> {
        // One node either inserts rows or replaces them, so the order does not matter.
        let (replace, insert): (Vec<&BufferedRow>, _) =
            rows.into_iter().partition(|row| row.replaces);
        for (table, rows) in by_table(replace) {
            self.upsert_in_bulk(table, rows)?;
        }
        self.insert_in_bulk(insert)
    }

    pub(super) fn insert_in_bulk(&mut self, rows: Vec<&BufferedRow>) -> Result<()> {
        for (table, rows) in by_table(rows) {
            let rows = match table.key_columns() {
                [] => rows,
                _ => self.without_duplicates(table, rows)?,
            };
            self.insert_all(table, &rows, Statements::insert_many)?;
            for row in &rows {
                self.publish(table, row.payload.as_ref());
            }
            let children: Vec<&BufferedRow> = rows.iter().flat_map(|row| &row.children).collect();
            if !children.is_empty() {
                self.insert_in_bulk(children)?;
            }
        }
        Ok(())
    }

    /// Writes rows of one table in a few statements.
    pub(super) fn insert_all(
        &mut self,
        table: &Table,
        rows: &[&BufferedRow],
        statement: impl Fn(&Statements, usize) -> String,
    ) -> Result<()> {
        let mut rest = rows;
        while !rest.is_empty() {
            let (now, after) = rest.split_at(rows_per_statement(rest));
            let sql = statement(&self.table_state(table).statements, now.len());
            let cells: Vec<Cell<'_>> = now
                .iter()
                .flat_map(|row| row.cells.iter().map(Cell::borrowed))
                .collect();
            self.run(&sql, &cells)?;
            rest = after;
        }
        Ok(())
    }

    /// The rows whose keys do not exist yet, each key once.
    fn without_duplicates<'a>(
        &mut self,
        table: &Table,
        mut rows: Vec<&'a BufferedRow>,
    ) -> Result<Vec<&'a BufferedRow>> {
        let columns = table.key_places();
        let mut seen = HashSet::new();
        rows.retain(|row| seen.insert(row.key(&columns)));
        let mut there = HashSet::new();
        for some in rows.chunks((PARAMS / columns.len()).min(KEYS)) {
            // Padded with the last key to the next power of two.
            let count = some.len().next_power_of_two();
            let last = some.last().into_iter().cycle();
            let asked = some.iter().chain(last).take(count);
            let cells: Vec<Cell<'_>> = asked
                .flat_map(|row| columns.iter().map(|at| row.cells[*at].borrowed()))
                .collect();
            let sql = self.table_state(table).statements.exist(count);
            let answer = self.driver.all(&sql, &cells)?;
            there.extend(answer.iter().filter_map(|row| key_of(table, &columns, row)));
        }
        let asked = rows.len();
        rows.retain(|row| !there.contains(&row.key(&columns)));
        self.found_duplicates |= rows.len() < asked;
        Ok(rows)
    }
}

/// Rows grouped by table.
fn by_table(rows: Vec<&BufferedRow>) -> Vec<(&Arc<Table>, Vec<&BufferedRow>)> {
    let mut groups: Vec<(&Arc<Table>, Vec<&BufferedRow>)> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|(t, _)| Arc::ptr_eq(t, &row.table)) {
            Some((_, group)) => group.push(row),
            None => groups.push((&row.table, vec![row])),
        }
    }
    groups
}

/// The key in a row of an answer; `None` if its types are not the declared ones.
fn key_of(table: &Table, columns: &[usize], row: &Map<String, Value>) -> Option<Vec<u8>> {
    let cells: Option<Vec<Cell<'_>>> = columns
        .iter()
        .zip(row.values())
        .map(|(at, value)| convert(table.columns()[*at].kind, value))
        .collect();
    Some(key(cells?.iter()))
}

/// The number of these rows that fit into one statement, at least one.
fn rows_per_statement(rows: &[&BufferedRow]) -> usize {
    let (mut params, mut bytes) = (0, 0);
    let fits = rows.iter().take_while(|row| {
        params += row.cells.len();
        bytes += row.bytes();
        params <= PARAMS && bytes <= BYTES
    });
    match fits.count() {
        0 => 1,
        count if count < EXACT_ROWS => count,
        count => 1 << count.ilog2(),
    }
}
