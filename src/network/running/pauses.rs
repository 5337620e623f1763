//! Which nodes pause for a change, and in which order.

use super::Running;
use super::fragment::{Fragment, NewNode, PlannedPause};
use crate::network::control::Successor;
use crate::network::graph::Graph;
use crate::network::id::{LinkId, NodeId};
use crate::network::members::State;
use std::collections::{BTreeMap, BTreeSet};

impl Running {
    /// Which nodes pause: those that are replaced, those that a keyed balance feeds where it loses a member, and
    /// those on a way that is turned round.
    pub(super) fn build_pauses(
        &self,
        fragment: &mut Fragment,
        graph: &Graph,
        successors: Vec<NewNode>,
    ) {
        let mut pauses: BTreeMap<NodeId, Option<Successor>> = BTreeMap::new();
        let state = self.shared.lock();
        let runs = |id: &NodeId| state.members.get(id).is_some_and(|member| !member.closed);
        // The links as they are before the change: only these carry events that a pause has to wait for.
        let links = state.links.iter().filter(|(_, link)| !link.removed);
        let links = links.map(|(id, link)| (*id, link.source, link.target));
        let links: Vec<(LinkId, NodeId, NodeId)> = links.collect();
        let removed = fragment.removed_links.iter();
        let removed = removed.filter_map(|id| state.links.get(id));
        // A key may move from one member to another, and what the one has sent must have arrived before the
        // other sends. So the sender pauses, and everything behind it.
        for link in removed.filter(|link| link.keyed && runs(&link.source)) {
            let mut next = vec![link.source];
            while let Some(node) = next.pop() {
                if runs(&node) && pauses.insert(node, None).is_none() {
                    let behind = links.iter().filter(|(_, from, _)| *from == node);
                    next.extend(behind.map(|(_, _, to)| *to));
                }
            }
        }
        for node in turned_round(&state, graph) {
            let before = links.iter().filter(|(_, _, to)| *to == node);
            let before = before.map(|(_, from, _)| *from);
            for node in before.chain([node]).filter(runs) {
                pauses.entry(node).or_insert(None);
            }
        }
        for NewNode { id, runner, .. } in successors {
            let ports = graph.node(id).ports.clone();
            pauses.insert(id, Some(Successor { runner, ports }));
        }
        if pauses.is_empty() {
            return;
        }
        let removed = fragment.removed_nodes.iter().copied();
        let nodes = graph.nodes().map(|(id, _)| id).chain(removed);
        let order = downstream_order(nodes, &links);
        let mut before = BTreeSet::new();
        for node in order {
            let Some(successor) = pauses.remove(&node) else {
                continue;
            };
            let drain = links
                .iter()
                .filter(|(_, from, to)| *to == node && before.contains(from));
            let drain = drain.map(|(id, _, _)| *id).collect();
            before.insert(node);
            fragment.pauses.push(PlannedPause {
                node,
                drain,
                successor,
            });
        }
    }
}

/// The nodes between which events would go in a circle while links that the change removes, or an earlier one has
/// removed, are not empty yet: two nodes that change their places, for example. Each could wait for room in a
/// link to the other, for ever. So these links are emptied before others take their place.
fn turned_round(state: &State, graph: &Graph) -> BTreeSet<NodeId> {
    let runs = |id: &NodeId| state.members.get(id).is_some_and(|member| !member.closed);
    let old = state.links.iter();
    let old = old.filter(|(_, link)| runs(&link.source) && runs(&link.target));
    let old = old.filter(|(_, link)| !link.removed || link.account.queued() > 0);
    let old: Vec<(LinkId, NodeId, NodeId)> = old
        .map(|(id, link)| (*id, link.source, link.target))
        .collect();
    let new = graph.edges().map(|(_, edge)| (edge.source, edge.target));
    let ends = old.iter().map(|(_, from, to)| (*from, *to));
    let forward: Vec<(NodeId, NodeId)> = ends.chain(new).collect();
    let backward: Vec<(NodeId, NodeId)> = forward.iter().map(|(from, to)| (*to, *from)).collect();
    let mut turned = BTreeSet::new();
    // Each circle has a link that is not part of the new graph, since that has none.
    for (_, from, to) in old.iter().filter(|(id, _, _)| !graph.has_edge(*id)) {
        let behind = reached(*to, &forward);
        if behind.contains(from) {
            let before = reached(*from, &backward);
            turned.extend(behind.intersection(&before).copied());
        }
    }
    turned
}

/// The nodes that these links lead to from a node, and that node.
fn reached(from: NodeId, links: &[(NodeId, NodeId)]) -> BTreeSet<NodeId> {
    let mut reached = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(node) = next.pop() {
        for (_, to) in links.iter().filter(|(from, _)| *from == node) {
            if reached.insert(*to) {
                next.push(*to);
            }
        }
    }
    reached
}

/// The nodes from upstream to downstream.
fn downstream_order(
    nodes: impl Iterator<Item = NodeId>,
    links: &[(LinkId, NodeId, NodeId)],
) -> Vec<NodeId> {
    let mut inputs: BTreeMap<NodeId, usize> = nodes.map(|node| (node, 0)).collect();
    for (_, _, to) in links {
        *inputs.entry(*to).or_default() += 1;
    }
    let without = inputs.iter().filter(|(_, count)| **count == 0);
    let mut order: Vec<NodeId> = without.map(|(node, _)| *node).collect();
    let mut next = 0;
    while let Some(node) = order.get(next).copied() {
        next += 1;
        for (_, _, to) in links.iter().filter(|(_, from, _)| *from == node) {
            let left = inputs.entry(*to).or_default();
            *left -= 1;
            if *left == 0 {
                order.push(*to);
            }
        }
    }
    order
}
