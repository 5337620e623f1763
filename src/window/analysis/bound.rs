//! The bound on time in the query itself: `from_unixtime(t) >= now() - interval 10 second`,
//! `t > :now - 10`, and all that is equivalent.
//!
//! Both sides of a comparison are read as sums, so it does not matter how they are written, nor which
//! side is which. Clocks have been replaced by their parameters before.

use super::Bound;
use super::expressions::unwrapped;
use super::time_sum::TimeSums;
use crate::store::{Dialect, Type};
use sqlparser::ast::{BinaryOperator, Expr};
use std::time::Duration;

impl Bound {
    /// Whether it finds rows that are older than this.
    pub(super) fn exceeds(&self, size: Duration) -> bool {
        let cut = if self.whole_seconds && size.subsec_nanos() != 0 {
            Duration::from_secs(1)
        } else {
            Duration::ZERO
        };
        self.length + cut > size
    }
}

/// What a condition demands of the time of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TimeCondition {
    /// The bound that moves with the clock.
    Lower(Bound),
    /// `time >= :window_start`.
    Start,
    /// `time < :window_end`.
    End,
    /// An upper bound that moves with the clock.
    Upper,
    /// It has both a clock and the time in it, and is none of these.
    Unclear,
    /// It does not have both a clock and the time in it.
    Nothing,
}

/// What a condition demands of the column `time` of the window's table.
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
    let unclear = || {
        if sums.mixes(condition) {
            TimeCondition::Unclear
        } else {
            TimeCondition::Nothing
        }
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
