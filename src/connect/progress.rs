//! What is known of the events of a batch at a sink that sends them one by one, or several at once.

use crate::error::{Error, Result};
use crate::node::Context;
use std::collections::BTreeMap;

/// Sends each event of a batch once, also when the batch is fed again after an error: an event that
/// was sent is not sent again, one that was refused is refused with the same error. An event that is
/// tried again on purpose ([`on_error`](crate::Network::on_error)) is sent again.
///
/// A sink calls [`once`](Self::once) from `write`, [`commit`](Self::commit) at the end of its
/// `commit` and [`rollback`](Self::rollback) from `rollback`. One that sends later than in `write`
/// asks for [`known`](Self::known) there and notes the outcome with [`add`](Self::add).
#[derive(Debug, Default)]
pub struct Progress {
    /// By the number of the event: [`Context::sequence`].
    known: BTreeMap<u64, Known>,
    /// How many events were fed since the last commit or rollback, and the number of the last.
    fed: usize,
    last: u64,
}

/// Notices an event that is tried again on purpose after `write` has returned what the server had answered
/// to it: nothing is known of it any more. For sinks that keep answers in the order of their events.
#[cfg(any(
    feature = "amqp",
    feature = "kafka",
    feature = "mqtt",
    feature = "nats",
    feature = "redis"
))]
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// The last event whose refusal `write` has returned, until the next commit.
    returned: Option<u64>,
    /// The same, once what was fed with it was committed.
    committed: Option<u64>,
}

#[cfg(any(
    feature = "amqp",
    feature = "kafka",
    feature = "mqtt",
    feature = "nats",
    feature = "redis"
))]
impl Refused {
    /// At the beginning of `write`: whether the event in hand comes again.
    pub fn comes_again(&mut self, cx: &Context<'_>) -> bool {
        self.returned = None;
        let refused = self.committed.take();
        refused.is_some() && refused == cx.sequence()
    }

    /// `write` returns the refusal of the event in hand.
    pub fn returned(&mut self, cx: &Context<'_>) {
        self.returned = cx.sequence();
    }

    /// What was fed is done.
    pub fn commit(&mut self) {
        if let Some(returned) = self.returned.take() {
            self.committed = Some(returned);
        }
    }

    /// What was fed comes again.
    pub fn rollback(&mut self) {
        self.returned = None;
    }
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
    /// Those of `send`, then or now. One that is retryable is not kept.
    pub fn once(&mut self, cx: &Context<'_>, send: impl FnOnce() -> Result<()>) -> Result<()> {
        if let Some(known) = self.known(cx) {
            return known;
        }
        let sent = send();
        if !sent.as_ref().is_err_and(Error::is_retryable) {
            let (error, returned) = (sent.clone().err(), true);
            self.known.insert(self.last, Known { error, returned });
        }
        sent
    }

    /// What became of the event in hand when the batch was fed before.
    pub fn known(&mut self, cx: &Context<'_>) -> Option<Result<()>> {
        self.fed += 1;
        self.last = cx.sequence()?;
        let known = self.known.get_mut(&self.last)?;
        known.returned = true;
        Some(known.error.clone().map_or(Ok(()), Err))
    }

    /// What became of the event of this number, which `write` left for later.
    pub fn add(&mut self, sequence: u64, sent: Result<()>) {
        let (error, returned) = (sent.err(), false);
        self.known.insert(sequence, Known { error, returned });
    }

    /// The batch is done.
    ///
    /// # Errors
    /// An event was refused after `write`: the engine feeds the events again one by one, and `write`
    /// returns the error of each.
    pub fn commit(&mut self) -> Result<()> {
        if self.fed == 0 {
            return Ok(());
        }
        let fed = self.known.range(..=self.last).map(|(_, known)| known);
        let mut later = fed.filter(|known| !known.returned);
        let refused = later.find_map(|known| known.error.clone());
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
        self.known
            .values_mut()
            .for_each(|known| known.returned = false);
        self.fed = 0;
    }

    /// Forgets the events that were fed; what is known of later ones stays.
    fn forget(&mut self) {
        self.known = self.known.split_off(&(self.last + 1));
        self.fed = 0;
    }
}
