//! For how long a row is in a window.

use super::analysis::{Bound, RestrictedSql};
use crate::time::{Timestamp, format_duration};
use std::fmt;
use std::time::Duration;

const SECOND: i64 = 1_000_000;
/// How much a row moves the axis of a window of rows: a bucket of the expiry queue, which takes a
/// second, then holds a thousand of them.
pub(super) const ROW: i64 = 1_000;

/// Which rows are in a window at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// Those that are at most so old.
    Sliding(Duration),
    /// The last so many, in the order of their arrival.
    Count(usize),
    /// One window begins at every multiple of `slide` since 1970 and ends `size` later. Where the
    /// two are equal each row is in one window (a tumbling window), else in `size / slide`.
    Hopping {
        /// How long each window is.
        size: Duration,
        /// How far apart they begin.
        slide: Duration,
    },
    /// A window for each group: it ends when for so long no row of the group has come.
    Session(Duration),
}

impl WindowKind {
    /// Whether its windows have an end, after which they are closed for good.
    pub(super) fn is_bounded(self) -> bool {
        matches!(self, WindowKind::Hopping { .. } | WindowKind::Session(_))
    }

    /// The text of a query that is run over a window of this kind.
    pub(super) fn sql(self, query: &RestrictedSql) -> &str {
        if self.is_bounded() {
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

/// The bounds on the time of a row: its kind's, and its query's where that has one.
#[derive(Debug, Clone)]
pub(super) struct WindowRules {
    pub kind: WindowKind,
    bounds: Vec<Bound>,
    /// How long each bound is, in microseconds.
    lengths: Vec<i64>,
}

impl WindowRules {
    /// A window of this kind over a query with this bound. Where the rows' times are whole
    /// seconds, so is the instant that they are held against.
    pub fn new(kind: WindowKind, query: Option<Bound>, whole_seconds: bool) -> Self {
        let mut bounds = Vec::new();
        if let WindowKind::Sliding(length) = kind {
            bounds.push(Bound {
                length,
                inclusive: true,
                whole_seconds: whole_seconds && length.subsec_nanos() == 0,
            });
            bounds.extend(query);
        }
        let lengths = bounds.iter().map(|bound| micros(bound.length));
        WindowRules {
            kind,
            lengths: lengths.collect(),
            bounds,
        }
    }

    /// The instant, in microseconds, at which a row of this time has left a window that slides.
    pub fn leaves(&self, time: Timestamp) -> i64 {
        let bounds = self.bounds.iter().zip(&self.lengths);
        let leaves = bounds.map(|(bound, length)| {
            let edge = time.as_micros().saturating_add(*length);
            match (bound.whole_seconds, bound.inclusive) {
                // Until the second is over, a query in whole seconds finds it.
                (true, true) => (edge.div_euclid(SECOND) + 1).saturating_mul(SECOND),
                (true, false) => -(-edge).div_euclid(SECOND) * SECOND,
                (false, true) => edge.saturating_add(1),
                (false, false) => edge,
            }
        });
        leaves.min().unwrap_or(i64::MAX)
    }

    /// The least time of a row that is in a window that slides.
    pub fn cutoff(&self, now: Timestamp) -> Timestamp {
        let edges = self.bounds.iter().map(|bound| {
            let now = match bound.whole_seconds {
                true => Timestamp::from_secs(now.as_secs()),
                false => now,
            };
            let edge = now.before(bound.length);
            match bound.inclusive {
                true => edge,
                false => edge.after(Duration::from_micros(1)),
            }
        });
        edges.max().unwrap_or(Timestamp::from_micros(i64::MIN))
    }

    /// Where the kind begins, for the parameter `:window_start`.
    pub fn start(&self, now: Timestamp) -> Timestamp {
        match self.bounds.first() {
            Some(bound) if bound.whole_seconds => {
                Timestamp::from_secs(now.as_secs()).before(bound.length)
            }
            Some(bound) => now.before(bound.length),
            None => Timestamp::from_micros(i64::MIN),
        }
    }

    /// The windows with an end that a row of this time is in, earliest first, in microseconds.
    pub fn windows(&self, time: Timestamp) -> impl Iterator<Item = (i64, i64)> {
        let (size, slide) = match self.kind {
            WindowKind::Hopping { size, slide } => (micros(size), micros(slide)),
            _ => (0, 1),
        };
        let time = time.as_micros();
        let last = time.div_euclid(slide) * slide;
        let count = (size - (time - last) + slide - 1).div_euclid(slide);
        (0..count)
            .rev()
            .map(move |back| last - back * slide)
            .map(move |start| (start, start.saturating_add(size)))
    }
}

impl WindowRules {
    /// How far apart two rows of a session are not any more, in microseconds. Rows that are exactly
    /// the gap apart are in one.
    pub fn gap(&self) -> Option<i64> {
        match self.kind {
            WindowKind::Session(gap) => Some(micros(gap).saturating_add(1)),
            _ => None,
        }
    }

    /// The end of a window as it is shown: of a session the last instant at which a row would have
    /// joined it.
    pub fn shown_end(&self, end: i64) -> i64 {
        match self.kind {
            WindowKind::Session(_) => end.saturating_sub(1),
            _ => end,
        }
    }

    /// The same without those that have ended by an instant.
    pub fn open_windows(
        &self,
        time: Timestamp,
        ended: Timestamp,
    ) -> impl Iterator<Item = (i64, i64)> {
        let ended = ended.as_micros();
        self.windows(time).filter(move |(_, end)| *end > ended)
    }
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
