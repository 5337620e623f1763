//! Exact sums against integers of any size, with outliers that come and leave in any order.

use super::ExactSum;
use proptest::prelude::*;
use std::mem::size_of;

/// An integer of so many 32-bit digits in two's complement, in units of the least double.
#[derive(Clone, PartialEq, Debug)]
struct Big(Vec<u32>);

const DIGITS: usize = 72;

impl Big {
    fn of(value: f64) -> Big {
        let bits = value.abs().to_bits();
        let (exponent, fraction) = (bits >> 52, bits & ((1 << 52) - 1));
        let (digits, shift) = match exponent {
            0 => (fraction, 0),
            exponent => (fraction | 1 << 52, exponent as usize - 1),
        };
        let mut big = Big(vec![0; DIGITS]);
        for bit in (0..53).filter(|bit| digits >> bit & 1 != 0) {
            let place = bit + shift;
            big.0[place / 32] |= 1 << (place % 32);
        }
        if value < 0.0 { big.negated() } else { big }
    }

    fn integer(value: i64) -> Big {
        let mut big = Big(vec![0; DIGITS]);
        for bit in (0..64).filter(|bit| value.unsigned_abs() >> bit & 1 != 0) {
            let place = bit + 1074;
            big.0[place / 32] |= 1 << (place % 32);
        }
        if value < 0 { big.negated() } else { big }
    }

    fn plus(&self, other: &Big) -> Big {
        let mut carry = 0;
        let digits = self.0.iter().zip(&other.0).map(|(a, b)| {
            let sum = u64::from(*a) + u64::from(*b) + carry;
            carry = sum >> 32;
            sum as u32
        });
        Big(digits.collect())
    }

    fn negated(&self) -> Big {
        let mut one = Big(vec![0; DIGITS]);
        one.0[0] = 1;
        Big(self.0.iter().map(|digit| !digit).collect()).plus(&one)
    }

    fn is_negative(&self) -> bool {
        self.0[DIGITS - 1] >> 31 != 0
    }

    /// Rounded to the nearest double, ties to the even one.
    fn rounded(&self) -> f64 {
        if self.is_negative() {
            return -self.negated().rounded();
        }
        let bit = |place: usize| u64::from(self.0[place / 32] >> (place % 32) & 1);
        let Some(top) = (0..DIGITS * 32).rev().find(|place| bit(*place) != 0) else {
            return 0.0;
        };
        let low = top.saturating_sub(52);
        let mut digits = (low..=top)
            .rev()
            .fold(0_u64, |all, place| all << 1 | bit(place));
        if low > 0 && bit(low - 1) != 0 {
            let more = (0..low - 1).any(|place| bit(place) != 0);
            digits += u64::from(more || digits & 1 != 0);
        }
        // Each factor is exact, and so is the product unless it is beyond the doubles.
        let power = low as i32 - 1074;
        digits as f64 * 2_f64.powi(power / 2) * 2_f64.powi(power - power / 2)
    }
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Real(f64),
    Integer(i64),
}

impl Value {
    fn big(self) -> Big {
        match self {
            Value::Real(real) => Big::of(real),
            Value::Integer(whole) => Big::integer(whole),
        }
    }

    fn apply(self, sum: &mut ExactSum, minus: bool) {
        match self {
            Value::Real(real) => sum.real(real, minus),
            Value::Integer(whole) => sum.whole(whole, minus),
        }
    }
}

fn real() -> impl Strategy<Value = f64> {
    let any_exponent =
        (any::<bool>(), 0_u64..2047, 0_u64..1 << 52).prop_map(|(negative, exponent, fraction)| {
            f64::from_bits(u64::from(negative) << 63 | exponent << 52 | fraction)
        });
    let known = vec![
        1e308,
        -1e308,
        f64::MAX,
        f64::MIN,
        1e35,
        -1e35,
        1e18,
        0.1,
        -0.1,
        0.0,
        -0.0,
        5e-324,
        -5e-324,
        f64::MIN_POSITIVE,
        1e-300,
    ];
    prop_oneof![
        4 => -1e4_f64..1e4,
        3 => (-400_i32..400).prop_map(|quarters| f64::from(quarters) / 4.0),
        3 => proptest::sample::select(known),
        2 => any_exponent,
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        9 => real().prop_map(Value::Real),
        1 => any::<i64>().prop_map(Value::Integer),
        1 => (-9_i64..9).prop_map(Value::Integer),
    ]
}

