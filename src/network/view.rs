//! What can be asked of a network at every moment, also while nodes open or the network is being changed.
//!
//! The state of a network is locked while it changes, which may take as long as a node takes to open. A view
//! has a lock of its own, which is held for as long as it takes to copy a pointer.

use super::graph::{Edge, Graph, NodeInfo};
use super::members::Shared;
use super::stats::{ErrorReport, Stats};
use super::{Inner, Network};
use crate::name::Name;
use std::sync::{Arc, Weak};

/// How far a network is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkState {
    /// It was not started, or is simulated.
    #[default]
    Built,
    /// Its nodes are being opened.
    Starting,
    /// It runs.
    Running,
    /// It was asked to stop, or its sources have ended, and it drains.
    Stopping,
    /// It has ended.
    Ended,
}

impl NetworkState {
    /// The state as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            NetworkState::Built => "built",
            NetworkState::Starting => "starting",
            NetworkState::Running => "running",
            NetworkState::Stopping => "stopping",
            NetworkState::Ended => "ended",
        }
    }
}

/// A network as it was last changed.
#[derive(Clone, Default)]
pub(super) struct View {
    graph: Arc<Graph>,
    /// How often the graph has changed.
    changes: u64,
    state: NetworkState,
    shared: Option<Arc<Shared>>,
    /// The account of a network that has ended, and its last errors.
    ended: Arc<(Stats, Vec<(Name, ErrorReport)>)>,
}

impl Inner {
    /// The graph has changed.
    pub(super) fn show_graph(&self, graph: &Graph) {
        let mut view = self.view.lock();
        view.graph = Arc::new(graph.clone());
        view.changes += 1;
    }

    /// The network starts.
    pub(super) fn show_start(&self, graph: &Graph, shared: Arc<Shared>) {
        let mut view = self.view.lock();
        *view = View {
            graph: Arc::new(graph.clone()),
            changes: view.changes + 1,
            state: NetworkState::Starting,
            shared: Some(shared),
            ended: Arc::default(),
        };
    }

    /// All nodes were started.
    pub(super) fn show_running(&self) {
        self.view.lock().state = NetworkState::Running;
    }

    /// The network has ended with this account.
    pub(super) fn show_end(&self, stats: &Stats) {
        let mut view = self.view.lock();
        let reports = view.shared.take().map(|shared| shared.reports());
        view.ended = Arc::new((stats.clone(), reports.unwrap_or_default()));
        view.state = NetworkState::Ended;
    }

    fn view(&self) -> View {
        self.view.lock().clone()
    }

    /// The graph, and what the threads share where the network runs.
    pub(super) fn tapped(&self) -> (Arc<Graph>, Option<Arc<Shared>>) {
        let view = self.view();
        (view.graph, view.shared)
    }

    pub(super) fn stats(&self) -> Stats {
        let view = self.view();
        match view.shared {
            Some(shared) => shared.stats(&view.graph),
            None => view.ended.0.clone(),
        }
    }
}

/// A network that is not kept alive.
#[derive(Clone)]
pub(crate) struct WeakNetwork(Weak<Inner>);

impl WeakNetwork {
    /// The network, if it is there.
    pub fn upgrade(&self) -> Option<Network> {
        self.0.upgrade().map(Network)
    }
}

impl Network {
    /// The network, for those who do not keep it alive.
    pub(crate) fn downgrade(&self) -> WeakNetwork {
        WeakNetwork(Arc::downgrade(&self.0))
    }

    /// The account of every event, up to now. It never waits for a node or a change.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// How far the network is. It never waits for a node or a change.
    pub fn state(&self) -> NetworkState {
        let view = self.0.view();
        match view.shared {
            Some(shared) if view.state == NetworkState::Running && shared.lock().ending => {
                NetworkState::Stopping
            }
            _ => view.state,
        }
    }

    /// The last errors of each node, at most 16 of each: events that it rejected, calls that failed, what it
    /// needs and is not available. Where more than 20 come in a second, only some of them are kept.
    pub fn errors(&self) -> Vec<(Name, ErrorReport)> {
        let view = self.0.view();
        match view.shared {
            Some(shared) => shared.reports(),
            None => view.ended.1.clone(),
        }
    }

    /// How often nodes and links have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.0.view().changes
    }

    /// Nodes and links as they were last changed, without waiting for a change.
    pub(crate) fn shown(&self) -> (Vec<NodeInfo>, Vec<Edge>) {
        let graph = self.0.view().graph;
        let nodes = graph.nodes().map(|(_, node)| node.clone()).collect();
        let edges = graph.edges().map(|(_, edge)| edge.clone()).collect();
        (nodes, edges)
    }
}
