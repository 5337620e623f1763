//! Networks: nodes by name, joined by links, built from Rust or from Lua, changed while they run.
//!
//! | file | what it holds |
//! |---|---|
//! | `build`, `draft`, `handles` | the methods that build a network; changes that are applied as a whole or not at all; typed handles of nodes |
//! | `id`, `graph`, `on_error` | the identities of nodes and links; what is linked to what, and what makes a link wrong; error policies |
//! | `plan` | what a change comes to |
//! | `lifecycle`, `inspect`, `limits` | start, stop and wait; settings and questions; limits |
//! | `runner`, `stage`, `panics` | a node of any kind; feeds one batch to one node, and is the only place that settles acks; panics of node code |
//! | `link`, `routes` | bounded channels of batches; where the events of a port go |
//! | `control`, `worker`, `timer`, `watchdog` | control messages; drives a stage from its links; wakes nodes; gives up calls that do not return |
//! | `running`, `members` | threads, and how they end; what nodes share with the network |
//! | `simulation`, `replay` | the same without threads, in virtual time; recorded events that drive it |
//! | `stats`, `stats_handle`, `view`, `tap`, `tap_sender` | the account; what can be asked while the network changes; copies of events |
//! | `losses`, `drawing` | losses in one line at the end; pictures |
//!
//! Only this module uses threads and channels. To add a node, see [`crate::node`]; nothing here
//! changes for it.

mod build;
mod control;
mod draft;
mod drawing;
mod graph;
mod handles;
mod id;
mod inspect;
mod lifecycle;
mod limits;
mod link;
mod losses;
mod members;
mod on_error;
mod panics;
mod plan;
mod replay;
mod routes;
mod runner;
mod running;
mod simulation;
mod stage;
mod stats;
mod stats_handle;
mod tap;
mod tap_sender;
mod timer;
mod view;
mod watchdog;
mod worker;

pub use draft::Draft;
pub use drawing::DrawingFormat;
pub(crate) use graph::Made;
pub use graph::{Edge, NodeInfo, Unlinked};
pub use handles::{NodePort, PipelineNode, Receives, Sends, SinkNode, SourceNode};
pub use limits::STOP_LIMIT;
#[doc(hidden)]
pub use link::spilled;
pub use link::{Capacity, LinkOptions, Overflow, Spill};
pub use on_error::OnError;
pub use plan::{ChangeAction, ChangePlan, PlannedChange};
#[doc(hidden)]
pub use replay::Replaying;
pub use replay::{InjectedSource, Replay};
pub use runner::{NodeKind, Successor};
pub use simulation::Simulation;
pub use stats::{Bottleneck, ErrorReport, Latency, LinkStats, NodeState, NodeStats, Stats};
pub(crate) use stats_handle::StatsHandle;
pub use tap::Tap;
pub use view::NetworkState;
pub(crate) use view::WeakNetwork;
pub(crate) use watchdog::Pulse;
pub use watchdog::on_overrun;

use crate::error::{Error, Result};
use crate::time::{Clock as _, SystemClock};
use graph::Graph;
use limits::Limits;
use parking_lot::{Mutex, MutexGuard};
use running::{End, NewNode, Running};
use std::sync::Arc;

/// A network of nodes: a handle, cheap to clone, that can be used from any thread.
///
/// ```
/// use tributary::{Network, pipeline, sink, source};
///
/// let network = Network::new();
/// network.add_source("numbers", source::from_iter(["1", "2", "3"]))?;
/// network.add_pipeline("louder", pipeline::interceptor(|e| {
///     let text = format!("{}!", e.payload().text().unwrap_or_default());
///     Ok(Some(e.derive(text)))
/// }))?;
/// network.add_sink("print", sink::handler(|e| {
///     println!("{:?}", e.payload());
///     Ok(())
/// }))?;
/// network.link("numbers", "louder")?;
/// network.link("louder", "print")?;
/// network.start()?;
/// network.wait()?; // three events, and the network has ended by itself
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Network(Arc<Inner>);

opaque_debug!(Network);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// Ends the running network, also while the state is locked: opening nodes may take long.
    end: Mutex<Option<End>>,
    /// What can be asked also while the state is locked.
    view: Mutex<view::View>,
}

