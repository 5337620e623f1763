//! Rows leave, and are deleted where no window needs them.

use super::Window;
use crate::error::Result;
use crate::store::Store;
use crate::time::Timestamp;
use std::time::Duration;

/// How soon rows that other windows needed are looked for again.
const SWEEP: Duration = Duration::from_secs(1);

impl Window {
    /// When the next row leaves, or the next window closes.
    pub(super) fn next(&self) -> Option<i64> {
        let state = self.answering.incremental.as_ref();
        let state = state.filter(|_| self.rules.kind.goes_by_time());
        let progress = &self.batch.progress;
        let in_state = state.and_then(|state| state.groups.next());
        let closes = progress.open.first().map(|window| window.end);
        let stored = progress
            .oldest
            .map(|oldest| self.rules.stored_until(oldest));
        in_state
            .into_iter()
            .chain(closes)
            .chain(stored)
            .chain(progress.sweep)
            .min()
    }

    /// Closes the windows that have ended by now, and takes out the rows that have left; `system_now`
    /// is system time. Returns whether any row has left.
    pub(super) fn move_to(&mut self, now: Timestamp, system_now: Timestamp) -> Result<bool> {
        if self.rules.kind.closes() {
            self.close(now)?;
        }
        let mut left = false;
        if let Some(incremental) = &mut self.answering.incremental {
            left = incremental.expire(now);
            self.batch.progress.changed |= left;
        }
        Ok(self.evict(now, system_now)? || left)
    }

    /// Takes out the rows that must leave for one that has come. Returns whether any was stored.
    pub(super) fn make_room(&mut self, now: Timestamp) -> Result<bool> {
        if self.rules.kind.count().is_some()
            && let Some(incremental) = &mut self.answering.incremental
        {
            incremental.expire(now);
        }
        self.evict_first()
    }

    /// Deletes the first rows of a window with a number of rows until it has that number, where no
    /// other window needs them.
    pub(super) fn evict_first(&mut self) -> Result<bool> {
        let (Some(rows), Some(last)) = (self.rules.kind.count(), &self.storage.hold.count) else {
            return Ok(false);
        };
        if self.storage.arrivals.len() <= rows {
            return Ok(false);
        }
        let deletes = self.database.deletes(last);
        let mut left = false;
        while self.storage.arrivals.len() > rows {
            let Some(key) = self.storage.arrivals.pop_front() else {
                break;
            };
            if deletes {
                Self::connection(&mut self.connection)?.delete(&self.storage.table, &key)?;
            }
            self.batch.progress.changed = true;
            left = true;
        }
        Ok(left)
    }

    /// Deletes the rows that no window needs any more; `system_now` is system time.
    fn evict(&mut self, now: Timestamp, system_now: Timestamp) -> Result<bool> {
        let (Some(hold), Some(column)) = (&self.storage.hold.time, &self.clock.column) else {
            return Ok(false);
        };
        if hold.is_new() {
            hold.set(self.needed_from(now));
        }
        let progress = &self.batch.progress;
        let has_left = |time: &Timestamp| self.rules.stored_until(*time) <= now.as_micros();
        let gone = progress.oldest.as_ref().is_some_and(has_left);
        let is_waiting = |sweep: i64| sweep > now.as_micros();
        if !gone && progress.sweep.is_none_or(is_waiting) {
            return Ok(false);
        }
        let table = &self.storage.table;
        let needed = self.needed_from(now);
        hold.set(needed);
        let floor = self.database.floor(table.name(), system_now);
        let floor = floor.unwrap_or(needed);
        let connection = Self::connection(&mut self.connection)?;
        connection.begin()?;
        connection.expire(table, &column.name, floor)?;
        if self.rules.kind.is_session() {
            let ended = floor.as_micros();
            if let Some(incremental) = &mut self.answering.incremental {
                incremental.groups.forget_ended(ended);
            }
            self.emitter.emission.forget_boundaries(ended, connection)?;
        }
        let oldest = connection.oldest_from(table, &column.name, needed)?;
        self.batch.progress.changed = true;
        // Rows that other windows still need are looked for later.
        let left = floor < needed
            && connection
                .oldest(table, &column.name)?
                .is_some_and(|oldest| oldest < needed);
        let in_window = oldest.filter(|oldest| !has_left(oldest));
        let left = left || in_window != oldest;
        let progress = &mut self.batch.progress;
        progress.oldest = in_window;
        progress.sweep = left.then(|| now.saturating_add(SWEEP).as_micros());
        Ok(gone)
    }

    /// From which time on the window needs rows.
    fn needed_from(&self, now: Timestamp) -> Timestamp {
        let fixed = self.batch.progress.open.iter().map(|window| window.start);
        let state = self.answering.incremental.as_ref();
        let state = state.filter(|_| self.rules.kind.is_session());
        let sessions = state.into_iter();
        let sessions = sessions.flat_map(|state| state.groups.open_starts());
        self.rules.needed_from(now, fixed.chain(sessions))
    }
}
