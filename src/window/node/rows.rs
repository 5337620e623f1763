//! Rows come in, leave, and are deleted; windows end.

use super::Window;
use crate::error::Result;
use crate::node::Context;
use crate::payload::Payload;
use crate::store::{Datum, Inserted, Row, Store};
use crate::time::Timestamp;
use crate::window::kind::WindowKind;
use crate::window::options::TimeDomain;
use crate::window::strategy::incremental::{IncrementalState, StateRow};
use std::sync::Arc;
use std::time::Duration;

/// What came of a row.
pub(super) struct Insertion {
    /// The groups of the state that it touches.
    pub touched: Vec<u32>,
    /// Whether it has driven out a row of a group that is not kept there.
    pub gone: bool,
    /// What was added to the state, where it was.
    pub added: Option<StateRow>,
}

/// How soon rows that others needed are looked for again.
const SWEEP: Duration = Duration::from_secs(1);

impl Window {
    /// Makes ready what needs to know the time: once after the node was opened, and after what
    /// was done was taken back. Says whether it had to.
    pub(super) fn start(&mut self, cx: &Context<'_>) -> Result<bool> {
        if !self.progress.fresh {
            return Ok(false);
        }
        let session = Self::session(&mut self.session)?;
        let column = self.time.map(|at| self.table.columns()[at].name.as_str());
        let column = column.filter(|_| self.stored);
        self.watermark.open(cx.now(), self.latest);
        let now = match self.clock {
            TimeDomain::System => cx.now(),
            TimeDomain::Event => self
                .watermark
                .current()
                .unwrap_or(Timestamp::from_micros(i64::MIN)),
        };
        if let Some(incremental) = &mut self.incremental {
            let boundaries = self.emission.boundaries();
            incremental.rebuild(self.stored.then_some(&mut *session), now, boundaries)?;
        }
        let closed = self.emission.closed();
        if let Some(incremental) = &mut self.incremental {
            // What has ended before a restart does not end again.
            while let Some(window) = incremental.groups.first_end().filter(|w| w.1 <= closed) {
                incremental.end(window);
            }
        }
        // An event whose row is not taken in begins its windows too, and no table knows of it.
        self.progress.begun.retain(|(end, _)| *end > closed);
        self.progress.oldest = None;
        self.progress.sweep = None;
        if let Some(column) = column {
            if let WindowKind::Hopping { .. } = self.rules.kind {
                let begun = &mut self.progress.begun;
                session.times(&self.table, column, &mut |time| {
                    let ends = self.rules.windows(time).map(|(start, end)| (end, start));
                    begun.extend(ends.filter(|(end, _)| *end > closed));
                })?;
            }
            self.progress.oldest = session.oldest(&self.table, column)?;
        }
        if let (Some(incremental), WindowKind::Hopping { .. }) =
            (&mut self.incremental, self.rules.kind)
        {
            for (end, start) in &self.progress.begun {
                incremental.begin_window((*start, *end));
            }
        }
        if self.stored && matches!(self.rules.kind, WindowKind::Count(_)) {
            let order = self.time.map(|at| self.table.columns()[at].name.as_str());
            self.arrivals.clear();
            session.keys(&self.table, order, &mut |key| {
                self.arrivals.push_back(key.into())
            })?;
            // Others may have added rows since this window was here.
            self.evict_first()?;
        }
        self.progress.fresh = false;
        Ok(true)
    }

    /// Begins a transaction where rows are stored, and takes in what others have done to the
    /// table since the last one. Says whether more may have changed than an event touches.
    pub(super) fn catch_up(&mut self, cx: &Context<'_>) -> Result<bool> {
        if !self.stored {
            return self.start(cx);
        }
        let session = Self::session(&mut self.session)?;
        if session.is_open() {
            return self.start(cx);
        }
        session.begin()?;
        let brought = session.brought();
        let version = session.data_version()?;
        let strangers = version != self.version && self.version.is_some();
        self.version = version;
        self.progress.fresh |= brought.stale || strangers;
        if self.start(cx)? {
            return Ok(true);
        }
        if brought.rows.is_empty() {
            return Ok(brought.stale);
        }
        for payload in &brought.rows {
            self.take_in(payload, cx)?;
        }
        Ok(true)
    }

