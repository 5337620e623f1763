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

//!
//! Beside the counters: `stopwatch` (time in calls and waits), `waiting_since` (the age of the oldest event
//! in a link), `latency`, `recent` (rates), `bottleneck`, `reports` (the last errors), `retired` (removed
//! nodes and links), `table` and `json` (how it is shown). None of it waits for a reader, and none costs more
//! than a few clock reads a batch.

mod account;
mod bottleneck;
mod json;
mod latency;
mod recent;
mod reports;
mod retired;
mod stopwatch;
mod table;
mod waiting_since;

pub(crate) use account::{Account, LinkAccount, LinkLook, NodeLook, add};
pub use bottleneck::Bottleneck;
pub use latency::Latency;
pub(crate) use recent::LOOK;
pub use reports::ErrorReport;
pub(crate) use retired::Retired;
pub(crate) use stopwatch::Stopwatch;

use crate::name::{Endpoint, Name};
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Time spent in the node's own code, with the call under way.
    pub busy: Duration,
    /// Time spent waiting for room on a link, with the wait under way.
    pub blocked: Duration,
    /// Whether it could not go on.
    pub failed: bool,
    /// Received events from which its code has returned, with those of a batch that is not committed yet.
    pub processed: u64,
    /// Events that it has processed in a second, or emitted where it is a source, over the last 10 seconds;
    /// 0 in virtual time.
    pub rate: f64,
    /// The share of the last 10 seconds that it spent in its own code, from 0 to 1.
    pub busy_share: f64,
    /// How long the oldest event that waits in its links has waited there.
    pub oldest: Duration,
    /// How long events took from their source until this node had processed them. `None` for a source, where
    /// nothing came in the last 10 seconds, and in virtual time.
    pub latency: Option<Latency>,
    /// Of how many events that is known since the start, and the sum of their times.
    pub latencies: Option<(u64, Duration)>,
    /// Whether it is open.
    pub state: NodeState,
}

/// Whether a node can process events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// It is being opened for the first time.
    #[default]
    Opening,
    /// It is open.
    Open,
    /// It waits before it processes an event again.
    Retrying,
    /// What it needs is not available, such as a database or a broker; it is opened again.
    Lost,
    /// It has ended.
    Ended,
    /// It could not go on.
    Failed,
}

impl NodeState {
    /// The state as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeState::Opening => "opening",
            NodeState::Open => "open",
            NodeState::Retrying => "retrying",
            NodeState::Lost => "lost",
            NodeState::Ended => "ended",
            NodeState::Failed => "failed",
        }
    }
}

impl NodeStats {
    pub(super) fn settled(&self) -> u64 {
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
    /// Time that its sender spent waiting for room, with the wait under way.
    pub blocked: Duration,
    /// The share of the last 10 seconds in which its sender waited for room, from 0 to 1; 1 where the link has
    /// dropped or spilled events in that time instead.
    pub waits: f64,
    /// Events sent into it in a second, over the last 10 seconds; 0 in virtual time.
    pub rate: f64,
    /// How long the oldest event in it has waited.
    pub oldest: Duration,
}

impl LinkStats {
    fn pressure(&self) -> f64 {
        self.waits
    }
}

/// The account of a network: every node, then every link, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// The nodes.
    pub nodes: Vec<NodeStats>,
    /// The links.
    pub links: Vec<LinkStats>,
    /// The node that holds back the others, if one does.
    pub bottleneck: Option<Bottleneck>,
}

impl Stats {
    /// The account of these nodes and links.
    pub(crate) fn new(nodes: Vec<NodeStats>, links: Vec<LinkStats>) -> Self {
        let bottleneck = bottleneck::find(&nodes, &links);
        let mut stats = Stats {
            nodes,
            links,
            bottleneck,
        };
        for node in &mut stats.nodes {
            let into = stats.links.iter().filter(|link| link.to == node.name);
            node.oldest = into.map(|link| link.oldest).max().unwrap_or_default();
        }
        stats
    }

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
