//! The stopwatch of a flow: it runs from the first event's making to the last one's arrival.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

pub struct Watch {
    begun: OnceLock<Instant>,
    ended: OnceLock<Instant>,
    ends: AtomicUsize,
    host: Thread,
}

impl Watch {
    /// A stopwatch for a flow with so many ends, to be waited for by this thread.
    pub fn new(ends: usize) -> Arc<Self> {
        Arc::new(Watch {
            begun: OnceLock::new(),
            ended: OnceLock::new(),
            ends: AtomicUsize::new(ends),
            host: thread::current(),
        })
    }

    /// A source is about to make its first event.
    pub fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// One end of the flow has got all that it gets.
    pub fn end(&self) {
        if self.ends.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ended.get_or_init(Instant::now);
            self.host.unpark();
        }
    }

    /// Waits for the end; returns how long the flow took.
    pub fn wait(&self) -> Duration {
        loop {
            if let (Some(begun), Some(ended)) = (self.begun.get(), self.ended.get()) {
                return ended.duration_since(*begun);
            }
            thread::park();
        }
    }
}
