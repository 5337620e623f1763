//! A network that runs: its threads, how it ends, and what is left behind when it must.

mod build;
mod end;
mod fragment;
mod node_thread;

pub(crate) use end::End;
pub(crate) use fragment::{Fragment, NewNode, lock};
pub(crate) use node_thread::NodeThread;

use super::control::{Attachment, Control};
use super::graph::Graph;
use super::id::{LinkId, NodeId};
use super::limits::Limits;
use super::members::{Member, MemberLink, Shared};
use super::panics::panicked;
use super::stats::{NodeStats, Stats};
use super::timer::Timer;
use super::worker::Worker;
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, format_duration, monotonic};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long all nodes of a fragment together may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How often it is checked meanwhile whether the start goes on.
const OPEN_POLL: Duration = Duration::from_millis(50);

/// A running network.
pub(crate) struct Running {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    timer: Option<Timer>,
    timer_thread: Option<JoinHandle<()>>,
    /// How many error policies the nodes have.
    error_policies: usize,
    limits: Limits,
    /// Whether a node that cannot open yet, but may later, is a failure.
    pub fail_fast: bool,
}

impl Running {
    /// A network without nodes; `threads` says whether there will be any (or a simulation).
    pub fn new(clock: Arc<dyn Clock>, threads: bool, limits: Limits) -> Result<Self> {
        let (timer, timer_thread) = match threads {
            false => (None, None),
            true => {
                let (timer, thread) = Timer::start(clock.clone())
                    .map_err(|error| Error::io("the timer thread does not start", &error))?;
                (Some(timer), Some(thread))
            }
        };
        Ok(Running {
            shared: Arc::default(),
            clock,
            timer,
            timer_thread,
            error_policies: 0,
            limits,
            fail_fast: false,
        })
    }

    /// Starts the threads of a fragment, waits until each node is open, attaches it to what runs
    /// and lets it go. When a node does not open, or `go_on` returns false before all are open, the
    /// new threads end and nothing else happened.
    pub fn launch(&mut self, fragment: Fragment, go_on: &mut dyn FnMut() -> bool) -> Result<()> {
        let Fragment {
            workers,
            attachments,
            mut members,
            links,
            sources,
            error_policies,
        } = fragment;
        let (tell, opened) = flume::unbounded();
        let mut failure = None;
        let mut running = 0;
        for (id, worker) in workers {
            let Some(member) = members.get_mut(&id) else {
                continue;
            };
            let (shared, tell) = (self.shared.clone(), tell.clone());
            let (place, fail_fast) = (member.place.clone(), self.fail_fast);
            let thread = std::thread::Builder::new()
                .name(worker.stage.name.as_str().to_owned())
                .spawn(move || live(id, worker, place, fail_fast, &shared, &tell));
            match thread {
                Ok(thread) => {
                    member.thread = Some(thread);
                    running += 1;
                }
                Err(error) => {
                    let what = format!("node {}: its thread does not start", member.name);
                    failure = Some(Error::io(what, &error).with_kind(ErrorKind::Failed));
                    break;
                }
            }
        }
        let until = monotonic() + OPEN_LIMIT;
        let mut reported = 0;
        while reported < running {
            match opened.recv_deadline(until.min(monotonic() + OPEN_POLL)) {
                Ok(open) => {
                    reported += 1;
                    failure = failure.or(open.err());
                }
                Err(_) if !go_on() => {
                    let message = "stopped before every node was open";
                    failure = failure.or(Some(Error::new(ErrorKind::Closed, message)));
                    break;
                }
                Err(_) if monotonic() < until => {}
                Err(_) => {
                    let limit = format_duration(OPEN_LIMIT);
                    let message = format!("not every node was open within {limit}");
                    failure = failure.or(Some(Error::new(ErrorKind::Unavailable, message)));
                    break;
                }
            }
        }
        let failure = match failure {
            None => {
                let committed = self.commit(attachments, &mut members, links, sources);
                committed
                    .map(|()| self.error_policies = error_policies)
                    .err()
            }
            failure => failure,
        };
        if let Some(error) = failure {
            for member in members.values() {
                let _ = member.control.send(Control::Abort);
            }
            // Nodes that are open end at once; one that hangs in `open` is left behind.
            for thread in members.into_values().filter_map(|member| member.thread) {
                if reported == running || thread.is_finished() {
                    let _ = thread.join();
                }
            }
            return Err(error);
        }
        Ok(())
    }

