//! Marks: what stands in an expression for a column, a key or an aggregate once it is resolved.
//!
//! A mark is a parameter of a name that only we give, so a resolved expression is an ordinary one:
//! two that mean the same are written the same, whatever the user called the tables.
//!
//! One more kind of mark: a variant, its letter, and what it becomes in `render.rs`.

use super::parts::unwrapped;
use sqlparser::ast::{Expr, Query, Value, visit_expressions};
use std::ops::ControlFlow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A column: depth and place.
    Column(usize, usize),
    Key(usize),
    Aggregate(usize),
}

/// How the names of our own parameters begin.
const OURS: &str = "tributary_";

impl Mark {
    pub fn name(self) -> String {
        match self {
            Mark::Column(depth, at) => format!("{OURS}c{depth}_{at}"),
            Mark::Key(at) => format!("{OURS}k{at}"),
            Mark::Aggregate(at) => format!("{OURS}a{at}"),
        }
    }

    /// Reads the name of a parameter.
    pub fn named(name: &str) -> Option<Mark> {
        let rest = name.strip_prefix(OURS)?;
        let (kind, rest) = rest.split_at_checked(1)?;
        match kind {
            "c" => {
                let (depth, at) = rest.split_once('_')?;
                Some(Mark::Column(depth.parse().ok()?, at.parse().ok()?))
            }
            "k" => rest.parse().ok().map(Mark::Key),
            "a" => rest.parse().ok().map(Mark::Aggregate),
            _ => None,
        }
    }

    pub fn expr(self) -> Expr {
        param(&self.name())
    }

    /// The mark that an expression is, in parentheses or not.
    pub fn of(expr: &Expr) -> Option<Mark> {
        param_name(unwrapped(expr)).and_then(Mark::named)
    }
}

/// The first parameter in a query that is named as ours are.
pub(super) fn taken(query: &Query) -> Option<String> {
    let found = visit_expressions(query, |expr| match param_name(expr) {
        Some(name) if name.starts_with(OURS) => ControlFlow::Break(name.to_owned()),
        _ => ControlFlow::Continue(()),
    });
    found.break_value()
}

/// Whether a mark stands in an expression.
pub(super) fn has_mark(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |expr| match Mark::of(expr) {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// A parameter.
pub(super) fn param(name: &str) -> Expr {
    Expr::Value(Value::Placeholder(format!(":{name}")).with_empty_span())
}

/// The name of the parameter that an expression is.
pub(super) fn param_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix(':'),
            _ => None,
        },
        _ => None,
    }
}
