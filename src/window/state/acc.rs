//! Accumulators: what an aggregate needs of the rows of a group, to which rows are added and from
//! which they are taken away.

use super::exact::Exact;
use crate::error::{Error, Result};
use crate::store::Datum;
use crate::window::analysis::Function;
use std::collections::{BTreeMap, HashMap};

/// The running value of one aggregate over one group.
#[derive(Debug, Clone)]
pub(crate) enum Acc {
    Count(i64),
    Distinct(HashMap<Box<[u8]>, u64>),
    Sum(Sum),
    Extreme(BTreeMap<Datum, u64>),
}

/// The sum of the values that are not NULL, and how many those are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sum {
    exact: Exact,
    reals: u64,
    count: u64,
    /// The sum of the magnitudes of its reals, where that is wanted.
    weight: Option<Box<Exact>>,
}

impl Acc {
    /// That of no row; where it `track_slack`, a sum knows by how much others may have it otherwise.
    pub fn new(function: Function, track_slack: bool) -> Self {
        match function {
            Function::Count => Acc::Count(0),
            Function::CountDistinct => Acc::Distinct(HashMap::new()),
            Function::Sum | Function::Avg => Acc::Sum(Sum {
                weight: track_slack.then(Box::default),
                ..Sum::default()
            }),
            Function::Min | Function::Max => Acc::Extreme(BTreeMap::new()),
        }
    }

    /// Adds a value; a row as such, of `count(*)`, is some value that is not NULL.
    pub fn add(&mut self, value: &Datum) {
        if value.is_null() {
            return;
        }
        match self {
            Acc::Count(count) => *count += 1,
            Acc::Distinct(values) => *values.entry(encoded(value)).or_default() += 1,
            Acc::Sum(sum) => sum.add(value),
            Acc::Extreme(values) => *values.entry(value.clone()).or_default() += 1,
        }
    }

    /// Takes away a value that was added.
    pub fn subtract(&mut self, value: &Datum) {
        if value.is_null() {
            return;
        }
        match self {
            Acc::Count(count) => *count -= 1,
            Acc::Distinct(values) => {
                let key = encoded(value);
                if let Some(count) = values.get_mut(&key) {
                    *count -= 1;
                    if *count == 0 {
                        values.remove(&key);
                    }
                }
            }
            Acc::Sum(sum) => sum.subtract(value),
            Acc::Extreme(values) => {
                if let Some(count) = values.get_mut(value) {
                    *count -= 1;
                    if *count == 0 {
                        values.remove(value);
                    }
                }
            }
        }
    }

    /// Adds all that another accumulator of the same kind holds.
    pub fn merge(&mut self, other: Acc) {
        match (self, other) {
            (Acc::Count(count), Acc::Count(more)) => *count += more,
            (Acc::Distinct(values), Acc::Distinct(more)) => {
                for (value, count) in more {
                    *values.entry(value).or_default() += count;
                }
            }
            (Acc::Sum(sum), Acc::Sum(more)) => sum.merge(&more),
            (Acc::Extreme(values), Acc::Extreme(more)) => {
                for (value, count) in more {
                    *values.entry(value).or_default() += count;
                }
            }
            _ => {}
        }
    }

    /// By how much the value may be off where doubles are added up one after the other and nobody
    /// carries what that rounds off; in whatever order.
    pub fn slack(&self, function: Function) -> f64 {
        let Acc::Sum(sum) = self else {
            return 0.0;
        };
        let weight = sum.weight.as_ref().and_then(|weight| weight.total());
        let weight = weight.unwrap_or(f64::INFINITY);
        let slack = weight * f64::EPSILON * sum.reals as f64;
        match function {
            Function::Avg if sum.count > 0 => slack / sum.count as f64,
            _ => slack,
        }
    }

    /// The value of the aggregate.
    ///
    /// # Errors
    /// A sum of integers beyond 64 bits, which SQLite refuses too.
    pub fn value(&self, function: Function) -> Result<Datum> {
        match (self, function) {
            (Acc::Count(count), _) => Ok(Datum::Integer(*count)),
            (Acc::Distinct(values), _) => Ok(Datum::Integer(values.len() as i64)),
            (Acc::Sum(sum), Function::Avg) => Ok(sum.average()),
            (Acc::Sum(sum), _) => sum.value(),
            (Acc::Extreme(values), Function::Min) => Ok(first(values.keys().next())),
            (Acc::Extreme(values), _) => Ok(first(values.keys().next_back())),
        }
    }
}

fn first(value: Option<&Datum>) -> Datum {
    value.cloned().unwrap_or(Datum::Null)
}

fn encoded(value: &Datum) -> Box<[u8]> {
    let mut bytes = Vec::new();
    Datum::encode(&value.cell(), &mut bytes);
    bytes.into()
}

impl Sum {
    #[inline]
    fn add(&mut self, value: &Datum) {
        self.change(value, false);
        self.count += 1;
        self.reals += u64::from(matches!(value, Datum::Real(_)));
    }

    #[inline]
    fn subtract(&mut self, value: &Datum) {
        self.change(value, true);
        self.count -= 1;
        self.reals -= u64::from(matches!(value, Datum::Real(_)));
    }

    #[inline]
    fn change(&mut self, value: &Datum, minus: bool) {
        match value {
            Datum::Real(real) => {
                self.exact.real(*real, minus);
                if let Some(weight) = &mut self.weight {
                    weight.real(real.abs(), minus);
                }
            }
            Datum::Integer(whole) => self.exact.whole(*whole, minus),
            Datum::Null | Datum::Text(_) => {}
        }
    }

    fn merge(&mut self, more: &Sum) {
        self.exact.merge(&more.exact);
        if let (Some(weight), Some(more)) = (&mut self.weight, &more.weight) {
            weight.merge(more);
        }
        self.reals += more.reals;
        self.count += more.count;
    }

    fn value(&self) -> Result<Datum> {
        match (self.count, self.reals) {
            (0, _) => Ok(Datum::Null),
            (_, 0) => match i64::try_from(self.exact.integer()) {
                Ok(whole) => Ok(Datum::Integer(whole)),
                Err(_) => Err(Error::data("integer overflow in a sum")),
            },
            // Infinities of both signs have no sum, which is NULL to SQLite.
            _ => Ok(self.exact.total().map_or(Datum::Null, Datum::Real)),
        }
    }

    fn average(&self) -> Datum {
        match (self.count, self.exact.total()) {
            (0, _) | (_, None) => Datum::Null,
            (count, Some(total)) => Datum::Real(total / count as f64),
        }
    }
}
