//! The accounts of nodes and links that were removed from a running network and have ended. A name keeps
//! its account: what a later node of the same name does is added to it.

use super::{LinkStats, NodeState, NodeStats};
use crate::network::losses::Losses;

/// What is left of removed nodes and links.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    nodes: Vec<NodeStats>,
    links: Vec<LinkStats>,
    /// What they lost, and what they let go before its time, each with the name of the node.
    pub losses: Vec<String>,
    pub let_go: Vec<String>,
}

impl Retired {
    /// A node has ended, with these losses.
    pub fn add_node(&mut self, stats: NodeStats, losses: &Losses) {
        let name = &stats.name;
        let named = |text: String| format!("node {name}: {text}");
        self.losses.extend(losses.texts().into_iter().map(named));
        self.let_go.extend(losses.let_go().into_iter().map(named));
        add_node(&mut self.nodes, stats);
    }

    /// A link has ended.
    pub fn add_link(&mut self, stats: LinkStats) {
        if stats.dropped > 0 {
            let (from, to, dropped) = (&stats.from, &stats.to, stats.dropped);
            let text = format!("link {from} -> {to}: {dropped} dropped because it was full");
            self.losses.push(text);
        }
        add_link(&mut self.links, stats);
    }

    /// Adds these accounts to those of running nodes and links, in which a name may be `twice`.
    pub fn merge(
        &self,
        nodes: Vec<NodeStats>,
        links: Vec<LinkStats>,
        twice: bool,
    ) -> (Vec<NodeStats>, Vec<LinkStats>) {
        if !twice && self.nodes.is_empty() && self.links.is_empty() {
            return (nodes, links);
        }
        let (mut all_nodes, mut all_links) = (Vec::new(), Vec::new());
        for node in nodes.into_iter().chain(self.nodes.iter().cloned()) {
            add_node(&mut all_nodes, node);
        }
        for link in links.into_iter().chain(self.links.iter().cloned()) {
            add_link(&mut all_links, link);
        }
        (all_nodes, all_links)
    }
}

/// Adds the account of a node to that of its name.
fn add_node(nodes: &mut Vec<NodeStats>, node: NodeStats) {
    match nodes.iter_mut().find(|known| known.name == node.name) {
        Some(known) => known.add(node),
        None => nodes.push(node),
    }
}

/// Adds the account of a link to that of its ends.
fn add_link(links: &mut Vec<LinkStats>, link: LinkStats) {
    let same = |known: &&mut LinkStats| known.from == link.from && known.to == link.to;
    match links.iter_mut().find(same) {
        Some(known) => known.add(&link),
        None => links.push(link),
    }
}

impl NodeStats {
    fn add(&mut self, other: NodeStats) {
        let NodeStats {
            name: _,
            received,
            passed,
            consumed,
            dropped,
            rejected,
            held,
            emitted,
            refused,
            errors,
            tracked,
            delivered,
            undelivered,
            reopened,
            busy,
            blocked,
            failed,
            processed,
            rate,
            busy_share,
            oldest,
            latency,
            latencies,
            state,
        } = other;
        self.received += received;
        self.passed += passed;
        self.consumed += consumed;
        for (reason, count) in dropped {
            *self.dropped.entry(reason).or_default() += count;
        }
        self.rejected += rejected;
        self.held += held;
        self.emitted += emitted;
        self.refused += refused;
        self.errors += errors;
        self.tracked += tracked;
        self.delivered += delivered;
        self.undelivered += undelivered;
        self.reopened += reopened;
        self.busy += busy;
        self.blocked += blocked;
        self.failed |= failed;
        self.processed += processed;
        self.rate += rate;
        self.busy_share = self.busy_share.max(busy_share);
        self.oldest = self.oldest.max(oldest);
        self.latency = self.latency.take().or(latency);
        self.latencies = match (self.latencies, latencies) {
            (Some((events, sum)), Some((more, time))) => Some((events + more, sum + time)),
            (one, other) => one.or(other),
        };
        // One of the two has ended, or is about to.
        if self.state == NodeState::Ended {
            self.state = state;
        }
    }
}

impl LinkStats {
    fn add(&mut self, other: &LinkStats) {
        self.sent += other.sent;
        self.received += other.received;
        self.queued += other.queued;
        self.dropped += other.dropped;
        self.spilled += other.spilled;
        self.lost += other.lost;
        self.blocked += other.blocked;
        self.waits = self.waits.max(other.waits);
        self.rate += other.rate;
        self.oldest = self.oldest.max(other.oldest);
    }
}
