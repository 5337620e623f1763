//! The workers of a simulation in topological order, and which of them are to be stepped.

use super::simulated_worker::SimulatedWorker;
use crate::network::graph::Graph;
use crate::network::id::NodeId;
use crate::network::worker::{Step, Worker};
use crate::time::Timestamp;
use std::collections::HashMap;

/// Finds a worker in its [`Schedule`], without a lookup by id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handle(usize);

struct Slot {
    /// `None` once the node has ended.
    worker: Option<SimulatedWorker>,
    /// The nodes that its links lead to.
    leads_to: Vec<Handle>,
}

pub(super) struct Schedule {
    /// In topological order.
    slots: Vec<Slot>,
    handles: HashMap<NodeId, Handle>,
}

impl Schedule {
    pub fn new(graph: &Graph, workers: Vec<(NodeId, Worker)>) -> Self {
        let workers = workers.into_iter();
        let workers = workers.map(|(id, worker)| (id, SimulatedWorker::new(worker)));
        Self::of(graph, workers.collect())
    }

    /// The network was changed: these workers were added, and some nodes may have been removed. Those come
    /// first until they have ended. Handles are no longer valid.
    pub fn change(&mut self, graph: &Graph, added: Vec<(NodeId, Worker)>) {
        let mut workers: HashMap<NodeId, SimulatedWorker> = HashMap::new();
        for (id, handle) in &self.handles {
            if let Some(worker) = self.slots[handle.0].worker.take() {
                workers.insert(*id, worker);
            }
        }
        let added = added.into_iter();
        workers.extend(added.map(|(id, worker)| (id, SimulatedWorker::new(worker))));
        *self = Self::of(graph, workers);
    }

    fn of(graph: &Graph, mut workers: HashMap<NodeId, SimulatedWorker>) -> Self {
        let mut removed: Vec<NodeId> = workers.keys().copied().collect();
        removed.retain(|id| !graph.has_node(*id));
        removed.sort_unstable();
        let order: Vec<NodeId> = removed.iter().copied().chain(graph.order()).collect();
        let handles = order.iter().enumerate();
        let handles = handles.map(|(index, id)| (*id, Handle(index))).collect();
        let slots = order.iter().map(|id| Slot {
            worker: workers.remove(id),
            leads_to: Vec::new(),
        });
        let mut schedule = Schedule {
            slots: slots.collect(),
            handles,
        };
        let all = || (0..order.len()).map(Handle);
        for id in removed {
            // Where its links led is not known any more.
            let from = schedule.handle(id);
            schedule.slots[from.0].leads_to.extend(all());
        }
        for (_, edge) in graph.edges() {
            let (from, to) = (schedule.handle(edge.source), schedule.handle(edge.target));
            schedule.slots[from.0].leads_to.push(to);
        }
        schedule
    }

    /// The handle of a node of the graph.
    pub fn handle(&self, id: NodeId) -> Handle {
        self.handles[&id]
    }

    /// The worker, unless its node has ended.
    pub fn get(&mut self, handle: Handle) -> Option<&mut SimulatedWorker> {
        self.slots[handle.0].worker.as_mut()
    }

    fn workers(&mut self) -> impl Iterator<Item = &mut SimulatedWorker> {
        self.slots
            .iter_mut()
            .filter_map(|slot| slot.worker.as_mut())
    }

    /// Every worker may have something to do.
    pub fn rouse_all(&mut self) {
        self.workers().for_each(|worker| worker.quiet = false);
    }

    /// Something may wait in the links that lead from here, or they may have ended.
    pub fn rouse_after(&mut self, handle: Handle) {
        for index in 0..self.slots[handle.0].leads_to.len() {
            let to = self.slots[handle.0].leads_to[index];
            if let Some(worker) = self.get(to) {
                worker.quiet = false;
            }
        }
    }

    /// When something happens next without input.
    pub fn next_wake(&mut self) -> Option<Timestamp> {
        self.workers().filter_map(|worker| worker.wake).min()
    }

    /// Steps each worker that may have something to do, once; returns whether any had.
    pub fn step(&mut self, now: Timestamp) -> bool {
        let mut busy = false;
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            let Some(worker) = &mut slot.worker else {
                continue;
            };
            let step = worker.step(now);
            if step == Step::Done {
                slot.worker = None;
            }
            if step != Step::Idle {
                busy = true;
                self.rouse_after(Handle(index));
            }
        }
        busy
    }

    /// Ends all nodes.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.worker = None);
    }
}
