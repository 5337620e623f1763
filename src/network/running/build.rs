//! Builds a fragment: workers and links for what a graph has beyond what runs, and what of that is to be
//! removed or replaced.

use super::Running;
use super::fragment::{Fragment, NewNode};
use crate::ack::Settled;
use crate::claim::Lock;
use crate::name::Port;
use crate::network::control::{Control, Input};
use crate::network::graph::{Edge, Graph};
use crate::network::id::NodeId;
use crate::network::link::{LinkSender, link};
use crate::network::members::{Member, MemberLink};
use crate::network::routes::{Balance, Route};
use crate::network::runner::{NodeKind, Runner};
use crate::network::stage::Stage;
use crate::network::stats::{Account, LinkAccount, LinkLook, NodeLook};
use crate::network::worker::Worker;
use crate::time::monotonic;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Links that share the events of one port, while they are made.
struct Group {
    from: NodeId,
    port: Port,
    key: Option<String>,
    members: Vec<LinkSender>,
}

impl Running {
    /// Makes what is needed to change what runs into `graph`: `added` are the nodes that do not run yet,
    /// `successors` replace nodes that do.
    pub fn build(&self, graph: &Graph, added: Vec<NewNode>, successors: Vec<NewNode>) -> Fragment {
        let mut fragment = Fragment {
            workers: Vec::new(),
            attachments: BTreeMap::new(),
            members: BTreeMap::new(),
            links: BTreeMap::new(),
            sources: 0,
            policy_changes: graph.policy_changes(),
            removed_nodes: Vec::new(),
            removed_links: Vec::new(),
            pauses: Vec::new(),
        };
        for NewNode { id, runner, locks } in added {
            let locks = locks.unwrap_or_default();
            self.build_node(&mut fragment, graph, id, runner, locks);
        }
        self.build_links(&mut fragment, graph);
        self.build_removals(&mut fragment, graph);
        self.build_pauses(&mut fragment, graph, successors);
        if graph.policy_changes() != self.policy_changes {
            // For nodes that run already; the attachments of new ones are taken next.
            for (id, _) in graph.nodes().filter(|(id, _)| !self.has_ended(*id)) {
                fragment.attachment(id).retries = Some(graph.retries(id));
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
            outline: stage.outline(),
            look: NodeLook::new(monotonic()),
            is_source: info.kind == NodeKind::Source,
            thread: None,
            failed: false,
            closed: false,
            ended: false,
            removed: false,
        };
        fragment.members.insert(id, member);
        let (timer, shared) = (self.timer.clone(), self.shared.clone());
        let worker = Worker::new(id, stage, (tx, rx), outcomes, timer, shared);
        fragment.workers.push((id, worker));
    }

    fn build_links(&self, fragment: &mut Fragment, graph: &Graph) {
        let state = self.shared.lock();
        let running: BTreeSet<_> = state.links.keys().copied().collect();
        let ends = |link: &MemberLink| (link.from.clone(), link.target);
        let gone = state.links.iter().filter(|(id, _)| !graph.has_edge(**id));
        // By its ends, the last link of those that are removed.
        let gone: HashMap<_, _> = gone.map(|(id, link)| (ends(link), *id)).collect();
        let replaced = |edge: &Edge| gone.get(&(edge.from.clone(), edge.target)).copied();
        drop(state);
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
                account,
                look: LinkLook::new(monotonic()),
                from: edge.from.clone(),
                to: edge.to.clone(),
                source: edge.source,
                target: edge.target,
                keyed: edge.key.is_some(),
                removed: false,
            };
            fragment.links.insert(id, link);
            let port = edge.from.port.clone();
            let input = Input {
                link: receiver,
                follows: replaced(edge),
            };
            fragment.attachment(edge.target).inputs.push(input);
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

    /// What runs and is not part of the graph any more.
    fn build_removals(&self, fragment: &mut Fragment, graph: &Graph) {
        let state = self.shared.lock();
        let members = state.members.iter().filter(|(_, member)| !member.removed);
        let gone = members.filter(|(id, _)| !graph.has_node(**id));
        fragment.removed_nodes = gone.map(|(id, _)| *id).collect();
        let links = state.links.iter().filter(|(_, link)| !link.removed);
        for (id, link) in links.filter(|(id, _)| !graph.has_edge(**id)) {
            fragment.removed_links.push(*id);
            // The links of a node that is removed end with it.
            if graph.has_node(link.source) {
                fragment.attachment(link.source).removed.push(*id);
            }
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
