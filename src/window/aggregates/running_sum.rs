//! The sum of the values of a group, without rounding.

use super::exact::ExactSum;
use crate::error::{Error, Result};
use crate::store::Datum;

/// The sum of the numbers that were added and not taken away, and how many there are.
#[derive(Debug, Clone)]
pub(super) struct RunningSum {
    sum: ExactSum,
    /// How many of the values are doubles.
    reals: u64,
    count: u64,
    /// The sum of the magnitudes of the doubles, where the slack is asked for.
    magnitude: Option<Box<ExactSum>>,
}

impl RunningSum {
    pub fn new(track_slack: bool) -> Self {
        RunningSum {
            sum: ExactSum::default(),
            reals: 0,
            count: 0,
            magnitude: track_slack.then(Box::default),
        }
    }

    #[inline]
    pub fn update(&mut self, value: &Datum) {
        self.change(value, false);
        self.count += 1;
        self.reals += u64::from(matches!(value, Datum::Real(_)));
    }

    #[inline]
    pub fn retract(&mut self, value: &Datum) {
        self.change(value, true);
        self.count -= 1;
        self.reals -= u64::from(matches!(value, Datum::Real(_)));
    }

    #[inline]
    fn change(&mut self, value: &Datum, minus: bool) {
        match value {
            Datum::Real(real) => {
                self.sum.real(*real, minus);
                if let Some(magnitude) = &mut self.magnitude {
                    magnitude.real(real.abs(), minus);
                }
            }
            Datum::Integer(whole) => self.sum.whole(*whole, minus),
            Datum::Null | Datum::Text(_) => {}
        }
    }

    pub fn merge(&mut self, more: &RunningSum) {
        self.sum.merge(&more.sum);
        if let (Some(magnitude), Some(more)) = (&mut self.magnitude, &more.magnitude) {
            magnitude.merge(more);
        }
        self.reals += more.reals;
        self.count += more.count;
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum, as an integer where all values are integers; NULL where there are none.
    ///
    /// # Errors
    /// A sum of integers beyond 64 bits, which SQLite refuses too.
    pub fn sum(&self) -> Result<Datum> {
        match (self.count, self.reals) {
            (0, _) => Ok(Datum::Null),
            (_, 0) => match i64::try_from(self.sum.integer()) {
                Ok(whole) => Ok(Datum::Integer(whole)),
                Err(_) => Err(Error::data("integer overflow in a sum")),
            },
            // Infinities of both signs have no sum, which is NULL to SQLite.
            _ => Ok(self.sum.total().map_or(Datum::Null, Datum::Real)),
        }
    }

    /// The sum by the number of values; NULL where there are none.
    pub fn average(&self) -> Datum {
        match (self.count, self.sum.total()) {
            (0, _) | (_, None) => Datum::Null,
            (count, Some(total)) => Datum::Real(total / count as f64),
        }
    }

    /// By how much the sum may differ where it is rounded after each value, in any order.
    pub fn slack(&self) -> f64 {
        let magnitude = self.magnitude.as_ref().and_then(|sum| sum.total());
        magnitude.unwrap_or(f64::INFINITY) * f64::EPSILON * self.reals as f64
    }
}
