//! The nodes and links of a running network, shared by its threads.

use super::control::Control;
use super::graph::Graph;
use super::id::{LinkId, NodeId};
use super::limits::STOP_LIMIT;
use super::link::LinkTimeout;
use super::stage::SharedOutline;
use super::stats::{
    Account, ErrorReport, LinkAccount, LinkLook, LinkStats, NodeLook, NodeState, NodeStats,
    Retired, Stats,
};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{Endpoint, Name};
use crate::node::Processed;
use crate::time::{Clock as _, SystemClock, format_duration, monotonic};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The state that the threads of a running network share.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How many messages were sent to all nodes together.
    broadcasts: AtomicU64,
}

#[derive(Default)]
pub(crate) struct State {
    pub members: BTreeMap<NodeId, Member>,
    pub links: BTreeMap<LinkId, MemberLink>,
    pub live_sources: usize,
    /// It was stopped or aborted: nothing new can become part of it.
    pub ending: bool,
    pub aborted: bool,
    /// A node was given up: its thread is left behind.
    pub abandoned: bool,
    /// The nodes that are being opened, which are not members yet.
    pub opening: BTreeMap<NodeId, OpeningNode>,
    /// The nodes that did not open, and whose threads are left behind.
    pub left_behind: BTreeSet<NodeId>,
    /// When a node was first found to take nothing from a link: it may never end.
    pub stuck_since: Option<Instant>,
    pub failures: Vec<Error>,
    /// The accounts of nodes and links that were removed and have ended.
    pub retired: Retired,
}

pub(crate) struct Member {
    pub name: Name,
    /// Where it was defined, for messages.
    pub place: Option<String>,
    pub control: flume::Sender<Control>,
    pub account: Arc<Account>,
    pub processed: Arc<Processed>,
    /// What a successor would have to know of it.
    pub outline: SharedOutline,
    /// Its counters, once a second.
    pub look: NodeLook,
    pub is_source: bool,
    pub thread: Option<JoinHandle<()>>,
    pub failed: bool,
    /// It takes and sends nothing more: no link can be attached to it.
    pub closed: bool,
    pub ended: bool,
    /// It was removed from the network, and ends once it has processed what waits for it.
    pub removed: bool,
}

/// A node that is being opened on its thread.
pub(crate) struct OpeningNode {
    pub name: Name,
    pub place: Option<String>,
    /// Takes whether it is open.
    pub opened: flume::Sender<Result<()>>,
}

/// A link between two members.
pub(crate) struct MemberLink {
    pub account: Arc<LinkAccount>,
    /// Its counters, once a second.
    pub look: LinkLook,
    pub from: Endpoint,
    pub to: Name,
    pub source: NodeId,
    pub target: NodeId,
    /// Whether it is one of several among which the events are shared by a key.
    pub keyed: bool,
    /// It was removed from the network, and ends once what waits in it was received.
    pub removed: bool,
}

impl fmt::Display for MemberLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

impl Member {
    /// The account of the node at this instant.
    pub fn stats(&self, now: Instant) -> NodeStats {
        let mut stats = self.account.snapshot(&self.name, now);
        let progress = self.processed.get();
        stats.processed = stats.processed.max(progress).min(stats.received);
        let counters = self.account.look(now, self.is_source, progress);
        let [rate, busy] = self.look.rates(now, counters);
        (stats.rate, stats.busy_share) = (rate, (busy / 1e9).min(1.0));
        stats.failed = self.failed;
        if self.failed {
            stats.state = NodeState::Failed;
        } else if self.ended {
            stats.state = NodeState::Ended;
        }
        stats
    }

    fn report(&self, what: &str, error: &Error) {
        self.account.reports.add(monotonic(), || ErrorReport {
            time: SystemClock.now(),
            what: what.to_owned(),
            error: error.to_string(),
            payload: None,
            more: 0,
        });
    }
}

