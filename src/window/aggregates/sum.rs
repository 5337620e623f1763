//! `sum(x)`: the sum of the values; NULL where there are none.

use super::running_sum::RunningSum;
use super::{Accumulator, Argument, Distinct, ResultType, Signature};
use crate::error::Result;
use crate::store::Datum;

/// The sum of the values.
#[derive(Debug, Clone)]
pub(crate) struct Sum(RunningSum);

impl Accumulator for Sum {
    const SIGNATURE: Signature = Signature {
        name: "sum",
        distinct: Distinct::Never,
        argument: Argument::Number,
        result: ResultType::Sum,
    };

    fn new(track_slack: bool) -> Self {
        Sum(RunningSum::new(track_slack))
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
        self.0.sum()
    }

    fn slack(&self) -> f64 {
        self.0.slack()
    }
}