struct State {
    graph: Graph,
    /// Counts the changes, so that an outdated draft is refused.
    version: u64,
    capacity: Capacity,
    limits: Limits,
    fail_fast: bool,
    phase: Phase,
}

enum Phase {
    Built(Vec<NewNode>),
    Running(Running),
    Ended,
    Simulated,
}

impl Default for State {
    fn default() -> Self {
        State {
            graph: Graph::default(),
            version: 0,
            capacity: Capacity::default(),
            limits: Limits::default(),
            fail_fast: false,
            phase: Phase::Built(Vec::new()),
        }
    }
}

impl Network {
    /// An empty network, whose links have the default [`Capacity`].
    pub fn new() -> Self {
        Network::default()
    }

    /// An empty network whose links have this capacity unless their options set another.
    ///
    /// # Errors
    /// A capacity out of range.
    pub fn with_capacity(capacity: Capacity) -> Result<Self> {
        let network = Network::default();
        network.lock().capacity = capacity.check()?;
        Ok(network)
    }

    /// Sets whether [`start`](Self::start) fails if a node cannot be opened yet, because a broker is
    /// down for example. Otherwise the network starts without it, and the node is opened again with
    /// growing pauses while other nodes wait for it.
    pub fn fail_fast(&self, yes: bool) {
        self.lock().fail_fast = yes;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    /// Begins a change: see [`Draft`].
    pub fn draft(&self) -> Draft {
        let state = self.lock();
        let mut draft = Draft::new(state.graph.clone(), state.capacity, state.version);
        if let Phase::Running(running) = &state.phase {
            draft.set_ended(running.ended());
        }
        draft
    }

    /// Applies a draft, as a whole or not at all. On a running network the new nodes are started, and
    /// attached to the running ones once all of them are open.
    ///
    /// # Errors
    /// A node that does not open; a network that changed since the draft was begun, or has ended.
    pub fn apply(&self, draft: Draft) -> Result<()> {
        self.apply_to(&mut self.lock(), draft)
    }

    fn apply_to(&self, state: &mut State, draft: Draft) -> Result<()> {
        let (mut graph, nodes, version) = draft.into_parts();
        if state.version != version {
            return Err(Error::data(
                "the network was changed while this draft was made",
            ));
        }
        match &mut state.phase {
            Phase::Built(built) => nodes.put_into(built, &graph),
            Phase::Running(running) => graph = running.change(graph, nodes)?,
            Phase::Ended => return Err(Error::data("the network has ended")),
            Phase::Simulated => return Err(Error::data("the network is being simulated")),
        }
        graph.forget_removed();
        state.graph = graph;
        state.version += 1;
        self.0.show_graph(&state.graph);
        Ok(())
    }

    /// Makes several changes at once: all of them, or none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tributary::{Network, pipeline::RateLimit, sink::Discarder};
    ///
    /// let network = Network::new();
    /// network.add_pipeline("limit", RateLimit::new(Duration::from_secs(2))?)?;
    /// network.add_sink("old", Discarder)?;
    /// network.link("limit", "old")?;
    /// network.change(|draft| {
    ///     draft.remove("old")?;
    ///     draft.replace("limit", RateLimit::new(Duration::from_secs(5))?)
    /// })?;
    /// # Ok::<(), tributary::Error>(())
    /// ```
    ///
    /// # Errors
    /// What `change` returns, and those of [`Network::apply`].
    pub fn change<T>(&self, change: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        let mut draft = self.draft();
        let made = change(&mut draft)?;
        self.apply(draft)?;
        Ok(made)
    }

    /// One change under the lock, so that those of several threads follow each other. No code of
    /// a user's may be called by it.
    fn change_by<T>(&self, change: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        let mut draft = Draft::new(state.graph.clone(), state.capacity, state.version);
        let made = change(&mut draft)?;
        self.apply_to(&mut state, draft)?;
        Ok(made)
    }

    /// What this draft changes of what belongs to a script.
    pub(crate) fn plan(&self, draft: &mut Draft, unit: &str) -> ChangePlan {
        let state = self.lock();
        let running = match &state.phase {
            Phase::Running(running) => Some(running),
            _ => None,
        };
        ChangePlan::of(&state.graph, draft, running, (unit, SystemClock.now()))
    }

    fn graph(&self) -> Graph {
        self.lock().graph.settled(|_| false)
    }
}
