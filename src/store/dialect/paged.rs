//! The query of a source that reads on from a cursor: how many rows it gives at most, and from where.
//!
//! The invariant: a limit is known and can be raised, or the query is refused. Without that, a limit
//! that cuts between rows of one cursor value would lose those behind the cut.

use super::{Dialect, parsed, tokens, words};
use crate::error::{Error, Result};
use sqlparser::ast::{
    Expr, LimitClause, OrderByKind, Query, SetExpr, TableFactor, Value, Visit, Visitor,
};
use std::ops::ControlFlow;

/// A query that is read page by page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Paged {
    /// The query, with the parameter [`LIMIT`] in place of its limit.
    pub sql: String,
    /// Its limit.
    pub limit: Option<u64>,
    /// Whether its rows are ordered; true if that is not known.
    pub is_ordered: bool,
    /// The table, where it reads a single one and nothing else.
    pub table: Option<String>,
}

/// The parameter of the limit.
pub(crate) const LIMIT: &str = "cursor_limit";

/// Parses the limit and the order of a query.
///
/// # Errors
/// Anything but one SELECT, and a limit that is not one number at the end of the query.
pub(crate) fn paged(dialect: Dialect, sql: &str) -> Result<Paged> {
    let as_it_is = || Paged {
        sql: sql.to_owned(),
        limit: None,
        is_ordered: true,
        table: None,
    };
    parsed(dialect, sql, |query| {
        let Ok(mut query) = query else {
            let limits = |word: &String| word == "limit" || word == "fetch";
            return if words(dialect, sql)?.any(|word| limits(&word)) {
                Err(not_a_number())
            } else {
                Ok(as_it_is())
            };
        };
        let mut inner = Inner { depth: 0 };
        if let ControlFlow::Break(error) = query.visit(&mut inner) {
            return Err(error);
        }
        let is_ordered = query.order_by.as_ref().is_some_and(
            |order| !matches!(&order.kind, OrderByKind::Expressions(by) if by.is_empty()),
        );
        let table = table(&query);
        let limit = match (&mut query.limit_clause, &query.fetch) {
            (None, None) => None,
            (
                Some(LimitClause::LimitOffset {
                    limit: Some(limit),
                    offset: None,
                    limit_by,
                }),
                None,
            ) if limit_by.is_empty() => {
                let rows = number(limit).ok_or_else(not_a_number)?;
                *limit = super::build::param(LIMIT);
                Some(rows)
            }
            _ => return Err(not_a_number()),
        };
        let sql = match limit {
            None => sql.to_owned(),
            Some(_) => query.to_string(),
        };
        tokens::scan(dialect, &sql)?;
        Ok(Paged {
            sql,
            limit,
            is_ordered,
            table,
        })
    })
}

fn not_a_number() -> Error {
    Error::data("bad query: its limit is not one number from 1")
        .with_hint("write it at the end, as in limit 1000, without an offset")
}

fn number(expr: &Expr) -> Option<u64> {
    let Expr::Value(value) = expr else {
        return None;
    };
    match &value.value {
        Value::Number(number, _) => number.parse().ok().filter(|rows| *rows > 0),
        _ => None,
    }
}

fn table(query: &Query) -> Option<String> {
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let [from] = select.from.as_slice() else {
        return None;
    };
    match (
        &from.relation,
        query.with.is_some() || !from.joins.is_empty(),
    ) {
        (TableFactor::Table { name, .. }, false) => match name.0.as_slice() {
            [part] => part.as_ident().map(|name| name.value.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Refuses the limit of a subquery that has the cursor as a parameter.
struct Inner {
    depth: usize,
}

impl Visitor for Inner {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        self.depth += 1;
        let is_limited = query.limit_clause.is_some() || query.fetch.is_some();
        if self.depth > 1 && is_limited && query.visit(&mut Parameters).is_break() {
            return ControlFlow::Break(not_a_number());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Finds a parameter.
struct Parameters;

impl Visitor for Parameters {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::paged;
    use crate::store::dialects;

    #[test]
    fn a_limit_becomes_a_parameter() {
        for dialect in dialects() {
            let sql = "select n, at from t where at > :cursor order by at limit 3";
            let found = paged(dialect, sql).expect("it is known");
            assert_eq!(found.limit, Some(3));
            assert!(found.sql.ends_with("LIMIT :cursor_limit"), "{}", found.sql);
            assert!(found.is_ordered);
            assert_eq!(found.table.as_deref(), Some("t"));
            let sql = "select n from t as a join u on a.n = u.n where n > :cursor";
            let found = paged(dialect, sql).expect("it is known");
            assert_eq!((found.limit, found.is_ordered), (None, false));
            assert_eq!((found.sql.as_str(), found.table), (sql, None));
        }
    }

    #[test]
    fn a_limit_that_cannot_be_raised_is_refused() {
        for sql in [
            "select n from t where n > :cursor order by n limit 0",
            "select n from t where n > :cursor order by n limit 1 + 1",
            "select n from t where n > :cursor order by n limit :n",
            "select n from t where n > :cursor order by n limit 3 offset 1",
            "select n from t where n > :cursor order by n limit 1, 3",
            "select n from (select n from t where n > :cursor order by n limit 3) as a order by n",
            "(select n from t where n > :cursor order by n limit 3)",
        ] {
            for dialect in dialects() {
                let error = paged(dialect, sql).expect_err(sql).to_string();
                assert!(
                    error.contains("its limit is not one number"),
                    "{sql}: {error}"
                );
            }
        }
        let sql =
            "select n, (select b from u where u.n = t.n limit 1) as b from t where n > :cursor";
        assert!(dialects().all(|dialect| paged(dialect, sql).is_ok()));
    }
}