    /// Takes in a row that somebody else has inserted.
    fn take_in(&mut self, payload: &Payload, cx: &Context<'_>) -> Result<()> {
        let sized = Self::session(&mut self.session)?.sized();
        let reader = Arc::clone(&self.reader);
        let row = reader.read(payload, sized)?;
        let time = self.time_of(&row, cx.now())?;
        let now = match self.clock {
            TimeDomain::System => cx.now(),
            TimeDomain::Event => match self.watermark.current().or(time) {
                Some(now) => now,
                None => return Ok(()),
            },
        };
        let ended = self.ended_by(now);
        self.note_time(time, now)?;
        self.note_arrival(&row);
        if let Some(incremental) = &mut self.incremental {
            let session = Self::session(&mut self.session)?;
            let entry = StateRow {
                digest: incremental.digest(&row),
                time: time.unwrap_or(now),
            };
            incremental.begin(entry.time, ended);
            if !incremental.groups.is_live(entry.digest) && incremental.takes(entry.time, now) {
                incremental.add(&row, (entry, ended), session, &mut Vec::new())?;
                self.progress.changed = true;
                self.keep_apart()?;
            }
        }
        self.drive_out(now)?;
        Ok(())
    }

    /// Notes which sessions the table does not tell apart, where it may have to.
    fn keep_apart(&mut self) -> Result<()> {
        let boundaries = self
            .incremental
            .as_mut()
            .map(IncrementalState::take_boundaries);
        for (group, end) in boundaries.unwrap_or_default() {
            if self.stored {
                let session = Self::session(&mut self.session)?;
                self.emission.cut(&group, end, session)?;
            }
        }
        Ok(())
    }

    /// A row of a window of the last so many has come.
    fn note_arrival(&mut self, row: &Row<'_>) {
        if let (WindowKind::Count(_), true) = (self.rules.kind, self.stored) {
            let key = self
                .table
                .key_columns()
                .iter()
                .map(|c| Datum::from(&row.cell(c)));
            self.arrivals.push_back(key.collect());
        }
    }

    /// Takes out the rows that a row has driven out which has come.
    fn drive_out(&mut self, now: Timestamp) -> Result<bool> {
        if let (WindowKind::Count(_), Some(incremental)) = (self.rules.kind, &mut self.incremental)
        {
            incremental.expire(now);
        }
        self.evict_first()
    }

    /// Deletes the rows that are not among the last so many any more, where no other window needs
    /// them.
    fn evict_first(&mut self) -> Result<bool> {
        let (WindowKind::Count(rows), Some(last)) = (self.rules.kind, &self.last) else {
            return Ok(false);
        };
        if self.arrivals.len() <= rows {
            return Ok(false);
        }
        let deletes = self.database.deletes(last);
        let mut left = false;
        while self.arrivals.len() > rows {
            let Some(key) = self.arrivals.pop_front() else {
                break;
            };
            if deletes {
                Self::session(&mut self.session)?.delete(&self.table, &key)?;
            }
            self.progress.changed = true;
            left = true;
        }
        Ok(left)
    }

    /// When the next row leaves, or the next window ends.
    pub(super) fn next(&self) -> Option<i64> {
        let state = self
            .incremental
            .as_ref()
            .and_then(|state| match self.rules.kind {
                WindowKind::Count(_) => None,
                _ => state.groups.next(),
            });
        let ends = self.progress.begun.first().map(|(end, _)| *end);
        let stored = self.progress.oldest.map(|oldest| self.leaves(oldest));
        let sweep = self.progress.sweep;
        state
            .into_iter()
            .chain(ends)
            .chain(stored)
            .chain(sweep)
            .min()
    }

    /// Takes out what has left by now, closes the windows that have ended; `clock` is the network's
    /// instant. Says whether anything has left.
    pub(super) fn move_to(&mut self, now: Timestamp, clock: Timestamp) -> Result<bool> {
        if self.rules.kind.is_bounded() {
            self.close(now)?;
        }
        let mut left = false;
        if let Some(incremental) = &mut self.incremental {
            left = incremental.expire(now);
            self.progress.changed |= left;
        }
        Ok(self.evict(now, clock)? || left)
    }

    /// Deletes the rows that no window needs any more; `clock` is the network's instant.
    fn evict(&mut self, now: Timestamp, clock: Timestamp) -> Result<bool> {
        let (Some(hold), Some(at)) = (&self.hold, self.time) else {
            return Ok(false);
        };
        if hold.is_new() {
            hold.set(self.needed(now));
        }
        let oldest = self.progress.oldest.map(|oldest| self.leaves(oldest));
        let gone = oldest.is_some_and(|leaves| leaves <= now.as_micros());
        if !gone
            && self
                .progress
                .sweep
                .is_none_or(|sweep| sweep > now.as_micros())
        {
            return Ok(false);
        }
        let column = &self.table.columns()[at].name;
        let needed = self.needed(now);
        hold.set(needed);
        let floor = self
            .database
            .floor(self.table.name(), clock)
            .unwrap_or(needed);
        let session = Self::session(&mut self.session)?;
        session.begin()?;
        session.expire(&self.table, column, floor)?;
        if let WindowKind::Session(_) = self.rules.kind {
            let ended = floor.as_micros();
            if let Some(incremental) = &mut self.incremental {
                incremental.groups.forget_ended(ended);
            }
            self.emission.forget_boundaries(ended, session)?;
        }
        let oldest = session.oldest_from(&self.table, column, needed)?;
        self.progress.changed = true;
        // What others need still is looked after later: they may have gone by then.
        let left = floor < needed
            && session
                .oldest(&self.table, column)?
                .is_some_and(|t| t < needed);
        self.progress.oldest = oldest.filter(|oldest| self.leaves(*oldest) > now.as_micros());
        let left = left || self.progress.oldest != oldest;
        self.progress.sweep = left.then(|| now.after(SWEEP).as_micros());
        Ok(gone)
    }

