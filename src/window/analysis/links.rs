//! The conditions of ON, USING and WHERE: those that link the tables of the chain, and the others.
//!
//! The invariant: a child table is joined by columns that cover its parent's key, so each of its rows
//! has exactly one row above it. A link by a column that is NULL joins nothing, so that becomes a
//! condition.

use super::Reason;
use super::expressions::{conjuncts, unwrapped};
use super::scope::{Scope, inner, last};
use super::symbol::Symbol;
use crate::error::quote;
use sqlparser::ast::{BinaryOperator, Expr, JoinConstraint, Select};

/// A condition of WHERE, with its index there, or of ON.
pub(super) struct Condition {
    pub place: Option<usize>,
    pub expr: Expr,
}

/// A column of a child table that is joined with one of its parent.
#[derive(Clone, Copy)]
struct Link {
    /// The depth of the child.
    depth: usize,
    /// The column of the child.
    theirs: usize,
    /// The column of the parent.
    ours: usize,
}

impl Scope<'_> {
    /// The conditions of ON and WHERE, without those by which the chain is linked.
    pub fn conditions(&self, select: &Select) -> Result<Vec<Condition>, Reason> {
        let mut parts: Vec<Condition> = Vec::new();
        let mut linked: Vec<Link> = Vec::new();
        let mut before = 0;
        for from in &select.from {
            before += 1;
            for join in &from.joins {
                match inner(join)? {
                    JoinConstraint::On(on) => {
                        parts.extend(conjuncts(on).into_iter().map(|part| Condition {
                            place: None,
                            expr: self.resolved(part),
                        }));
                    }
                    JoinConstraint::Using(columns) => {
                        for name in columns.iter().filter_map(last) {
                            linked.extend(self.using_link(before, &name.value)?);
                        }
                    }
                    _ => {}
                }
                before += 1;
            }
        }
        if let Some(selection) = &select.selection {
            let conjuncts = conjuncts(selection).into_iter().enumerate();
            parts.extend(conjuncts.map(|(index, part)| Condition {
                place: Some(index),
                expr: self.resolved(part),
            }));
        }
        parts.retain(|part| match self.link(&part.expr) {
            None => true,
            Some(link) => {
                linked.push(link);
                false
            }
        });
        self.check_links(&linked, &mut parts)?;
        Ok(parts)
    }

    /// The link that an equality is: the depth of the child, its column, the parent's.
    fn link(&self, part: &Expr) -> Option<Link> {
        let Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } = unwrapped(part)
        else {
            return None;
        };
        let (Some(Symbol::Column(a, left)), Some(Symbol::Column(b, right))) =
            (Symbol::of(left), Symbol::of(right))
        else {
            return None;
        };
        self.declared_link((a, left), (b, right))
    }

    /// The link that joins two columns, each with its depth, if it is declared.
    fn declared_link(&self, one: (usize, usize), other: (usize, usize)) -> Option<Link> {
        let (child, parent) = if one.0 == other.0 + 1 {
            (one, other)
        } else if other.0 == one.0 + 1 {
            (other, one)
        } else {
            return None;
        };
        let theirs = self.column_name(child.0, child.1);
        let ours = self.column_name(parent.0, parent.1);
        let declared = self.links[parent.0].parent.iter();
        let mut declared = declared.filter(|(t, o)| t == theirs && o == ours);
        declared.next().map(|_| Link {
            depth: child.0,
            theirs: child.1,
            ours: parent.1,
        })
    }

    /// The link that a name in USING is, for the table at this place of FROM.
    fn using_link(&self, index: usize, name: &str) -> Result<Option<Link>, Reason> {
        let joined = &self.factors[index];
        let Some(depth) = joined.depth else {
            return Ok(None);
        };
        let before = self.factors[..index].iter().filter_map(|f| f.depth);
        let mut having = before.filter_map(|d| match self.find(d, name)? {
            Symbol::Column(d, column) => Some((d, column)),
            _ => None,
        });
        let here = self.find(depth, name);
        if let (Some((other, column)), Some(Symbol::Column(_, here)), None) =
            (having.next(), here, having.next())
            && let Some(link) = self.declared_link((depth, here), (other, column))
        {
            return Ok(Some(link));
        }
        Err(format!(
            "using ({name}) is not the link of table {}",
            quote(&joined.table)
        ))
    }

    /// Checks that the links of every child cover the parent's key; adds what else they demand.
    fn check_links(&self, linked: &[Link], parts: &mut Vec<Condition>) -> Result<(), Reason> {
        for (index, child) in self.links.iter().enumerate() {
            let depth = index + 1;
            let parent = self.tables[depth - 1];
            let ours = |name: &str| {
                linked.iter().any(|link| {
                    link.depth == depth && self.column_name(depth - 1, link.ours) == name
                })
            };
            let keys = parent.key_columns();
            if keys.is_empty() || !keys.iter().all(|key| ours(key)) {
                let links = child.parent.iter().map(|(theirs, ours)| {
                    format!("{}.{theirs} = {}.{ours}", child.table.name(), parent.name())
                });
                return Err(format!(
                    "table {} is not joined by its declared link ({})",
                    quote(child.table.name()),
                    links.collect::<Vec<_>>().join(" and ")
                ));
            }
            // A link by NULL joins nothing.
            for link in linked.iter().filter(|link| link.depth == depth) {
                let name = self.column_name(depth - 1, link.ours);
                if !keys.iter().any(|key| key == name) {
                    let column = Symbol::Column(depth, link.theirs).expr();
                    parts.push(Condition {
                        place: None,
                        expr: Expr::IsNotNull(Box::new(column)),
                    });
                }
            }
        }
        Ok(())
    }
}