impl MemberLink {
    /// The account of the link, at this instant.
    pub fn stats(&self, now: Instant) -> LinkStats {
        let (from, to) = (self.from.clone(), self.to.clone());
        let mut stats = self.account.snapshot(from, to, now);
        let [rate, blocked, overflowed] = self.look.rates(now, self.account.look(now));
        stats.rate = rate;
        stats.waits = if overflowed > 0.0 {
            1.0
        } else {
            (blocked / 1e9).min(1.0)
        };
        stats
    }
}

impl State {
    /// Looks at all counters, for the rates.
    fn look(&mut self, now: Instant, turn: bool) {
        for member in self.members.values_mut() {
            let progress = member.processed.get();
            let counters = member.account.look(now, member.is_source, progress);
            member.look.look(now, counters);
            if turn {
                member.account.latency.turn();
            }
        }
        for link in self.links.values_mut() {
            link.look.look(now, link.account.look(now));
        }
    }

    /// Keeps the accounts of removed nodes and links that have ended, and nothing else of them; returns
    /// their threads, which have nothing left to do.
    pub fn retire(&mut self) -> Vec<JoinHandle<()>> {
        let (mut threads, now) = (Vec::new(), monotonic());
        let retired = &mut self.retired;
        self.members.retain(|_, member| {
            let is_over = member.removed && member.ended;
            if is_over {
                retired.add_node(member.stats(now), &member.account.losses);
                threads.extend(member.thread.take());
            }
            !is_over
        });
        self.links.retain(|_, link| {
            // Neither of its ends is there any more.
            let is_over = link.removed && Arc::strong_count(&link.account) == 1;
            if is_over {
                retired.add_link(link.stats(now));
            }
            !is_over
        });
        threads
    }

    /// When the wait for a node that takes nothing ends.
    fn gives_up(&self) -> Option<Instant> {
        let stuck_since = self.stuck_since.filter(|_| !self.aborted)?;
        stuck_since.checked_add(STOP_LIMIT)
    }
}

