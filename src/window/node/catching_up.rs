//! The state after the node was opened or rolled back, and rows that others have inserted.

use super::Window;
use crate::error::Result;
use crate::node::Context;
use crate::payload::Payload;
use crate::store::Store;
use crate::window::strategy::incremental::{RebuildSource, StateRow};
use std::sync::Arc;

impl Window {
    /// Rebuilds the state where it is stale: once after the node was opened, and after a rollback.
    /// Returns whether it was.
    pub(super) fn start(&mut self, cx: &Context<'_>) -> Result<bool> {
        if !self.batch.progress.stale {
            return Ok(false);
        }
        self.inherit();
        let connection = Self::connection(&mut self.connection)?;
        let now = self.clock.start(cx);
        let closed = self.emitter.emission.closed();
        let (storage, progress) = (&mut self.storage, &mut self.batch.progress);
        let column = self.clock.column_name();
        if storage.stored && self.rules.kind.count().is_some() {
            storage.read_arrivals(connection, column)?;
        }
        if let Some(incremental) = &mut self.answering.incremental {
            let boundaries = self.emitter.emission.boundaries();
            if storage.stored {
                let source = RebuildSource {
                    connection: &mut *connection,
                    arrivals: &storage.arrivals,
                };
                incremental.rebuild(Some(source), now, boundaries)?;
            } else if !incremental.has_begun() {
                incremental.rebuild(None, now, boundaries)?;
            }
            // A window that closed before a restart does not close again.
            while let Some(window) = incremental.groups.first_window()
                && window.end <= closed
            {
                incremental.close(window);
            }
        }
        // An event whose row is not stored opens its windows too, and the table does not tell.
        progress.open.retain(|window| window.end > closed);
        progress.oldest = None;
        progress.sweep = None;
        if let Some(column) = column.filter(|_| storage.stored) {
            if self.rules.kind.has_fixed_windows() {
                connection.times(&storage.table, column, &mut |time| {
                    let windows = self.rules.fixed_windows(time);
                    let open = windows.filter(|window| window.end > closed);
                    progress.open.extend(open);
                })?;
            }
            progress.oldest = connection.oldest(&storage.table, column)?;
        }
        if let Some(incremental) = &mut self.answering.incremental {
            for window in &progress.open {
                incremental.open_window(*window);
            }
        }
        if storage.stored && self.rules.kind.count().is_some() {
            // Others may have added rows since this window was last open.
            self.evict_first()?;
        }
        self.batch.progress.stale = false;
        Ok(true)
    }

    /// Begins a transaction where rows are stored, and takes in what others have done to the table
    /// since the last one. Returns whether more may have changed than an event touches.
    pub(super) fn catch_up(&mut self, cx: &Context<'_>) -> Result<bool> {
        if !self.storage.stored {
            return self.start(cx);
        }
        let connection = Self::connection(&mut self.connection)?;
        if connection.is_open() {
            return self.start(cx);
        }
        connection.begin()?;
        let received = connection.received();
        let version = connection.data_version()?;
        let known = std::mem::replace(&mut self.storage.version, version);
        let other_process = known.is_some() && version != known;
        self.batch.progress.stale |= received.stale || other_process;
        if self.start(cx)? {
            return Ok(true);
        }
        if received.rows.is_empty() {
            return Ok(received.stale);
        }
        for payload in &received.rows {
            self.take_in(payload, cx)?;
        }
        Ok(true)
    }

    /// Takes in a row that another node has inserted.
    fn take_in(&mut self, payload: &Payload, cx: &Context<'_>) -> Result<()> {
        let sized = Self::connection(&mut self.connection)?.sized();
        let reader = Arc::clone(&self.storage.reader);
        let row = reader.read(payload, sized)?;
        let time = self.clock.time_of(&row, cx.now(), &self.name)?;
        let Some(now) = self.clock.now_beside(time, cx) else {
            return Ok(());
        };
        let closed = self.closed_by(now);
        self.note_time(time, now);
        self.storage.note_arrival(&row);
        if let Some(incremental) = &mut self.answering.incremental {
            let connection = Self::connection(&mut self.connection)?;
            let entry = StateRow {
                digest: incremental.digest(&row),
                time: time.unwrap_or(now),
                closed,
            };
            incremental.open_windows(entry.time, closed);
            if !incremental.groups.is_live(entry.digest) && incremental.takes(entry.time, now) {
                incremental.add(&row, entry, connection, &mut Vec::new())?;
                self.batch.progress.changed = true;
                self.note_boundaries()?;
            }
        }
        self.make_room(now)?;
        Ok(())
    }
}
