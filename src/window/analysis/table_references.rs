//! The references to the window's table in a query.

use sqlparser::ast::{
    Ident, JoinOperator, ObjectName, Query, Select, TableAlias, TableFactor, Visit, VisitMut,
    Visitor, VisitorMut,
};
use std::ops::ControlFlow;

/// The alias of a table in FROM, where no join can leave its rows out.
pub(super) fn alias_in_from(select: &Select, name: &str) -> Option<Ident> {
    select.from.iter().find_map(|from| {
        let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation));
        let (index, alias) = factors
            .enumerate()
            .find_map(|(index, factor)| Some((index, named(factor, name)?)))?;
        let optional =
            from.joins
                .iter()
                .enumerate()
                .any(|(join, joined)| match &joined.join_operator {
                    JoinOperator::Join(_)
                    | JoinOperator::Inner(_)
                    | JoinOperator::CrossJoin(_)
                    | JoinOperator::StraightJoin(_) => false,
                    JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => join + 1 == index,
                    JoinOperator::Right(_) | JoinOperator::RightOuter(_) => join + 1 > index,
                    _ => true,
                });
        (!optional).then_some(alias)
    })
}

/// The alias of a factor, if it is the table of this name.
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

/// Counts the references to a table.
pub(super) struct TableReferences<'a> {
    name: &'a str,
    pub count: usize,
    /// Whether a subquery of WITH has its name.
    pub shadowed: bool,
}

impl<'a> TableReferences<'a> {
    pub fn of(query: &Query, name: &'a str) -> Self {
        let mut references = TableReferences {
            name,
            count: 0,
            shadowed: false,
        };
        let _ = query.visit(&mut references);
        references
    }
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

/// Replaces the references to a table by a subquery.
pub(super) fn replace_table(query: &mut Query, name: &str, rows: &Query) {
    let _ = VisitMut::visit(query, &mut TableVisitor { name, rows });
}

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
