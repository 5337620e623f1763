//! What a link may hold, and what happens when it is full.

use crate::error::{Error, ErrorKind, Result, quote};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How much may wait in a link before its sender has to.
///
/// ```
/// use tributary::{Capacity, Network};
///
/// let network = Network::with_capacity(Capacity::new().events(100))?;
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Capacity {
    /// Events, from 1 to 1,000,000.
    pub events: usize,
    /// Bytes of payload and meta, at least 1; a single event is let through however large it is.
    pub bytes: usize,
}

impl Default for Capacity {
    /// 4,096 events and 64 MiB.
    fn default() -> Self {
        Capacity::new()
    }
}

impl Capacity {
    /// The most events that travel together.
    pub const BATCH: usize = 256;

    /// The default: 4,096 events and 64 MiB.
    pub const fn new() -> Self {
        Capacity {
            events: 4_096,
            bytes: 64 << 20,
        }
    }

    /// The same capacity with another number of events.
    #[must_use]
    pub const fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// The same capacity with another number of bytes.
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// A number outside of them.
    pub(crate) fn check(self) -> Result<Self> {
        match self {
            Capacity {
                events: 1..=1_000_000,
                bytes: 1..,
            } => Ok(self),
            Capacity { bytes: 0, .. } => Err(Error::new(
                ErrorKind::Usage,
                "bad capacity of 0 bytes: at least 1",
            )),
            Capacity { events, .. } => Err(Error::new(
                ErrorKind::Usage,
                format!("bad capacity of {events} events: allowed is 1 to 1000000"),
            )),
        }
    }

    pub(super) fn batch(self) -> BatchLimit {
        BatchLimit {
            events: self.batch_events(),
            bytes: self.batch_bytes(),
        }
    }

    pub(super) fn batch_events(self) -> usize {
        self.events.min(Self::BATCH)
    }

    /// The most bytes that travel together: as many batches of them as of so many events fill a link.
    pub(super) fn batch_bytes(self) -> usize {
        self.bytes / (self.events / self.batch_events())
    }
}

/// The most events and bytes that travel together.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimit {
    pub events: usize,
    pub bytes: usize,
}

/// What becomes of an event for which a link has no room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Its sender waits.
    #[default]
    Block,
    /// It is dropped; what waits stays.
    DropNewest,
    /// What has waited longest is dropped in its place.
    DropOldest,
    /// It waits on disk, in order, and its sender waits only when that is full too.
    Spill(Spill),
}

impl Overflow {
    /// The word that is parsed as this.
    pub fn as_str(&self) -> &'static str {
        match self {
            Overflow::Block => "block",
            Overflow::DropNewest => "drop_newest",
            Overflow::DropOldest => "drop_oldest",
            Overflow::Spill(_) => "spill",
        }
    }
}

impl FromStr for Overflow {
    type Err = Error;

    /// `"block"`, `"drop_newest"`, `"drop_oldest"`, or `"spill"` with its defaults.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "block" => Ok(Overflow::Block),
            "drop_newest" => Ok(Overflow::DropNewest),
            "drop_oldest" => Ok(Overflow::DropOldest),
            "spill" => Ok(Overflow::Spill(Spill::default())),
            _ => Err(Error::data(format!("bad overflow {}", quote(text)))
                .with_hint("it is one of block, drop_newest, drop_oldest, spill")),
        }
    }
}

/// Where and how much a link spills. The file has no name and is gone with the process: an event
/// in it that is not tracked is lost with the process, as one in memory is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spill {
    /// The directory; the system's for temporary files where there is none.
    pub dir: Option<PathBuf>,
    /// How large the file may become, in bytes.
    pub size: u64,
}

impl Default for Spill {
    /// 1 GiB in the system's directory for temporary files.
    fn default() -> Self {
        Spill::new()
    }
}

impl Spill {
    /// The default: 1 GiB in the system's directory for temporary files.
    pub const fn new() -> Self {
        Spill {
            dir: None,
            size: 1 << 30,
        }
    }

    /// The same in another directory.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The same with another size of the file, in bytes.
    #[must_use]
    pub const fn size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// The options of a link; those that are not set are the network's.
///
/// ```
/// use std::time::Duration;
/// use tributary::{LinkOptions, Network, Overflow, pipeline::Forwarder, sink::Discarder};
///
/// let network = Network::new();
/// network.add_pipeline("a", Forwarder)?;
/// network.add_sink("b", Discarder)?;
/// let options = LinkOptions::new().events(100).overflow(Overflow::DropOldest);
/// network.link_with("a", "b", options)?;
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkOptions {
    events: Option<usize>,
    bytes: Option<usize>,
    overflow: Overflow,
    timeout: Option<Duration>,
}

impl LinkOptions {
    /// The network's capacity; a sender that finds the link full waits, as long as it takes.
    pub fn new() -> Self {
        LinkOptions::default()
    }

    /// How many events may wait in it.
    #[must_use]
    pub fn events(mut self, events: usize) -> Self {
        self.events = Some(events);
        self
    }

    /// How many bytes of payload and meta may wait in it.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// What happens when it is full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How long its sender may wait while nothing is taken from it: beyond that the network fails,
    /// with an error that names the node which takes nothing.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The settings of a link in a network with this capacity.
    pub(crate) fn settings(&self, network: Capacity) -> Result<LinkSettings> {
        let capacity = Capacity {
            events: self.events.unwrap_or(network.events),
            bytes: self.bytes.unwrap_or(network.bytes),
        };
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            let error = "bad timeout of a link: it must be more than zero";
            return Err(Error::new(ErrorKind::Usage, error));
        }
        if let Overflow::Spill(spill) = &self.overflow {
            if spill.size == 0 {
                let error = "bad size of what a link spills: at least 1 byte";
                return Err(Error::new(ErrorKind::Usage, error));
            }
            let dir = spill.directory();
            if !dir.is_dir() {
                let dir = quote(dir.display().to_string());
                let error = format!("there is no directory {dir} to spill to");
                return Err(Error::new(ErrorKind::NoInput, error));
            }
        }
        Ok(LinkSettings {
            capacity: capacity.check()?,
            overflow: self.overflow.clone(),
            timeout: self.timeout,
        })
    }
}

impl From<Capacity> for LinkOptions {
    fn from(capacity: Capacity) -> Self {
        LinkOptions::new()
            .events(capacity.events)
            .bytes(capacity.bytes)
    }
}

/// All settings of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkSettings {
    pub capacity: Capacity,
    pub overflow: Overflow,
    pub timeout: Option<Duration>,
}

impl From<Capacity> for LinkSettings {
    fn from(capacity: Capacity) -> Self {
        LinkSettings {
            capacity,
            overflow: Overflow::Block,
            timeout: None,
        }
    }
}
