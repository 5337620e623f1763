//! Limits that hold for a whole network.

use crate::payload::MAX_EVENT_BYTES;
use std::time::Duration;

/// How long [`Network::stop`](super::Network::stop) waits for everything to drain.
pub const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How often a node may panic in a row before it has failed.
const PANIC_LIMIT: u32 = 10;

/// The limits of each node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// After this many panics in a row a node has failed.
    pub panics: u32,
    /// The largest payload that a source may send, in bytes.
    pub event_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            panics: PANIC_LIMIT,
            event_bytes: MAX_EVENT_BYTES,
        }
    }
}
