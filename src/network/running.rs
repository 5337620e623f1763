//! A network that runs: its threads, how it ends, and what is left behind when it must.

use super::graph::Graph;
use super::link::{Balance, LinkSender, Way, link};
use super::stage::{Kind, Runner, Stage};
use super::stats::{Account, LinkAccount, Stats};
use super::timer::Timer;
use super::worker::{Attachment, Control, Worker};
use crate::error::{Error, ErrorKind, Result};
use crate::name::Name;
use crate::node::Frame;
use crate::time::{Clock, format_duration, monotonic};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long all nodes of a fragment together may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How long aborted nodes have to notice.
const ABORT_LIMIT: Duration = Duration::from_millis(500);

thread_local! {
    /// Whether this thread is a node's: it must not wait for itself.
    static IS_NODE: Cell<bool> = const { Cell::new(false) };
}

/// What the nodes of a network and whoever ends it share.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    members: Vec<Member>,
    live_sources: usize,
    failures: Vec<Error>,
}

struct Member {
    name: Name,
    control: flume::Sender<Control>,
    account: Arc<Account>,
    thread: Option<JoinHandle<()>>,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, message: impl Fn() -> Control) {
        for member in &self.lock().members {
            // A node that has ended needs no telling.
            let _ = member.control.send(message());
        }
    }

    /// One source less; after the last one nothing new can come.
    pub fn source_ended(&self) {
        let mut state = self.lock();
        state.live_sources = state.live_sources.saturating_sub(1);
        let last = state.live_sources == 0;
        drop(state);
        if last {
            self.tell(|| Control::Stop);
        }
    }

    /// A node that cannot go on: the network stops, and reports why.
    pub fn fail(&self, node: &Name, error: Error) {
        let named = error.message().contains(&format!("node {node}"));
        let error = if named {
            error
        } else {
            error.within(format!("node {node}"))
        };
        log::error!("{error}; the network stops");
        self.lock().failures.push(error);
        self.tell(|| Control::Stop);
    }

    fn ended(&self, at: usize) {
        if let Some(member) = self.lock().members.get_mut(at) {
            member.ended = true;
        }
        self.changed.notify_all();
    }

    /// Waits until every node has ended, or the time is over; says whether they have.
    fn wait_ended(&self, limit: Option<Duration>) -> bool {
        let until = limit.map(|limit| monotonic() + limit);
        let mut state = self.lock();
        while state.members.iter().any(|member| !member.ended) {
            state = match until {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(monotonic());
                    if left.is_zero() {
                        return false;
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

/// A node that was added and does not run yet.
pub(crate) struct NewNode {
    /// Its place in the graph.
    pub at: usize,
    pub runner: Box<dyn Runner>,
}

/// Workers for new nodes, joined up among themselves, and what is to be attached to nodes that
/// run already.
pub(crate) struct Fragment {
    pub workers: Vec<(usize, Worker)>,
    attachments: BTreeMap<usize, Attachment>,
    members: Vec<Member>,
    links: Vec<Arc<LinkAccount>>,
    sources: usize,
}

/// A running network.
pub(crate) struct Running {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    timer: Option<Timer>,
    timer_thread: Option<JoinHandle<()>>,
    links: Vec<Arc<LinkAccount>>,
}

impl Running {
    /// A network without nodes; `threads` says whether there will be any (or a simulation).
    pub fn new(clock: Arc<dyn Clock>, threads: bool) -> Result<Self> {
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
        })
    }

    /// Makes workers and links for what `graph` has beyond what runs.
    pub fn build(&self, graph: &Graph, nodes: Vec<NewNode>) -> Fragment {
        let mut fragment = Fragment {
            workers: Vec::new(),
            attachments: BTreeMap::new(),
            members: Vec::new(),
            links: Vec::new(),
            sources: 0,
        };
        for NewNode { at, runner } in nodes {
            let info = &graph.nodes[at];
            let (tx, rx) = flume::unbounded();
            let account = Arc::<Account>::default();
            let stage = Stage::new(
                info.name.clone(),
                info.ports.clone(),
                runner,
                self.clock.clone(),
                Arc::new(tx.clone()),
                account.clone(),
            );
            fragment.sources += usize::from(info.kind == Kind::Source);
            let name = info.name.clone();
            fragment.members.push(Member {
                name,
                control: tx.clone(),
                account,
                thread: None,
                ended: false,
            });
            let worker = Worker::new(stage, (tx, rx), self.timer.clone(), self.shared.clone());
            fragment.workers.push((at, worker));
        }
        let mut balances: BTreeMap<usize, (usize, u16, Option<String>, Vec<LinkSender>)> =
            BTreeMap::new();
        for edge in &graph.edges[self.links.len()..] {
            let account = Arc::<LinkAccount>::default();
            let (sender, receiver) = link(edge.capacity, self.timer.is_some(), account.clone());
            fragment.links.push(account);
            let place = |name: &Name| {
                graph
                    .find(name.as_str())
                    .expect("an edge joins nodes of its graph")
            };
            let (from, to) = (place(&edge.from.node), place(&edge.to));
            let port = graph.nodes[from]
                .ports
                .iter()
                .position(|port| *port == edge.from.port);
            let port = port
                .and_then(|port| u16::try_from(port).ok())
                .unwrap_or(Frame::OUT);
            fragment.attachment(to).inputs.push(receiver);
            match edge.balance {
                None => fragment
                    .attachment(from)
                    .ways
                    .push((port, Way::Link(sender))),
                Some(group) => balances
                    .entry(group)
                    .or_insert_with(|| (from, port, edge.key.clone(), Vec::new()))
                    .3
                    .push(sender),
            }
        }
        for (from, port, key, members) in balances.into_values() {
            let way = Way::Balance(Balance::new(members, key));
            fragment.attachment(from).ways.push((port, way));
        }
        for (at, worker) in &mut fragment.workers {
            if let Some(attachment) = fragment.attachments.remove(at) {
                worker.attach(attachment);
            }
        }
        fragment
    }

    /// Starts the threads of a fragment, waits until each node is open, attaches it to what runs
    /// and lets it go. When a node does not open, the new threads end and nothing else happened.
    pub fn launch(&mut self, fragment: Fragment) -> Result<()> {
        let Fragment {
            workers,
            attachments,
            mut members,
            links,
            sources,
        } = fragment;
        let (tell, opened) = flume::unbounded();
        let mut failure = None;
        let mut running = 0;
        for ((at, worker), member) in workers.into_iter().zip(&mut members) {
            let (shared, tell) = (self.shared.clone(), tell.clone());
            let thread = std::thread::Builder::new()
                .name(worker.stage.name.as_str().to_owned())
                .spawn(move || live(at, worker, &shared, &tell));
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
            match opened.recv_deadline(until) {
                Ok(open) => {
                    reported += 1;
                    failure = failure.or(open.err());
                }
                Err(_) => {
                    let limit = format_duration(OPEN_LIMIT);
                    let message = format!("not every node was open within {limit}");
                    failure = failure.or(Some(Error::new(ErrorKind::Unavailable, message)));
                    break;
                }
            }
        }
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
        self.commit(attachments, members, links, sources);
        Ok(())
    }

    /// Takes a fragment in: from here on it is part of the network.
    fn commit(
        &mut self,
        attachments: BTreeMap<usize, Attachment>,
        members: Vec<Member>,
        links: Vec<Arc<LinkAccount>>,
        sources: usize,
    ) {
        let mut state = self.shared.lock();
        state.live_sources += sources;
        // Whoever receives is ready before anybody sends.
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for (at, Attachment { inputs, ways }) in attachments {
            receivers.push((
                at,
                Attachment {
                    inputs,
                    ways: Vec::new(),
                },
            ));
            senders.push((
                at,
                Attachment {
                    inputs: Vec::new(),
                    ways,
                },
            ));
        }
        for (at, attachment) in receivers.into_iter().chain(senders) {
            let _ = state.members[at].control.send(Control::Attach(attachment));
        }
        for member in &members {
            let _ = member.control.send(Control::Go);
        }
        state.members.extend(members);
        self.links.extend(links);
    }

    /// Takes in a fragment whose workers a simulation drives.
    pub fn adopt(&mut self, fragment: Fragment) -> Vec<Worker> {
        let Fragment {
            workers,
            attachments,
            members,
            links,
            sources,
        } = fragment;
        self.commit(attachments, members, links, sources);
        workers.into_iter().map(|(_, worker)| worker).collect()
    }

    /// Whether a node of this place has ended: nothing can be linked to it any more.
    pub fn has_ended(&self, at: usize) -> bool {
        self.shared
            .lock()
            .members
            .get(at)
            .is_some_and(|member| member.ended)
    }

    pub fn all_ended(&self) -> bool {
        self.shared.lock().members.iter().all(|member| member.ended)
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
            .map(|member| member.account.snapshot(&member.name))
            .collect();
        let links = graph.edges.iter().zip(&self.links);
        let links = links
            .map(|(e, account)| account.snapshot(e.from.clone(), e.to.clone()))
            .collect();
        Stats { nodes, links }
    }

    /// The timer ends when nobody can set an alarm any more.
    pub fn join_timer(&mut self) {
        self.timer = None;
        if let Some(thread) = self.timer_thread.take()
            && self.all_ended()
        {
            let _ = thread.join();
        }
    }
}

impl Fragment {
    fn attachment(&mut self, at: usize) -> &mut Attachment {
        self.attachments.entry(at).or_default()
    }
}

/// A node's thread.
fn live(at: usize, mut worker: Worker, shared: &Shared, opened: &flume::Sender<Result<()>>) {
    /// Says that the node has ended, however it did.
    struct Ended<'a>(&'a Shared, usize);
    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.ended(self.1);
        }
    }
    IS_NODE.set(true);
    let open = worker.stage.open();
    let is_open = open.is_ok();
    let _ = opened.send(open);
    if is_open && worker.await_go() {
        let _ended = Ended(shared, at);
        worker.run();
    }
}

