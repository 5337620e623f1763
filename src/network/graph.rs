//! The graph: nodes by name, the links between them, and what makes a link wrong.

mod error_policy;

use super::link::{Capacity, LinkSettings, Overflow};
use super::runner::Kind;
use crate::error::{Error, Result, did_you_mean, quote};
use crate::name::{Endpoint, Name, Port};
use error_policy::ErrorPolicy;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

/// A node as the graph knows it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its name.
    pub name: Name,
    /// Source, pipeline or sink.
    pub kind: Kind,
    /// All its ports; `out`, `errors` and `dropped` come first.
    pub ports: Vec<Port>,
    /// Where it was defined, as `file:line`, if that was in a script.
    pub place: Option<String>,
}

/// A link as the graph knows it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Edge {
    /// The node and port that it comes from.
    pub from: Endpoint,
    /// The node that it leads to.
    pub to: Name,
    /// Links that share the work have the same number here; the others copy.
    pub balance: Option<usize>,
    /// The field that says which member of a balance gets an event.
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

/// Something that was built but not joined up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unlinked {
    /// The node.
    pub node: Name,
    /// What is missing, in words.
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

/// Nodes and edges, in the order in which they were made. Nothing is ever removed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    pub nodes: Vec<NodeInfo>,
    pub edges: Vec<Edge>,
    index: HashMap<Name, usize>,
    balances: usize,
    /// What `on_error` has said.
    pub handled: Vec<ErrorPolicy>,
}

