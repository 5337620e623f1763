//! Networks: nodes by name, joined by links, built from Rust or from Lua, changed while they run.
//!
//! The parts: `graph` (what is joined to what, and what makes a link wrong), `verbs` (building it),
//! `runner` (a node of any kind), `stage` (feeds one batch to one node: the only place that settles
//! acks), `link` (bounded channels of batches), `ways` (where the events of a port go),
//! `worker` (drives a stage from its links), `timer` (wakes nodes), `watchdog` (gives up on calls that do not return), `running` (threads and how
//! they end), `simulation` (the same without threads, in virtual time), `replay` (recorded events that
//! drive it), `stats` (the account), `losses` (what
//! nobody listened to, for one line at the end),
//! `on_error` (what is done about rejected events), `draft` (changes, taken as a whole or not at all), `handles` (what can be linked to what), `drawing` (pictures).
//!
//! Only this module knows threads and channels. To add a node, see [`crate::node`]; nothing here
//! changes for it.

mod control;
mod draft;
mod drawing;
mod graph;
mod handles;
mod id;
mod limits;
mod link;
mod losses;
mod members;
mod on_error;
mod panics;
mod replay;
mod routes;
mod runner;
mod running;
mod simulation;
mod stage;
mod stats;
mod stats_handle;
mod timer;
mod verbs;
mod watchdog;
mod worker;

pub use draft::Draft;
pub use drawing::Format;
pub use graph::{Edge, NodeInfo, Unlinked};
pub use handles::{PipelineNode, Port, Receives, Sends, SinkNode, SourceNode};
pub use limits::STOP_LIMIT;
#[doc(hidden)]
pub use link::spilled;
pub use link::{Capacity, LinkOptions, Overflow, Spill};
pub use on_error::OnError;
pub use replay::{InjectedSource, Replay, Replaying};
pub use runner::Kind;
pub use simulation::Simulation;
pub use stats::{LinkStats, NodeStats, Stats};
pub(crate) use stats_handle::StatsHandle;
pub(crate) use watchdog::Pulse;
pub use watchdog::on_overrun;

use crate::error::{Error, ErrorKind, Result};
use crate::time::{SystemClock, Timestamp};
use graph::Graph;
use id::NodeId;
use limits::Limits;
use parking_lot::{Mutex, MutexGuard};
use running::{End, NewNode, Running};
use std::sync::Arc;
use std::time::Duration;

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
    /// How to end what runs, at hand while the state is locked (nodes that open may take long).
    end: Mutex<Option<End>>,
}

struct State {
    graph: Graph,
    /// Counts the changes, so that a draft notices that it was overtaken.
    version: u64,
    capacity: Capacity,
    limits: Limits,
    fail_fast: bool,
    phase: Phase,
}

enum Phase {
    Built(Vec<NewNode>),
    Running(Running),
    Ended(Stats),
    Simulated,
}

impl State {
    fn lock_files(&mut self) -> Result<()> {
        match &mut self.phase {
            Phase::Built(nodes) => running::lock(&self.graph, nodes),
            _ => Ok(()),
        }
    }
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

    /// An empty network whose links have this capacity unless they are told otherwise.
    ///
    /// # Errors
    /// A capacity out of range.
    pub fn with_capacity(capacity: Capacity) -> Result<Self> {
        let network = Network::default();
        network.lock().capacity = capacity.check()?;
        Ok(network)
    }

