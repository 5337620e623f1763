//! The clock of a window: system time, or event time by the watermark; and the time of a row.
//!
//! The time of a row is in unix seconds, rounded to the microsecond when it is read. A time in another
//! unit is far from the clock. One that no timestamp can hold is refused; one that is decades off is
//! taken, and logged once.

use crate::error::{Error, Result};
use crate::node::Context;
use crate::store::{Cell, Row};
use crate::time::{Timestamp, is_far, unit_that_fits};
use crate::window::options::TimeDomain;
use crate::window::watermark::Watermark;

/// The clock of a window.
pub(in crate::window) struct WindowClock {
    pub domain: TimeDomain,
    /// The column with the time of a row, where there is one.
    pub column: Option<TimeColumn>,
    pub watermark: Watermark,
    /// The watermark before the batch: a batch that is fed again is no later for that.
    pub(super) before: Watermark,
    /// The time of the latest row that was stored when the node was opened.
    pub latest: Option<Timestamp>,
    /// Whether a time far from the clock was logged.
    far_logged: bool,
}

/// The column with the time of a row.
pub(in crate::window) struct TimeColumn {
    pub index: usize,
    pub name: String,
    /// The table and the column, for messages.
    pub shown: String,
}

impl WindowClock {
    pub fn new(domain: TimeDomain, column: Option<TimeColumn>, watermark: Watermark) -> Self {
        WindowClock {
            domain,
            column,
            before: watermark.clone(),
            watermark,
            latest: None,
            far_logged: false,
        }
    }

    /// The name of the time column.
    pub fn column_name(&self) -> Option<&str> {
        self.column.as_ref().map(|column| column.name.as_str())
    }

    /// Starts the watermark. Returns the instant at which the state is rebuilt.
    pub fn start(&mut self, cx: &Context<'_>) -> Timestamp {
        self.watermark.open(cx.now(), self.latest);
        match self.domain {
            TimeDomain::System => cx.now(),
            TimeDomain::Event => {
                let current = self.watermark.current();
                current.unwrap_or(Timestamp::from_micros(i64::MIN))
            }
        }
    }

    /// The window's instant for a row that has come.
    pub fn now_for(&mut self, time: Option<Timestamp>, cx: &Context<'_>) -> Timestamp {
        match (self.domain, time) {
            (TimeDomain::Event, Some(time)) => {
                // System time shows how long links have been idle, where that counts.
                let now = if self.watermark.uses_system_time() {
                    cx.now()
                } else {
                    time
                };
                self.watermark.observe(cx.input(), cx.inputs(), time, now);
                self.watermark.current().unwrap_or(time)
            }
            _ => cx.now(),
        }
    }

    /// The window's instant without a row; `None` in event time before the first row.
    pub fn now(&mut self, cx: &Context<'_>) -> Option<Timestamp> {
        match self.domain {
            TimeDomain::System => Some(cx.now()),
            TimeDomain::Event => {
                self.watermark.refresh(cx.inputs(), cx.now());
                self.watermark.current()
            }
        }
    }

    /// The window's instant for a row that another node has inserted, which does not move the watermark.
    pub fn now_beside(&self, time: Option<Timestamp>, cx: &Context<'_>) -> Option<Timestamp> {
        match self.domain {
            TimeDomain::System => Some(cx.now()),
            TimeDomain::Event => self.watermark.current().or(time),
        }
    }

    /// When, in system time, the window's instant may reach another one.
    pub fn wakes_at(&self, instant: Timestamp) -> Option<Timestamp> {
        match self.domain {
            TimeDomain::System => Some(instant),
            TimeDomain::Event => self.watermark.reaches(instant),
        }
    }

    pub fn commit(&mut self) {
        if self.domain == TimeDomain::Event {
            self.before.clone_from(&self.watermark);
        }
    }

    pub fn rollback(&mut self) {
        self.watermark.clone_from(&self.before);
    }

    /// The time of a row; `now` is system time, `window` the window's name for the log.
    ///
    /// # Errors
    /// A time that is missing, or that no timestamp can hold.
    pub fn time_of(
        &mut self,
        row: &Row<'_>,
        now: Timestamp,
        window: &str,
    ) -> Result<Option<Timestamp>> {
        let Some(column) = &self.column else {
            return Ok(None);
        };
        let (time, seconds) = match &row.cells[column.index] {
            Cell::Integer(whole) => (Timestamp::of_whole_secs(*whole), *whole as f64),
            Cell::Real(real) => (Timestamp::of_secs(*real), *real),
            Cell::Null | Cell::Text(_) => {
                return Err(Error::data(format!(
                    "{} is missing, but it is the time column of the window",
                    column.shown
                )));
            }
        };
        let Some(time) = time else {
            return Err(Error::data(format!(
                "{} is {seconds} s, outside the supported range of times",
                column.shown
            ))
            .with_hint(hint(seconds, now)));
        };
        if !self.far_logged && is_far(seconds, now) {
            self.far_logged = true;
            log::warn!(
                "window {window}: {} is {seconds} s, {} years from the clock; {}; further ones are not logged",
                column.shown,
                ((seconds - now.as_secs_f64()).abs() / (365.25 * 86_400.0)).round(),
                hint(seconds, now)
            );
        }
        Ok(Some(time))
    }
}

/// The unit that the number may have been meant in.
fn hint(seconds: f64, now: Timestamp) -> String {
    match unit_that_fits(seconds, now) {
        Some(unit) => format!("times are in unix seconds; this one would fit in {unit}"),
        None => "times are in unix seconds".to_owned(),
    }
}
