//! A network under virtual time, on the calling thread.
//!
//! The same stages and workers as on threads, stepped in topological order (siblings in the order
//! in which they were made) with a clock that only [`Simulation::advance`] moves. Two runs of the
//! same network on the same input are equal to the byte.

mod schedule;
mod simulated_worker;

pub(super) use schedule::Handle;

use super::graph::Graph;
use super::id::NodeId;
use super::limits::Limits;
use super::link::Capacity;
use super::runner::NodeKind;
use super::running::{NewNode, Running};
use super::stats::Stats;
use super::worker::Worker;
use super::{ChangePlan, Draft, Edge, NodeInfo};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::event::{Batch, Event};
use crate::payload::Payload;
use crate::time::{Clock, ManualClock, Timestamp};
use schedule::Schedule;
use std::sync::Arc;
use std::time::Duration;

/// A network that runs in virtual time.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use tributary::{Network, pipeline::RateLimit, sink, time::Timestamp};
///
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let network = Network::new();
/// network.add_pipeline("limit", RateLimit::new(Duration::from_secs(2))?)?;
/// network.add_sink("seen", sink::collect(&seen))?;
/// network.link("limit", "seen")?;
///
/// let mut simulation = network.simulate(Timestamp::from_secs(0))?;
/// for second in 0..5 {
///     simulation.inject("limit", second.to_string())?;
///     simulation.advance(Duration::from_secs(1));
/// }
/// let seen: Vec<_> = seen.lock().unwrap().iter().map(|e| e.payload().clone()).collect();
/// assert_eq!(seen, ["0".into(), "2".into(), "4".into()]);
/// # Ok::<(), tributary::Error>(())
/// ```
pub struct Simulation {
    graph: Graph,
    running: Running,
    clock: Arc<ManualClock>,
    schedule: Schedule,
    /// How many messages had been sent to all nodes when that was last looked at.
    broadcasts: u64,
}

opaque_debug!(Simulation);

impl Simulation {
    pub(crate) fn new(
        graph: Graph,
        nodes: Vec<NewNode>,
        start: Timestamp,
        limits: Limits,
    ) -> Result<Self> {
        let clock = Arc::new(ManualClock::new(start));
        let mut running = Running::new(clock.clone(), false, limits)?;
        let fragment = running.build(&graph, nodes, Vec::new());
        let mut workers = running.adopt(fragment, &mut || {})?;
        for (id, worker) in &mut workers {
            let opened = worker.open();
            opened.map_err(|error| error.at_opt(graph.node(*id).place.clone()))?;
        }
        let schedule = Schedule::new(&graph, workers);
        let mut simulation = Simulation {
            graph,
            running,
            clock,
            schedule,
            broadcasts: 0,
        };
        simulation.run();
        Ok(simulation)
    }

