//! Tracking: tokens for events whose outcome a node wants to hear.

use crate::ack::{Group, Home, Settled, Token};
use crate::event::Event;
use std::sync::Arc;

/// Gives tracked events their tokens and their place in a [`Group`].
pub(crate) struct Tracker {
    home: Arc<dyn Home>,
    /// The group in use, once for each event that it still has room for. The handles are made
    /// together: each is an atomic addition, which in the midst of making events would wait until
    /// their payloads are written (measured: a third of the hop).
    handles: Vec<Arc<Group>>,
    /// The handles of groups that have come home whole, to be used again.
    spare: Vec<Vec<Arc<Group>>>,
    /// The token with which the group in use began.
    first: u64,
    next: u64,
    /// The token with which the batch in hand began.
    batch: u64,
    /// How many the last batch tracked that tracked any: the next group is made to hold as many.
    expected: u64,
    /// How many tokens were settled.
    settled: u64,
}

impl Tracker {
    const SMALLEST: u64 = 8;
    const LARGEST: u64 = 256;
    /// How many groups are kept: about as many as are under way in a chain of a few links.
    const SPARE: usize = 128;

    pub fn new(home: Arc<dyn Home>) -> Self {
        Tracker {
            home,
            handles: Vec::new(),
            spare: Vec::new(),
            first: 0,
            next: 0,
            batch: 0,
            expected: 0,
            settled: 0,
        }
    }

    #[inline]
    pub(super) fn track(&mut self, event: &mut Event) -> Token {
        let group = match self.handles.pop() {
            Some(group) => group,
            None => self.begin_group(),
        };
        let token = self.next;
        self.next += 1;
        group.track((token - self.first) as usize, event.ack_mut());
        Token(token)
    }

    #[cold]
    fn begin_group(&mut self) -> Arc<Group> {
        self.first = self.next;
        let size = self.expected.max(self.next - self.batch);
        let size = size.clamp(Self::SMALLEST, Self::LARGEST) as usize;
        self.handles = Group::again(self.spare.pop(), self.next, size, &self.home);
        let group = self.handles.pop();
        group.expect("a group is for one event at least")
    }

    /// A group was told of; it is used again where nobody else knows it any more.
    pub fn take_back(&mut self, settled: Settled) {
        if self.spare.len() < Self::SPARE {
            self.spare.extend(settled.into_handles());
        }
    }

    /// So many more tokens were settled.
    pub fn settle(&mut self, tokens: usize) {
        self.settled += tokens as u64;
    }

    /// How many tokens were given and not yet settled.
    pub fn outstanding(&self) -> u64 {
        self.next - self.settled
    }

    /// How many tokens were given.
    pub fn given(&self) -> u64 {
        self.next
    }

    /// The batch is over: the next one starts a group of its own.
    pub fn end_batch(&mut self) {
        self.handles.clear();
        // One that tracks nothing, as when an outcome is heard, says nothing of the next.
        if self.next > self.batch {
            self.expected = self.next - self.batch;
            self.batch = self.next;
        }
    }
}
