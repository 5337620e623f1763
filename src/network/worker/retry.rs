//! Retryable errors: the node is opened again after a pause, and the batch fed once more.
//!
//! To be stalled is a state of the worker and not a loop: it hears control meanwhile, keeps the
//! order, and serves virtual time too.

use super::{Phase, Worker};
use crate::error::Error;
use crate::event::Batch;
use crate::network::stats::add;
use crate::time::Timestamp;
use std::time::Duration;

/// A retryable error: the node is to be opened again, and the batch to be fed again.
pub(super) struct Stalled {
    pub batch: Option<Batch>,
    pub attempt: u32,
    pub until: Timestamp,
}

/// The pause before a node is opened again: 100 ms, doubled at each attempt up to 3 s.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(100 << attempt.min(5)).min(Duration::from_secs(3))
}

impl Worker {
    pub(super) fn stall_on(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.stall(None, &error);
        }
    }

    pub(super) fn stall(&mut self, batch: Option<Batch>, error: &Error) {
        self.stall_after(batch, error, 0);
    }

    pub(super) fn stall_after(&mut self, batch: Option<Batch>, error: &Error, attempt: u32) {
        let pause = backoff(attempt);
        log::warn!(
            "node {}: {error}; it is opened again in {pause:?} (attempt {})",
            self.stage.name,
            attempt + 1
        );
        // A stalled batch is never displaced by a second error.
        let batch = batch.or_else(|| self.stalled.take().and_then(|stalled| stalled.batch));
        let until = self.stage.now().after(pause);
        self.stalled = Some(Stalled {
            batch,
            attempt: attempt + 1,
            until,
        });
    }

    /// When the present pause began; a clock that was set back since does not lengthen it.
    pub(super) fn stall_began(&self) -> Timestamp {
        match &self.stalled {
            Some(stalled) => stalled.until.before(backoff(stalled.attempt - 1)),
            None => Timestamp::MAX,
        }
    }

    pub(super) fn reopen(&mut self) {
        let Some(stalled) = self.stalled.take() else {
            return;
        };
        add(&self.stage.account.reopened, 1);
        match self.stage.open() {
            Ok(()) => {
                if let Some(batch) = stalled.batch {
                    self.feed_again(batch, stalled.attempt);
                }
                if self.stalled.is_none() {
                    log::info!("node {}: open again", self.stage.name);
                }
            }
            Err(error) if error.is_retryable() => {
                self.stall_after(stalled.batch, &error, stalled.attempt);
            }
            Err(error) => {
                self.shared.fail(&self.stage.name, error);
                self.close();
                self.phase = Phase::Done;
            }
        }
    }
}
