//! Drafts: a change to a network, checked step by step and applied as a whole.

use super::graph::{Graph, Made, Savepoint, Sharing};
use super::id::NodeId;
use super::link::{Capacity, LinkOptions};
use super::on_error::OnError;
use super::runner::{NodeKind, Runner};
use super::running::NewNode;
use crate::error::{Error, Result};
use crate::name::Name;
use crate::node::{Loss, Outline};
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::fmt;

/// A change to a network: nodes and links to add, remove or replace. [`Network::draft`] begins it,
/// [`Network::apply`] applies it; until then the network is as before.
///
/// ```
/// use tributary::{Network, pipeline::Forwarder, sink::Discarder};
///
/// let network = Network::new();
/// network.change(|draft| {
///     let a = draft.add_pipeline("a", Forwarder)?;
///     let b = draft.add_sink("b", Discarder)?;
///     draft.link(&a, &b)
/// })?;
/// assert!(network.is_connected("a", "b"));
/// # Ok::<(), tributary::Error>(())
/// ```
///
/// [`Network::draft`]: super::Network::draft
/// [`Network::apply`]: super::Network::apply
pub struct Draft {
    graph: Graph,
    nodes: Vec<NewNode>,
    /// Successors of nodes of the network, by the ids of those.
    successors: Vec<NewNode>,
    capacity: Capacity,
    version: u64,
    place: Option<String>,
    /// The nodes of the network that have ended, where that is needed.
    ended: BTreeSet<NodeId>,
}

/// The nodes of a draft: new ones, and successors of nodes of the network.
pub(super) struct NewNodes {
    pub added: Vec<NewNode>,
    pub successors: Vec<NewNode>,
}

impl NewNodes {
    /// Adds them to the nodes of a network that was not started.
    pub fn put_into(self, built: &mut Vec<NewNode>, graph: &Graph) {
        built.extend(self.added);
        built.retain(|node| graph.has_node(node.id));
        replace_in(built, self.successors);
    }
}

/// Puts successors in the place of nodes that do not run yet.
fn replace_in(nodes: &mut [NewNode], successors: Vec<NewNode>) {
    for successor in successors {
        if let Some(node) = nodes.iter_mut().find(|node| node.id == successor.id) {
            *node = successor;
        }
    }
}

/// A node that gets a successor.
pub(super) struct Replaced {
    pub id: NodeId,
    /// Whether the successor can continue with its state.
    pub continues: bool,
    /// What is lost, unless that was accepted.
    pub loss: Option<Loss>,
}

/// A state of a [`Draft`] to which it can be rolled back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DraftSavepoint {
    graph: Savepoint,
    successors: usize,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (new, replaced) = (self.nodes.len(), self.successors.len());
        write!(f, "Draft({new} new nodes, {replaced} replaced)")
    }
}

impl Draft {
    pub(super) fn new(graph: Graph, capacity: Capacity, version: u64) -> Self {
        Draft {
            graph,
            nodes: Vec::new(),
            successors: Vec::new(),
            capacity,
            version,
            place: None,
            ended: BTreeSet::new(),
        }
    }

    /// These nodes of the network have ended.
    pub(super) fn set_ended(&mut self, ended: BTreeSet<NodeId>) {
        self.ended = ended;
    }

    pub(super) fn into_parts(self) -> (Graph, NewNodes, u64) {
        let graph = self.graph;
        let (mut added, mut successors) = (self.nodes, self.successors);
        // Those that were removed again.
        added.retain(|node| graph.has_node(node.id));
        successors.retain(|node| graph.has_node(node.id));
        // A node that does not run yet needs no handover.
        let runs = |id| added.iter().all(|node| node.id != id);
        let (running, new) = successors
            .into_iter()
            .partition(|node: &NewNode| runs(node.id));
        successors = running;
        replace_in(&mut added, new);
        (graph, NewNodes { added, successors }, self.version)
    }

    /// Where in a script what follows is written (`"net.lua:3"`), for messages.
    pub(crate) fn set_place(&mut self, place: Option<String>) {
        self.place = place;
    }

    /// Where in a script what follows is written.
    pub(crate) fn place(&self) -> Option<String> {
        self.place.clone()
    }

    /// Adds to the present place what made the following, where that is not the script itself.
    pub(crate) fn add_place(&mut self, made_by: &str) {
        if let Some(place) = &mut self.place {
            place.push_str(made_by);
        }
    }

    /// The script to which what follows belongs.
    pub(crate) fn set_unit(&mut self, unit: &str) {
        self.graph.set_unit(Some(unit.into()));
    }

    /// The script of this draft is loaded again: what it had made before and does not make again until
    /// [`end_reload`](Self::end_reload) is removed then.
    pub(crate) fn begin_reload(&mut self) {
        self.graph.set_aside(std::mem::take(&mut self.ended));
    }

    /// Removes what the script has not made again, and returns what the change comes to.
    ///
    /// # Errors
    /// A node that another script uses.
    pub(crate) fn end_reload(&mut self) -> Result<()> {
        self.graph.remove_former()
    }

