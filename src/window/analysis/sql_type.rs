//! The type of an expression, as far as it follows from its text.
//!
//! The invariant: an expression has a type only if every value that the database can return for it has
//! that type, or is NULL. One exception: SQLite makes a real of a whole number that it computes beyond
//! 64 bits, where MySQL fails.
//!
//! What the database computes from parameters must have the type of what it computes from columns. On
//! MariaDB a minus before a whole number does not ([`bindable`]).

use super::expressions::{binary, nested, ordinal, unwrapped};
use super::functions::{self, FunctionResult};
use super::survey::name_of;
use super::symbol::{Symbol, has_symbol};
use crate::store::dialect::Scalar;
use crate::store::{Dialect, Type};
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    UnaryOperator, Value, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SqlType {
    Integer,
    Real,
    /// MySQL's exact numbers with a fraction.
    Decimal,
    Text,
    /// NULL and nothing else.
    Null,
    /// Some values are whole numbers and some are reals.
    Mixed,
    Unknown,
}

impl SqlType {
    pub fn of_column(kind: Type) -> SqlType {
        match kind {
            Type::Integer => SqlType::Integer,
            Type::Real => SqlType::Real,
            Type::Text(_) => SqlType::Text,
        }
    }

    /// The type of a value that is one or the other.
    fn or(self, other: SqlType, dialect: Dialect) -> SqlType {
        match (self, other) {
            (SqlType::Null, kind) | (kind, SqlType::Null) => kind,
            (a, b) if a == b => a,
            (
                SqlType::Integer | SqlType::Real | SqlType::Mixed,
                SqlType::Integer | SqlType::Real | SqlType::Mixed,
            ) if dialect.expressions().types_per_value => SqlType::Mixed,
            (a, b) if a.is_number() && b.is_number() => a.computed(b),
            _ => SqlType::Unknown,
        }
    }

    fn is_number(self) -> bool {
        matches!(
            self,
            SqlType::Integer | SqlType::Real | SqlType::Decimal | SqlType::Mixed
        )
    }

    /// The type of a sum, difference or product.
    fn computed(self, other: SqlType) -> SqlType {
        match (self, other) {
            (SqlType::Null, kind) | (kind, SqlType::Null) if kind.is_number() => kind,
            (SqlType::Integer, SqlType::Integer) => SqlType::Integer,
            (a, b) if !(a.is_number() && b.is_number()) => SqlType::Unknown,
            (SqlType::Real, _) | (_, SqlType::Real) => SqlType::Real,
            (SqlType::Mixed, _) | (_, SqlType::Mixed) => SqlType::Mixed,
            _ => SqlType::Decimal,
        }
    }
}

/// The type of an expression, by the types of its symbols.
pub(super) fn kind(dialect: Dialect, expr: &Expr, symbols: &dyn Fn(Symbol) -> SqlType) -> SqlType {
    SqlTypes { dialect, symbols }.of(expr)
}

/// An expression that means over parameters what it means over columns, and whether it has a minus whose
/// type is not known.
///
/// MariaDB makes a decimal, and so a text, of `-x` where `x` is a constant below zero, as a parameter
/// is; where `x` is a column, it makes a whole number. `0 - x` is one in either case.
pub(super) fn bindable(
    dialect: Dialect,
    expr: &Expr,
    symbols: &dyn Fn(Symbol) -> SqlType,
) -> (Expr, bool) {
    let mut expr = expr.clone();
    let mut minuses = MinusVisitor {
        kinds: SqlTypes { dialect, symbols },
        untold: false,
    };
    if dialect.expressions().minus_gives_decimals {
        let _ = expr.visit(&mut minuses);
    }
    (expr, minuses.untold)
}

struct MinusVisitor<'a> {
    kinds: SqlTypes<'a>,
    untold: bool,
}

