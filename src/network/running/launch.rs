//! Starts the threads of a fragment, and makes it part of the network: as a whole or not at all.

use super::Running;
use super::fragment::{Fragment, PlannedPause, lock};
use super::node_thread::NodeThread;
use super::pause::Paused;
use crate::error::{Error, ErrorKind, Result};
use crate::network::control::Control;
use crate::network::draft::NewNodes;
use crate::network::graph::Graph;
use crate::network::id::NodeId;
use crate::network::limits::STOP_LIMIT;
use crate::network::members::{Member, OpeningNode, Shared};
use crate::network::panics::panicked;
use crate::network::stats::NodeState;
use crate::network::worker::Worker;
use crate::time::{format_duration, monotonic};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long all nodes of a fragment together may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How often it is checked meanwhile whether the start goes on.
const OPEN_POLL: Duration = Duration::from_millis(50);
/// How often links that were removed are looked at.
const DRAIN_POLL: Duration = Duration::from_millis(2);

/// Nodes that are being opened, each on its thread.
struct Opening {
    opened: flume::Receiver<Result<()>>,
    /// How many threads were started, and how many of them have reported.
    running: usize,
    reported: usize,
    /// The first failure.
    failure: Option<Error>,
}

impl Opening {
    /// Waits until every node has reported, the limit is over, or `go_on` returns false.
    fn wait(&mut self, go_on: &mut dyn FnMut() -> bool) {
        let until = monotonic() + OPEN_LIMIT;
        while self.reported < self.running {
            match self
                .opened
                .recv_deadline(until.min(monotonic() + OPEN_POLL))
            {
                Ok(open) => {
                    self.reported += 1;
                    self.fail(open.err());
                }
                Err(_) if !go_on() => {
                    let message = "stopped before every node was open";
                    return self.fail(Some(Error::new(ErrorKind::Closed, message)));
                }
                Err(_) if monotonic() < until => {}
                Err(_) => {
                    let limit = format_duration(OPEN_LIMIT);
                    let message = format!("not every node was open within {limit}");
                    return self.fail(Some(Error::new(ErrorKind::Unavailable, message)));
                }
            }
        }
    }

    fn fail(&mut self, error: Option<Error>) {
        self.failure = self.failure.take().or(error);
    }
}

impl Running {
    /// Changes what runs into `graph`, and returns that with the links that error policies make.
    pub fn change(&mut self, graph: Graph, nodes: NewNodes) -> Result<Graph> {
        let (graph, fragment) = self.plan(graph, nodes)?;
        self.launch(fragment, &mut || true)?;
        // Threads of nodes that were removed before have nothing left to do.
        let ended = self.shared.lock().retire();
        ended.into_iter().for_each(|thread| drop(thread.join()));
        Ok(graph)
    }

    /// Checks a change and makes what it needs; nothing is changed yet.
    pub fn plan(&self, graph: Graph, nodes: NewNodes) -> Result<(Graph, Fragment)> {
        let NewNodes {
            mut added,
            successors,
        } = nodes;
        let has_ended = |id: NodeId| self.has_ended(id);
        let graph = graph.settled(has_ended);
        for (id, edge) in graph.edges() {
            let ends = [edge.source, edge.target];
            if let Some(ended) = ends.into_iter().find(|n| has_ended(*n))
                && !self.has_link(id)
            {
                let name = &graph.node(ended).name;
                return Err(Error::data(format!("link {edge}: node {name} has ended")));
            }
        }
        lock(&graph, &mut added)?;
        let fragment = self.build(&graph, added, successors);
        self.check_change(&fragment)?;
        Ok((graph, fragment))
    }

    /// Refuses a change that could not be made without losing something, or without waiting for ever.
    fn check_change(&self, fragment: &Fragment) -> Result<()> {
        let changes = !fragment.removed_nodes.is_empty() || !fragment.pauses.is_empty();
        if changes && NodeThread::is_of(&self.shared) {
            let error = "a node cannot remove or replace nodes of its own network";
            return Err(Error::new(ErrorKind::Failed, error));
        }
        let state = self.shared.lock();
        let removed = fragment.removed_nodes.iter();
        let members = removed.filter_map(|id| state.members.get(id));
        for member in members.filter(|member| !member.closed && !member.is_source) {
            if member.stats(monotonic()).state == NodeState::Lost {
                let error = format!(
                    "node {} waits to be opened again, and would not end",
                    member.name
                );
                return Err(Error::new(ErrorKind::Unavailable, error)
                    .with_hint("replace it by a node that can take what waits for it"));
            }
        }
        Ok(())
    }

