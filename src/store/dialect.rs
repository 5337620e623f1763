//! The dialects of SQL: how they differ, and how a query is prepared for each.
//!
//! [`rewrite`] takes one SELECT as it was written and returns it with every clock replaced by the
//! network's clock, and its parameters in order. A query that the parser does not know runs as it is
//! if its tokens name no clock.
//!
//! - `capabilities` — the trait of everything that differs between databases.
//!   Each backend implements it in its own folder: `sqlite/dialect.rs`, `mysql/dialect.rs`.
//! - `lex` — SQL as tokens.
//! - `tokens` — what is known without a grammar: one statement, its parameters, its clocks.
//! - `clock` — the clocks of a parsed query, and what replaces them.
//! - `functions` — the functions that a query may call.
//! - `build` — builders of expressions.
//! - `paged` — the limit and the order of a query that reads on from a cursor.
//!
//! To add a clock, add a line to `clock::CLOCKS`.

pub(super) mod build;
pub(super) mod capabilities;
mod clock;
pub(super) mod functions;
pub(super) mod lex;
mod paged;
pub(super) mod tokens;

use crate::error::{Error, Result};
pub(crate) use build::{Scalar, cast};
pub(crate) use capabilities::{Dialect, InternalColumn};
pub(crate) use functions::{is_harmless, refused as refused_call};
pub(crate) use paged::{LIMIT, Paged, paged};
use sqlparser::ast::{Query, Select, SetExpr, Statement, Visit, VisitMut, Visitor};
use sqlparser::parser::{Parser, ParserOptions};
use std::ops::ControlFlow;

pub(crate) use tokens::{locate, positional};

/// The parameters that are bound to the network's clock: unix seconds with their fraction, whole unix
/// seconds, the datetime in whole seconds.
pub(crate) const NOW: &str = "now";
pub(crate) const NOW_UNIX: &str = "now_unix";
pub(crate) const NOW_DATETIME: &str = "now_datetime";

/// The most operators that a query may have to be parsed: what is parsed is walked recursively.
const MAX_OPERATORS: usize = 400;
/// The stack for that, and for the nesting that the parser allows.
pub(super) const STACK: usize = 64 << 20;

/// Returns a query in which every clock is the network's clock.
///
/// # Errors
/// Anything but one SELECT; a clock that cannot be served; a clock in what the parser doesn't
/// know.
pub(crate) fn rewrite(dialect: Dialect, sql: &str) -> Result<String> {
    let tokens = tokens::scan(dialect, sql)?;
    stacker::grow(STACK, || rewrite_scanned(dialect, sql, &tokens))
}

fn rewrite_scanned(dialect: Dialect, sql: &str, tokens: &tokens::Tokens<'_>) -> Result<String> {
    let Ok(mut statement) = parse_scanned(dialect, sql, tokens)? else {
        return Ok(sql.to_owned());
    };
    if !replace_clocks(dialect, &mut statement)? {
        // Byte for byte as it was written.
        return Ok(sql.to_owned());
    }
    let rewritten = statement.to_string();
    tokens::check_rewritten(dialect, &rewritten)?;
    Ok(rewritten)
}

/// Calls `work` with a parsed query, or with why the parser does not know it, on a stack with room to
/// visit it.
///
/// # Errors
/// Anything but one SELECT; a clock in what the parser doesn't know.
pub(crate) fn parsed<T>(
    dialect: Dialect,
    sql: &str,
    work: impl FnOnce(Result<Query, String>) -> Result<T>,
) -> Result<T> {
    let tokens = tokens::scan(dialect, sql)?;
    stacker::grow(STACK, || match parse_scanned(dialect, sql, &tokens)? {
        Ok(Statement::Query(query)) => work(Ok(*query)),
        Ok(_) => Err(not_one_select()),
        Err(why) => work(Err(why)),
    })
}

/// Replaces the clocks in a query or a part of one; returns whether there was something to
/// replace.
///
/// # Errors
/// A clock that cannot be served.
pub(crate) fn replace_clocks(dialect: Dialect, part: &mut impl VisitMut) -> Result<bool> {
    let mut clocks = clock::Clocks::new(dialect);
    let _ = part.visit(&mut clocks);
    clocks.outcome()
}

