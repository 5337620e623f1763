//! For how long a row is in a window.

use super::options::Extent;
use super::plan::Bound;
use crate::time::Timestamp;
use std::time::Duration;

const SECOND: i64 = 1_000_000;
/// How much a row moves the axis of a window of rows: a bucket of the expiry queue, which takes a
/// second, then holds a thousand of them.
pub(super) const ROW: i64 = 1_000;

/// The bounds on the time of a row: its extent's, and its query's where that has one.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub extent: Extent,
    bounds: Vec<Bound>,
    /// How long each bound is, in microseconds.
    lengths: Vec<i64>,
}

impl Span {
    /// A window of this extent over a query with this bound. Where the rows' times are whole
    /// seconds, so is the instant that they are held against.
    pub fn new(extent: Extent, query: Option<Bound>, whole_seconds: bool) -> Self {
        let mut bounds = Vec::new();
        if let Extent::Sliding(length) = extent {
            bounds.push(Bound {
                length,
                inclusive: true,
                whole_seconds: whole_seconds && length.subsec_nanos() == 0,
            });
            bounds.extend(query);
        }
        let lengths = bounds.iter().map(|bound| micros(bound.length));
        Span {
            extent,
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

    /// Where the extent begins, for the parameter `:window_start`.
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
        let (size, slide) = match self.extent {
            Extent::Hopping { size, slide } => (micros(size), micros(slide)),
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

impl Span {
    /// How far apart two rows of a session are not any more, in microseconds. Rows that are exactly
    /// the gap apart are in one.
    pub fn gap(&self) -> Option<i64> {
        match self.extent {
            Extent::Session(gap) => Some(micros(gap).saturating_add(1)),
            _ => None,
        }
    }

    /// The end of a window as it is shown: of a session the last instant at which a row would have
    /// joined it.
    pub fn shown_end(&self, end: i64) -> i64 {
        match self.extent {
            Extent::Session(_) => end.saturating_sub(1),
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
