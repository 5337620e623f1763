//! Starting a network, stopping it, and waiting for its end.

use super::limits::STOP_LIMIT;
use super::running::{self, End, Running};
use super::{Inner, Network, Phase, Simulation, State, Stats};
use crate::error::{Error, ErrorKind, Result};
use crate::time::{SystemClock, Timestamp};
use std::sync::Arc;
use std::time::Duration;

impl State {
    fn lock_files(&mut self) -> Result<()> {
        match &mut self.phase {
            Phase::Built(nodes) => running::lock(&self.graph, nodes),
            _ => Ok(()),
        }
    }
}

impl Network {
    /// Locks the files that nodes of a network that was not started [claim](crate::Node::claims): all of
    /// them, or none. [`start`](Self::start) does so too; this is for callers that wait for the locks. A
    /// network that is dropped releases them.
    ///
    /// # Errors
    /// A file that is in use ([`ErrorKind::Locked`]), or whose lock file cannot be made.
    pub fn lock_files(&self) -> Result<()> {
        self.lock().lock_files()
    }

    /// Starts a thread for each node, waits until each has opened, and lets the sources begin. A
    /// node that may be opened later is opened later, see [`fail_fast`](Self::fail_fast).
    ///
    /// # Errors
    /// A file that is in use ([`ErrorKind::Locked`]): then nothing was opened, and the network may be
    /// started once more. A node that does not open otherwise: then every thread has ended again, and the network may be
    /// started once more only if it is built again. A second start, a start after the end.
    pub fn start(&self) -> Result<()> {
        self.start_while(|| true)
    }

    /// The same, for a start that can be stopped: while nodes open, `go_on` is called every 50 ms, and
    /// where it returns false the start ends.
    ///
    /// # Errors
    /// Those of [`start`](Self::start), and [`ErrorKind::Closed`] for a start that was stopped. A node that is
    /// still opening then is left behind, until its attempt is over.
    pub fn start_while(&self, mut go_on: impl FnMut() -> bool) -> Result<()> {
        let mut state = self.lock();
        state.lock_files()?;
        let nodes = match &mut state.phase {
            Phase::Built(nodes) => std::mem::take(nodes),
            Phase::Running(_) => return Err(Error::data("the network is running already")),
            Phase::Ended => {
                return Err(Error::data(
                    "the network has ended and does not start again",
                ));
            }
            Phase::Simulated => return Err(Error::data("the network is being simulated")),
        };
        let settled = state.graph.settled(|_| false);
        if settled.edges().count() > state.graph.edges().count() {
            // A draft begun before lacks these links.
            state.version += 1;
        }
        state.graph = settled;
        for unlinked in state.graph.unlinked() {
            log::warn!("{unlinked}");
        }
        let mut running = Running::new(Arc::new(SystemClock), true, state.limits)?;
        running.fail_fast = state.fail_fast;
        *self.0.end.lock() = Some(running.end());
        self.0.show_start(&state.graph, running.shared());
        let fragment = running.build(&state.graph, nodes, Vec::new());
        let launched = running.launch(fragment, &mut go_on);
        if launched.is_err() {
            *self.0.end.lock() = None;
            state.phase = Phase::Ended;
            self.0.show_end(&Stats::default());
            return launched;
        }
        self.0.show_running();
        state.phase = Phase::Running(running);
        Ok(())
    }

    /// Turns the network into a simulation that starts at this instant.
    ///
    /// # Errors
    /// A node that does not open; a network that was started.
    pub fn simulate(&self, start: Timestamp) -> Result<Simulation> {
        let mut state = self.lock();
        state.lock_files()?;
        let Phase::Built(nodes) = &mut state.phase else {
            return Err(Error::data(
                "only a network that was not started can be simulated",
            ));
        };
        let nodes = std::mem::take(nodes);
        state.phase = Phase::Simulated;
        state.graph = state.graph.settled(|_| false);
        Simulation::new(state.graph.clone(), nodes, start, state.limits)
    }

    fn end(&self) -> Option<End> {
        self.0.end.lock().clone()
    }

    /// Asks the network to stop and returns at once: for signal handlers and for nodes.
    pub fn request_stop(&self) {
        if let Some(end) = self.end() {
            end.request();
        }
    }

    /// Stops within [`STOP_LIMIT`]: sources stop reading, what they sent drains, threads are
    /// joined. A second stop, and a stop before the start, do nothing. Called by a node's own
    /// code it returns at once, as [`Network::request_stop`] does.
    ///
    /// # Errors
    /// See [`Network::stop_within`].
    pub fn stop(&self) -> Result<()> {
        self.stop_within(STOP_LIMIT)
    }

    /// Stops within this time; what has not drained by then is aborted.
    ///
    /// # Errors
    /// [`ErrorKind::DrainTimeout`], which names the nodes that had not drained, with what they had in
    /// hand, the links in which something waited, and those nodes whose threads had to be left behind; the first node that had failed.
    pub fn stop_within(&self, limit: Duration) -> Result<()> {
        let Some(end) = self.end() else { return Ok(()) };
        let stopped = end.stop(limit);
        if end.is_own_node() {
            return stopped;
        }
        self.close(stopped)
    }

    /// Aborts what has not drained since [`request_stop`](Self::request_stop), for a caller that has waited
    /// that long itself.
    ///
    /// # Errors
    /// Those of [`Network::stop_within`], where something had not drained.
    pub fn give_up(&self, waited: Duration) -> Result<()> {
        let Some(end) = self.end() else { return Ok(()) };
        let ended = end.give_up(waited);
        if end.is_own_node() {
            return ended;
        }
        self.close(ended)
    }

    /// Ends the network at once: what is under way counts as failed.
    pub fn abort(&self) {
        if let Some(end) = self.end() {
            end.abort();
        }
    }

    /// Waits until the network has ended: by itself, when its sources have, or because it was stopped.
    ///
    /// # Errors
    /// The first node that had failed. Called by a node's own code: it would wait for itself.
    pub fn wait(&self) -> Result<()> {
        let Some(end) = self.end() else { return Ok(()) };
        let waited = end.wait();
        if end.is_own_node() {
            return waited;
        }
        self.close(waited)
    }

    /// Waits at most `limit` until the network has ended; `None` when it has not.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Result<()>> {
        match self.end() {
            None => Some(Ok(())),
            Some(end) => end.wait_timeout(limit).map(|ended| self.close(ended)),
        }
    }

    /// Every node has ended, or was left behind: checks the account and keeps it.
    fn close(&self, ended: Result<()>) -> Result<()> {
        let mut state = self.lock();
        let State { phase, graph, .. } = &mut *state;
        let Phase::Running(running) = phase else {
            return ended;
        };
        if !running.all_ended() && ended.is_ok() {
            // It was extended since.
            return ended;
        }
        let aborted = running.end().was_aborted();
        let stats = running.stats(graph);
        running.log_losses();
        running.join_timer();
        let breaches = stats.breaches();
        *phase = Phase::Ended;
        self.0.show_end(&stats);
        *self.0.end.lock() = None;
        if ended.is_ok() && !aborted && !breaches.is_empty() {
            let message = format!("the account does not balance: {}", breaches.join("; "));
            log::error!("{message}");
            return Err(Error::new(ErrorKind::Failed, message));
        }
        ended
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Phase::Running(running) = &mut self.state.get_mut().phase {
            if let Err(error) = running.end().stop(STOP_LIMIT) {
                log::error!("{error}");
            }
            running.log_losses();
            running.join_timer();
        }
    }
}
