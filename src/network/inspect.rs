//! The settings of a network, and questions about what it consists of.

use super::runner::{NodeKind, Reads};
use super::{Edge, Network, NodeInfo, Phase, Unlinked};
use crate::error::{Error, Result};
use crate::node::{Context, Node, ReadStatus, Source};
use std::time::Duration;

/// A source without events.
struct Silent;

impl Node for Silent {}

impl Source for Silent {
    fn read(&mut self, _: &mut Context<'_>, _: Duration) -> Result<ReadStatus> {
        Ok(ReadStatus::End)
    }
}

impl Network {
    /// Sets how many panics in a row, without a successful event between, make a node fail: it is not
    /// called any more, its events count as failed, and the network stops and reports it. The default
    /// is 10. To be set before the network starts.
    pub fn set_panic_limit(&self, panics: u32) {
        self.lock().limits.panics = panics.max(1);
    }

    /// Sets the largest payload that a source may send. Of a larger one the first 4 KiB leave by
    /// `errors`, with the `size` and the hash `xxh3` of the whole in their meta. The default is 1 MiB
    /// ([`MAX_EVENT_BYTES`](crate::payload::MAX_EVENT_BYTES)), which is also the most that sources of
    /// lines read. To be set before the network starts.
    pub fn set_max_event_bytes(&self, bytes: usize) {
        self.lock().limits.event_bytes = bytes;
    }

    /// The largest payload that a source may send, in bytes.
    pub(crate) fn max_event_bytes(&self) -> usize {
        self.lock().limits.event_bytes
    }

    /// Makes every present source end without opening or reading anything: for a run of the network on
    /// the events of a source that is added later, such as [`Requeue`](crate::source::Requeue).
    ///
    /// # Errors
    /// A network that was started.
    pub(crate) fn silence_sources(&self) -> Result<()> {
        let mut state = self.lock();
        let Phase::Built(nodes) = &mut state.phase else {
            return Err(Error::data("the network was started"));
        };
        for node in nodes
            .iter_mut()
            .filter(|n| n.runner.kind() == NodeKind::Source)
        {
            node.runner = Box::new(Reads(Silent));
        }
        Ok(())
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

    /// All links, in the order in which they were added.
    pub fn edges(&self) -> Vec<Edge> {
        self.graph().edges().map(|(_, edge)| edge.clone()).collect()
    }

    /// The inputs and outputs that are not linked. That is no error: they may be linked later.
    pub fn check(&self) -> Vec<Unlinked> {
        self.graph().unlinked()
    }
}
