//! A fragment: workers and links for what a graph has beyond what runs.

use super::{Member, MemberLink, Running};
use crate::ack::Settled;
use crate::claim::{Claim, Lock};
use crate::error::Result;
use crate::name::Name;
use crate::network::graph::Graph;
use crate::network::link::{LinkSender, link};
use crate::network::routes::{Balance, Route};
use crate::network::runner::{Kind, Runner};
use crate::network::stage::{Stage, catch};
use crate::network::stats::{Account, LinkAccount};
use crate::network::worker::{Attachment, Control, Worker};
use crate::node::Frame;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A node that was added and does not run yet.
pub(crate) struct NewNode {
    /// Its place in the graph.
    pub at: usize,
    pub runner: Box<dyn Runner>,
    /// Of the files that it claims, where they are locked already.
    locks: Option<Vec<Lock>>,
}

impl NewNode {
    pub fn new(at: usize, runner: Box<dyn Runner>) -> Self {
        NewNode {
            at,
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
            let info = &graph.nodes[node.at];
            let error = error.within(format!("node {}", info.name));
            failed = Some(error.at_opt(info.place.clone()));
            break;
        }
    }
    match failed {
        None => Ok(()),
        Some(error) => {
            nodes.iter_mut().for_each(|node| node.locks = None);
            Err(error)
        }
    }
}

/// Workers for new nodes, joined up among themselves, and what is to be attached to nodes that
/// run already.
pub(crate) struct Fragment {
    pub workers: Vec<(usize, Worker)>,
    pub(super) attachments: BTreeMap<usize, Attachment>,
    pub(super) members: Vec<Member>,
    pub(super) links: Vec<MemberLink>,
    pub(super) sources: usize,
    /// How much of what `on_error` said the nodes know then.
    pub(super) handled: usize,
}

impl Fragment {
    fn attachment(&mut self, at: usize) -> &mut Attachment {
        self.attachments.entry(at).or_default()
    }
}

impl Running {
    /// Makes workers and links for what `graph` has beyond what runs.
    pub fn build(&self, graph: &Graph, nodes: Vec<NewNode>) -> Fragment {
        let mut fragment = Fragment {
            workers: Vec::new(),
            attachments: BTreeMap::new(),
            members: Vec::new(),
            links: Vec::new(),
            sources: 0,
            handled: graph.handled.len(),
        };
        for NewNode { at, runner, locks } in nodes {
            let info = &graph.nodes[at];
            let (tx, rx) = flume::unbounded();
            let (channel, outcomes) = flume::unbounded::<Settled>();
            let account = Arc::<Account>::default();
            let mut stage = Stage::new(
                info.name.clone(),
                info.ports.clone(),
                runner,
                self.clock.clone(),
                Arc::new(channel),
                account.clone(),
            );
            stage.keep(locks.unwrap_or_default());
            stage.set_limits(self.limits);
            stage.set_retries(graph.retries(&info.name));
            fragment.sources += usize::from(info.kind == Kind::Source);
            let name = info.name.clone();
            fragment.members.push(Member {
                name,
                place: info.place.clone(),
                control: tx.clone(),
                account,
                is_source: info.kind == Kind::Source,
                thread: None,
                failed: false,
                closed: false,
                ended: false,
            });
            let timer = self.timer.clone();
            let shared = self.shared.clone();
            let worker = Worker::new(at, stage, (tx, rx), outcomes, timer, shared);
            fragment.workers.push((at, worker));
        }
        let mut balances: BTreeMap<usize, (usize, u16, Option<String>, Vec<LinkSender>)> =
            BTreeMap::new();
        for edge in &graph.edges[self.links.len()..] {
            let place = |name: &Name| {
                graph
                    .find(name.as_str())
                    .expect("an edge joins nodes of its graph")
            };
            let (from, to) = (place(&edge.from.node), place(&edge.to));
            let account = Arc::<LinkAccount>::default();
            let (sender, receiver) = link(
                &edge.from,
                &edge.to,
                &edge.settings(),
                self.timer.is_some(),
                account.clone(),
                self.control(from, &fragment.members),
            );
            fragment.links.push(MemberLink {
                name: edge.to_string(),
                account,
                from,
                to,
            });
            let port = graph.nodes[from]
                .ports
                .iter()
                .position(|port| *port == edge.from.port);
            let port = port
                .and_then(|port| u16::try_from(port).ok())
                .unwrap_or(Frame::OUT);
            fragment.attachment(to).inputs.push(receiver);
            match edge.balance {
                None => fragment
                    .attachment(from)
                    .routes
                    .push((port, Route::Link(sender))),
                Some(group) => balances
                    .entry(group)
                    .or_insert_with(|| (from, port, edge.key.clone(), Vec::new()))
                    .3
                    .push(sender),
            }
        }
        for (from, port, key, members) in balances.into_values() {
            let route = Route::Balance(Balance::new(members, key));
            fragment.attachment(from).routes.push((port, route));
        }
        if graph.handled.len() > self.handled {
            // Nodes that run already hear of it; the attachments of new ones are taken next.
            for (at, node) in graph.nodes.iter().enumerate() {
                if let Some(retries) = graph.retries(&node.name).filter(|_| !self.has_ended(at)) {
                    fragment.attachment(at).retries = Some(retries);
                }
            }
        }
        for (at, worker) in &mut fragment.workers {
            if let Some(attachment) = fragment.attachments.remove(at) {
                worker.attach(attachment);
            }
        }
        fragment
    }

    /// The control channel of the node at this place, which runs already or is one of the new ones.
    fn control(&self, at: usize, new: &[Member]) -> flume::Sender<Control> {
        let state = self.shared.lock();
        let added = at.checked_sub(state.members.len());
        let member = added.map_or(state.members.get(at), |at| new.get(at));
        let member = member.expect("a link leads from a node that there is");
        member.control.clone()
    }
}
