//! What the names in a query stand for: the window's table, the child tables joined to it, and other
//! tables.
//!
//! The joined tables of the window are a chain: each is a child of the one before, joined by the
//! columns that the declaration links, so that a row of the last one has one row in each before it, and
//! belongs to one event. The other conditions of ON and USING are like those of WHERE, since only inner
//! joins are supported.

use super::symbol::Symbol;
use super::{Column, Reason};
use crate::error::quote;
use crate::store::{Child, Dialect, Table};
use sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Select, TableFactor, VisitMut,
    VisitorMut,
};
use std::ops::ControlFlow;

/// A table in FROM.
pub(super) struct Factor {
    /// The qualifier of its columns.
    pub alias: Ident,
    pub table: String,
    pub depth: Option<usize>,
}

/// The tables of a query, and which of them are the window's.
pub(super) struct Scope<'a> {
    pub factors: Vec<Factor>,
    /// The window's table, then the child tables.
    pub tables: Vec<&'a Table>,
    /// The declared link of each child of the chain.
    pub links: Vec<&'a Child>,
    /// The columns that USING merges, in lower case.
    using: Vec<String>,
}

impl<'a> Scope<'a> {
    /// Reads FROM.
    pub fn read(dialect: Dialect, select: &Select, table: &'a Table) -> Result<Self, Reason> {
        let mut scope = Scope {
            factors: Vec::new(),
            tables: vec![table],
            links: Vec::new(),
            using: Vec::new(),
        };
        for from in &select.from {
            scope.add(dialect, &from.relation)?;
            for join in &from.joins {
                let constraint = inner(join)?;
                scope.add(dialect, &join.relation)?;
                if let JoinConstraint::Using(columns) = constraint {
                    let names = columns
                        .iter()
                        .filter_map(last)
                        .map(|n| n.value.to_lowercase());
                    scope.using.extend(names);
                }
            }
        }
        scope.follow()?;
        Ok(scope)
    }

    fn add(&mut self, dialect: Dialect, factor: &TableFactor) -> Result<(), Reason> {
        let (name, alias) = match factor {
            TableFactor::Table { args: Some(_), .. }
            | TableFactor::Function { .. }
            | TableFactor::TableFunction { .. } => {
                return Err("function in FROM: not supported".to_owned());
            }
            TableFactor::Table {
                name,
                alias,
                partitions,
                sample: None,
                version: None,
                json_path: None,
                ..
            } if partitions.is_empty() => (name, alias),
            TableFactor::Derived { .. } => return Err(SUBQUERY.to_owned()),
            _ => {
                return Err(format!(
                    "{} in FROM is not supported",
                    quote(factor.to_string())
                ));
            }
        };
        let table = local(dialect, name).ok_or_else(|| {
            format!(
                "table {} is qualified with a database",
                quote(name.to_string())
            )
        })?;
        if alias
            .as_ref()
            .is_some_and(|alias| !alias.columns.is_empty())
        {
            return Err(format!(
                "table {} has its columns renamed",
                quote(&table.value)
            ));
        }
        self.factors.push(Factor {
            alias: alias.as_ref().map_or(table, |alias| &alias.name).clone(),
            table: table.value.clone(),
            depth: None,
        });
        Ok(())
    }

    /// Finds the chain among the tables.
    fn follow(&mut self) -> Result<(), Reason> {
        let root = self.tables[0];
        self.place(root, 0)?;
        loop {
            let above = self.tables[self.tables.len() - 1];
            let stands = |child: &&Child| {
                let name = child.table.name();
                self.factors
                    .iter()
                    .any(|f| f.table.eq_ignore_ascii_case(name))
            };
            let mut joined = above.children().iter().filter(stands);
            let Some(child) = joined.next() else {
                break;
            };
            if let Some(other) = joined.next() {
                return Err(format!(
                    "tables {} and {} are both joined: each multiplies the rows of the other",
                    quote(child.table.name()),
                    quote(other.table.name())
                ));
            }
            self.tables.push(&child.table);
            self.links.push(child);
            self.place(&child.table, self.tables.len() - 1)?;
        }
        let mut stray = None;
        root.walk(&mut |table| {
            let named =
                |f: &&Factor| f.depth.is_none() && f.table.eq_ignore_ascii_case(table.name());
            if let Some(factor) = self.factors.iter().find(named) {
                stray.get_or_insert_with(|| factor.table.clone());
            }
        });
        match stray {
            None => Ok(()),
            Some(name) => Err(format!(
                "table {} is joined without its parent",
                quote(name)
            )),
        }
    }

