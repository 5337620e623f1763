//! Losses: events that were rejected, or dropped by a port of a node's own, where that port is not
//! linked; and what links that were full have dropped. All of it is in one line at the end of a run.
//!
//! What a filter or a rate limit drops is no loss, nor is what leaves by a linked port. The line is written
//! only where there are losses.

use parking_lot::Mutex;

/// How many reasons of a node are counted apart, of each kind.
const REASONS: usize = 4;

/// How much of a reason is shown, in characters.
const SHOWN: usize = 120;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Rejected,
    Dropped,
    /// Let go by its node before its time: nothing that was received is lost with it.
    LetGo,
}

/// The losses of one node, by reason.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<Vec<Counted>>);

#[derive(Debug)]
struct Counted {
    loss: Loss,
    /// The reason without the values in it: those differ from event to event.
    alike: String,
    /// As it came first.
    shown: String,
    events: u64,
    /// Whether others were counted here too, since there were too many reasons.
    others: bool,
}

impl Losses {
    /// Counts so many events.
    pub(super) fn add(&self, loss: Loss, reason: &str, events: u64) {
        let mut counted = self.0.lock();
        let alike = without_values(reason);
        let of_kind = |c: &&mut Counted| c.loss == loss;
        if let Some(found) = counted
            .iter_mut()
            .filter(of_kind)
            .find(|c| c.alike == alike)
        {
            found.events += events;
        } else if counted.iter().filter(|c| c.loss == loss).count() < REASONS {
            counted.push(Counted {
                loss,
                alike,
                shown: reason.chars().take(SHOWN).collect(),
                events,
                others: false,
            });
        } else if let Some(last) = counted.iter_mut().rev().find(of_kind) {
            last.events += events;
            last.others = true;
        }
    }

    /// One text for each reason of what was let go before its time.
    pub(super) fn let_go(&self) -> Vec<String> {
        let counted = self.0.lock();
        let let_go = counted.iter().filter(|c| c.loss == Loss::LetGo);
        let_go
            .map(|c| format!("{} ({})", c.events, c.shown))
            .collect()
    }

    /// One text for each reason of what was not delivered.
    pub(super) fn texts(&self) -> Vec<String> {
        let counted = self.0.lock();
        let text = |c: &Counted| {
            let others = if c.others { ", and others" } else { "" };
            match c.loss {
                Loss::Rejected => Some(format!("{} rejected ({}{others})", c.events, c.shown)),
                Loss::Dropped => Some(format!("{} dropped ({}{others})", c.events, c.shown)),
                Loss::LetGo => None,
            }
        };
        counted.iter().filter_map(text).collect()
    }
}

/// A reason with nothing in place of its numbers and of what it quotes.
fn without_values(reason: &str) -> String {
    let mut quoted = false;
    reason
        .chars()
        .filter(|c| {
            quoted ^= *c == '"';
            !quoted && !c.is_ascii_digit()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_their_values_are_one() {
        let losses = Losses::default();
        losses.add(Loss::Rejected, "bad time 12", 1);
        losses.add(Loss::Rejected, "bad time 3456", 1);
        losses.add(Loss::Rejected, "no field \"a\"", 1);
        losses.add(Loss::Rejected, "no field \"b\"", 1);
        losses.add(Loss::Dropped, "late", 1);
        assert_eq!(
            losses.texts(),
            [
                "2 rejected (bad time 12)",
                "2 rejected (no field \"a\")",
                "1 dropped (late)"
            ]
        );
    }

    #[test]
    fn many_reasons_are_bounded_and_every_event_is_counted() {
        let losses = Losses::default();
        for n in 0..100 {
            losses.add(Loss::Rejected, &"x".repeat(n), 1);
        }
        let texts = losses.texts();
        assert_eq!(texts.len(), REASONS);
        assert_eq!(texts[3], "97 rejected (xxx, and others)");
    }
}
