//! The kinds of windows: which windows a row is in, when it leaves, and when a window closes.
//!
//! All that depends on the kind of a window is decided here. Instants are microseconds since 1970.
//!
//! | kind | the windows of a row | a row leaves | a window closes |
//! |---|---|---|---|
//! | sliding | one, without bounds | `size` after its time | never |
//! | count | one, without bounds | when `count` rows have come after it | never |
//! | hopping, tumbling | those whose bounds contain its time | with its last window | at its end |
//! | session | the session of its group | with its session | `gap` after its last row |
//!
//! A window with bounds has groups of its own. The options of each kind are checked in `make/checks`.

mod time_bound;

use super::analysis::{Bound, RestrictedSql};
use super::options::TimeDomain;
use crate::store::Interval;
use crate::time::{Timestamp, format_duration};
use std::fmt;
use std::time::Duration;

use time_bound::TimeBound;

const SECOND: i64 = 1_000_000;
/// How far one row moves the axis on which the rows of a `count` window expire: a bucket of the expiry
/// queue is a second long, and so holds a thousand of them.
const ROW: i64 = 1_000;

/// Which rows are in a window at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WindowKind {
    /// The rows that are at most this old.
    Sliding(Duration),
    /// This many rows: those that came last.
    Count(usize),
    /// One window begins at every multiple of `slide` since 1970 and ends `size` later. Where the
    /// two are equal each row is in one window (a tumbling window), else in `size / slide`.
    Hopping {
        /// The length of each window.
        size: Duration,
        /// The distance between the beginnings of two windows.
        slide: Duration,
    },
    /// A window for each group: it closes when no row of the group has come for this long.
    Session(Duration),
}

/// The bounds of a window that closes: it contains the instants from `start` up to `end`, without
/// `end`. Ordered by `end`, then by `start`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WindowBounds {
    // First, for the order.
    pub end: i64,
    pub start: i64,
}

impl WindowKind {
    /// Whether its windows close, after which they are not emitted again.
    pub(super) fn closes(self) -> bool {
        matches!(self, WindowKind::Hopping { .. } | WindowKind::Session(_))
    }

    /// Whether the bounds of its windows depend on the time of a row alone.
    pub(super) fn has_fixed_windows(self) -> bool {
        matches!(self, WindowKind::Hopping { .. })
    }

    /// Whether each group has windows of its own, whose bounds its rows move.
    pub(super) fn is_session(self) -> bool {
        matches!(self, WindowKind::Session(_))
    }

    /// Whether rows leave as time passes, and not because others come.
    pub(super) fn goes_by_time(self) -> bool {
        !matches!(self, WindowKind::Count(_))
    }

    /// How many rows it contains, where their number is what limits it.
    pub(super) fn count(self) -> Option<usize> {
        match self {
            WindowKind::Count(rows) => Some(rows),
            _ => None,
        }
    }

    /// How old its rows are at most, where their age is what limits it.
    pub(super) fn age(self) -> Option<Duration> {
        match self {
            WindowKind::Sliding(size) => Some(size),
            _ => None,
        }
    }

    /// For how long it needs a row, where that is known before the row comes. In event time it is not:
    /// the watermark may stand still.
    pub(super) fn retention(self, domain: TimeDomain) -> Option<Duration> {
        match self {
            WindowKind::Sliding(size) | WindowKind::Hopping { size, .. } => {
                Some(size).filter(|_| domain == TimeDomain::System)
            }
            WindowKind::Count(_) | WindowKind::Session(_) => None,
        }
    }

    /// Why no plan but `incremental` can serve it, where that is so.
    pub(super) fn needs_state(self) -> Option<&'static str> {
        self.is_session()
            .then_some("only the plan incremental supports sessions")
    }

    /// The SQL of a query over one window of this kind.
    pub(super) fn sql(self, query: &RestrictedSql) -> &str {
        if self.closes() {
            &query.bounded.sql
        } else {
            &query.sliding.sql
        }
    }
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WindowKind::Sliding(size) => write!(f, "sliding, {}", format_duration(*size)),
            WindowKind::Count(rows) => write!(f, "the last {rows} rows"),
            WindowKind::Hopping { size, slide } if size == slide => {
                write!(f, "tumbling, {}", format_duration(*size))
            }
            WindowKind::Hopping { size, slide } => write!(
                f,
                "hopping, {} every {}",
                format_duration(*size),
                format_duration(*slide)
            ),
            WindowKind::Session(gap) => write!(f, "sessions, gap {}", format_duration(*gap)),
        }
    }
}

