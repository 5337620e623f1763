//! Which messages of a channel are without an answer.
//!
//! The invariant: a message is acked only if it was delivered, also where one ack answers for all up to
//! it: there is none before it that waits for its outcome. Each has one answer: a second one would have
//! the server close the channel.

use std::collections::VecDeque;

/// How many tags a server may leave out.
const GAP: u64 = 1 << 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum TagState {
    Waiting,
    Delivered,
    Answered,
}

/// The delivery tags of a channel, which begin with 1 and have no gaps.
pub(super) struct Ledger {
    /// The tag of the first state.
    base: u64,
    states: VecDeque<TagState>,
    delivered: Vec<u64>,
}

/// An ack, for this tag alone or for all up to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ack {
    pub tag: u64,
    pub multiple: bool,
}

impl Ledger {
    pub fn new() -> Self {
        Ledger {
            base: 1,
            states: VecDeque::new(),
            delivered: Vec::new(),
        }
    }

    /// A message has come. `false` where its tag is no next one: no server leaves out so many, or
    /// gives one twice.
    #[must_use]
    pub fn add(&mut self, tag: u64) -> bool {
        let next = self.base + self.states.len() as u64;
        if tag.checked_sub(next).is_none_or(|gap| gap > GAP) {
            return false;
        }
        while self.base + (self.states.len() as u64) < tag {
            self.states.push_back(TagState::Answered);
        }
        self.states.push_back(TagState::Waiting);
        true
    }

    pub fn delivered(&mut self, tag: u64) {
        self.set(tag, TagState::Delivered);
        self.delivered.push(tag);
    }

    /// It was answered in another way.
    pub fn answered(&mut self, tag: u64) {
        self.set(tag, TagState::Answered);
    }

    fn set(&mut self, tag: u64, state: TagState) {
        let at = tag.checked_sub(self.base);
        let at = at.and_then(|at| usize::try_from(at).ok());
        if let Some(known) = at.and_then(|at| self.states.get_mut(at)) {
            *known = state;
        }
    }

    /// The acks that are to be sent now, in this order.
    pub fn acks(&mut self) -> Vec<Ack> {
        let mut acks = Vec::new();
        let mut last = None;
        while let Some(state) = self.states.front()
            && *state != TagState::Waiting
        {
            if *state == TagState::Delivered {
                last = Some(self.base);
            }
            self.states.pop_front();
            self.base += 1;
        }
        if let Some(tag) = last {
            let multiple = true;
            acks.push(Ack { tag, multiple });
        }
        for tag in std::mem::take(&mut self.delivered) {
            if tag >= self.base {
                let multiple = false;
                acks.push(Ack { tag, multiple });
                self.answered(tag);
            }
        }
        acks
    }
}

#[cfg(test)]
mod tests {
    use super::{Ack, Ledger};

    fn ack(tag: u64, multiple: bool) -> Ack {
        Ack { tag, multiple }
    }

    #[test]
    fn one_ack_answers_for_all_before_it_that_were_delivered() {
        let mut ledger = Ledger::new();
        assert!((1..=5).all(|tag| ledger.add(tag)));
        [2, 1, 4].into_iter().for_each(|tag| ledger.delivered(tag));
        assert_eq!(ledger.acks(), [ack(2, true), ack(4, false)]);
        assert_eq!(ledger.acks(), []);
        ledger.answered(3);
        ledger.delivered(5);
        assert_eq!(ledger.acks(), [ack(5, true)]);
    }

    #[test]
    fn what_was_answered_is_not_acked() {
        let mut ledger = Ledger::new();
        assert!((1..=3).all(|tag| ledger.add(tag)));
        ledger.delivered(1);
        ledger.answered(2);
        assert_eq!(ledger.acks(), [ack(1, true)]);
        ledger.answered(3);
        assert_eq!(ledger.acks(), []);
        assert!(ledger.add(4));
        assert!(!ledger.add(4) && !ledger.add(1 << 40));
        ledger.delivered(4);
        assert_eq!(ledger.acks(), [ack(4, true)]);
    }
}
