//! The methods that build a network, the same for a [`Draft`] and for a [`Network`], of which each is a
//! change of its own.

use super::graph::Sharing;
use super::handles::{PipelineNode, Receives, Sends, SinkNode, SourceNode};
use super::link::LinkOptions;
use super::on_error::OnError;
use super::runner::{Processes, Reads, Successor, Writes};
use super::{Draft, Network};
use crate::error::Result;
use crate::node::{Pipeline, Sink, Source};

/// Defines the methods, for a type whose `change` applies a function to a draft. Code of the caller
/// is called before that: a network is locked meanwhile.
macro_rules! build_methods {
    ($self:ident, $($receiver:tt)+) => {
        /// Adds a source.
        ///
        /// # Errors
        /// A bad name, or one that is taken.
        pub fn add_source(
            $($receiver)+,
            name: &str,
            source: impl Source + 'static,
        ) -> Result<SourceNode> {
            let (ports, runner) = (source.ports(), Box::new(Reads(source)));
            $self.change_by(|draft| draft.add(name, runner, &ports).map(SourceNode))
        }

        /// Adds a pipeline.
        ///
        /// # Errors
        /// A bad name, or one that is taken.
        pub fn add_pipeline(
            $($receiver)+,
            name: &str,
            node: impl Pipeline + 'static,
        ) -> Result<PipelineNode> {
            let (ports, runner) = (node.ports(), Box::new(Processes(node)));
            $self.change_by(|draft| draft.add(name, runner, &ports).map(PipelineNode))
        }

        /// Adds a sink.
        ///
        /// # Errors
        /// A bad name, or one that is taken.
        pub fn add_sink($($receiver)+, name: &str, sink: impl Sink + 'static) -> Result<SinkNode> {
            let (ports, runner) = (sink.ports(), Box::new(Writes(sink)));
            $self.change_by(|draft| draft.add(name, runner, &ports).map(SinkNode))
        }

        /// Links two nodes: every event that leaves `from` is copied to `to`.
        ///
        /// # Errors
        /// A node or port that does not exist, a sink that should send or a source that should
        /// receive, a link that is there already, a link that closes a cycle.
        pub fn link($($receiver)+, from: impl Sends, to: impl Receives) -> Result<()> {
            $self.link_with(from, to, LinkOptions::new())
        }

        /// Links two nodes with a link of this [capacity](super::Capacity), or with these options.
        ///
        /// # Errors
        /// Those of [`link`](Self::link), and options out of range.
        pub fn link_with(
            $($receiver)+,
            from: impl Sends,
            to: impl Receives,
            options: impl Into<LinkOptions>,
        ) -> Result<()> {
            let (from, to) = (from.output(), [to.input()]);
            let options = options.into();
            $self.change_by(|draft| draft.insert_links(&[from], &to, &options, &Sharing::Copy))
        }

        /// Links one node to several, all or none: each gets a copy of every event. A slow one holds
        /// back the others, once its link is full.
        ///
        /// # Errors
        /// Those of [`link`](Self::link), and no target at all.
        pub fn fanout<R: Receives>(
            $($receiver)+,
            from: impl Sends,
            to: impl IntoIterator<Item = R>,
        ) -> Result<()> {
            $self.fanout_with(from, to, LinkOptions::new())
        }

        /// The same, with links of these options.
        ///
        /// # Errors
        /// Those of [`fanout`](Self::fanout), and options out of range.
        pub fn fanout_with<R: Receives>(
            $($receiver)+,
            from: impl Sends,
            to: impl IntoIterator<Item = R>,
            options: impl Into<LinkOptions>,
        ) -> Result<()> {
            let (from, options) = (from.output(), options.into());
            let to: Vec<String> = to.into_iter().map(|to| to.input()).collect();
            $self.change_by(|draft| draft.insert_links(&[from], &to, &options, &Sharing::Copy))
        }

        /// Links several nodes to one, which gets the events of all; all links are made or none.
        ///
        /// # Errors
        /// Those of [`link`](Self::link), and no source at all.
        pub fn fanin<S: Sends>(
            $($receiver)+,
            to: impl Receives,
            from: impl IntoIterator<Item = S>,
        ) -> Result<()> {
            $self.fanin_with(to, from, LinkOptions::new())
        }

        /// The same, with links of these options.
        ///
        /// # Errors
        /// Those of [`fanin`](Self::fanin), and options out of range.
        pub fn fanin_with<S: Sends>(
            $($receiver)+,
            to: impl Receives,
            from: impl IntoIterator<Item = S>,
            options: impl Into<LinkOptions>,
        ) -> Result<()> {
            let (to, options) = ([to.input()], options.into());
            let from: Vec<String> = from.into_iter().map(|from| from.output()).collect();
            $self.change_by(|draft| draft.insert_links(&from, &to, &options, &Sharing::Copy))
        }

        /// Shares the events of one node among several, instead of copying them: the next free one
        /// gets the next batch. With a `key` (the name of a field of the JSON payload), events with
        /// the same value of it stay with one member and in order; events without it stay together
        /// too.
        ///
        /// # Errors
        /// Those of [`link`](Self::link), and fewer than two members.
        pub fn balance<R: Receives>(
            $($receiver)+,
            from: impl Sends,
            to: impl IntoIterator<Item = R>,
            key: Option<&str>,
        ) -> Result<()> {
            let (from, key) = (from.output(), key.map(str::to_owned));
            let to: Vec<String> = to.into_iter().map(|to| to.input()).collect();
            let sharing = Sharing::Balance { key };
            $self.change_by(|draft| draft.insert_links(&[from], &to, &LinkOptions::new(), &sharing))
        }

        /// Removes a link. What was sent into it still arrives.
        ///
        /// # Errors
        /// A link that is not there, or that an error policy has made.
        pub fn unlink($($receiver)+, from: impl Sends, to: impl Receives) -> Result<()> {
            let (from, to) = (from.output(), to.input());
            $self.change_by(|draft| draft.remove_link(&from, &to))
        }

        /// Removes a node with its links. It processes what waits for it, lets go what it holds back,
        /// and ends when the events that it tracks have their outcomes. Where it is the last source, the
        /// network ends.
        ///
        /// # Errors
        /// A node that does not exist, or that an error policy of another one leads to; one that is lost
        /// at present, since it would never end: replace it.
        pub fn remove($($receiver)+, node: &str) -> Result<()> {
            $self.change_by(|draft| draft.remove_node(node))
        }

        /// Replaces a node by one of the same kind, between two batches. Links, account and waiting events
        /// stay as they are. The new node [takes](crate::Node::take) the state of the old one; where it
        /// cannot, the old one first lets go what it holds back, and gets the outcomes of the events
        /// that it tracks.
        ///
        /// # Errors
        /// A node that does not exist; one of another kind; a link that leads from a port that the
        /// new node does not have; a new node that does not open: then the old one goes on.
        pub fn replace<K>(
            $($receiver)+,
            node: &str,
            successor: impl Successor<K>,
        ) -> Result<()> {
            let mut runner = successor.into_runner().0;
            let ports = runner.node().ports();
            $self.change_by(|draft| draft.replace_node(node, runner, &ports))
        }

        /// Sets what is done about the events that a node rejects. `"*"` stands for every node that
        /// has no policy of its own and that the target does not lead back to: the present nodes
        /// and later ones.
        ///
        /// Other links of the port `errors` get a copy as before. A node has at most one policy, and
        /// so has `"*"`.
        ///
        /// # Errors
        /// A node or a target that does not exist, a target that leads back to the node, a second
        /// policy, a number out of range.
        pub fn on_error($($receiver)+, node: &str, on_error: OnError) -> Result<()> {
            $self.change_by(|draft| draft.insert_error_policy(node, on_error))
        }
    };
}

impl Draft {
    build_methods!(self, &mut self);
}

impl Network {
    build_methods!(self, &self);
}

#[cfg(test)]
impl Draft {
    /// Replaces a node by the node of this name of a network that was not started.
    pub(crate) fn replace_by_node_of(&mut self, other: &Network, name: &str) -> Result<()> {
        let mut state = other.lock();
        let id = state.graph.find(name);
        let super::Phase::Built(built) = &mut state.phase else {
            return Err(crate::error::Error::data("the other network was started"));
        };
        let at = built.iter().position(|node| Some(node.id) == id);
        let mut runner = built
            .swap_remove(at.expect("a node of the graph was built"))
            .runner;
        let ports = runner.node().ports();
        self.replace_node(name, runner, &ports)
    }
}
