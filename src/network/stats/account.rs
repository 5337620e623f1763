//! The counters that nodes and links write.

use super::latency::LatencyLog;
use super::recent::Recent;
use super::reports::Reports;
use super::stopwatch::Stopwatch;
use super::waiting_since::WaitingSince;
use super::{LinkStats, NodeState, NodeStats};
use crate::name::{Endpoint, Name};
use crate::network::losses::Losses;
use parking_lot::Mutex;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::collections::BTreeMap;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is looked at once a second of a node: events processed or emitted, nanoseconds in its code.
pub(crate) type NodeLook = Recent<2>;
/// The same of a link: events sent, nanoseconds that its sender waited, events dropped or spilled.
pub(crate) type LinkLook = Recent<3>;

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
    /// Time in the node's own code.
    pub busy: Stopwatch,
    /// Time in waiting for room on a link.
    pub blocked: Stopwatch,
    /// What was rejected or dropped by a port that is not linked.
    pub losses: Losses,
    pub latency: LatencyLog,
    pub reports: Reports,
    state: AtomicU8,
}

#[inline]
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    if by != 0 {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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

    pub(crate) fn set_state(&self, state: NodeState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    fn state(&self) -> NodeState {
        use NodeState::{Ended, Failed, Lost, Open, Opening, Retrying};
        let state = self.state.load(Ordering::Relaxed);
        let all = [Opening, Open, Retrying, Lost, Ended, Failed];
        all.into_iter()
            .find(|known| *known as u8 == state)
            .unwrap_or_default()
    }

    /// The counters of which rates are shown, where it has processed so many events.
    pub(crate) fn look(&self, now: Instant, is_source: bool, progress: u64) -> [u64; 2] {
        let done = if is_source {
            get(&self.emitted)
        } else {
            self.processed(progress)
        };
        [done, nanos(self.busy.read(now))]
    }

    /// Events from which the node's code has returned: those that are counted, or as many as `progress` if
    /// that is more.
    fn processed(&self, progress: u64) -> u64 {
        let dropped = self.dropped.lock();
        let dropped: u64 = dropped.values().sum();
        let counted = get(&self.passed) + get(&self.consumed) + get(&self.rejected) + dropped;
        counted.max(progress)
    }

    /// The account at this instant.
    pub(crate) fn snapshot(&self, name: &Name, now: Instant) -> NodeStats {
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
            busy: self.busy.read(now),
            blocked: self.blocked.read(now),
            failed: false,
            processed: 0,
            rate: 0.0,
            busy_share: 0.0,
            oldest: Duration::ZERO,
            latency: self.latency.read(),
            latencies: self.latency.all(),
            state: self.state(),
        };
        stats.held = stats.received.saturating_sub(stats.settled());
        stats.processed = stats.settled();
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
    pub blocked: Stopwatch,
    pub waiting_since: WaitingSince,
    /// The node at one of its ends was given up: nothing more goes in.
    pub cut: AtomicBool,
    /// It was removed from the network: its end is not that of its sender.
    pub removed: AtomicBool,
}

impl LinkAccount {
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Counts events that are sent, before they can be received.
    #[inline]
    pub(crate) fn send(&self, now: Instant, count: u64) {
        self.waiting_since
            .note(now, || self.accepted(), || self.taken());
        add(&self.sent, count);
    }

    /// Events that were counted as sent go elsewhere.
    pub(crate) fn take_back(&self, count: u64) {
        self.sent.fetch_sub(count, Ordering::Relaxed);
        self.waiting_since.take_back(self.accepted());
    }

    fn drops_newest(&self) -> bool {
        self.waiting_since.drops_newest.load(Ordering::Relaxed)
    }

    /// How many were sent, in the order in which they are taken.
    fn accepted(&self) -> u64 {
        let dropped = if self.drops_newest() {
            get(&self.dropped)
        } else {
            0
        };
        get(&self.sent).saturating_sub(dropped)
    }

    /// How many of those were taken.
    fn taken(&self) -> u64 {
        let dropped = if self.drops_newest() {
            0
        } else {
            get(&self.dropped)
        };
        get(&self.received) + get(&self.lost) + dropped
    }

    /// The counters of which rates are shown.
    pub(crate) fn look(&self, now: Instant) -> [u64; 3] {
        let overflowed = get(&self.dropped) + get(&self.spilled);
        [get(&self.sent), nanos(self.blocked.read(now)), overflowed]
    }

    /// How many events wait in it, or for room in it.
    pub(crate) fn queued(&self) -> u64 {
        let gone = get(&self.received) + get(&self.dropped) + get(&self.lost);
        get(&self.sent).saturating_sub(gone)
    }

    /// The account at this instant.
    pub(crate) fn snapshot(&self, from: Endpoint, to: Name, now: Instant) -> LinkStats {
        // Sent last: nothing overtakes it.
        let (received, dropped, lost) = (get(&self.received), get(&self.dropped), get(&self.lost));
        let sent = get(&self.sent);
        let queued = sent.saturating_sub(received + dropped + lost);
        let oldest = match queued {
            0 => Duration::ZERO,
            _ => self.waiting_since.age(now, self.taken()),
        };
        LinkStats {
            from,
            to,
            sent,
            received,
            queued,
            dropped,
            spilled: get(&self.spilled),
            lost,
            blocked: self.blocked.read(now),
            waits: 0.0,
            rate: 0.0,
            oldest,
        }
    }
}
