//! Expressions taken apart and put together.

use super::symbol::Symbol;
use sqlparser::ast::{BinaryOperator, Expr, Ident, Value, VisitMut, VisitorMut};
use std::ops::ControlFlow;

use crate::store::Dialect;

/// The expression in parentheses.
pub(super) fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unwrapped(inner),
        expr => expr,
    }
}

/// The conditions that AND joins.
pub(super) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            let mut parts = conjuncts(left);
            parts.extend(conjuncts(right));
            parts
        }
        Expr::Nested(inner) => match unwrapped(inner) {
            Expr::BinaryOp {
                op: BinaryOperator::And,
                ..
            } => conjuncts(unwrapped(inner)),
            _ => vec![expr],
        },
        expr => vec![expr],
    }
}

/// Several conditions as one.
pub(super) fn all(conditions: impl IntoIterator<Item = Expr>) -> Option<Expr> {
    conditions.into_iter().reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    })
}

/// An expression that can be an operand of any operator.
pub(super) fn nested(expr: Expr) -> Expr {
    match expr {
        Expr::Nested(_)
        | Expr::Value(_)
        | Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Function(_)
        | Expr::Cast { .. } => expr,
        expr => Expr::Nested(Box::new(expr)),
    }
}

pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

/// A quoted identifier.
pub(super) fn quoted(dialect: Dialect, name: &str) -> Ident {
    Ident::with_quote(dialect.identifier_quote(), name)
}

/// The whole number that an expression is: the number of a column.
pub(super) fn ordinal(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// An expression with each symbol replaced.
pub(super) fn rendered(expr: &Expr, put: &dyn Fn(Symbol) -> Expr) -> Expr {
    let mut expr = expr.clone();
    let _ = expr.visit(&mut RenderVisitor(put));
    expr
}

struct RenderVisitor<'a>(&'a dyn Fn(Symbol) -> Expr);

impl VisitorMut for RenderVisitor<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let (Expr::Value(_), Some(symbol)) = (&*expr, Symbol::of(expr)) {
            *expr = (self.0)(symbol);
        }
        ControlFlow::Continue(())
    }
}
