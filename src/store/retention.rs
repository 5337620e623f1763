//! How long rows are kept: as long as a window needs them.
//!
//! - `time` — windows whose rows leave by their time.
//! - `count` — windows of the last rows, where a row leaves because of the rows after it.

mod count;
mod time;

use crate::error::Result;
pub(crate) use count::CountRetention;
use std::sync::{Arc, Weak};
pub(crate) use time::{TimeColumn, TimeRetention};

/// Which rows the windows of a database need.
#[derive(Default, Clone)]
pub(crate) struct Retention {
    columns: Vec<TimeColumn>,
    counts: Vec<Weak<CountRetention>>,
}

/// What keeps the rows of a window from being deleted by others.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowHold {
    /// Where its rows leave by time.
    pub time: Option<Arc<TimeRetention>>,
    /// Where it has a number of rows.
    pub count: Option<Arc<CountRetention>>,
}

impl RowHold {
    fn has_time(&self, time: &Arc<TimeRetention>) -> bool {
        self.time.as_ref().is_some_and(|own| Arc::ptr_eq(own, time))
    }

    fn has_count(&self, count: &Arc<CountRetention>) -> bool {
        let own = self.count.as_ref();
        own.is_some_and(|own| Arc::ptr_eq(own, count))
    }
}

impl Retention {
    /// Opens the hold of a window, which is checked against those of the windows that are open, but for the
    /// one that it replaces. Against the others it was checked when it was made.
    ///
    /// # Errors
    /// A table whose last rows a window queries that is not alone on it.
    pub fn open(&self, table: &str, own: &RowHold, replaced: Option<&RowHold>) -> Result<()> {
        let is_count = |count: &Arc<CountRetention>| {
            let ours = own.has_count(count) || replaced.is_some_and(|hold| hold.has_count(count));
            count.is_open() && !ours
        };
        let is_time = |time: &Arc<TimeRetention>| {
            let ours = own.has_time(time) || replaced.is_some_and(|hold| hold.has_time(time));
            time.is_open() && !ours
        };
        let mut counts = count::on(&self.counts, table).filter(is_count).peekable();
        let mut times = self.windows(table).filter(is_time);
        let queries = own.count.as_ref().filter(|count| count.queries());
        if let Some(count) = queries
            && (counts.peek().is_some() || times.next().is_some())
        {
            return Err(count.alone());
        }
        if let Some(count) = counts.find(|count| count.queries()) {
            return Err(count.alone());
        }
        own.time.iter().for_each(|time| time.set_open());
        own.count.iter().for_each(|count| count.set_open());
        Ok(())
    }
}
