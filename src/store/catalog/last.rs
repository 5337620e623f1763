//! Windows of the last so many rows.
//!
//! Rows leave such a window because of others that come, not because of time. One that keeps its
//! answer beside the table lets others share it: whoever needs most rows deletes them. One that asks
//! the table must find no other rows in it.

use super::Catalog;
use crate::error::{Error, Result, quote};
use std::sync::{Arc, Weak};

/// A window of the last so many rows of a table.
#[derive(Debug)]
pub(crate) struct Last {
    table: String,
    rows: usize,
    /// Whether its query is asked of the table.
    asks: bool,
}

/// Those that are there.
fn on<'a>(lasts: &'a [Weak<Last>], table: &'a str) -> impl Iterator<Item = Arc<Last>> + 'a {
    let there = lasts.iter().filter_map(Weak::upgrade);
    there.filter(move |last| last.table == table)
}

/// Whether another window may use this table.
pub(super) fn check(lasts: &[Weak<Last>], table: &str) -> Result<()> {
    match on(lasts, table).find(|last| last.asks) {
        None => Ok(()),
        Some(last) => Err(shared(table, last.rows)),
    }
}

fn shared(table: &str, rows: usize) -> Error {
    Error::data(format!(
        "table {} can't be shared: a window asks it for its last {rows} rows, so it may hold no others",
        quote(table)
    ))
    .with_hint("plan = \"incremental\" shares a table; or declare a table for each of them")
}

impl Catalog {
    /// Lets a window have the last so many rows of a table; says whether it `asks` the table.
    ///
    /// # Errors
    /// Another window on the table, where one of them asks it.
    pub fn last(&self, table: &str, rows: usize, asks: bool) -> Result<Arc<Last>> {
        let mut declared = self.declared();
        check(&declared.lasts, table)?;
        let by_time = declared.holds(table).next().is_some();
        let shares = by_time || on(&declared.lasts, table).next().is_some();
        if asks && shares {
            return Err(shared(table, rows));
        }
        let last = Arc::new(Last {
            table: table.to_owned(),
            rows,
            asks,
        });
        declared.lasts.retain(|last| last.strong_count() > 0);
        declared.lasts.push(Arc::downgrade(&last));
        Ok(last)
    }

    /// Whether what leaves this window is to be deleted by it: nobody needs it for longer.
    pub fn deletes(&self, last: &Last) -> bool {
        let declared = self.declared();
        let largest = on(&declared.lasts, &last.table).map(|last| last.rows).max();
        declared.holds(&last.table).next().is_none() && largest.is_none_or(|rows| rows <= last.rows)
    }
}
