//! Since when the oldest event waits in a link.
//!
//! The sender notes now and then how much it had sent at which instant. The oldest event that waits was sent
//! after the last note that is no later than what was taken. Notes are a millisecond apart, and further where
//! events wait long, so that there are never many: what is shown is too long by that much at most.

use parking_lot::Mutex;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::VecDeque;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The most notes.
const NOTES: usize = 64;
/// The least time between two notes.
const STEP: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct WaitingSince {
    base: Instant,
    /// When the next note is due, in nanoseconds after `base`; only the sender's.
    due: AtomicU64,
    notes: Mutex<Notes>,
    /// Whether what is dropped was sent last, and so is no part of the order in which events are taken.
    pub drops_newest: AtomicBool,
}

#[derive(Debug)]
struct Notes {
    step: Duration,
    /// How many events had been sent, and when.
    sent: VecDeque<(u64, Instant)>,
}

impl Default for WaitingSince {
    fn default() -> Self {
        WaitingSince {
            base: crate::time::monotonic(),
            due: AtomicU64::new(0),
            notes: Mutex::new(Notes {
                step: STEP,
                sent: VecDeque::new(),
            }),
            drops_newest: AtomicBool::new(false),
        }
    }
}

impl WaitingSince {
    /// The sender is about to send, after `sent` events, of which `taken` were taken. It never waits for a
    /// reader.
    #[inline]
    pub fn note(&self, now: Instant, sent: impl FnOnce() -> u64, taken: impl FnOnce() -> u64) {
        let at = now.saturating_duration_since(self.base).as_nanos();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        if at >= self.due.load(Ordering::Relaxed) {
            self.add(at, now, sent(), taken());
        }
    }

    fn add(&self, at: u64, now: Instant, sent: u64, taken: u64) {
        let Some(mut notes) = self.notes.try_lock() else {
            return;
        };
        notes.forget(taken);
        if notes.sent.len() >= NOTES {
            let mut keep = false;
            notes.sent.retain(|_| {
                keep = !keep;
                keep
            });
            notes.step *= 2;
        } else if notes.sent.len() < NOTES / 4 {
            notes.step = (notes.step / 2).max(STEP);
        }
        notes.sent.push_back((sent, now));
        let step = u64::try_from(notes.step.as_nanos()).unwrap_or(u64::MAX);
        drop(notes);
        self.due.store(at.saturating_add(step), Ordering::Relaxed);
    }

    /// So many events were not sent after all.
    pub fn take_back(&self, sent: u64) {
        if let Some(mut notes) = self.notes.try_lock() {
            while notes.sent.back().is_some_and(|(at, _)| *at > sent) {
                notes.sent.pop_back();
            }
        }
    }

    /// How long the next event has waited, where `taken` were taken.
    pub fn age(&self, now: Instant, taken: u64) -> Duration {
        let notes = self.notes.lock();
        let before = notes.sent.iter().rev().find(|(sent, _)| *sent <= taken);
        let since = before.or(notes.sent.front()).map_or(now, |(_, at)| *at);
        now.saturating_duration_since(since)
    }
}

impl Notes {
    /// Forgets what is earlier than the last note that is no later than what was taken.
    fn forget(&mut self, taken: u64) {
        while self.sent.get(1).is_some_and(|(sent, _)| *sent <= taken) {
            self.sent.pop_front();
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_event_is_as_old_as_it_is() {
        let since = WaitingSince::default();
        let at = |millis| since.base + Duration::from_millis(millis);
        for millis in 0..1_000 {
            since.note(at(millis), || millis * 10, || 0);
        }
        // Nothing was taken, then half of it, then all but the last.
        assert_eq!(since.age(at(1_000), 0), Duration::from_secs(1));
        let half = since.age(at(1_000), 5_000).as_millis();
        assert!((500..540).contains(&half), "{half}");
        let last = since.age(at(1_000), 9_990).as_millis();
        assert!((1..40).contains(&last), "{last}");
        assert!(since.notes.lock().sent.len() <= NOTES);
        // Long after all was taken, one more.
        since.note(at(60_000), || 10_000, || 10_000);
        assert_eq!(since.age(at(60_007), 10_000), Duration::from_millis(7));
    }
}
