//! A script that is loaded again. What it had made before is set aside; what it makes once more in the same
//! way comes back with its id, so that it goes on where it runs. The rest is removed at the end.

use super::removal::Removed;
use super::{Edge, Graph, at_place};
use crate::error::{Error, Result, quote};
use crate::name::Name;
use crate::network::id::{LinkId, NodeId};
use crate::network::on_error::ErrorPolicy;
use crate::network::runner::NodeKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a script had made before it was loaded again, and has not made again yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Former {
    /// They are still part of the graph, but are not found by their names.
    nodes: BTreeSet<NodeId>,
    /// Those that have ended: nothing can take their place.
    ended: BTreeSet<NodeId>,
    edges: BTreeMap<LinkId, Edge>,
    policies: Vec<ErrorPolicy>,
}

/// Something that was added to a graph, or made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Node(NodeId),
    Link(LinkId),
}

impl Former {
    pub fn has(&self, node: NodeId) -> bool {
        !self.nodes.is_empty() && self.nodes.contains(&node)
    }

    /// The former link for each of these, which belong together. Of a balance all members are the same,
    /// or none is.
    pub fn same(&self, edges: &[Edge]) -> Vec<Option<LinkId>> {
        let find = |edge: &Edge| {
            let mut former = self.edges.iter();
            let found = former.find(|(_, former)| is_same(former, edge));
            found.map(|(id, _)| *id)
        };
        let found: Vec<Option<LinkId>> = edges.iter().map(find).collect();
        let group = |id: &Option<LinkId>| id.and_then(|id| self.edges[&id].balance);
        let Some(first) = found.first().and_then(group) else {
            return found;
        };
        let members = self.edges.values();
        let members = members.filter(|edge| edge.balance == Some(first)).count();
        let whole = found.iter().all(|id| group(id) == Some(first));
        if whole && members == edges.len() && found.is_sorted() {
            found
        } else {
            vec![None; edges.len()]
        }
    }
}

/// Whether a link was made in the same way before.
fn is_same(former: &Edge, edge: &Edge) -> bool {
    former.from == edge.from
        && (former.source, former.target) == (edge.source, edge.target)
        && former.balance.is_some() == edge.balance.is_some()
        && former.key == edge.key
        && former.on_error == edge.on_error
        && former.settings() == edge.settings()
}

impl Graph {
    /// What is added from now on belongs to this script.
    pub fn set_unit(&mut self, unit: Option<Arc<str>>) {
        self.unit = unit;
    }

    /// The script of the present unit is loaded again: sets aside what it had made before. Of that, these nodes
    /// have ended.
    pub fn set_aside(&mut self, ended: BTreeSet<NodeId>) {
        let unit = self.unit.clone();
        self.former.ended = ended;
        let nodes = self.nodes.iter();
        let nodes = nodes.filter(|(_, node)| node.unit == unit);
        self.former.nodes = nodes.map(|(id, _)| *id).collect();
        self.former.edges = self
            .edges
            .extract_if(.., |_, edge| edge.unit == unit)
            .collect();
        let policies = self.error_policies.extract_if(.., |it| it.unit == unit);
        self.former.policies = policies.collect();
        if !self.former.policies.is_empty() {
            self.policy_changes += 1;
        }
    }

    /// Removes what the script has not made again.
    ///
    /// # Errors
    /// A node that another script uses.
    pub fn remove_former(&mut self) -> Result<()> {
        for id in std::mem::take(&mut self.former.nodes) {
            self.remove_id(id)?;
        }
        Ok(())
    }

    /// The node that this script had made before under this name, if it has not made it again.
    pub fn former(&self, name: &str) -> Option<NodeId> {
        let id = self.names.get(name).copied();
        id.filter(|id| self.former.has(*id))
    }