/// When rows enter and leave the windows of a query: by the kind of the windows and, where they slide,
/// by the bound on time that the query sets itself.
#[derive(Debug, Clone)]
pub(super) struct WindowRules {
    pub kind: WindowKind,
    /// The bounds on the time of a row of a sliding window: a row is in the window that satisfies all
    /// of them. The first is the window's own. Empty for other kinds.
    bounds: Vec<TimeBound>,
}

impl WindowRules {
    /// The rules of windows of this kind over a query with this bound. Where the times of rows are
    /// whole seconds, they are compared with an instant in whole seconds.
    pub fn new(kind: WindowKind, query: Option<Bound>, whole_seconds: bool) -> Self {
        let own = kind.age().map(|length| Bound {
            length,
            inclusive: true,
            whole_seconds: whole_seconds && length.subsec_nanos() == 0,
        });
        let query = query.filter(|_| own.is_some());
        let bounds = own.into_iter().chain(query).map(TimeBound::new);
        WindowRules {
            kind,
            bounds: bounds.collect(),
        }
    }

    /// The fixed windows that contain a row of this time, earliest first; none where the windows of
    /// the kind are not fixed.
    #[inline]
    pub fn fixed_windows(&self, time: Timestamp) -> impl Iterator<Item = WindowBounds> + use<> {
        let time = time.as_micros();
        let (size, slide, last, count) = match self.kind {
            WindowKind::Hopping { size, slide } => {
                let (size, slide) = (micros(size), micros(slide));
                let last = time.div_euclid(slide) * slide;
                let count = (size - (time - last) + slide - 1).div_euclid(slide);
                (size, slide, last, count)
            }
            _ => (0, 0, 0, 0),
        };
        (0..count).rev().map(move |back| {
            let start = last - back * slide;
            WindowBounds {
                start,
                end: start.saturating_add(size),
            }
        })
    }

    /// Those of the fixed windows that have not closed by an instant.
    #[inline]
    pub fn open_windows(
        &self,
        time: Timestamp,
        closed: Timestamp,
    ) -> impl Iterator<Item = WindowBounds> + use<> {
        let closed = closed.as_micros();
        self.fixed_windows(time)
            .filter(move |window| window.end > closed)
    }

    /// The windows whose groups a row of this time belongs to: the open ones of the fixed windows, or
    /// the one window without bounds.
    #[inline]
    pub fn windows_of(
        &self,
        time: Timestamp,
        closed: Timestamp,
    ) -> impl Iterator<Item = Option<WindowBounds>> + use<> {
        let without_bounds = (!self.kind.has_fixed_windows()).then_some(None);
        let fixed = self.open_windows(time, closed).map(Some);
        without_bounds.into_iter().chain(fixed)
    }

    /// When a row of this time leaves the running state; of a `count` window the position on the axis
    /// of rows, where `arrived` rows came before it.
    #[inline]
    pub fn leaves(&self, time: Timestamp, arrived: i64) -> i64 {
        match self.kind {
            WindowKind::Count(rows) => (arrived + 1 + rows as i64) * ROW,
            _ => self.stored_until(time),
        }
    }

    /// How much later a row leaves than under other rules; `None` where that differs from row to row, or
    /// its windows are others.
    pub fn later_than(&self, other: &WindowRules) -> Option<i64> {
        match (self.kind, other.kind) {
            (WindowKind::Sliding(_), WindowKind::Sliding(_)) => {
                let bounds = self.bounds.iter().zip(&other.bounds);
                let mut later = bounds.map(|(own, other)| own.later_than(other));
                let first = later.next()??;
                let same = later.all(|later| later == Some(first));
                (same && self.bounds.len() == other.bounds.len()).then_some(first)
            }
            (WindowKind::Count(own), WindowKind::Count(other)) => {
                Some((own as i64 - other as i64).saturating_mul(ROW))
            }
            (own, other) => (own == other).then_some(0),
        }
    }

    /// How far the axis on which rows expire has come.
    #[inline]
    pub fn expired(&self, now: Timestamp, arrived: i64) -> i64 {
        match self.kind {
            WindowKind::Count(_) => arrived * ROW,
            _ => now.as_micros(),
        }
    }

