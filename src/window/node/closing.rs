//! Windows close: their answers are emitted where the mode asks for them, and they are removed.

use super::Window;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::time::Timestamp;
use crate::window::answer::group_id;
use crate::window::emission::GroupId;
use crate::window::failing::is_final;
use crate::window::kind::WindowBounds;
use crate::window::options::Emit;
use crate::window::strategy::GroupRow;
use serde_json::Value;

impl Window {
    /// Closes the windows that end by now.
    pub(super) fn close(&mut self, now: Timestamp) -> Result<()> {
        while let Some(window) = self.first_ended(now) {
            let rows = match self.closing_rows(window) {
                Ok(rows) => rows,
                // It would fail again, and the windows after it would never close.
                Err(error) => {
                    self.reject_window(window, now, error)?;
                    Vec::new()
                }
            };
            match self.answering.emit {
                Emit::Close => {
                    let end = self.rules.shown_end(window);
                    let time = Timestamp::from_micros(end.min(now.as_micros()));
                    for row in rows {
                        self.emitter.emit_row(row, None, time);
                    }
                }
                Emit::Changes | Emit::Enter | Emit::Leave => self.leave(window, now),
                Emit::All | Emit::Touched => {}
            }
            self.remove(window);
        }
        Ok(())
    }

    /// Rejects the answer over a window, whose query fails, with an event that shows its bounds.
    ///
    /// # Errors
    /// The same error where trying again can help.
    pub(super) fn reject_window(
        &mut self,
        window: WindowBounds,
        now: Timestamp,
        error: Error,
    ) -> Result<()> {
        if !is_final(&error) {
            return Err(error);
        }
        let seconds = |micros: i64| match micros % 1_000_000 {
            0 => Value::from(micros / 1_000_000),
            _ => Value::from(micros as f64 / 1e6),
        };
        let [start, end] = [window.start, self.rules.shown_end(window)].map(seconds);
        let shown = serde_json::json!({ "window_start": start, "window_end": end });
        self.emitter.reject(Event::new(shown, now), error);
        Ok(())
    }

    /// The first window that has ended by now.
    fn first_ended(&self, now: Timestamp) -> Option<WindowBounds> {
        let fixed = self.batch.progress.open.first().copied();
        let in_state = || self.answering.incremental.as_ref()?.groups.first_window();
        fixed
            .or_else(in_state)
            .filter(|window| window.end <= now.as_micros())
    }

    /// The rows of a window, where they are emitted when it closes.
    fn closing_rows(&mut self, window: WindowBounds) -> Result<Vec<GroupRow>> {
        if self.answering.emit != Emit::Close {
            return Ok(Vec::new());
        }
        let binding = self.binding(Timestamp::from_micros(window.end), Some(window), None);
        let connection = Self::connection(&mut self.connection)?;
        match &mut self.answering.incremental {
            Some(incremental) => incremental.rows_in(Some(window), connection),
            None => {
                let full = &self.answering.queries.full;
                full.answer(connection, &binding, Some(window))
            }
        }
    }

    /// The groups of a window that has closed leave the answer.
    fn leave(&mut self, window: WindowBounds, now: Timestamp) {
        let first_key = group_id(Some(window), &[]);
        let first_key = first_key.trim_end_matches(']');
        let of_window = |known: &&GroupId| {
            let rest = known.strip_prefix(first_key);
            rest.is_some_and(|rest| rest.starts_with([',', ']']))
        };
        let present = self.emitter.emission.present().filter(of_window);
        let mut gone: Vec<GroupId> = present.cloned().collect();
        gone.sort();
        for group_id in gone {
            if let Some(row) = self.emitter.emission.observe(&group_id, None) {
                self.emitter.emit_row(GroupRow { group_id, row }, None, now);
            }
        }
    }

    /// Removes a window that has closed.
    fn remove(&mut self, window: WindowBounds) {
        self.batch.progress.changed = true;
        self.emitter.emission.close(window.end);
        if self.rules.kind.is_session() {
            // Which rows are needed depends on which sessions are open.
            self.batch.progress.sweep = Some(window.end);
        }
        self.batch.progress.open.remove(&window);
        if let Some(incremental) = &mut self.answering.incremental {
            incremental.close(window);
        }
    }
}
