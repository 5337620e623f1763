//! Time as the network sees it: instants, the clock that they come from, and durations in text.
//!
//! Nodes never ask the system for the time; they ask their [`Context`](crate::Context), which
//! asks the network's [`Clock`]. In a simulation that is a [`ManualClock`]. This is the one file
//! that reads the system's clocks.

mod backoff;
mod instant;
mod seconds;

use crate::error::{Error, Result, quote};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use backoff::Backoff;
pub(crate) use instant::read_instant;
pub(crate) use seconds::{is_far, unit_that_fits};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
///
/// A node asks [`Context::now`](crate::Context::now) which it is, a host asks [`SystemClock`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// Later than every instant that a clock shows.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The instant so many microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Timestamp(micros)
    }

    /// The instant so many milliseconds after the epoch (saturating).
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis.saturating_mul(1_000))
    }

    /// The instant so many seconds after the epoch (saturating).
    pub const fn from_secs(secs: i64) -> Self {
        Timestamp(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Seconds since the epoch with their fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// This instant and a duration after it (saturating).
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_add(micros(duration)))
    }

    /// This instant and a duration before it (saturating).
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_sub(micros(duration)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC, with as much of a fraction as there is: `2026-11-23T20:10:00.5Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => write!(f, "{at}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a network's instants come from.
pub trait Clock: Send + Sync {
    /// The instant it is now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings")]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock set before 1970 reads as the epoch.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Timestamp(micros(since.unwrap_or_default()))
    }
}

/// A clock that stands still until it is set: virtual time.
///
/// ```
/// use std::time::Duration;
/// use tributary::time::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_secs(100));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), Timestamp::from_secs(105));
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        ManualClock(AtomicI64::new(start.0))
    }

    /// Moves the clock to `now`, forward or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// The monotonic clock, for what is measured rather than decided: busy time, limits of waiting.
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// The longest duration that is taken from text: 36,500 days.
pub const MAX_DURATION: Duration = Duration::from_secs(36_500 * 86_400);

const UNITS: [(&str, u128); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// Reads a duration: whole numbers with units `us ms s m h d`, the greater unit first, nothing
/// between them: `"10s"`, `"1h30m"`, `"500ms"`.
///
/// ```
/// use std::time::Duration;
/// use tributary::time::parse_duration;
///
/// assert_eq!(parse_duration("1h30m")?, Duration::from_secs(5400));
/// assert_eq!(
///     parse_duration("10").unwrap_err().to_string(),
///     r#"bad duration "10": no unit; did you mean "10s"?"#
/// );
/// # Ok::<(), tributary::Error>(())
/// ```
///
/// # Errors
/// Anything else, and more than [`MAX_DURATION`].
pub fn parse_duration(text: &str) -> Result<Duration> {
    let bad = |why: &str| Error::data(format!("bad duration {}: {why}", quote(text)));
    let grammar = "write whole numbers with units, as in \"10s\", \"1h30m\", \"500ms\"";
    if text.is_empty() {
        return Err(bad("it is empty").with_hint(grammar));
    }
    if text.starts_with('-') {
        return Err(bad("it is negative"));
    }
    let too_long = || bad("longer than the maximum of 36500d");
    let mut total: u128 = 0;
    let mut last_unit = u128::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return Err(bad("a number was expected").with_hint(grammar));
        }
        let number: u128 = match rest[..digits].parse() {
            Ok(number) => number,
            Err(_) => return Err(too_long()),
        };
        rest = &rest[digits..];
        let letters = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_lowercase())
                .len();
        let unit = &rest[..letters];
        if rest.is_empty() {
            let hint = match total {
                0 => format!("did you mean {}?", quote(format!("{text}s"))),
                _ => grammar.to_owned(),
            };
            return Err(bad("no unit").with_hint(hint));
        }
        let Some(&(_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(bad("the units are us, ms, s, m, h and d").with_hint(grammar));
        };
        if size >= last_unit {
            return Err(bad("the greater unit comes first, each once").with_hint(grammar));
        }
        last_unit = size;
        total = total.saturating_add(number.saturating_mul(size));
        rest = &rest[letters..];
    }
    if total > MAX_DURATION.as_micros() {
        return Err(too_long());
    }
    Ok(Duration::from_micros(
        u64::try_from(total).map_err(|_| too_long())?,
    ))
}

/// Reads a duration that must not be zero, as tickers, limits and windows need.
///
/// # Errors
/// Those of [`parse_duration`], and zero.
pub fn parse_positive_duration(text: &str) -> Result<Duration> {
    match parse_duration(text)? {
        Duration::ZERO => Err(Error::data(format!(
            "bad duration {}: it must be more than zero",
            quote(text)
        ))),
        duration => Ok(duration),
    }
}

/// A duration in the grammar of [`parse_duration`].
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_micros();
    let mut text = String::new();
    for (unit, size) in UNITS.iter().rev() {
        if rest >= *size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}
