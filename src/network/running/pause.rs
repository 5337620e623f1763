//! Pauses nodes for a change, one after the other from upstream to downstream, and lets them go on.

use super::fragment::PlannedPause;
use crate::error::{Error, ErrorKind, Result};
use crate::network::control::{Control, Pause};
use crate::network::id::NodeId;
use crate::network::limits::STOP_LIMIT;
use crate::network::members::{Shared, State};
use crate::time::{format_duration, monotonic};
use std::sync::Arc;
use std::time::Duration;

/// How often it is checked meanwhile whether the change goes on.
const POLL: Duration = Duration::from_millis(50);

/// Nodes that were asked to pause. They go on without the change when this is dropped, unless they were
/// resumed before.
pub(super) struct Paused {
    shared: Arc<Shared>,
    nodes: Vec<NodeId>,
}

impl Paused {
    pub fn new(shared: Arc<Shared>) -> Self {
        Paused {
            shared,
            nodes: Vec::new(),
        }
    }

    /// Asks a node to pause; what it reports comes by the channel, which ends without a report where the
    /// node has ended.
    pub fn request(&mut self, pause: PlannedPause) -> flume::Receiver<Result<()>> {
        let PlannedPause {
            node,
            drain,
            successor,
        } = pause;
        let (report, paused) = flume::bounded(1);
        if let Some(member) = self.shared.lock().members.get(&node) {
            let _ = member.control.send(Control::Pause(Pause {
                drain,
                successor,
                report,
            }));
        }
        self.nodes.push(node);
        paused
    }

    /// Pauses these nodes. Each has the drain limit to reach its next boundary, and its successor to
    /// open; `go_on` is asked meanwhile.
    pub fn pause_all(
        &mut self,
        pauses: Vec<PlannedPause>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        for pause in pauses {
            let node = pause.node;
            let paused = self.request(pause);
            let until = monotonic() + STOP_LIMIT;
            loop {
                match paused.recv_deadline(until.min(monotonic() + POLL)) {
                    Ok(report) => break report?,
                    Err(flume::RecvTimeoutError::Disconnected) => return Err(self.has_ended(node)),
                    Err(flume::RecvTimeoutError::Timeout) => {}
                }
                if self.shared.lock().ending || !go_on() {
                    let message = "the network is ending and takes in nothing new";
                    return Err(Error::new(ErrorKind::Closed, message));
                }
                if monotonic() >= until {
                    return Err(self.has_not_paused(node));
                }
            }
        }
        Ok(())
    }

    /// The same for a node that has done all that it can do now.
    pub fn must_have_paused(
        &self,
        node: NodeId,
        paused: &flume::Receiver<Result<()>>,
    ) -> Result<()> {
        match paused.try_recv() {
            Ok(report) => report,
            Err(flume::TryRecvError::Disconnected) => Err(self.has_ended(node)),
            Err(flume::TryRecvError::Empty) => Err(self.has_not_paused(node)),
        }
    }

    fn name(&self, node: NodeId) -> String {
        let state = self.shared.lock();
        let member = state.members.get(&node);
        member.map_or_else(String::new, |member| member.name.to_string())
    }

    fn has_ended(&self, node: NodeId) -> Error {
        let message = format!("node {} has ended", self.name(node));
        Error::new(ErrorKind::Closed, message)
    }

    fn has_not_paused(&self, node: NodeId) -> Error {
        let (name, limit) = (self.name(node), format_duration(STOP_LIMIT));
        let message = format!("node {name} did not come to the end of its batch within {limit}");
        Error::new(ErrorKind::Unavailable, message)
            .with_hint("it, or a node that it sends to, takes nothing at present")
    }

    /// The change is made: all go on with it.
    pub fn resume(&mut self, state: &State) {
        for node in self.nodes.drain(..) {
            if let Some(member) = state.members.get(&node) {
                let _ = member.control.send(Control::Resume(true));
            }
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let state = self.shared.lock();
        for node in self.nodes.drain(..) {
            if let Some(member) = state.members.get(&node) {
                let _ = member.control.send(Control::Resume(false));
            }
        }
    }
}
