//! The last errors of a node, for those who ask a running network.

use crate::time::Timestamp;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many errors of a node are kept.
const KEPT: usize = 16;
/// Where more errors come than one in this time, the others are only counted.
const LEAST: Duration = Duration::from_millis(50);

/// An error of a node.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ErrorReport {
    /// When it was reported.
    pub time: Timestamp,
    /// What it did: `event rejected`, `node lost`, `node failed`, or a call that failed, such as `tick`.
    pub what: String,
    /// The error.
    pub error: String,
    /// The beginning of the payload, where an event was rejected.
    pub payload: Option<String>,
    /// How many more came before it that were only counted.
    pub more: u64,
}

/// What a node reports; it never waits for a reader.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: Option<Instant>,
    more: u64,
    reports: VecDeque<ErrorReport>,
}

impl Reports {
    /// Adds what `report` returns, unless errors come too fast.
    pub fn add(&self, now: Instant, report: impl FnOnce() -> ErrorReport) {
        let Some(mut kept) = self.0.try_lock() else {
            return;
        };
        let soon = |last: Instant| now.saturating_duration_since(last) < LEAST;
        if kept.last.is_some_and(soon) {
            kept.more += 1;
            return;
        }
        kept.last = Some(now);
        if kept.reports.len() >= KEPT {
            kept.reports.pop_front();
        }
        let more = std::mem::take(&mut kept.more);
        kept.reports.push_back(ErrorReport { more, ..report() });
    }

    /// The last ones, the oldest first.
    pub fn read(&self) -> Vec<ErrorReport> {
        self.0.lock().reports.iter().cloned().collect()
    }
}
