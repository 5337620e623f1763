//! What an expression is made of: columns, parameters, clocks, aggregates, and whatever keeps it
//! from being followed.
//!
//! The invariant: only what is known is let through. An expression of a kind, an operator or a
//! function that is not listed is a problem with a reason, never ignored. One more kind of
//! expression: an arm in `SurveyVisitor::kind`.

use super::functions;
use super::scope::SUBQUERY;
use super::symbol::{Symbol, param_name};
use super::{Reason, WINDOW_END, WINDOW_START};
use crate::error::quote;
use crate::store::dialect::{NOW, NOW_DATETIME, NOW_UNIX};
use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator,
    Value, Visit, Visitor,
};
use std::ops::ControlFlow;

/// What an expression consists of.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The deepest table whose columns it uses.
    pub depth: Option<usize>,
    /// The first name that is not a column of the window's tables.
    pub unknown: Option<String>,
    /// The first parameter that is a field of the event.
    pub field: Option<String>,
    /// Whether it uses `:window_start` or `:window_end`.
    pub window_bounds: bool,
    pub clock: bool,
    pub aggregate: bool,
    /// Why it is not supported.
    pub problem: Option<Reason>,
}

impl Survey {
    pub fn of(part: &impl Visit) -> Survey {
        let mut surveyor = SurveyVisitor(Survey::default());
        let _ = part.visit(&mut surveyor);
        surveyor.0
    }

    /// Why it cannot be computed from a row of the window alone.
    pub fn outside(&self) -> Option<Reason> {
        if let Some(problem) = &self.problem {
            return Some(problem.clone());
        }
        if let Some(name) = &self.unknown {
            return Some(format!(
                "{} is not a declared column of the window's tables",
                quote(name)
            ));
        }
        if self.clock {
            return Some(
                "a clock outside of the bound on time: answers change without an event".to_owned(),
            );
        }
        if let Some(name) = &self.field {
            return Some(format!(
                ":{name} is a field of the event: the row of a group depends on the event"
            ));
        }
        None
    }
}

/// Whether a parameter is a clock.
pub(super) fn is_clock(name: &str) -> bool {
    [NOW, NOW_UNIX, NOW_DATETIME].contains(&name)
}

/// The name of a function in lower case.
pub(super) fn name_of(function: &Function) -> String {
    match function.name.0.as_slice() {
        [part] => part
            .as_ident()
            .map(|name| name.value.to_ascii_lowercase())
            .unwrap_or_default(),
        _ => String::new(),
    }
}

/// How many arguments a call has.
pub(super) fn count_args(function: &Function) -> usize {
    match &function.args {
        FunctionArguments::List(list) => list.args.len(),
        _ => 0,
    }
}

/// Whether an expression is a call of an aggregate.
pub(super) fn is_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            functions::is_aggregate(&name_of(function), count_args(function))
        }
        _ => false,
    }
}

struct SurveyVisitor(Survey);

impl SurveyVisitor {
    fn problem(&mut self, why: impl FnOnce() -> Reason) {
        self.0.problem.get_or_insert_with(why);
    }

    fn name(&mut self, name: &Expr) {
        self.0.unknown.get_or_insert_with(|| name.to_string());
    }

    fn value(&mut self, expr: &Expr, value: &Value) {
        if let Some(name) = param_name(expr) {
            match Symbol::named(name) {
                Some(Symbol::Column(depth, _)) => self.0.depth = self.0.depth.max(Some(depth)),
                Some(_) => {}
                None if is_clock(name) => self.0.clock = true,
                None if [WINDOW_START, WINDOW_END].contains(&name) => self.0.window_bounds = true,
                None => {
                    self.0.field.get_or_insert_with(|| name.to_owned());
                }
            }
            return;
        }
        match value {
            Value::Number(..)
            | Value::SingleQuotedString(_)
            | Value::DoubleQuotedString(_)
            | Value::Boolean(_)
            | Value::Null => {}
            _ => self.problem(|| format!("{} is not supported", quote(value.to_string()))),
        }
    }

    fn function(&mut self, function: &Function) {
        let name = name_of(function);
        if function.over.is_some() {
            return self.problem(|| format!("{name}() over a window: it depends on other rows"));
        }
        let plain = match &function.args {
            FunctionArguments::None => true,
            FunctionArguments::Subquery(_) => false,
            FunctionArguments::List(list) => list.clauses.is_empty(),
        };
        let plain = plain
            && function.null_treatment.is_none()
            && function.within_group.is_empty()
            && matches!(function.parameters, FunctionArguments::None);
        if functions::is_aggregate(&name, count_args(function)) {
            self.0.aggregate = true;
        } else if functions::function(&name).is_none() {
            let name = function.name.to_string();
            return self.problem(|| format!("{name}() is not known to be deterministic"));
        }
        if !plain {
            self.problem(|| format!("{} is not supported", quote(function.to_string())));
        }
        if let FunctionArguments::List(list) = &function.args {
            let star = |arg: &FunctionArg| {
                !matches!(
                    arg,
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(_) | FunctionArgExpr::Wildcard)
                )
            };
            if list.args.iter().any(star) {
                self.problem(|| format!("{} is not supported", quote(function.to_string())));
            }
        }
    }

    fn kind(&mut self, expr: &Expr) {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.name(expr),
            Expr::Value(value) => self.value(expr, &value.value),
            Expr::Function(function) => self.function(function),
            Expr::BinaryOp { op, .. } if is_known(op) => {}
            Expr::UnaryOp {
                op:
                    UnaryOperator::Plus
                    | UnaryOperator::Minus
                    | UnaryOperator::Not
                    | UnaryOperator::BangNot
                    | UnaryOperator::BitwiseNot,
                ..
            } => {}
            Expr::Nested(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::RLike { .. }
            | Expr::Cast { .. }
            | Expr::Case { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Position { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Interval(_)
            | Expr::TypedString(_)
            | Expr::Tuple(_) => {}
            Expr::Subquery(_)
            | Expr::InSubquery { .. }
            | Expr::Exists { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. } => self.problem(|| SUBQUERY.to_owned()),
            Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => {
                self.problem(|| ROLLUP.to_owned());
            }
            _ => self.problem(|| format!("{} is not supported", quote(expr.to_string()))),
        }
    }
}

pub(super) const ROLLUP: &str = "rollup: a row is in several groups";

fn is_known(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::MyIntegerDivide
            | BinaryOperator::StringConcat
            | BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::Xor
            | BinaryOperator::BitwiseOr
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseXor
            | BinaryOperator::Glob
            | BinaryOperator::Regexp
    )
}

impl Visitor for SurveyVisitor {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.kind(expr);
        ControlFlow::Continue(())
    }
}
