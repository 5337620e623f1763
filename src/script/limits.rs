//! What a script may use: memory, time, and the system.

use super::failure;
use crate::error::{Error, Result};
use std::time::Duration;

/// Less than this a VM does not begin with (4 MiB).
const LEAST_MEMORY: usize = 4 << 20;

/// What every VM may use: the one that loads scripts, and that of each node written in Lua.
///
/// ```
/// use tributary::{Database, Network, Runtime, script::ScriptLimits};
///
/// let limits = ScriptLimits::new().memory(64 << 20);
/// let database = Database::open("sqlite::memory:")?;
/// let runtime = Runtime::with_limits(&Network::new(), &database, limits)?;
/// let error = runtime.run_text("s.lua", "string.rep('x', 1e9)").unwrap_err();
/// assert_eq!(error.to_string(), "s.lua:1: memory limit of 64 MiB exceeded");
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScriptLimits {
    /// How many bytes a VM may hold (256 MiB).
    pub memory: usize,
    /// How long one call of a function may take (1 s).
    pub call_time: Duration,
    /// How long a script may take to load (5 s).
    pub load_time: Duration,
    /// Whether scripts get the libraries `os`, `io` and `debug` (they do not).
    pub allow_os: bool,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        ScriptLimits::new()
    }
}

impl ScriptLimits {
    /// The defaults.
    pub const fn new() -> Self {
        ScriptLimits {
            memory: 256 << 20,
            call_time: Duration::from_secs(1),
            load_time: Duration::from_secs(5),
            allow_os: false,
        }
    }

    /// The same limits with another size of a VM, in bytes.
    #[must_use]
    pub const fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// The same limits with another time for a call.
    #[must_use]
    pub const fn call_time(mut self, time: Duration) -> Self {
        self.call_time = time;
        self
    }

    /// The same limits with another time for loading a script.
    #[must_use]
    pub const fn load_time(mut self, time: Duration) -> Self {
        self.load_time = time;
        self
    }

    /// The same limits, with or without the libraries `os`, `io` and `debug`.
    #[must_use]
    pub const fn allow_os(mut self, allow: bool) -> Self {
        self.allow_os = allow;
        self
    }

    /// Refuses limits in which nothing fits.
    pub(super) fn check(self) -> Result<Self> {
        if self.memory < LEAST_MEMORY {
            let (given, least) = (failure::size(self.memory), failure::size(LEAST_MEMORY));
            return Err(Error::data(format!(
                "bad memory limit of scripts: {given}, less than {least}"
            )));
        }
        if self.call_time.is_zero() || self.load_time.is_zero() {
            return Err(Error::data(
                "bad time limit of scripts: it must be more than zero",
            ));
        }
        Ok(self)
    }
}
