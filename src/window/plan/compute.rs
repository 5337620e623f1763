//! What the database computes for a row: one SELECT for each depth at which something is to be
//! computed.
//!
//! The invariant: a value that is bound has the type, the affinity and the collation that the
//! column has, so an expression means the same over bound values as over columns. What was added
//! keeps its place, so an [`Item`] holds in every later state of the list.

use super::kind::{self, Kind};
use super::mark::Mark;
use super::parts::{nested, rendered, unwrapped};
use super::scope::Scope;
use super::survey::Survey;
use super::{Computed, Item, Reason};
use crate::store::dialect::positional;
use crate::store::{Dialect, Type};
use sqlparser::ast::{CastKind, DataType, ExactNumberInfo, Expr};

/// Expressions to be computed, by depth.
#[derive(Debug, Clone, Default)]
pub(super) struct Computing {
    depths: Vec<(usize, Vec<Expr>)>,
}

impl Computing {
    /// The value of an expression: its column, or the place where it is computed.
    pub fn item(&mut self, scope: &Scope<'_>, expr: &Expr) -> Item {
        match Mark::of(expr) {
            Some(Mark::Column(depth, at)) => Item::Column(scope.column(depth, at)),
            _ => self.computed(unwrapped(expr).clone()),
        }
    }

    /// The place where it is computed whether a condition holds.
    pub fn condition(&mut self, expr: Expr) -> Item {
        self.computed(Expr::IsTrue(Box::new(nested(expr))))
    }

    fn computed(&mut self, expr: Expr) -> Item {
        let depth = Survey::of(&expr).depth.unwrap_or(0);
        let computed = match self.depths.iter().position(|(known, _)| *known == depth) {
            Some(at) => at,
            None => {
                self.depths.push((depth, Vec::new()));
                self.depths.len() - 1
            }
        };
        let list = &mut self.depths[computed].1;
        let output = match list.iter().position(|known| *known == expr) {
            Some(at) => at,
            None => {
                list.push(expr);
                list.len() - 1
            }
        };
        Item::Computed { computed, output }
    }

    /// The expression of an item; columns are marks.
    pub fn expr(&self, item: Item) -> Expr {
        match item {
            Item::Column(column) => Mark::Column(column.depth, column.at).expr(),
            Item::Computed { computed, output } => self.depths[computed].1[output].clone(),
        }
    }

    /// The statements.
    pub fn statements(&self, dialect: Dialect, scope: &Scope<'_>) -> Result<Vec<Computed>, Reason> {
        let statement = |(depth, exprs): &(usize, Vec<Expr>)| {
            let bound = |mark: Mark| match mark {
                Mark::Column(depth, at) => cast(dialect, mark.expr(), scope.column(depth, at).kind),
                mark => mark.expr(),
            };
            let kinds = |mark: Mark| match mark {
                Mark::Column(depth, at) => Kind::of_column(scope.column(depth, at).kind),
                _ => Kind::Unknown,
            };
            let outputs: Vec<String> = exprs
                .iter()
                .enumerate()
                .map(|(at, expr)| {
                    let (expr, _) = kind::bindable(dialect, expr, &kinds);
                    format!("{} AS tributary_{at}", rendered(&expr, &bound))
                })
                .collect();
            let sql = format!("SELECT {}", outputs.join(", "));
            let (sql, names) = positional(dialect, &sql).map_err(|error| error.to_string())?;
            let inputs = names
                .iter()
                .filter_map(|name| match Mark::named(name) {
                    Some(Mark::Column(depth, at)) => Some(scope.column(depth, at)),
                    _ => None,
                })
                .collect();
            Ok(Computed {
                depth: *depth,
                sql,
                inputs,
                outputs: exprs.len(),
            })
        };
        self.depths.iter().map(statement).collect()
    }
}

/// A bound value as what a column holds.
pub(super) fn cast(dialect: Dialect, expr: Expr, kind: Type) -> Expr {
    let to = match (dialect, kind) {
        (Dialect::Sqlite, Type::Integer) => DataType::Integer(None),
        (Dialect::Sqlite, Type::Real) => DataType::Real,
        (Dialect::Sqlite, Type::Text(_)) => DataType::Text,
        (Dialect::Mysql, Type::Integer) => DataType::Signed,
        (Dialect::Mysql, Type::Real) => DataType::Double(ExactNumberInfo::None),
        (Dialect::Mysql, Type::Text(_)) => DataType::Char(None),
    };
    cast_to(expr, to)
}

pub(super) fn cast_to(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type,
        format: None,
    }
}
