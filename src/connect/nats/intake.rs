//! Bounds what comes from a server and was not taken by the node yet. The client has no limit for it: it
//! keeps a message until all of it has arrived, whatever length its header declares.
//!
//! The invariant: while anything is waited for, no more than [`MOST`] bytes are read beyond what the
//! node has taken. The client counts what it reads; the size of what was taken is estimated from above.

use async_nats::{Message, Statistics};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How many bytes may be unread: more than the longest message of a server, which has 64 MiB.
pub(super) const MOST: u64 = 72 << 20;
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);
/// What a message has beside subject, reply subject, headers and payload, at most.
const OVERHEAD: u64 = 64;

pub(super) struct Intake {
    statistics: Arc<Statistics>,
    /// How many of the bytes that were read were taken.
    taken: Cell<u64>,
}

impl Intake {
    pub fn new(statistics: Arc<Statistics>) -> Self {
        let taken = Cell::new(0);
        Intake { statistics, taken }
    }

    fn read(&self) -> u64 {
        self.statistics.in_bytes.load(Ordering::Relaxed)
    }

    /// The node has taken a message.
    pub fn take(&self, message: &Message) {
        let taken = self.taken.get() + message.length as u64 + OVERHEAD;
        self.taken.set(taken.min(self.read()));
    }

    pub fn is_flooded(&self) -> bool {
        self.read() - self.taken.get() > MOST
    }

    /// Waits until too much is unread.
    pub async fn flooded(&self) {
        while !self.is_flooded() {
            tokio::time::sleep(LOOK).await;
        }
    }
}