    /// Has [`start`](Self::start) fail where a node cannot be opened yet (a broker that is down,
    /// say). Otherwise the network starts without it, and the node is opened again with growing
    /// pauses while others wait for it.
    pub fn fail_fast(&self, yes: bool) {
        self.lock().fail_fast = yes;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    /// Begins a change: see [`Draft`].
    pub fn draft(&self) -> Draft {
        let state = self.lock();
        Draft::new(state.graph.clone(), state.capacity, state.version)
    }

    /// Takes a draft in, as a whole or not at all. On a running network the new nodes are started,
    /// and only when each has opened are they attached to those that run.
    ///
    /// # Errors
    /// A node that does not open; a network that changed since the draft was begun, or has ended.
    pub fn apply(&self, draft: Draft) -> Result<()> {
        Self::take_in(&mut self.lock(), draft)
    }

    fn take_in(state: &mut State, draft: Draft) -> Result<()> {
        let (mut graph, mut nodes, version) = draft.into_parts();
        if state.version != version {
            return Err(Error::data(
                "the network was changed while this draft was made",
            ));
        }
        match &mut state.phase {
            Phase::Built(built) => built.extend(nodes),
            Phase::Running(running) => {
                let has_ended = |id: NodeId| running.has_ended(id);
                graph = graph.settled(has_ended);
                for (id, edge) in graph.edges() {
                    let ended = [edge.source, edge.target]
                        .into_iter()
                        .find(|n| has_ended(*n));
                    if let Some(ended) = ended.filter(|_| !running.has_link(id)) {
                        let name = &graph.node(ended).name;
                        return Err(Error::data(format!("link {edge}: node {name} has ended")));
                    }
                }
                running::lock(&graph, &mut nodes)?;
                let fragment = running.build(&graph, nodes);
                running.launch(fragment, &mut || true)?;
            }
            Phase::Ended(_) => return Err(Error::data("the network has ended")),
            Phase::Simulated => return Err(Error::data("the network is being simulated")),
        }
        state.graph = graph;
        state.version += 1;
        Ok(())
    }

    /// Makes several changes at once: all of them, or none.
    ///
    /// # Errors
    /// What `change` returns, and those of [`Network::apply`].
    pub fn extend<T>(&self, change: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        let mut draft = self.draft();
        let made = change(&mut draft)?;
        self.apply(draft)?;
        Ok(made)
    }

    /// One change under the lock, so that those of several threads follow each other. No code of
    /// a user's may be called by it.
    fn change<T>(&self, change: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        let mut draft = Draft::new(state.graph.clone(), state.capacity, state.version);
        let made = change(&mut draft)?;
        Self::take_in(&mut state, draft)?;
        Ok(made)
    }

    /// Locks the files that nodes of a network that was not started [claim](crate::Node::claims): all of
    /// them, or none. [`start`](Self::start) does so too; this is for callers that wait for the locks. A
    /// network that is dropped releases them.
    ///
    /// # Errors
    /// A file that is in use ([`ErrorKind::Locked`]), or whose lock file cannot be made.
    pub fn lock_files(&self) -> Result<()> {
        self.lock().lock_files()
    }

    /// Starts a thread for each node, waits until each has opened, and lets the sources begin. A
    /// node that may be opened later is opened later, see [`fail_fast`](Self::fail_fast).
    ///
    /// # Errors
    /// A file that is in use ([`ErrorKind::Locked`]): then nothing was opened, and the network may be
    /// started once more. A node that does not open otherwise: then every thread has ended again, and the network may be
    /// started once more only if it is built again. A second start, a start after the end.
    pub fn start(&self) -> Result<()> {
        self.start_while(|| true)
    }

    /// The same, for a start that can be stopped: while nodes open, `go_on` is called every 50 ms, and
    /// where it returns false the start ends.
    ///
    /// # Errors
    /// Those of [`start`](Self::start), and [`ErrorKind::Closed`] for a start that was stopped. A node that is
    /// still opening then is left behind, until its attempt is over.
    pub fn start_while(&self, mut go_on: impl FnMut() -> bool) -> Result<()> {
        let mut state = self.lock();
        state.lock_files()?;
        let nodes = match &mut state.phase {
            Phase::Built(nodes) => std::mem::take(nodes),
            Phase::Running(_) => return Err(Error::data("the network is running already")),
            Phase::Ended(_) => {
                return Err(Error::data(
                    "the network has ended and does not start again",
                ));
            }
            Phase::Simulated => return Err(Error::data("the network is being simulated")),
        };
        let settled = state.graph.settled(|_| false);
        if settled.edges().count() > state.graph.edges().count() {
            // A draft begun before lacks these links.
            state.version += 1;
        }
        state.graph = settled;
        for unlinked in state.graph.unlinked() {
            log::warn!("{unlinked}");
        }
        let mut running = Running::new(Arc::new(SystemClock), true, state.limits)?;
        running.fail_fast = state.fail_fast;
        *self.0.end.lock() = Some(running.end());
        let fragment = running.build(&state.graph, nodes);
        let launched = running.launch(fragment, &mut go_on);
        if launched.is_err() {
            *self.0.end.lock() = None;
            state.phase = Phase::Ended(Stats::default());
            return launched;
        }
        state.phase = Phase::Running(running);
        Ok(())
    }

    /// Turns the network into a simulation that starts at this instant.
    ///
    /// # Errors
    /// A node that does not open; a network that was started.
    pub fn simulate(&self, start: Timestamp) -> Result<Simulation> {
        let mut state = self.lock();
        state.lock_files()?;
        let Phase::Built(nodes) = &mut state.phase else {
            return Err(Error::data(
                "only a network that was not started can be simulated",
            ));
        };
        let nodes = std::mem::take(nodes);
        state.phase = Phase::Simulated;
        state.graph = state.graph.settled(|_| false);
        Simulation::new(state.graph.clone(), nodes, start, state.limits)
    }

    fn graph(&self) -> Graph {
        self.lock().graph.settled(|_| false)
    }

    fn end(&self) -> Option<End> {
        self.0.end.lock().clone()
    }

    /// Asks the network to stop and returns at once: for signal handlers and for nodes.
    pub fn request_stop(&self) {
        if let Some(end) = self.end() {
            end.request();
        }
    }

    /// Stops within [`STOP_LIMIT`]: sources stop reading, what they sent drains, threads are
    /// joined. A second stop, and a stop before the start, do nothing. Called by a node's own code
    /// it only asks, as [`Network::request_stop`] does.
    ///
    /// # Errors
    /// See [`Network::stop_within`].
    pub fn stop(&self) -> Result<()> {
        self.stop_within(STOP_LIMIT)
    }

    /// Stops within this time; what has not drained by then is aborted.
    ///
    /// # Errors
    /// [`ErrorKind::DrainTimeout`], which names the nodes that had not drained, with what they had in
    /// hand, the links in which something waited, and those nodes whose threads had to be left behind; the first node that had failed.
    pub fn stop_within(&self, limit: Duration) -> Result<()> {
        let Some(end) = self.end() else { return Ok(()) };
        let stopped = end.stop(limit);
        match end.is_own_node() {
            true => stopped,
            false => self.close(stopped),
        }
    }

    /// Aborts what has not drained since [`request_stop`](Self::request_stop), for who has waited so
    /// long himself.
    ///
    /// # Errors
    /// Those of [`Network::stop_within`], where something had not drained.
    pub fn give_up(&self, waited: Duration) -> Result<()> {
        let Some(end) = self.end() else { return Ok(()) };
        let ended = end.give_up(waited);
        match end.is_own_node() {
            true => ended,
            false => self.close(ended),
        }
    }

    /// Ends the network at once: what is under way counts as failed.
    pub fn abort(&self) {
        if let Some(end) = self.end() {
            end.abort();
        }
    }

    /// Waits until the network has ended: by itself, when its sources have, or because somebody
    /// stopped it.
    ///
    /// # Errors
    /// The first node that had failed. Called by a node's own code: it would wait for itself.
    pub fn wait(&self) -> Result<()> {
        let Some(end) = self.end() else { return Ok(()) };
        let waited = end.wait();
        match end.is_own_node() {
            true => waited,
            false => self.close(waited),
        }
    }

    /// Waits at most so long until the network has ended; `None` when it has not.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Result<()>> {
        match self.end() {
            None => Some(Ok(())),
            Some(end) => end.wait_timeout(limit).map(|ended| self.close(ended)),
        }
    }

