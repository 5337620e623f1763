//! The sides of a comparison as sums of the time column, the current instant and seconds.
//!
//! The invariant: an expression is a sum only if the database computes the same to the microsecond, for
//! every value of the time column. To support another form, add an arm in [`TimeSums::of`] or in
//! `TimeSums::function`.

use super::expressions::unwrapped;
use super::survey::name_of;
use super::symbol::{Symbol, param_name};
use super::{WINDOW_END, WINDOW_START};
use crate::store::Dialect;
use crate::store::dialect::{NOW, NOW_DATETIME, NOW_UNIX};
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Interval, UnaryOperator, Value,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueForm {
    Number,
    Datetime,
    /// A number as text, which SQLite converts where it is compared with a column.
    Digits,
}

/// A sum of multiples of the time column, the current instant, `:window_start` and `:window_end`, and of
/// microseconds.
#[derive(Debug, Clone)]
pub(super) struct TimeSum {
    form: ValueForm,
    pub time: i32,
    pub now: i32,
    pub start: i32,
    pub end: i32,
    pub micros: i128,
    /// Whether the current instant in it is cut to the second.
    pub whole: bool,
    /// Whether it has instants of both kinds.
    pub cut: bool,
    /// Whether it is the time column and nothing else.
    bare: bool,
}

impl TimeSum {
    fn number(micros: i128) -> TimeSum {
        TimeSum {
            form: ValueForm::Number,
            time: 0,
            now: 0,
            start: 0,
            end: 0,
            micros,
            whole: false,
            cut: false,
            bare: false,
        }
    }

    fn instant(form: ValueForm, whole: bool) -> TimeSum {
        TimeSum {
            form,
            now: 1,
            whole,
            ..TimeSum::number(0)
        }
    }

    pub fn negated(self) -> TimeSum {
        TimeSum {
            time: -self.time,
            now: -self.now,
            start: -self.start,
            end: -self.end,
            micros: -self.micros,
            bare: false,
            ..self
        }
    }

    fn plus(&self, other: &TimeSum) -> TimeSum {
        let both = self.now != 0 && other.now != 0 && self.whole != other.whole;
        TimeSum {
            form: self.form,
            time: self.time + other.time,
            now: self.now + other.now,
            start: self.start + other.start,
            end: self.end + other.end,
            micros: self.micros + other.micros,
            whole: self.whole || other.whole,
            cut: self.cut || other.cut || both,
            bare: false,
        }
    }

    pub fn minus(&self, other: &TimeSum) -> TimeSum {
        self.plus(&other.clone().negated())
    }

    fn constant(&self) -> Option<i128> {
        let plain = (self.time, self.now, self.start, self.end) == (0, 0, 0, 0);
        (plain && self.form == ValueForm::Number).then_some(self.micros)
    }

    /// Whether it is one instant and seconds, as a datetime must be.
    fn is_instant(&self) -> bool {
        self.time + self.now + self.start + self.end == 1
    }
}

const SECOND: i128 = 1_000_000;

pub(super) struct TimeSums {
    pub dialect: Dialect,
    /// The place of the time column.
    pub time: usize,
    /// Whether that holds whole numbers.
    pub whole_column: bool,
}

impl TimeSums {
    /// Whether a condition has both a clock and the time in it.
    pub fn mixes(&self, condition: &Expr) -> bool {
        let mut seen = (false, false);
        let _ = sqlparser::ast::visit_expressions(condition, |expr| {
            if let Some(name) = param_name(expr) {
                seen.0 |= [NOW, NOW_UNIX, NOW_DATETIME].contains(&name);
                seen.1 |= Symbol::named(name) == Some(Symbol::Column(0, self.time));
            }
            std::ops::ControlFlow::<()>::Continue(())
        });
        seen == (true, true)
    }

    pub fn comparable(&self, left: &TimeSum, right: &TimeSum) -> bool {
        match (left.form, right.form) {
            (ValueForm::Digits, ValueForm::Number) => right.bare,
            (ValueForm::Number, ValueForm::Digits) => left.bare,
            (left, right) => left == right && left != ValueForm::Digits,
        }
    }

