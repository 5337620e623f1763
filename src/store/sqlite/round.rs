//! SQLite's `round(number, digits)`, by arithmetic where that cannot go wrong.
//!
//! SQLite rounds by writing the number as a text and reading that again: half of what it costs to
//! evaluate a group whose sum is rounded. Where what is left behind the last digit is not near a
//! half, a multiplication and a division give the same double. All else is left to SQLite itself:
//! this connection has the replacement, so another connection is used for it.

use super::bounded::call_plain;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

/// One and so many zeros.
const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Below this the product of a number and a power is off by an eighth of [`NEAR`] at most.
const LARGE: f64 = (1_u64 << 40) as f64;
/// What is so near to a half may be rounded either way.
const NEAR: f64 = 1e-3;

/// The longest text that is taken for a number, in bytes.
const LONGEST: usize = 1_000_000_000;

/// Replaces `round` of two arguments on a connection.
pub(super) fn install(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("round", 2, flags, |cx| round(cx))
}

fn round(cx: &Context<'_>) -> Result<Value> {
    let (number, digits) = (cx.get_raw(0), cx.get_raw(1));
    if let (ValueRef::Real(number), ValueRef::Integer(digits)) = (number, digits)
        && let Some(rounded) = quick(number, digits)
    {
        return Ok(Value::Real(rounded));
    }
    as_sqlite_has_it(number, digits)
}

/// The number rounded, where that is beyond doubt.
fn quick(number: f64, digits: i64) -> Option<f64> {
    let power = *POWERS.get(usize::try_from(digits).ok()?)?;
    let scaled = number.abs() * power;
    if scaled >= LARGE || (scaled.fract() - 0.5).abs() < NEAR {
        return None;
    }
    let whole = scaled.round();
    // Nothing has a sign of its own, of which the text may know something else.
    (whole > 0.0).then(|| (whole / power).copysign(number))
}

fn as_sqlite_has_it(number: ValueRef<'_>, digits: ValueRef<'_>) -> Result<Value> {
    call_plain("SELECT round(?1, ?2)", &[number, digits], LONGEST, |row| {
        row.get(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::types::ToSqlOutput;

    /// The results of the replacement and of SQLite for the same arguments, with doubles as bits.
    fn both(number: Value, digits: i64) -> (Value, Value) {
        thread_local! {
            static OURS: Connection = {
                let ours = Connection::open_in_memory().unwrap();
                install(&ours).unwrap();
                ours
            };
        }
        let ours = OURS.with(|ours| {
            let mut statement = ours.prepare_cached("SELECT round(?1, ?2)").unwrap();
            let rounded = statement.query_row((&number, digits), |row| row.get(0));
            rounded.unwrap()
        });
        let number = ToSqlOutput::Owned(number);
        let ToSqlOutput::Owned(number) = &number else {
            unreachable!()
        };
        let theirs = as_sqlite_has_it(number.into(), ValueRef::Integer(digits)).unwrap();
        (ours, theirs)
    }

    fn assert_same(number: Value, digits: i64) {
        let (ours, theirs) = both(number.clone(), digits);
        let same = match (&ours, &theirs) {
            (Value::Real(ours), Value::Real(theirs)) => ours.to_bits() == theirs.to_bits(),
            _ => ours == theirs,
        };
        assert!(same, "{number:?} to {digits}: {ours:?}, {theirs:?}");
    }

    #[test]
    fn it_rounds_as_sqlite_does_where_it_is_told_something_odd() {
        let numbers = [
            Value::Null,
            Value::Integer(7),
            Value::Text("12.345".into()),
            Value::Blob(vec![1]),
        ];
        let reals = [
            0.0,
            -0.0,
            -0.001,
            0.005,
            0.5,
            2.5,
            2.675,
            1e300,
            -1e15,
            f64::INFINITY,
        ];
        for number in numbers.into_iter().chain(reals.map(Value::Real)) {
            for digits in [-1, 0, 1, 2, 9, 10, 30, 31, i64::MAX] {
                assert_same(number.clone(), digits);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn it_rounds_as_sqlite_does(
            number in prop_oneof![
                any::<f64>().prop_filter("a number", |number| !number.is_nan()),
                -1e6..1e6,
                -10.0..10.0,
                (-1e12 as i64..1e12 as i64).prop_map(|thousandths| thousandths as f64 / 1e3),
                (any::<i32>(), -3_i32..4).prop_map(|(tie, ulps)| {
                    let tie = (f64::from(tie) + 0.5) / 1e2;
                    f64::from_bits(tie.to_bits().wrapping_add_signed(i64::from(ulps)))
                }),
            ],
            digits in 0_i64..10,
        ) {
            assert_same(Value::Real(number), digits);
        }
    }
}
