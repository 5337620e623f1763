//! The texts of a query restricted to the window's extent.
//!
//! Where the window's table stands once, in FROM, the restriction is a condition of WHERE; where
//! it stands anywhere else, each place is taken by a subquery that holds the rows of the extent.
//! A query that bounds itself keeps its own bound in the text for sliding windows, which is then
//! byte for byte the user's.

use super::bound::{self, TimeCondition};
use super::expressions::{all, binary, conjuncts, nested, quoted};
use super::survey::Survey;
use super::symbol::{Symbol, param};
use super::{Bound, FROM, Reason, RestrictedSql, SqlText, TO, WINDOW_END, WINDOW_START};
use crate::error::{Error, Result, quote};
use crate::store::{Dialect, Table, Type};
use sqlparser::ast::{
    BinaryOperator, Expr, Ident, JoinOperator, ObjectName, Query, Select, SetExpr, TableAlias,
    TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};
use sqlparser::dialect::{MySqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use std::ops::ControlFlow;
use std::time::Duration;

/// How the extent of a query is restricted.
pub(super) struct TimeRestriction<'a> {
    dialect: Dialect,
    table: &'a Table,
    time: Option<&'a str>,
    /// What the table is called in FROM, where it stands there once and nowhere else.
    alias: Option<Ident>,
    /// The places in WHERE of bounds that move with the clock.
    pub lower: Vec<usize>,
    /// The places of `:window_start` and `:window_end`.
    pub start: Vec<usize>,
    pub end: Vec<usize>,
    pub bound: Result<Option<Bound>, Reason>,
    /// Whether that lets rows in that are too old for the window.
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
        (time, size): (Option<&'a str>, Option<Duration>),
    ) -> Result<Self> {
        let mut references = TableReferences {
            name: table.name(),
            count: 0,
            shadowed: false,
        };
        let _ = query.visit(&mut references);
        if references.shadowed {
            return Err(Error::data(format!(
                "bad query: {} is the window's table, and a subquery of WITH",
                quote(table.name())
            ))
            .with_hint("name the subquery otherwise"));
        }
        let alias = match references.count {
            1 => select(query).and_then(|select| top(select, table.name())),
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
            let why = "a bound on time from above, which moves with the clock";
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
        let Some((at, column)) = self.table.find(time) else {
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
                    symbol: Symbol::Column(0, at),
                },
            );
            match bound::read(self.dialect, Some((at, column.kind)), &part) {
                TimeCondition::Lower(bound) => {
                    self.lower.push(place);
                    if let Ok(Some(_)) = self.bound {
                        unclear =
                            Some("two bounds on time: the lesser of them is not told".to_owned());
                    }
                    self.bound = Ok(Some(bound));
                }
                TimeCondition::Start => self.start.push(place),
                TimeCondition::End => self.end.push(place),
                // Marks, and what stands for clocks, mean nothing to who wrote the query.
                TimeCondition::Unclear => {
                    let written = select(original).and_then(|select| select.selection.as_ref());
                    let written = written.map(conjuncts).unwrap_or_default();
                    let written = written.get(place).map(|part| part.to_string());
                    unclear = Some(format!(
                        "{} is not understood as a bound on time",
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

    /// Whether a condition of WHERE says nothing but where the extent is.
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
        let end = match self.rounded {
            false => ended && self.end.is_empty(),
            true => ended || !self.end.is_empty(),
        };
        let removed = self.removed(ended);
        if !start && !end && removed.is_empty() {
            return None;
        }
        let (from, to) = self.params();
        let mut query = query.clone();
        let Some(alias) = &self.alias else {
            let rows = self.rows(time, ended);
            let _ = VisitMut::visit(
                &mut query,
                &mut TableVisitor {
                    name: self.table.name(),
                    rows: &rows,
                },
            );
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

    /// The places in WHERE of what is said of the time and stands in the text no more.
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
        match self.rounded {
            false => (WINDOW_START, WINDOW_END),
            true => (FROM, TO),
        }
    }

    /// The rows of the extent, as a subquery.
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
        let parsed = match self.dialect {
            Dialect::Sqlite => Parser::new(&SQLiteDialect {}).try_with_sql(&sql),
            Dialect::Mysql => Parser::new(&MySqlDialect {}).try_with_sql(&sql),
        };
        *parsed
            .and_then(|mut parser| parser.parse_query())
            .expect("names are checked when a table is declared")
    }
}

/// The parts of WHERE without those at some places.
fn kept(selection: &Expr, removed: &[usize]) -> Vec<Expr> {
    conjuncts(selection)
        .into_iter()
        .enumerate()
        .filter(|(place, _)| !removed.contains(place))
        .map(|(_, part)| nested(part.clone()))
        .collect()
}

/// What a table is called in FROM, where it stands there and no join can leave it out.
fn top(select: &Select, name: &str) -> Option<Ident> {
    select.from.iter().find_map(|from| {
        let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation));
        let (at, alias) = factors
            .enumerate()
            .find_map(|(at, factor)| Some((at, named(factor, name)?)))?;
        let optional =
            from.joins
                .iter()
                .enumerate()
                .any(|(join, joined)| match &joined.join_operator {
                    JoinOperator::Join(_)
                    | JoinOperator::Inner(_)
                    | JoinOperator::CrossJoin(_)
                    | JoinOperator::StraightJoin(_) => false,
                    JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => join + 1 == at,
                    JoinOperator::Right(_) | JoinOperator::RightOuter(_) => join + 1 > at,
                    _ => true,
                });
        (!optional).then_some(alias)
    })
}

/// What a factor is called, if it is the table of this name.
fn named(factor: &TableFactor, table: &str) -> Option<Ident> {
    let TableFactor::Table {
        name,
        alias,
        args: None,
        ..
    } = factor
    else {
        return None;
    };
    let last = last(name)?;
    if !last.value.eq_ignore_ascii_case(table) {
        return None;
    }
    Some(match alias {
        Some(alias) => alias.name.clone(),
        None => last.clone(),
    })
}

fn last(name: &ObjectName) -> Option<&Ident> {
    name.0.last().and_then(|part| part.as_ident())
}

/// Counts the places where the table stands.
struct TableReferences<'a> {
    name: &'a str,
    count: usize,
    shadowed: bool,
}

impl Visitor for TableReferences<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let names = query.with.iter().flat_map(|with| &with.cte_tables);
        self.shadowed |= names
            .map(|cte| &cte.alias.name.value)
            .any(|name| name.eq_ignore_ascii_case(self.name));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.count += usize::from(named(factor, self.name).is_some());
        ControlFlow::Continue(())
    }
}

/// Puts a subquery where the table stands.
struct TableVisitor<'a> {
    name: &'a str,
    rows: &'a Query,
}

impl VisitorMut for TableVisitor<'_> {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let (Some(name), TableFactor::Table { alias, .. }) = (named(factor, self.name), &*factor)
        {
            let alias = alias.clone().unwrap_or(TableAlias {
                explicit: true,
                name,
                columns: Vec::new(),
                at: None,
            });
            *factor = TableFactor::Derived {
                lateral: false,
                subquery: Box::new(self.rows.clone()),
                alias: Some(alias),
                sample: None,
            };
        }
        ControlFlow::Continue(())
    }
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
