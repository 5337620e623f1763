//! A network under virtual time, on the calling thread.
//!
//! The same stages and workers as on threads, stepped in topological order (siblings in the order
//! in which they were made) with a clock that only [`Simulation::advance`] moves. Two runs of the
//! same network on the same input are equal to the byte.

mod simulated_worker;

use super::graph::Graph;
use super::runner::Kind;
use super::running::{Limits, NewNode, Running};
use super::stats::Stats;
use super::worker::{Step, Worker};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::event::{Batch, Event};
use crate::payload::Payload;
use crate::time::{Clock, ManualClock, Timestamp};
use simulated_worker::SimulatedWorker;
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
    workers: Vec<Option<SimulatedWorker>>,
    /// The nodes that a node's links lead to.
    leads_to: Vec<Vec<usize>>,
    order: Vec<usize>,
    /// How often everybody had been told something when that was last looked at.
    told: u64,
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
        let fragment = running.build(&graph, nodes);
        let mut workers = running.adopt(fragment)?;
        for (worker, node) in workers.iter_mut().zip(&graph.nodes) {
            let opened = worker.open();
            opened.map_err(|error| error.at_opt(node.place.clone()))?;
        }
        let order = graph.order();
        let workers = workers
            .into_iter()
            .map(SimulatedWorker::new)
            .map(Some)
            .collect();
        let mut leads_to = vec![Vec::new(); graph.nodes.len()];
        for edge in &graph.edges {
            let ends = [&edge.from.node, &edge.to].map(|name| graph.find(name.as_str()));
            if let [Some(from), Some(to)] = ends {
                leads_to[from].push(to);
            }
        }
        let mut simulation = Simulation {
            graph,
            running,
            clock,
            workers,
            leads_to,
            order,
            told: 0,
        };
        simulation.run();
        Ok(simulation)
    }

    /// The instant it is now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Hands an event of this moment to a node (a source sends it as if it had read it), and lets
    /// everything follow that follows without time passing.
    ///
    /// # Errors
    /// A node that does not exist or has ended.
    pub fn inject(&mut self, node: &str, payload: impl Into<Payload>) -> Result<()> {
        let event = Event::new(payload, self.now());
        self.inject_event(node, event)
    }

    /// The same for an event that was made elsewhere.
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
        let at = self.find(node)?;
        let Some(worker) = &mut self.workers[at] else {
            return Err(Error::data(format!("node {} has ended", quote(node))));
        };
        worker.inject(batch);
        self.stir_after(at);
        self.run();
        Ok(())
    }

    /// Ends a source as if it had read to its end: its links end, and whoever it leads to is told.
    /// One that has ended already stays so.
    ///
    /// # Errors
    /// A node that does not exist or is no source.
    pub fn end_source(&mut self, node: &str) -> Result<()> {
        let at = self.find(node)?;
        if self.graph.nodes[at].kind != Kind::Source {
            return Err(Error::data(format!("node {} is no source", quote(node))));
        }
        self.end_at(at);
        Ok(())
    }

    fn find(&self, node: &str) -> Result<usize> {
        self.graph.find(node).ok_or_else(|| {
            let names = self.graph.nodes.iter().map(|node| node.name.as_str());
            Error::data(format!("no node {}", quote(node))).with_hint_opt(did_you_mean(node, names))
        })
    }

    /// The source at this place ends.
    pub(super) fn end_at(&mut self, at: usize) {
        if let Some(node) = &mut self.workers[at] {
            node.worker.exhaust();
            self.run();
        }
    }

    /// The source at this place sends an event of this moment, as if it had read it; false where
    /// it has ended.
    pub(super) fn send(&mut self, at: usize, port: u16, event: Event) -> bool {
        let event = self.of_now(event);
        self.emit(at, |worker| worker.stage.leave(port, event))
    }

    /// The source at this place refuses an event that it has read; false where it has ended.
    pub(super) fn refuse(&mut self, at: usize, event: Event, error: &Error) -> bool {
        let event = self.of_now(event);
        self.emit(at, |worker| worker.stage.refuse(event, error))
    }

    fn of_now(&self, event: Event) -> Event {
        let (payload, _, meta, ack) = event.into_parts();
        Event::from_parts(payload, self.now(), meta, ack)
    }

    fn emit(&mut self, at: usize, emit: impl FnOnce(&mut Worker)) -> bool {
        let Some(node) = self.workers[at].as_mut().filter(|node| node.worker.works()) else {
            return false;
        };
        emit(&mut node.worker);
        // A simulation's links have no bound, so nothing waits and nothing aborts.
        let _ = node.worker.deliver();
        self.stir_after(at);
        self.run();
        true
    }

    /// Moves the clock on, from wake to wake, letting everything happen at its instant.
    pub fn advance(&mut self, by: Duration) {
        self.advance_to(self.now().after(by));
    }

    /// The same up to this instant; one that has passed leaves the clock where it is.
    pub fn advance_to(&mut self, until: Timestamp) {
        while let Some(next) = self.next_wake().filter(|next| *next <= until) {
            self.clock.set(next.max(self.now()));
            if !self.run() {
                // Somebody names an instant that has passed and does nothing about it.
                break;
            }
        }
        self.clock.set(until.max(self.now()));
        self.run();
    }

    /// Sets the clock, forward or back, as an administrator might; what is due then happens.
    pub fn set_clock(&mut self, now: Timestamp) {
        self.clock.set(now);
        // A clock that goes back is noticed by nobody who looks only at what has become due.
        self.stir_all();
        self.run();
    }

    fn stir_all(&mut self) {
        let workers = self.workers.iter_mut().flatten();
        workers.for_each(|worker| worker.quiet = false);
    }

    /// Something may wait in the links that lead from here, or they may have ended.
    fn stir_after(&mut self, at: usize) {
        for &to in &self.leads_to[at] {
            if let Some(worker) = &mut self.workers[to] {
                worker.quiet = false;
            }
        }
    }

    /// When something happens next without input.
    pub fn next_wake(&mut self) -> Option<Timestamp> {
        let workers = self.workers.iter().flatten();
        workers.filter_map(|worker| worker.wake).min()
    }

    /// Stops the network as [`Network::stop`](super::Network::stop) does, and gives its account.
    ///
    /// # Errors
    /// The first node that failed.
    pub fn finish(mut self) -> Result<Stats> {
        self.end()
    }

    /// The same, and one line about what was lost, as a run has it.
    pub(super) fn finish_as_a_run(mut self) -> Result<Stats> {
        let ended = self.end();
        self.workers.clear();
        self.running.log_losses();
        ended
    }

    fn end(&mut self) -> Result<Stats> {
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
    /// says whether anything was.
    fn run(&mut self) -> bool {
        let mut any = false;
        loop {
            let mut busy = false;
            let now = self.clock.now();
            let told = self.running.told();
            if std::mem::replace(&mut self.told, told) != told {
                self.stir_all();
            }
            for turn in 0..self.order.len() {
                let at = self.order[turn];
                let Some(worker) = &mut self.workers[at] else {
                    continue;
                };
                let step = worker.step(now);
                if step != Step::Idle {
                    busy = true;
                    self.stir_after(at);
                }
                if step == Step::Done {
                    self.workers[at] = None;
                }
            }
            if !busy {
                return any;
            }
            any = true;
        }
    }
}
