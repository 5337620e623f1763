//! `avg(x)`: the sum of the values by their number; NULL where there are none.

use super::running_sum::RunningSum;
use super::{Accumulator, Argument, Distinct, ResultType, Signature};
use crate::error::Result;
use crate::store::Datum;

/// The average of the values.
#[derive(Debug, Clone)]
pub(crate) struct Avg(RunningSum);

impl Accumulator for Avg {
    const SIGNATURE: Signature = Signature {
        name: "avg",
        distinct: Distinct::Never,
        argument: Argument::Number,
        result: ResultType::Real,
    };

    fn new(track_slack: bool) -> Self {
        Avg(RunningSum::new(track_slack))
    }

    #[inline]
    fn update(&mut self, value: &Datum) {
        self.0.update(value);
    }

    #[inline]
    fn retract(&mut self, value: &Datum) {
        self.0.retract(value);
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(&other.0);
    }

    fn evaluate(&self) -> Result<Datum> {
        Ok(self.0.average())
    }

    fn slack(&self) -> f64 {
        match self.0.count() {
            0 => self.0.slack(),
            count => self.0.slack() / count as f64,
        }
    }
}
