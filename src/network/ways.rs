//! Where the events of one port go: copied to links, shared among the members of balances.

use super::link::{Aborted, Ear, LinkSender, cut, offer};
use crate::event::{Batch, Event};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Several links that share the work: the next free member gets the batch, or, with a key, the
/// member to which the key belongs.
pub(crate) struct Balance {
    members: Vec<LinkSender>,
    key: Option<String>,
    next: usize,
}

impl Balance {
    pub fn new(members: Vec<LinkSender>, key: Option<String>) -> Self {
        Balance {
            members,
            key,
            next: 0,
        }
    }

    fn send(&mut self, batch: Batch, ear: &mut Ear<'_>) -> Result<(), Aborted> {
        let Some(key) = &self.key else {
            let links: Vec<&LinkSender> = self.members.iter().collect();
            let next = &mut self.next;
            return cut(batch, links[0].batch(), |part| {
                *next = (offer(&links, *next, part, ear)? + 1) % links.len();
                Ok(())
            });
        };
        let mut parts: Vec<Batch> = self.members.iter().map(|_| Batch::default()).collect();
        for event in batch {
            let member = hash(key, &event) % parts.len() as u64;
            parts[member as usize].push(event);
        }
        for (link, part) in self.members.iter().zip(parts) {
            link.send(part, ear)?;
        }
        Ok(())
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

    /// Sends a batch every way; the last one gets the batch itself, the others a copy.
    pub fn send(&mut self, batch: Batch, ear: &mut Ear<'_>) -> Result<(), Aborted> {
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
            link.send(next(), ear)?;
        }
        for balance in &mut self.balances {
            balance.send(next(), ear)?;
        }
        Ok(())
    }
}