    fn place(&mut self, table: &Table, depth: usize) -> Result<(), Reason> {
        let mut named = self
            .factors
            .iter_mut()
            .filter(|factor| factor.table.eq_ignore_ascii_case(table.name()));
        let first = named.next().ok_or_else(|| {
            format!(
                "FROM does not name the window's table {}",
                quote(table.name())
            )
        })?;
        first.depth = Some(depth);
        match named.next() {
            None => Ok(()),
            Some(_) => Err(format!(
                "table {} is joined with itself",
                quote(table.name())
            )),
        }
    }

    /// Whether tables are joined that are not the window's.
    pub fn foreign(&self) -> Option<&str> {
        let other = self.factors.iter().find(|factor| factor.depth.is_none());
        other.map(|factor| factor.table.as_str())
    }

    /// The table of a depth as the query names it.
    pub fn alias(&self, depth: usize) -> &Ident {
        let factor = self.factors.iter().find(|f| f.depth == Some(depth));
        &factor.expect("every depth has its table in FROM").alias
    }

    pub fn column(&self, depth: usize, index: usize) -> Column {
        let kind = self.tables[depth].columns()[index].kind;
        Column { depth, index, kind }
    }

    pub fn column_name(&self, depth: usize, index: usize) -> &'a str {
        &self.tables[depth].columns()[index].name
    }

    pub fn find(&self, depth: usize, name: &str) -> Option<Symbol> {
        let columns = self.tables[depth].columns();
        let index = columns
            .iter()
            .position(|c| c.name.eq_ignore_ascii_case(name))?;
        Some(Symbol::Column(depth, index))
    }

    /// The column of the chain that an identifier names.
    pub fn resolve(&self, expr: &Expr) -> Option<Symbol> {
        match expr {
            Expr::Identifier(name) => {
                let mut found = (0..self.tables.len()).filter_map(|d| self.find(d, &name.value));
                let first = found.next();
                let merged = self.using.contains(&name.value.to_lowercase());
                match found.next() {
                    Some(_) if !merged => None,
                    _ => first,
                }
            }
            Expr::CompoundIdentifier(parts) => {
                let [table, name] = parts.as_slice() else {
                    return None;
                };
                let same = |f: &&Factor| f.alias.value.eq_ignore_ascii_case(&table.value);
                let factor = self.factors.iter().find(same)?;
                self.find(factor.depth?, &name.value)
            }
            _ => None,
        }
    }

    /// An expression with a symbol for each column of the chain, and its functions in lower case.
    pub fn resolved(&self, expr: &Expr) -> Expr {
        let mut expr = expr.clone();
        let _ = expr.visit(&mut ResolveVisitor(self));
        expr
    }
}

pub(super) const SUBQUERY: &str = "subquery: not supported";

/// The last part of a name.
pub(super) fn last(name: &ObjectName) -> Option<&Ident> {
    name.0.last().and_then(|part| part.as_ident())
}

/// A table's name, unless it stands in another database.
fn local(dialect: Dialect, name: &ObjectName) -> Option<&Ident> {
    let main = |ident: &Ident| {
        let main = dialect.main_schema();
        main.is_some_and(|main| ident.value.eq_ignore_ascii_case(main))
    };
    match name.0.as_slice() {
        [name] => name.as_ident(),
        [schema, name] if schema.as_ident().is_some_and(main) => name.as_ident(),
        _ => None,
    }
}

/// The condition of an inner join.
pub(super) fn inner(join: &Join) -> Result<&JoinConstraint, Reason> {
    let constraint = match &join.join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::StraightJoin(constraint) => constraint,
        JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => return Err(outer("left")),
        JoinOperator::Right(_) | JoinOperator::RightOuter(_) => return Err(outer("right")),
        JoinOperator::FullOuter(_) => return Err(outer("full")),
        _ => return Err(format!("{} is not supported", quote(join.to_string()))),
    };
    match constraint {
        JoinConstraint::Natural => {
            Err("natural join: the query does not list its columns".to_owned())
        }
        constraint => Ok(constraint),
    }
}

fn outer(which: &str) -> Reason {
    format!("{which} join: outer joins are not supported")
}

struct ResolveVisitor<'a, 'b>(&'a Scope<'b>);

impl VisitorMut for ResolveVisitor<'_, '_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(symbol) = self.0.resolve(expr) {
            *expr = symbol.expr();
        } else if let Expr::Function(function) = expr {
            for part in &mut function.name.0 {
                if let sqlparser::ast::ObjectNamePart::Identifier(name) = part {
                    name.value.make_ascii_lowercase();
                }
            }
        }
        ControlFlow::Continue(())
    }
}
