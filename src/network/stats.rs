//! The account of every event: what each node received, and what became of it.
//!
//! The law, exact after every graceful stop:
//!
//! - of a node, `received = passed + consumed + dropped + rejected + held`, and `held` is zero
//!   once it has stopped;
//! - of a link, `sent = received + dropped + lost + queued`, at every moment; `queued` is what waits in
//!   it and, at its sender, for room in it, `lost` what has gone with its receiver;
//! - of a node that tracks events, each has exactly one outcome: `tracked = delivered + undelivered`.
//!
//! Received is counted when a batch is taken from a link, the rest when its batch is committed. Of
//! a committed batch, an event is consumed if it was neither passed, dropped nor rejected. So the law
//! detects a batch, or a part of one, that was taken and never accounted for.

use super::losses::Losses;
use crate::name::{Endpoint, Name};
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::fmt;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
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
            let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            for (reason, count) in counts {
                *dropped.entry(reason).or_default() += count;
            }
        }
    }

    pub(crate) fn snapshot(&self, name: &Name) -> NodeStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
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

/// What a node did with its events, up to now.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NodeStats {
    /// The node.
    pub name: Name,
    /// Events taken from its links.
    pub received: u64,
    /// Received events that went on, themselves or as something made from them.
    pub passed: u64,
    /// Received events that ended here on purpose.
    pub consumed: u64,
    /// Received events that were let go on purpose, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Received events that were rejected.
    pub rejected: u64,
    /// Received events that are still in hand; zero once the node has stopped.
    pub held: u64,
    /// Events that left by any port.
    pub emitted: u64,
    /// Events rejected that were not received: unreadable ones of a source, a node's own.
    pub refused: u64,
    /// Errors of the node that were no event's.
    pub errors: u64,
    /// Events whose outcome it waits for, or has waited for.
    pub tracked: u64,
    /// Outcomes of those that were delivered.
    pub delivered: u64,
    /// Outcomes of those that failed somewhere.
    pub undelivered: u64,
    /// How often it was opened again after a retryable error.
    pub reopened: u64,
    /// Time spent in the node's own code.
    pub busy: Duration,
    /// Time spent waiting for room on a link.
    pub blocked: Duration,
    /// Whether it could not go on.
    pub failed: bool,
}

impl NodeStats {
    fn settled(&self) -> u64 {
        self.passed + self.consumed + self.rejected + self.dropped.values().sum::<u64>()
    }

    fn outcomes(&self) -> u64 {
        self.delivered + self.undelivered
    }
}

/// What went over a link, up to now.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LinkStats {
    /// The node and port that it comes from.
    pub from: Endpoint,
    /// The node that it leads to.
    pub to: Name,
    /// Events sent into it, with those that wait for room at its sender. What waits for any member of a
    /// balance counts at the one whose turn it is.
    pub sent: u64,
    /// Events taken out of it.
    pub received: u64,
    /// Events that wait in it, or at its sender for room in it: `sent - received - dropped - lost`.
    pub queued: u64,
    /// Events that were dropped because it was full (`overflow`).
    pub dropped: u64,
    /// Events that waited on disk, or still do.
    pub spilled: u64,
    /// Events that were lost with the node that it leads to; those that are tracked have failed.
    pub lost: u64,
    /// Time that its sender spent waiting for room.
    pub blocked: Duration,
}

/// The account of a network: every node, then every link, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// The nodes.
    pub nodes: Vec<NodeStats>,
    /// The links.
    pub links: Vec<LinkStats>,
}

impl Stats {
    /// The account of one node.
    pub fn node(&self, name: &str) -> Option<&NodeStats> {
        self.nodes.iter().find(|node| node.name.as_str() == name)
    }

    /// Where the law is broken, in words; empty after every graceful stop.
    pub fn breaches(&self) -> Vec<String> {
        let nodes = self
            .nodes
            .iter()
            .filter(|n| n.received != n.settled())
            .map(|n| {
                format!(
                    "node {}: received {} but passed, consumed, dropped and rejected {}",
                    n.name,
                    n.received,
                    n.settled()
                )
            });
        let outcomes = self
            .nodes
            .iter()
            .filter(|n| n.tracked != n.outcomes())
            .map(|n| {
                format!(
                    "node {}: tracked {} events but {} have an outcome",
                    n.name,
                    n.tracked,
                    n.outcomes()
                )
            });
        let links = self
            .links
            .iter()
            .filter(|l| l.sent != l.received + l.dropped + l.lost)
            .map(|l| {
                format!(
                    "link {} -> {}: sent {} but received {}",
                    l.from, l.to, l.sent, l.received
                )
            });
        nodes.chain(outcomes).chain(links).collect()
    }
}

/// A table with a line for each node and each link.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.nodes.iter().map(|n| n.name.as_str().len());
        let ends = |l: &LinkStats| format!("{} -> {}", l.from, l.to);
        let link = self.links.iter().map(|l| ends(l).len());
        let width = node.chain(link).max().unwrap_or(0).max(4);
        writeln!(
            f,
            "{:width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>6} {:>10} {:>9} {:>9}",
            "node",
            "received",
            "passed",
            "consumed",
            "dropped",
            "rejected",
            "held",
            "emitted",
            "busy",
            "blocked"
        )?;
        for n in &self.nodes {
            writeln!(
                f,
                "{:width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>6} {:>10} {:>9.1?} {:>9.1?}{}",
                n.name.as_str(),
                n.received,
                n.passed,
                n.consumed,
                n.dropped.values().sum::<u64>(),
                n.rejected + n.refused,
                n.held,
                n.emitted,
                n.busy,
                n.blocked,
                if n.failed { " failed" } else { "" }
            )?;
        }
        writeln!(
            f,
            "{:width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9}",
            "link", "sent", "received", "queued", "dropped", "spilled", "lost", "blocked"
        )?;
        for l in &self.links {
            writeln!(
                f,
                "{:width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9.1?}",
                ends(l),
                l.sent,
                l.received,
                l.queued,
                l.dropped,
                l.spilled,
                l.lost,
                l.blocked
            )?;
        }
        Ok(())
    }
}
