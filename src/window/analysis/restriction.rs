//! The SQL of a query, restricted to the rows of one window.
//!
//! Where the query refers to the window's table once, in FROM, the restriction is a condition of WHERE;
//! otherwise each reference is replaced by a subquery with the rows of the window. A query with a bound
//! of its own keeps it in the SQL for sliding windows, which is then byte for byte the user's.

use super::bound::{self, TimeCondition};
use super::expressions::{all, binary, conjuncts, nested, quoted};
use super::survey::Survey;
use super::symbol::{Symbol, param};
use super::table_references::{TableReferences, alias_in_from, replace_table};
use super::{
    Bound, FROM, Reason, RestrictedSql, SqlText, TO, WINDOW_END, WINDOW_START, WindowTime,
};
use crate::error::{Error, Result, quote};
use crate::store::{Dialect, Table, Type, dialect};
use sqlparser::ast::{BinaryOperator, Expr, Ident, Query, Select, SetExpr, VisitMut, VisitorMut};
use std::ops::ControlFlow;

/// How a query is restricted to a window.
pub(super) struct TimeRestriction<'a> {
    dialect: Dialect,
    table: &'a Table,
    time: Option<&'a str>,
    /// The alias of the table in FROM, where that is the only reference to it.
    alias: Option<Ident>,
    /// The conditions of WHERE that are bounds moving with the clock, as indexes.
    pub lower: Vec<usize>,
    /// The conditions of WHERE that compare the time with `:window_start`, and with `:window_end`.
    pub start: Vec<usize>,
    pub end: Vec<usize>,
    pub bound: Result<Option<Bound>, Reason>,
    /// Whether the bound lets rows in that are too old for the window.
    loose: bool,
    /// Whether times are compared as they are rounded: they have fractions, or the bound has.
    rounded: bool,
}