    /// Every node has ended, or was left behind: checks the account and keeps it.
    fn close(&self, ended: Result<()>) -> Result<()> {
        let mut state = self.lock();
        let State { phase, graph, .. } = &mut *state;
        let Phase::Running(running) = phase else {
            return ended;
        };
        if !running.all_ended() && ended.is_ok() {
            // It was extended since.
            return ended;
        }
        let aborted = running.end().was_aborted();
        let stats = running.stats(graph);
        running.log_losses();
        running.join_timer();
        let breaches = stats.breaches();
        *phase = Phase::Ended(stats);
        *self.0.end.lock() = None;
        if ended.is_ok() && !aborted && !breaches.is_empty() {
            let message = format!("the account does not balance: {}", breaches.join("; "));
            log::error!("{message}");
            return Err(Error::new(ErrorKind::Failed, message));
        }
        ended
    }

    /// The account of every event, up to now.
    pub fn stats(&self) -> Stats {
        let state = self.lock();
        match &state.phase {
            Phase::Running(running) => running.stats(&state.graph),
            Phase::Ended(stats) => stats.clone(),
            Phase::Built(_) | Phase::Simulated => Stats::default(),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Phase::Running(running) = &mut self.state.get_mut().phase {
            if let Err(error) = running.end().stop(STOP_LIMIT) {
                log::error!("{error}");
            }
            running.log_losses();
            running.join_timer();
        }
    }
}
