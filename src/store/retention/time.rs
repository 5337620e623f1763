//! Windows whose rows leave by their time: each has a floor, before which it needs no rows.

use super::{Retention, count};
use crate::error::{Error, Result, quote};
use crate::time::Timestamp;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The time column by which the rows of a table are deleted.
#[derive(Clone)]
pub(crate) struct TimeColumn {
    pub table: String,
    pub column: String,
    /// One for each window on the table.
    windows: Vec<Weak<TimeRetention>>,
}

/// Which rows of a table a window needs. They are not deleted.
#[derive(Debug)]
pub(crate) struct TimeRetention {
    /// Until the floor is set: the greatest age of the rows that are needed, by the network's clock;
    /// without one, all rows are.
    size: Option<Duration>,
    /// The least time of the rows that are needed, in microseconds, or [`UNKNOWN`].
    floor: AtomicI64,
    /// Whether the window was opened.
    open: AtomicBool,
}

/// A floor that is not set yet.
const UNKNOWN: i64 = i64::MIN;

impl TimeRetention {
    /// Sets the floor: the window needs rows from this time on.
    pub fn set(&self, floor: Timestamp) {
        let floor = floor.as_micros().max(UNKNOWN + 1);
        self.floor.store(floor, Ordering::SeqCst);
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn set_open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// Whether the floor was never set.
    pub fn is_new(&self) -> bool {
        self.floor.load(Ordering::SeqCst) == UNKNOWN
    }

    fn floor(&self, now: Timestamp) -> Timestamp {
        match (self.floor.load(Ordering::SeqCst), self.size) {
            (UNKNOWN, Some(size)) => Timestamp::from_secs(now.as_secs()).saturating_sub(size),
            (floor, _) => Timestamp::from_micros(floor),
        }
    }
}

impl Retention {
    /// The time columns by which rows are deleted.
    pub fn columns(&self) -> &[TimeColumn] {
        &self.columns
    }

    /// Has the rows of `table` kept for a window, by their time in `column`.
    ///
    /// # Errors
    /// Rows that are deleted by another column already; a table whose last rows another window queries.
    pub fn by_time(
        &mut self,
        table: &str,
        column: &str,
        size: Option<Duration>,
    ) -> Result<Arc<TimeRetention>> {
        let window = Arc::new(TimeRetention {
            size,
            floor: AtomicI64::new(UNKNOWN),
            open: AtomicBool::new(false),
        });
        count::check(&self.counts, table)?;
        let known = self.columns.iter_mut().find(|known| known.table == table);
        match known {
            Some(known) if known.column == column => {
                known.windows.retain(|window| window.strong_count() > 0);
                known.windows.push(Arc::downgrade(&window));
            }
            Some(known) if known.windows.iter().all(|w| w.strong_count() == 0) => {
                known.column = column.to_owned();
                known.windows = vec![Arc::downgrade(&window)];
            }
            Some(known) => {
                return Err(Error::data(format!(
                    "rows of {} are evicted by {} already, so not by {}",
                    quote(table),
                    quote(&known.column),
                    quote(column)
                )));
            }
            None => self.columns.push(TimeColumn {
                table: table.to_owned(),
                column: column.to_owned(),
                windows: vec![Arc::downgrade(&window)],
            }),
        }
        Ok(window)
    }

    /// The time before which no window needs rows of this table; `now` is the network's clock.
    pub fn floor(&self, table: &str, now: Timestamp) -> Option<Timestamp> {
        self.windows(table).map(|window| window.floor(now)).min()
    }

    /// The windows on a table whose rows leave by their time.
    pub(super) fn windows(&self, table: &str) -> impl Iterator<Item = Arc<TimeRetention>> {
        let column = self.columns.iter().find(|column| column.table == table);
        let windows = column.into_iter().flat_map(|column| &column.windows);
        windows.filter_map(Weak::upgrade)
    }
}