fn check(sum: &ExactSum, right: &Big) -> Result<(), TestCaseError> {
    prop_assert_eq!(sum.total(), Some(right.rounded()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    /// Values come and leave in any order; after each step the sum is the exact one, rounded once.
    #[test]
    fn a_sum_is_the_exact_one_whatever_has_come_and_left(
        steps in proptest::collection::vec((value(), 0_usize..12, 0_usize..3), 1..60),
    ) {
        let mut sum = ExactSum::default();
        let mut there: Vec<Value> = Vec::new();
        let mut right = Big(vec![0; DIGITS]);
        for (value, which, leaves) in steps {
            value.apply(&mut sum, false);
            right = right.plus(&value.big());
            there.push(value);
            check(&sum, &right)?;
            for _ in 0..leaves.min(there.len()) {
                let value = there.swap_remove(which % there.len());
                value.apply(&mut sum, true);
                right = right.plus(&value.big().negated());
                check(&sum, &right)?;
            }
        }
        for value in there {
            value.apply(&mut sum, true);
        }
        prop_assert_eq!(sum.total(), Some(0.0));
    }

    #[test]
    fn sums_that_are_merged_are_the_sum_of_all(
        parts in proptest::collection::vec(proptest::collection::vec(value(), 0..9), 1..6),
    ) {
        let mut sum = ExactSum::default();
        let mut right = Big(vec![0; DIGITS]);
        for part in &parts {
            let mut more = ExactSum::default();
            for value in part {
                value.apply(&mut more, false);
                right = right.plus(&value.big());
            }
            sum.merge(&more);
            check(&sum, &right)?;
        }
    }

    #[test]
    fn integers_have_their_exact_sum_beside_reals_that_have_left(
        whole in proptest::collection::vec(any::<i64>(), 1..20),
        reals in proptest::collection::vec(real(), 0..9),
    ) {
        let mut sum = ExactSum::default();
        for (number, value) in whole.iter().enumerate() {
            if let Some(real) = reals.get(number) {
                sum.real(*real, false);
            }
            sum.whole(*value, false);
        }
        let seen = reals.len().min(whole.len());
        reals[..seen].iter().for_each(|real| sum.real(*real, true));
        prop_assert_eq!(sum.integer(), whole.iter().map(|value| i128::from(*value)).sum::<i128>());
    }
}

#[test]
fn infinities_are_counted_and_leave_nothing() {
    let mut sum = ExactSum::default();
    sum.real(0.25, false);
    sum.real(f64::INFINITY, false);
    assert_eq!(sum.total(), Some(f64::INFINITY));
    sum.real(f64::NEG_INFINITY, false);
    assert_eq!(sum.total(), None);
    sum.real(f64::INFINITY, true);
    assert_eq!(sum.total(), Some(f64::NEG_INFINITY));
    sum.real(f64::NEG_INFINITY, true);
    assert_eq!(sum.total(), Some(0.25));
}

#[test]
fn an_outlier_costs_nothing_once_it_has_left() {
    let mut sum = ExactSum::default();
    let steady: Vec<f64> = (1..100).map(|cents| f64::from(cents) / 100.0).collect();
    steady.iter().for_each(|value| sum.real(*value, false));
    assert!(sum.rest.is_none());
    sum.real(1e35, false);
    assert!(sum.rest.is_some());
    sum.real(1e35, true);
    assert!(sum.rest.is_none());
}

#[test]
fn an_exact_sum_is_as_small_as_two_doubles_and_a_whole_one() {
    assert_eq!(size_of::<ExactSum>(), 32);
}