/// An error that names its node.
pub(crate) fn naming(node: &Name, error: Error) -> Error {
    if error.message().contains(&format!("node {node}")) {
        return error;
    }
    error.within(format!("node {node}"))
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The account of a network with this graph.
    pub fn stats(&self, graph: &Graph) -> Stats {
        let (state, now) = (self.lock(), monotonic());
        // Links after nodes: what has been received was sent before.
        let is_opening = |id: &NodeId| !state.members.contains_key(id);
        let opening = graph.nodes().filter(|(id, _)| is_opening(id));
        let opening = opening.map(|(_, node)| Account::default().snapshot(&node.name, now));
        let nodes = state.members.values().map(|member| member.stats(now));
        let nodes: Vec<NodeStats> = nodes.chain(opening).collect();
        let links = state.links.values().map(|link| link.stats(now));
        let links: Vec<LinkStats> = links.collect();
        // A name or a pair of ends is there twice only while what had it before drains.
        let twice = state.members.values().any(|member| member.removed)
            || state.links.values().any(|link| link.removed);
        let (nodes, links) = state.retired.merge(nodes, links, twice);
        Stats::new(nodes, links)
    }

    /// The last errors of each node.
    pub fn reports(&self) -> Vec<(Name, ErrorReport)> {
        let state = self.lock();
        let of = |member: &Member| {
            let name = member.name.clone();
            let reports = member.account.reports.read().into_iter();
            reports.map(move |report| (name.clone(), report))
        };
        state.members.values().flat_map(of).collect()
    }

    /// Looks at all counters, for the rates; once in ten times the histograms of latencies take turns.
    pub fn look(&self, now: Instant, count: u64) {
        self.lock().look(now, count.is_multiple_of(10));
    }

    /// Sends a message to every node, after which the network ends.
    pub(crate) fn broadcast(&self, message: impl Fn() -> Control) {
        let mut state = self.lock();
        state.ending = true;
        for member in state.members.values() {
            // A node that has ended has no use for it.
            let _ = member.control.send(message());
        }
        self.broadcasts.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn broadcasts(&self) -> u64 {
        self.broadcasts.load(Ordering::Acquire)
    }

    /// Closes a node: no link can be attached to it from here on. Returns false if one was attached
    /// meanwhile, whose message is then in `pending`.
    pub fn close(
        &self,
        id: NodeId,
        control: &flume::Receiver<Control>,
        pending: &mut VecDeque<Control>,
    ) -> bool {
        let mut state = self.lock();
        pending.extend(control.try_iter());
        if pending.iter().any(|m| matches!(m, Control::Attach(_))) {
            return false;
        }
        if let Some(member) = state.members.get_mut(&id) {
            member.closed = true;
        }
        true
    }

    /// A source has ended; after the last one no new event can come.
    pub fn source_ended(&self) {
        let mut state = self.lock();
        state.live_sources = state.live_sources.saturating_sub(1);
        let last = state.live_sources == 0;
        drop(state);
        if last {
            self.broadcast(|| Control::Sourceless);
        }
    }

    /// A node that cannot go on: the network stops, and reports why. Later failures of the same node
    /// only follow from the first.
    pub fn fail(&self, id: NodeId, error: Error) {
        let mut state = self.lock();
        let mut error = error;
        if let Some(member) = state.members.get_mut(&id) {
            if std::mem::replace(&mut member.failed, true) {
                return;
            }
            error = naming(&member.name, error).at_opt(member.place.clone());
            member.report("node failed", &error);
        }
        if error.kind() == ErrorKind::Closed {
            // The reader of the output has what it needs.
            log::info!("{error}; the network stops");
        } else {
            log::error!("{error}; the network stops");
        }
        state.failures.push(error);
        drop(state);
        self.broadcast(|| Control::Stop);
    }

    /// A node that takes nothing from a link: the network stops, and waits for the node no longer
    /// than [`STOP_LIMIT`].
    pub fn link_timed_out(&self, expired: &LinkTimeout) {
        let mut state = self.lock();
        state.stuck_since.get_or_insert_with(monotonic);
        let Some(link) = state.links.get(&expired.link) else {
            return;
        };
        let (from, to) = (link.source, link.target);
        let name = |id| state.members.get(&id).map_or("", |node| node.name.as_str());
        let timeout = format_duration(expired.timeout);
        let message = format!(
            "node {}: it has taken nothing from {} for {timeout}",
            name(to),
            name(from)
        );
        drop(state);
        self.fail(to, Error::new(ErrorKind::Failed, message));
        self.changed.notify_all();
    }

    /// Whether the time is over in which a node that takes nothing can end.
    pub(crate) fn is_given_up(&self) -> bool {
        self.lock().gives_up().is_some_and(|at| monotonic() >= at)
    }

    pub(crate) fn ended(&self, id: NodeId) {
        if let Some(member) = self.lock().members.get_mut(&id) {
            member.ended = true;
        }
        self.changed();
    }

    /// Wakes the threads that wait for nodes to end.
    pub(crate) fn changed(&self) {
        self.changed.notify_all();
    }

    /// Waits until every node has ended, or the time is over, or a node that takes nothing is given
    /// up; returns whether they have ended.
    pub(crate) fn wait_ended(&self, limit: Option<Duration>) -> bool {
        // A limit beyond the range of the clock is no limit.
        let until = limit.and_then(|limit| monotonic().checked_add(limit));
        let mut state = self.lock();
        while state.members.values().any(|member| !member.ended) {
            let until = until.into_iter().chain(state.gives_up()).min();
            match until {
                None => self.changed.wait(&mut state),
                Some(until) => {
                    let left = until.saturating_duration_since(monotonic());
                    if left.is_zero() {
                        return false;
                    }
                    self.changed.wait_for(&mut state, left);
                }
            }
        }
        true
    }
}