    /// Starts the threads of a fragment, waits until each node is open, attaches the fragment to the
    /// running network, and lets its nodes begin. Where a node does not open, or `go_on` returns false
    /// before all are open, the new threads end and the network is as before.
    pub fn launch(&mut self, fragment: Fragment, go_on: &mut dyn FnMut() -> bool) -> Result<()> {
        let mut fragment = fragment;
        let workers = std::mem::take(&mut fragment.workers);
        let mut members = std::mem::take(&mut fragment.members);
        let mut opening = self.spawn(workers, &mut members);
        opening.wait(go_on);
        let pauses = std::mem::take(&mut fragment.pauses);
        let mut paused = Paused::new(self.shared.clone());
        if opening.failure.is_none() {
            let committed = self
                .drain_removed(&pauses, go_on)
                .and_then(|()| paused.pause_all(pauses, go_on))
                .and_then(|()| self.commit(fragment, &mut members, &mut paused));
            opening.failure = committed.err();
        }
        let Some(error) = opening.failure else {
            return Ok(());
        };
        drop(paused);
        for member in members.values() {
            let _ = member.control.send(Control::Abort);
        }
        // Nodes that are open end at once; one that hangs in `open` is left behind.
        let mut threads = Vec::new();
        let mut state = self.shared.lock();
        for (id, member) in members {
            if state.opening.remove(&id).is_some() {
                state.left_behind.insert(id);
            }
            if !state.left_behind.contains(&id) {
                threads.extend(member.thread);
            }
        }
        drop(state);
        for thread in threads {
            let _ = thread.join();
        }
        Err(error)
    }