/// How a network ends; shared by everybody who may end it.
#[derive(Clone)]
pub(crate) struct End(Arc<Shared>);

impl End {
    /// Tells every node that no more input will come.
    pub fn request(&self) {
        self.0.tell(|| Control::Stop);
    }

    /// Lets everything go.
    pub fn abort(&self) {
        self.0.tell(|| Control::Abort);
    }

    /// Waits until every node has ended by itself.
    pub fn wait(&self) -> Result<()> {
        if IS_NODE.get() {
            return Err(Error::new(
                ErrorKind::Failed,
                "a node cannot wait for its own network",
            ));
        }
        self.0.wait_ended(None);
        self.join()
    }

    /// Waits at most so long until every node has ended by itself; `None` when some have not.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Result<()>> {
        self.0.wait_ended(Some(limit)).then(|| self.join())
    }

    /// Stops, and waits at most `limit` until everything is drained; then aborts what is left.
    pub fn stop(&self, limit: Duration) -> Result<()> {
        self.request();
        if IS_NODE.get() {
            return Ok(());
        }
        if self.0.wait_ended(Some(limit)) {
            return self.join();
        }
        let undrained = self.undrained();
        self.abort();
        let stuck = match self.0.wait_ended(Some(ABORT_LIMIT)) {
            true => Vec::new(),
            false => self.alive(),
        };
        let joined = self.join();
        let mut message = format!(
            "not drained within {}: {}",
            format_duration(limit),
            undrained.join(", ")
        );
        if !stuck.is_empty() {
            message.push_str(&format!(
                "; left behind in their own code: {}",
                stuck.join(", ")
            ));
        }
        log::error!("{message}");
        joined.and(Err(Error::new(ErrorKind::DrainTimeout, message)))
    }

    fn alive(&self) -> Vec<String> {
        let state = self.0.lock();
        state
            .members
            .iter()
            .filter(|m| !m.ended)
            .map(|m| m.name.to_string())
            .collect()
    }

    /// What had not ended, and how many events each still had in hand.
    fn undrained(&self) -> Vec<String> {
        let state = self.0.lock();
        let alive = state.members.iter().filter(|member| !member.ended);
        alive
            .map(|member| match member.account.snapshot(&member.name).held {
                0 => format!("node {}", member.name),
                held => format!("node {} ({held} events in hand)", member.name),
            })
            .collect()
    }

    /// The first node that failed.
    pub fn failure(&self) -> Option<Error> {
        self.0.lock().failures.first().cloned()
    }

    /// Joins the threads that have ended; reports the first failure.
    fn join(&self) -> Result<()> {
        let mut state = self.0.lock();
        let ended = state.members.iter_mut().filter(|member| member.ended);
        let threads: Vec<JoinHandle<()>> =
            ended.filter_map(|member| member.thread.take()).collect();
        drop(state);
        for thread in threads {
            let _ = thread.join();
        }
        self.failure().map_or(Ok(()), Err)
    }
}
