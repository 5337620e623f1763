//! Accumulators: what an aggregate needs of the rows of a group, to which rows are added and from
//! which they are taken away.

use crate::error::{Error, Result};
use crate::store::Datum;
use crate::window::plan::Function;
use std::collections::{BTreeMap, HashMap};

/// The running value of one aggregate over one group.
#[derive(Debug, Clone)]
pub(crate) enum Acc {
    Count(i64),
    Distinct(HashMap<Box<[u8]>, u64>),
    Sum(Sum),
    Extreme(BTreeMap<Datum, u64>),
}

/// 128 bits at any multiple of eight bytes: a multiple of sixteen would leave room that nobody uses.
#[derive(Debug, Clone, Copy, Default)]
#[repr(Rust, packed(8))]
struct Wide(i128);

/// The sum of the values that are not NULL, and how many those are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sum {
    whole: Wide,
    real: Compensated,
    reals: u64,
    count: u64,
    /// The sum of how great its reals are, where that is wanted.
    weight: Option<Box<Compensated>>,
}

impl Acc {
    /// That of no row; where it `weighs`, a sum knows by how much others may have it otherwise.
    pub fn new(function: Function, weighs: bool) -> Self {
        match function {
            Function::Count => Acc::Count(0),
            Function::CountDistinct => Acc::Distinct(HashMap::new()),
            Function::Sum | Function::Avg => Acc::Sum(Sum {
                weight: weighs.then(Box::default),
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
            Acc::Sum(sum) => sum.add(value, 1.0),
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
            Acc::Sum(sum) => sum.add(value, -1.0),
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

    /// Whether a sum has overflowed: what is taken away from it leaves nothing to be trusted.
    pub fn is_broken(&self) -> bool {
        matches!(self, Acc::Sum(sum) if !sum.real.total().is_finite())
    }

    /// By how much the value may be off where doubles are added up one after the other and nobody
    /// carries what that rounds off; in whatever order.
    pub fn slack(&self, function: Function) -> f64 {
        let Acc::Sum(sum) = self else {
            return 0.0;
        };
        let weight = sum.weight.as_ref().map_or(0.0, |weight| weight.total());
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
    fn add(&mut self, value: &Datum, sign: f64) {
        match value {
            Datum::Integer(whole) => self.whole.0 += i128::from(*whole) * sign as i128,
            Datum::Real(real) => {
                self.real.add(real * sign);
                if let Some(weight) = &mut self.weight {
                    weight.add(real.abs() * sign);
                }
                match sign > 0.0 {
                    true => self.reals += 1,
                    false => self.reals -= 1,
                }
                if self.reals == 0 {
                    // Nothing is left of it, so neither is a residue.
                    self.real = Compensated::default();
                    self.weight
                        .iter_mut()
                        .for_each(|w| **w = Compensated::default());
                }
            }
            Datum::Null | Datum::Text(_) => {}
        }
        match sign > 0.0 {
            true => self.count += 1,
            false => self.count -= 1,
        }
    }

    fn merge(&mut self, more: &Sum) {
        self.whole.0 += more.whole.0;
        self.real.add(more.real.high);
        self.real.add(more.real.low);
        if let (Some(weight), Some(more)) = (&mut self.weight, &more.weight) {
            weight.add(more.total());
        }
        self.reals += more.reals;
        self.count += more.count;
    }

    fn total(&self) -> f64 {
        match self.whole.0 {
            0 => self.real.total(),
            whole => {
                let mut total = self.real;
                total.add(whole as f64);
                total.total()
            }
        }
    }

    fn value(&self) -> Result<Datum> {
        match (self.count, self.reals) {
            (0, _) => Ok(Datum::Null),
            (_, 0) => match i64::try_from(self.whole.0) {
                Ok(whole) => Ok(Datum::Integer(whole)),
                Err(_) => Err(Error::data("integer overflow in a sum")),
            },
            _ => Ok(Datum::Real(self.total())),
        }
    }

    fn average(&self) -> Datum {
        match self.count {
            0 => Datum::Null,
            count => Datum::Real(self.total() / count as f64),
        }
    }
}

/// A sum of doubles that carries what each addition rounds off (Neumaier, 1974), with the two
/// parts brought into order after each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Compensated {
    high: f64,
    low: f64,
}

impl Compensated {
    fn add(&mut self, value: f64) {
        let sum = self.high + value;
        if !sum.is_finite() {
            // Beyond doubles there is no rest to carry.
            *self = Compensated {
                high: sum,
                low: 0.0,
            };
            return;
        }
        let lost = match self.high.abs() >= value.abs() {
            true => (self.high - sum) + value,
            false => (value - sum) + self.high,
        };
        let low = self.low + lost;
        self.high = sum + low;
        self.low = (sum - self.high) + low;
    }

    fn total(self) -> f64 {
        self.high + self.low
    }
}
