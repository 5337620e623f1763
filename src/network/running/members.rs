//! The nodes of a network that runs: what they and whoever ends it share.

use crate::error::{Error, ErrorKind};
use crate::name::Name;
use crate::network::STOP_LIMIT;
use crate::network::link::LinkTimeout;
use crate::network::stats::{Account, LinkAccount};
use crate::network::worker::Control;
use crate::time::{format_duration, monotonic};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the nodes of a network and whoever ends it share.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How often all nodes together were told something.
    told: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    pub members: Vec<Member>,
    pub links: Vec<MemberLink>,
    pub live_sources: usize,
    /// It was told to stop, or to let everything go: nothing new can become part of it.
    pub ending: bool,
    pub aborted: bool,
    /// A node was given up: its thread is left behind.
    pub abandoned: bool,
    /// When a node was first found to take nothing: it may never end.
    pub wedged: Option<Instant>,
    pub failures: Vec<Error>,
}

pub(super) struct Member {
    pub name: Name,
    /// Where it was defined, for messages.
    pub place: Option<String>,
    pub control: flume::Sender<Control>,
    pub account: Arc<Account>,
    pub is_source: bool,
    pub thread: Option<JoinHandle<()>>,
    pub failed: bool,
    /// It takes and sends nothing more: no link can be attached to it.
    pub closed: bool,
    pub ended: bool,
}

/// A link between two members.
pub(super) struct MemberLink {
    /// A text that names it.
    pub name: String,
    pub account: Arc<LinkAccount>,
    /// The places of the members.
    pub from: usize,
    pub to: usize,
}

impl State {
    /// When a node that takes nothing is waited for no longer.
    fn gives_up(&self) -> Option<Instant> {
        let wedged = self.wedged.filter(|_| !self.aborted)?;
        wedged.checked_add(STOP_LIMIT)
    }
}

/// An error that names its node.
pub(super) fn naming(node: &Name, error: Error) -> Error {
    match error.message().contains(&format!("node {node}")) {
        true => error,
        false => error.within(format!("node {node}")),
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every node to end, one way or the other.
    pub(super) fn tell(&self, message: impl Fn() -> Control) {
        let mut state = self.lock();
        state.ending = true;
        for member in &state.members {
            // A node that has ended needs no telling.
            let _ = member.control.send(message());
        }
        self.told.fetch_add(1, Ordering::Release);
    }

    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// No link can be attached to this node from here on; false where one was meanwhile, whose
    /// message is among those `heard` now.
    pub fn close(
        &self,
        at: usize,
        control: &flume::Receiver<Control>,
        heard: &mut VecDeque<Control>,
    ) -> bool {
        let mut state = self.lock();
        heard.extend(control.try_iter());
        if heard.iter().any(|m| matches!(m, Control::Attach(_))) {
            return false;
        }
        if let Some(member) = state.members.get_mut(at) {
            member.closed = true;
        }
        true
    }

    /// One source less; after the last one nothing new can come.
    pub fn source_ended(&self) {
        let mut state = self.lock();
        state.live_sources = state.live_sources.saturating_sub(1);
        let last = state.live_sources == 0;
        drop(state);
        if last {
            self.tell(|| Control::Sourceless);
        }
    }

    /// A node that cannot go on: the network stops, and reports why. What a node fails of after
    /// that is only what follows from it.
    pub fn fail(&self, node: &Name, error: Error) {
        let mut error = naming(node, error);
        let mut state = self.lock();
        if let Some(member) = state.members.iter_mut().find(|member| member.name == *node) {
            if std::mem::replace(&mut member.failed, true) {
                return;
            }
            error = error.at_opt(member.place.clone());
        }
        match error.kind() {
            // Whoever read the output has what they wanted.
            ErrorKind::Closed => log::info!("{error}; the network stops"),
            _ => log::error!("{error}; the network stops"),
        }
        state.failures.push(error);
        drop(state);
        self.tell(|| Control::Stop);
    }

    /// A node that takes nothing from another: the network stops, and whoever waits for it does so
    /// no longer than [`STOP_LIMIT`].
    pub fn wedge(&self, wedge: &LinkTimeout, from: &Name) {
        let timeout = format_duration(wedge.timeout);
        let node = &wedge.node;
        let message = format!("node {node}: it has taken nothing from {from} for {timeout}");
        self.lock().wedged.get_or_insert_with(monotonic);
        self.fail(node, Error::new(ErrorKind::Failed, message));
        self.changed.notify_all();
    }

    /// Whether a node that takes nothing has had its time to end.
    pub(super) fn is_given_up(&self) -> bool {
        self.lock().gives_up().is_some_and(|at| monotonic() >= at)
    }

    pub(super) fn ended(&self, at: usize) {
        if let Some(member) = self.lock().members.get_mut(at) {
            member.ended = true;
        }
        self.changed();
    }

    /// Wakes those who wait for nodes to end.
    pub(super) fn changed(&self) {
        self.changed.notify_all();
    }

    /// Waits until every node has ended, or the time is over, or a node that takes nothing is given
    /// up; says whether they have ended.
    pub(super) fn wait_ended(&self, limit: Option<Duration>) -> bool {
        // A limit beyond what the clock can show is none.
        let until = limit.and_then(|limit| monotonic().checked_add(limit));
        let mut state = self.lock();
        while state.members.iter().any(|member| !member.ended) {
            let until = until.into_iter().chain(state.gives_up()).min();
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