impl Graph {
    pub fn find(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    pub fn add(
        &mut self,
        name: Name,
        kind: Kind,
        named: &[String],
        place: Option<String>,
    ) -> Result<()> {
        if let Some(at) = self.find(name.as_str()) {
            let at = self.nodes[at]
                .place
                .as_ref()
                .map(|place| format!(" at {place}"));
            let at = at.unwrap_or_default();
            return Err(Error::data(format!(
                "node {} already defined{at}",
                quote(name.as_str())
            )));
        }
        let mut ports = Vec::new();
        for port in [Port::OUT, Port::ERRORS, Port::DROPPED]
            .into_iter()
            .chain(named.iter().map(String::as_str))
        {
            let port = Port::new(port)?;
            if ports.contains(&port) {
                return Err(Error::data(format!(
                    "port {} of node {name} is there twice",
                    quote(port.as_str())
                )));
            }
            ports.push(port);
        }
        self.index.insert(name.clone(), self.nodes.len());
        self.nodes.push(NodeInfo {
            name,
            kind,
            ports,
            place,
        });
        Ok(())
    }

    /// Takes back what was added beyond so many nodes and edges, and words about errors.
    pub fn truncate(&mut self, nodes: usize, edges: usize, handled: usize) {
        self.handled.truncate(handled);
        self.edges.truncate(edges);
        for node in self.nodes.drain(nodes..) {
            self.index.remove(&node.name);
        }
    }

    /// Adds links from one port to `targets`, all or none; `balance` makes them share the work.
    pub fn link(
        &mut self,
        from: &str,
        targets: &[&str],
        settings: &LinkSettings,
        balance: Option<Option<String>>,
        place: Option<&str>,
    ) -> Result<()> {
        let edges = self.edges.len();
        let group = balance.as_ref().map(|_| self.balances);
        let key = balance.flatten();
        for to in targets {
            let edge = self.edge(from, to, settings, place).and_then(|edge| {
                let edge = Edge {
                    balance: group,
                    key: key.clone(),
                    ..edge
                };
                self.accept(&edge)?;
                Ok(edge)
            });
            match edge {
                Ok(edge) => self.edges.push(edge),
                Err(error) => {
                    self.edges.truncate(edges);
                    return Err(error);
                }
            }
        }
        self.balances += usize::from(group.is_some());
        Ok(())
    }

    fn edge(
        &self,
        from: &str,
        to: &str,
        settings: &LinkSettings,
        place: Option<&str>,
    ) -> Result<Edge> {
        let from = self.output(from)?;
        let to = self.input(to)?;
        Ok(Edge {
            from,
            to,
            balance: None,
            key: None,
            capacity: settings.capacity,
            overflow: settings.overflow.clone(),
            timeout: settings.timeout,
            place: place.map(str::to_owned),
            on_error: false,
        })
    }

    /// The endpoint of this name, if events can leave there.
    pub fn output(&self, text: &str) -> Result<Endpoint> {
        let endpoint = Endpoint::new(text)?;
        let Some(at) = self.find(endpoint.node.as_str()) else {
            return Err(self.unknown("source node", &endpoint.node, |kind| kind != Kind::Sink));
        };
        let node = &self.nodes[at];
        let port = endpoint.port.as_str();
        if node.kind == Kind::Sink && port == Port::OUT {
            return Err(Error::data(format!(
                "{} is a sink and has no output",
                node.name
            )));
        }
        if !node.ports.contains(&endpoint.port) {
            let names = || node.ports.iter().map(Port::as_str);
            let all = || format!("its ports are {}", names().collect::<Vec<_>>().join(", "));
            let hint = did_you_mean(port, names()).unwrap_or_else(all);
            let error = format!("node {} has no port {}", node.name, quote(port));
            return Err(Error::data(error).with_hint(hint));
        }
        Ok(endpoint)
    }

    /// The node of this name, if events can enter there.
    pub fn input(&self, text: &str) -> Result<Name> {
        if text.contains('.') && Endpoint::new(text).is_ok() {
            let error = format!("a link leads to a node, not to a port: {}", quote(text));
            return Err(Error::data(error));
        }
        let name = Name::new(text)?;
        match self.find(text) {
            None => Err(self.unknown("target node", &name, |kind| kind != Kind::Source)),
            Some(at) if self.nodes[at].kind == Kind::Source => {
                Err(Error::data(format!("{name} is a source and has no input")))
            }
            Some(_) => Ok(name),
        }
    }

    fn unknown(&self, what: &str, name: &Name, fits: impl Fn(Kind) -> bool) -> Error {
        let fitting = self.nodes.iter().filter(|node| fits(node.kind));
        Error::data(format!("no {what} {}", quote(name.as_str()))).with_hint_opt(did_you_mean(
            name.as_str(),
            fitting.map(|node| node.name.as_str()),
        ))
    }

    /// Whether the edge may be added: not there yet, and closing no cycle.
    fn accept(&self, edge: &Edge) -> Result<()> {
        let same = |e: &&Edge| e.from == edge.from && e.to == edge.to;
        if let Some(there) = self.edges.iter().find(same) {
            let at = there
                .place
                .as_ref()
                .map(|place| format!(" at {place}"))
                .unwrap_or_default();
            let error = format!("{} is already linked to {}{at}", edge.from, edge.to);
            return Err(Error::data(error).with_hint(
                "a second link would not make a second copy; events are copied to different nodes",
            ));
        }
        match self.path(&edge.to, &edge.from.node) {
            None => Ok(()),
            Some(path) => {
                let mut cycle = edge.from.to_string();
                for edge in std::iter::once(edge).chain(path) {
                    cycle.push_str(&format!(" -> {}", edge.to));
                    if let Some(place) = &edge.place {
                        cycle.push_str(&format!(" ({place})"));
                    }
                }
                Err(Error::data(format!(
                    "a cycle would block for ever: {cycle}"
                )))
            }
        }
    }

    /// The edges of a way from one node to another; empty when they are the same.
    fn path(&self, from: &Name, to: &Name) -> Option<Vec<&Edge>> {
        let mut seen = BTreeSet::from([from]);
        let mut ways = vec![(from, Vec::new())];
        while let Some((node, way)) = ways.pop() {
            if node == to {
                return Some(way);
            }
            for edge in self.edges.iter().filter(|edge| edge.from.node == *node) {
                if seen.insert(&edge.to) {
                    let mut way = way.clone();
                    way.push(edge);
                    ways.push((&edge.to, way));
                }
            }
        }
        None
    }

    pub fn is_connected(&self, from: &str, to: &str) -> bool {
        match (Endpoint::new(from), Name::new(to)) {
            (Ok(from), Ok(to)) => self.edges.iter().any(|e| e.from == from && e.to == to),
            _ => false,
        }
    }

    pub fn has_input(&self, node: &Name) -> bool {
        self.edges.iter().any(|edge| edge.to == *node)
    }

    pub fn has_output(&self, node: &Name) -> bool {
        self.edges.iter().any(|edge| edge.from.node == *node)
    }

    /// What is not joined up: an input that nothing leads to, an output that leads nowhere.
    pub fn unlinked(&self) -> Vec<Unlinked> {
        let inputs: BTreeSet<&Name> = self.edges.iter().map(|edge| &edge.to).collect();
        // Where errors go says nothing of where the rest goes.
        let onward = self.edges.iter().filter(|edge| !edge.on_error);
        let outputs: BTreeSet<&Name> = onward.map(|edge| &edge.from.node).collect();
        let mut unlinked = Vec::new();
        for node in &self.nodes {
            let no_input = node.kind != Kind::Source && !inputs.contains(&node.name);
            let no_output = node.kind != Kind::Sink && !outputs.contains(&node.name);
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

    /// The nodes so that every link leads onward; among those that could come next, the one that
    /// was made first.
    pub fn order(&self) -> Vec<usize> {
        let mut waiting_for = vec![0usize; self.nodes.len()];
        for edge in &self.edges {
            waiting_for[self.index[&edge.to]] += 1;
        }
        let mut ready: BTreeSet<usize> = (0..self.nodes.len())
            .filter(|at| waiting_for[*at] == 0)
            .collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(at) = ready.pop_first() {
            order.push(at);
            for edge in self
                .edges
                .iter()
                .filter(|e| e.from.node == self.nodes[at].name)
            {
                let to = self.index[&edge.to];
                waiting_for[to] -= 1;
                if waiting_for[to] == 0 {
                    ready.insert(to);
                }
            }
        }
        order
    }
}
