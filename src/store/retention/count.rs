//! Windows of the last rows of a table.
//!
//! A window that keeps its state beside the table can share the table: the window that needs the most
//! rows deletes the others. A window that queries the table cannot, since the table must hold exactly its
//! rows.

use super::Retention;
use crate::error::{Error, Result, quote};
use std::sync::{Arc, Weak};

/// A window of the last `rows` rows of a table.
#[derive(Debug)]
pub(crate) struct CountRetention {
    table: String,
    rows: usize,
    /// Whether it queries the table.
    queries: bool,
}

/// The windows on a table that still exist.
fn on<'a>(
    counts: &'a [Weak<CountRetention>],
    table: &'a str,
) -> impl Iterator<Item = Arc<CountRetention>> + 'a {
    let existing = counts.iter().filter_map(Weak::upgrade);
    existing.filter(move |count| count.table == table)
}

/// Checks that another window can use this table.
pub(super) fn check(counts: &[Weak<CountRetention>], table: &str) -> Result<()> {
    match on(counts, table).find(|count| count.queries) {
        None => Ok(()),
        Some(count) => Err(shared(table, count.rows)),
    }
}

fn shared(table: &str, rows: usize) -> Error {
    Error::data(format!(
        "table {} can't be shared: a window asks it for its last {rows} rows, so it may hold no others",
        quote(table)
    ))
    .with_hint("plan = \"incremental\" shares a table; or declare a table for each of them")
}

impl Retention {
    /// Has the last `rows` rows of a table kept for a window, which may query the table.
    ///
    /// # Errors
    /// Another window on the table, where one of them queries it.
    pub fn by_count(
        &mut self,
        table: &str,
        rows: usize,
        queries: bool,
    ) -> Result<Arc<CountRetention>> {
        check(&self.counts, table)?;
        let by_time = self.windows(table).next().is_some();
        if queries && (by_time || on(&self.counts, table).next().is_some()) {
            return Err(shared(table, rows));
        }
        let count = Arc::new(CountRetention {
            table: table.to_owned(),
            rows,
            queries,
        });
        self.counts.retain(|count| count.strong_count() > 0);
        self.counts.push(Arc::downgrade(&count));
        Ok(count)
    }

    /// Whether this window deletes the rows that leave it: no other window needs them.
    pub fn deletes(&self, count: &CountRetention) -> bool {
        let largest = on(&self.counts, &count.table).map(|other| other.rows).max();
        let by_time = self.windows(&count.table).next().is_some();
        !by_time && largest.is_none_or(|rows| rows <= count.rows)
    }
}
