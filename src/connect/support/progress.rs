//! What is known of the events of a batch at a sink that sends them one by one, or several at once.
//!
//! The invariant: an event that was sent, or refused for good, is not sent again when its batch is fed
//! again, whole or event by event, unless it is tried again on purpose.

use crate::error::{Error, Result};
use crate::node::Context;
use std::collections::VecDeque;

/// Sends each event of a batch once, also when the batch is fed again after an error: an event that
/// was sent is not sent again, one that was refused is refused with the same error. An event that is
/// tried again on purpose ([`on_error`](crate::Network::on_error)) is sent again.
///
/// A sink calls [`once`](Self::once) from `write`, [`commit`](Self::commit) at the end of its
/// `commit` and [`rollback`](Self::rollback) from `rollback`. One that sends later than in `write`
/// asks for [`known`](Self::known) there, keeps the [`number`](Self::number) of the event, and notes
/// the outcome with [`add`](Self::add).
#[derive(Debug, Default)]
pub struct Progress {
    /// What is known of the events from the number `first` on; a number is a [`Context::sequence`].
    entries: VecDeque<Option<Known>>,
    first: u64,
    /// How many events were fed since the last commit or rollback, and the number of the last.
    fed: usize,
    last: u64,
    /// The first retryable outcome since then.
    unsettled: Option<Error>,
}

#[derive(Debug)]
struct Known {
    error: Option<Error>,
    /// Whether `write` has returned it since the last commit or rollback.
    returned: bool,
}

impl Progress {
    /// Sends the event in hand, unless that was done before.
    ///
    /// # Errors
    /// Those of `send`, from this call or an earlier one. A retryable error is not kept.
    pub fn once(&mut self, cx: &Context<'_>, send: impl FnOnce() -> Result<()>) -> Result<()> {
        if let Some(known) = self.known(cx) {
            return known;
        }
        let sent = send();
        if !sent.as_ref().is_err_and(Error::is_retryable) {
            self.set(self.last, sent.clone(), true);
        }
        sent
    }

    /// The outcome of the event in hand from an earlier attempt at its batch. To be called once for
    /// each event, before anything else can refuse it.
    pub fn known(&mut self, cx: &Context<'_>) -> Option<Result<()>> {
        let number = cx.sequence()?;
        if self.fed == 0 {
            self.begin(number);
        }
        self.fed += 1;
        self.last = number;
        let index = self.index(number)?;
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || None);
        }
        let known = self.entries[index].as_mut()?;
        known.returned = true;
        Some(known.error.clone().map_or(Ok(()), Err))
    }

    /// The number of the event that [`known`](Self::known) was asked about last. An event that is fed
    /// again has the same number.
    pub fn number(&self) -> u64 {
        self.last
    }

    /// The outcome of the event of this number, which `write` left for later. A retryable error is not
    /// kept: the commit returns it, and the event is sent again.
    pub fn add(&mut self, number: u64, sent: Result<()>) {
        match sent {
            Err(error) if error.is_retryable() => {
                self.unsettled.get_or_insert(error);
            }
            sent => self.set(number, sent, false),
        }
    }

    /// The batch is done.
    ///
    /// # Errors
    /// The outcome of an event was retryable: the batch is fed again. Or an event was refused after
    /// `write`: the engine feeds the events again one by one, and `write` returns the error of each.
    pub fn commit(&mut self) -> Result<()> {
        if let Some(error) = self.unsettled.take() {
            return Err(error);
        }
        if self.fed == 0 {
            return Ok(());
        }
        let fed = self.index(self.last).map_or(0, |index| index + 1);
        let mut later = self.entries.iter().take(fed).flatten();
        let refused = later.find_map(|known| {
            if known.returned {
                None
            } else {
                known.error.clone()
            }
        });
        if let Some(error) = refused {
            if self.fed == 1 {
                // The error of a single event is its own, and is not asked for again.
                self.forget();
            }
            return Err(error);
        }
        self.forget();
        Ok(())
    }

    /// The batch will come again.
    pub fn rollback(&mut self) {
        let known = self.entries.iter_mut().flatten();
        known.for_each(|known| known.returned = false);
        self.fed = 0;
        self.unsettled = None;
    }

    /// The first event of an attempt has this number: those before it do not come again, while it may
    /// be one that was forgotten and is tried again on purpose.
    fn begin(&mut self, number: u64) {
        while self.first < number && self.entries.pop_front().is_some() {
            self.first += 1;
        }
        if self.entries.is_empty() {
            self.first = number;
        }
        while self.first > number {
            self.entries.push_front(None);
            self.first -= 1;
        }
    }

    fn index(&self, number: u64) -> Option<usize> {
        let index = number.checked_sub(self.first)?;
        usize::try_from(index).ok()
    }

    /// Does nothing for an event that was not fed.
    fn set(&mut self, number: u64, sent: Result<()>, returned: bool) {
        let index = self.index(number);
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            let error = sent.err();
            *entry = Some(Known { error, returned });
        }
    }

    /// Forgets the events that were fed. The outcomes of later events stay.
    fn forget(&mut self) {
        let fed = self.index(self.last).map_or(0, |index| index + 1);
        self.entries.drain(..fed.min(self.entries.len()));
        self.first = self.last + 1;
        self.fed = 0;
    }
}
