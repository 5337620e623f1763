//! What a source has emitted and not seen delivered, in the order in which it was read.
//!
//! The position is the place behind the last event before which all were delivered: so whatever
//! comes out of order, nothing that is not delivered lies before it.

use crate::ack::{Outcome, Token};
use crate::event::Event;
use crate::time::{Backoff, Timestamp};
use std::collections::{BTreeSet, VecDeque};

/// A place in the input: behind a line of one of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Which file, counted from the first one that was read.
    pub file: u64,
    pub offset: u64,
    /// How many lines are before it.
    pub line: u64,
}

/// An event under way.
struct Entry {
    behind: Position,
    /// Kept to be emitted again; `None` once it is done with, and for what is emitted once only.
    event: Option<Event>,
    done: bool,
    failures: u32,
}

/// The events under way.
#[derive(Default)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    /// The entry of each token, from the token `base` on; tokens ascend by one.
    tokens: VecDeque<Option<u64>>,
    base: u64,
    /// What failed, by the instant at which it is to be emitted again.
    failed: BTreeSet<(Timestamp, u64)>,
    /// The greatest instant seen: a clock that was set back must not lengthen a pause.
    latest: Timestamp,
    bytes: usize,
}

impl Ledger {
    /// Notes an event that is about to be emitted. One without a copy is done with, whatever
    /// becomes of it.
    pub fn add(&mut self, token: Token, event: Option<Event>, behind: Position) {
        self.bytes += size(event.as_ref());
        let number = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry {
            behind,
            event,
            done: false,
            failures: 0,
        });
        self.name(token, number);
    }

    fn name(&mut self, token: Token, number: u64) {
        if self.tokens.is_empty() {
            self.base = token.0;
        }
        self.tokens.push_back(Some(number));
    }

    /// Takes note of an outcome. Each event before which all are delivered by now is passed, in order,
    /// with the place behind it.
    pub fn settle(
        &mut self,
        token: Token,
        outcome: Outcome,
        now: Timestamp,
        mut passed: impl FnMut(Position),
    ) {
        let Some(number) = self.take(token) else {
            return;
        };
        let at = usize::try_from(number - self.first);
        let Some(entry) = at.ok().and_then(|at| self.entries.get_mut(at)) else {
            return;
        };
        if outcome == Outcome::Failed && entry.event.is_some() {
            entry.failures += 1;
            let pause = Backoff::EVENT.pause(entry.failures);
            self.failed.insert((now.saturating_add(pause), number));
            return;
        }
        self.bytes -= size(entry.event.as_ref());
        entry.event = None;
        entry.done = true;
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.done) {
            passed(entry.behind);
            self.first += 1;
        }
    }

    /// The entry of a token.
    fn take(&mut self, token: Token) -> Option<u64> {
        let at = usize::try_from(token.0.checked_sub(self.base)?).ok()?;
        let number = self.tokens.get_mut(at)?.take()?;
        while let Some(None) = self.tokens.front() {
            self.tokens.pop_front();
            self.base += 1;
        }
        Some(number)
    }

    /// The events that are to be emitted again now, in the order in which they were read.
    pub fn due(&mut self, now: Timestamp) -> Vec<u64> {
        let mut due = if now < self.latest {
            std::mem::take(&mut self.failed)
        } else {
            let later = self.failed.split_off(&(now, u64::MAX));
            std::mem::replace(&mut self.failed, later)
        };
        self.latest = now;
        let mut numbers: Vec<u64> = std::mem::take(&mut due)
            .into_iter()
            .map(|(_, number)| number)
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// The event of this number, to be emitted once more.
    pub fn event(&self, number: u64) -> Option<Event> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get(at)?.event.clone()
    }

    /// An event was emitted again, under another token.
    pub fn again(&mut self, token: Token, number: u64) {
        self.name(token, number);
    }

    /// When the next event is to be emitted again.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.failed.first().map(|(at, _)| *at)
    }

    /// How many events lie behind the position.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes the events take that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn size(event: Option<&Event>) -> usize {
    event.map_or(0, |event| event.payload().size())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The position where it has moved.
    fn settle(
        ledger: &mut Ledger,
        token: Token,
        outcome: Outcome,
        now: Timestamp,
    ) -> Option<Position> {
        let mut position = None;
        ledger.settle(token, outcome, now, |place| position = Some(place));
        position
    }

    fn place(offset: u64) -> Position {
        Position {
            offset,
            ..Position::default()
        }
    }

    fn of(count: u64) -> Ledger {
        let mut ledger = Ledger::default();
        for n in 0..count {
            let event = Event::new(n.to_string(), Timestamp::EPOCH);
            ledger.add(Token(n), Some(event), place(n + 1));
        }
        ledger
    }

    #[test]
    fn the_position_moves_over_what_is_delivered_without_a_gap() {
        let mut ledger = of(4);
        let now = Timestamp::from_secs(1);
        assert_eq!(settle(&mut ledger, Token(2), Outcome::Delivered, now), None);
        assert_eq!(
            settle(&mut ledger, Token(0), Outcome::Delivered, now),
            Some(place(1))
        );
        assert_eq!(
            settle(&mut ledger, Token(1), Outcome::Delivered, now),
            Some(place(3))
        );
        assert_eq!((ledger.len(), ledger.bytes()), (1, 1));
        assert_eq!(
            settle(&mut ledger, Token(3), Outcome::Delivered, now),
            Some(place(4))
        );
        assert!(ledger.is_empty() && ledger.tokens.is_empty());
        assert_eq!(
            settle(&mut ledger, Token(3), Outcome::Delivered, now),
            None,
            "once"
        );
    }

    #[test]
    fn what_failed_comes_again_in_order_after_pauses_that_grow() {
        let mut ledger = of(3);
        let now = Timestamp::from_secs(1);
        for token in [2, 0] {
            assert_eq!(
                settle(&mut ledger, Token(token), Outcome::Failed, now),
                None
            );
        }
        assert_eq!(settle(&mut ledger, Token(1), Outcome::Delivered, now), None);
        assert_eq!(ledger.due(now), [0; 0]);
        let now = now.saturating_add(Backoff::EVENT.first());
        assert_eq!(ledger.due(now), [0, 2]);
        ledger.again(Token(3), 0);
        ledger.again(Token(4), 2);
        assert_eq!(settle(&mut ledger, Token(3), Outcome::Failed, now), None);
        assert_eq!(
            ledger.next_due(),
            Some(now.saturating_add(Backoff::EVENT.pause(2)))
        );
        assert_eq!(settle(&mut ledger, Token(4), Outcome::Delivered, now), None);
        assert_eq!(ledger.due(Timestamp::EPOCH), [0], "the clock was set back");
        ledger.again(Token(5), 0);
        assert_eq!(
            settle(&mut ledger, Token(5), Outcome::Delivered, now),
            Some(place(3))
        );
        assert_eq!(ledger.bytes(), 0);
    }
}
