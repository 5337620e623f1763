//! How much one query may ask for.
//!
//! A limit belongs to a handle: every connection takes those of the [`Database`](super::Database)
//! that makes it. What passes a limit is the error of the event that asked, and names the limit.
//! What the library asks for itself (remembered keys, say) has none.
//!
//! A new limit: a field here, its check in each driver, its option on the command line.

use crate::error::{Error, Result};
use crate::time::format_duration;
use std::time::Duration;

/// The most that one query may give and take.
///
/// ```
/// use std::time::Duration;
/// use tributary::{Database, store::Limits};
///
/// let limits = Limits { time: Duration::from_millis(500), ..Limits::default() };
/// let database = Database::open("sqlite::memory:")?.with_limits(limits);
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most rows of an answer: 100,000 unless said otherwise, at least 1.
    pub rows: usize,
    /// The longest time that a query runs: 5 s unless said otherwise, at least 1 ms.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rows: 100_000,
            time: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// The same, where nothing is less than it may be.
    pub(crate) fn checked(self) -> Self {
        Limits {
            rows: self.rows.max(1),
            time: self.time.max(Duration::from_millis(1)),
        }
    }

    /// Checks how many rows an answer has.
    pub(crate) fn check_rows(&self, rows: usize) -> Result<()> {
        match rows <= self.rows {
            true => Ok(()),
            false => Err(self.too_many_rows()),
        }
    }

    /// The error of an answer that is too long.
    pub(crate) fn too_many_rows(&self) -> Error {
        Error::data(format!("the answer has more than {} rows", self.rows))
            .with_hint("add a limit, or a narrower condition")
    }

    /// The error of a query that takes too long.
    pub(crate) fn too_long(&self) -> Error {
        let time = format_duration(self.time);
        Error::data(format!("the query was given up after {time}"))
            .with_hint("add a narrower condition, or an index")
    }
}
