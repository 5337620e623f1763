//! Waiting for room in several links at once.

use super::sending::{LinkTimeout, PendingSend};
use crate::network::stats::Stopwatch;
use crate::time::monotonic;
use std::time::Instant;

/// The node that sends, as far as a wait for room needs it.
pub(crate) trait SendContext {
    /// Whether the network is being aborted.
    fn is_aborted(&self) -> bool;

    /// Waits until a link may have room, or until this instant.
    fn wait(&mut self, until: Option<Instant>) -> Woken;

    /// Counts the time of waiting for the node.
    fn blocked(&self) -> &Stopwatch;

    /// A receiver has taken nothing for as long as its link allows.
    fn timed_out(&mut self, timeout: LinkTimeout);
}

/// Why a wait has ended.
pub(crate) enum Woken {
    /// A link may have room.
    Room,
    /// The instant has come.
    Deadline,
    /// The network is being aborted.
    Abort,
}

/// The network is being aborted.
pub(crate) struct Aborted;

/// Waits until all of these are in their links.
pub(crate) fn wait(
    mut pending: Vec<PendingSend<'_>>,
    context: &mut impl SendContext,
) -> Result<(), Aborted> {
    context.blocked().start(monotonic());
    let mut done = Ok(());
    // An abort may have come before this began, while the node was in its own code.
    if context.is_aborted() {
        pending.clear();
        done = Err(Aborted);
    }
    while !pending.is_empty() {
        let until = pending.iter().filter_map(PendingSend::deadline).min();
        match context.wait(until) {
            Woken::Room => {}
            Woken::Deadline => {
                let is_over =
                    |send: &PendingSend<'_>| send.deadline().is_some_and(|at| Some(at) <= until);
                for send in pending.iter_mut().filter(|send| is_over(send)) {
                    if let Some(timeout) = send.expire() {
                        context.timed_out(timeout);
                    }
                }
            }
            Woken::Abort => {
                pending.clear();
                done = Err(Aborted);
            }
        }
        pending.retain_mut(|send| !send.advance());
    }
    context.blocked().stop(monotonic());
    done
}
