//! Where the events of one port go: copied to links, shared among the members of balances.

use super::id::LinkId;
use super::link::{LinkSender, PendingSend};
use crate::event::{Batch, Event};
use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::slice::from_ref;

/// Several links that share the work: the next free member gets the batch, or, with a key, the
/// member to which the key belongs.
pub(crate) struct Balance {
    members: Vec<LinkSender>,
    key: Option<String>,
    turn: Cell<usize>,
}

impl Balance {
    pub fn new(members: Vec<LinkSender>, key: Option<String>) -> Self {
        Balance {
            members,
            key,
            turn: Cell::new(0),
        }
    }

    fn remove(&mut self, links: &[LinkId]) {
        self.members.retain(|link| !links.contains(&link.id()));
        self.turn.set(0);
    }

    fn begin<'a>(&'a self, batch: Batch, pending: &mut Vec<PendingSend<'a>>) {
        let Some(key) = &self.key else {
            pending.extend(PendingSend::begin(&self.members, Some(&self.turn), batch));
            return;
        };
        let mut parts: Vec<Batch> = self.members.iter().map(|_| Batch::default()).collect();
        for event in batch {
            let member = hash(key, &event) % parts.len() as u64;
            parts[member as usize].push(event);
        }
        for (link, part) in self.members.iter().zip(parts) {
            pending.extend(PendingSend::begin(from_ref(link), None, part));
        }
    }
}

/// The same for the same value of the field; events without it stay together too.
fn hash(key: &str, event: &Event) -> u64 {
    let value = event.payload().json().ok().and_then(|value| value.get(key));
    let mut hasher = DefaultHasher::new();
    value.map(ToString::to_string).hash(&mut hasher);
    hasher.finish()
}

/// Where the events of one port go: a copy to every link, and to every balanced group.
#[derive(Default)]
pub(crate) struct Routes {
    links: Vec<LinkSender>,
    balances: Vec<Balance>,
}

/// One more way for a port.
pub(crate) enum Route {
    Link(LinkSender),
    Balance(Balance),
}

impl Routes {
    pub fn add(&mut self, route: Route) {
        match route {
            Route::Link(link) => self.links.push(link),
            Route::Balance(balance) => self.balances.push(balance),
        }
    }

    /// Removes these links: what was sent into them still arrives.
    pub fn remove(&mut self, links: &[LinkId]) {
        self.links.retain(|link| !links.contains(&link.id()));
        self.balances
            .iter_mut()
            .for_each(|balance| balance.remove(links));
        self.balances.retain(|balance| !balance.members.is_empty());
    }

    /// Whether the events of the port go anywhere.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.balances.is_empty()
    }

    /// Sends a batch every route, as far as there is room; what is left waits in `pending`. The last way
    /// gets the batch itself, the others a copy.
    #[inline]
    pub fn begin<'a>(&'a self, batch: Batch, pending: &mut Vec<PendingSend<'a>>) {
        let mut copies = self.links.len() + self.balances.len();
        let mut batch = Some(batch);
        let mut next = || {
            copies -= 1;
            if copies == 0 {
                batch.take()
            } else {
                batch.clone()
            }
            .unwrap_or_default()
        };
        for link in &self.links {
            pending.extend(PendingSend::begin(from_ref(link), None, next()));
        }
        for balance in &self.balances {
            balance.begin(next(), pending);
        }
    }
}
