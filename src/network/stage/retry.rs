//! A batch that is to be fed again.

use crate::error::Error;
use crate::event::Batch;
use std::time::Duration;

/// Why a batch was not taken: the rest of it is to be fed again.
pub(crate) struct Retry {
    pub batch: Batch,
    pub error: Error,
    /// How often the first of them was tried and rejected.
    pub tried: u32,
    /// When to try that again; `None` where the node is lost, and is to be opened before.
    pub pause: Option<Duration>,
}
