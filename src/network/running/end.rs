//! How a network ends: by itself, drained, or aborted.

use super::node_thread::NodeThread;
use crate::error::{Error, ErrorKind, Result};
use crate::network::control::Control;
use crate::network::limits::STOP_LIMIT;
use crate::network::members::Shared;
use crate::time::{format_duration, monotonic};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long aborted nodes have to notice.
const ABORT_LIMIT: Duration = Duration::from_millis(500);

/// Ends a network. Clones end the same network.
#[derive(Clone)]
pub(crate) struct End(pub(super) Arc<Shared>);

impl End {
    /// Whether the calling thread is one of the network's own nodes.
    pub fn is_own_node(&self) -> bool {
        NodeThread::is_of(&self.0)
    }

    /// Whether the network was aborted or a node given up: then the account need not balance.
    pub fn was_aborted(&self) -> bool {
        let state = self.0.lock();
        state.aborted || state.abandoned
    }

    /// Asks every node to stop: no more input will come.
    pub fn request(&self) {
        self.0.broadcast(|| Control::Stop);
    }

    /// Ends all nodes at once; what is in hand fails.
    pub fn abort(&self) {
        self.0.lock().aborted = true;
        self.0.broadcast(|| Control::Abort);
    }

    /// Waits until every node has ended by itself.
    pub fn wait(&self) -> Result<()> {
        if self.is_own_node() {
            return Err(Error::new(
                ErrorKind::Failed,
                "a node cannot wait for its own network",
            ));
        }
        if self.0.wait_ended(None) {
            return self.join();
        }
        self.give_up(STOP_LIMIT)
    }

    /// Waits at most so long until every node has ended by itself; `None` when some have not.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Result<()>> {
        if self.0.wait_ended(Some(limit)) {
            return Some(self.join());
        }
        let given_up = self.0.is_given_up();
        given_up.then(|| self.give_up(STOP_LIMIT))
    }

    /// Stops, and waits at most `limit` until everything is drained; then aborts what is left.
    pub fn stop(&self, limit: Duration) -> Result<()> {
        self.request();
        if self.is_own_node() {
            return Ok(());
        }
        if self.0.wait_ended(Some(limit)) {
            return self.join();
        }
        self.give_up(limit)
    }

    /// Aborts what has not drained, after so long a wait, and names it.
    pub fn give_up(&self, waited: Duration) -> Result<()> {
        self.request();
        if self.is_own_node() {
            return Ok(());
        }
        if self.0.wait_ended(Some(Duration::ZERO)) {
            return self.join();
        }
        let undrained = self.undrained();
        self.abort();
        let stuck = if self.0.wait_ended(Some(ABORT_LIMIT)) {
            Vec::new()
        } else {
            self.alive()
        };
        let joined = self.join();
        let mut message = format!(
            "not drained within {}: {}",
            format_duration(waited),
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
            .values()
            .filter(|m| !m.ended)
            .map(|m| m.name.to_string())
            .collect()
    }

    /// What had not ended, with what it had in hand, and what waited in links or for an outcome.
    fn undrained(&self) -> Vec<String> {
        let state = self.0.lock();
        let alive = state.members.values().filter(|member| !member.ended);
        alive
            .map(|member| {
                let node = member.stats(monotonic());
                let held = (node.held > 0).then(|| format!("{} events in hand", node.held));
                let open = node
                    .tracked
                    .saturating_sub(node.delivered + node.undelivered);
                let open = (open > 0).then(|| format!("{open} events without an outcome"));
                let sending = member.account.sending.load(Ordering::Relaxed);
                let sending = (sending > 0).then(|| format!("sending {sending} events"));
                let what: Vec<String> = held.into_iter().chain(sending).chain(open).collect();
                if what.is_empty() {
                    format!("node {}", member.name)
                } else {
                    format!("node {} ({})", member.name, what.join(", "))
                }
            })
            .chain(state.links.values().filter_map(|link| {
                let queued = link.account.queued();
                (queued > 0).then(|| format!("link {link} ({queued} events waiting)"))
            }))
            .collect()
    }

    /// The first node that failed.
    pub fn failure(&self) -> Option<Error> {
        self.0.lock().failures.first().cloned()
    }

    /// Joins the threads that have ended; reports the first failure.
    fn join(&self) -> Result<()> {
        let mut state = self.0.lock();
        let ended = state.members.values_mut().filter(|member| member.ended);
        let threads: Vec<JoinHandle<()>> =
            ended.filter_map(|member| member.thread.take()).collect();
        drop(state);
        for thread in threads {
            let _ = thread.join();
        }
        self.failure().map_or(Ok(()), Err)
    }
}
