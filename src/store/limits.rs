//! The limits of one query.
//!
//! A limit belongs to a handle: every connection takes those of the [`Database`](super::Database)
//! that makes it. A query that exceeds a limit is an error of its event, which names the limit.
//! Queries of the library itself (remembered keys, for example) have none.
//!
//! A new limit: a field here, its check in each driver, its option on the command line.

use crate::error::{Error, Result};
use crate::time::format_duration;
use std::time::Duration;

/// The most that one query may give and take.
///
/// ```
/// use std::time::Duration;
/// use tributary::{Database, store::QueryLimits};
///
/// let limits = QueryLimits::new().time(Duration::from_millis(500));
/// let database = Database::open("sqlite::memory:")?.with_limits(limits);
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryLimits {
    /// The most rows of an answer: 100,000 by default, at least 1.
    pub rows: usize,
    /// The longest time that a query runs: 5 s by default, at least 1 ms.
    pub time: Duration,
    /// The most bytes of an answer, and of each value while it is computed: 64 MiB by
    /// default, at least 1 KiB. Of an answer the names of its columns count for each row, and each
    /// value counts for 16 bytes more than it has.
    pub bytes: usize,
}

/// How the errors begin.
const ANSWER: &str = "the answer has more than ";
const GIVEN_UP: &str = "the query was given up after ";
/// The least value of `bytes`.
const LEAST_BYTES: usize = 1 << 10;
/// What a value of an answer takes beside its name and its bytes.
const VALUE: usize = 16;

impl Default for QueryLimits {
    fn default() -> Self {
        QueryLimits::new()
    }
}

impl QueryLimits {
    /// The defaults.
    pub const fn new() -> Self {
        QueryLimits {
            rows: 100_000,
            time: Duration::from_secs(5),
            bytes: 64 << 20,
        }
    }

    /// The same limits with another number of rows.
    #[must_use]
    pub const fn rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// The same limits with another time.
    #[must_use]
    pub const fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// The same limits with another number of bytes.
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// The same, where nothing is less than it may be.
    pub(crate) fn checked(self) -> Self {
        QueryLimits {
            rows: self.rows.max(1),
            time: self.time.max(Duration::from_millis(1)),
            bytes: self.bytes.max(LEAST_BYTES),
        }
    }

    /// Checks how many rows an answer has.
    pub(crate) fn check_rows(&self, rows: usize) -> Result<()> {
        if rows <= self.rows {
            Ok(())
        } else {
            Err(self.too_many_rows())
        }
    }

    /// The error of an answer that is too long.
    pub(crate) fn too_many_rows(&self) -> Error {
        Error::data(format!("{ANSWER}{} rows", self.rows))
            .with_hint("add a limit, or a narrower condition")
    }

    /// Checks how many bytes an answer has.
    pub(crate) fn check_bytes(&self, bytes: usize) -> Result<()> {
        if bytes <= self.bytes {
            Ok(())
        } else {
            Err(self.too_many_bytes())
        }
    }

    /// The error of an answer, or a value, that is too large.
    pub(crate) fn too_many_bytes(&self) -> Error {
        let most = match self.bytes {
            bytes if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
            bytes => format!("{bytes} bytes"),
        };
        Error::data(format!("{ANSWER}{most}"))
            .with_hint("ask for fewer rows or columns, or shorter values")
    }

    /// The error of a query that takes too long.
    pub(crate) fn too_long(&self) -> Error {
        let time = format_duration(self.time);
        Error::data(format!("{GIVEN_UP}{time}")).with_hint("add a narrower condition, or an index")
    }
}

/// Whether an error is that of a query over a limit.
pub(crate) fn is_over(error: &Error) -> bool {
    let text = error.message();
    text.starts_with(ANSWER) || text.starts_with(GIVEN_UP)
}

/// Counts an answer while it is read, before memory is taken for it.
pub(crate) struct Tally {
    limits: QueryLimits,
    rows: usize,
    bytes: usize,
}

impl Tally {
    pub fn new(limits: QueryLimits) -> Self {
        Tally {
            limits,
            rows: 0,
            bytes: 0,
        }
    }

    /// One more row.
    pub fn row(&mut self) -> Result<()> {
        self.rows += 1;
        self.limits.check_rows(self.rows)
    }

    /// A value of so many bytes, under this name.
    pub fn value(&mut self, name: &str, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(name.len() + VALUE + bytes);
        self.limits.check_bytes(self.bytes)
    }
}
