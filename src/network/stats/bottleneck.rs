//! Which node the others wait for.

use super::{LinkStats, NodeStats};
use crate::name::Name;

/// Below this share of the time nothing is called a bottleneck.
const LEAST: f64 = 0.1;

/// The node that holds back the nodes before it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Bottleneck {
    /// The node.
    pub node: Name,
    /// The nodes that wait for room in a link to it.
    pub waiting: Vec<Name>,
    /// In which share of the last ten seconds, from 0 to 1.
    pub share: f64,
}

/// The node for which its neighbours wait while it waits for none itself. A node that is held back waits for
/// the one after it: its own share counts against it.
pub(super) fn find(nodes: &[NodeStats], links: &[LinkStats]) -> Option<Bottleneck> {
    let pressed = |link: &&LinkStats| link.pressure() >= LEAST;
    let mut found: Option<(f64, &NodeStats)> = None;
    for link in links.iter().filter(pressed) {
        let node = nodes.iter().find(|node| node.name == link.to)?;
        let held_back = links
            .iter()
            .filter(|next| next.from.node == node.name)
            .map(LinkStats::pressure)
            .fold(0.0, f64::max);
        let score = link.pressure() - held_back;
        if score >= LEAST && found.is_none_or(|(best, _)| score > best) {
            found = Some((score, node));
        }
    }
    let (_, node) = found?;
    let into = || links.iter().filter(pressed).filter(|l| l.to == node.name);
    let mut waiting: Vec<Name> = into().map(|link| link.from.node.clone()).collect();
    waiting.dedup();
    Some(Bottleneck {
        node: node.name.clone(),
        waiting,
        share: into().map(LinkStats::pressure).fold(0.0, f64::max),
    })
}
