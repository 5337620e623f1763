//! Rows that replace the one with their key, and its child rows.
//!
//! The row itself is updated, so that columns which are not declared keep their values; the child rows
//! are deleted and inserted. On MySQL rows go through the write buffer, as inserted rows do, and of
//! several with one key only the last is written.

use super::Connection;
use super::write_buffer::BufferedRow;
use crate::error::{Error, Result, quote};
use crate::store::row::{Cell, Row};
use crate::store::statements;
use crate::store::table::{Child, Table};
use std::collections::HashSet;

/// The most keys whose child rows are deleted at once.
const KEYS: usize = 256;

impl Connection {
    /// Replaces the row with the same key, and its child rows. Within a transaction the row may be written
    /// as late as the commit, which then fails for it.
    ///
    /// # Errors
    /// A value that the database refuses: then nothing is changed.
    pub fn upsert_buffered(&mut self, row: Row<'_>) -> Result<()> {
        if self.can_buffer() {
            self.buffer_row(row, None, true)
        } else {
            self.upsert_row(&row)
        }
    }

    pub(super) fn upsert_row(&mut self, row: &Row<'_>) -> Result<()> {
        self.publish(row.table, None);
        match row.table.children() {
            [] => self.within(|store| store.put(row)),
            children => self.within(|store| {
                store.in_savepoint(|store| {
                    store.put(row)?;
                    for child in children {
                        let cells = key_of(row.table, child, |ours| row.cell(ours));
                        store.delete_below(row.table, child, 1, &cells)?;
                    }
                    for child in &row.children {
                        store.insert_row(child)?;
                    }
                    Ok(())
                })
            }),
        }
    }

    fn put(&mut self, row: &Row<'_>) -> Result<()> {
        self.table_state(row.table);
        let known = self
            .known
            .iter()
            .find(|known| known.table.name() == row.table.name());
        let sql = &known.expect("it is known from here on").statements.upsert;
        let put = self.driver.execute(sql, &row.cells);
        put.map_err(|failure| Error::from(failure).within(quote(row.table.name())))?;
        Ok(())
    }

    /// Deletes the child rows of this many keys.
    fn delete_below(
        &mut self,
        table: &Table,
        child: &Child,
        keys: usize,
        cells: &[Cell<'_>],
    ) -> Result<()> {
        for sql in statements::delete_below(self.dialect, table, child, keys) {
            self.run(&sql, cells)?;
        }
        Ok(())
    }

    /// Writes the collected rows of one table.
    pub(super) fn upsert_in_bulk(
        &mut self,
        table: &Table,
        mut rows: Vec<&BufferedRow>,
    ) -> Result<()> {
        self.publish(table, None);
        let columns = table.key_places();
        let mut seen = HashSet::new();
        rows.reverse();
        rows.retain(|row| seen.insert(row.key(&columns)));
        rows.reverse();
        self.insert_all(table, &rows, |statements, rows| {
            statements.upsert_many(rows)
        })?;
        for child in table.children() {
            for some in rows.chunks(KEYS) {
                // Padded with the last key to the next power of two.
                let count = some.len().next_power_of_two();
                let last = some.last().into_iter().cycle();
                let cells: Vec<Cell<'_>> = some
                    .iter()
                    .chain(last)
                    .take(count)
                    .flat_map(|row| key_of(table, child, |ours| row.cell(ours)))
                    .collect();
                self.delete_below(table, child, count, &cells)?;
            }
        }
        let children: Vec<&BufferedRow> = rows.iter().flat_map(|row| row.children()).collect();
        if children.is_empty() {
            Ok(())
        } else {
            self.insert_in_bulk(children)
        }
    }
}

/// The values that link a child row to the key of its parent.
fn key_of<'a>(table: &Table, child: &Child, cell: impl Fn(&str) -> Cell<'a>) -> Vec<Cell<'a>> {
    statements::key_links(table, child)
        .map(|(_, ours)| cell(ours))
        .collect()
}
