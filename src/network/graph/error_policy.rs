//! Which node has which error policy, and the links that follow from that.
//!
//! The policy of one node makes its link at once. The policy of `*` makes links when the network
//! starts or is extended, and is evaluated again until then: it leaves out the target and whatever that
//! leads to, so that a cycle never arises, whatever is linked later.

use super::{Edge, Graph, at_place};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::name::{Endpoint, Name, Port};
use crate::network::id::NodeId;
use crate::network::link::{Capacity, LinkSettings, Overflow};
use crate::network::on_error::{ErrorPolicy, OnError, Retries};
use std::collections::BTreeSet;

/// Stands for every node.
const ALL: &str = "*";

impl Graph {
    /// Gives this node, or `*`, an error policy.
    pub fn on_error(
        &mut self,
        node: &str,
        on_error: OnError,
        capacity: Capacity,
        place: Option<&str>,
    ) -> Result<()> {
        on_error.check()?;
        let target = on_error.after.as_deref();
        let target = target.map(|target| self.input(target)).transpose()?;
        let name = if node == ALL {
            None
        } else {
            Some(self.any(node)?)
        };
        if let Some(there) = self.error_policies.iter().find(|known| known.node == name) {
            let at = at_place(there.place.as_deref());
            let error = format!("on_error of {} was given already{at}", quote(node));
            return Err(Error::data(error));
        }
        if let Some(name) = &name {
            let errors = errors_of(name);
            let mut edges = self.edges.values();
            if let Some(link) = edges.find(|e| e.on_error && e.from == errors) {
                let (to, at) = (&link.to, at_place(link.place.as_deref()));
                let error = format!(
                    "node {name} runs already, and what it rejects goes to {to}, by on_error of \
                     \"*\"{at}"
                );
                return Err(Error::data(error));
            }
            if let Some((target, to)) = &target
                && !self.has_link(&errors, *target)
            {
                let settings = LinkSettings::from(capacity);
                let edge = self.edge(&errors.to_string(), to.as_str(), &settings, place)?;
                self.insert_all(vec![Edge {
                    on_error: true,
                    ..edge
                }])?;
            }
        }
        self.policy_changes += 1;
        self.error_policies.push(ErrorPolicy {
            node: name,
            on_error,
            capacity,
            place: place.map(str::to_owned),
            unit: self.unit.clone(),
        });
        Ok(())
    }

    fn any(&self, node: &str) -> Result<Name> {
        if let Some((_, node)) = self.named(node) {
            return Ok(node.name.clone());
        }
        Err(Error::data(format!("no node {}", quote(node)))
            .with_hint_opt(did_you_mean(node, self.names_of(|_| true))))
    }

    /// The same graph with the links that `on_error("*")` makes, but none from a node that has
    /// `ended`.
    pub fn settled(&self, ended: impl Fn(NodeId) -> bool) -> Graph {
        let mut graph = self.clone();
        let Some((policy, Some(target))) = self.for_all() else {
            return graph;
        };
        let behind = self.behind(target);
        for (id, node) in &self.nodes {
            let from = errors_of(&node.name);
            let covered = !behind.contains(id) && self.policy_of(&node.name).is_none();
            if covered && !self.has_link(&from, target) && !ended(*id) {
                let edge = Edge {
                    from,
                    to: self.node(target).name.clone(),
                    balance: None,
                    key: None,
                    capacity: policy.capacity,
                    overflow: Overflow::Block,
                    timeout: None,
                    place: policy.place.clone(),
                    on_error: true,
                    unit: policy.unit.clone(),
                    source: *id,
                    target,
                };
                graph.insert_derived(edge);
            }
        }
        graph
    }

    /// How often this node tries an event again.
    pub fn retries(&self, id: NodeId) -> Option<Retries> {
        let policy = match self.policy_of(&self.node(id).name) {
            Some(policy) => policy,
            None => {
                let (policy, target) = self.for_all()?;
                if target.is_some_and(|target| self.behind(target).contains(&id)) {
                    return None;
                }
                policy
            }
        };
        Some(policy.on_error.retries).filter(|retries| retries.times > 0)
    }

    fn policy_of(&self, node: &Name) -> Option<&ErrorPolicy> {
        let mut policies = self.error_policies.iter();
        policies.find(|policy| policy.node.as_ref() == Some(node))
    }

    /// The policy of `*`, and its target.
    fn for_all(&self) -> Option<(&ErrorPolicy, Option<NodeId>)> {
        let mut policies = self.error_policies.iter();
        let policy = policies.find(|policy| policy.node.is_none())?;
        let target = policy.on_error.after.as_deref();
        Some((policy, target.and_then(|target| self.find(target))))
    }

    /// This node, and whatever it leads to.
    fn behind(&self, node: NodeId) -> BTreeSet<NodeId> {
        let mut behind = BTreeSet::from([node]);
        let mut next = vec![node];
        while let Some(node) = next.pop() {
            for edge in self.edges.values().filter(|edge| edge.source == node) {
                if behind.insert(edge.target) {
                    next.push(edge.target);
                }
            }
        }
        behind
    }

    fn has_link(&self, from: &Endpoint, to: NodeId) -> bool {
        let mut edges = self.edges.values();
        edges.any(|edge| edge.from == *from && edge.target == to)
    }
}

fn errors_of(node: &Name) -> Endpoint {
    Endpoint {
        node: node.clone(),
        port: Port::new(Port::ERRORS).expect("a port that every node has"),
    }
}
