//! How much a node that keeps keys or holds events may keep.
//!
//! A node that rejects an event beyond a bound returns the error of the event, which leaves by `errors`. A node
//! that removes the oldest counts it with [`Context::let_go`](crate::node::Context::let_go).

use crate::error::{Error, Result};
use std::time::Duration;

/// How much a node may hold. A bound that is not set has the default of the node.
///
/// ```
/// use std::time::Duration;
/// use tributary::pipeline::{Bounds, Debounce, Key};
///
/// let bounds = Bounds::new().max_keys(100_000).max_bytes(16 << 20);
/// let node = Debounce::new(Duration::from_secs(1), Key::fields(["user"]))?.bounds(bounds)?;
/// # let _ = node;
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    keys: Option<usize>,
    events: Option<usize>,
    bytes: Option<usize>,
}

impl Bounds {
    /// The most keys of a node, by default.
    pub const KEYS: usize = 10_000_000;
    /// The most events that a node holds, by default.
    pub const EVENTS: usize = 10_000_000;
    /// The most bytes of what a node holds, by default (256 MiB).
    pub const BYTES: usize = 256 << 20;

    /// The bounds of the node.
    pub fn new() -> Self {
        Bounds::default()
    }

    /// The most keys.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The most events, of all keys together.
    #[must_use]
    pub fn max_events(mut self, events: usize) -> Self {
        self.events = Some(events);
        self
    }

    /// The most bytes of what is held, of all keys together: payloads and meta, or the values of keys.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The bounds of a node that has these, with those that it begins with.
    ///
    /// # Errors
    /// A bound of zero, or one that the node has not.
    pub(super) fn of(self, node: &str, known: &[&str], begin: Most) -> Result<Most> {
        let given = [
            ("max_keys", self.keys),
            ("max_events", self.events),
            ("max_bytes", self.bytes),
        ];
        for (name, bound) in given {
            match bound {
                Some(_) if !known.contains(&name) => {
                    let error = format!("a {node} has no bound {name}");
                    let hint = format!("its bounds are {}", known.join(", "));
                    return Err(Error::data(error).with_hint(hint));
                }
                Some(0) => {
                    let error = format!("bad {name} 0 of a {node}: it must be more than zero");
                    return Err(Error::data(error));
                }
                _ => {}
            }
        }
        Ok(Most {
            // Places are numbers of 32 bits.
            keys: self.keys.unwrap_or(begin.keys).min(u32::MAX as usize - 1),
            events: self.events.unwrap_or(begin.events),
            bytes: self.bytes.unwrap_or(begin.bytes),
        })
    }
}

/// The bounds of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub keys: usize,
    pub events: usize,
    pub bytes: usize,
}

impl Default for Most {
    fn default() -> Self {
        Most {
            keys: Bounds::KEYS,
            events: Bounds::EVENTS,
            bytes: Bounds::BYTES,
        }
    }
}

impl Most {
    /// Rejects a new key if the maximum is reached.
    pub fn check_keys(&self, kept: usize) -> Result<()> {
        if kept < self.keys {
            return Ok(());
        }
        let error = format!("{} other keys are kept already", self.keys);
        Err(Error::data(error)
            .with_hint("with a shorter time there are fewer; the option max_keys allows more"))
    }

    /// Rejects an event whose bytes would exceed the maximum.
    pub fn check_bytes(&self, held: usize, more: usize) -> Result<()> {
        if held.saturating_add(more) <= self.bytes {
            return Ok(());
        }
        let error = format!(
            "{more} bytes beside the {held} held would exceed {}",
            self.bytes
        );
        Err(Error::data(error).with_hint("the option max_bytes allows more"))
    }
}

/// Refuses a time of zero, in which a node of this kind would do nothing.
pub(super) fn positive(time: Duration, node: &str) -> Result<Duration> {
    match time.as_micros() {
        0 => Err(Error::data(format!(
            "bad time of a {node}: it must be more than zero"
        ))),
        _ => Ok(time),
    }
}
