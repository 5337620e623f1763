//! The counters that nodes and links write.

use super::{LinkStats, NodeStats};
use crate::name::{Endpoint, Name};
use crate::network::losses::Losses;
use parking_lot::Mutex;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::BTreeMap;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The counters of a node, written by its own thread once a batch.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub received: AtomicU64,
    pub passed: AtomicU64,
    pub consumed: AtomicU64,
    pub rejected: AtomicU64,
    pub emitted: AtomicU64,
    /// Events rejected that the node had not received: made by itself, or unreadable at a source.
    pub refused: AtomicU64,
    pub errors: AtomicU64,
    /// Events that it tracks or has tracked, and their outcomes.
    pub tracked: AtomicU64,
    pub delivered: AtomicU64,
    pub undelivered: AtomicU64,
    pub reopened: AtomicU64,
    /// Events of the batch that it is sending.
    pub sending: AtomicU64,
    pub dropped: Mutex<BTreeMap<&'static str, u64>>,
    /// Nanoseconds in the node's own code.
    pub busy: AtomicU64,
    /// Nanoseconds in waiting for room on a link.
    pub blocked: AtomicU64,
    /// What was rejected or dropped by a port that is not linked.
    pub losses: Losses,
}

#[inline]
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    if by != 0 {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

pub(crate) fn add_nanos(counter: &AtomicU64, by: Duration) {
    add(counter, u64::try_from(by.as_nanos()).unwrap_or(u64::MAX));
}

impl Account {
    pub(crate) fn add_dropped(&self, counts: &[(&'static str, u64)]) {
        if !counts.is_empty() {
            let mut dropped = self.dropped.lock();
            for (reason, count) in counts {
                *dropped.entry(reason).or_default() += count;
            }
        }
    }

    pub(crate) fn snapshot(&self, name: &Name) -> NodeStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let dropped = self.dropped.lock();
        let mut stats = NodeStats {
            name: name.clone(),
            received: get(&self.received),
            passed: get(&self.passed),
            consumed: get(&self.consumed),
            dropped: dropped
                .iter()
                .map(|(reason, n)| ((*reason).to_owned(), *n))
                .collect(),
            rejected: get(&self.rejected),
            held: 0,
            emitted: get(&self.emitted),
            refused: get(&self.refused),
            errors: get(&self.errors),
            tracked: get(&self.tracked),
            delivered: get(&self.delivered),
            undelivered: get(&self.undelivered),
            reopened: get(&self.reopened),
            busy: Duration::from_nanos(get(&self.busy)),
            blocked: Duration::from_nanos(get(&self.blocked)),
            failed: false,
        };
        stats.held = stats.received.saturating_sub(stats.settled());
        stats
    }
}

/// A link's counters.
#[derive(Debug, Default)]
pub(crate) struct LinkAccount {
    pub sent: AtomicU64,
    pub received: AtomicU64,
    pub dropped: AtomicU64,
    pub spilled: AtomicU64,
    pub lost: AtomicU64,
    pub blocked: AtomicU64,
    /// The node at one of its ends was given up: nothing more goes in.
    pub cut: AtomicBool,
}

impl LinkAccount {
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// How many events wait in it, or for room in it.
    pub(crate) fn queued(&self) -> u64 {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let gone = get(&self.received) + get(&self.dropped) + get(&self.lost);
        get(&self.sent).saturating_sub(gone)
    }

    pub(crate) fn snapshot(&self, from: Endpoint, to: Name) -> LinkStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Sent last: nothing overtakes it.
        let (received, dropped, lost) = (get(&self.received), get(&self.dropped), get(&self.lost));
        let sent = get(&self.sent);
        LinkStats {
            from,
            to,
            sent,
            received,
            queued: sent.saturating_sub(received + dropped + lost),
            dropped,
            spilled: get(&self.spilled),
            lost,
            blocked: Duration::from_nanos(get(&self.blocked)),
        }
    }
}