/// The parsed query, or why the parser does not know it. Calls of functions are checked, unless the
/// database reports them itself.
pub(super) fn parse_scanned(
    dialect: Dialect,
    sql: &str,
    tokens: &tokens::Tokens<'_>,
) -> Result<Result<Statement, String>> {
    let statement = parse_select(dialect, sql, tokens)?;
    dialect.check_calls(tokens)?;
    Ok(statement)
}

fn parse_select(
    dialect: Dialect,
    sql: &str,
    tokens: &tokens::Tokens<'_>,
) -> Result<Result<Statement, String>> {
    let parsed = if tokens.operators() <= MAX_OPERATORS {
        parse(dialect, sql)
    } else {
        Err(format!("more than {MAX_OPERATORS} operators"))
    };
    let statements = match parsed {
        Ok(statements) => statements,
        Err(why) => {
            tokens.refuse_unknown(&why)?;
            return Ok(Err(why));
        }
    };
    let Ok([statement]) = <[Statement; 1]>::try_from(statements) else {
        return Err(not_one_select());
    };
    check_select(&statement)?;
    Ok(Ok(statement))
}

fn parse(dialect: Dialect, sql: &str) -> Result<Vec<Statement>, String> {
    // Texts stay as they are written, escapes and all, since they are printed again.
    let options = ParserOptions::new().with_unescape(false);
    Parser::new(dialect.grammar())
        .with_options(options)
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| error.to_string())
}

/// Parses a query that Tributary itself has written.
///
/// # Errors
/// What the parser reports.
pub(crate) fn parse_own(dialect: Dialect, sql: &str) -> Result<Query, String> {
    match <[Statement; 1]>::try_from(parse(dialect, sql)?) {
        Ok([Statement::Query(query)]) => Ok(*query),
        _ => Err("not one SELECT".to_owned()),
    }
}

/// Refuses a parsed statement that does more than read, at whatever depth.
fn check_select(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Query(_) => {}
        _ => return Err(not_one_select()),
    }
    match statement.visit(&mut Reads) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Checks every query within a query.
struct Reads;

impl Visitor for Reads {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        if !query.locks.is_empty() {
            return ControlFlow::Break(not_one_select().with_hint(LOCKS));
        }
        match &*query.body {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                ControlFlow::Break(not_one_select())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        match select.into {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(not_one_select()),
        }
    }
}

/// The hint for a query that locks what it reads.
const LOCKS: &str = "a window query cannot lock rows";

/// The error of anything but one SELECT.
pub(crate) fn not_one_select() -> Error {
    Error::data("window queries must be one SELECT")
}

/// The names of the common table expressions of a query (`with`).
///
/// # Errors
/// Those of [`rewrite`].
pub(crate) fn with_names(dialect: Dialect, sql: &str) -> Result<Vec<String>> {
    Ok(tokens::scan(dialect, sql)?.with_names())
}

/// The words of a statement, in lower case, without quoted names and texts.
///
/// # Errors
/// What is opened and not closed.
pub(crate) fn words(dialect: Dialect, sql: &str) -> Result<impl Iterator<Item = String>> {
    let tokens = lex::lex(dialect, sql)?.into_iter();
    let words = tokens.filter(|token| token.kind == lex::TokenKind::Word);
    Ok(words.map(|token| sql[token.at].to_lowercase()))
}

/// Where the tokens of SQL are, by the rules of a database, and the names of its parameters; `None` where it
/// is refused. For fuzz targets.
pub(crate) fn tokens_of(
    dialect: Dialect,
    sql: &str,
) -> Option<(Vec<std::ops::Range<usize>>, Vec<String>)> {
    let tokens = lex::lex(dialect, sql).ok()?;
    let (_, names) = positional(dialect, sql).ok()?;
    let _ = (paged(dialect, sql), locate(dialect, sql, "x"));
    Some((tokens.into_iter().map(|token| token.at).collect(), names))
}
