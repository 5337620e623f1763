//! A running network: its threads, how it ends, and what is left behind where it cannot end otherwise.

mod build;
mod end;
mod fragment;
mod launch;
mod node_thread;
mod pause;
mod pauses;

pub(crate) use end::End;
pub(crate) use fragment::{NewNode, lock};
pub(crate) use node_thread::NodeThread;

use super::graph::Graph;
use super::id::{LinkId, NodeId};
use super::limits::Limits;
use super::members::Shared;
use super::stats::Stats;
use super::timer::Timer;
use crate::error::{Error, Result};
use crate::node::Outline;
use crate::time::Clock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// A running network.
pub(crate) struct Running {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    timer: Option<Timer>,
    timer_thread: Option<JoinHandle<()>>,
    /// How often an error policy had been given or removed when the nodes got theirs.
    policy_changes: u64,
    limits: Limits,
    /// Whether a node that cannot open yet, but may later, is a failure.
    pub fail_fast: bool,
}

impl Running {
    /// A network without nodes; `threads` is false in a simulation.
    pub fn new(clock: Arc<dyn Clock>, threads: bool, limits: Limits) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let (timer, timer_thread) = if threads {
            let (timer, thread) = Timer::start(clock.clone(), Arc::downgrade(&shared))
                .map_err(|error| Error::io("the timer thread does not start", &error))?;
            (Some(timer), Some(thread))
        } else {
            (None, None)
        };
        Ok(Running {
            shared,
            clock,
            timer,
            timer_thread,
            policy_changes: 0,
            limits,
            fail_fast: false,
        })
    }

    /// Whether this node has ended: nothing can be linked to it any more.
    pub fn has_ended(&self, id: NodeId) -> bool {
        self.shared
            .lock()
            .members
            .get(&id)
            .is_some_and(|member| member.closed || member.ended)
    }

    /// What a successor of this node would have to know of it.
    pub fn outline(&self, id: NodeId) -> Option<Outline> {
        let state = self.shared.lock();
        let member = state.members.get(&id)?;
        member.outline.lock().clone()
    }

    /// The nodes that have ended.
    pub fn ended(&self) -> BTreeSet<NodeId> {
        let state = self.shared.lock();
        let ended = state.members.iter();
        let ended = ended.filter(|(_, member)| member.closed || member.ended);
        ended.map(|(id, _)| *id).collect()
    }

    /// Whether this link runs already.
    pub fn has_link(&self, id: LinkId) -> bool {
        self.shared.lock().links.contains_key(&id)
    }

    pub fn all_ended(&self) -> bool {
        self.shared
            .lock()
            .members
            .values()
            .all(|member| member.ended)
    }

    /// How many messages were sent to all nodes together.
    pub fn broadcasts(&self) -> u64 {
        self.shared.broadcasts()
    }

    pub fn end(&self) -> End {
        End(self.shared.clone())
    }

    /// The account of a network with this graph.
    pub fn stats(&self, graph: &Graph) -> Stats {
        self.shared.stats(graph)
    }

    /// What the threads share, for those who look at it from outside.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// One line about the events that were rejected or dropped without a port being linked, where there
    /// are any.
    pub fn log_losses(&self) {
        let state = self.shared.lock();
        let nodes = state.members.values().flat_map(|member| {
            let texts = member.account.losses.texts().into_iter();
            texts.map(|text| format!("node {}: {text}", member.name))
        });
        let links = state.links.values().filter_map(|link| {
            let dropped = link.account.dropped.load(Ordering::Relaxed);
            (dropped > 0).then(|| format!("link {link}: {dropped} dropped because it was full"))
        });
        let retired = &state.retired;
        let all = nodes.chain(links).chain(retired.losses.iter().cloned());
        let all: Vec<String> = all.collect();
        if !all.is_empty() {
            log::warn!("events not delivered in this run: {}", all.join("; "));
        }
        let early = state.members.values().flat_map(|member| {
            let texts = member.account.losses.let_go().into_iter();
            texts.map(|text| format!("node {}: {text}", member.name))
        });
        let early: Vec<String> = early.chain(retired.let_go.iter().cloned()).collect();
        if !early.is_empty() {
            log::warn!("let go before their time in this run: {}", early.join("; "));
        }
    }

    /// The timer thread ends with the last sender of alarms.
    pub fn join_timer(&mut self) {
        self.timer = None;
        let all_ended = self.all_ended();
        let state = self.shared.lock();
        let is_left = state.abandoned || !state.left_behind.is_empty();
        drop(state);
        if let Some(thread) = self.timer_thread.take()
            && all_ended
            && !is_left
        {
            let _ = thread.join();
        }
    }
}
