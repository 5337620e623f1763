//! A change of a running node: it pauses between two batches, its successor is opened, and it goes on with
//! the one or the other.
//!
//! A node that is paused takes no events and is not ticked; it still handles messages and outcomes.
//! Where its successor continues with its state, the successor is in its place from then on. Otherwise
//! the node finishes once the change is certain: it lets go what it holds back and gets the
//! outcomes that it waits for, and then the successor begins.

use super::{Phase, Step, Worker};
use crate::error::{Error, ErrorKind};
use crate::name::Port;
use crate::network::control::Pause;
use crate::network::link::LinkReceiver;
use crate::network::routes::{Route, Routes};
use crate::network::stage::{Prepared, Standby};
use crate::network::stats::NodeState;
use std::collections::HashMap;

/// What a change asks of a node.
pub(super) enum Change {
    /// It is to pause as soon as these links are empty.
    Requested(Pause),
    /// It is paused, and its successor, if any, is open.
    Paused(Option<Prepared>),
    /// The change is made: it finishes, unless it is lost, then the successor takes its place.
    Finishing {
        new: Standby,
        finished: bool,
        /// The request of the next change, which is met then.
        next: Option<Pause>,
    },
}

impl Worker {
    pub(super) fn is_paused(&self) -> bool {
        matches!(self.change, Some(Change::Paused(_)))
    }

    /// Whether it takes no more events: it is paused, or finishes.
    pub(super) fn is_held(&self) -> bool {
        matches!(
            self.change,
            Some(Change::Paused(_) | Change::Finishing { .. })
        )
    }

    pub(super) fn request_pause(&mut self, pause: Pause) {
        match &mut self.change {
            None if self.phase == Phase::Work => {
                self.change = Some(Change::Requested(pause));
                return;
            }
            Some(Change::Finishing { next, .. }) => {
                *next = Some(pause);
                return;
            }
            _ => {}
        }
        let error = format!("node {} has ended", self.stage.name);
        let _ = pause.report.send(Err(Error::new(ErrorKind::Closed, error)));
    }

    /// Takes part in a change, between two batches; `None` where the node works on.
    pub(super) fn take_part(&mut self, busy: bool) -> Option<Step> {
        if self.phase != Phase::Work {
            // Its report ends with the request.
            self.change = None;
            return None;
        }
        match self.change.take()? {
            Change::Requested(pause) => {
                let lost = self.is_lost();
                let waits =
                    |link: &LinkReceiver| pause.drain.contains(&link.id) && !link.rx.is_empty();
                // One that is lost would never empty them: its successor does.
                if !lost && self.inputs.iter().any(waits) {
                    self.change = Some(Change::Requested(pause));
                    return None;
                }
                self.pause_for(pause);
                Some(Step::Busy)
            }
            Change::Paused(prepared) => {
                self.change = Some(Change::Paused(prepared));
                Some(if busy { Step::Busy } else { Step::Idle })
            }
            Change::Finishing {
                new,
                finished,
                next,
            } => self.finish_for(new, finished, next, busy),
        }
    }

    /// Whether the node waits to be opened again.
    fn is_lost(&self) -> bool {
        self.stalled.as_ref().is_some_and(|stalled| stalled.lost)
    }

    fn pause_for(&mut self, pause: Pause) {
        let lost = self.is_lost();
        let prepared = match pause.successor {
            None => Ok(None),
            Some(successor) => self.stage.prepare(successor, lost).map(Some),
        };
        match prepared {
            Ok(prepared) => {
                let in_place = matches!(prepared, Some(Prepared::InPlace(_)));
                self.change = Some(Change::Paused(prepared));
                if in_place {
                    self.relabel();
                }
                let _ = pause.report.send(Ok(()));
            }
            Err((error, reopened)) => {
                let error = error.within(format!("node {}", self.stage.name));
                let _ = pause.report.send(Err(error));
                self.open_again(reopened);
            }
        }
    }