    pub fn of(&self, expr: &Expr) -> Option<TimeSum> {
        match expr {
            Expr::Nested(inner) => self.of(inner),
            Expr::Value(value) => match &value.value {
                Value::Number(text, _) => Some(TimeSum::number(micros(text)?)),
                Value::Placeholder(name) => self.param(name.strip_prefix(':')?),
                _ => None,
            },
            Expr::UnaryOp { op, expr } => match op {
                UnaryOperator::Minus => Some(self.numeric(expr)?.negated()),
                UnaryOperator::Plus => self.numeric(expr),
                _ => None,
            },
            Expr::BinaryOp { left, op, right } => match (op, &**left, &**right) {
                (BinaryOperator::Plus, from, Expr::Interval(by))
                | (BinaryOperator::Plus, Expr::Interval(by), from) => self.shifted(from, by, 1),
                (BinaryOperator::Minus, from, Expr::Interval(by)) => self.shifted(from, by, -1),
                (BinaryOperator::Plus, left, right) => {
                    Some(self.numeric(left)?.plus(&self.numeric(right)?))
                }
                (BinaryOperator::Minus, left, right) => {
                    Some(self.numeric(left)?.minus(&self.numeric(right)?))
                }
                (BinaryOperator::Multiply, left, right) => {
                    let (left, right) = (self.of(left)?.constant()?, self.of(right)?.constant()?);
                    let product = left.checked_mul(right)?;
                    (product % SECOND == 0).then(|| TimeSum::number(product / SECOND))
                }
                _ => None,
            },
            Expr::Cast {
                expr, data_type, ..
            } => self.cast(expr, data_type),
            Expr::Function(function) => self.function(function),
            _ => None,
        }
    }

    fn param(&self, name: &str) -> Option<TimeSum> {
        if Symbol::named(name) == Some(Symbol::Column(0, self.time)) {
            return Some(TimeSum {
                time: 1,
                bare: true,
                ..TimeSum::number(0)
            });
        }
        match name {
            NOW => Some(TimeSum::instant(ValueForm::Number, false)),
            NOW_UNIX => Some(TimeSum::instant(ValueForm::Number, true)),
            NOW_DATETIME => Some(TimeSum::instant(ValueForm::Datetime, true)),
            WINDOW_START => Some(TimeSum {
                start: 1,
                ..TimeSum::number(0)
            }),
            WINDOW_END => Some(TimeSum {
                end: 1,
                ..TimeSum::number(0)
            }),
            _ => None,
        }
    }

    /// An operand of arithmetic: text of digits is a number there.
    fn numeric(&self, expr: &Expr) -> Option<TimeSum> {
        let mut sum = self.of(expr)?;
        match sum.form {
            ValueForm::Datetime => None,
            _ => {
                sum.form = ValueForm::Number;
                Some(sum)
            }
        }
    }

    fn shifted(&self, from: &Expr, by: &Interval, sign: i128) -> Option<TimeSum> {
        let unit = by.leading_field.as_ref()?.to_string().to_ascii_lowercase();
        if by.last_field.is_some() || by.leading_precision.is_some() {
            return None;
        }
        let count = self.count(&by.value)?;
        self.moved(self.of(from)?, sign * count, &unit)
    }

