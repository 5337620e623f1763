//! How a query groups: the keys of a group, and which rows it uses.
//!
//! The invariant: the keys and the filter depend on one row of the window's table and its child rows
//! only, so that the groups that an event touches are known from the event. A condition that depends on
//! anything else (another table, the event as a parameter) is left out of the filter: then a group may
//! be taken for touched that is not, which costs a query and changes no answer.

use super::expressions::{all, nested, ordinal, quoted, rendered, unwrapped};
use super::links::Condition;
use super::restriction::{TimeRestriction, select};
use super::row_sql::RowSqlBuilder;
use super::scope::{SUBQUERY, Scope};
use super::survey::{ROLLUP, Survey};
use super::symbol::{self, Symbol, param};
use super::{Column, GroupedQuery, KEY, Reason, RowValue};
use crate::error::quote;
use crate::store::{Dialect, Type, dialect};
use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr,
};

/// A query, parsed.
pub(super) struct ParsedQuery<'a> {
    pub dialect: Dialect,
    /// The query as the user wrote it.
    pub sql: &'a str,
    pub original: &'a Query,
    /// `original` with its clocks replaced.
    pub query: &'a Query,
    pub time: Option<&'a str>,
    pub restriction: &'a TimeRestriction<'a>,
}

/// What the analysis of running state needs of the grouping.
pub(super) struct Grouping<'a> {
    pub scope: Scope<'a>,
    /// The keys, with symbols for columns.
    pub keys: Vec<Expr>,
    pub computing: RowSqlBuilder,
    /// Why some condition is not in the filter.
    pub unseen: Option<Reason>,
}

/// Reads how a query groups.
pub(super) fn read<'a>(
    source: &ParsedQuery<'a>,
    table: &'a crate::store::Table,
) -> Result<(GroupedQuery, Grouping<'a>), Reason> {
    check_query(source.query)?;
    let select = select(source.query).ok_or("it is not a plain SELECT")?;
    check_select(select)?;
    let scope = Scope::read(source.dialect, select, table)?;
    if let Some(name) = symbol::taken(source.query) {
        return Err(format!(":{name} has a reserved prefix"));
    }
    Survey::of(source.query).problem.map_or(Ok(()), Err)?;
    let conditions = scope.conditions(select)?;
    let names = SelectNames {
        scope: &scope,
        select,
    };
    let keys = names.keys(source.query)?;

    let mut computing = RowSqlBuilder::default();
    let (filter, unseen) = filter(source, &scope, &conditions, &mut computing);
    let items: Vec<RowValue> = keys.iter().map(|key| computing.item(&scope, key)).collect();
    let (whole, keyed) = texts(source, &scope, &keys);
    let grouped = GroupedQuery {
        chain: scope.tables[1..]
            .iter()
            .map(|t| t.name().to_owned())
            .collect(),
        filter,
        computed: computing.statements(source.dialect, &scope)?,
        whole: source
            .restriction
            .restrict(source.sql, &whole, !keys.is_empty()),
        keyed: source
            .restriction
            .restrict(source.sql, &keyed, !keys.is_empty()),
        key_columns: keys.iter().map(|key| names.projected(key)).collect(),
        index: index(&scope, source.time, &items),
        foreign: scope.foreign().is_some(),
        keys: items,
    };
    for text in [&grouped.whole, &grouped.keyed] {
        for text in [&text.sliding, &text.bounded] {
            dialect::rewrite(source.dialect, &text.sql).map_err(|error| error.to_string())?;
        }
    }
    let groups = Grouping {
        scope,
        keys,
        computing,
        unseen,
    };
    Ok((grouped, groups))
}

fn check_query(query: &Query) -> Result<(), Reason> {
    if query.with.is_some() {
        return Err("with: not supported".to_owned());
    }
    match &*query.body {
        SetExpr::Select(_) => {}
        SetExpr::SetOperation { op, .. } => {
            let op = op.to_string().to_lowercase();
            return Err(format!("{op}: several queries have no common groups"));
        }
        SetExpr::Query(_) => return Err(SUBQUERY.to_owned()),
        _ => return Err("it is not a plain SELECT".to_owned()),
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return Err("limit: which groups are in the answer depends on all groups".to_owned());
    }
    if let Some(order) = &query.order_by
        && !matches!(order.kind, OrderByKind::Expressions(_))
    {
        return Err(format!("{} is not supported", quote(order.to_string())));
    }
    Ok(())
}

