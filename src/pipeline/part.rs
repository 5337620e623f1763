//! How much of what a node has held leaves in one call: what is emitted in a call waits in memory until
//! the call is over, and the rest is not doubled by it.

/// The most events and bytes of a part; the last event may be larger.
const EVENTS: usize = 4_096;
const BYTES: usize = 4 << 20;

/// What has left in this call.
#[derive(Debug, Default)]
pub(super) struct Part {
    events: usize,
    bytes: usize,
}

impl Part {
    /// Counts an event that leaves.
    pub fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes;
    }

    /// Whether the rest is for the next call.
    pub fn is_full(&self) -> bool {
        self.events >= EVENTS || self.bytes >= BYTES
    }
}
