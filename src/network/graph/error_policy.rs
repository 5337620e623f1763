//! Who handles the errors of which node: what `on_error` has said, and the links that follow.
//!
//! What is said of one node makes its link at once. What is said of `*` makes links when the
//! network starts or is extended, and is looked at anew until then: it leaves out the target and
//! whatever that leads to, so a cycle never arises, whatever is linked later.

use super::{Edge, Graph};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::name::{Endpoint, Name, Port};
use crate::network::link::{Capacity, LinkSettings, Overflow};
use crate::network::on_error::{OnError, Retries};
use std::collections::BTreeSet;

/// What was said about the errors of one node, or of all.
#[derive(Debug, Clone)]
pub(crate) struct ErrorPolicy {
    /// `None` is every node of which nothing else was said.
    node: Option<Name>,
    on_error: OnError,
    capacity: Capacity,
    place: Option<String>,
}

/// What stands for every node.
const ALL: &str = "*";

impl Graph {
    /// Says what is done about the events that this node, or `*`, rejects.
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
        let name = match node {
            ALL => None,
            node => Some(self.any(node)?),
        };
        if let Some(there) = self.handled.iter().find(|handled| handled.node == name) {
            let at = place_of(there.place.as_deref());
            let error = format!("on_error of {} was given already{at}", quote(node));
            return Err(Error::data(error));
        }
        if let Some(name) = &name {
            let errors = errors_of(name);
            if let Some(link) = self.edges.iter().find(|e| e.on_error && e.from == errors) {
                let (to, at) = (&link.to, place_of(link.place.as_deref()));
                let error = format!(
                    "node {name} runs already, and what it rejects goes to {to}, as on_error of \
                     \"*\" says{at}"
                );
                return Err(Error::data(error));
            }
            if let Some(to) = &target
                && !self.is_linked(&errors, to)
            {
                let edges = self.edges.len();
                let settings = LinkSettings::from(capacity);
                self.link(&errors.to_string(), &[to.as_str()], &settings, None, place)?;
                self.edges[edges].on_error = true;
            }
        }
        self.handled.push(ErrorPolicy {
            node: name,
            on_error,
            capacity,
            place: place.map(str::to_owned),
        });
        Ok(())
    }

    fn any(&self, node: &str) -> Result<Name> {
        match self.find(node) {
            Some(at) => Ok(self.nodes[at].name.clone()),
            None => {
                let names = self.nodes.iter().map(|node| node.name.as_str());
                Err(Error::data(format!("no node {}", quote(node)))
                    .with_hint_opt(did_you_mean(node, names)))
            }
        }
    }

    /// The same graph with the links that `on_error("*")` makes, but none from a node that is
    /// `ended`.
    pub fn settled(&self, ended: impl Fn(&Name) -> bool) -> Graph {
        let mut graph = self.clone();
        let Some((all, target)) = self.for_all() else {
            return graph;
        };
        let Some(target) = target else { return graph };
        let behind = self.behind(&target);
        for node in &self.nodes {
            let from = errors_of(&node.name);
            let covered = !behind.contains(&node.name) && self.said_of(&node.name).is_none();
            if covered && !self.is_linked(&from, &target) && !ended(&node.name) {
                graph.edges.push(Edge {
                    from,
                    to: target.clone(),
                    balance: None,
                    key: None,
                    capacity: all.capacity,
                    overflow: Overflow::Block,
                    timeout: None,
                    place: all.place.clone(),
                    on_error: true,
                });
            }
        }
        graph
    }

    /// How often this node tries an event again.
    pub fn retries(&self, node: &Name) -> Option<Retries> {
        let said = match self.said_of(node) {
            Some(said) => said,
            None => {
                let (all, target) = self.for_all()?;
                let behind = target.is_some_and(|target| self.behind(&target).contains(node));
                if behind {
                    return None;
                }
                all
            }
        };
        Some(said.on_error.retries).filter(|retries| retries.times > 0)
    }

    fn said_of(&self, node: &Name) -> Option<&ErrorPolicy> {
        self.handled.iter().find(|h| h.node.as_ref() == Some(node))
    }

    /// What was said of `*`, and its target.
    fn for_all(&self) -> Option<(&ErrorPolicy, Option<Name>)> {
        let all = self.handled.iter().find(|handled| handled.node.is_none())?;
        let target = all.on_error.after.as_deref();
        let target = target.and_then(|target| self.find(target));
        Some((all, target.map(|at| self.nodes[at].name.clone())))
    }

    /// This node, and whatever it leads to.
    fn behind(&self, node: &Name) -> BTreeSet<Name> {
        let mut behind = BTreeSet::from([node.clone()]);
        let mut ways = vec![node.clone()];
        while let Some(node) = ways.pop() {
            for edge in self.edges.iter().filter(|edge| edge.from.node == node) {
                if behind.insert(edge.to.clone()) {
                    ways.push(edge.to.clone());
                }
            }
        }
        behind
    }

    fn is_linked(&self, from: &Endpoint, to: &Name) -> bool {
        self.edges.iter().any(|e| e.from == *from && e.to == *to)
    }
}

fn errors_of(node: &Name) -> Endpoint {
    Endpoint {
        node: node.clone(),
        port: Port::new(Port::ERRORS).expect("a port that every node has"),
    }
}

fn place_of(place: Option<&str>) -> String {
    place
        .map(|place| format!(" at {place}"))
        .unwrap_or_default()
}
