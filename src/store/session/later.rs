//! Rows that may wait: on MySQL they are kept and written together.
//!
//! A statement for each row is a way to the server and back for each row. So rows whose caller
//! does not need to know whether they are new wait until somebody reads, or the transaction ends,
//! and go in a few statements: the keys that are there already are asked for, and the others are
//! inserted, parents first, then the children of those that were new. The outcome is that of one by
//! one, and where the database refuses the many, it is reached one by one. What a bad row is refused
//! for then fails the commit, so that whoever fed the batch finds the one that is to blame. Rows that
//! replace others wait in the same place.

use super::Session;
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
/// The most keys that are asked for at once.
const KEYS: usize = 1_024;
/// Up to so many rows are put into one statement as they are. Of more it is a power of two, so that
/// there are few statements to be prepared.
const FEW: usize = 16;

/// A row that is kept.
pub(super) struct Later {
    table: Arc<Table>,
    cells: Vec<Cell<'static>>,
    children: Vec<Later>,
    /// The event that it was read from, to tell others of.
    payload: Option<Payload>,
    /// Whether it takes the place of a row with its key.
    replaces: bool,
}

/// The rows that wait.
#[derive(Default)]
pub(super) struct Pending {
    rows: Vec<Later>,
    /// Of all that wait, child rows too.
    params: usize,
    bytes: usize,
    /// Why a row was refused that had waited.
    refused: Option<Error>,
}

impl Later {
    fn bytes(&self) -> usize {
        self.cells.iter().map(Cell::size).sum()
    }

    /// What tells the keys of one table apart. Texts that a collation takes for the same are not
    /// told here, but by the database.
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

    pub fn children(&self) -> &[Later] {
        &self.children
    }

    /// The same row, borrowed.
    fn row(&self) -> Row<'_> {
        Row {
            table: &self.table,
            cells: self.cells.iter().map(Cell::borrowed).collect(),
            children: self.children.iter().map(Later::row).collect(),
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

impl Session {
    /// Inserts a row whose caller does not need to know whether it is new: one whose key is there
    /// already is let go, with its children. It may be written as late as with the next question
    /// or the commit, which then fails for it.
    ///
    /// # Errors
    /// Those of [`insert_row_of`](Self::insert_row_of).
    pub fn insert_later(&mut self, row: Row<'_>, payload: Option<&Payload>) -> Result<()> {
        if !self.may_wait() {
            let done = match payload {
                Some(payload) => self.insert_event(&row, payload)?,
                None => self.insert_row_of(&row)?,
            };
            return match done {
                Inserted::New | Inserted::Duplicate => Ok(()),
            };
        }
        self.wait_with(row, payload, false)
    }

    /// Whether a row may wait now.
    pub(super) fn may_wait(&self) -> bool {
        self.batches && self.open
    }

    /// Has a row wait.
    pub(super) fn wait_with(
        &mut self,
        row: Row<'_>,
        payload: Option<&Payload>,
        replaces: bool,
    ) -> Result<()> {
        let mut row = self.keep(row);
        row.payload = payload.cloned();
        row.replaces = replaces;
        self.pending.rows.push(row);
        match self.pending.params > PARAMS || self.pending.bytes > BYTES {
            true => self.write_pending(),
            false => Ok(()),
        }
    }

    /// Inserts a row that is new as far as its caller knows. `None` where it waits; whether some
    /// that waited were there already is told by [`take_known`](Self::take_known).
    ///
    /// # Errors
    /// Those of [`insert_row_of`](Self::insert_row_of).
    pub fn insert_event_soon(
        &mut self,
        row: &Row<'_>,
        payload: &Payload,
    ) -> Result<Option<Inserted>> {
        if !self.batches {
            return self.insert_event(row, payload).map(Some);
        }
        self.begin()?;
        self.insert_later(row.clone(), Some(payload))?;
        Ok(None)
    }

    /// Whether rows that waited were there already, since the last call.
    pub fn take_known(&mut self) -> bool {
        std::mem::take(&mut self.known_rows)
    }

    fn keep(&mut self, row: Row<'_>) -> Later {
        let kept = Later {
            table: self.know(row.table).table.clone(),
            cells: row.cells.into_iter().map(Cell::into_owned).collect(),
            children: row.children.into_iter().map(|row| self.keep(row)).collect(),
            payload: None,
            replaces: false,
        };
        self.pending.params += kept.cells.len();
        self.pending.bytes += kept.bytes();
        kept
    }

    /// Lets go what waits, since the transaction is given up.
    pub(super) fn drop_pending(&mut self) {
        self.pending = Pending::default();
    }

    /// Why a row was refused that had waited, once.
    pub(super) fn refused(&mut self) -> Result<()> {
        self.pending.refused.take().map_or(Ok(()), Err)
    }

    /// Writes the rows that wait, so that what is asked next sees them. To be called before all
    /// that reads tables. The error of a row is kept for the commit.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn write_pending(&mut self) -> Result<()> {
        if self.pending.rows.is_empty() {
            return Ok(());
        }
        let refused = self.pending.refused.take();
        let Pending { rows, .. } = std::mem::take(&mut self.pending);
        let written = self.write(&rows);
        match written {
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => self.pending.refused = Some(error),
            Ok(()) => {}
        }
        if refused.is_some() {
            self.pending.refused = refused;
        }
        Ok(())
    }

    fn write(&mut self, rows: &[Later]) -> Result<()> {
        self.run("SAVEPOINT tributary_rows", &[])?;
        let mut done = self.write_together(rows.iter().collect());
        if let Err(error) = &done
            && !error.is_retryable()
        {
            log::debug!("rows are inserted one by one: {error}");
            self.run("ROLLBACK TO SAVEPOINT tributary_rows", &[])?;
            done = self.write_singly(rows);
        }
        if matches!(&done, Err(error) if error.is_retryable()) {
            return done;
        }
        self.run("RELEASE SAVEPOINT tributary_rows", &[])?;
        done
    }

    /// Inserts what can be inserted; the error is that of the first row that cannot.
    fn write_singly(&mut self, rows: &[Later]) -> Result<()> {
        let mut done = Ok(());
        for row in rows {
            let written = match row.replaces {
                true => self.upsert_row(&row.row()),
                false => self.insert_row_of(&row.row()).map(|_| ()),
            };
            match written {
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) if done.is_ok() => done = Err(error),
                _ => {}
            }
        }
        done
    }