    /// When a stored row of this time leaves its last window, where that depends on time alone.
    #[inline]
    pub fn stored_until(&self, time: Timestamp) -> i64 {
        match self.kind {
            WindowKind::Sliding(_) => {
                let exceeded = self.bounds.iter().map(|bound| bound.exceeded(time));
                exceeded.min().unwrap_or(i64::MAX)
            }
            WindowKind::Hopping { .. } => {
                let last = self.fixed_windows(time).last();
                last.map_or(i64::MIN, |window| window.end)
            }
            WindowKind::Count(_) | WindowKind::Session(_) => i64::MAX,
        }
    }

    /// Whether a row of this time is in a window at `now`, or will be.
    #[inline]
    pub fn takes(&self, time: Timestamp, now: Timestamp) -> bool {
        match self.kind {
            WindowKind::Count(_) | WindowKind::Session(_) => true,
            WindowKind::Sliding(_) | WindowKind::Hopping { .. } => {
                time >= now || self.stored_until(time) > now.as_micros()
            }
        }
    }

    /// Whether a row of this time is too late for every window; `closed` is the instant up to which
    /// windows have closed. A session that it would join may still be open.
    pub fn is_late(
        &self,
        time: Timestamp,
        now: Timestamp,
        closed: Timestamp,
        domain: TimeDomain,
    ) -> bool {
        match self.kind {
            WindowKind::Sliding(_) | WindowKind::Count(_) => {
                domain == TimeDomain::Event && time < now
            }
            WindowKind::Hopping { .. } => self.open_windows(time, closed).next().is_none(),
            WindowKind::Session(gap) => {
                // The end of a session of its own.
                time.as_micros().saturating_add(distance(gap)) <= closed.as_micros()
            }
        }
    }

    /// From which time on rows are needed; `open` are the starts of the windows that are open.
    pub fn needed_from(&self, now: Timestamp, open: impl Iterator<Item = i64>) -> Timestamp {
        match self.kind {
            WindowKind::Sliding(_) | WindowKind::Count(_) => self.cutoff(now),
            WindowKind::Hopping { .. } => {
                let next = self.fixed_windows(now).next().map(|window| window.start);
                let least = open.chain(next).min();
                Timestamp::from_micros(least.unwrap_or(i64::MIN))
            }
            WindowKind::Session(gap) => {
                let next = now.saturating_sub(gap);
                let least = open.map(Timestamp::from_micros).min();
                least.map_or(next, |least| least.min(next))
            }
        }
    }

    /// The interval of time for the parameters of a query: that of a window with bounds, or what
    /// a window without them contains at `now`.
    pub fn interval(&self, now: Timestamp, window: Option<WindowBounds>) -> Interval {
        match window {
            Some(window) => Interval {
                start: Timestamp::from_micros(window.start),
                end: Timestamp::from_micros(window.end),
                from: Timestamp::from_micros(window.start),
            },
            None => Interval {
                start: self.start(now),
                end: now,
                from: self.cutoff(now),
            },
        }
    }

    /// The least time of a row of a sliding window.
    fn cutoff(&self, now: Timestamp) -> Timestamp {
        let least = self.bounds.iter().map(|bound| bound.least(now)).max();
        least.unwrap_or(Timestamp::from_micros(i64::MIN))
    }

    /// The start of a sliding window, for the parameter `:window_start`.
    pub fn start(&self, now: Timestamp) -> Timestamp {
        let own = self.bounds.first().map(|own| own.edge(now));
        own.unwrap_or(Timestamp::from_micros(i64::MIN))
    }

    /// The least distance between the rows of two sessions, in microseconds, where windows are
    /// sessions. Rows that are exactly the gap apart are in one session.
    #[inline]
    pub fn session_gap(&self) -> Option<i64> {
        match self.kind {
            WindowKind::Session(gap) => Some(distance(gap)),
            _ => None,
        }
    }

    /// The end of a window as queries and rejected events show it: of a session the last instant at
    /// which a row would have joined it.
    pub fn shown_end(&self, window: WindowBounds) -> i64 {
        match self.kind {
            WindowKind::Session(_) => window.end.saturating_sub(1),
            _ => window.end,
        }
    }
}

/// The least distance between the rows of two sessions.
fn distance(gap: Duration) -> i64 {
    micros(gap).saturating_add(1)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