    /// Takes a fragment in: from here on it is part of the network. Nothing is taken in by a
    /// network that is ending, and nothing is attached to a node that has ended.
    fn commit(
        &mut self,
        attachments: BTreeMap<NodeId, Attachment>,
        members: &mut BTreeMap<NodeId, Member>,
        links: BTreeMap<LinkId, MemberLink>,
        sources: usize,
    ) -> Result<()> {
        let mut state = self.shared.lock();
        if state.ending {
            return Err(Error::data(
                "the network is ending and takes in nothing new",
            ));
        }
        let closed = |id: &NodeId| state.members.get(id).filter(|node| node.closed);
        if let Some(node) = attachments.keys().find_map(closed) {
            return Err(Error::data(format!("node {} has ended", node.name)));
        }
        state.live_sources += sources;
        // Receivers are attached first.
        let split = attachments.into_iter().map(|(id, attachment)| {
            let (receiving, sending) = attachment.split();
            ((id, receiving), (id, sending))
        });
        let (receiving, sending): (Vec<_>, Vec<_>) = split.unzip();
        for (id, attachment) in receiving.into_iter().chain(sending) {
            if let Some(node) = state.members.get(&id).filter(|_| !attachment.is_empty()) {
                let _ = node.control.send(Control::Attach(attachment));
            }
        }
        for member in members.values() {
            let _ = member.control.send(Control::Go);
        }
        state.members.append(members);
        state.links.extend(links);
        Ok(())
    }

    /// Takes in a fragment whose workers a simulation drives.
    pub fn adopt(&mut self, fragment: Fragment) -> Result<Vec<(NodeId, Worker)>> {
        let Fragment {
            workers,
            attachments,
            mut members,
            links,
            sources,
            error_policies,
        } = fragment;
        self.commit(attachments, &mut members, links, sources)?;
        self.error_policies = error_policies;
        Ok(workers)
    }

    /// Whether this node has ended: nothing can be linked to it any more.
    pub fn has_ended(&self, id: NodeId) -> bool {
        self.shared
            .lock()
            .members
            .get(&id)
            .is_some_and(|member| member.closed || member.ended)
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

    /// How often all nodes together were told something.
    pub fn told(&self) -> u64 {
        self.shared.told()
    }

    pub fn end(&self) -> End {
        End(self.shared.clone())
    }

    pub fn stats(&self, graph: &Graph) -> Stats {
        // Links after nodes: what has been received was sent before.
        let state = self.shared.lock();
        let nodes = state.members.values().map(|member| NodeStats {
            failed: member.failed,
            ..member.account.snapshot(&member.name)
        });
        let nodes = nodes.collect();
        let links = graph.edges().filter_map(|(id, edge)| {
            let account = &state.links.get(&id)?.account;
            Some(account.snapshot(edge.from.clone(), edge.to.clone()))
        });
        let links = links.collect();
        Stats { nodes, links }
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
            let (name, dropped) = (&link.name, link.account.dropped.load(Ordering::Relaxed));
            (dropped > 0).then(|| format!("link {name}: {dropped} dropped because it was full"))
        });
        let all: Vec<String> = nodes.chain(links).collect();
        if !all.is_empty() {
            log::warn!("events not delivered in this run: {}", all.join("; "));
        }
        let early = state.members.values().flat_map(|member| {
            let texts = member.account.losses.let_go().into_iter();
            texts.map(|text| format!("node {}: {text}", member.name))
        });
        let early: Vec<String> = early.collect();
        if !early.is_empty() {
            log::warn!("let go before their time in this run: {}", early.join("; "));
        }
    }

    /// The timer ends when nobody can set an alarm any more.
    pub fn join_timer(&mut self) {
        self.timer = None;
        if let Some(thread) = self.timer_thread.take()
            && self.all_ended()
            && !self.shared.lock().abandoned
        {
            let _ = thread.join();
        }
    }
}

/// A node's thread.
fn live(
    id: NodeId,
    mut worker: Worker,
    place: Option<String>,
    fail_fast: bool,
    shared: &Arc<Shared>,
    opened: &flume::Sender<Result<()>>,
) {
    /// Says that the node has ended, however it did.
    struct Ended<'a>(&'a Shared, NodeId);
    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.ended(self.1);
        }
    }
    NodeThread::set(shared, id);
    let open = match fail_fast {
        true => worker.open(),
        false => worker.open_or_stall(),
    };
    let open = open.map_err(|error| error.at_opt(place));
    let is_open = open.is_ok();
    let _ = opened.send(open);
    if is_open && worker.await_go() {
        let _ended = Ended(shared, id);
        // Node code is guarded call by call; what is left is a node that panics when it is dropped.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| worker.run())) {
            shared.fail(id, panicked(&*panic));
        }
    }
}