    fn write_together(&mut self, rows: Vec<&Later>) -> Result<()> {
        // One node either inserts rows or replaces them, so that no order is lost.
        let (replace, insert): (Vec<&Later>, _) = rows.into_iter().partition(|row| row.replaces);
        for (table, rows) in by_table(replace) {
            self.upsert_together(table, rows)?;
        }
        self.insert_together(insert)
    }

    pub(super) fn insert_together(&mut self, rows: Vec<&Later>) -> Result<()> {
        for (table, rows) in by_table(rows) {
            let rows = match table.key_columns() {
                [] => rows,
                _ => self.new_ones(table, rows)?,
            };
            self.insert_all(table, &rows, Statements::insert_many)?;
            for row in &rows {
                self.tell(table, row.payload.as_ref());
            }
            let children: Vec<&Later> = rows.iter().flat_map(|row| &row.children).collect();
            if !children.is_empty() {
                self.insert_together(children)?;
            }
        }
        Ok(())
    }

    /// Writes rows of one table in a few statements.
    pub(super) fn insert_all(
        &mut self,
        table: &Table,
        rows: &[&Later],
        statement: impl Fn(&Statements, usize) -> String,
    ) -> Result<()> {
        let mut rest = rows;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(together(rest));
            let sql = statement(&self.know(table).statements, now.len());
            let cells: Vec<Cell<'_>> = now
                .iter()
                .flat_map(|row| row.cells.iter().map(Cell::borrowed))
                .collect();
            self.run(&sql, &cells)?;
            rest = later;
        }
        if !rows.is_empty() {
            self.note_written(table);
        }
        Ok(())
    }

    /// The rows whose keys are not there yet, each key once.
    fn new_ones<'a>(&mut self, table: &Table, mut rows: Vec<&'a Later>) -> Result<Vec<&'a Later>> {
        let columns = table.key_places();
        let mut seen = HashSet::new();
        rows.retain(|row| seen.insert(row.key(&columns)));
        let mut there = HashSet::new();
        for some in rows.chunks((PARAMS / columns.len()).min(KEYS)) {
            // Up to the next power of two it is the last key again.
            let count = some.len().next_power_of_two();
            let last = some.last().into_iter().cycle();
            let asked = some.iter().chain(last).take(count);
            let cells: Vec<Cell<'_>> = asked
                .flat_map(|row| columns.iter().map(|at| row.cells[*at].borrowed()))
                .collect();
            let sql = self.know(table).statements.exist(count);
            let answer = self.driver.all(&sql, &cells)?;
            there.extend(answer.iter().filter_map(|row| key_of(table, &columns, row)));
        }
        let asked = rows.len();
        rows.retain(|row| !there.contains(&row.key(&columns)));
        self.known_rows |= rows.len() < asked;
        Ok(rows)
    }
}

/// Rows that are kept, table by table.
fn by_table(rows: Vec<&Later>) -> Vec<(&Arc<Table>, Vec<&Later>)> {
    let mut groups: Vec<(&Arc<Table>, Vec<&Later>)> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|(t, _)| Arc::ptr_eq(t, &row.table)) {
            Some((_, group)) => group.push(row),
            None => groups.push((&row.table, vec![row])),
        }
    }
    groups
}

/// The key in a row of an answer; `None` where it is not what was declared.
fn key_of(table: &Table, columns: &[usize], row: &Map<String, Value>) -> Option<Vec<u8>> {
    let cells: Option<Vec<Cell<'_>>> = columns
        .iter()
        .zip(row.values())
        .map(|(at, value)| convert(table.columns()[*at].kind, value))
        .collect();
    Some(key(cells?.iter()))
}

/// How many of these rows go into one statement; at least one.
fn together(rows: &[&Later]) -> usize {
    let (mut params, mut bytes) = (0, 0);
    let fits = rows.iter().take_while(|row| {
        params += row.cells.len();
        bytes += row.bytes();
        params <= PARAMS && bytes <= BYTES
    });
    match fits.count() {
        0 => 1,
        count if count < FEW => count,
        count => 1 << count.ilog2(),
    }
}
