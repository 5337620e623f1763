//! Rows come in, leave, and are deleted; windows end.

use super::Window;
use crate::error::Result;
use crate::node::Context;
use crate::store::{Binding, Inserted, Row, Store};
use crate::time::Timestamp;
use crate::window::incremental::Entry;
use crate::window::options::{Extent, Now};
use std::time::Duration;

/// How soon rows that others needed are looked for again.
const SWEEP: Duration = Duration::from_secs(1);

impl Window {
    /// Makes ready what needs to know the time: once after the node was opened, and after what
    /// was done was taken back. Says whether it had to.
    pub(super) fn start(&mut self, cx: &Context<'_>) -> Result<bool> {
        if !self.moment.fresh {
            return Ok(false);
        }
        let session = Self::session(&mut self.session)?;
        let column = self.time.map(|at| self.table.columns()[at].name.as_str());
        let column = column.filter(|_| self.stored);
        if let (Now::Event, Some(column)) = (self.clock, column) {
            let latest = session.latest(&self.table, column)?;
            self.watermark.open(cx.now(), latest);
        }
        let now = match self.clock {
            Now::System => cx.now(),
            Now::Event => self.watermark.current().unwrap_or(Timestamp::from_micros(i64::MIN)),
        };
        if let Some(incremental) = &mut self.incremental {
            incremental.rebuild(self.stored.then_some(&mut *session), now)?;
        }
        self.moment.begun.clear();
        self.moment.oldest = None;
        self.moment.sweep = None;
        if let Some(column) = column {
            if self.incremental.is_none() && self.span.extent.is_bounded() {
                let begun = &mut self.moment.begun;
                session.times(&self.table, column, &mut |time| {
                    begun.extend(self.span.windows(time).map(|(start, end)| (end, start)));
                })?;
            }
            self.moment.oldest = session.oldest(&self.table, column)?;
        }
        self.moment.fresh = false;
        Ok(true)
    }

    /// When the next row leaves, or the next window ends.
    pub(super) fn next(&self) -> Option<i64> {
        let state = self.incremental.as_ref().and_then(|state| match self.span.extent {
            Extent::Count(_) => None,
            _ => state.groups.next(),
        });
        let ends = self.moment.begun.first().map(|(end, _)| *end);
        let stored = self.moment.oldest.map(|oldest| self.leaves(oldest));
        let sweep = self.moment.sweep;
        state.into_iter().chain(ends).chain(stored).chain(sweep).min()
    }

    /// Takes out what has left by now, closes the windows that have ended. Says whether anything
    /// has left.
    pub(super) fn move_to(&mut self, now: Timestamp, cx: &mut Context<'_>) -> Result<bool> {
        if self.span.extent.is_bounded() {
            self.close(now, cx)?;
        }
        let mut left = false;
        if let Some(incremental) = &mut self.incremental {
            left = incremental.expire(now);
            self.moment.changed |= left;
        }
        Ok(self.evict(now)? || left)
    }

    /// Deletes the rows that no window needs any more.
    fn evict(&mut self, now: Timestamp) -> Result<bool> {
        let (Some(hold), Some(at)) = (&self.hold, self.time) else {
            return Ok(false);
        };
        let oldest = self.moment.oldest.map(|oldest| self.leaves(oldest));
        let gone = oldest.is_some_and(|leaves| leaves <= now.as_micros());
        if !gone && self.moment.sweep.is_none_or(|sweep| sweep > now.as_micros()) {
            return Ok(false);
        }
        let column = &self.table.columns()[at].name;
        let needed = self.needed(now);
        hold.set(needed);
        let floor = self.database.floor(self.table.name(), now).unwrap_or(needed);
        let session = Self::session(&mut self.session)?;
        session.begin()?;
        session.evict(&self.table, column, floor)?;
        self.moment.oldest = session.oldest_from(&self.table, column, needed)?;
        self.moment.changed = true;
        // What others need still is looked after later: they may have gone by then.
        let left = floor < needed && session.oldest(&self.table, column)?.is_some_and(|t| t < needed);
        self.moment.sweep = left.then(|| now.after(SWEEP).as_micros());
        Ok(gone)
    }

    /// From which time on the window needs rows.
    fn needed(&self, now: Timestamp) -> Timestamp {
        match self.span.extent {
            Extent::Hopping { .. } => {
                let begun = self.moment.begun.iter().map(|(_, start)| *start);
                let open = begun.chain(self.emission.undelivered()).min();
                let next = self.span.windows(now).next().map(|(start, _)| start);
                let starts = open.into_iter().chain(next);
                Timestamp::from_micros(starts.min().unwrap_or(i64::MIN))
            }
            _ => self.span.cutoff(now),
        }
    }

    fn leaves(&self, time: Timestamp) -> i64 {
        match self.span.extent {
            Extent::Sliding(_) => self.span.leaves(time),
            Extent::Hopping { .. } => {
                let last = self.span.windows(time).last();
                last.map_or(i64::MIN, |(_, end)| end)
            }
            Extent::Count(_) | Extent::Session(_) => i64::MAX,
        }
    }

    /// Inserts a row; adds what it brings to the state. The groups that it touches there come out.
    pub(super) fn insert(&mut self, row: &Row<'_>, time: Option<Timestamp>, now: Timestamp) -> Result<Vec<u32>> {
        let session = Self::session(&mut self.session)?;
        let mut touched = Vec::new();
        let at = time.unwrap_or(now);
        let Some(incremental) = &mut self.incremental else {
            session.begin()?;
            session.insert_row_of(row)?;
            self.stored(time, now);
            return Ok(touched);
        };
        let digest = incremental.digest(row);
        let takes = incremental.takes(at, now);
        let mut is_new = !incremental.groups.is_live(digest);
        if self.stored {
            session.begin()?;
            // Known to be there, it is not inserted again.
            if is_new && session.insert_row_of(row)? == Inserted::Duplicate {
                is_new = false;
            }
        }
        let entry = Entry { digest, time: at };
        match is_new && takes {
            true => incremental.add(row, entry, session, &mut touched)?,
            false => incremental.find(row, at, session, &mut touched)?,
        }
        self.moment.changed = true;
        self.stored(time, now);
        Ok(touched)
    }

    fn stored(&mut self, time: Option<Timestamp>, now: Timestamp) {
        if let Some(time) = time {
            let oldest = self.moment.oldest;
            self.moment.oldest = Some(oldest.map_or(time, |oldest| oldest.min(time)));
            if self.incremental.is_none() && self.span.extent.is_bounded() {
                let open = self.span.windows(time).filter(|(_, end)| *end > now.as_micros());
                self.moment.begun.extend(open.map(|(start, end)| (end, start)));
            }
        }
    }
}
