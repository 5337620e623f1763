//! What the database computes for a row: one SELECT for each depth at which there is something to
//! compute.
//!
//! The invariant: a parameter has the type, the affinity and the collation of its column, so that an
//! expression means the same over parameters as over columns. Expressions are only appended, so a
//! [`RowValue`] stays valid as more of them are added.

use super::expressions::{nested, rendered, unwrapped};
use super::scope::Scope;
use super::sql_type::{self, SqlType};
use super::survey::Survey;
use super::symbol::Symbol;
use super::{Reason, RowSql, RowValue};
use crate::store::dialect::{self, Scalar, positional};
use crate::store::{Dialect, Type};
use sqlparser::ast::Expr;

/// The expressions to compute, by depth.
#[derive(Debug, Clone, Default)]
pub(super) struct RowSqlBuilder {
    depths: Vec<(usize, Vec<Expr>)>,
}

impl RowSqlBuilder {
    /// The value of an expression, which is a column or is computed.
    pub fn item(&mut self, scope: &Scope<'_>, expr: &Expr) -> RowValue {
        match Symbol::of(expr) {
            Some(Symbol::Column(depth, index)) => RowValue::Column(scope.column(depth, index)),
            _ => self.computed(unwrapped(expr).clone()),
        }
    }

    /// The value that is true where a condition holds.
    pub fn condition(&mut self, expr: Expr) -> RowValue {
        self.computed(Expr::IsTrue(Box::new(nested(expr))))
    }

    fn computed(&mut self, expr: Expr) -> RowValue {
        let depth = Survey::of(&expr).depth.unwrap_or(0);
        let computed = match self.depths.iter().position(|(known, _)| *known == depth) {
            Some(index) => index,
            None => {
                self.depths.push((depth, Vec::new()));
                self.depths.len() - 1
            }
        };
        let list = &mut self.depths[computed].1;
        let output = match list.iter().position(|known| *known == expr) {
            Some(index) => index,
            None => {
                list.push(expr);
                list.len() - 1
            }
        };
        RowValue::Computed { computed, output }
    }

    /// The expression of an item; columns are symbols.
    pub fn expr(&self, item: RowValue) -> Expr {
        match item {
            RowValue::Column(column) => Symbol::Column(column.depth, column.index).expr(),
            RowValue::Computed { computed, output } => self.depths[computed].1[output].clone(),
        }
    }

    /// The statements.
    pub fn statements(&self, dialect: Dialect, scope: &Scope<'_>) -> Result<Vec<RowSql>, Reason> {
        let statement = |(depth, exprs): &(usize, Vec<Expr>)| {
            let bound = |symbol: Symbol| match symbol {
                Symbol::Column(depth, index) => {
                    cast(dialect, symbol.expr(), scope.column(depth, index).kind)
                }
                symbol => symbol.expr(),
            };
            let kinds = |symbol: Symbol| match symbol {
                Symbol::Column(depth, index) => SqlType::of_column(scope.column(depth, index).kind),
                _ => SqlType::Unknown,
            };
            let outputs: Vec<String> = exprs
                .iter()
                .enumerate()
                .map(|(index, expr)| {
                    let (expr, _) = sql_type::bindable(dialect, expr, &kinds);
                    format!("{} AS tributary_{index}", rendered(&expr, &bound))
                })
                .collect();
            let sql = format!("SELECT {}", outputs.join(", "));
            let (sql, names) = positional(dialect, &sql).map_err(|error| error.to_string())?;
            let inputs = names
                .iter()
                .filter_map(|name| match Symbol::named(name) {
                    Some(Symbol::Column(depth, index)) => Some(scope.column(depth, index)),
                    _ => None,
                })
                .collect();
            Ok(RowSql {
                depth: *depth,
                sql,
                inputs,
                outputs: exprs.len(),
                texts: exprs.iter().map(ToString::to_string).collect(),
            })
        };
        self.depths.iter().map(statement).collect()
    }
}

/// A parameter as a value of a column of this type.
pub(super) fn cast(dialect: Dialect, expr: Expr, kind: Type) -> Expr {
    let to = match kind {
        Type::Integer => Scalar::Integer,
        Type::Real => Scalar::Real,
        Type::Text(_) => Scalar::Text,
    };
    dialect::cast(expr, dialect.data_type(to))
}
