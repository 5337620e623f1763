//! Tracking: tokens for the events whose outcomes a node gets.

use crate::ack::{Ack, AckId, Group, OutcomeChannel, Token};
use crate::event::Event;
use std::sync::Arc;

/// Gives tracked events their tokens and their place in a [`Group`].
pub(crate) struct Tracker {
    channel: Arc<dyn OutcomeChannel>,
    /// The group in use.
    group: Option<&'static Group>,
    /// The token with which it began, and the one after the last for which it has room.
    first: u64,
    full: u64,
    next: u64,
    /// The token with which the batch in hand began.
    batch: u64,
    /// How many the last batch tracked that tracked any: the next group has room for as many.
    expected: u64,
    /// How many tokens were settled.
    settled: u64,
    /// Groups that are free, by their sizes: to be used again here before others may.
    free: [Vec<&'static Group>; Group::SIZES],
}

impl Tracker {
    /// How many groups of a size are kept: about as many as are under way in a chain of a few links.
    const FREE: usize = 128;

    pub fn new(channel: Arc<dyn OutcomeChannel>) -> Self {
        Tracker {
            channel,
            group: None,
            first: 0,
            full: 0,
            next: 0,
            batch: 0,
            expected: 0,
            settled: 0,
            free: [const { Vec::new() }; Group::SIZES],
        }
    }

    #[inline]
    pub(super) fn track(&mut self, event: &mut Event) -> Token {
        let group = match self.group {
            Some(group) if self.next < self.full => group,
            _ => self.begin_group(),
        };
        let token = self.next;
        self.next += 1;
        group.track((token - self.first) as usize, event.ack_mut());
        Token(token)
    }

    #[cold]
    fn begin_group(&mut self) -> &'static Group {
        self.end_group();
        let events = self.expected.max(self.next - self.batch);
        let size = Group::size_for(events as usize);
        let free = self.free[size].pop();
        let group = free.unwrap_or_else(|| Group::unused(size, &self.channel));
        group.open(self.next);
        self.first = self.next;
        self.full = self.next + group.room() as u64;
        self.group = Some(group);
        group
    }

    fn end_group(&mut self) {
        if let Some(group) = self.group.take()
            && group.close((self.next - self.first) as usize)
        {
            self.take_back(group);
        }
    }

    /// A group is free.
    pub fn take_back(&mut self, group: &'static Group) {
        let free = &mut self.free[Group::size_for(group.room())];
        if free.len() < Self::FREE {
            free.push(group);
        } else {
            group.give_back();
        }
    }

    /// Lets an event go that was emitted and taken back, made from one that may still be held.
    pub fn let_go(&self, mut event: Event, held: impl Fn(AckId) -> bool) {
        let ack = std::mem::replace(event.ack_mut(), Ack::none());
        ack.take_back(&self.channel, held);
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
        self.end_group();
        // A batch that tracks nothing, as a call for outcomes, is no measure for the next.
        if self.next > self.batch {
            self.expected = self.next - self.batch;
            self.batch = self.next;
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.end_group();
        let free = self.free.iter_mut().flat_map(|free| free.drain(..));
        free.for_each(Group::give_back);
    }
}
