//! `max(x)`: the greatest of the values; NULL where there are none.

use super::value_counts::ValueCounts;
use super::{Accumulator, Argument, Distinct, ResultType, Signature};
use crate::error::Result;
use crate::store::Datum;

/// The values, of which the greatest is the result.
#[derive(Debug, Clone)]
pub(crate) struct Max(ValueCounts);

impl Accumulator for Max {
    const SIGNATURE: Signature = Signature {
        name: "max",
        distinct: Distinct::Either,
        argument: Argument::NumberOrText,
        result: ResultType::Same,
    };

    fn new(_track_slack: bool) -> Self {
        Max(ValueCounts::default())
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
        self.0.merge(other.0);
    }

    fn evaluate(&self) -> Result<Datum> {
        Ok(self.0.greatest())
    }
}
