//! How far a batch has come at a sink that sends its events one by one.

use crate::error::{Error, Result};

/// Sends each event of a batch once, also when the batch is fed again after a retryable error: what
/// was sent is not sent again, and what was refused is refused again.
///
/// A sink calls [`once`](Self::once) from `write`, [`commit`](Self::commit) at the end of its
/// `commit` and [`rollback`](Self::rollback) from `rollback`.
#[derive(Debug, Default)]
pub struct Progress {
    done: Vec<Option<Error>>,
    at: usize,
}

impl Progress {
    /// Sends the event in hand, unless that was done before.
    ///
    /// # Errors
    /// Those of `send`, then or now. One that is retryable is not kept.
    pub fn once(&mut self, send: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.at == self.done.len() {
            match send() {
                Err(error) if error.is_retryable() => return Err(error),
                sent => self.done.push(sent.err()),
            }
        }
        let known = self.done[self.at].clone();
        self.at += 1;
        known.map_or(Ok(()), Err)
    }

    /// The batch is done.
    pub fn commit(&mut self) {
        self.done.clear();
        self.at = 0;
    }

    /// The batch will come again.
    pub fn rollback(&mut self) {
        self.at = 0;
    }
}
