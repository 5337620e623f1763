//! Starts the threads of a fragment, and makes it part of the network.

use super::Running;
use super::fragment::Fragment;
use super::node_thread::NodeThread;
use crate::error::{Error, ErrorKind, Result};
use crate::network::control::{Attachment, Control};
use crate::network::id::{LinkId, NodeId};
use crate::network::members::{Member, MemberLink, Shared};
use crate::network::panics::panicked;
use crate::network::worker::Worker;
use crate::time::{format_duration, monotonic};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// How long all nodes of a fragment together may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How often it is checked meanwhile whether the start goes on.
const OPEN_POLL: Duration = Duration::from_millis(50);

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
    /// Starts the threads of a fragment, waits until each node is open, attaches the fragment to the
    /// running network, and lets its nodes begin. Where a node does not open, or `go_on` returns false
    /// before all are open, the new threads end and the network is as before.
    pub fn launch(&mut self, fragment: Fragment, go_on: &mut dyn FnMut() -> bool) -> Result<()> {
        let Fragment {
            workers,
            attachments,
            mut members,
            links,
            sources,
            error_policies,
        } = fragment;
        let mut opening = self.spawn(workers, &mut members);
        opening.wait(go_on);
        if opening.failure.is_none() {
            let committed = self.commit(attachments, &mut members, links, sources);
            opening.failure = committed.err();
        }
        let Some(error) = opening.failure else {
            self.error_policies = error_policies;
            return Ok(());
        };
        for member in members.values() {
            let _ = member.control.send(Control::Abort);
        }
        // Nodes that are open end at once; one that hangs in `open` is left behind.
        let all_reported = opening.reported == opening.running;
        for thread in members.into_values().filter_map(|member| member.thread) {
            if all_reported || thread.is_finished() {
                let _ = thread.join();
            }
        }
        Err(error)
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
            let (shared, report) = (self.shared.clone(), report.clone());
            let (place, fail_fast) = (member.place.clone(), self.fail_fast);
            let thread = std::thread::Builder::new()
                .name(worker.stage.name.as_str().to_owned())
                .spawn(move || run_node(id, worker, place, fail_fast, &shared, &report));
            match thread {
                Ok(thread) => {
                    member.thread = Some(thread);
                    opening.running += 1;
                }
                Err(error) => {
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

    /// Accepts a fragment whose workers a simulation drives.
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
}

/// The life of a node's thread.
fn run_node(
    id: NodeId,
    mut worker: Worker,
    place: Option<String>,
    fail_fast: bool,
    shared: &Arc<Shared>,
    opened: &flume::Sender<Result<()>>,
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
    let _ = opened.send(open);
    if is_open && worker.await_go() {
        let _ended = Ended(shared, id);
        // Node code is guarded call by call; what is left is a node that panics when it is dropped.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| worker.run())) {
            shared.fail(id, panicked(&*panic));
        }
    }
}
