//! The time of a row: unix seconds, rounded to the microsecond when it is read.
//!
//! A time in another unit is far from the clock. What is beyond the instants that are counted is
//! refused; what is decades off is taken, and logged once.

use super::Window;
use crate::error::{Error, Result};
use crate::store::{Cell, Row};
use crate::time::{Timestamp, is_far, unit_that_fits};

impl Window {
    /// The time of a row; `clock` is the network's instant.
    ///
    /// # Errors
    /// A time that is missing, or beyond the instants that are counted.
    pub(super) fn time_of(&mut self, row: &Row<'_>, clock: Timestamp) -> Result<Option<Timestamp>> {
        let Some(at) = self.time else {
            return Ok(None);
        };
        let (time, seconds) = match &row.cells[at] {
            Cell::Integer(whole) => (Timestamp::of_whole_secs(*whole), *whole as f64),
            Cell::Real(real) => (Timestamp::of_secs(*real), *real),
            Cell::Null | Cell::Text(_) => {
                return Err(Error::data(format!(
                    "{} is missing, and it is the time of the window",
                    self.time_column(at)
                )));
            }
        };
        let Some(time) = time else {
            return Err(Error::data(format!(
                "{} is {seconds} s, beyond the times that are counted",
                self.time_column(at)
            ))
            .with_hint(hint(seconds, clock)));
        };
        if !self.far && is_far(seconds, clock) {
            self.far = true;
            log::warn!(
                "window {}: {} is {seconds} s, {} years from the clock; {}; further ones are not logged",
                self.name,
                self.time_column(at),
                ((seconds - clock.as_secs_f64()).abs() / (365.25 * 86_400.0)).round(),
                hint(seconds, clock)
            );
        }
        Ok(Some(time))
    }

    fn time_column(&self, at: usize) -> String {
        format!("{}.{}", self.table.name(), self.table.columns()[at].name)
    }
}

/// What the number may have been meant as.
fn hint(seconds: f64, clock: Timestamp) -> String {
    match unit_that_fits(seconds, clock) {
        Some(unit) => format!("a time is in unix seconds, this one fits in {unit}"),
        None => "a time is in unix seconds".to_owned(),
    }
}
