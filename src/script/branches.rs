//! Joins over branches: a query that reads tables which several `create_window`s fill.
//!
//! Each branch commits on its own. Of two rows that belong together, both may be committed before
//! either is asked for: then both queries find the pair. So such a network gets a warning.

use crate::network::Edge;
use std::collections::HashSet;
use std::fmt;

/// What a node does with tables.
#[derive(Debug, Clone)]
pub(super) enum Access {
    /// It inserts each event into one of these, a table and its children.
    Fills(Vec<String>),
    /// It asks each of these for each event.
    Asks(Vec<String>),
}

/// A query that joins what several branches insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchJoin {
    /// The node that asks.
    pub node: String,
    /// The nodes that fill its tables.
    pub fills: Vec<String>,
    /// Where the node that asks was defined.
    pub place: Option<String>,
}

impl fmt::Display for BranchJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(
            f,
            "node {} joins tables that {} fill on several branches: in a live run a pair comes \
             twice or not at all; exact is one window over one table that all of them lead to \
             (guide, windows: \"Join two streams in one window\")",
            self.node,
            self.fills.join(" and ")
        )
    }
}

/// The queries that join what several branches insert.
pub(super) fn branch_joins(nodes: &[(String, Access)], edges: &[Edge]) -> Vec<BranchJoin> {
    let asks = nodes.iter().filter_map(|(node, access)| match access {
        Access::Asks(tables) => Some((node, tables)),
        Access::Fills(_) => None,
    });
    asks.filter_map(|(node, tables)| branch_join(node, tables, nodes, edges))
        .collect()
}

fn branch_join(
    node: &str,
    tables: &[String],
    nodes: &[(String, Access)],
    edges: &[Edge],
) -> Option<BranchJoin> {
    let fills = |tables: &[String]| {
        let fillers = nodes.iter().filter(|(_, access)| match access {
            Access::Fills(filled) => filled.iter().any(|table| tables.contains(table)),
            Access::Asks(_) => false,
        });
        let names: Vec<&str> = fillers.map(|(name, _)| name.as_str()).collect();
        names
    };
    // One table alone is no join, whichever node fills it.
    let by_table: HashSet<Vec<&str>> = tables
        .iter()
        .map(|table| fills(std::slice::from_ref(table)))
        .filter(|fills| !fills.is_empty())
        .collect();
    if by_table.len() < 2 {
        return None;
    }
    let fills = fills(tables);
    let above = above(node, edges);
    let on_one_path = fills.iter().all(|one| {
        let of_one = self::above(one, edges);
        above.contains(*one)
            && fills.iter().all(|other| {
                one == other || of_one.contains(*other) || self::above(other, edges).contains(*one)
            })
    });
    (!on_one_path).then(|| BranchJoin {
        node: node.to_owned(),
        fills: fills.into_iter().map(str::to_owned).collect(),
        place: None,
    })
}

/// All nodes from which links lead to a node.
fn above(node: &str, edges: &[Edge]) -> HashSet<String> {
    let mut found: HashSet<String> = HashSet::new();
    let mut next = vec![node.to_owned()];
    while let Some(node) = next.pop() {
        let into = edges.iter().filter(|edge| edge.to.to_string() == node);
        for from in into.map(|edge| edge.from.node.to_string()) {
            if found.insert(from.clone()) {
                next.push(from);
            }
        }
    }
    found
}
