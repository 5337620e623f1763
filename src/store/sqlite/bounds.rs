//! The time and the size that one query may take on a connection.
//!
//! SQLite looks at the time between the steps of its program, and what it allocates for one value is
//! limited by `SQLITE_LIMIT_LENGTH`. A function that runs within one step checks both itself: the functions
//! in [`bounded`](super::bounded) hold the [`Bounds`] of their connection.

use crate::time::monotonic;
use rusqlite::{Error, Result, ffi};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The time is looked at after so much work, in bytes that are read or written.
const LOOK: usize = 1 << 18;

/// The most bytes of a pattern of LIKE or GLOB: a comparison takes up to the product of the lengths of text
/// and pattern, and where SQLite does it, no time is looked at within it.
pub(super) const PATTERN: i32 = 1_000;

/// SQLite's own limit of the length of a value.
const LONGEST: usize = 1_000_000_000;

/// The bounds of the query that runs on a connection. Clones share them.
#[derive(Clone)]
pub(super) struct Bounds(Arc<Inner>);

struct Inner {
    since: Instant,
    /// The time of the query in milliseconds; 0 if no query with a limit runs.
    time: AtomicU64,
    /// When the query began, in milliseconds since `since` and one more; 0 if that is not known yet.
    begun: AtomicU64,
    /// The greatest length of a value.
    bytes: AtomicUsize,
    /// The work since the time was looked at.
    work: AtomicUsize,
}

impl Bounds {
    pub fn new() -> Self {
        Bounds(Arc::new(Inner {
            since: monotonic(),
            time: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            bytes: AtomicUsize::new(LONGEST),
            work: AtomicUsize::new(0),
        }))
    }

    fn now(&self) -> u64 {
        let elapsed = monotonic().duration_since(self.0.since);
        u64::try_from(elapsed.as_millis()).map_or(u64::MAX, |now| now.saturating_add(1))
    }

    /// Limits one query, until the returned guard is dropped. Its time begins now.
    pub fn begin(&self, time: Duration) -> Running<'_> {
        let running = self.begin_later(time);
        self.0.begun.store(self.now(), Relaxed);
        running
    }

    /// The same for a query that ends as a rule before the time is looked at: its time begins with the
    /// first look.
    pub fn begin_later(&self, time: Duration) -> Running<'_> {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        self.0.begun.store(0, Relaxed);
        self.0.work.store(0, Relaxed);
        self.0.time.store(time, Relaxed);
        Running(self)
    }

    /// Looks at the time: whether the query has taken too long.
    pub fn is_over(&self) -> bool {
        let time = self.0.time.load(Relaxed);
        if time == 0 {
            return false;
        }
        let now = self.now();
        match self.0.begun.load(Relaxed) {
            0 => {
                self.0.begun.store(now, Relaxed);
                false
            }
            begun => now.saturating_sub(begun) > time,
        }
    }

    pub fn set_bytes(&self, bytes: usize) {
        self.0.bytes.store(bytes.min(LONGEST), Relaxed);
    }

    /// The greatest length of a value.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Relaxed)
    }

    /// Counts work that a function is about to do.
    ///
    /// # Errors
    /// The time of the query is over.
    #[inline]
    pub fn work(&self, work: usize) -> Result<()> {
        let work = self.0.work.load(Relaxed).saturating_add(work);
        if work < LOOK {
            self.0.work.store(work, Relaxed);
            return Ok(());
        }
        self.0.work.store(0, Relaxed);
        if self.is_over() {
            Err(failure(ffi::SQLITE_INTERRUPT))
        } else {
            Ok(())
        }
    }

    /// Allocates memory for so many bytes more of a value.
    ///
    /// # Errors
    /// The value becomes too long, or there is not enough memory.
    pub fn grow(&self, value: &mut Vec<u8>, more: usize) -> Result<()> {
        self.fits(value.len().saturating_add(more))?;
        value.try_reserve(more).map_err(|_| no_memory())
    }

    /// Checks the length of a value before memory is allocated for it.
    ///
    /// # Errors
    /// It is too long.
    #[inline]
    pub fn fits(&self, bytes: usize) -> Result<()> {
        if bytes <= self.bytes() {
            Ok(())
        } else {
            Err(failure(ffi::SQLITE_TOOBIG))
        }
    }
}

/// The error of an allocation that failed.
pub(super) fn no_memory() -> Error {
    failure(ffi::SQLITE_NOMEM)
}

fn failure(code: i32) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), None)
}

/// A query that has limits.
pub(super) struct Running<'a>(&'a Bounds);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.0.time.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_over_once_its_time_has_passed_and_not_before() {
        let bounds = Bounds::new();
        assert!(!bounds.is_over());
        let running = bounds.begin(Duration::from_millis(20));
        assert!(!bounds.is_over());
        std::thread::sleep(Duration::from_millis(40));
        assert!(bounds.is_over());
        assert!(bounds.work(LOOK).is_err());
        assert!(bounds.work(1).is_ok());
        drop(running);
        assert!(!bounds.is_over());
    }

    #[test]
    fn a_time_that_begins_later_begins_with_the_first_look() {
        let bounds = Bounds::new();
        let _running = bounds.begin_later(Duration::from_millis(20));
        std::thread::sleep(Duration::from_millis(40));
        assert!(!bounds.is_over());
        std::thread::sleep(Duration::from_millis(40));
        assert!(bounds.is_over());
    }
}
