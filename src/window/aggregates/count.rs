//! `count(*)` and `count(x)`: how many rows there are, or how many values that are not NULL.

use super::{Accumulator, Argument, Distinct, ResultType, Signature};
use crate::error::Result;
use crate::store::Datum;

/// The number of values.
#[derive(Debug, Clone)]
pub(crate) struct Count(i64);

impl Accumulator for Count {
    const SIGNATURE: Signature = Signature {
        name: "count",
        distinct: Distinct::Never,
        argument: Argument::Anything,
        result: ResultType::Integer,
    };

    fn new(_track_slack: bool) -> Self {
        Count(0)
    }

    #[inline]
    fn update(&mut self, _value: &Datum) {
        self.0 += 1;
    }

    #[inline]
    fn retract(&mut self, _value: &Datum) {
        self.0 -= 1;
    }

    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn evaluate(&self) -> Result<Datum> {
        Ok(Datum::Integer(self.0))
    }
}
