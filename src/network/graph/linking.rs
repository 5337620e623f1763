//! Adds links to a graph, and refuses wrong ones: unknown ends, duplicates, cycles.

use super::{Edge, Graph, Made, at_place};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::name::{Endpoint, Name, Port};
use crate::network::id::{LinkId, NodeId};
use crate::network::link::LinkSettings;
use crate::network::runner::NodeKind;
use std::collections::BTreeSet;

/// How the links that are added together share events.
#[derive(Debug, Clone)]
pub(crate) enum Sharing {
    /// Each link gets a copy.
    Copy,
    /// Each event goes into one of the links; with a key, into the one to which the key belongs.
    Balance { key: Option<String> },
}

impl Graph {
    /// Adds links from one port to `targets`, all or none.
    pub fn link(
        &mut self,
        from: &str,
        targets: &[&str],
        settings: &LinkSettings,
        sharing: Sharing,
        place: Option<&str>,
    ) -> Result<()> {
        let (balance, key) = match sharing {
            Sharing::Copy => (None, None),
            Sharing::Balance { key } => (Some(self.balances), key),
        };
        let edges = targets.iter().map(|to| {
            let edge = self.edge(from, to, settings, place)?;
            let key = key.clone();
            Ok(Edge {
                balance,
                key,
                ..edge
            })
        });
        let edges: Vec<Edge> = edges.collect::<Result<_>>()?;
        self.insert_all(edges)?;
        self.balances += usize::from(balance.is_some());
        Ok(())
    }

    /// Adds links that belong together, all or none; those that the script had made before it was
    /// loaded again come back.
    pub(super) fn insert_all(&mut self, edges: Vec<Edge>) -> Result<()> {
        let savepoint = self.savepoint();
        let former = self.former.same(&edges);
        for (index, edge) in edges.into_iter().enumerate() {
            if let Err(error) = self.accept(&edge) {
                self.roll_back(savepoint);
                return Err(error);
            }
            match former[index] {
                Some(id) => self.restore_former(id, edge),
                None => drop(self.insert(edge)),
            }
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, edge: Edge) -> LinkId {
        let id = self.ids.link();
        self.edges.insert(id, edge);
        self.made.push(Made::Link(id));
        id
    }

    pub(super) fn edge(
        &self,
        from: &str,
        to: &str,
        settings: &LinkSettings,
        place: Option<&str>,
    ) -> Result<Edge> {
        let (source, from) = self.output(from)?;
        let (target, to) = self.input(to)?;
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
            unit: self.unit.clone(),
            source,
            target,
        })
    }

    /// The endpoint of this name and its node, if events can leave there.
    fn output(&self, text: &str) -> Result<(NodeId, Endpoint)> {
        let endpoint = Endpoint::new(text)?;
        let Some((id, node)) = self.named(endpoint.node.as_str()) else {
            return Err(self.unknown("source node", &endpoint.node, |kind| kind != NodeKind::Sink));
        };
        let port = endpoint.port.as_str();
        if node.kind == NodeKind::Sink && port == Port::OUT {
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
        Ok((id, endpoint))
    }

    /// The node of this name, if events can enter there.
    pub(super) fn input(&self, text: &str) -> Result<(NodeId, Name)> {
        if text.contains('.') && Endpoint::new(text).is_ok() {
            let error = format!("a link leads to a node, not to a port: {}", quote(text));
            return Err(Error::data(error));
        }
        let name = Name::new(text)?;
        match self.named(text) {
            None => Err(self.unknown("target node", &name, |kind| kind != NodeKind::Source)),
            Some((_, node)) if node.kind == NodeKind::Source => {
                Err(Error::data(format!("{name} is a source and has no input")))
            }
            Some((id, _)) => Ok((id, name)),
        }
    }

    fn unknown(&self, what: &str, name: &Name, fits: impl Fn(NodeKind) -> bool) -> Error {
        let error = Error::data(format!("no {what} {}", quote(name.as_str())));
        error.with_hint_opt(did_you_mean(name.as_str(), self.names_of(fits)))
    }

    /// Whether the edge may be added: not there yet, and closing no cycle.
    fn accept(&self, edge: &Edge) -> Result<()> {
        let same = |e: &&Edge| e.from == edge.from && e.target == edge.target;
        if let Some(there) = self.edges.values().find(same) {
            let at = at_place(there.place.as_deref());
            let error = format!("{} is already linked to {}{at}", edge.from, edge.to);
            return Err(Error::data(error).with_hint(
                "a second link would not make a second copy; events are copied to different nodes",
            ));
        }
        let Some(path) = self.path(edge.target, edge.source) else {
            return Ok(());
        };
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

    /// The edges of a path from one node to another; empty when they are the same.
    fn path(&self, from: NodeId, to: NodeId) -> Option<Vec<&Edge>> {
        let mut seen = BTreeSet::from([from]);
        let mut paths = vec![(from, Vec::new())];
        while let Some((node, path)) = paths.pop() {
            if node == to {
                return Some(path);
            }
            for edge in self.edges.values().filter(|edge| edge.source == node) {
                if seen.insert(edge.target) {
                    let mut path = path.clone();
                    path.push(edge);
                    paths.push((edge.target, path));
                }
            }
        }
        None
    }
}
