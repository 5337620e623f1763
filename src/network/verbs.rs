//! Building a network step by step, and asking about it. Each step is a change of its own; several
//! at once are a [`Draft`](super::Draft).

use super::runner::{Kind, Processes, Reads, Writes};
use super::{
    Edge, LinkOptions, Network, NodeInfo, OnError, Phase, PipelineNode, Receives, Sends, SinkNode,
    SourceNode, Unlinked,
};
use crate::error::{Error, Result};
use crate::node::{Context, Node, Pipeline, Read, Sink, Source};
use std::time::Duration;

/// A source that has nothing to say.
struct Silent;

impl Node for Silent {}

impl Source for Silent {
    fn read(&mut self, _: &mut Context<'_>, _: Duration) -> Result<Read> {
        Ok(Read::End)
    }
}

impl Network {
    /// Adds a source.
    ///
    /// # Errors
    /// A bad name, or one that is taken.
    pub fn add_source(&self, name: &str, source: impl Source + 'static) -> Result<SourceNode> {
        let (ports, runner) = (source.ports(), Box::new(Reads(source)));
        self.change(|draft| draft.add(name, runner, &ports).map(SourceNode))
    }

    /// Adds a pipeline.
    ///
    /// # Errors
    /// A bad name, or one that is taken.
    pub fn add_pipeline(&self, name: &str, node: impl Pipeline + 'static) -> Result<PipelineNode> {
        let (ports, runner) = (node.ports(), Box::new(Processes(node)));
        self.change(|draft| draft.add(name, runner, &ports).map(PipelineNode))
    }

    /// Adds a sink.
    ///
    /// # Errors
    /// A bad name, or one that is taken.
    pub fn add_sink(&self, name: &str, sink: impl Sink + 'static) -> Result<SinkNode> {
        let (ports, runner) = (sink.ports(), Box::new(Writes(sink)));
        self.change(|draft| draft.add(name, runner, &ports).map(SinkNode))
    }

    /// After so many panics in a row, without an event between that was well, a node has failed: it
    /// is not called any more, what it gets counts as failed, and the network stops and reports it.
    /// Ten are allowed unless something else is said here, before the network starts.
    pub fn set_panic_limit(&self, panics: u32) {
        self.lock().limits.panics = panics.max(1);
    }

    /// A source's event with a greater payload is refused: its first 4 KiB leave by `errors`, with the
    /// `size` and the hash `xxh3` of the whole in their meta. It is 1 MiB
    /// ([`MAX_EVENT_BYTES`](crate::payload::MAX_EVENT_BYTES)) unless something else is said here, before
    /// the network starts. Sources of lines read no longer ones, whatever is said.
    pub fn set_max_event_bytes(&self, bytes: usize) {
        self.lock().limits.event_bytes = bytes;
    }

    /// The greatest payload of an event.
    pub(crate) fn max_event_bytes(&self) -> usize {
        self.lock().limits.event_bytes
    }

    /// Has every source that was added so far end without opening or reading anything: for a run of
    /// the network on events that a source added later brings, such as
    /// [`Requeue`](crate::source::Requeue).
    ///
    /// # Errors
    /// A network that was started.
    pub fn silence_sources(&self) -> Result<()> {
        let mut state = self.lock();
        let Phase::Built(nodes) = &mut state.phase else {
            return Err(Error::data("the network was started"));
        };
        for node in nodes.iter_mut().filter(|n| n.runner.kind() == Kind::Source) {
            node.runner = Box::new(Reads(Silent));
        }
        Ok(())
    }

    /// Links two nodes: every event that leaves `from` is copied to `to`.
    ///
    /// # Errors
    /// See [`Draft::link`](super::Draft::link).
    pub fn link(&self, from: impl Sends, to: impl Receives) -> Result<()> {
        let (from, to) = (from.output(), to.input());
        self.change(|draft| draft.link(from, to))
    }

    /// Links two nodes with a link of this [capacity](super::Capacity), or with these options.
    ///
    /// # Errors
    /// See [`Draft::link_with`](super::Draft::link_with).
    pub fn link_with(
        &self,
        from: impl Sends,
        to: impl Receives,
        options: impl Into<LinkOptions>,
    ) -> Result<()> {
        let (from, to) = (from.output(), to.input());
        let options = options.into();
        self.change(|draft| draft.link_with(from, to, options))
    }