fn check_select(select: &Select) -> Result<(), Reason> {
    if select.distinct.is_some() {
        return Err("distinct: rows of several groups are merged".to_owned());
    }
    let plain = select.top.is_none()
        && select.lateral_views.is_empty()
        && select.prewhere.is_none()
        && select.connect_by.is_empty()
        && select.cluster_by.is_empty()
        && select.distribute_by.is_empty()
        && select.sort_by.is_empty()
        && select.named_window.is_empty()
        && select.qualify.is_none()
        && select.value_table_mode.is_none();
    if plain {
        Ok(())
    } else {
        Err("it has a clause that is not supported".to_owned())
    }
}

/// What the names in SELECT stand for.
pub(super) struct SelectNames<'a, 'b> {
    pub scope: &'a Scope<'b>,
    pub select: &'a Select,
}

impl SelectNames<'_, '_> {
    /// The expression of a column of the answer.
    pub fn column(&self, index: usize) -> Option<Expr> {
        match self.select.projection.get(index)? {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                Some(self.scope.resolved(expr))
            }
            _ => None,
        }
    }

    /// The place of the column that has this alias.
    pub fn alias(&self, name: &Ident) -> Option<usize> {
        self.select.projection.iter().position(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => {
                alias.value.eq_ignore_ascii_case(&name.value)
            }
            _ => false,
        })
    }

    /// What a name stands for, a column or an alias; `None` where it is neither.
    pub fn named(&self, name: &Ident) -> Result<Option<Expr>, Reason> {
        let column = self.scope.resolve(&Expr::Identifier(name.clone()));
        let alias = self.alias(name).and_then(|index| self.column(index));
        match (column, alias) {
            (Some(symbol), Some(expr)) if Symbol::of(&expr) != Some(symbol) => Err(format!(
                "{} is ambiguous: a column, and an alias in SELECT",
                quote(&name.value)
            )),
            (Some(symbol), _) => Ok(Some(symbol.expr())),
            (None, expr) => Ok(expr),
        }
    }

    /// Whether a column of the answer is a `*`.
    pub fn has_wildcard(&self) -> bool {
        self.select.projection.iter().any(|item| {
            !matches!(
                item,
                SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }
            )
        })
    }

    /// The place of the column that is exactly this expression.
    fn projected(&self, key: &Expr) -> Option<usize> {
        let mut places = 0..self.select.projection.len();
        let same = |index: &usize| self.column(*index).is_some_and(|e| unwrapped(&e) == key);
        (!self.has_wildcard()).then(|| places.find(same)).flatten()
    }

    fn keys(&self, query: &Query) -> Result<Vec<Expr>, Reason> {
        let GroupByExpr::Expressions(exprs, modifiers) = &self.select.group_by else {
            return Err("group by all is not supported".to_owned());
        };
        if !modifiers.is_empty() {
            return Err(ROLLUP.to_owned());
        }
        if exprs.is_empty() {
            let order = query
                .order_by
                .as_ref()
                .is_some_and(|o| Survey::of(o).aggregate);
            let having = self.select.having.as_ref();
            let having = having.is_some_and(|having| Survey::of(having).aggregate);
            let projected = self
                .select
                .projection
                .iter()
                .any(|item| Survey::of(item).aggregate);
            return if projected || having || order {
                Ok(Vec::new())
            } else {
                Err("no groups: neither GROUP BY nor an aggregate".to_owned())
            };
        }
        exprs.iter().map(|expr| self.key(expr)).collect()
    }

    fn key(&self, expr: &Expr) -> Result<Expr, Reason> {
        let key = match (ordinal(expr), unwrapped(expr)) {
            (Some(number), _) => number.checked_sub(1).and_then(|index| self.column(index)),
            (None, Expr::Identifier(name)) => self.named(name)?,
            (None, expr) => Some(self.scope.resolved(expr)),
        };
        let bad = |why: &str| format!("group by {}: {why}", quote(expr.to_string()));
        let key = key.ok_or_else(|| bad("it is not a declared column of the window's tables"))?;
        let survey = Survey::of(&key);
        match survey.outside() {
            Some(why) => Err(bad(&why)),
            None if survey.aggregate => Err(bad("it is an aggregate")),
            None if survey.window_bounds => Err(bad("it depends on the window")),
            None => Ok(unwrapped(&key).clone()),
        }
    }
}

