//! The outcomes of tracked events: counted, and passed to the node.

use super::super::panics::catch;
use super::super::stats::add;
use super::Stage;
use crate::ack::{Ack, Outcome, Settled, Token};
use crate::error::{Error, Result};
use std::sync::atomic::Ordering;

impl Stage {
    /// Passes the outcomes of tracked events to the node, each of them once, whatever it returns; then
    /// settles the acks that the events had before. So a node gets the failure of an event before the
    /// event can come again.
    pub fn settle(&mut self, settled: Settled) -> Result<()> {
        let settled = match settled.collect_whole() {
            Ok(whole) => {
                self.frame.tracker.take_back(whole.group);
                let outcome = whole.outcome;
                self.note(whole.events, outcome);
                let tokens = (0..whole.events).map(|at| Token(whole.first + at as u64));
                return self.pass_outcomes(tokens.map(|token| (token, outcome)));
            }
            Err(settled) => settled,
        };
        let mut outcomes = std::mem::take(&mut self.outcomes);
        outcomes.clear();
        let mut waiting = Vec::new();
        let free = settled.collect(|token, outcome, outer| {
            outcomes.push((token, outcome));
            if outer.is_some() {
                waiting.push((outer, outcome));
            }
        });
        if let Some(group) = free {
            self.frame.tracker.take_back(group);
        }
        for outcome in [Outcome::Delivered, Outcome::Failed] {
            let alike = outcomes.iter().filter(|(_, known)| *known == outcome);
            self.note(alike.count(), outcome);
        }
        let passed = self.pass_outcomes(outcomes.iter().copied());
        for outcome in [Outcome::Delivered, Outcome::Failed] {
            let alike = waiting.iter_mut().filter(|(_, known)| *known == outcome);
            Ack::settle_all(alike.map(|(outer, _)| outer), outcome);
        }
        self.outcomes = outcomes;
        passed
    }

    /// Counts what became of so many tracked events.
    fn note(&mut self, events: usize, outcome: Outcome) {
        let account = &self.account;
        let count = match outcome {
            Outcome::Delivered => &account.delivered,
            Outcome::Failed => &account.undelivered,
        };
        add(count, events as u64);
        self.frame.tracker.settle(events);
        // Those that were taken back are among them.
        let given = self.frame.tracker.given();
        account.tracked.store(given, Ordering::Relaxed);
    }

    fn pass_outcomes(
        &mut self,
        outcomes: impl ExactSizeIterator<Item = (Token, Outcome)>,
    ) -> Result<()> {
        if outcomes.len() == 0 {
            return Ok(());
        }
        let mut errors = Vec::new();
        let first = self.first_token;
        let called = self.call("settle", |node, cx| {
            let mut left = outcomes;
            // A panic does not end the calls for the other outcomes.
            while left.len() > 0 {
                let caught = catch(|| {
                    for (token, outcome) in left.by_ref().filter(|(token, _)| *token >= first) {
                        errors.extend(node.settle(token, outcome, cx).err());
                    }
                    Ok(())
                });
                errors.extend(caught.err());
            }
            let worst = errors.iter().position(Error::is_retryable).unwrap_or(0);
            if errors.is_empty() {
                return Ok(());
            }
            Err(errors.swap_remove(worst))
        });
        for error in errors {
            self.log_error("settle", &error);
        }
        called.map(drop)
    }
}