    /// Links one node to several: each gets a copy of every event.
    ///
    /// # Errors
    /// See [`Draft::fanout`](super::Draft::fanout).
    pub fn fanout<R: Receives>(
        &self,
        from: impl Sends,
        to: impl IntoIterator<Item = R>,
    ) -> Result<()> {
        let to: Vec<String> = to.into_iter().map(|to| to.input()).collect();
        let from = from.output();
        self.change(|draft| draft.fanout(from, to))
    }

    /// The same, with links of these options.
    ///
    /// # Errors
    /// See [`Draft::fanout_with`](super::Draft::fanout_with).
    pub fn fanout_with<R: Receives>(
        &self,
        from: impl Sends,
        to: impl IntoIterator<Item = R>,
        options: impl Into<LinkOptions>,
    ) -> Result<()> {
        let to: Vec<String> = to.into_iter().map(|to| to.input()).collect();
        let (from, options) = (from.output(), options.into());
        self.change(|draft| draft.fanout_with(from, to, options))
    }

    /// Links several nodes to one, which gets the events of all.
    ///
    /// # Errors
    /// See [`Draft::fanin`](super::Draft::fanin).
    pub fn fanin<S: Sends>(
        &self,
        to: impl Receives,
        from: impl IntoIterator<Item = S>,
    ) -> Result<()> {
        let from: Vec<String> = from.into_iter().map(|from| from.output()).collect();
        let to = to.input();
        self.change(|draft| draft.fanin(to, from))
    }

    /// The same, with links of these options.
    ///
    /// # Errors
    /// See [`Draft::fanin_with`](super::Draft::fanin_with).
    pub fn fanin_with<S: Sends>(
        &self,
        to: impl Receives,
        from: impl IntoIterator<Item = S>,
        options: impl Into<LinkOptions>,
    ) -> Result<()> {
        let from: Vec<String> = from.into_iter().map(|from| from.output()).collect();
        let (to, options) = (to.input(), options.into());
        self.change(|draft| draft.fanin_with(to, from, options))
    }

    /// Shares the events of one node among several: see [`Draft::balance`](super::Draft::balance).
    ///
    /// # Errors
    /// See [`Draft::balance`](super::Draft::balance).
    pub fn balance<R: Receives>(
        &self,
        from: impl Sends,
        to: impl IntoIterator<Item = R>,
        key: Option<&str>,
    ) -> Result<()> {
        let to: Vec<String> = to.into_iter().map(|to| to.input()).collect();
        let from = from.output();
        self.change(|draft| draft.balance(from, to, key))
    }

    /// Says what is done about the events that a node rejects; `"*"` is every node that the target
    /// doesn't lead back to: see [`Draft::on_error`](super::Draft::on_error).
    ///
    /// # Errors
    /// See [`Draft::on_error`](super::Draft::on_error).
    pub fn on_error(&self, node: &str, on_error: OnError) -> Result<()> {
        self.change(|draft| draft.on_error(node, on_error))
    }

    /// Whether there is a node of this name.
    pub fn node_exists(&self, name: &str) -> bool {
        self.lock().graph.find(name).is_some()
    }

    /// Whether no link leads to or from the node; false where there is no such node.
    pub fn node_unconnected(&self, name: &str) -> bool {
        let graph = &self.lock().graph;
        graph.find(name).is_some_and(|id| !graph.is_linked(id))
    }

    /// Whether `from` (a node or a port) is linked to `to` directly.
    pub fn is_connected(&self, from: &str, to: &str) -> bool {
        self.graph().is_connected(from, to)
    }

    /// All nodes, in the order in which they were added.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.lock()
            .graph
            .nodes()
            .map(|(_, node)| node.clone())
            .collect()
    }

    /// All links, in the order in which they were made.
    pub fn edges(&self) -> Vec<Edge> {
        self.graph().edges().map(|(_, edge)| edge.clone()).collect()
    }

    /// Everything that is not joined up. That is no error: it may be linked later.
    pub fn check(&self) -> Vec<Unlinked> {
        self.graph().unlinked()
    }
}
