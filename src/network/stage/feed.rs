//! Feeding a batch: which event fails, what is tried again, and when a node has failed.
//!
//! A batch is attempted whole. An event that is to be tried again ends the attempt before it, so that
//! what came before it is committed and leaves; a commit that fails for the whole is made for each
//! event alone. What is not settled here is returned as a [`Retry`].

use super::Stage;
use super::retry::Retry;
use crate::ack::Outcome;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Batch, Event};
use crate::network::losses::Loss;
use crate::network::panics::catch;
use crate::network::stats::add;
use crate::node::Context;
use crate::time::monotonic;
use std::time::Duration;

/// The pause before an event is fed again to a node that takes none at present.
const WAIT: Duration = Duration::from_millis(100);

/// What came of an attempt at a batch.
struct Attempt {
    /// How many events of the batch are done, and committed.
    done: usize,
    end: AttemptEnd,
}

/// Why an attempt has ended.
enum AttemptEnd {
    /// The whole batch is done.
    All,
    /// What was emitted so far is to leave before the next event.
    Full,
    /// The next event is to be tried again.
    Retry(Error),
    /// The node takes no event at present.
    Busy(Error),
    /// The last event that was done panicked, once too often.
    LastPanic(Error),
}

impl Stage {
    /// Feeds a batch, which came by the link of this number, and commits it. The first event of it
    /// was `tried` so often. The rest is returned where
    /// so much was emitted that it is to leave first.
    pub fn feed(
        &mut self,
        batch: Batch,
        input: Option<usize>,
        tried: u32,
    ) -> Result<Option<Batch>, Retry> {
        if self.dead {
            self.fail_all(batch);
            return Ok(None);
        }
        self.frame.input = input;
        self.account.busy.start(monotonic());
        let fed = self.feed_all(batch, tried);
        self.account.busy.stop(monotonic());
        fed
    }

    fn feed_all(&mut self, mut batch: Batch, tried: u32) -> Result<Option<Batch>, Retry> {
        let panics = self.panics;
        let error = match self.attempt(batch.events(), tried) {
            Ok(Attempt {
                end: AttemptEnd::All,
                ..
            }) => {
                self.resolve(batch);
                return Ok(None);
            }
            Ok(Attempt { done, end }) => {
                let rest = batch.split_off(done);
                self.resolve(batch);
                return self.end_attempt(rest, end, if done == 0 { tried } else { 0 });
            }
            Err(error) => error,
        };
        // What it emitted is taken back.
        self.panics = panics;
        self.frame.clear_of(batch.events());
        self.rollback();
        if error.is_retryable() {
            return Err(Retry {
                batch,
                error,
                tried,
                pause: None,
            });
        }
        if error.is_fatal() {
            for (index, event) in (0u32..).zip(batch.events()) {
                self.frame.begin(index);
                self.frame.reject_in_hand(event, error.clone(), 1);
            }
            self.resolve(batch);
            self.failed = Some(error);
            return Ok(None);
        }
        self.feed_singly(batch, error, tried).map(|()| None)
    }

    /// Whether an event that was tried so often, and rejected, is tried again.
    fn may_retry(&self, tried: u32) -> bool {
        self.retries.is_some_and(|retries| tried <= retries.times)
    }

    fn try_again(&self, batch: Batch, error: Error, tried: u32) -> Retry {
        let (name, now) = (self.name.as_str(), self.clock.now());
        let pause = self.retries.map(|retries| retries.pause(tried, name, now));
        Retry {
            batch,
            error,
            tried,
            pause: pause.or(Some(Duration::ZERO)),
        }
    }

    /// What becomes of the rest of a batch after an attempt. The first event of the rest was `tried` so
    /// often before.
    fn end_attempt(
        &mut self,
        rest: Batch,
        end: AttemptEnd,
        tried: u32,
    ) -> Result<Option<Batch>, Retry> {
        match end {
            AttemptEnd::All => Ok(None),
            AttemptEnd::Full => Ok(Some(rest)),
            AttemptEnd::Retry(error) => Err(self.try_again(rest, error, tried + 1)),
            AttemptEnd::Busy(error) => Err(Retry {
                batch: rest,
                error,
                tried,
                pause: Some(WAIT),
            }),
            AttemptEnd::LastPanic(error) => {
                self.die(&error);
                self.fail_all(rest);
                Ok(None)
            }
        }
    }

