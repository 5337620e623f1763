//! Questions about a graph as a whole.

use super::{Graph, Unlinked};
use crate::name::{Endpoint, Name};
use crate::network::id::NodeId;
use crate::network::runner::NodeKind;
use std::collections::{BTreeMap, BTreeSet};

impl Graph {
    pub fn is_connected(&self, from: &str, to: &str) -> bool {
        match (Endpoint::new(from), Name::new(to)) {
            (Ok(from), Ok(to)) => self.edges.values().any(|e| e.from == from && e.to == to),
            _ => false,
        }
    }

    /// Whether a link leads to or from the node.
    pub fn is_linked(&self, node: NodeId) -> bool {
        let mut edges = self.edges.values();
        edges.any(|edge| edge.source == node || edge.target == node)
    }

    /// The nodes of which an input or an output is not linked.
    pub fn unlinked(&self) -> Vec<Unlinked> {
        let receiving: BTreeSet<NodeId> = self.edges.values().map(|edge| edge.target).collect();
        // A link of `on_error` takes errors only.
        let onward = self.edges.values().filter(|edge| !edge.on_error);
        let sending: BTreeSet<NodeId> = onward.map(|edge| edge.source).collect();
        let mut unlinked = Vec::new();
        for (id, node) in &self.nodes {
            let no_input = node.kind != NodeKind::Source && !receiving.contains(id);
            let no_output = node.kind != NodeKind::Sink && !sending.contains(id);
            let what = match (no_input, no_output) {
                (false, false) => continue,
                (true, true) => "is not linked to anything",
                (true, false) => "has no input: nothing is linked to it",
                (false, true) => "has no output: what leaves it goes nowhere",
            };
            unlinked.push(Unlinked {
                node: node.name.clone(),
                message: format!("node {} {what}", node.name),
                place: node.place.clone(),
            });
        }
        unlinked
    }

    /// The nodes in topological order; among those that could come next, the one that was added
    /// first.
    pub fn order(&self) -> Vec<NodeId> {
        let mut inputs: BTreeMap<NodeId, usize> = self.nodes.keys().map(|id| (*id, 0)).collect();
        for edge in self.edges.values() {
            *inputs.entry(edge.target).or_default() += 1;
        }
        let without = inputs.iter().filter(|(_, count)| **count == 0);
        let mut ready: BTreeSet<NodeId> = without.map(|(id, _)| *id).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(id) = ready.pop_first() {
            order.push(id);
            for edge in self.edges.values().filter(|edge| edge.source == id) {
                let left = inputs.entry(edge.target).or_default();
                *left -= 1;
                if *left == 0 {
                    ready.insert(edge.target);
                }
            }
        }
        order
    }
}
