//! The type of an expression as far as its text tells: what a running sum has to add up.
//!
//! The invariant: a type is named only where every value that the database can give has it (NULL
//! aside). The two exceptions are said where they matter: SQLite makes a real of a whole number
//! that it computes beyond 64 bits, and MySQL refuses it.
//!
//! What the database computes from values that are bound must be of the type that it has computed
//! from columns. On MariaDB that is not so of a minus before a whole number ([`bindable`]).

use super::functions::{self, Gives};
use super::mark::{Mark, has_mark};
use super::parts::{binary, nested, ordinal, unwrapped};
use super::survey::name_of;
use crate::store::{Dialect, Type};
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    UnaryOperator, Value, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

impl Kind {
    pub fn of_column(kind: Type) -> Kind {
        match kind {
            Type::Integer => Kind::Integer,
            Type::Real => Kind::Real,
            Type::Text(_) => Kind::Text,
        }
    }

    /// The type of a value that is one or the other.
    fn or(self, other: Kind, dialect: Dialect) -> Kind {
        match (self, other) {
            (Kind::Null, kind) | (kind, Kind::Null) => kind,
            (a, b) if a == b => a,
            (
                Kind::Integer | Kind::Real | Kind::Mixed,
                Kind::Integer | Kind::Real | Kind::Mixed,
            ) if dialect == Dialect::Sqlite => Kind::Mixed,
            (a, b) if a.is_number() && b.is_number() => a.computed(b),
            _ => Kind::Unknown,
        }
    }

    fn is_number(self) -> bool {
        matches!(
            self,
            Kind::Integer | Kind::Real | Kind::Decimal | Kind::Mixed
        )
    }

    /// The type of a sum, difference or product.
    fn computed(self, other: Kind) -> Kind {
        match (self, other) {
            (Kind::Null, kind) | (kind, Kind::Null) if kind.is_number() => kind,
            (Kind::Integer, Kind::Integer) => Kind::Integer,
            (a, b) if !(a.is_number() && b.is_number()) => Kind::Unknown,
            (Kind::Real, _) | (_, Kind::Real) => Kind::Real,
            (Kind::Mixed, _) | (_, Kind::Mixed) => Kind::Mixed,
            _ => Kind::Decimal,
        }
    }
}

/// The type of an expression, by the types of its marks.
pub(super) fn kind(dialect: Dialect, expr: &Expr, marks: &dyn Fn(Mark) -> Kind) -> Kind {
    Kinds { dialect, marks }.of(expr)
}

/// An expression that means over bound values what it means over columns, for both of which marks
/// stand; and whether a minus stands in it of which the type is not told.
///
/// MariaDB makes a decimal, and so a text, of `-x` where `x` is a constant below zero, which every
/// bound value is to it; of a column it makes a whole number. `0 - x` is one in either case.
pub(super) fn bindable(
    dialect: Dialect,
    expr: &Expr,
    marks: &dyn Fn(Mark) -> Kind,
) -> (Expr, bool) {
    let mut expr = expr.clone();
    let mut minuses = Minuses {
        kinds: Kinds { dialect, marks },
        untold: false,
    };
    if dialect == Dialect::Mysql {
        let _ = expr.visit(&mut minuses);
    }
    (expr, minuses.untold)
}

struct Minuses<'a> {
    kinds: Kinds<'a>,
    untold: bool,
}

