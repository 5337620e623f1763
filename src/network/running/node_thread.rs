//! Giving up a node whose code does not return: the others go on without it.
//!
//! Its links are closed from outside: what is sent to it is lost and has failed, what it has sent
//! still arrives, and then its links have ended there. What it has in hand stays without an outcome,
//! and fails if its code returns after all. The network goes on; its end reports the failure.
//!
//! A node that is given up while it is opened has not opened: the network, or the change that adds the node,
//! does not start.

use crate::error::Error;
use crate::network::control::Control;
use crate::network::id::NodeId;
use crate::network::members::{Shared, State, naming};
use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// The node that a thread runs, and the network of that node.
#[derive(Clone)]
pub(crate) struct NodeThread {
    shared: Weak<Shared>,
    id: NodeId,
}

thread_local! {
    /// The node that this thread runs.
    static OWN: RefCell<Option<NodeThread>> = const { RefCell::new(None) };
}

impl NodeThread {
    /// Records that this thread runs this node.
    pub(super) fn set(shared: &Arc<Shared>, id: NodeId) {
        let shared = Arc::downgrade(shared);
        OWN.set(Some(NodeThread { shared, id }));
    }

    /// The node that this thread runs, if it runs one.
    pub fn of_this_thread() -> Option<Self> {
        OWN.with_borrow(Clone::clone)
    }

    /// Whether this thread runs a node of this network: a node must not wait for itself.
    pub(super) fn is_of(shared: &Arc<Shared>) -> bool {
        OWN.with_borrow(|own| {
            own.as_ref()
                .is_some_and(|own| std::ptr::eq(own.shared.as_ptr(), Arc::as_ptr(shared)))
        })
    }

    /// Gives up the node, for this reason.
    pub fn abandon(&self, error: Error) {
        if let Some(shared) = self.shared.upgrade() {
            shared.abandon(self.id, error);
        }
    }
}

impl Shared {
    fn abandon(&self, id: NodeId, error: Error) {
        let mut state = self.lock();
        if let Some(node) = state.opening.remove(&id) {
            // It becomes no member: its opening has failed.
            state.left_behind.insert(id);
            drop(state);
            let error = naming(&node.name, error).at_opt(node.place);
            log::warn!("node {}: its thread is left behind", node.name);
            let _ = node.opened.send(Err(error));
            return;
        }
        let State {
            members,
            links,
            failures,
            abandoned,
            ..
        } = &mut *state;
        let member = members.get_mut(&id);
        let Some(member) = member.filter(|member| !member.ended) else {
            log::error!("{error}");
            return;
        };
        let error = naming(&member.name, error).at_opt(member.place.clone());
        log::error!("{error}; its thread is left behind, and the network goes on without it");
        let was_reading = member.is_source && !member.closed;
        (member.failed, member.closed, member.ended) = (true, true, true);
        // It is not joined any more.
        member.thread = None;
        // It ends if its code returns.
        let _ = member.control.send(Control::Abort);
        *abandoned = true;
        failures.push(error);
        for link in links.values() {
            let other = if link.source == id {
                link.target
            } else if link.target == id {
                link.source
            } else {
                continue;
            };
            link.account.cut.store(true, Ordering::Relaxed);
            // It may wait for room, or for events: it looks once more.
            if let Some(other) = members.get(&other) {
                let _ = other.control.send(Control::Room);
            }
        }
        drop(state);
        self.changed();
        if was_reading {
            self.source_ended();
        }
    }
}