    /// The graph as it is to be.
    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The nodes that get a successor, each with what becomes of its state. `outline` gives that of a node
    /// which runs.
    pub(super) fn replaced(
        &mut self,
        outline: &dyn Fn(NodeId) -> Option<Outline>,
        now: Timestamp,
    ) -> Vec<Replaced> {
        let successors = self.successors.iter_mut();
        let successors = successors.filter(|new| self.graph.has_node(new.id));
        let replaced = successors.map(|new| {
            let (id, node) = (new.id, new.runner.node());
            let loss = outline(id).and_then(|outline| node.loss(&outline, now));
            let continues = node.continues();
            Replaced {
                id,
                continues,
                loss,
            }
        });
        replaced.collect()
    }

    /// Accepts what is lost where nodes are replaced.
    pub(crate) fn accept_loss(&mut self) {
        let successors = self.successors.iter_mut();
        successors.for_each(|new| new.runner.node().accept_loss());
    }

    /// What was added since this savepoint, or made again.
    pub(crate) fn made_since(&self, savepoint: DraftSavepoint) -> &[Made] {
        self.graph.made_since(savepoint.graph)
    }

    /// Whether all of these are part of the graph.
    pub(crate) fn has(&self, made: &[Made]) -> bool {
        made.iter().all(|made| match made {
            Made::Node(id) => self.graph.has_node(*id),
            Made::Link(id) => self.graph.has_edge(*id),
        })
    }

    /// Whether the script had made all of these before.
    pub(crate) fn had_made(&self, made: &[Made]) -> bool {
        made.iter().all(|made| self.graph.is_former(*made))
    }

    /// The script makes these once more in the same way.
    pub(crate) fn keep(&mut self, made: &[Made]) {
        for made in made {
            self.graph.keep(*made, self.place.clone());
        }
    }

    /// The present state, to be rolled back to.
    pub(crate) fn savepoint(&self) -> DraftSavepoint {
        DraftSavepoint {
            graph: self.graph.savepoint(),
            successors: self.successors.len(),
        }
    }

    /// Undoes everything since the savepoint.
    pub(crate) fn roll_back(&mut self, to: DraftSavepoint) {
        self.graph.roll_back(to.graph);
        self.nodes.retain(|node| to.graph.has(node.id));
        self.successors.truncate(to.successors);
    }

    /// Applies a change to this draft.
    pub(super) fn change_by<T>(
        &mut self,
        change: impl FnOnce(&mut Draft) -> Result<T>,
    ) -> Result<T> {
        change(self)
    }

    pub(super) fn add(
        &mut self,
        name: &str,
        runner: Box<dyn Runner>,
        ports: &[String],
    ) -> Result<Name> {
        let name = Name::new(name)?;
        let place = self.place.clone();
        let former = self.graph.former(name.as_str());
        let id = self.graph.add(name.clone(), runner.kind(), ports, place)?;
        let node = NewNode::new(id, runner);
        if former == Some(id) {
            self.successors.push(node);
        } else {
            self.nodes.push(node);
        }
        Ok(name)
    }

    pub(super) fn remove_node(&mut self, name: &str) -> Result<()> {
        self.graph.remove(name)
    }

    pub(super) fn remove_link(&mut self, from: &str, to: &str) -> Result<()> {
        self.graph.unlink(from, to)
    }

    pub(super) fn replace_node(
        &mut self,
        name: &str,
        runner: Box<dyn Runner>,
        ports: &[String],
    ) -> Result<()> {
        let id = self.graph.existing(name)?;
        let node = self.graph.node(id);
        if node.kind != runner.kind() {
            let (is, new) = (node.kind.as_str(), runner.kind().as_str());
            let error = format!("node {name} is a {is}, and a {new} cannot replace it");
            let hint = "remove it and add the new node in one change";
            return Err(Error::data(error).with_hint(hint));
        }
        self.graph.set_ports(id, ports, self.place.clone())?;
        self.successors.push(NewNode::new(id, runner));
        Ok(())
    }

    /// Links each of `from` to each of `to`, all or none.
    pub(super) fn insert_links(
        &mut self,
        from: &[String],
        to: &[String],
        options: &LinkOptions,
        sharing: &Sharing,
    ) -> Result<()> {
        let settings = options.settings(self.capacity)?;
        let missing = match (from, to, sharing) {
            ([from], [] | [_], Sharing::Balance { .. }) => {
                Some(format!("balance of {from} needs at least two members"))
            }
            ([from], [], Sharing::Copy) => {
                Some(format!("fanout of {from} needs at least one target"))
            }
            ([], [to, ..], _) => Some(format!("fanin of {to} needs at least one source")),
            _ => None,
        };
        if let Some(missing) = missing {
            return Err(Error::data(missing));
        }
        let targets: Vec<&str> = to.iter().map(String::as_str).collect();
        let (place, savepoint) = (self.place.as_deref(), self.graph.savepoint());
        for from in from {
            let graph = &mut self.graph;
            let linked = graph.link(from, &targets, &settings, sharing.clone(), place);
            if linked.is_err() {
                graph.roll_back(savepoint);
                return linked;
            }
        }
        Ok(())
    }

    pub(super) fn insert_error_policy(&mut self, node: &str, on_error: OnError) -> Result<()> {
        let place = self.place.as_deref();
        self.graph.on_error(node, on_error, self.capacity, place)
    }

    /// Whether there is a node of this name, in the network or in this draft.
    pub fn node_exists(&self, name: &str) -> bool {
        self.graph.find(name).is_some()
    }

    /// What kind of node this is.
    pub fn kind(&self, name: &str) -> Option<NodeKind> {
        self.graph.named(name).map(|(_, node)| node.kind)
    }
}