/// The conditions that are neither links nor bounds, and why some cannot be looked at.
fn filter(
    source: &ParsedQuery<'_>,
    scope: &Scope<'_>,
    conditions: &[Condition],
    computing: &mut RowSqlBuilder,
) -> (Vec<RowValue>, Option<Reason>) {
    let mut unseen = None;
    let mut depths: Vec<Vec<Expr>> = vec![Vec::new(); scope.tables.len()];
    for condition in conditions {
        if condition
            .place
            .is_some_and(|index| source.restriction.is_time_bound(index))
        {
            continue;
        }
        let survey = Survey::of(&condition.expr);
        let why = match survey.outside() {
            None if survey.window_bounds => {
                Some("the window's bounds are used outside of a bound on time".to_owned())
            }
            why => why,
        };
        match why {
            None => depths[survey.depth.unwrap_or(0)].push(nested(condition.expr.clone())),
            Some(why) => {
                unseen.get_or_insert(why);
            }
        }
    }
    let conditions = depths.into_iter().filter_map(all);
    let items = conditions
        .map(|condition| computing.condition(condition))
        .collect();
    (items, unseen)
}

/// The query with its keys as columns, and the same for one group.
fn texts(source: &ParsedQuery<'_>, scope: &Scope<'_>, keys: &[Expr]) -> (Query, Query) {
    let mut whole = source.original.clone();
    let put = |symbol: Symbol| named_column(source.dialect, scope, symbol);
    let keys: Vec<Expr> = keys.iter().map(|key| rendered(key, &put)).collect();
    if let SetExpr::Select(select) = &mut *whole.body {
        for (index, key) in keys.iter().enumerate() {
            select.projection.push(SelectItem::ExprWithAlias {
                expr: key.clone(),
                alias: Ident::new(format!("{KEY}{index}")),
            });
        }
    }
    let mut keyed = whole.clone();
    if let SetExpr::Select(select) = &mut *keyed.body {
        let own = select.selection.take().map(|own| match own {
            Expr::BinaryOp {
                op: BinaryOperator::And,
                ..
            } => own,
            own => nested(own),
        });
        let same = keys.iter().enumerate().map(|(index, key)| {
            let (key, value) = (nested(key.clone()), param(&format!("{KEY}{index}")));
            source.dialect.not_distinct(key, value)
        });
        select.selection = all(own.into_iter().chain(same));
    }
    (whole, keyed)
}

/// A column as the query can name it.
pub(super) fn named_column(dialect: Dialect, scope: &Scope<'_>, symbol: Symbol) -> Expr {
    match symbol {
        Symbol::Column(depth, index) => Expr::CompoundIdentifier(vec![
            scope.alias(depth).clone(),
            quoted(dialect, scope.column_name(depth, index)),
        ]),
        symbol => symbol.expr(),
    }
}

/// The longest index that MySQL takes, in bytes, at 4 for a character.
const MAX_INDEX: usize = 3_072;

/// The indexes by which the rows of one group are found.
fn index(scope: &Scope<'_>, time: Option<&str>, keys: &[RowValue]) -> Vec<(String, Vec<String>)> {
    let columns = |depth: usize| {
        let of_depth = |item: &RowValue| match item {
            RowValue::Column(column) if column.depth == depth => Some(*column),
            _ => None,
        };
        keys.iter().filter_map(of_depth).collect::<Vec<Column>>()
    };
    let Some((depth, columns)) = (0..scope.tables.len())
        .map(|depth| (depth, columns(depth)))
        .find(|(_, columns)| !columns.is_empty())
    else {
        return Vec::new();
    };
    let table = scope.tables[depth];
    let mut names: Vec<&str> = columns
        .iter()
        .map(|column| scope.column_name(depth, column.index))
        .collect();
    match depth {
        0 => names.extend(time),
        _ => names.extend(
            scope.links[depth - 1]
                .parent
                .iter()
                .map(|(theirs, _)| theirs.as_str()),
        ),
    }
    let mut room = MAX_INDEX;
    let mut index: Vec<String> = Vec::new();
    for name in names {
        let size = match table.find(name).map(|(_, column)| column.kind) {
            Some(Type::Text(len)) => usize::from(len) * 4,
            _ => 8,
        };
        if size <= room && !index.iter().any(|known| known == name) {
            room -= size;
            index.push(name.to_owned());
        }
    }
    if index.is_empty() {
        Vec::new()
    } else {
        vec![(table.name().to_owned(), index)]
    }
}
