//! Giving up a node whose code does not return: the others go on without it.
//!
//! Its links are closed from outside: what is sent to it is lost and has failed, what it has sent
//! still arrives, and then its links have ended there. What it has in hand stays without an outcome,
//! and fails if its code returns after all. The network goes on; its end reports the failure.

use super::Shared;
use super::members::{State, naming};
use crate::error::Error;
use crate::network::worker::Control;
use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// The way from a node's thread to its network.
#[derive(Clone)]
pub(crate) struct NodeThread {
    shared: Weak<Shared>,
    /// The node's place.
    at: usize,
}

thread_local! {
    /// That of the node whose thread this is.
    static OWN: RefCell<Option<NodeThread>> = const { RefCell::new(None) };
}

impl NodeThread {
    /// From here on this thread is that of the node at this place.
    pub(super) fn set(shared: &Arc<Shared>, at: usize) {
        let shared = Arc::downgrade(shared);
        OWN.set(Some(NodeThread { shared, at }));
    }

    /// That of the node whose thread this is, if it is one.
    pub fn of_this_thread() -> Option<Self> {
        OWN.with_borrow(Clone::clone)
    }

    /// Gives up the node, for this reason.
    pub fn abandon(&self, error: Error) {
        if let Some(shared) = self.shared.upgrade() {
            shared.abandon(self.at, error);
        }
    }
}

impl Shared {
    fn abandon(&self, at: usize, error: Error) {
        let mut state = self.lock();
        let State {
            members,
            links,
            failures,
            abandoned,
            ..
        } = &mut *state;
        // One that is still being opened is not among them.
        let member = members.get_mut(at);
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
        for link in links {
            let other = match (link.from == at, link.to == at) {
                (true, _) => link.to,
                (_, true) => link.from,
                _ => continue,
            };
            link.account.cut.store(true, Ordering::Relaxed);
            // It may wait for room, or for events: it looks once more.
            let _ = members[other].control.send(Control::Room);
        }
        drop(state);
        self.changed();
        if was_reading {
            self.source_ended();
        }
    }
}
