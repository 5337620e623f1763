//! A network that runs: its threads, how it ends, and what is left behind when it must.

mod abandon;
mod end;
mod fragment;
mod members;

pub(crate) use abandon::NodeThread;
pub(crate) use end::End;
pub(crate) use fragment::{Fragment, NewNode, lock};
pub(crate) use members::Shared;

use super::graph::Graph;
use super::stage::{PANIC_LIMIT, panicked};
use super::stats::{LinkAccount, NodeStats, Stats};
use super::timer::Timer;
use super::worker::{Attachment, Control, Worker};
use crate::error::{Error, ErrorKind, Result};
use crate::payload::MAX_EVENT_BYTES;
use crate::time::{Clock, format_duration, monotonic};
use members::{Member, MemberLink};
use std::cell::Cell;
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
thread_local! {
    /// The network (its `Shared`, by address) of whose nodes this thread is one: a node must not
    /// wait for itself.
    static NODE_OF: Cell<usize> = const { Cell::new(0) };
}

/// A running network.
pub(crate) struct Running {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    timer: Option<Timer>,
    timer_thread: Option<JoinHandle<()>>,
    links: Vec<Arc<LinkAccount>>,
    /// How much of what `on_error` said the nodes know.
    handled: usize,
    limits: Limits,
    /// Whether a node that cannot open yet, but may later, is a failure.
    pub fail_fast: bool,
}

/// What holds for every node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// After so many panics in a row a node has failed.
    pub panics: u32,
    /// The greatest payload that a source may send.
    pub event_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            panics: PANIC_LIMIT,
            event_bytes: MAX_EVENT_BYTES,
        }
    }
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
            links: Vec::new(),
            handled: 0,
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
            handled,
        } = fragment;
        let (tell, opened) = flume::unbounded();
        let mut failure = None;
        let mut running = 0;
        for ((at, worker), member) in workers.into_iter().zip(&mut members) {
            let (shared, tell) = (self.shared.clone(), tell.clone());
            let (place, fail_fast) = (member.place.clone(), self.fail_fast);
            let thread = std::thread::Builder::new()
                .name(worker.stage.name.as_str().to_owned())
                .spawn(move || live(at, worker, place, fail_fast, &shared, &tell));
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
                committed.map(|()| self.handled = handled).err()
            }
            failure => failure,
        };
        if let Some(error) = failure {
            for member in &members {
                let _ = member.control.send(Control::Abort);
            }
            // Nodes that are open end at once; one that hangs in `open` is left behind.
            for thread in members.into_iter().filter_map(|member| member.thread) {
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
        attachments: BTreeMap<usize, Attachment>,
        members: &mut Vec<Member>,
        links: Vec<MemberLink>,
        sources: usize,
    ) -> Result<()> {
        let mut state = self.shared.lock();
        if state.ending {
            return Err(Error::data(
                "the network is ending and takes in nothing new",
            ));
        }
        if let Some(at) = attachments.keys().find(|at| state.members[**at].closed) {
            let name = &state.members[*at].name;
            return Err(Error::data(format!("node {name} has ended")));
        }
        state.live_sources += sources;
        // Whoever receives is ready before anybody sends.
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for (at, attachment) in attachments {
            let Attachment {
                inputs,
                routes,
                retries,
            } = attachment;
            receivers.push((
                at,
                Attachment {
                    inputs,
                    ..Attachment::default()
                },
            ));
            senders.push((
                at,
                Attachment {
                    routes,
                    retries,
                    ..Attachment::default()
                },
            ));
        }
        for (at, attachment) in receivers.into_iter().chain(senders) {
            let _ = state.members[at].control.send(Control::Attach(attachment));
        }
        for member in &*members {
            let _ = member.control.send(Control::Go);
        }
        state.members.append(members);
        let accounts = links.iter().map(|link| link.account.clone());
        self.links.extend(accounts);
        state.links.extend(links);
        Ok(())
    }

    /// Takes in a fragment whose workers a simulation drives.
    pub fn adopt(&mut self, fragment: Fragment) -> Result<Vec<Worker>> {
        let Fragment {
            workers,
            attachments,
            mut members,
            links,
            sources,
            handled,
        } = fragment;
        self.commit(attachments, &mut members, links, sources)?;
        self.handled = handled;
        Ok(workers.into_iter().map(|(_, worker)| worker).collect())
    }

    /// Whether a node of this place has ended: nothing can be linked to it any more.
    pub fn has_ended(&self, at: usize) -> bool {
        self.shared
            .lock()
            .members
            .get(at)
            .is_some_and(|member| member.closed || member.ended)
    }

    pub fn all_ended(&self) -> bool {
        self.shared.lock().members.iter().all(|member| member.ended)
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
        let nodes = state
            .members
            .iter()
            .map(|member| NodeStats {
                failed: member.failed,
                ..member.account.snapshot(&member.name)
            })
            .collect();
        let links = graph.edges.iter().zip(&self.links);
        let links = links
            .map(|(e, account)| account.snapshot(e.from.clone(), e.to.clone()))
            .collect();
        Stats { nodes, links }
    }

    /// One line about the events that were rejected or dropped without a port being linked, where there
    /// are any.
    pub fn log_losses(&self) {
        let state = self.shared.lock();
        let nodes = state.members.iter().flat_map(|member| {
            let texts = member.account.losses.texts().into_iter();
            texts.map(|text| format!("node {}: {text}", member.name))
        });
        let links = state.links.iter().filter_map(|link| {
            let (name, dropped) = (&link.name, link.account.dropped.load(Ordering::Relaxed));
            (dropped > 0).then(|| format!("link {name}: {dropped} dropped because it was full"))
        });
        let all: Vec<String> = nodes.chain(links).collect();
        if !all.is_empty() {
            log::warn!("events not delivered in this run: {}", all.join("; "));
        }
        let early = state.members.iter().flat_map(|member| {
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
    at: usize,
    mut worker: Worker,
    place: Option<String>,
    fail_fast: bool,
    shared: &Arc<Shared>,
    opened: &flume::Sender<Result<()>>,
) {
    /// Says that the node has ended, however it did.
    struct Ended<'a>(&'a Shared, usize);
    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.ended(self.1);
        }
    }
    NODE_OF.set(Arc::as_ptr(shared) as usize);
    NodeThread::set(shared, at);
    let open = match fail_fast {
        true => worker.open(),
        false => worker.open_or_stall(),
    };
    let open = open.map_err(|error| error.at_opt(place));
    let is_open = open.is_ok();
    let _ = opened.send(open);
    if is_open && worker.await_go() {
        let _ended = Ended(shared, at);
        let name = worker.stage.name.clone();
        // Node code is guarded call by call; what is left is a node that panics when it is dropped.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| worker.run())) {
            shared.fail(&name, panicked(&*panic));
        }
    }
}
