//! What changes within a batch, and is restored when the batch is rolled back.

use crate::error::Error;
use crate::time::Timestamp;
use crate::window::kind::WindowBounds;
use std::collections::BTreeSet;

/// The state of a window within a batch.
#[derive(Default)]
pub(in crate::window) struct Batch {
    /// Whether anything was done since the last commit.
    pub active: bool,
    /// The error of an event of the batch whose row must not be kept: the commit fails with it.
    pub spoiled: Option<Error>,
    pub progress: Progress,
    /// `progress` before the batch.
    before: Progress,
}

/// How far a window has come.
#[derive(Clone, Default)]
pub(in crate::window) struct Progress {
    /// The least time of the rows that are stored and in the window, as far as is known.
    pub oldest: Option<Timestamp>,
    /// When to look again for rows to delete that other windows needed, in microseconds.
    pub sweep: Option<i64>,
    /// The fixed windows that are open. Open sessions are in the running state.
    pub open: BTreeSet<WindowBounds>,
    /// Whether something has changed since the last commit.
    pub changed: bool,
    /// Whether the state is to be rebuilt from the table, and the whole answer evaluated.
    pub stale: bool,
}

impl Batch {
    /// The node was opened: the state is to be rebuilt.
    pub fn open(&mut self) {
        self.progress.stale = true;
        self.before = self.progress.clone();
        self.spoiled = None;
    }

    /// The windows that are open are those of a window that was replaced.
    pub fn inherit(&mut self, open: BTreeSet<WindowBounds>) {
        self.before.open.clone_from(&open);
        self.progress.open = open;
    }

    pub fn commit(&mut self) {
        self.active = false;
        self.progress.changed = false;
        self.before.clone_from(&self.progress);
    }

    /// Restores what was before the batch. Where rows are stored, a state that has changed is rebuilt.
    pub fn rollback(&mut self, stored: bool) {
        self.active = false;
        self.spoiled = None;
        let stale = self.progress.changed && stored;
        self.progress.clone_from(&self.before);
        self.progress.stale |= stale;
    }
}
