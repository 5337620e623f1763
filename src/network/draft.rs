//! Drafts: a change to a network, checked step by step and taken in as a whole.

use super::graph::{Graph, Savepoint, Sharing};
use super::handles::{PipelineNode, Receives, Sends, SinkNode, SourceNode};
use super::link::{Capacity, LinkOptions, LinkSettings};
use super::on_error::OnError;
use super::runner::{Kind, Processes, Reads, Runner, Writes};
use super::running::NewNode;
use crate::error::{Error, Result};
use crate::name::Name;
use crate::node::{Pipeline, Sink, Source};
use std::fmt;

/// A change to a network: nodes and links to add. Made by [`Network::draft`], taken in by
/// [`Network::apply`]; until then nothing has happened.
///
/// ```
/// use tributary::{Network, pipeline::Forwarder, sink::Discarder};
///
/// let network = Network::new();
/// network.extend(|draft| {
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
    capacity: Capacity,
    version: u64,
    place: Option<String>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} new nodes)", self.nodes.len())
    }
}

impl Draft {
    pub(super) fn new(graph: Graph, capacity: Capacity, version: u64) -> Self {
        Draft {
            graph,
            nodes: Vec::new(),
            capacity,
            version,
            place: None,
        }
    }

    pub(super) fn into_parts(self) -> (Graph, Vec<NewNode>, u64) {
        (self.graph, self.nodes, self.version)
    }

