//! The clocks of a parsed query, and what stands in their place. On SQLite a LIKE gets the escape
//! character that it has on MySQL.
//!
//! | written | SQLite | MySQL |
//! |---|---|---|
//! | `now()`, `current_timestamp`, `localtime`, `localtimestamp`, `utc_timestamp()` | `:now_datetime` | `CAST(:now_datetime AS DATETIME)` |
//! | `unix_timestamp()` | `:now_unix` | `:now_unix` |
//! | `curdate()`, `current_date`, `utc_date()` | `date(:now_datetime)` | the same |
//! | `curtime()`, `current_time`, `utc_time()` | `time(:now_datetime)` | the same |
//! | `from_unixtime(x)`, `unix_timestamp(x)` | functions of our own | as it is |
//! | `x - interval n unit`, `date_sub(x, interval n unit)` | `date_shift(x, -(n), 'unit')` | as it is |
//! | `datetime('now')`, `date()`, `strftime('%s')`, … | `datetime(:now, 'unixepoch')`, … | as it is |
//! | `sysdate()`, `now(3)` | refused | refused |
//! | `a LIKE b` | `a LIKE b ESCAPE '\'` | as it is |

use super::build::{arguments, call, param, text};
use super::{Dialect, NOW, NOW_DATETIME, NOW_UNIX};
use crate::error::{Error, Result, quote};
use crate::store::calendar;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, Interval, UnaryOperator, Value, VisitorMut,
};
use std::ops::ControlFlow;

/// What a clock shows.
#[derive(Clone, Copy)]
enum Shows {
    Datetime,
    Unix,
    Date,
    Time,
}

/// The clocks, and whether they can stand without parentheses.
const CLOCKS: [(&str, Shows, bool); 13] = [
    ("now", Shows::Datetime, false),
    ("current_timestamp", Shows::Datetime, true),
    ("localtime", Shows::Datetime, true),
    ("localtimestamp", Shows::Datetime, true),
    ("utc_timestamp", Shows::Datetime, true),
    ("sysdate", Shows::Datetime, false),
    ("unix_timestamp", Shows::Unix, false),
    ("curdate", Shows::Date, false),
    ("current_date", Shows::Date, true),
    ("utc_date", Shows::Date, true),
    ("curtime", Shows::Time, false),
    ("current_time", Shows::Time, true),
    ("utc_time", Shows::Time, true),
];

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

/// Whether this word, in lower case, names a clock.
pub(super) fn is_clock(word: &str, called: bool) -> bool {
    CLOCKS
        .iter()
        .any(|(name, _, bare)| *name == word && (*bare || called))
}

/// Whether this is a function that may read the clock of the database.
pub(super) fn is_time_function(dialect: Dialect, word: &str) -> bool {
    dialect == Dialect::Sqlite && TIME_FUNCTIONS.iter().any(|(name, _)| *name == word)
}

/// Goes through a query and replaces its clocks.
pub(super) struct Clocks {
    dialect: Dialect,
    changed: bool,
    error: Option<Error>,
}

impl Clocks {
    pub fn new(dialect: Dialect) -> Self {
        Clocks {
            dialect,
            changed: false,
            error: None,
        }
    }

    /// Whether something was replaced.
    pub fn outcome(self) -> Result<bool> {
        self.error.map_or(Ok(self.changed), Err)
    }

    fn replaced(&self, expr: &Expr) -> Result<Option<Expr>> {
        match expr {
            Expr::Like {
                escape_char: None, ..
            } if self.dialect == Dialect::Sqlite => {
                let mut like = expr.clone();
                if let Expr::Like { escape_char, .. } = &mut like {
                    *escape_char = Some(Box::new(text("\\")));
                }
                Ok(Some(like))
            }
            Expr::Function(function) => self.function(function),
            // To the parser this is a column; MySQL takes it for a clock unless it is quoted.
            Expr::Identifier(word) if word.quote_style.is_none() => {
                let word = word.value.to_ascii_lowercase();
                match is_clock(&word, false) {
                    true => self.clock(&word, &[]),
                    false => Ok(None),
                }
            }
            Expr::BinaryOp { left, op, right } if self.dialect == Dialect::Sqlite => {
                match (&**left, op, &**right) {
                    (from, BinaryOperator::Plus, Expr::Interval(by))
                    | (Expr::Interval(by), BinaryOperator::Plus, from) => {
                        shift(from, by, false).map(Some)
                    }
                    (from, BinaryOperator::Minus, Expr::Interval(by)) => {
                        shift(from, by, true).map(Some)
                    }
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    fn function(&self, function: &Function) -> Result<Option<Expr>> {
        let name = match function.name.0.as_slice() {
            [part] => part.as_ident().map(|name| name.value.to_ascii_lowercase()),
            _ => None,
        };
        let (Some(name), Some(args)) = (name, arguments(&function.args)) else {
            return Ok(None);
        };
        // With an argument it converts, and shows no clock.
        let converts = name == "unix_timestamp" && !args.is_empty();
        if is_clock(&name, true) && !converts {
            return self.clock(&name, &args);
        }
        if self.dialect == Dialect::Mysql {
            return Ok(None);
        }
        match (name.as_str(), args.as_slice()) {
            ("date_add" | "adddate", [from, Expr::Interval(by)]) => {
                shift(from, by, false).map(Some)
            }
            ("date_sub" | "subdate", [from, Expr::Interval(by)]) => shift(from, by, true).map(Some),
            _ => Ok(time_function(&name, args)),
        }
    }

    /// What stands for a clock.
    fn clock(&self, name: &str, args: &[Expr]) -> Result<Option<Expr>> {
        if name == "sysdate" {
            return Err(
                Error::data("bad query: sysdate() is the database's own clock")
                    .with_hint("now() is the network's"),
            );
        }
        let whole = match args {
            [] => true,
            [Expr::Value(value)] => matches!(&value.value, Value::Number(n, _) if n == "0"),
            _ => false,
        };
        if !whole {
            return Err(Error::data(format!(
                "bad query: {name}() shows whole seconds and takes no argument"
            ))
            .with_hint(":now is unix seconds with their fraction"));
        }
        let shows = CLOCKS.iter().find(|(clock, _, _)| *clock == name);
        Ok(shows.map(|(_, shows, _)| match (shows, self.dialect) {
            (Shows::Unix, _) => param(NOW_UNIX),
            (Shows::Date, _) => call("date", vec![param(NOW_DATETIME)]),
            (Shows::Time, _) => call("time", vec![param(NOW_DATETIME)]),
            (Shows::Datetime, Dialect::Sqlite) => param(NOW_DATETIME),
            (Shows::Datetime, Dialect::Mysql) => Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(param(NOW_DATETIME)),
                data_type: DataType::Datetime(None),
                format: None,
            },
        }))
    }
}

impl VisitorMut for Clocks {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match self.replaced(expr) {
            Ok(None) => {}
            Ok(Some(new)) => {
                *expr = new;
                self.changed = true;
            }
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
        ControlFlow::Continue(())
    }
}

/// SQLite's own functions of time, with `'now'` and what stands for it replaced.
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

/// `from` and an interval after or before it, by our own function.
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
    let count = match minus {
        false => count,
        true => Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(Expr::Nested(Box::new(count))),
        },
    };
    Ok(call("date_shift", vec![from.clone(), count, text(&unit)]))
}
