//! Retryable errors: the node is opened again after a pause, and what it had in hand fed once more.
//!
//! To be stalled is a state of the worker and not a loop: it hears control meanwhile, keeps the
//! order, and serves virtual time too. The pauses grow until something succeeds.

use super::input::Handful;
use super::{Phase, Worker};
use crate::error::{Error, Result};
use crate::network::stats::add;
use crate::time::{Timestamp, format_duration};
use std::time::Duration;

/// The node is to be opened again, and what it had in hand to be fed again.
pub(super) struct Stalled {
    /// One of them, or none; more where a simulation handed them in meanwhile.
    pub handfuls: Vec<Handful>,
    since: Timestamp,
    pub until: Timestamp,
}

impl Stalled {
    /// Whether the pause is over; a clock that was set back does not lengthen it.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until || now < self.since
    }
}

/// The pause before a node is opened again: 100 ms, doubled at each attempt up to 3 s.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(100 << attempt.min(5)).min(Duration::from_secs(3))
}

impl Worker {
    /// Opens the node for the first time; an error names it.
    pub fn open(&mut self) -> Result<()> {
        let opened = self.stage.open();
        opened.map_err(|error| error.within(format!("node {}", self.stage.name)))
    }

    /// The same of a node that may be opened later: an error that trying again may mend is none.
    pub fn open_or_stall(&mut self) -> Result<()> {
        match self.stage.open() {
            Err(error) if error.is_retryable() => {
                self.stall(Vec::new(), &error);
                Ok(())
            }
            Err(error) => Err(error.within(format!("node {}", self.stage.name))),
            Ok(()) => Ok(()),
        }
    }

    pub(super) fn stall_on(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.stall(Vec::new(), &error);
        }
    }

    pub(super) fn stall(&mut self, mut handfuls: Vec<Handful>, error: &Error) {
        let pause = backoff(self.attempts);
        self.attempts += 1;
        log::warn!(
            "node {}: {error}; it is opened again in {} (attempt {})",
            self.stage.name,
            format_duration(pause),
            self.attempts
        );
        // What waits already is never displaced by a second error.
        if let Some(stalled) = self.stalled.take() {
            handfuls.extend(stalled.handfuls);
        }
        let since = self.stage.now();
        self.stalled = Some(Stalled {
            handfuls,
            since,
            until: since.after(pause),
        });
    }

    pub(super) fn reopen(&mut self) {
        let Some(stalled) = self.stalled.take() else {
            return;
        };
        add(&self.stage.account.reopened, 1);
        match self.stage.open() {
            Ok(()) => {
                log::info!("node {}: open again", self.stage.name);
                if self.unsettled {
                    match self.stage.commit_again() {
                        Ok(()) => self.unsettled = false,
                        Err(error) => return self.stall(stalled.handfuls, &error),
                    }
                }
                for handful in stalled.handfuls {
                    match &mut self.stalled {
                        None => self.feed(handful),
                        Some(again) => again.handfuls.push(handful),
                    }
                }
            }
            Err(error) if error.is_retryable() => self.stall(stalled.handfuls, &error),
            Err(error) => {
                self.shared.fail(&self.stage.name, error);
                self.close();
                self.phase = Phase::Done;
            }
        }
    }
}
