//! The bound on time that a query sets itself: `from_unixtime(t) >= now() - interval 10 second`,
//! `t > :now - 10`, and whatever says the same.
//!
//! Both sides of a comparison are read as sums, so it doesn't matter how they are written and on
//! which side they stand. Clocks have been replaced by their parameters before.

use super::Bound;
use super::expressions::unwrapped;
use super::time_sum::TimeSums;
use crate::store::{Dialect, Type};
use sqlparser::ast::{BinaryOperator, Expr};
use std::time::Duration;

impl Bound {
    /// Whether it finds rows that are older than this.
    pub(super) fn exceeds(&self, size: Duration) -> bool {
        let cut = match self.whole_seconds && size.subsec_nanos() != 0 {
            true => Duration::from_secs(1),
            false => Duration::ZERO,
        };
        self.length + cut > size
    }
}

/// What a condition says of the time.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TimeCondition {
    /// The bound that moves with the clock.
    Lower(Bound),
    /// `time >= :window_start`.
    Start,
    /// `time < :window_end`.
    End,
    /// A clock bounds the time from above.
    Upper,
    /// A clock and the time are in it, and it is none of these.
    Unclear,
    /// Nothing of time and clocks together.
    Nothing,
}

/// What a condition says of the column `time` of the window's table.
pub(super) fn read(
    dialect: Dialect,
    time: Option<(usize, Type)>,
    condition: &Expr,
) -> TimeCondition {
    let Some((time, kind)) = time else {
        return TimeCondition::Nothing;
    };
    let sums = TimeSums {
        dialect,
        time,
        whole_column: kind == Type::Integer,
    };
    let unclear = || match sums.mixes(condition) {
        true => TimeCondition::Unclear,
        false => TimeCondition::Nothing,
    };
    let Expr::BinaryOp { left, op, right } = unwrapped(condition) else {
        return unclear();
    };
    let greater = match op {
        BinaryOperator::GtEq | BinaryOperator::Gt => true,
        BinaryOperator::LtEq | BinaryOperator::Lt => false,
        _ => return unclear(),
    };
    let inclusive = matches!(op, BinaryOperator::GtEq | BinaryOperator::LtEq);
    let difference = match (sums.of(left), sums.of(right)) {
        (Some(left), Some(right)) if sums.comparable(&left, &right) => left.minus(&right),
        _ => return unclear(),
    };
    // As `time <=> instant + micros`.
    let (d, greater) = match difference.time {
        1 => (difference, greater),
        -1 => (difference.negated(), !greater),
        _ => return unclear(),
    };
    match (d.now, d.start, d.end) {
        (-1, 0, 0) if !greater => TimeCondition::Upper,
        (-1, 0, 0) => match u64::try_from(d.micros) {
            Ok(micros) if !d.cut || d.whole => TimeCondition::Lower(Bound {
                length: Duration::from_micros(micros),
                inclusive,
                whole_seconds: d.whole,
            }),
            _ => unclear(),
        },
        (0, -1, 0) if d.micros == 0 && greater && inclusive => TimeCondition::Start,
        (0, 0, -1) if d.micros == 0 && !greater && !inclusive => TimeCondition::End,
        _ => unclear(),
    }
}