/// The SELECT that a query is, if it is no more than that.
pub(super) fn select(query: &Query) -> Option<&Select> {
    match &*query.body {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

fn select_mut(query: &mut Query) -> Option<&mut Select> {
    match &mut *query.body {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

impl<'a> TimeRestriction<'a> {
    /// Looks for the table in a query, and for the bounds in WHERE; the clocks of `query` are
    /// replaced.
    ///
    /// # Errors
    /// A subquery that has the table's name.
    pub fn read(
        dialect: Dialect,
        original: &Query,
        query: &Query,
        table: &'a Table,
        window: WindowTime<'a>,
    ) -> Result<Self> {
        let WindowTime { column: time, size } = window;
        let references = TableReferences::of(query, table.name());
        if references.shadowed {
            return Err(Error::data(format!(
                "bad query: {} is the window's table, and a subquery of WITH",
                quote(table.name())
            ))
            .with_hint("use another name for the subquery"));
        }
        let alias = match references.count {
            1 => select(query).and_then(|select| alias_in_from(select, table.name())),
            _ => None,
        };
        let mut restriction = TimeRestriction {
            dialect,
            table,
            time,
            alias,
            lower: Vec::new(),
            start: Vec::new(),
            end: Vec::new(),
            bound: Ok(None),
            loose: false,
            rounded: false,
        };
        restriction.find_bounds(original, query);
        // A row that is too new for it now is not any more as time passes.
        if size.is_some() && !restriction.end.is_empty() {
            let why = "an upper bound on time that moves with the clock";
            restriction.bound = Err(why.to_owned());
        }
        let found = restriction.bound.iter().flatten().next();
        restriction.loose = size
            .zip(found)
            .is_some_and(|(size, bound)| bound.exceeds(size));
        let column = time.and_then(|time| table.find(time));
        restriction.rounded = column.is_some_and(|(_, column)| column.kind == Type::Real)
            || found.is_some_and(|bound| !bound.whole_seconds);
        Ok(restriction)
    }

    fn find_bounds(&mut self, original: &Query, query: &Query) {
        let (Some(alias), Some(time)) = (&self.alias, self.time) else {
            return;
        };
        let Some((index, column)) = self.table.find(time) else {
            return;
        };
        let selection = select(query).and_then(|select| select.selection.as_ref());
        let mut unclear = None;
        for (place, part) in selection
            .map(conjuncts)
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            let mut part = (*part).clone();
            let _ = VisitMut::visit(
                &mut part,
                &mut TimeColumnVisitor {
                    alias,
                    time,
                    symbol: Symbol::Column(0, index),
                },
            );
            match bound::read(self.dialect, Some((index, column.kind)), &part) {
                TimeCondition::Lower(bound) => {
                    self.lower.push(place);
                    if let Ok(Some(_)) = self.bound {
                        unclear = Some(
                            "two bounds on time: which one is tighter is not known".to_owned(),
                        );
                    }
                    self.bound = Ok(Some(bound));
                }
                TimeCondition::Start => self.start.push(place),
                TimeCondition::End => self.end.push(place),
                // Shown as the user wrote it: symbols and replaced clocks mean nothing to them.
                TimeCondition::Unclear => {
                    let written = select(original).and_then(|select| select.selection.as_ref());
                    let written = written.map(conjuncts).unwrap_or_default();
                    let written = written.get(place).map(|part| part.to_string());
                    unclear = Some(format!(
                        "{} is not supported as a bound on time",
                        quote(written.unwrap_or_default())
                    ));
                }
                TimeCondition::Upper | TimeCondition::Nothing => {}
            }
        }
        if let Some(why) = unclear {
            self.bound = Err(why);
        }
    }

    /// Whether a condition of WHERE is nothing but a bound on the time.
    pub fn is_time_bound(&self, place: usize) -> bool {
        [&self.lower, &self.start, &self.end]
            .iter()
            .any(|places| places.contains(&place))
    }

    /// Whether a query, its clocks replaced, has one anywhere but in its bound.
    pub fn has_other_clock(&self, query: &Query) -> bool {
        let mut query = query.clone();
        if let Some(select) = select_mut(&mut query)
            && let Some(selection) = &select.selection
        {
            select.selection = all(kept(selection, &self.lower));
        }
        Survey::of(&query).clock
    }

    /// Both texts of a query that is the user's, or (`changed`) one made of it.
    pub fn restrict(&self, sql: &str, query: &Query, changed: bool) -> RestrictedSql {
        let text = |ended: bool| {
            let restricted = self.restricted(query, ended);
            match (restricted, changed) {
                (Some(restricted), _) => SqlText {
                    sql: restricted.to_string(),
                    changed: true,
                },
                (None, true) => SqlText {
                    sql: query.to_string(),
                    changed: true,
                },
                (None, false) => SqlText {
                    sql: sql.to_owned(),
                    changed: false,
                },
            }
        };
        RestrictedSql {
            sliding: text(false),
            bounded: text(true),
        }
    }

    /// The query with its restriction; `None` where nothing is to be added.
    fn restricted(&self, query: &Query, ended: bool) -> Option<Query> {
        let time = self.time?;
        let own = !self.start.is_empty() || !(ended || self.loose || self.lower.is_empty());
        let start = self.rounded || !own;
        let end = if self.rounded {
            ended || !self.end.is_empty()
        } else {
            ended && self.end.is_empty()
        };
        let removed = self.removed(ended);
        if !start && !end && removed.is_empty() {
            return None;
        }
        let (from, to) = self.params();
        let mut query = query.clone();
        let Some(alias) = &self.alias else {
            let rows = self.rows(time, ended);
            replace_table(&mut query, self.table.name(), &rows);
            return Some(query);
        };
        let select = select_mut(&mut query)?;
        let column = Expr::CompoundIdentifier(vec![alias.clone(), quoted(self.dialect, time)]);
        let mut parts = match &select.selection {
            None => Vec::new(),
            Some(selection) if removed.is_empty() && conjuncts(selection).len() > 1 => {
                vec![selection.clone()]
            }
            Some(selection) => kept(selection, &removed),
        };
        if start {
            parts.push(binary(column.clone(), BinaryOperator::GtEq, param(from)));
        }
        if end {
            parts.push(binary(column, BinaryOperator::Lt, param(to)));
        }
        select.selection = all(parts);
        Some(query)
    }

    /// The conditions of WHERE on the time that the restriction replaces, as indexes.
    fn removed(&self, ended: bool) -> Vec<usize> {
        let mut removed = Vec::new();
        if ended || (self.rounded && self.bound.is_ok()) {
            removed.extend(&self.lower);
        }
        if self.rounded {
            removed.extend(self.start.iter().chain(&self.end));
        }
        removed
    }

    /// The parameters that bound the time.
    fn params(&self) -> (&'static str, &'static str) {
        if self.rounded {
            (FROM, TO)
        } else {
            (WINDOW_START, WINDOW_END)
        }
    }

    /// The rows of the window, as a subquery.
    fn rows(&self, time: &str, ended: bool) -> Query {
        let quote = |name| self.dialect.quote(name);
        let time = quote(time);
        let (from, to) = self.params();
        let mut sql = format!(
            "SELECT * FROM {} WHERE {time} >= :{from}",
            quote(self.table.name())
        );
        if ended {
            sql.push_str(&format!(" AND {time} < :{to}"));
        }
        dialect::parse_own(self.dialect, &sql).expect("names are checked when a table is declared")
    }
}

/// The conditions of WHERE without those at some indexes.
fn kept(selection: &Expr, removed: &[usize]) -> Vec<Expr> {
    conjuncts(selection)
        .into_iter()
        .enumerate()
        .filter(|(place, _)| !removed.contains(place))
        .map(|(_, part)| nested(part.clone()))
        .collect()
}

/// Marks the time column. A name without a table is ours: were it another's too, the database
/// would refuse the query.
struct TimeColumnVisitor<'a> {
    alias: &'a Ident,
    time: &'a str,
    symbol: Symbol,
}

impl VisitorMut for TimeColumnVisitor<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let same = |a: &Ident, b: &str| a.value.eq_ignore_ascii_case(b);
        let ours = match &*expr {
            Expr::Identifier(name) => same(name, self.time),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, name] => same(table, &self.alias.value) && same(name, self.time),
                _ => false,
            },
            _ => false,
        };
        if ours {
            *expr = self.symbol.expr();
        }
        ControlFlow::Continue(())
    }
}