    /// Waits until the links between nodes that are to pause are empty, where they were removed before: such a
    /// link may lead from a node that pauses later to one that pauses earlier, and takes nothing then.
    fn drain_removed(
        &self,
        pauses: &[PlannedPause],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        if pauses.is_empty() {
            return Ok(());
        }
        let until = monotonic() + STOP_LIMIT;
        loop {
            let state = self.shared.lock();
            let runs = |id: &NodeId| state.members.get(id).is_some_and(|node| !node.closed);
            let is_paused = |id: NodeId| pauses.iter().any(|pause| pause.node == id) && runs(&id);
            let mut links = state.links.values();
            let full = links.find(|link| {
                let both = is_paused(link.source) && is_paused(link.target);
                link.removed && both && link.account.queued() > 0
            });
            let Some(full) = full else { return Ok(()) };
            if state.ending || !go_on() {
                let message = "the network is ending and takes in nothing new";
                return Err(Error::new(ErrorKind::Closed, message));
            }
            if monotonic() >= until {
                let limit = format_duration(STOP_LIMIT);
                let message =
                    format!("link {full}, which was removed before, is not empty within {limit}");
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
            drop(state);
            std::thread::sleep(DRAIN_POLL);
        }
    }

    /// Starts a thread for each worker, up to the first that does not start.
    fn spawn(
        &self,
        workers: Vec<(NodeId, Worker)>,
        members: &mut BTreeMap<NodeId, Member>,
    ) -> Opening {
        let (report, opened) = flume::unbounded();
        let mut opening = Opening {
            opened,
            running: 0,
            reported: 0,
            failure: None,
        };
        for (id, worker) in workers {
            let Some(member) = members.get_mut(&id) else {
                continue;
            };
            let (shared, place, fail_fast) =
                (self.shared.clone(), member.place.clone(), self.fail_fast);
            let node = OpeningNode {
                name: member.name.clone(),
                place: place.clone(),
                opened: report.clone(),
            };
            shared.lock().opening.insert(id, node);
            let thread = std::thread::Builder::new()
                .name(worker.stage.name.as_str().to_owned())
                .spawn(move || run_node(id, worker, place, fail_fast, &shared));
            match thread {
                Ok(thread) => {
                    member.thread = Some(thread);
                    opening.running += 1;
                }
                Err(error) => {
                    self.shared.lock().opening.remove(&id);
                    let what = format!("node {}: its thread does not start", member.name);
                    let error = Error::io(what, &error).with_kind(ErrorKind::Failed);
                    opening.failure = Some(error);
                    break;
                }
            }
        }
        opening
    }

    /// Makes a fragment part of the network. A network that is ending accepts nothing, and nothing is
    /// attached to a node that has ended.
    fn commit(
        &mut self,
        fragment: Fragment,
        members: &mut BTreeMap<NodeId, Member>,
        paused: &mut Paused,
    ) -> Result<()> {
        let mut state = self.shared.lock();
        if state.ending {
            return Err(Error::data(
                "the network is ending and takes in nothing new",
            ));
        }
        let links = fragment.attachments.iter();
        let mut links = links.filter(|(_, attachment)| !attachment.adds_no_link());
        let closed = |id: &NodeId| state.members.get(id).filter(|node| node.closed);
        if let Some(node) = links.find_map(|(id, _)| closed(id)) {
            return Err(Error::data(format!("node {} has ended", node.name)));
        }
        state.live_sources += fragment.sources;
        for id in &fragment.removed_links {
            if let Some(link) = state.links.get_mut(id) {
                link.removed = true;
                link.account.removed.store(true, Ordering::Release);
            }
        }
        // Receivers are attached first.
        let split = fragment.attachments.into_iter().map(|(id, attachment)| {
            let (receiving, sending) = attachment.split();
            ((id, receiving), (id, sending))
        });
        let (receiving, sending): (Vec<_>, Vec<_>) = split.unzip();
        for (id, attachment) in receiving.into_iter().chain(sending) {
            if let Some(node) = state.members.get(&id).filter(|_| !attachment.is_empty()) {
                let _ = node.control.send(Control::Attach(attachment));
            }
        }
        // With their links as they are from now on.
        paused.resume(&state);
        for id in &fragment.removed_nodes {
            if let Some(node) = state.members.get_mut(id) {
                node.removed = true;
                let _ = node.control.send(Control::Remove);
            }
        }
        for member in members.values() {
            let _ = member.control.send(Control::Go);
        }
        state.members.append(members);
        state.links.extend(fragment.links);
        self.policy_changes = fragment.policy_changes;
        Ok(())
    }

    /// Accepts a fragment whose workers a simulation drives; `settle` has them do all that they can do
    /// now.
    pub fn adopt(
        &mut self,
        fragment: Fragment,
        settle: &mut dyn FnMut(),
    ) -> Result<Vec<(NodeId, Worker)>> {
        let mut fragment = fragment;
        let workers = std::mem::take(&mut fragment.workers);
        let mut members = std::mem::take(&mut fragment.members);
        let mut paused = Paused::new(self.shared.clone());
        for pause in std::mem::take(&mut fragment.pauses) {
            let node = pause.node;
            let report = paused.request(pause);
            settle();
            paused.must_have_paused(node, &report)?;
        }
        self.commit(fragment, &mut members, &mut paused)?;
        Ok(workers)
    }
}

/// The life of a node's thread.
fn run_node(
    id: NodeId,
    mut worker: Worker,
    place: Option<String>,
    fail_fast: bool,
    shared: &Arc<Shared>,
) {
    /// Records that the node has ended, however it did.
    struct Ended<'a>(&'a Shared, NodeId);
    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.ended(self.1);
        }
    }
    NodeThread::set(shared, id);
    let open = if fail_fast {
        worker.open()
    } else {
        worker.open_or_stall()
    };
    let open = open.map_err(|error| error.at_opt(place));
    let is_open = open.is_ok();
    // One that was given up meanwhile has reported already.
    let node = shared.lock().opening.remove(&id);
    if let Some(node) = node {
        let _ = node.opened.send(open);
    }
    if is_open && worker.await_go() {
        let _ended = Ended(shared, id);
        // Node code is guarded call by call; what is left is a node that panics when it is dropped.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| worker.run())) {
            shared.fail(id, panicked(&*panic));
        }
    }
}