    /// The instant it is now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Changes the network, as [`Network::change`](super::Network::change) does, at this moment: no time
    /// passes meanwhile.
    ///
    /// # Errors
    /// What `change` returns; a node that does not open; one that waits for an outcome that would come later
    /// only. Then the network is as before.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
        let mut draft = self.draft();
        let made = change(&mut draft)?;
        self.apply(draft)?;
        Ok(made)
    }

    /// All nodes, as they are now.
    pub(crate) fn nodes(&self) -> Vec<NodeInfo> {
        self.graph.nodes().map(|(_, node)| node.clone()).collect()
    }

    /// All links, as they are now.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        self.graph.edges().map(|(_, edge)| edge.clone()).collect()
    }

    pub(crate) fn draft(&self) -> Draft {
        Draft::new(self.graph.clone(), Capacity::default(), 0)
    }

    /// What this draft changes of what belongs to a script.
    pub(crate) fn plan(&self, draft: &mut Draft, unit: &str) -> ChangePlan {
        ChangePlan::of(&self.graph, draft, Some(&self.running), (unit, self.now()))
    }

    pub(crate) fn apply(&mut self, draft: Draft) -> Result<()> {
        let (graph, nodes, _) = draft.into_parts();
        let (mut graph, mut fragment) = self.running.plan(graph, nodes)?;
        for (id, worker) in &mut fragment.workers {
            let opened = worker.open();
            opened.map_err(|error| error.at_opt(graph.node(*id).place.clone()))?;
        }
        let (schedule, clock) = (&mut self.schedule, &self.clock);
        let workers = self.running.adopt(fragment, &mut || {
            schedule.rouse_all();
            while schedule.step(clock.now()) {}
        });
        graph.forget_removed();
        if let Ok(workers) = workers {
            self.schedule.change(&graph, workers);
            self.graph = graph;
            self.schedule.rouse_all();
            self.run();
            return Ok(());
        }
        // What was paused goes on.
        self.schedule.rouse_all();
        self.run();
        workers.map(drop)
    }

    /// Injects an event of this moment into a node (a source sends it as if it had read it), and runs
    /// the network until nothing is left to do at this moment.
    ///
    /// # Errors
    /// A node that does not exist or has ended.
    pub fn inject(&mut self, node: &str, payload: impl Into<Payload>) -> Result<()> {
        let event = Event::new(payload, self.now());
        self.inject_event(node, event)
    }

    /// The same for an event with a time and meta of its own.
    ///
    /// # Errors
    /// A node that does not exist or has ended.
    pub fn inject_event(&mut self, node: &str, event: Event) -> Result<()> {
        self.inject_batch(node, Batch::from_iter([event]))
    }

    /// The same for several events, which the node gets as one batch.
    ///
    /// # Errors
    /// A node that does not exist or has ended.
    pub fn inject_batch(&mut self, node: &str, batch: Batch) -> Result<()> {
        let handle = self.schedule.handle(self.find(node)?);
        let Some(worker) = self.schedule.get(handle) else {
            return Err(Error::data(format!("node {} has ended", quote(node))));
        };
        worker.inject(batch);
        self.schedule.rouse_after(handle);
        self.run();
        Ok(())
    }

    /// Ends a source as if it had read to its end: its links end, and so do the nodes that they lead to.
    /// One that has ended already stays so.
    ///
    /// # Errors
    /// A node that does not exist or is no source.
    pub fn end_source(&mut self, node: &str) -> Result<()> {
        let id = self.find(node)?;
        if self.graph.node(id).kind != NodeKind::Source {
            return Err(Error::data(format!("node {} is no source", quote(node))));
        }
        self.end(self.handle(id));
        Ok(())
    }

    fn find(&self, node: &str) -> Result<NodeId> {
        self.graph.find(node).ok_or_else(|| {
            let names = self.graph.nodes().map(|(_, node)| node.name.as_str());
            Error::data(format!("no node {}", quote(node))).with_hint_opt(did_you_mean(node, names))
        })
    }

    /// The handle of a node of the network.
    pub(super) fn handle(&self, id: NodeId) -> Handle {
        self.schedule.handle(id)
    }

    /// Ends this source.
    pub(super) fn end(&mut self, source: Handle) {
        if let Some(node) = self.schedule.get(source) {
            node.worker.exhaust();
            self.run();
        }
    }

    /// Sends an event of this moment from this source, as if it had read it; false where the source
    /// has ended.
    pub(super) fn send(&mut self, source: Handle, port: u16, event: Event) -> bool {
        let event = self.of_now(event);
        self.emit(source, |worker| worker.stage.emit(port, event))
    }

    /// Refuses an event that this source has read; false where the source has ended.
    pub(super) fn refuse(&mut self, source: Handle, event: Event, error: &Error) -> bool {
        let event = self.of_now(event);
        self.emit(source, |worker| worker.stage.refuse(event, error))
    }

    fn of_now(&self, event: Event) -> Event {
        let (payload, _, meta, ack) = event.into_parts();
        Event::from_parts(payload, self.now(), meta, ack)
    }

    fn emit(&mut self, source: Handle, emit: impl FnOnce(&mut Worker)) -> bool {
        let node = self.schedule.get(source);
        let Some(node) = node.filter(|node| node.worker.works()) else {
            return false;
        };
        emit(&mut node.worker);
        // A simulation's links have no bound, so nothing waits and nothing aborts.
        let _ = node.worker.deliver();
        self.schedule.rouse_after(source);
        self.run();
        true
    }

    /// Moves the clock on, from wake to wake, letting everything happen at its instant.
    pub fn advance(&mut self, by: Duration) {
        self.advance_to(self.now().saturating_add(by));
    }

    /// The same up to this instant; one that has passed leaves the clock where it is.
    pub fn advance_to(&mut self, until: Timestamp) {
        while let Some(next) = self.next_wake().filter(|next| *next <= until) {
            self.clock.set(next.max(self.now()));
            if !self.run() {
                // A node asks for an instant that has passed and does nothing then.
                break;
            }
        }
        self.clock.set(until.max(self.now()));
        self.run();
    }

    /// Sets the clock, forward or back, as an administrator might; what is due then happens.
    pub fn set_clock(&mut self, now: Timestamp) {
        self.clock.set(now);
        // A worker that looks only at what is due does not notice a clock that goes back.
        self.schedule.rouse_all();
        self.run();
    }

    /// When something happens next without input.
    pub fn next_wake(&mut self) -> Option<Timestamp> {
        self.schedule.next_wake()
    }

    /// Stops the network as [`Network::stop`](super::Network::stop) does, and gives its account.
    ///
    /// # Errors
    /// The first node that failed.
    pub fn finish(mut self) -> Result<Stats> {
        self.finish_nodes()
    }

    /// The same, and one line about what was lost, as a run has it.
    pub(super) fn finish_as_a_run(mut self) -> Result<Stats> {
        let ended = self.finish_nodes();
        self.schedule.clear();
        self.running.log_losses();
        ended
    }

    fn finish_nodes(&mut self) -> Result<Stats> {
        let end = self.running.end();
        end.request();
        self.run();
        // What still waits for an outcome that cannot come any more is let go.
        end.abort();
        self.run();
        let stats = self.stats();
        end.failure().map_or(Ok(stats), Err)
    }

    /// The account of every event so far.
    pub fn stats(&self) -> Stats {
        self.running.stats(&self.graph)
    }

    /// Steps all nodes that may have something to do, each once a round, until nothing is left;
    /// returns whether anything was done.
    fn run(&mut self) -> bool {
        let mut any = false;
        loop {
            let broadcasts = self.running.broadcasts();
            if std::mem::replace(&mut self.broadcasts, broadcasts) != broadcasts {
                self.schedule.rouse_all();
            }
            if !self.schedule.step(self.clock.now()) {
                return any;
            }
            any = true;
        }
    }
}
