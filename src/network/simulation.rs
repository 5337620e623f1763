//! A network under virtual time, on the calling thread.
//!
//! The same stages and workers as on threads, stepped in topological order (siblings in the order
//! in which they were made) with a clock that only [`Simulation::advance`] moves. Two runs of the
//! same network on the same input are equal to the byte.

use super::graph::Graph;
use super::runner::Kind;
use super::running::{NewNode, Running};
use super::stats::{Stats, add};
use super::worker::{Handful, Step, Worker};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::event::{Batch, Event};
use crate::node::Frame;
use crate::payload::Payload;
use crate::time::{Clock, ManualClock, Timestamp};
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
    workers: Vec<Option<Worker>>,
    order: Vec<usize>,
}

impl Simulation {
    pub(crate) fn new(graph: Graph, nodes: Vec<NewNode>, start: Timestamp) -> Result<Self> {
        let clock = Arc::new(ManualClock::new(start));
        let mut running = Running::new(clock.clone(), false)?;
        let fragment = running.build(&graph, nodes);
        let mut workers = running.adopt(fragment)?;
        for worker in &mut workers {
            worker.stage.open()?;
        }
        let order = graph.order();
        let workers = workers.into_iter().map(Some).collect();
        let mut simulation = Simulation {
            graph,
            running,
            clock,
            workers,
            order,
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
        let Some(at) = self.graph.find(node) else {
            let names = self.graph.nodes.iter().map(|node| node.name.as_str());
            return Err(Error::data(format!("no node {}", quote(node)))
                .with_hint_opt(did_you_mean(node, names)));
        };
        let Some(worker) = &mut self.workers[at] else {
            return Err(Error::data(format!("node {} has ended", quote(node))));
        };
        worker.inject(Batch::from_iter([event]));
        self.run();
        Ok(())
    }

    /// Moves the clock on, from wake to wake, letting everything happen at its instant.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now().after(by);
        while let Some(next) = self.next_wake().filter(|next| *next <= until) {
            self.clock.set(next.max(self.now()));
            if !self.run() {
                // Somebody names an instant that has passed and does nothing about it.
                break;
            }
        }
        self.clock.set(until);
        self.run();
    }

    /// Sets the clock, forward or back, as an administrator might; what is due then happens.
    pub fn set_clock(&mut self, now: Timestamp) {
        self.clock.set(now);
        self.run();
    }

    /// When something happens next without input.
    pub fn next_wake(&mut self) -> Option<Timestamp> {
        self.workers
            .iter_mut()
            .flatten()
            .filter_map(Worker::next_wake)
            .min()
    }

    /// Stops the network as [`Network::stop`](super::Network::stop) does, and gives its account.
    ///
    /// # Errors
    /// The first node that failed.
    pub fn finish(mut self) -> Result<Stats> {
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

    /// Steps all nodes, each once a round, until nothing is left to do; says whether anything was.
    fn run(&mut self) -> bool {
        let mut any = false;
        loop {
            let mut busy = false;
            for &at in &self.order {
                match self.workers[at]
                    .as_mut()
                    .map(|worker| worker.step(Duration::ZERO))
                {
                    Some(Step::Busy) => busy = true,
                    Some(Step::Done) => {
                        self.workers[at] = None;
                        busy = true;
                    }
                    Some(Step::Idle) | None => {}
                }
            }
            if !busy {
                return any;
            }
            any = true;
        }
    }
}

impl Worker {
    /// Takes a batch that comes from outside the network.
    fn inject(&mut self, batch: Batch) {
        match self.stage.kind {
            Kind::Source => {
                add(&self.stage.account.emitted, batch.len() as u64);
                self.stage.outbox[usize::from(Frame::OUT)].append(batch);
                // A simulation's links have no bound, so nothing waits and nothing aborts.
                let _ = self.deliver();
            }
            Kind::Pipeline | Kind::Sink => self.receive(Handful { batch, input: None }),
        }
    }
}
