//! Windows of the last rows of a table.
//!
//! A window that keeps its state beside the table can share the table: the window that needs the most
//! rows deletes the others. A window that queries the table cannot, since the table must hold exactly its
//! rows.

use super::Retention;
use crate::error::{Error, Result, quote};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// A window of the last `rows` rows of a table.
#[derive(Debug)]
pub(crate) struct CountRetention {
    table: String,
    rows: usize,
    /// Whether it queries the table.
    queries: bool,
    /// Whether the window was opened.
    open: AtomicBool,
}

impl CountRetention {
    pub(super) fn queries(&self) -> bool {
        self.queries
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn set_open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// That no other window may hold rows of the table.
    pub(super) fn alone(&self) -> Error {
        shared(&self.table, self.rows)
    }
}

/// The windows on a table that still exist.
pub(super) fn on<'a>(
    counts: &'a [Weak<CountRetention>],
    table: &'a str,
) -> impl Iterator<Item = Arc<CountRetention>> + 'a {
    let existing = counts.iter().filter_map(Weak::upgrade);
    existing.filter(move |count| count.table == table)
}

/// Checks that another window can use this table, beside those that are not open. One that is open may be
/// the one that it replaces.
pub(super) fn check(counts: &[Weak<CountRetention>], table: &str) -> Result<()> {
    match on(counts, table).find(|count| count.queries && !count.is_open()) {
        None => Ok(()),
        Some(count) => Err(count.alone()),
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
        let by_time = self.windows(table).any(|window| !window.is_open());
        let by_count = on(&self.counts, table).any(|count| !count.is_open());
        if queries && (by_time || by_count) {
            return Err(shared(table, rows));
        }
        let count = Arc::new(CountRetention {
            table: table.to_owned(),
            rows,
            queries,
            open: AtomicBool::new(false),
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
