//! The nodes of a network that runs: what they and whoever ends it share.

use crate::error::{Error, ErrorKind};
use crate::name::Name;
use crate::network::stats::Account;
use crate::network::worker::Control;
use crate::time::monotonic;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the nodes of a network and whoever ends it share.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub members: Vec<Member>,
    pub live_sources: usize,
    pub failures: Vec<Error>,
}

pub(super) struct Member {
    pub name: Name,
    /// Where it was defined, for messages.
    pub place: Option<String>,
    pub control: flume::Sender<Control>,
    pub account: Arc<Account>,
    pub thread: Option<JoinHandle<()>>,
    pub failed: bool,
    pub ended: bool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, message: impl Fn() -> Control) {
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

    /// A node that cannot go on: the network stops, and reports why. What a node fails of after
    /// that is only what follows from it.
    pub fn fail(&self, node: &Name, error: Error) {
        let named = error.message().contains(&format!("node {node}"));
        let mut error = if named {
            error
        } else {
            error.within(format!("node {node}"))
        };
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

    pub(super) fn ended(&self, at: usize) {
        if let Some(member) = self.lock().members.get_mut(at) {
            member.ended = true;
        }
        self.changed.notify_all();
    }

    /// Waits until every node has ended, or the time is over; says whether they have.
    pub(super) fn wait_ended(&self, limit: Option<Duration>) -> bool {
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