impl VisitorMut for MinusVisitor<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: of,
        } = &*expr
            && has_symbol(of)
        {
            match self.kinds.of(of) {
                SqlType::Integer => {
                    let zero = Value::Number("0".to_owned(), false).with_empty_span();
                    let of = nested(unwrapped(of).clone());
                    *expr = nested(binary(Expr::Value(zero), BinaryOperator::Minus, of));
                }
                SqlType::Unknown => self.untold = true,
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

struct SqlTypes<'a> {
    dialect: Dialect,
    symbols: &'a dyn Fn(Symbol) -> SqlType,
}

impl SqlTypes<'_> {
    fn of(&self, expr: &Expr) -> SqlType {
        if let Some(symbol) = Symbol::of(expr) {
            return (self.symbols)(symbol);
        }
        match expr {
            Expr::Nested(inner) => self.of(inner),
            Expr::Value(value) => self.value(&value.value),
            Expr::UnaryOp { op, expr } => match op {
                UnaryOperator::Plus => self.of(expr),
                UnaryOperator::Minus => self.negated(expr),
                UnaryOperator::Not | UnaryOperator::BangNot => SqlType::Integer,
                _ => SqlType::Unknown,
            },
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::RLike { .. } => SqlType::Integer,
            Expr::Case {
                conditions,
                else_result,
                ..
            } => {
                let results = conditions.iter().map(|when| &when.result);
                self.unified(results.chain(else_result.as_deref()))
            }
            Expr::Cast { data_type, .. } => self.cast(data_type),
            Expr::Substring { .. } | Expr::Trim { .. } => SqlType::Text,
            Expr::Function(function) => self.function(function),
            Expr::Ceil { expr, .. } | Expr::Floor { expr, .. } => match self.of(expr) {
                kind @ (SqlType::Integer | SqlType::Real) => kind,
                _ => SqlType::Unknown,
            },
            _ => SqlType::Unknown,
        }
    }

    fn negated(&self, of: &Expr) -> SqlType {
        match self.of(of).computed(SqlType::Integer) {
            // Some constants become decimals, depending on their values.
            SqlType::Integer
                if self.dialect.expressions().minus_gives_decimals
                    && ordinal(unwrapped(of)).is_none()
                    && !has_symbol(of) =>
            {
                SqlType::Unknown
            }
            kind => kind,
        }
    }

    fn value(&self, value: &Value) -> SqlType {
        match value {
            Value::Number(text, _) => {
                let text = text.to_ascii_lowercase();
                let rules = self.dialect.expressions();
                match (text.contains('e'), text.contains('.')) {
                    (true, _) => SqlType::Real,
                    (_, true) if rules.exact_decimals => SqlType::Decimal,
                    (_, true) => SqlType::Real,
                    _ if text.parse::<i64>().is_ok() => SqlType::Integer,
                    _ if rules.wide_integers_are_reals && !text.contains('x') => SqlType::Real,
                    _ => SqlType::Unknown,
                }
            }
            Value::SingleQuotedString(_) | Value::DoubleQuotedString(_) => SqlType::Text,
            Value::Boolean(_) => SqlType::Integer,
            Value::Null => SqlType::Null,
            _ => SqlType::Unknown,
        }
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> SqlType {
        let (left, right) = (self.of(left), self.of(right));
        let rules = self.dialect.expressions();
        match op {
            BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply => {
                left.computed(right)
            }
            BinaryOperator::Divide => match left.computed(right) {
                SqlType::Integer if rules.exact_decimals => SqlType::Decimal,
                kind => kind,
            },
            BinaryOperator::Modulo => left.computed(right),
            BinaryOperator::MyIntegerDivide if left.is_number() && right.is_number() => {
                SqlType::Integer
            }
            BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::Xor => SqlType::Integer,
            BinaryOperator::StringConcat if rules.bars_concatenate => SqlType::Text,
            _ => SqlType::Unknown,
        }
    }

    fn cast(&self, to: &DataType) -> SqlType {
        match self.dialect.cast_result(to) {
            Some(Scalar::Integer) => SqlType::Integer,
            Some(Scalar::Real) => SqlType::Real,
            Some(Scalar::Decimal) => SqlType::Decimal,
            Some(Scalar::Text) => SqlType::Text,
            None => SqlType::Unknown,
        }
    }

    fn function(&self, function: &Function) -> SqlType {
        let args: Vec<&Expr> = match &function.args {
            FunctionArguments::List(list) => list
                .args
                .iter()
                .filter_map(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        let first = || {
            args.first()
                .map_or(SqlType::Unknown, |first| self.of(first))
        };
        match functions::function(&name_of(function)) {
            None | Some(FunctionResult::Unknown) => SqlType::Unknown,
            Some(FunctionResult::Always(kind)) => kind,
            Some(FunctionResult::Datetime) if self.dialect.expressions().dates_are_texts => {
                SqlType::Text
            }
            Some(FunctionResult::Datetime) => SqlType::Unknown,
            Some(FunctionResult::First) => first(),
            Some(FunctionResult::Number) => match first() {
                kind if kind.is_number() => kind,
                _ => SqlType::Unknown,
            },
            Some(FunctionResult::Unified) => self.unified(args.into_iter()),
            Some(FunctionResult::Branches) => self.unified(args.into_iter().skip(1)),
            Some(FunctionResult::Rounded) => match first() {
                kind if self.dialect.expressions().rounds_to_reals && kind.is_number() => {
                    SqlType::Real
                }
                // MariaDB makes decimals of whole numbers that it rounds before the point.
                SqlType::Integer if args.get(1).is_some_and(|digits| ordinal(digits).is_none()) => {
                    SqlType::Decimal
                }
                kind @ (SqlType::Integer | SqlType::Real | SqlType::Decimal) => kind,
                _ => SqlType::Unknown,
            },
        }
    }

    fn unified<'e>(&self, exprs: impl Iterator<Item = &'e Expr>) -> SqlType {
        exprs
            .map(|expr| self.of(expr))
            .fold(SqlType::Null, |all, kind| all.or(kind, self.dialect))
    }
}
