//! What windows need beyond [`Store`]: queries whose rows are not collected, and rows by key and time.

use super::Connection;
use crate::error::Result;
use crate::store::datum::Datum;
use crate::store::driver::{Each, Evaluation};
use crate::store::query::Binding;
use crate::store::row::Cell;
use crate::store::{Query, Table, Type, statements};
use crate::time::Timestamp;
use serde_json::{Map, Value};

impl Connection {
    /// Runs a query; a JSON object for each row.
    pub fn ask(&mut self, query: &Query, to: &Binding<'_>) -> Result<Vec<Map<String, Value>>> {
        self.flush_buffer()?;
        query.bind(to, |cells| self.driver.rows(query.text(), cells))
    }

    /// Runs a query, and passes on its rows as they come.
    pub fn data(&mut self, query: &Query, to: &Binding<'_>, each: &mut Each<'_>) -> Result<()> {
        self.flush_buffer()?;
        query.bind(to, |cells| self.driver.data(query.text(), cells, each))
    }

    /// Deletes the rows that no window needs any more. This is not published.
    ///
    /// # Errors
    /// Those of [`Store::evict`].
    pub fn expire(&mut self, table: &Table, column: &str, cutoff: Timestamp) -> Result<u64> {
        table.expect_column(column)?;
        let bound = [bound(table, column, cutoff)];
        self.flush_buffer()?;
        self.within(|store| {
            let mut count = 0;
            for sql in statements::evict(store.dialect, table, column) {
                count += store.run(&sql, &bound)?;
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
        self.flush_buffer()?;
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
        self.flush_buffer()?;
        let sql = statements::keys_by(self.dialect, table, by);
        self.driver.data(&sql, &[], &mut |row| {
            each(row);
            Ok(())
        })
    }

    /// Deletes the row with a key, and its child rows.
    pub fn delete(&mut self, table: &Table, key: &[Datum]) -> Result<()> {
        let cells: Vec<Cell<'_>> = key.iter().map(Datum::cell).collect();
        self.flush_buffer()?;
        self.within(|store| {
            for sql in statements::delete(store.dialect, table) {
                store.run(&sql, &cells)?;
            }
            Ok(())
        })
    }

    /// The greatest value of `column`, read as unix seconds.
    pub fn latest(&mut self, table: &Table, column: &str) -> Result<Option<Timestamp>> {
        self.flush_buffer()?;
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
        self.flush_buffer()?;
        let sql = statements::times(self.dialect, table, column);
        self.driver.data(&sql, &[], &mut |row| {
            row.first()
                .and_then(Datum::as_time)
                .into_iter()
                .for_each(&mut *each);
            Ok(())
        })
    }

    /// Evaluates a SELECT without tables: at most one row, into `row`; returns whether there was one.
    pub fn evaluate(
        &mut self,
        evaluation: &Evaluation,
        with: &mut dyn Iterator<Item = Cell<'_>>,
        row: &mut Vec<Datum>,
    ) -> Result<bool> {
        self.driver.evaluate(evaluation, with, row)
    }
}

/// An instant, as it is compared with a time column.
fn bound(table: &Table, column: &str, at: Timestamp) -> Cell<'static> {
    let whole = at.as_micros() % 1_000_000 == 0;
    match table.find(column) {
        Some((_, column)) if column.kind == Type::Integer && whole => Cell::Integer(at.as_secs()),
        _ => Cell::Real(at.least_secs()),
    }
}
