//! The graph: nodes, the links between them, and what is done about errors.
//!
//! The parts: `linking` (adds links, and refuses wrong ones), `removal` (removes nodes and links, and
//! restores them), `reload` (what a script had made before it is loaded again), `shape` (questions about
//! the whole), `error_policy` (`on_error`).

mod error_policy;
mod linking;
mod reload;
mod removal;
mod shape;

pub(crate) use linking::Sharing;
pub(crate) use reload::Made;

use super::id::{IdMark, Ids, LinkId, NodeId};
use super::link::{Capacity, LinkSettings, Overflow};
use super::on_error::ErrorPolicy;
use super::runner::NodeKind;
use crate::error::{Error, Result, quote};
use crate::name::{Endpoint, Name, Port};
use reload::Former;
use removal::Removed;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A node of a network.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its name.
    pub name: Name,
    /// Source, pipeline or sink.
    pub kind: NodeKind,
    /// All its ports; `out`, `errors` and `dropped` come first.
    pub ports: Vec<Port>,
    /// Where it was defined, as `file:line`, if that was in a script.
    pub place: Option<String>,
    /// The script that it belongs to, if it belongs to one.
    pub unit: Option<Arc<str>>,
}

/// A link of a network.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Edge {
    /// The node and port that it comes from.
    pub from: Endpoint,
    /// The node that it leads to.
    pub to: Name,
    /// Links that share the work have the same number here; the others copy.
    pub balance: Option<usize>,
    /// The field by whose value the member of a balance is chosen.
    pub key: Option<String>,
    /// How much may wait in it.
    pub capacity: Capacity,
    /// What happens when it is full.
    pub overflow: Overflow,
    /// How long its sender waits while nothing is taken from it.
    pub timeout: Option<Duration>,
    /// Where it was made, as `file:line`, if that was in a script.
    pub place: Option<String>,
    /// Whether `on_error` made it.
    pub on_error: bool,
    /// The script that it belongs to, if it belongs to one.
    pub unit: Option<Arc<str>>,
    /// The nodes at its ends.
    pub(crate) source: NodeId,
    pub(crate) target: NodeId,
}

impl Edge {
    pub(crate) fn settings(&self) -> LinkSettings {
        LinkSettings {
            capacity: self.capacity,
            overflow: self.overflow.clone(),
            timeout: self.timeout,
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

/// A node of which an input or an output is not linked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unlinked {
    /// The node.
    pub node: Name,
    /// What is missing, as text.
    pub message: String,
    /// Where the node was defined.
    pub place: Option<String>,
}

impl fmt::Display for Unlinked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Nodes and links, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    ids: Ids,
    nodes: BTreeMap<NodeId, NodeInfo>,
    edges: BTreeMap<LinkId, Edge>,
    names: HashMap<Name, NodeId>,
    /// The number of balanced groups so far.
    balances: usize,
    /// In the order in which they were given.
    error_policies: Vec<ErrorPolicy>,
    /// How often an error policy was given or removed.
    policy_changes: u64,
    /// What was removed, so that it can be restored.
    removed: Vec<Removed>,
    /// The script to which belongs what is added now.
    unit: Option<Arc<str>>,
    /// What this script had made before it was loaded again.
    former: Former,
    /// What was added or made again since the graph was taken from its network, in this order.
    made: Vec<Made>,
}

/// A state of a [`Graph`] to which it can be rolled back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Savepoint {
    ids: IdMark,
    error_policies: usize,
    removed: usize,
    made: usize,
}

impl Savepoint {
    /// Whether the node was there already.
    pub fn has(&self, node: NodeId) -> bool {
        node.is_before(self.ids)
    }
}

impl Graph {
    pub fn find(&self, name: &str) -> Option<NodeId> {
        let id = self.names.get(name).copied();
        id.filter(|id| !self.former.has(*id))
    }

    /// The names of the nodes that fit, for suggestions.
    fn names_of(&self, fits: impl Fn(NodeKind) -> bool) -> impl Iterator<Item = &str> + Clone {
        let nodes = self.nodes.iter().filter(|(id, _)| !self.former.has(**id));
        let fitting: Vec<&str> = nodes
            .filter(|(_, node)| fits(node.kind))
            .map(|(_, node)| node.name.as_str())
            .collect();
        fitting.into_iter()
    }

    /// The node of this name.
    pub fn named(&self, name: &str) -> Option<(NodeId, &NodeInfo)> {
        let id = self.find(name)?;
        Some((id, &self.nodes[&id]))
    }

    /// A node of this graph.
    pub fn node(&self, id: NodeId) -> &NodeInfo {
        &self.nodes[&id]
    }

    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeInfo)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    pub fn edges(&self) -> impl Iterator<Item = (LinkId, &Edge)> {
        self.edges.iter().map(|(id, edge)| (*id, edge))
    }

    /// How often an error policy was given or removed.
    pub fn policy_changes(&self) -> u64 {
        self.policy_changes
    }

    /// Whether this node is part of the graph.
    pub fn has_node(&self, id: NodeId) -> bool {
        self.nodes.contains_key(&id)
    }

    /// Whether this link is part of the graph.
    pub fn has_edge(&self, id: LinkId) -> bool {
        self.edges.contains_key(&id)
    }

    pub fn add(
        &mut self,
        name: Name,
        kind: NodeKind,
        named: &[String],
        place: Option<String>,
    ) -> Result<NodeId> {
        if let Some((_, node)) = self.named(name.as_str()) {
            return Err(Error::data(format!(
                "node {} already defined{}",
                quote(name.as_str()),
                at_place(node.place.as_deref())
            )));
        }
        if let Some(id) = self.replace_former(&name, kind, named, place.as_ref())? {
            return Ok(id);
        }
        let ports = all_ports(&name, named)?;
        let id = self.ids.node();
        self.names.insert(name.clone(), id);
        let node = NodeInfo {
            name,
            kind,
            ports,
            place,
            unit: self.unit.clone(),
        };
        self.nodes.insert(id, node);
        self.made.push(Made::Node(id));
        Ok(id)
    }

    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            ids: self.ids.mark(),
            error_policies: self.error_policies.len(),
            removed: self.removed.len(),
            made: self.made.len(),
        }
    }

    /// Removes whatever was added since, and restores what was removed.
    pub fn roll_back(&mut self, to: Savepoint) {
        self.restore(to.removed);
        self.made.truncate(to.made);
        self.error_policies.truncate(to.error_policies);
        self.edges.retain(|id, _| id.is_before(to.ids));
        self.nodes.retain(|id, _| id.is_before(to.ids));
        self.names.retain(|_, id| id.is_before(to.ids));
    }
}

/// The ports of a node: those that every node has, and its own.
fn all_ports(node: &Name, named: &[String]) -> Result<Vec<Port>> {
    let mut ports = Vec::new();
    let always = [Port::OUT, Port::ERRORS, Port::DROPPED];
    for port in always.into_iter().chain(named.iter().map(String::as_str)) {
        let port = Port::new(port)?;
        if ports.contains(&port) {
            let port = quote(port.as_str()).to_string();
            return Err(Error::data(format!(
                "port {port} of node {node} is there twice"
            )));
        }
        ports.push(port);
    }
    Ok(ports)
}

/// Where something was written, as a part of a message.
fn at_place(place: Option<&str>) -> String {
    place
        .map(|place| format!(" at {place}"))
        .unwrap_or_default()
}