    /// The change is made, or undone.
    pub(super) fn resume_from_change(&mut self, made: bool) {
        match self.change.take() {
            Some(Change::Paused(Some(prepared))) if !made => {
                let in_place = matches!(prepared, Prepared::InPlace(_));
                let opened = self.stage.undo(prepared);
                if in_place {
                    self.relabel();
                }
                self.open_again(opened.err());
            }
            Some(Change::Paused(Some(Prepared::Waiting(new)))) => {
                // A node that is lost cannot finish.
                let finished = self.is_lost();
                let next = None;
                self.change = Some(Change::Finishing {
                    new,
                    finished,
                    next,
                });
            }
            Some(Change::Paused(Some(Prepared::InPlace(old)))) => {
                drop(old);
                self.begin_successor();
            }
            // A request that was not met yet is withdrawn.
            Some(Change::Paused(None) | Change::Requested(_)) | None => {}
            Some(Change::Finishing { new, finished, .. }) => {
                let next = None;
                self.change = Some(Change::Finishing {
                    new,
                    finished,
                    next,
                });
            }
        }
        self.alarm = None;
    }

    /// The old node finishes; then the successor takes its place.
    fn finish_for(
        &mut self,
        new: Standby,
        mut finished: bool,
        next: Option<Pause>,
        busy: bool,
    ) -> Option<Step> {
        if !finished && self.stalled.is_none() {
            finished = self.finish_node();
        }
        let step = match &self.stalled {
            // It became lost while it finished.
            Some(stalled) if !finished => {
                let (is_over, lost) = (stalled.is_over(self.stage.now()), stalled.lost);
                self.step_stalled(is_over, lost, busy)
            }
            None if self.stage.outstanding() > 0 && busy => Step::Busy,
            None if self.stage.outstanding() > 0 => Step::Idle,
            _ => {
                let opened = self.stage.install(new);
                self.relabel();
                self.unsettled = false;
                self.change = next.map(Change::Requested);
                match opened {
                    Ok(()) => self.begin_successor(),
                    failed => self.open_again(failed.err()),
                }
                return Some(Step::Busy);
            }
        };
        self.change = Some(Change::Finishing {
            new,
            finished,
            next,
        });
        Some(step)
    }

    /// Lets go what the node holds back; returns whether that is all, or it stalls.
    fn finish_node(&mut self) -> bool {
        loop {
            match self.stage.finish() {
                Ok(again) => {
                    // An abort that comes meanwhile is handled next.
                    let _ = self.deliver();
                    if !again {
                        return true;
                    }
                }
                Err(error) => {
                    self.stall(Vec::new(), &error);
                    return false;
                }
            }
        }
    }

    /// A successor is in place: what was in hand is fed to it at once.
    fn begin_successor(&mut self) {
        self.attempts = 0;
        self.read_again = None;
        self.stage.account.set_state(NodeState::Open);
        let stalled = self.stalled.take();
        if std::mem::take(&mut self.unsettled)
            && let Err(error) = self.stage.commit_again()
        {
            self.unsettled = true;
            let batches = stalled.map_or_else(Vec::new, |stalled| stalled.batches);
            return self.stall(batches, &error);
        }
        if let Some(stalled) = stalled {
            self.feed_again(stalled.batches);
        }
    }

    /// The node was opened again after a successor that did not open; or it was not.
    fn open_again(&mut self, failure: Option<Error>) {
        match failure {
            None => {}
            Some(error) if error.is_retryable() => self.stall(Vec::new(), &error),
            Some(error) => {
                self.shared.fail(self.id, error);
                self.close();
                self.phase = Phase::Done;
            }
        }
    }

    /// The ports have new numbers: the routes move to those of their names.
    fn relabel(&mut self) {
        let mut routes: HashMap<_, Routes> = self
            .port_names
            .drain(..)
            .zip(self.routes.drain(..))
            .collect();
        self.port_names = self.stage.ports().to_vec();
        let names = self.port_names.iter();
        self.routes = names
            .map(|port| routes.remove(port).unwrap_or_default())
            .collect();
        for (port, route) in std::mem::take(&mut self.later_routes) {
            self.add_route(port, route);
        }
        self.relink();
    }

    /// Adds a route to the port of this name, or keeps it for the successor that has one.
    pub(super) fn add_route(&mut self, port: Port, route: Route) {
        match self.port_names.iter().position(|name| *name == port) {
            Some(index) => self.routes[index].add(route),
            None => self.later_routes.push((port, route)),
        }
    }

    /// Notes which ports lead somewhere.
    pub(super) fn relink(&mut self) {
        let linked = self.routes.iter().map(|routes| !routes.is_empty());
        self.stage.set_linked(linked.collect());
    }
}