    /// A node of this name is made by a script that had made one before. Where the kinds are the same, and the
    /// former one has not ended, the new one takes its place: its id is returned. Otherwise the former one is
    /// removed.
    pub(super) fn replace_former(
        &mut self,
        name: &Name,
        kind: NodeKind,
        ports: &[String],
        place: Option<&String>,
    ) -> Result<Option<NodeId>> {
        let Some(id) = self.former(name.as_str()) else {
            return Ok(None);
        };
        if self.node(id).kind == kind && !self.former.ended.contains(&id) {
            self.set_ports(id, ports, place.cloned())?;
            self.take_back(id);
            return Ok(Some(id));
        }
        self.take_back(id);
        self.made.pop();
        self.remove_id(id)?;
        Ok(None)
    }

    /// Whether the script had made this before, and has not made it again yet.
    pub fn is_former(&self, made: Made) -> bool {
        match made {
            Made::Node(id) => self.former.has(id),
            Made::Link(id) => self.former.edges.contains_key(&id),
        }
    }

    /// Something is made again in the same way, at this place.
    pub fn keep(&mut self, made: Made, place: Option<String>) {
        match made {
            Made::Node(id) if self.former.has(id) => {
                if let Some(info) = self.nodes.get_mut(&id) {
                    let place = std::mem::replace(&mut info.place, place);
                    let ports = info.ports.clone();
                    self.removed.push(Removed::Info(id, ports, place));
                }
                self.take_back(id);
            }
            Made::Node(_) => {}
            Made::Link(id) => {
                if let Some(edge) = self.former.edges.get(&id).cloned() {
                    self.restore_former(id, Edge { place, ..edge });
                }
            }
        }
    }

    fn take_back(&mut self, id: NodeId) {
        self.former.nodes.remove(&id);
        self.removed.push(Removed::Former(id));
        self.made.push(Made::Node(id));
    }

    /// A former link is part of the graph again, with the place where it is made now.
    pub(super) fn restore_former(&mut self, id: LinkId, edge: Edge) {
        if let Some(former) = self.former.edges.remove(&id) {
            let balance = former.balance;
            self.removed.push(Removed::FormerEdge(id, former));
            self.edges.insert(id, Edge { balance, ..edge });
            self.made.push(Made::Link(id));
        }
    }

    /// Undoes that something came back.
    pub(super) fn set_aside_again(&mut self, id: NodeId) {
        self.former.nodes.insert(id);
    }

    pub(super) fn set_edge_aside_again(&mut self, id: LinkId, former: Edge) {
        self.edges.remove(&id);
        self.former.edges.insert(id, former);
    }

    /// Adds a link that follows from the policy of `*`.
    pub(super) fn insert_derived(&mut self, edge: Edge) {
        match self.former.same(std::slice::from_ref(&edge))[0] {
            Some(id) => self.restore_former(id, edge),
            None => drop(self.insert(edge)),
        }
    }

    /// What was added, or made again, since this savepoint.
    pub fn made_since(&self, savepoint: super::Savepoint) -> &[Made] {
        self.made.get(savepoint.made..).unwrap_or_default()
    }

    /// Refuses to remove a node that another script uses than the one that it belongs to and the one that
    /// removes it.
    pub(super) fn check_unused(&self, id: NodeId) -> Result<()> {
        let node = &self.nodes[&id];
        let foreign = |edge: &&Edge| {
            let touches = edge.target == id || (edge.source == id && !edge.on_error);
            touches && edge.unit != node.unit && edge.unit != self.unit
        };
        let Some(edge) = self.edges.values().find(foreign) else {
            return Ok(());
        };
        let by = match &edge.unit {
            Some(unit) => format!("script {}", quote(unit)),
            None => "the host program".to_owned(),
        };
        let at = at_place(edge.place.as_deref());
        let error = format!(
            "node {} cannot be removed: {by} uses it, by the link {edge}{at}",
            node.name
        );
        Err(Error::data(error).with_hint("remove that link first"))
    }
}