    /// From which time on the window needs rows.
    fn needed(&self, now: Timestamp) -> Timestamp {
        match self.rules.kind {
            WindowKind::Hopping { .. } => {
                let begun = self.progress.begun.iter().map(|(_, start)| *start);
                let open = begun.min();
                let next = self.rules.windows(now).next().map(|(start, _)| start);
                let starts = open.into_iter().chain(next);
                Timestamp::from_micros(starts.min().unwrap_or(i64::MIN))
            }
            WindowKind::Session(gap) => {
                let state = self.incremental.as_ref();
                let open = state.into_iter().flat_map(|state| state.groups.starts());
                let starts = open.map(Timestamp::from_micros);
                starts
                    .min()
                    .map_or(now.before(gap), |start| start.min(now.before(gap)))
            }
            WindowKind::Sliding(_) | WindowKind::Count(_) => self.rules.cutoff(now),
        }
    }

    pub(super) fn leaves(&self, time: Timestamp) -> i64 {
        match self.rules.kind {
            WindowKind::Sliding(_) => self.rules.leaves(time),
            WindowKind::Hopping { .. } => {
                let last = self.rules.windows(time).last();
                last.map_or(i64::MIN, |(_, end)| end)
            }
            WindowKind::Count(_) | WindowKind::Session(_) => i64::MAX,
        }
    }

    /// Inserts a row; adds what it brings to the state.
    pub(super) fn insert(
        &mut self,
        row: &Row<'_>,
        payload: &Payload,
        time: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Insertion> {
        // The allocation serves every event.
        let mut touched = std::mem::take(&mut self.touched);
        touched.clear();
        let at = time.unwrap_or(now);
        let ended = self.ended_by(now);
        let session = Self::session(&mut self.session)?;
        let Some(incremental) = &mut self.incremental else {
            session.begin()?;
            let mut left = false;
            if session.insert_event(row, payload)? == Inserted::New {
                self.note_arrival(row);
                left = self.evict_first()?;
            }
            self.note_time(time, now)?;
            return Ok(Insertion {
                touched,
                gone: left,
                added: None,
            });
        };
        // Where rows are stored that are in no window, or not any more, one may be among them.
        let may_wait =
            self.progress.sweep.is_none() && !matches!(self.rules.kind, WindowKind::Session(_));
        let digest = incremental.digest(row);
        let entry = StateRow { digest, time: at };
        let is_live = incremental.groups.is_live(digest);
        let mut is_new = !is_live && incremental.takes(at, now);
        if self.stored && !is_live {
            session.begin()?;
            // Who else has inserted it has told of it: what is there is too old for this window.
            let inserted = match is_new && may_wait {
                true => session.insert_event_soon(row, payload)?,
                false => Some(session.insert_event(row, payload)?),
            };
            is_new &= inserted != Some(Inserted::Duplicate);
        }
        incremental.begin(at, ended);
        match is_new {
            true => incremental.add(row, (entry, ended), session, &mut touched)?,
            false => incremental.find(row, at, session, &mut touched)?,
        }
        if let (true, WindowKind::Count(_)) = (is_new, self.rules.kind) {
            self.note_arrival(row);
            self.drive_out(now)?;
        }
        self.progress.changed = true;
        self.keep_apart()?;
        self.note_time(time, now)?;
        Ok(Insertion {
            touched,
            gone: false,
            added: is_new.then_some(entry),
        })
    }

    fn note_time(&mut self, time: Option<Timestamp>, now: Timestamp) -> Result<()> {
        let Some(time) = time else {
            return Ok(());
        };
        if let WindowKind::Hopping { .. } = self.rules.kind {
            let open = self.rules.open_windows(time, self.ended_by(now));
            let begun = &mut self.progress.begun;
            begun.extend(open.map(|(start, end)| (end, start)));
            // A window that a row came too late for has ended for good.
            let ended = self.rules.windows(time).map(|(_, end)| end);
            if let Some(end) = ended.filter(|end| *end <= now.as_micros()).last() {
                self.emission.close(end);
            }
        }
        if self.stored {
            let oldest = self.progress.oldest;
            self.progress.oldest = Some(oldest.map_or(time, |oldest| oldest.min(time)));
        }
        Ok(())
    }
}
