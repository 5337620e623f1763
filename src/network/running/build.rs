//! Builds a fragment: workers and links for what a graph has beyond what runs.

use super::Running;
use super::fragment::{Fragment, NewNode};
use crate::ack::Settled;
use crate::claim::Lock;
use crate::network::control::Control;
use crate::network::graph::{Edge, Graph, NodeInfo};
use crate::network::id::NodeId;
use crate::network::link::{LinkSender, link};
use crate::network::members::{Member, MemberLink};
use crate::network::routes::{Balance, Route};
use crate::network::runner::{NodeKind, Runner};
use crate::network::stage::Stage;
use crate::network::stats::{Account, LinkAccount, LinkLook, NodeLook};
use crate::network::worker::Worker;
use crate::node::Frame;
use crate::time::monotonic;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Links that share the events of one port, while they are made.
struct Group {
    from: NodeId,
    port: u16,
    key: Option<String>,
    members: Vec<LinkSender>,
}

impl Running {
    /// Makes workers and links for what `graph` has beyond what runs.
    pub fn build(&self, graph: &Graph, nodes: Vec<NewNode>) -> Fragment {
        let mut fragment = Fragment {
            workers: Vec::new(),
            attachments: BTreeMap::new(),
            members: BTreeMap::new(),
            links: BTreeMap::new(),
            sources: 0,
            error_policies: graph.error_policies(),
        };
        for NewNode { id, runner, locks } in nodes {
            let locks = locks.unwrap_or_default();
            self.build_node(&mut fragment, graph, id, runner, locks);
        }
        self.build_links(&mut fragment, graph);
        if graph.error_policies() > self.error_policies {
            // For nodes that run already; the attachments of new ones are taken next.
            for (id, _) in graph.nodes() {
                if let Some(retries) = graph.retries(id).filter(|_| !self.has_ended(id)) {
                    fragment.attachment(id).retries = Some(retries);
                }
            }
        }
        for (id, worker) in &mut fragment.workers {
            if let Some(attachment) = fragment.attachments.remove(id) {
                worker.attach(attachment);
            }
        }
        fragment
    }

    fn build_node(
        &self,
        fragment: &mut Fragment,
        graph: &Graph,
        id: NodeId,
        runner: Box<dyn Runner>,
        locks: Vec<Lock>,
    ) {
        let info = graph.node(id);
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
        stage.keep(locks);
        stage.set_limits(self.limits);
        stage.set_timed(self.timer.is_some());
        stage.set_retries(graph.retries(id));
        fragment.sources += usize::from(info.kind == NodeKind::Source);
        let member = Member {
            name: info.name.clone(),
            place: info.place.clone(),
            control: tx.clone(),
            account,
            processed: stage.processed(),
            look: NodeLook::new(monotonic()),
            is_source: info.kind == NodeKind::Source,
            thread: None,
            failed: false,
            closed: false,
            ended: false,
        };
        fragment.members.insert(id, member);
        let (timer, shared) = (self.timer.clone(), self.shared.clone());
        let worker = Worker::new(id, stage, (tx, rx), outcomes, timer, shared);
        fragment.workers.push((id, worker));
    }

    fn build_links(&self, fragment: &mut Fragment, graph: &Graph) {
        let running: BTreeSet<_> = self.shared.lock().links.keys().copied().collect();
        let mut balances: BTreeMap<usize, Group> = BTreeMap::new();
        for (id, edge) in graph.edges().filter(|(id, _)| !running.contains(id)) {
            let account = Arc::<LinkAccount>::default();
            let (sender, receiver) = link(
                id,
                &edge.from,
                &edge.to,
                &edge.settings(),
                self.timer.is_some(),
                account.clone(),
                self.control(edge.source, fragment),
            );
            let link = MemberLink {
                name: edge.to_string(),
                account,
                look: LinkLook::new(monotonic()),
                from: edge.source,
                to: edge.target,
            };
            fragment.links.insert(id, link);
            let port = port_of(graph.node(edge.source), edge);
            fragment.attachment(edge.target).inputs.push(receiver);
            let Some(group) = edge.balance else {
                let routes = &mut fragment.attachment(edge.source).routes;
                routes.push((port, Route::Link(sender)));
                continue;
            };
            let group = balances.entry(group).or_insert_with(|| Group {
                from: edge.source,
                port,
                key: edge.key.clone(),
                members: Vec::new(),
            });
            group.members.push(sender);
        }
        for group in balances.into_values() {
            let route = Route::Balance(Balance::new(group.members, group.key));
            let routes = &mut fragment.attachment(group.from).routes;
            routes.push((group.port, route));
        }
    }

    /// The control channel of this node, which runs already or is new.
    fn control(&self, id: NodeId, fragment: &Fragment) -> flume::Sender<Control> {
        let state = self.shared.lock();
        let member = fragment.members.get(&id).or_else(|| state.members.get(&id));
        let member = member.expect("a link leads from a node of the network");
        member.control.clone()
    }
}

/// The number of the port that the edge leads from.
fn port_of(node: &NodeInfo, edge: &Edge) -> u16 {
    let port = node.ports.iter().position(|port| *port == edge.from.port);
    port.and_then(|port| u16::try_from(port).ok())
        .unwrap_or(Frame::OUT)
}
