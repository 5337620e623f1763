//! `count(distinct x)`: how many different values there are.

use super::{Accumulator, Argument, Distinct, ResultType, Signature};
use crate::error::Result;
use crate::store::Datum;
use std::collections::HashMap;

/// The values as bytes, and how often each occurs: at least once.
#[derive(Debug, Clone)]
pub(crate) struct CountDistinct(HashMap<Box<[u8]>, u64>);

impl Accumulator for CountDistinct {
    const SIGNATURE: Signature = Signature {
        name: "count",
        distinct: Distinct::Always,
        argument: Argument::NumberOrText,
        result: ResultType::Integer,
    };

    fn new(_track_slack: bool) -> Self {
        CountDistinct(HashMap::new())
    }

    fn update(&mut self, value: &Datum) {
        *self.0.entry(encoded(value)).or_default() += 1;
    }

    fn retract(&mut self, value: &Datum) {
        let key = encoded(value);
        if let Some(count) = self.0.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&key);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        for (value, count) in other.0 {
            *self.0.entry(value).or_default() += count;
        }
    }

    fn evaluate(&self) -> Result<Datum> {
        Ok(Datum::Integer(self.0.len() as i64))
    }
}

fn encoded(value: &Datum) -> Box<[u8]> {
    let mut bytes = Vec::new();
    Datum::encode(&value.cell(), &mut bytes);
    bytes.into()
}
