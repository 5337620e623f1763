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
        if let Some(known) = self.known() {
            return known;
        }
        let sent = send();
        if !sent.as_ref().is_err_and(Error::is_retryable) {
            self.add(sent.clone());
            self.at += 1;
        }
        sent
    }

    /// What became of the event in hand when the batch was fed before.
    pub fn known(&mut self) -> Option<Result<()>> {
        let known = self.done.get(self.at)?.clone();
        self.at += 1;
        Some(known.map_or(Ok(()), Err))
    }

    /// What became of the next event of the batch, for a sink that sends several together.
    pub fn add(&mut self, sent: Result<()>) {
        self.done.push(sent.err());
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
