//! The clocks of a parsed query, and what replaces them. On SQLite a LIKE gets the escape character that
//! it has on MySQL.
//!
//! | written | SQLite | MySQL |
//! |---|---|---|
//! | `now()`, `current_timestamp`, `localtime`, `localtimestamp`, `utc_timestamp()` | `:now_datetime` | `CAST(:now_datetime AS DATETIME)` |
//! | `unix_timestamp()` | `:now_unix` | `:now_unix` |
//! | `curdate()`, `current_date`, `utc_date()` | `date(:now_datetime)` | the same |
//! | `curtime()`, `current_time`, `utc_time()` | `time(:now_datetime)` | the same |
//! | `from_unixtime(x)`, `unix_timestamp(x)` | functions of Tributary | as it is |
//! | `x - interval n unit`, `date_sub(x, interval n unit)` | `date_shift(x, -(n), 'unit')` | as it is |
//! | `datetime('now')`, `date()`, `strftime('%s')`, … | `datetime(:now, 'unixepoch')`, … | as it is |
//! | `sysdate()`, `now(3)` | refused | refused |
//! | `a LIKE b` | `a LIKE b ESCAPE '\'` | as it is |

use super::build::{call, named_call, param};
use super::{Dialect, NOW_DATETIME, NOW_UNIX};
use crate::error::{Error, Result};
use sqlparser::ast::{Expr, Function, Value, VisitorMut};
use std::ops::ControlFlow;

/// What a clock returns.
#[derive(Clone, Copy)]
enum Shows {
    Datetime,
    Unix,
    Date,
    Time,
}

/// The clocks, and whether they can be written without parentheses.
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

/// Whether this word, in lower case, names a clock.
pub(super) fn is_clock(word: &str, called: bool) -> bool {
    CLOCKS
        .iter()
        .any(|(name, _, bare)| *name == word && (*bare || called))
}

/// A visitor that replaces the clocks of a query.
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
            Expr::Function(function) => {
                if let Some((name, args)) = clock_call(function) {
                    return self.clock(&name, &args);
                }
            }
            // To the parser this is a column; MySQL takes it for a clock unless it is quoted.
            Expr::Identifier(word) if word.quote_style.is_none() => {
                let word = word.value.to_ascii_lowercase();
                if is_clock(&word, false) {
                    return self.clock(&word, &[]);
                }
            }
            _ => {}
        }
        self.dialect.rewrite(expr)
    }

    /// What replaces a clock.
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
        Ok(shows.map(|(_, shows, _)| match shows {
            Shows::Unix => param(NOW_UNIX),
            Shows::Date => call("date", vec![param(NOW_DATETIME)]),
            Shows::Time => call("time", vec![param(NOW_DATETIME)]),
            Shows::Datetime => self.dialect.clock(),
        }))
    }
}

/// The name and the arguments of a call that reads a clock.
fn clock_call(function: &Function) -> Option<(String, Vec<Expr>)> {
    let (name, args) = named_call(function)?;
    // With an argument it converts, and reads no clock.
    let converts = name == "unix_timestamp" && !args.is_empty();
    (is_clock(&name, true) && !converts).then_some((name, args))
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
