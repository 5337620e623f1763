//! Feeding a batch: which event fails, what is tried again, and when a node has failed.
//!
//! A batch is attempted whole. An event that is to be tried again ends the attempt before it, so that
//! what came before it is committed and leaves; a commit that fails for the whole is made for each
//! event alone. Whatever is not settled here comes back as a [`Retry`].

use super::Stage;
use super::retry::Retry;
use crate::ack::Outcome;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Batch, Event};
use crate::network::losses::Loss;
use crate::network::panics::catch;
use crate::network::stats::{add, add_nanos};
use crate::node::Context;
use crate::time::monotonic;
use std::time::Duration;

/// How long a node that takes no event at present is left alone.
const WAIT: Duration = Duration::from_millis(100);

/// What came of an attempt at a batch.
enum Attempt {
    All,
    /// Those before this index; the one there is to be tried again.
    Before(usize, Error),
    /// Those before this index; the node takes no more at present.
    Waits(usize, Error),
    /// Those before this index; what they have made is to leave before the next one.
    Part(usize),
    /// Those before this index; the last of them panicked, once too often.
    Until(usize, Error),
}

impl Stage {
    /// Feeds a batch, which came by the link of this number, and commits it. The first event of it
    /// was `tried` so often. The rest comes back where so much was made that it is to leave before.
    pub fn feed(
        &mut self,
        batch: Batch,
        input: Option<usize>,
        tried: u32,
    ) -> Result<Option<Batch>, Retry> {
        let begun = monotonic();
        if self.dead {
            self.fail_all(batch);
            return Ok(None);
        }
        self.frame.input = input;
        let fed = self.feed_all(batch, tried);
        add_nanos(&self.account.busy, begun.elapsed());
        fed
    }

    fn feed_all(&mut self, mut batch: Batch, tried: u32) -> Result<Option<Batch>, Retry> {
        let panics = self.panics;
        let error = match self.attempt(batch.events(), tried) {
            Ok(Attempt::All) => {
                self.resolve(batch);
                return Ok(None);
            }
            Ok(Attempt::Part(index)) => {
                let rest = batch.split_off(index);
                self.resolve(batch);
                return Ok(Some(rest));
            }
            Ok(Attempt::Before(index, error)) => {
                let rest = batch.split_off(index);
                self.resolve(batch);
                let tried = if index == 0 { tried } else { 0 };
                return Err(self.try_again(rest, error, tried + 1));
            }
            Ok(Attempt::Waits(index, error)) => {
                let rest = batch.split_off(index);
                self.resolve(batch);
                return Err(Retry {
                    batch: rest,
                    error,
                    tried: if index == 0 { tried } else { 0 },
                    pause: Some(WAIT),
                });
            }
            Ok(Attempt::Until(index, error)) => {
                let rest = batch.split_off(index);
                self.resolve(batch);
                self.die(&error);
                self.fail_all(rest);
                return Ok(None);
            }
            Err(error) => error,
        };
        // Whatever came of it is taken back.
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

    /// The commit of a whole batch has failed: finds out whose fault it is.
    fn feed_singly(&mut self, batch: Batch, failed: Error, tried: u32) -> Result<(), Retry> {
        let lone = batch.len() == 1;
        let mut tried = tried;
        let mut events = batch.into_iter();
        while let Some(event) = events.next() {
            let one = Batch::from_iter([event]);
            let fed = if lone {
                Err(failed.clone())
            } else {
                self.attempt(one.events(), tried)
            };
            match fed {
                Ok(Attempt::All | Attempt::Part(_)) => self.resolve(one),
                Ok(Attempt::Before(_, error)) => {
                    self.resolve(Batch::default());
                    let rest = one.into_iter().chain(events).collect();
                    return Err(self.try_again(rest, error, tried + 1));
                }
                Ok(Attempt::Waits(_, error)) => {
                    self.resolve(Batch::default());
                    return Err(Retry {
                        batch: one.into_iter().chain(events).collect(),
                        error,
                        tried,
                        pause: Some(WAIT),
                    });
                }
                Ok(Attempt::Until(_, error)) => {
                    self.resolve(one);
                    self.die(&error);
                    self.fail_all(events.collect());
                    return Ok(());
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

    /// Feeds the events, of which the first was `tried` so often, and commits. An error that comes
    /// out concerns all of them.
    fn attempt(&mut self, events: &[Event], tried: u32) -> Result<Attempt> {
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
                return Ok(Attempt::Part(index));
            }
            if let Err(error) = fed {
                if error.is_retryable() {
                    return Err(error);
                }
                if error.is_busy() {
                    self.frame.take_back(&events[index]);
                    self.commit()?;
                    return Ok(Attempt::Waits(index, error));
                }
                let tried = 1 + if index == 0 { tried } else { 0 };
                if error.is_fatal() {
                    self.failed = Some(error.clone());
                } else if self.may_retry(tried) {
                    self.frame.take_back(&events[index]);
                    self.commit()?;
                    return Ok(Attempt::Before(index, error));
                }
                self.frame
                    .reject_in_hand(&events[index], error.clone(), tried);
                index += 1;
                if self.is_last_panic(&error) {
                    self.commit()?;
                    return Ok(Attempt::Until(index, error));
                }
            }
        }
        self.commit()?;
        Ok(Attempt::All)
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
