//! The aggregates whose values are kept from event to event: a file for each.
//!
//! An aggregate is an [`Accumulator`]: a value over the rows of a group, to which rows are added and
//! from which they are taken away. To add one (`stddev`, for example): write its file, with its name in SQL,
//! its arguments and its result; add it to the list at the end of this file; and add a query
//! that uses it to `analysis/tests/answers.rs`, which compares it with the database's.
//!
//! - `running_sum` — the sum of `sum` and `avg`; `exact` — sums without rounding.
//! - `value_counts` — the values of `min` and `max`.

mod avg;
mod count;
mod count_distinct;
mod exact;
mod max;
mod min;
mod running_sum;
mod sum;
mod value_counts;

use crate::error::{Error, Result, quote};
use crate::store::{Cell, Datum};

use avg::Avg;
use count::Count;
use count_distinct::CountDistinct;
use max::Max;
use min::Min;
use sum::Sum;

/// The running value of an aggregate over the rows of one group. NULL is no value to any of them: it is
/// neither added nor taken away.
pub(crate) trait Accumulator: Sized {
    /// The name of the aggregate in SQL, in lower case, and the rest of its signature.
    const SIGNATURE: Signature;

    /// The value over no rows; `track_slack`: whether [`slack`](Self::slack) is asked for.
    fn new(track_slack: bool) -> Self;

    /// Adds the argument of a row.
    fn update(&mut self, value: &Datum);

    /// Takes away the argument of a row that was added.
    fn retract(&mut self, value: &Datum);

    /// Adds all that another accumulator holds.
    fn merge(&mut self, other: Self);

    /// The value of the aggregate.
    ///
    /// # Errors
    /// A value that the database cannot compute either: a sum of integers beyond 64 bits.
    fn evaluate(&self) -> Result<Datum>;

    /// By how much the value may differ where doubles are added one after the other, in any order, and
    /// each sum is rounded.
    fn slack(&self) -> f64 {
        0.0
    }
}

/// The name, the arguments and the result of an aggregate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature {
    pub name: &'static str,
    pub distinct: Distinct,
    pub argument: Argument,
    pub result: ResultType,
}

/// Whether a call has DISTINCT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distinct {
    Never,
    Always,
    /// With or without it: the value is the same.
    Either,
}

/// Which arguments an aggregate takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    /// Values of any type, or `*`: rows.
    Anything,
    Number,
    NumberOrText,
}

/// The type of the value of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResultType {
    Integer,
    Real,
    /// That of the argument.
    Same,
    /// That of the argument; MySQL makes a decimal of the sum of integers.
    Sum,
}

/// The type of the argument of an aggregate, as far as it is known from the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArgumentType {
    /// Whole numbers; SQLite makes a real of one that it computes beyond 64 bits.
    Integer,
    Real,
    /// Texts, or values that are only counted.
    Other,
}

impl ArgumentType {
    /// An argument of this type from what the database returned. A database may return a whole number
    /// as text; it is the number that the text shows.
    ///
    /// # Errors
    /// Another text where a number is wanted: then the type is wrong, and the plan with it.
    pub fn value(self, cell: &Cell<'_>) -> Result<Datum> {
        match (self, cell) {
            (ArgumentType::Integer | ArgumentType::Real, Cell::Text(text)) => match text.parse() {
                Ok(whole) => Ok(Datum::Integer(whole)),
                Err(_) => Err(Error::data(format!(
                    "the database returned {} where a number was expected",
                    quote(text)
                ))
                .with_hint("set plan = \"requery\"")),
            },
            (_, cell) => Ok(Datum::from(cell)),
        }
    }
}

/// Makes the list of aggregates, and dispatches to their accumulators: by a match, so that a row costs
/// no call through a pointer.
macro_rules! aggregates {
    ($($name:ident),* $(,)?) => {
        /// An aggregate.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum AggregateFunction {
            $($name),*
        }

        /// The accumulator of any aggregate.
        #[derive(Debug, Clone)]
        pub(crate) enum AnyAccumulator {
            $($name($name)),*
        }

        impl AggregateFunction {
            const ALL: &'static [AggregateFunction] = &[$(AggregateFunction::$name),*];

            pub fn signature(self) -> Signature {
                match self {
                    $(AggregateFunction::$name => $name::SIGNATURE),*
                }
            }

            /// Its value over no rows.
            pub fn accumulator(self, track_slack: bool) -> AnyAccumulator {
                match self {
                    $(AggregateFunction::$name => AnyAccumulator::$name($name::new(track_slack))),*
                }
            }
        }

        impl AnyAccumulator {
            /// Adds a value; a row as such, of `count(*)`, is any value but NULL.
            #[inline]
            pub fn update(&mut self, value: &Datum) {
                if value.is_null() {
                    return;
                }
                match self {
                    $(AnyAccumulator::$name(accumulator) => accumulator.update(value)),*
                }
            }

            /// Takes away a value that was added.
            #[inline]
            pub fn retract(&mut self, value: &Datum) {
                if value.is_null() {
                    return;
                }
                match self {
                    $(AnyAccumulator::$name(accumulator) => accumulator.retract(value)),*
                }
            }

            /// Adds all that another accumulator of the same aggregate holds.
            pub fn merge(&mut self, other: AnyAccumulator) {
                match (self, other) {
                    $((AnyAccumulator::$name(one), AnyAccumulator::$name(other)) => one.merge(other),)*
                    _ => debug_assert!(false, "accumulators of two aggregates are not merged"),
                }
            }

            /// The value of the aggregate.
            ///
            /// # Errors
            /// Those of [`Accumulator::evaluate`].
            pub fn evaluate(&self) -> Result<Datum> {
                match self {
                    $(AnyAccumulator::$name(accumulator) => accumulator.evaluate()),*
                }
            }

            /// See [`Accumulator::slack`].
            pub fn slack(&self) -> f64 {
                match self {
                    $(AnyAccumulator::$name(accumulator) => accumulator.slack()),*
                }
            }
        }
    };
}

impl AggregateFunction {
    /// Whether an aggregate has this name (in lower case).
    pub fn is_name(name: &str) -> bool {
        let mut all = AggregateFunction::ALL.iter();
        all.any(|function| function.signature().name == name)
    }

    /// The aggregate that a call names (in lower case), with or without DISTINCT.
    pub fn find(name: &str, distinct: bool) -> Option<Self> {
        let called = |function: &&AggregateFunction| {
            let signature = function.signature();
            let matches = match signature.distinct {
                Distinct::Never => !distinct,
                Distinct::Always => distinct,
                Distinct::Either => true,
            };
            matches && signature.name == name
        };
        AggregateFunction::ALL.iter().find(called).copied()
    }
}

aggregates!(Count, CountDistinct, Sum, Avg, Min, Max);

#[cfg(test)]
mod tests;