    /// The commit of a whole batch has failed: feeds its events one by one, so that only those fail
    /// that cannot be committed.
    fn feed_singly(&mut self, batch: Batch, failed: Error, tried: u32) -> Result<(), Retry> {
        let lone = batch.len() == 1;
        let mut tried = tried;
        let mut events = batch.into_iter();
        while let Some(event) = events.next() {
            let mut one = Batch::from_iter([event]);
            let fed = if lone {
                Err(failed.clone())
            } else {
                self.attempt(one.events(), tried)
            };
            match fed {
                Ok(Attempt {
                    end: AttemptEnd::All | AttemptEnd::Full,
                    ..
                }) => self.resolve(one),
                Ok(Attempt { done, end }) => {
                    let left = one.split_off(done);
                    self.resolve(one);
                    let rest = left.into_iter().chain(events).collect();
                    return self.end_attempt(rest, end, tried).map(drop);
                }
                Err(error) if error.is_retryable() => {
                    self.frame.clear_of(one.events());
                    self.rollback();
                    return Err(Retry {
                        batch: one.into_iter().chain(events).collect(),
                        error,
                        tried,
                        pause: None,
                    });
                }
                Err(error) => {
                    self.frame.clear_of(one.events());
                    if !lone {
                        self.rollback();
                    }
                    if error.is_fatal() {
                        self.failed = Some(error.clone());
                    } else if self.may_retry(tried + 1) {
                        let rest = one.into_iter().chain(events).collect();
                        return Err(self.try_again(rest, error, tried + 1));
                    }
                    self.frame.begin(0);
                    self.frame
                        .reject_in_hand(&one.events()[0], error.clone(), tried + 1);
                    self.resolve(one);
                    if self.is_last_panic(&error) {
                        self.die(&error);
                        self.fail_all(events.collect());
                        return Ok(());
                    }
                }
            }
            tried = 0;
        }
        Ok(())
    }

    /// Feeds the events, of which the first was `tried` so often, and commits. An error
    /// concerns all of them.
    fn attempt(&mut self, events: &[Event], tried: u32) -> Result<Attempt> {
        let ended = |done, end| Ok(Attempt { done, end });
        let mut index = 0;
        while index < events.len() {
            let from = index;
            let mut cx = Context::new(&mut self.frame, &*self.clock);
            let fed = catch(|| self.runner.feed(events, &mut index, &mut cx));
            if index > from {
                self.panics = 0;
            }
            if fed.is_ok() && index < events.len() {
                self.commit()?;
                return ended(index, AttemptEnd::Full);
            }
            if let Err(error) = fed {
                if error.is_retryable() {
                    return Err(error);
                }
                if error.is_busy() {
                    self.frame.take_back(&events[index]);
                    self.commit()?;
                    return ended(index, AttemptEnd::Busy(error));
                }
                let tried = 1 + if index == 0 { tried } else { 0 };
                if error.is_fatal() {
                    self.failed = Some(error.clone());
                } else if self.may_retry(tried) {
                    self.frame.take_back(&events[index]);
                    self.commit()?;
                    return ended(index, AttemptEnd::Retry(error));
                }
                self.frame
                    .reject_in_hand(&events[index], error.clone(), tried);
                index += 1;
                if self.is_last_panic(&error) {
                    self.commit()?;
                    return ended(index, AttemptEnd::LastPanic(error));
                }
            }
        }
        self.commit()?;
        ended(index, AttemptEnd::All)
    }

    /// Counts an event that was rejected for good; returns whether its node may not be called again.
    fn is_last_panic(&mut self, error: &Error) -> bool {
        self.panics = if error.is_panic() { self.panics + 1 } else { 0 };
        self.panics >= self.panic_limit
    }

    /// The node is not called any more, and the network gets the error.
    fn die(&mut self, error: &Error) {
        self.dead = true;
        let (times, last) = (self.panics, error.message());
        let message =
            format!("panicked {times} times in a row and has failed; the last time it {last}");
        self.failed = Some(Error::new(ErrorKind::Failed, message));
    }

    /// Events of a node that is not called any more: they have failed.
    fn fail_all(&mut self, batch: Batch) {
        let count = batch.len() as u64;
        add(&self.account.rejected, count);
        if count > 0 {
            let losses = &self.account.losses;
            losses.add(Loss::Rejected, "the node has failed", count);
        }
        batch.settle(Outcome::Failed);
    }
}
