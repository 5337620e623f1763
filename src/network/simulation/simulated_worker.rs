//! A worker in a simulation, and whether a step of it would do anything.
//!
//! After a step that did nothing, only input, a due instant, a message to all nodes or a clock that is
//! set back changes that. So an idle node costs a check and not a step: a network of a hundred nodes is
//! not a hundred times slower where an event passes three of them.

use crate::event::Batch;
use crate::network::runner::NodeKind;
use crate::network::worker::{InputBatch, Step, Worker};
use crate::node::Frame;
use crate::time::Timestamp;
use std::time::Duration;

/// A worker in a simulation.
pub(super) struct SimulatedWorker {
    pub worker: Worker,
    /// A step would do nothing, as far as can be seen here.
    pub quiet: bool,
    /// Its next wake when it became quiet.
    pub wake: Option<Timestamp>,
}

impl SimulatedWorker {
    pub fn new(worker: Worker) -> Self {
        SimulatedWorker {
            worker,
            quiet: false,
            wake: None,
        }
    }

    pub fn step(&mut self, now: Timestamp) -> Step {
        let due = self.wake.is_some_and(|at| at <= now);
        if self.quiet && !due && !self.worker.has_news() {
            return Step::Idle;
        }
        let step = self.worker.step(Duration::ZERO);
        self.quiet = step == Step::Idle;
        if self.quiet {
            self.wake = self.worker.next_wake();
        }
        step
    }

    /// Takes a batch that comes from outside the network.
    pub fn inject(&mut self, batch: Batch) {
        self.quiet = false;
        match self.worker.stage.kind {
            NodeKind::Source => {
                self.worker.stage.emit_batch(Frame::OUT, batch);
                // A simulation's links have no bound, so nothing waits and nothing aborts.
                let _ = self.worker.deliver();
            }
            NodeKind::Pipeline | NodeKind::Sink => self.worker.receive(InputBatch {
                batch,
                input: None,
                tried: 0,
            }),
        }
    }
}
