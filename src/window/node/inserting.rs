//! Rows come in.

use super::Window;
use crate::error::Result;
use crate::payload::Payload;
use crate::store::{Inserted, Row, Store};
use crate::time::Timestamp;
use crate::window::state::GroupIndex;
use crate::window::strategy::incremental::{IncrementalState, StateRow};

/// What the insertion of a row has changed.
pub(super) struct Insertion {
    /// The groups of the state that the row touches.
    pub touched: Vec<GroupIndex>,
    /// Whether a row had to leave for it, whose group is not known.
    pub evicted: bool,
    /// What was added to the state, where it was.
    pub added: Option<StateRow>,
}

impl Window {
    /// Inserts a row, and adds it to the state.
    pub(super) fn insert(
        &mut self,
        row: &Row<'_>,
        payload: &Payload,
        time: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Insertion> {
        // The same memory serves every event.
        let mut touched = std::mem::take(&mut self.current.touched);
        touched.clear();
        let at = time.unwrap_or(now);
        let closed = self.closed_by(now);
        let connection = Self::connection(&mut self.connection)?;
        let Some(incremental) = &mut self.answering.incremental else {
            return self.insert_stored(row, payload, time, now);
        };
        // Where rows may be stored that are in no window any more, this one may be among them.
        let may_wait = self.batch.progress.sweep.is_none() && !self.rules.kind.is_session();
        let digest = incremental.digest(row);
        let entry = StateRow {
            digest,
            time: at,
            closed,
        };
        let is_live = incremental.groups.is_live(digest);
        let mut is_new = !is_live && incremental.takes(at, now);
        if self.storage.stored && !is_live {
            connection.begin()?;
            // A row that another node has inserted was taken in before; any other one that is there is
            // too old for this window.
            let inserted = if is_new && may_wait {
                connection.insert_event_soon(row, payload)?
            } else {
                Some(connection.insert_event(row, payload)?)
            };
            is_new &= inserted != Some(Inserted::Duplicate);
        }
        incremental.open_windows(at, closed);
        if is_new {
            incremental.add(row, entry, connection, &mut touched)?;
        } else {
            incremental.find(row, at, connection, &mut touched)?;
        }
        if is_new && self.rules.kind.count().is_some() {
            self.storage.note_arrival(row);
            self.make_room(now)?;
        }
        self.batch.progress.changed = true;
        self.note_boundaries()?;
        self.note_time(time, now);
        Ok(Insertion {
            touched,
            evicted: false,
            added: is_new.then_some(entry),
        })
    }

    /// Inserts a row into the table, where there is no state.
    fn insert_stored(
        &mut self,
        row: &Row<'_>,
        payload: &Payload,
        time: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Insertion> {
        let connection = Self::connection(&mut self.connection)?;
        connection.begin()?;
        let mut evicted = false;
        if connection.insert_event(row, payload)? == Inserted::New {
            self.storage.note_arrival(row);
            evicted = self.evict_first()?;
        }
        self.note_time(time, now);
        Ok(Insertion {
            touched: Vec::new(),
            evicted,
            added: None,
        })
    }

    /// Keeps where sessions end that the table does not tell apart.
    pub(super) fn note_boundaries(&mut self) -> Result<()> {
        let incremental = self.answering.incremental.as_mut();
        let boundaries = incremental.map(IncrementalState::take_boundaries);
        for (group, end) in boundaries.unwrap_or_default() {
            if self.storage.stored {
                let connection = Self::connection(&mut self.connection)?;
                self.emitter
                    .emission
                    .add_boundary(&group, end, connection)?;
            }
        }
        Ok(())
    }

    /// Notes the time of a row that has come: which windows it opens, and that it may be the oldest.
    pub(super) fn note_time(&mut self, time: Option<Timestamp>, now: Timestamp) {
        let Some(time) = time else {
            return;
        };
        let closed = self.closed_by(now);
        let progress = &mut self.batch.progress;
        if self.rules.kind.has_fixed_windows() {
            progress.open.extend(self.rules.open_windows(time, closed));
            // A window that a row came too late for has closed for good.
            let ends = self.rules.fixed_windows(time).map(|window| window.end);
            if let Some(end) = ends.filter(|end| *end <= now.as_micros()).last() {
                self.emitter.emission.close(end);
            }
        }
        if self.storage.stored {
            let oldest = progress.oldest.map_or(time, |oldest| oldest.min(time));
            progress.oldest = Some(oldest);
        }
    }
}