impl VisitorMut for Minuses<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: of,
        } = &*expr
            && has_mark(of)
        {
            match self.kinds.of(of) {
                Kind::Integer => {
                    let zero = Value::Number("0".to_owned(), false).with_empty_span();
                    let of = nested(unwrapped(of).clone());
                    *expr = nested(binary(Expr::Value(zero), BinaryOperator::Minus, of));
                }
                Kind::Unknown => self.untold = true,
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

struct Kinds<'a> {
    dialect: Dialect,
    marks: &'a dyn Fn(Mark) -> Kind,
}

impl Kinds<'_> {
    fn of(&self, expr: &Expr) -> Kind {
        if let Some(mark) = Mark::of(expr) {
            return (self.marks)(mark);
        }
        match expr {
            Expr::Nested(inner) => self.of(inner),
            Expr::Value(value) => self.value(&value.value),
            Expr::UnaryOp { op, expr } => match op {
                UnaryOperator::Plus => self.of(expr),
                UnaryOperator::Minus => self.negated(expr),
                UnaryOperator::Not | UnaryOperator::BangNot => Kind::Integer,
                _ => Kind::Unknown,
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
            | Expr::RLike { .. } => Kind::Integer,
            Expr::Case {
                conditions,
                else_result,
                ..
            } => {
                let results = conditions.iter().map(|when| &when.result);
                self.unified(results.chain(else_result.as_deref()))
            }
            Expr::Cast { data_type, .. } => self.cast(data_type),
            Expr::Substring { .. } | Expr::Trim { .. } => Kind::Text,
            Expr::Function(function) => self.function(function),
            Expr::Ceil { expr, .. } | Expr::Floor { expr, .. } => match self.of(expr) {
                kind @ (Kind::Integer | Kind::Real) => kind,
                _ => Kind::Unknown,
            },
            _ => Kind::Unknown,
        }
    }

    fn negated(&self, of: &Expr) -> Kind {
        match self.of(of).computed(Kind::Integer) {
            // MySQL makes a decimal of some constants, by what they are.
            Kind::Integer
                if self.dialect == Dialect::Mysql
                    && ordinal(unwrapped(of)).is_none()
                    && !has_mark(of) =>
            {
                Kind::Unknown
            }
            kind => kind,
        }
    }

    fn value(&self, value: &Value) -> Kind {
        match value {
            Value::Number(text, _) => {
                let text = text.to_ascii_lowercase();
                match (text.contains('e'), text.contains('.')) {
                    (true, _) => Kind::Real,
                    (_, true) if self.dialect == Dialect::Sqlite => Kind::Real,
                    (_, true) => Kind::Decimal,
                    _ if text.parse::<i64>().is_ok() => Kind::Integer,
                    _ if self.dialect == Dialect::Sqlite && !text.contains('x') => Kind::Real,
                    _ => Kind::Unknown,
                }
            }
            Value::SingleQuotedString(_) | Value::DoubleQuotedString(_) => Kind::Text,
            Value::Boolean(_) => Kind::Integer,
            Value::Null => Kind::Null,
            _ => Kind::Unknown,
        }
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Kind {
        let (left, right) = (self.of(left), self.of(right));
        let sqlite = self.dialect == Dialect::Sqlite;
        match op {
            BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply => {
                left.computed(right)
            }
            BinaryOperator::Divide => match left.computed(right) {
                // MySQL divides whole numbers exactly.
                Kind::Integer if !sqlite => Kind::Decimal,
                kind => kind,
            },
            BinaryOperator::Modulo => left.computed(right),
            BinaryOperator::MyIntegerDivide if left.is_number() && right.is_number() => {
                Kind::Integer
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
            | BinaryOperator::Xor => Kind::Integer,
            BinaryOperator::StringConcat if sqlite => Kind::Text,
            _ => Kind::Unknown,
        }
    }

    fn cast(&self, to: &DataType) -> Kind {
        match to {
            DataType::Integer(None) | DataType::Int(None) | DataType::BigInt(None)
                if self.dialect == Dialect::Sqlite =>
            {
                Kind::Integer
            }
            DataType::Signed | DataType::SignedInteger if self.dialect == Dialect::Mysql => {
                Kind::Integer
            }
            DataType::Real | DataType::Double(_) => Kind::Real,
            DataType::Text => Kind::Text,
            DataType::Char(_) if self.dialect == Dialect::Mysql => Kind::Text,
            _ => Kind::Unknown,
        }
    }

    fn function(&self, function: &Function) -> Kind {
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
        let first = || args.first().map_or(Kind::Unknown, |first| self.of(first));
        match functions::function(&name_of(function)) {
            None | Some(Gives::Unknown) => Kind::Unknown,
            Some(Gives::Always(kind)) => kind,
            // MySQL has types of its own for them.
            Some(Gives::Datetime) if self.dialect == Dialect::Sqlite => Kind::Text,
            Some(Gives::Datetime) => Kind::Unknown,
            Some(Gives::First) => first(),
            Some(Gives::Number) => match first() {
                kind if kind.is_number() => kind,
                _ => Kind::Unknown,
            },
            Some(Gives::Unified) => self.unified(args.into_iter()),
            Some(Gives::Branches) => self.unified(args.into_iter().skip(1)),
            Some(Gives::Rounded) => match (self.dialect, first()) {
                (Dialect::Sqlite, kind) if kind.is_number() => Kind::Real,
                // MariaDB makes decimals of whole numbers that it rounds before the point.
                (Dialect::Mysql, Kind::Integer)
                    if args.get(1).is_some_and(|digits| ordinal(digits).is_none()) =>
                {
                    Kind::Decimal
                }
                (Dialect::Mysql, kind @ (Kind::Integer | Kind::Real | Kind::Decimal)) => kind,
                _ => Kind::Unknown,
            },
        }
    }

    fn unified<'e>(&self, exprs: impl Iterator<Item = &'e Expr>) -> Kind {
        exprs
            .map(|expr| self.of(expr))
            .fold(Kind::Null, |all, kind| all.or(kind, self.dialect))
    }
}
