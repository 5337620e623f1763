//! The clocks and intervals that only SQLite has in a form of its own.

use crate::error::{Error, Result, quote};
use crate::store::calendar;
use crate::store::dialect::NOW;
use crate::store::dialect::build::{call, named_call, param, text};
use sqlparser::ast::{BinaryOperator, Expr, Function, Interval, UnaryOperator, Value};

/// SQLite's functions that read its clock where their argument at this place is `'now'` or
/// missing.
const TIME_FUNCTIONS: [(&str, usize); 7] = [
    ("date", 0),
    ("time", 0),
    ("datetime", 0),
    ("julianday", 0),
    ("unixepoch", 0),
    ("strftime", 1),
    ("timediff", 0),
];

/// Whether this function, in lower case, may read the clock of SQLite.
pub(super) fn is_time_function(word: &str) -> bool {
    TIME_FUNCTIONS.iter().any(|(name, _)| *name == word)
}

/// What SQLite evaluates in place of an expression; `None` where it stays as it is.
///
/// # Errors
/// An interval of an unknown unit.
pub(super) fn rewrite(expr: &Expr) -> Result<Option<Expr>> {
    match expr {
        Expr::Function(function) => rewrite_call(function),
        Expr::BinaryOp { left, op, right } => match (&**left, op, &**right) {
            (from, BinaryOperator::Plus, Expr::Interval(by))
            | (Expr::Interval(by), BinaryOperator::Plus, from) => shift(from, by, false).map(Some),
            (from, BinaryOperator::Minus, Expr::Interval(by)) => shift(from, by, true).map(Some),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

fn rewrite_call(function: &Function) -> Result<Option<Expr>> {
    let Some((name, args)) = named_call(function) else {
        return Ok(None);
    };
    match (name.as_str(), args.as_slice()) {
        ("date_add" | "adddate", [from, Expr::Interval(by)]) => shift(from, by, false).map(Some),
        ("date_sub" | "subdate", [from, Expr::Interval(by)]) => shift(from, by, true).map(Some),
        _ => Ok(time_function(&name, args)),
    }
}

/// A function of time of SQLite, with `'now'`, or the missing argument that means it, replaced.
fn time_function(name: &str, mut args: Vec<Expr>) -> Option<Expr> {
    let (_, at) = TIME_FUNCTIONS
        .iter()
        .find(|(function, _)| *function == name)?;
    let instant = || vec![param(NOW), text("unixepoch")];
    if name == "timediff" {
        // It takes two instants and no modifiers.
        let mut found = false;
        for arg in args.iter_mut().filter(|arg| is_now(arg)) {
            found = true;
            let mut of = instant();
            of.push(text("subsec"));
            *arg = call("datetime", of);
        }
        return found.then(|| call(name, args));
    }
    match args.get(*at) {
        None if args.len() == *at => args.extend(instant()),
        Some(arg) if is_now(arg) => {
            args.splice(at..=at, instant());
        }
        _ => return None,
    }
    Some(call(name, args))
}

fn is_now(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => {
            matches!(&value.value, Value::SingleQuotedString(s) if s.eq_ignore_ascii_case("now"))
        }
        Expr::Nested(inner) => is_now(inner),
        _ => false,
    }
}

/// `from` plus or minus an interval, by `date_shift`, a function of Tributary.
fn shift(from: &Expr, interval: &Interval, minus: bool) -> Result<Expr> {
    let unit = match &interval.leading_field {
        Some(field) => field.to_string().to_ascii_lowercase(),
        None => String::new(),
    };
    let plain = interval.last_field.is_none() && interval.leading_precision.is_none();
    if !plain || !calendar::is_unit(&unit) {
        return Err(Error::data(format!(
            "bad query: {} is not known",
            quote(interval.to_string())
        ))
        .with_hint("write it as in \"interval 10 second\""));
    }
    let count = (*interval.value).clone();
    let count = if minus {
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(Expr::Nested(Box::new(count))),
        }
    } else {
        count
    };
    Ok(call("date_shift", vec![from.clone(), count, text(&unit)]))
}
