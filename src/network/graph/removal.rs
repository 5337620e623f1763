//! Removes nodes and links, gives a node other ports, and restores what was removed.

use super::{Edge, Former, Graph, NodeInfo, all_ports, at_place};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::name::{Endpoint, Name, Port};
use crate::network::id::{LinkId, NodeId};
use crate::network::on_error::ErrorPolicy;

/// Something that is no longer part of a graph.
#[derive(Debug, Clone)]
pub(super) enum Removed {
    Node(NodeId, NodeInfo),
    Edge(LinkId, Edge),
    /// An error policy, and its place in the list.
    Policy(usize, ErrorPolicy),
    /// The ports and the place that a node had before.
    Info(NodeId, Vec<Port>, Option<String>),
    /// A node that a script has made again: it was one of those that the script had made before.
    Former(NodeId),
    /// A link likewise, as it was before.
    FormerEdge(LinkId, Edge),
}

impl Graph {
    /// Removes a node, its links and its error policy.
    pub fn remove(&mut self, node: &str) -> Result<()> {
        let id = self.existing(node)?;
        self.remove_id(id)
    }

    pub(super) fn remove_id(&mut self, id: NodeId) -> Result<()> {
        self.check_unused(id)?;
        let name = &self.nodes[&id].name;
        let after = |policy: &ErrorPolicy| policy.on_error.after.as_deref() == Some(name.as_str());
        let target = |policy: &&ErrorPolicy| after(policy);
        let own = |policy: &&ErrorPolicy| policy.node.as_ref() == Some(name);
        let mut policies = self.error_policies.iter();
        if let Some(policy) = policies.find(|policy| target(policy) && !own(policy)) {
            let of = policy.node.as_ref().map_or("*", Name::as_str);
            let at = at_place(policy.place.as_deref());
            let error = format!(
                "node {name} gets the rejected events of {}, by on_error{at}",
                quote(of)
            );
            return Err(Error::data(error).with_hint("it can be replaced, but not removed"));
        }
        if let Some(index) = self.error_policies.iter().position(|policy| own(&policy)) {
            let policy = self.error_policies.remove(index);
            self.removed.push(Removed::Policy(index, policy));
            self.policy_changes += 1;
        }
        let linked = |edge: &Edge| edge.source == id || edge.target == id;
        let edges = self.edges.iter().filter(|(_, edge)| linked(edge));
        let edges: Vec<LinkId> = edges.map(|(id, _)| *id).collect();
        edges.into_iter().for_each(|edge| self.remove_edge(edge));
        if let Some(info) = self.nodes.remove(&id) {
            self.names.remove(&info.name);
            self.removed.push(Removed::Node(id, info));
        }
        Ok(())
    }

    /// Removes the link from a port to a node.
    pub fn unlink(&mut self, from: &str, to: &str) -> Result<()> {
        let endpoint = Endpoint::new(from)?;
        let source = self.existing(endpoint.node.as_str())?;
        let target = self.existing(to)?;
        let mut edges = self.edges.iter();
        let found = edges.find(|(_, edge)| edge.from == endpoint && edge.target == target);
        let Some((id, edge)) = found else {
            let others = self.edges.values().filter(|edge| edge.source == source);
            let others: Vec<String> = others.map(Edge::to_string).collect();
            let error = format!("{endpoint} is not linked to {}", quote(to));
            return Err(Error::data(error).with_hint(if others.is_empty() {
                format!("node {} has no links", endpoint.node)
            } else {
                format!("the links of node {}: {}", endpoint.node, others.join(", "))
            }));
        };
        if edge.on_error {
            let at = at_place(edge.place.as_deref());
            return Err(Error::data(format!("link {edge} was made by on_error{at}")));
        }
        let id = *id;
        self.remove_edge(id);
        Ok(())
    }

    /// Gives a node the ports of its successor, which is defined at `place`.
    pub fn set_ports(&mut self, id: NodeId, named: &[String], place: Option<String>) -> Result<()> {
        let name = self.nodes[&id].name.clone();
        let ports = all_ports(&name, named)?;
        let mut edges = self.edges.values().filter(|edge| edge.source == id);
        if let Some(edge) = edges.find(|edge| !ports.contains(&edge.from.port)) {
            let at = at_place(edge.place.as_deref());
            let error = format!("the new node {name} has no port for the link {edge}{at}");
            return Err(Error::data(error).with_hint("remove the link in the same change"));
        }
        if let Some(info) = self.nodes.get_mut(&id) {
            let ports = std::mem::replace(&mut info.ports, ports);
            let place = std::mem::replace(&mut info.place, place);
            self.removed.push(Removed::Info(id, ports, place));
        }
        Ok(())
    }

    /// Restores what was removed after the first `count` removals.
    pub(super) fn restore(&mut self, count: usize) {
        while self.removed.len() > count {
            match self.removed.pop() {
                Some(Removed::Node(id, info)) => {
                    self.names.insert(info.name.clone(), id);
                    self.nodes.insert(id, info);
                }
                Some(Removed::Edge(id, edge)) => {
                    self.edges.insert(id, edge);
                }
                Some(Removed::Policy(index, policy)) => {
                    self.error_policies.insert(index, policy);
                    self.policy_changes += 1;
                }
                Some(Removed::Info(id, ports, place)) => {
                    if let Some(info) = self.nodes.get_mut(&id) {
                        (info.ports, info.place) = (ports, place);
                    }
                }
                Some(Removed::Former(id)) => self.set_aside_again(id),
                Some(Removed::FormerEdge(id, edge)) => self.set_edge_aside_again(id, edge),
                None => {}
            }
        }
    }

    /// Nothing that was removed so far can be restored any more: the change is applied.
    pub fn forget_removed(&mut self) {
        self.removed.clear();
        self.made.clear();
        self.former = Former::default();
        self.unit = None;
    }

    fn remove_edge(&mut self, id: LinkId) {
        if let Some(edge) = self.edges.remove(&id) {
            self.removed.push(Removed::Edge(id, edge));
        }
    }

    /// The node of this name.
    pub fn existing(&self, node: &str) -> Result<NodeId> {
        self.find(node).ok_or_else(|| {
            let names = self.names_of(|_| true);
            Error::data(format!("no node {}", quote(node))).with_hint_opt(did_you_mean(node, names))
        })
    }
}
