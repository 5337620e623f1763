//! Symbols: what a column, a key or an aggregate becomes in an expression once it is resolved.
//!
//! A symbol is a parameter with a reserved name, so a resolved expression is an ordinary one: two that
//! mean the same are written the same, whatever aliases the user gave the tables.
//!
//! Another symbol: a variant, its letter, and what [`rendered`](super::expressions::rendered) puts in
//! its place.

use super::expressions::unwrapped;
use sqlparser::ast::{Expr, Query, Value, visit_expressions};
use std::ops::ControlFlow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    /// A column: depth and place.
    Column(usize, usize),
    Key(usize),
    Aggregate(usize),
}

/// How the names of our own parameters begin.
const OURS: &str = "tributary_";

impl Symbol {
    pub fn name(self) -> String {
        match self {
            Symbol::Column(depth, index) => format!("{OURS}c{depth}_{index}"),
            Symbol::Key(index) => format!("{OURS}k{index}"),
            Symbol::Aggregate(index) => format!("{OURS}a{index}"),
        }
    }

    /// Reads the name of a parameter.
    pub fn named(name: &str) -> Option<Symbol> {
        let rest = name.strip_prefix(OURS)?;
        let (kind, rest) = rest.split_at_checked(1)?;
        match kind {
            "c" => {
                let (depth, index) = rest.split_once('_')?;
                Some(Symbol::Column(depth.parse().ok()?, index.parse().ok()?))
            }
            "k" => rest.parse().ok().map(Symbol::Key),
            "a" => rest.parse().ok().map(Symbol::Aggregate),
            _ => None,
        }
    }

    pub fn expr(self) -> Expr {
        param(&self.name())
    }

    /// The symbol that an expression is, in parentheses or not.
    pub fn of(expr: &Expr) -> Option<Symbol> {
        param_name(unwrapped(expr)).and_then(Symbol::named)
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

/// Whether a symbol stands in an expression.
pub(super) fn has_symbol(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |expr| match Symbol::of(expr) {
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
