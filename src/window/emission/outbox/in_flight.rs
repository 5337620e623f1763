//! Entries that were emitted and are not settled.

use super::OutboxEntry;
use crate::ack::Token;
use std::collections::VecDeque;

/// The entries by the tokens under which they were emitted, which are consecutive numbers.
#[derive(Default)]
pub(super) struct InFlight {
    /// The token of the first entry.
    first: u64,
    entries: VecDeque<Option<OutboxEntry>>,
}

impl InFlight {
    pub fn insert(&mut self, token: Token, entry: OutboxEntry) {
        if self.entries.is_empty() {
            self.first = token.0;
        }
        let index = (token.0 - self.first) as usize;
        self.entries
            .resize_with(index.max(self.entries.len()), || None);
        self.entries.push_back(Some(entry));
    }

    fn index(&self, token: Token) -> Option<usize> {
        usize::try_from(token.0.checked_sub(self.first)?).ok()
    }

    pub fn get(&mut self, token: Token) -> Option<&mut OutboxEntry> {
        let index = self.index(token)?;
        self.entries.get_mut(index)?.as_mut()
    }

    pub fn take(&mut self, token: Token) -> Option<OutboxEntry> {
        let index = self.index(token)?;
        let entry = self.entries.get_mut(index)?.take();
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        entry
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut OutboxEntry> {
        self.entries.iter_mut().flatten()
    }

    pub fn iter(&self) -> impl Iterator<Item = &OutboxEntry> {
        self.entries.iter().flatten()
    }
}
