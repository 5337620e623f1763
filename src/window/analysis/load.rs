//! The SQL from which the state of the groups is rebuilt.
//!
//! The invariant: it reads all rows that pass the filter, whatever their time. Which of them have left
//! the window is decided by the state.

use super::expressions::{all, conjuncts, nested, quoted, rendered};
use super::grouped::{ParsedQuery, named_column};
use super::restriction::TimeRestriction;
use super::row_sql::RowSqlBuilder;
use super::scope::Scope;
use super::symbol::Symbol;
use super::{LoadQuery, RowValue};
use crate::store::{Dialect, Table};
use sqlparser::ast::{Expr, GroupByExpr, Ident, Select, SelectItem, SetExpr};

/// The first columns, the time and the key, and their names in the result.
fn ids(table: &Table, time: Option<&str>) -> Vec<(String, String)> {
    let time = time.map(|time| (time.to_owned(), "tributary_time".to_owned()));
    let keys = table.key_columns().iter().enumerate();
    let keys = keys.map(|(index, key)| (key.clone(), format!("tributary_id_{index}")));
    time.into_iter().chain(keys).collect()
}

/// The SELECT of the time and the key of each row of the table.
pub(super) fn live(dialect: Dialect, table: &Table, time: Option<&str>) -> String {
    let ids = ids(table, time);
    let mut columns: Vec<String> = ids
        .iter()
        .map(|(column, name)| format!("{} AS {name}", dialect.quote(column)))
        .collect();
    let order: Vec<String> = ids
        .iter()
        .map(|(column, _)| dialect.quote(column))
        .collect();
    if columns.is_empty() {
        columns.push("1 AS tributary_none".to_owned());
    }
    let mut sql = format!(
        "SELECT {} FROM {}",
        columns.join(", "),
        dialect.quote(table.name())
    );
    if !order.is_empty() {
        sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
    }
    sql
}

/// The SELECT of all rows that the query uses: with its FROM, and its WHERE without bounds on the time.
pub(super) fn load(
    source: &ParsedQuery<'_>,
    scope: &Scope<'_>,
    computing: &RowSqlBuilder,
    items: Vec<RowValue>,
) -> LoadQuery {
    let put = |symbol: Symbol| named_column(source.dialect, scope, symbol);
    let table = scope.tables[0];
    let ids = ids(table, source.time);
    let id = |column: &str| {
        Expr::CompoundIdentifier(vec![scope.alias(0).clone(), quoted(source.dialect, column)])
    };
    let named = |expr: Expr, name: String| SelectItem::ExprWithAlias {
        expr,
        alias: Ident::new(name),
    };
    let mut projection: Vec<SelectItem> = ids
        .iter()
        .map(|(column, name)| named(id(column), name.clone()))
        .collect();
    projection.extend(items.iter().enumerate().map(|(index, item)| {
        let expr = rendered(&computing.expr(*item), &put);
        named(expr, format!("tributary_item_{index}"))
    }));
    if projection.is_empty() {
        projection.push(named(id("1"), "tributary_none".to_owned()));
    }
    let mut query = source.query.clone();
    query.order_by = None;
    if let SetExpr::Select(select) = &mut *query.body {
        unbounded(select, source.restriction);
        select.projection = projection;
        select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
        select.having = None;
    }
    let mut sql = query.to_string();
    if !ids.is_empty() {
        let order: Vec<String> = ids
            .iter()
            .map(|(column, _)| id(column).to_string())
            .collect();
        sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
    }
    LoadQuery {
        sql,
        time: source.time.is_some(),
        ids: table.key_columns().len(),
        items,
    }
}

/// Takes the bounds out of WHERE.
fn unbounded(select: &mut Select, restriction: &TimeRestriction<'_>) {
    let Some(selection) = select.selection.take() else {
        return;
    };
    let parts = conjuncts(&selection).into_iter().enumerate();
    let kept = parts.filter(|(place, _)| !restriction.is_time_bound(*place));
    select.selection = all(kept.map(|(_, part)| nested(part.clone())));
}
