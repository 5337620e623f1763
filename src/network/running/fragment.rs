//! A fragment: new nodes and links that do not run yet, and what else of the running network is to change.

use crate::claim::{Claim, Lock};
use crate::error::Result;
use crate::network::control::{Attachment, Successor};
use crate::network::graph::Graph;
use crate::network::id::{LinkId, NodeId};
use crate::network::members::{Member, MemberLink};
use crate::network::panics::catch;
use crate::network::runner::Runner;
use crate::network::worker::Worker;
use std::collections::BTreeMap;

/// A node that was added and does not run yet.
pub(crate) struct NewNode {
    pub id: NodeId,
    pub runner: Box<dyn Runner>,
    /// Of the files that it claims, where they are locked already.
    pub(super) locks: Option<Vec<Lock>>,
}

impl NewNode {
    pub fn new(id: NodeId, runner: Box<dyn Runner>) -> Self {
        NewNode {
            id,
            runner,
            locks: None,
        }
    }

    fn lock(&mut self) -> Result<()> {
        if self.locks.is_none() {
            let claims = catch(|| Ok(self.runner.node().claims()))?;
            let locks = claims.iter().map(Claim::take).collect::<Result<Vec<_>>>()?;
            self.locks = Some(locks.into_iter().flatten().collect());
        }
        Ok(())
    }
}

/// Locks the files that these nodes claim: all of them, or none.
///
/// # Errors
/// A file that is in use, with the node that needs it.
pub(crate) fn lock(graph: &Graph, nodes: &mut [NewNode]) -> Result<()> {
    let mut failed = None;
    for node in &mut *nodes {
        if let Err(error) = node.lock() {
            let info = &graph.node(node.id);
            let error = error.within(format!("node {}", info.name));
            failed = Some(error.at_opt(info.place.clone()));
            break;
        }
    }
    let Some(error) = failed else { return Ok(()) };
    nodes.iter_mut().for_each(|node| node.locks = None);
    Err(error)
}

/// Workers for new nodes, joined up among themselves, and what is to change of nodes that run already.
pub(crate) struct Fragment {
    pub workers: Vec<(NodeId, Worker)>,
    pub(super) attachments: BTreeMap<NodeId, Attachment>,
    pub(super) members: BTreeMap<NodeId, Member>,
    pub(super) links: BTreeMap<LinkId, MemberLink>,
    pub(super) sources: usize,
    /// The state of the error policies that the nodes have then.
    pub(super) policy_changes: u64,
    /// Running nodes and links that are removed.
    pub(super) removed_nodes: Vec<NodeId>,
    pub(super) removed_links: Vec<LinkId>,
    /// Running nodes that pause for the change, from upstream to downstream.
    pub(super) pauses: Vec<PlannedPause>,
}

/// The pause of one node.
pub(crate) struct PlannedPause {
    pub node: NodeId,
    /// Links from nodes that pause before.
    pub drain: Vec<LinkId>,
    pub successor: Option<Successor>,
}

impl Fragment {
    pub(super) fn attachment(&mut self, id: NodeId) -> &mut Attachment {
        self.attachments.entry(id).or_default()
    }
}
