//! Where the events of one port go: copied to links, shared among the members of balances.

use super::link::{Lane, LinkSender};
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

    fn begin<'a>(&'a self, batch: Batch, lanes: &mut Vec<Lane<'a>>) {
        let Some(key) = &self.key else {
            lanes.extend(Lane::begin(&self.members, Some(&self.turn), batch));
            return;
        };
        let mut parts: Vec<Batch> = self.members.iter().map(|_| Batch::default()).collect();
        for event in batch {
            let member = hash(key, &event) % parts.len() as u64;
            parts[member as usize].push(event);
        }
        for (link, part) in self.members.iter().zip(parts) {
            lanes.extend(Lane::begin(from_ref(link), None, part));
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
pub(crate) struct Ways {
    links: Vec<LinkSender>,
    balances: Vec<Balance>,
}

/// One more way for a port.
pub(crate) enum Way {
    Link(LinkSender),
    Balance(Balance),
}

impl Ways {
    pub fn add(&mut self, way: Way) {
        match way {
            Way::Link(link) => self.links.push(link),
            Way::Balance(balance) => self.balances.push(balance),
        }
    }

    /// Sends a batch every way, as far as there is room; what is left waits in `lanes`. The last way
    /// gets the batch itself, the others a copy.
    #[inline]
    pub fn begin<'a>(&'a self, batch: Batch, lanes: &mut Vec<Lane<'a>>) {
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
            lanes.extend(Lane::begin(from_ref(link), None, next()));
        }
        for balance in &self.balances {
            balance.begin(next(), lanes);
        }
    }
}
