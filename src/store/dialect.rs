//! The two dialects of SQL: how identifiers are quoted, and how a query is made ready.
//!
//! [`rewrite`] takes one SELECT as it was written and gives it back with every clock replaced by
//! the network's instant, and its parameters in order. It is the one place that knows the SQL
//! parser. What the parser doesn't know runs as it is where its tokens name no clock.
//!
//! - `lex` — SQL in pieces, by the rules of each database.
//! - `tokens` — what can be told without a grammar: one statement, its parameters, its clocks.
//! - `clock` — the clocks and intervals of a parsed query, and what stands in their place.
//! - `functions` — the functions that a query may call.
//! - `relations` — the tables and views that a query for MySQL reads.
//! - `build` — expressions made by hand.
//! - `paged` — the limit and the order of a query that reads on from a cursor.
//!
//! One more clock: a line in `clock::CLOCKS`.

mod build;
mod clock;
mod functions;
mod lex;
mod paged;
mod relations;
mod tokens;

use crate::error::{Error, Result};
pub(crate) use build::call;
pub(crate) use functions::{is_harmless, refused as refused_call};
pub(crate) use paged::{LIMIT, Paged, paged};
use sqlparser::ast::{Query, Select, SetExpr, Statement, Visit, VisitMut, Visitor};
use sqlparser::dialect::{Dialect as Grammar, MySqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserOptions};
use std::ops::ControlFlow;

pub(crate) use relations::{Relations, There, is_system};
pub(crate) use tokens::{locate, positional};

/// A dialect of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Mysql,
}

impl Dialect {
    /// An identifier, quoted.
    pub fn quote(self, name: &str) -> String {
        let mark = match self {
            Dialect::Sqlite => '"',
            Dialect::Mysql => '`',
        };
        let mut quoted = String::with_capacity(name.len() + 2);
        quoted.push(mark);
        for c in name.chars() {
            if c == mark {
                quoted.push(mark);
            }
            quoted.push(c);
        }
        quoted.push(mark);
        quoted
    }

    fn grammar(self) -> &'static dyn Grammar {
        match self {
            Dialect::Sqlite => &Sqlite,
            Dialect::Mysql => &MySqlDialect {},
        }
    }
}

/// The names under which a query can ask for the instant, beside the columns of the event: unix
/// seconds with their fraction, whole unix seconds, the datetime in whole seconds.
pub(crate) const NOW: &str = "now";
pub(crate) const NOW_UNIX: &str = "now_unix";
pub(crate) const NOW_DATETIME: &str = "now_datetime";

/// The most operators that a query may have to be parsed: what is parsed is walked recursively.
const MAX_OPERATORS: usize = 400;
/// Room on the stack for that, and for what the parser itself allows to nest.
const STACK: usize = 64 << 20;

/// Gives back a query in which every clock is the network's.
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
    match replace_clocks(dialect, &mut statement)? {
        true => {
            let rewritten = statement.to_string();
            tokens::check_rewritten(dialect, &rewritten)?;
            Ok(rewritten)
        }
        // Nothing to replace: byte for byte what was written.
        false => Ok(sql.to_owned()),
    }
}

/// Hands `work` a query as it was parsed, or why the parser doesn't know it, with room on the
/// stack to walk through it.
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

/// The query as it is parsed, or why the parser doesn't know it. It calls no function that does more
/// than compute, where the database does not report that itself.
fn parse_scanned(
    dialect: Dialect,
    sql: &str,
    tokens: &tokens::Tokens<'_>,
) -> Result<Result<Statement, String>> {
    let statement = parse_select(dialect, sql, tokens)?;
    if dialect == Dialect::Mysql {
        functions::check(tokens)?;
    }
    Ok(statement)
}

fn parse_select(
    dialect: Dialect,
    sql: &str,
    tokens: &tokens::Tokens<'_>,
) -> Result<Result<Statement, String>> {
    let parsed = match tokens.operators() <= MAX_OPERATORS {
        true => parse(dialect, sql),
        false => Err(format!("more than {MAX_OPERATORS} operators")),
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

/// Looks at every query within a query.
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

/// SQLite's grammar, with the intervals of MySQL.
#[derive(Debug)]
struct Sqlite;

impl Grammar for Sqlite {
    fn dialect(&self) -> std::any::TypeId {
        SQLiteDialect {}.dialect()
    }
    fn is_delimited_identifier_start(&self, c: char) -> bool {
        SQLiteDialect {}.is_delimited_identifier_start(c)
    }
    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        SQLiteDialect {}.identifier_quote_style(identifier)
    }
    fn is_identifier_start(&self, c: char) -> bool {
        SQLiteDialect {}.is_identifier_start(c)
    }
    fn is_identifier_part(&self, c: char) -> bool {
        SQLiteDialect {}.is_identifier_part(c)
    }
    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }
    fn supports_in_empty_list(&self) -> bool {
        true
    }
    fn supports_limit_comma(&self) -> bool {
        true
    }
    fn supports_notnull_operator(&self) -> bool {
        true
    }
    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        expr: &sqlparser::ast::Expr,
        precedence: u8,
    ) -> Option<Result<sqlparser::ast::Expr, sqlparser::parser::ParserError>> {
        SQLiteDialect {}.parse_infix(parser, expr, precedence)
    }
    fn require_interval_qualifier(&self) -> bool {
        true
    }
}

/// The names that a query gives to queries of its own, with `with`.
///
/// # Errors
/// Those of [`rewrite`].
pub(crate) fn with_names(dialect: Dialect, sql: &str) -> Result<Vec<String>> {
    Ok(tokens::scan(dialect, sql)?.with_names())
}

/// The words of a statement, in lower case, without what stands in quotes.
///
/// # Errors
/// What is opened and not closed.
pub(crate) fn words(dialect: Dialect, sql: &str) -> Result<impl Iterator<Item = String>> {
    let tokens = lex::lex(dialect, sql)?.into_iter();
    let words = tokens.filter(|token| token.kind == lex::Kind::Word);
    Ok(words.map(|token| sql[token.at].to_lowercase()))
}

/// Where the tokens of SQL are, by the rules of each database, and the names of its parameters: nothing
/// where it is refused. For fuzz targets.
pub(crate) fn tokens_of(sql: &str) -> Vec<(Vec<std::ops::Range<usize>>, Vec<String>)> {
    let both = [Dialect::Sqlite, Dialect::Mysql].into_iter();
    let read = |dialect| {
        let tokens = lex::lex(dialect, sql).ok()?;
        let (_, names) = positional(dialect, sql).ok()?;
        let _ = (paged(dialect, sql), locate(dialect, sql, "x"));
        Some((tokens.into_iter().map(|token| token.at).collect(), names))
    };
    both.filter_map(read).collect()
}
