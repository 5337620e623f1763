//! What is done about an event that a node rejects: tried again, and where it goes after that.
//!
//! An [`OnError`] is the policy of the caller; [`Retries`] is the part of it that a stage keeps. The
//! links to the targets are the graph's: see `graph/error_policy.rs`.

use super::handles::Receives;
use super::link::Capacity;
use crate::error::{Error, Result};
use crate::name::Name;
use crate::time::{Backoff, Timestamp, format_duration, parse_positive_duration};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// The error policy of a node: what is done about the events that it rejects.
///
/// An event is tried again in its place: what came after it waits, so order is kept. When the last
/// attempt has failed it leaves by the port `errors`, which then leads to the target, if there is
/// one. Its meta gets `node`, `error`, `reason`, `place`, `time` and `attempts`.
///
/// ```
/// use std::time::Duration;
/// use tributary::{Network, OnError, pipeline, sink};
///
/// let network = Network::new();
/// network.add_pipeline("node", pipeline::Forwarder)?;
/// network.add_sink("bad", sink::Discarder)?;
/// network.on_error("node", OnError::retry(5).jitter(false).after("bad"))?;
/// network.on_error("*", OnError::to("bad"))?; // every other node
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnError {
    pub(super) retries: Retries,
    pub(super) after: Option<String>,
}

/// How often and after which pauses an event is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retries {
    pub times: u32,
    backoff: Backoff,
    jitter: bool,
}

/// What is done about the errors of one node, or of all.
#[derive(Debug, Clone)]
pub(crate) struct ErrorPolicy {
    /// `None` stands for every node that has no policy of its own.
    pub node: Option<Name>,
    pub on_error: OnError,
    /// The capacity of the links that it makes.
    pub capacity: Capacity,
    /// Where it was written, for messages.
    pub place: Option<String>,
    /// The script that it belongs to, if it belongs to one.
    pub unit: Option<Arc<str>>,
}

/// The most attempts that can be set: a greater number is a mistake.
const MOST_RETRIES: u32 = 10_000;

impl OnError {
    /// No second attempt: what is rejected goes to this node.
    pub fn to(target: impl Receives) -> Self {
        OnError::retry(0).after(target)
    }

    /// So many attempts after the first, with pauses that double from 100 ms to 10 s, with jitter.
    pub fn retry(times: u32) -> Self {
        OnError {
            retries: Retries {
                times,
                backoff: Backoff::EVENT,
                jitter: true,
            },
            after: None,
        }
    }

    /// The node that gets what was rejected for good, in place of whatever `errors` leads to.
    #[must_use]
    pub fn after(mut self, target: impl Receives) -> Self {
        self.after = Some(target.input());
        self
    }

    /// The first pause and the longest; from one to the next it doubles.
    #[must_use]
    pub fn backoff(mut self, least: Duration, most: Duration) -> Self {
        self.retries.backoff = Backoff::new(least, most);
        self
    }

    /// Whether a pause is cut by a part that differs each time, up to a half of it, so that nodes
    /// that failed together don't come again together.
    #[must_use]
    pub fn jitter(mut self, jitter: bool) -> Self {
        self.retries.jitter = jitter;
        self
    }

    /// Reads the pauses as they are written: `"100ms..10s"`, or `"1s"` for pauses that stay alike.
    ///
    /// # Errors
    /// A text that is neither.
    pub(crate) fn parse_backoff(text: &str) -> Result<(Duration, Duration)> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        Ok((
            parse_positive_duration(least)?,
            parse_positive_duration(most)?,
        ))
    }

    pub(super) fn check(&self) -> Result<()> {
        let Retries { times, backoff, .. } = self.retries;
        let (least, most) = (backoff.first(), backoff.longest());
        if times > MOST_RETRIES {
            let error = format!("bad retry {times}: allowed is 0 to {MOST_RETRIES}");
            return Err(Error::data(error));
        }
        if least.is_zero() || least > most {
            let (least, most) = (format_duration(least), format_duration(most));
            let error = format!("bad backoff {least}..{most}");
            return Err(Error::data(error).with_hint("the first pause, then the longest"));
        }
        if times == 0 && self.after.is_none() {
            let error = Error::data("on_error needs a target, or retries");
            return Err(error.with_hint("name a node, or write {retry = 5, after = \"node\"}"));
        }
        Ok(())
    }
}

impl Retries {
    /// The pause after so many failed attempts. The jitter follows from the node and the instant,
    /// so that a simulation is the same each time.
    pub fn pause(&self, tried: u32, node: &str, now: Timestamp) -> Duration {
        let pause = self.backoff.pause(tried);
        if !self.jitter {
            return pause;
        }
        let mut hasher = DefaultHasher::new();
        (node, now.as_micros(), tried).hash(&mut hasher);
        let share = (hasher.finish() % 1_000) as u32;
        pause - pause / 2 * share / 1_000
    }
}
