//! Retryable errors, after which the node is opened again and its batch fed again after a pause; and
//! events that are tried again in their place, by their error policy.
//!
//! A worker that is stalled is in a state and not in a loop: it handles control messages meanwhile, keeps the
//! order, and serves virtual time too. The pauses grow until something succeeds.

use super::batch::{InputBatch, Stalled};
use super::{Phase, Worker};
use crate::error::{Error, Result};
use crate::network::stats::{NodeState, add};
use crate::time::{Backoff, format_duration};
use std::time::Duration;

/// The pauses before a node is opened again. The longest is short, so that a node continues soon after its
/// server does.
const REOPEN: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// At the longest pause, one of this many attempts is logged: one a minute.
const STILL: u32 = 30;

impl Worker {
    /// Opens the node for the first time; an error names it.
    pub fn open(&mut self) -> Result<()> {
        let opened = self.stage.open();
        opened.map_err(|error| error.within(format!("node {}", self.stage.name)))
    }

    /// The same for a node that may be opened later: it stalls on a retryable error.
    pub fn open_or_stall(&mut self) -> Result<()> {
        match self.stage.open() {
            Err(error) if error.is_retryable() => {
                self.stall(Vec::new(), &error);
                Ok(())
            }
            Err(error) => Err(error.within(format!("node {}", self.stage.name))),
            Ok(()) => Ok(()),
        }
    }

    pub(super) fn stall_on(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.stall(Vec::new(), &error);
        }
    }

    pub(super) fn stall(&mut self, mut batches: Vec<InputBatch>, error: &Error) {
        self.attempts += 1;
        let pause = REOPEN.pause(self.attempts);
        let (name, again) = (&self.stage.name, format_duration(pause));
        // An opening names its node itself.
        let text = error.to_string();
        let named = format!("node {name}: ");
        let text = text.strip_prefix(&named).unwrap_or(&text);
        match self.attempts {
            1 => log::warn!("node {name}: {text}; it is opened again in {again}"),
            n if pause < REOPEN.longest() || n % STILL == 0 => {
                log::warn!("node {name}: still lost: {text}; it is opened again in {again}");
            }
            _ => log::debug!("node {name}: still lost: {text}; it is opened again in {again}"),
        }
        self.stage.account.set_state(NodeState::Lost);
        self.stage.report("node lost", error, None);
        // A second error keeps what waits already.
        if let Some(stalled) = self.stalled.take() {
            batches.extend(stalled.batches);
        }
        let since = self.stage.now();
        self.stalled = Some(Stalled {
            batches,
            since,
            until: since.saturating_add(pause),
            lost: true,
        });
    }

    /// The first event of the batch is tried again when the pause is over.
    pub(super) fn pause(&mut self, input: InputBatch, pause: Duration, error: &Error) {
        let name = &self.stage.name;
        match (error.is_busy(), self.waits) {
            (true, false) => log::warn!("node {name}: {error}"),
            (true, true) => {}
            (false, _) => log::debug!(
                "node {name}: attempt {} at an event failed: {error}; the next one is in {}",
                input.tried,
                format_duration(pause)
            ),
        }
        self.waits = error.is_busy();
        self.stage.account.set_state(NodeState::Retrying);
        let since = self.stage.now();
        self.stalled = Some(Stalled {
            batches: vec![input],
            since,
            until: since.saturating_add(pause),
            lost: false,
        });
    }

    /// Something has succeeded.
    pub(super) fn is_back(&mut self) {
        let attempts = std::mem::take(&mut self.attempts);
        if attempts > 0 {
            log::warn!("node {}: back after {attempts} attempts", self.stage.name);
        }
    }

    /// A pause is over.
    pub(super) fn resume(&mut self) {
        match self.stalled.take() {
            Some(stalled) if stalled.lost => self.reopen(stalled),
            Some(stalled) => {
                self.stage.account.set_state(NodeState::Open);
                self.feed_again(stalled.batches);
            }
            None => {}
        }
    }

    pub(super) fn feed_again(&mut self, batches: Vec<InputBatch>) {
        for input in batches {
            match &mut self.stalled {
                None => self.feed(input),
                Some(again) => again.batches.push(input),
            }
        }
    }

    fn reopen(&mut self, stalled: Stalled) {
        add(&self.stage.account.reopened, 1);
        match self.stage.open() {
            Ok(()) => {
                if self.unsettled {
                    match self.stage.commit_again() {
                        Ok(()) => self.unsettled = false,
                        Err(error) => return self.stall(stalled.batches, &error),
                    }
                }
                self.feed_again(stalled.batches);
            }
            Err(error) if error.is_retryable() => self.stall(stalled.batches, &error),
            Err(error) => {
                self.shared.fail(self.id, error);
                self.close();
                self.phase = Phase::Done;
            }
        }
    }
}