    /// Where in a script what follows is written (`"net.lua:3"`), for messages.
    pub fn set_place(&mut self, place: Option<String>) {
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

    /// The present state, to be rolled back to.
    pub(crate) fn savepoint(&self) -> Savepoint {
        self.graph.savepoint()
    }

    /// Removes everything since the savepoint.
    pub(crate) fn roll_back(&mut self, to: Savepoint) {
        self.graph.roll_back(to);
        self.nodes.retain(|node| to.has(node.id));
    }

    /// Adds a source.
    ///
    /// # Errors
    /// A bad name, or one that is taken.
    pub fn add_source(&mut self, name: &str, source: impl Source + 'static) -> Result<SourceNode> {
        let ports = source.ports();
        self.add(name, Box::new(Reads(source)), &ports)
            .map(SourceNode)
    }

    /// Adds a pipeline.
    ///
    /// # Errors
    /// A bad name, or one that is taken.
    pub fn add_pipeline(
        &mut self,
        name: &str,
        node: impl Pipeline + 'static,
    ) -> Result<PipelineNode> {
        let ports = node.ports();
        self.add(name, Box::new(Processes(node)), &ports)
            .map(PipelineNode)
    }

    /// Adds a sink.
    ///
    /// # Errors
    /// A bad name, or one that is taken.
    pub fn add_sink(&mut self, name: &str, sink: impl Sink + 'static) -> Result<SinkNode> {
        let ports = sink.ports();
        self.add(name, Box::new(Writes(sink)), &ports).map(SinkNode)
    }

    pub(super) fn add(
        &mut self,
        name: &str,
        runner: Box<dyn Runner>,
        ports: &[String],
    ) -> Result<Name> {
        let name = Name::new(name)?;
        let place = self.place.clone();
        let id = self.graph.add(name.clone(), runner.kind(), ports, place)?;
        self.nodes.push(NewNode::new(id, runner));
        Ok(name)
    }

    /// Links two nodes: every event that leaves `from` is copied to `to`.
    ///
    /// # Errors
    /// A node or port that does not exist, a sink that should send or a source that should
    /// receive, a link that is there already, a link that closes a cycle.
    pub fn link(&mut self, from: impl Sends, to: impl Receives) -> Result<()> {
        self.link_with(from, to, LinkOptions::new())
    }

    /// Links two nodes with a link of this capacity, or with these options.
    ///
    /// # Errors
    /// Those of [`Draft::link`], and options out of range.
    pub fn link_with(
        &mut self,
        from: impl Sends,
        to: impl Receives,
        options: impl Into<LinkOptions>,
    ) -> Result<()> {
        let settings = options.into().settings(self.capacity)?;
        self.graph.link(
            &from.output(),
            &[&to.input()],
            &settings,
            Sharing::Copy,
            self.place.as_deref(),
        )
    }

    /// Links one node to several, all or none: each gets a copy of every event. A slow one holds
    /// back the others, once its link is full.
    ///
    /// # Errors
    /// Those of [`Draft::link`], and no target at all.
    pub fn fanout<R: Receives>(
        &mut self,
        from: impl Sends,
        to: impl IntoIterator<Item = R>,
    ) -> Result<()> {
        self.fanout_with(from, to, LinkOptions::new())
    }

    /// The same, with links of these options.
    ///
    /// # Errors
    /// Those of [`Draft::fanout`], and options out of range.
    pub fn fanout_with<R: Receives>(
        &mut self,
        from: impl Sends,
        to: impl IntoIterator<Item = R>,
        options: impl Into<LinkOptions>,
    ) -> Result<()> {
        let settings = options.into().settings(self.capacity)?;
        let to: Vec<String> = to.into_iter().map(|to| to.input()).collect();
        let targets: Vec<&str> = to.iter().map(String::as_str).collect();
        if targets.is_empty() {
            return Err(Error::data(format!(
                "fanout of {} needs at least one target",
                from.output()
            )));
        }
        self.graph.link(
            &from.output(),
            &targets,
            &settings,
            Sharing::Copy,
            self.place.as_deref(),
        )
    }

    /// Links several nodes to one, all or none.
    ///
    /// # Errors
    /// Those of [`Draft::link`], and no source at all.
    pub fn fanin<S: Sends>(
        &mut self,
        to: impl Receives,
        from: impl IntoIterator<Item = S>,
    ) -> Result<()> {
        self.fanin_with(to, from, LinkOptions::new())
    }

    /// The same, with links of these options.
    ///
    /// # Errors
    /// Those of [`Draft::fanin`], and options out of range.
    pub fn fanin_with<S: Sends>(
        &mut self,
        to: impl Receives,
        from: impl IntoIterator<Item = S>,
        options: impl Into<LinkOptions>,
    ) -> Result<()> {
        let settings = options.into().settings(self.capacity)?;
        let savepoint = self.graph.savepoint();
        let mut none = true;
        for from in from {
            none = false;
            let place = self.place.as_deref();
            let linked = self.graph.link(
                &from.output(),
                &[&to.input()],
                &settings,
                Sharing::Copy,
                place,
            );
            if linked.is_err() {
                self.graph.roll_back(savepoint);
                return linked;
            }
        }
        if none {
            return Err(Error::data(format!(
                "fanin of {} needs at least one source",
                to.input()
            )));
        }
        Ok(())
    }

    /// Shares the events of one node among several, instead of copying them: the next free one
    /// gets the next batch. With a `key` (the name of a field of the JSON payload), events with the
    /// same value of it stay with one member and in order; events without it stay together too.
    ///
    /// # Errors
    /// Those of [`Draft::link`], and fewer than two members.
    pub fn balance<R: Receives>(
        &mut self,
        from: impl Sends,
        to: impl IntoIterator<Item = R>,
        key: Option<&str>,
    ) -> Result<()> {
        let to: Vec<String> = to.into_iter().map(|to| to.input()).collect();
        let targets: Vec<&str> = to.iter().map(String::as_str).collect();
        if targets.len() < 2 {
            let error = format!("balance of {} needs at least two members", from.output());
            return Err(Error::data(error));
        }
        let key = key.map(str::to_owned);
        self.graph.link(
            &from.output(),
            &targets,
            &LinkSettings::from(self.capacity),
            Sharing::Balance { key },
            self.place.as_deref(),
        )
    }

    /// Says what is done about the events that a node rejects; `"*"` is every node that the target
    /// doesn't lead back to and of which nothing else is said: those there are and those that come.
    ///
    /// Whatever else `errors` is linked to gets a copy as before. Of a node, and of `"*"`, it is
    /// said once.
    ///
    /// # Errors
    /// A node or a target that does not exist, a target that leads back to the node, what was said
    /// already, a number out of range.
    pub fn on_error(&mut self, node: &str, on_error: OnError) -> Result<()> {
        self.graph
            .on_error(node, on_error, self.capacity, self.place.as_deref())
    }

    /// Whether there is a node of this name, in the network or in this draft.
    pub fn node_exists(&self, name: &str) -> bool {
        self.graph.find(name).is_some()
    }

    /// What kind of node this is.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        self.graph.named(name).map(|(_, node)| node.kind)
    }
}
