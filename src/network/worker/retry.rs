//! Retryable errors: the node is opened again after a pause, and the batch fed once more.
//!
//! To be stalled is a state of the worker and not a loop: it hears control meanwhile, keeps the
//! order, and serves virtual time too. The pauses grow until something succeeds.

use super::{Phase, Worker};
use crate::error::{Error, Result};
use crate::event::Batch;
use crate::network::stats::add;
use crate::time::{Timestamp, format_duration};
use std::time::Duration;

/// The node is to be opened again, and the batch to be fed again.
pub(super) struct Stalled {
    pub batch: Option<Batch>,
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
    pub(super) fn stall_on(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.stall(None, &error);
        }
    }

    pub(super) fn stall(&mut self, batch: Option<Batch>, error: &Error) {
        let pause = backoff(self.attempts);
        self.attempts += 1;
        log::warn!(
            "node {}: {error}; it is opened again in {} (attempt {})",
            self.stage.name,
            format_duration(pause),
            self.attempts
        );
        // A stalled batch is never displaced by a second error.
        let batch = batch.or_else(|| self.stalled.take().and_then(|stalled| stalled.batch));
        let since = self.stage.now();
        self.stalled = Some(Stalled {
            batch,
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
                        Err(error) => return self.stall(stalled.batch, &error),
                    }
                }
                if let Some(batch) = stalled.batch {
                    self.feed(batch);
                }
            }
            Err(error) if error.is_retryable() => self.stall(stalled.batch, &error),
            Err(error) => {
                self.shared.fail(&self.stage.name, error);
                self.close();
                self.phase = Phase::Done;
            }
        }
    }
}