    /// How many units, in millionths; a text of digits will do.
    fn count(&self, expr: &Expr) -> Option<i128> {
        match unwrapped(expr) {
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } => Some(-self.count(expr)?),
            expr => match text(expr) {
                Some(text) => micros(text.trim()),
                None => self.of(expr)?.constant(),
            },
        }
    }

    /// A datetime moved by millionths of a unit.
    fn moved(&self, mut from: TimeSum, count: i128, unit: &str) -> Option<TimeSum> {
        let factor = match unit {
            "microsecond" => 1,
            "second" => SECOND,
            "minute" => 60 * SECOND,
            "hour" => 3_600 * SECOND,
            "day" => 86_400 * SECOND,
            "week" => 604_800 * SECOND,
            _ => return None,
        };
        // Only seconds have fractions; of other units the databases round them.
        let by = match unit {
            "second" => count,
            _ if count % SECOND == 0 => count / SECOND * factor,
            _ => return None,
        };
        from.micros += by;
        (from.form == ValueForm::Datetime).then_some(from)
    }

    fn cast(&self, expr: &Expr, to: &DataType) -> Option<TimeSum> {
        let mut sum = self.of(expr)?;
        match (sum.form, to) {
            (ValueForm::Datetime, DataType::Datetime(_)) => Some(sum),
            (
                ValueForm::Number | ValueForm::Digits,
                DataType::Integer(None)
                | DataType::Int(None)
                | DataType::Signed
                | DataType::SignedInteger,
            ) => {
                let whole = (sum.time == 0 || self.whole_column)
                    && (sum.now == 0 || sum.whole)
                    && sum.micros % SECOND == 0;
                sum.form = ValueForm::Number;
                sum.bare = false;
                whole.then_some(sum)
            }
            _ => None,
        }
    }

    fn function(&self, function: &Function) -> Option<TimeSum> {
        let FunctionArguments::List(list) = &function.args else {
            return None;
        };
        let args: Vec<&Expr> = list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let name = name_of(function);
        match (name.as_str(), args.as_slice()) {
            ("from_unixtime", [of]) => {
                let mut sum = self.numeric(of)?;
                sum.form = ValueForm::Datetime;
                sum.bare = false;
                sum.is_instant().then_some(sum)
            }
            ("unix_timestamp", [of]) => {
                let mut sum = self.of(of)?;
                let datetime = sum.form == ValueForm::Datetime;
                sum.form = ValueForm::Number;
                datetime.then_some(sum)
            }
            ("date_shift", [from, by, unit]) => {
                let by = self.count(by)?;
                self.moved(self.of(from)?, by, text(unit)?)
            }
            ("date_sub" | "subdate", [from, Expr::Interval(by)]) => self.shifted(from, by, -1),
            ("date_add" | "adddate", [from, Expr::Interval(by)]) => self.shifted(from, by, 1),
            ("strftime", [format, rest @ ..]) if text(format) == Some("%s") => {
                self.epoch(rest, ValueForm::Digits)
            }
            ("unixepoch", args) => self.epoch(args, ValueForm::Number),
            ("datetime", args) => self.epoch(args, ValueForm::Datetime),
            _ => None,
        }
    }

    /// Functions of unix seconds and modifiers, as SQLite has them: they return whole seconds.
    fn epoch(&self, args: &[&Expr], form: ValueForm) -> Option<TimeSum> {
        let [of, epoch, modifiers @ ..] = args else {
            return None;
        };
        if !self.dialect.expressions().epoch_modifiers
            || !text(epoch)?.eq_ignore_ascii_case("unixepoch")
        {
            return None;
        }
        let mut sum = match (param_name(of)?, self.of(of)?) {
            (NOW | NOW_UNIX, mut sum) => {
                sum.whole = true;
                sum
            }
            (_, sum) if sum.bare && self.whole_column => sum,
            _ => return None,
        };
        sum.form = form;
        sum.bare = false;
        for modifier in modifiers {
            let (count, unit) = text(modifier)?.trim().split_once(' ')?;
            let (sign, count) = match count.split_at_checked(1)? {
                ("-", count) => (-1, count),
                ("+", count) => (1, count),
                _ => (1, count),
            };
            let count: i128 = count.parse().ok()?;
            let factor = match unit.trim().to_ascii_lowercase().trim_end_matches('s') {
                "second" => 1,
                "minute" => 60,
                "hour" => 3_600,
                "day" => 86_400,
                _ => return None,
            };
            sum.micros += sign * count.checked_mul(factor * SECOND)?;
        }
        Some(sum)
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match unwrapped(expr) {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// A decimal number in millionths; `None` where it has more digits, or is none.
fn micros(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let size = whole.len() + fraction.len();
    if size == 0 || whole.len() > 15 || fraction.len() > 6 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: i128 = format!("0{whole}").parse().ok()?;
    let fraction: i128 = format!("{fraction:0<6}").parse().ok()?;
    Some(whole * SECOND + fraction)
}
