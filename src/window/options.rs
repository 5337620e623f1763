//! The options of a window: its rows, its kind, its clock, and what it emits when.

use super::kind::WindowKind;
use crate::error::{Error, Result, did_you_mean, quote};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What a window emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Emit {
    /// Every row of the answer, at every event.
    All,
    /// At every event the rows of the groups that it touched.
    Touched,
    /// Each row that differs from what was last emitted of its group.
    Changes,
    /// The row of a group that has entered the answer.
    Enter,
    /// The row, as it was last, of a group that has left the answer.
    Leave,
    /// The answer of each window when it ends.
    Close,
}

impl Emit {
    const NAMES: [(&'static str, Emit); 6] = [
        ("all", Emit::All),
        ("touched", Emit::Touched),
        ("changes", Emit::Changes),
        ("enter", Emit::Enter),
        ("leave", Emit::Leave),
        ("close", Emit::Close),
    ];

    /// Whether what was emitted before decides about what is emitted next.
    pub(super) fn remembers(self) -> bool {
        matches!(self, Emit::Changes | Emit::Enter | Emit::Leave)
    }
}

/// How the answer is kept up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Plan {
    /// The whole query, every time.
    Requery,
    /// The query for the groups that an event touched.
    Keyed,
    /// Running state for each group; nothing is read again.
    Incremental,
}

impl Plan {
    const NAMES: [(&'static str, Plan); 3] = [
        ("requery", Plan::Requery),
        ("keyed", Plan::Keyed),
        ("incremental", Plan::Incremental),
    ];
}

/// The time that a window goes by: event time or processing time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeDomain {
    /// System time: the clock of the network.
    System,
    /// Event time, from the rows: `now()` is the watermark.
    Event,
}

impl TimeDomain {
    const NAMES: [(&'static str, TimeDomain); 2] =
        [("system", TimeDomain::System), ("event", TimeDomain::Event)];
}

fn named<T: Copy>(what: &str, text: &str, names: &[(&'static str, T)]) -> Result<T> {
    if let Some((_, found)) = names.iter().find(|(name, _)| *name == text) {
        return Ok(*found);
    }
    let known = names.iter().map(|(name, _)| *name);
    let hint = did_you_mean(text, known.clone())
        .unwrap_or_else(|| format!("it is one of {}", known.collect::<Vec<_>>().join(", ")));
    Err(Error::data(format!("bad {what} {}", quote(text))).with_hint(hint))
}

fn name_of<T: PartialEq>(value: &T, names: &[(&'static str, T)]) -> &'static str {
    let found = names.iter().find(|(_, known)| known == value);
    found.map_or("", |(name, _)| name)
}

macro_rules! named_options {
    ($($kind:ident $what:literal),*) => {$(
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(name_of(self, &$kind::NAMES))
            }
        }

        impl FromStr for $kind {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                named($what, text, &$kind::NAMES)
            }
        }
    )*};
}

named_options!(Emit "emit", Plan "plan", TimeDomain "clock");

/// The options of a [`Window`](super::Window).
///
/// ```
/// use std::time::Duration;
/// use tributary::window::{Emit, WindowKind, WindowOptions};
///
/// let query = "select customer, sum(stake) as total from bets group by customer";
/// let options = WindowOptions::new("bets", query, WindowKind::Sliding(Duration::from_secs(10)))
///     .time("placed_at")
///     .emit(Emit::Changes);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct WindowOptions {
    pub(super) table: String,
    pub(super) query: String,
    pub(super) kind: WindowKind,
    pub(super) time: Option<String>,
    pub(super) clock: TimeDomain,
    pub(super) lateness: Duration,
    pub(super) idle: Option<Duration>,
    pub(super) emit: Option<Emit>,
    pub(super) plan: Option<Plan>,
    pub(super) verify: f64,
    pub(super) keys: Vec<String>,
    pub(super) store: bool,
    pub(super) shared: bool,
    pub(super) name: Option<String>,
}

impl WindowOptions {
    /// A window over the rows of a declared table, and the SELECT that is its answer.
    pub fn new(table: impl Into<String>, query: impl Into<String>, kind: WindowKind) -> Self {
        WindowOptions {
            table: table.into(),
            query: query.into(),
            kind,
            time: None,
            clock: TimeDomain::System,
            lateness: Duration::ZERO,
            idle: None,
            emit: None,
            plan: None,
            verify: 0.0,
            keys: Vec::new(),
            store: false,
            shared: false,
            name: None,
        }
    }

    /// The column with the time of a row, in unix seconds. Every kind of window but `Count` needs one.
    #[must_use]
    pub fn time(mut self, column: impl Into<String>) -> Self {
        self.time = Some(column.into());
        self
    }

    /// The time that the window goes by; system time by default.
    #[must_use]
    pub fn clock(mut self, clock: TimeDomain) -> Self {
        self.clock = clock;
        self
    }

    /// In event time: how far a row may lag behind the latest one before it is late. The watermark is
    /// that far behind the latest row.
    #[must_use]
    pub fn lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// In event time: after how long without an event a link no longer holds back the watermark. While
    /// all links are idle, the watermark advances with system time.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// What is emitted. By default every row of the answer at every event, or, where windows close, the
    /// answer of each window when it closes.
    #[must_use]
    pub fn emit(mut self, emit: Emit) -> Self {
        self.emit = Some(emit);
        self
    }

    /// Forces a plan. By default the best one that supports the query is chosen.
    #[must_use]
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plan = Some(plan);
        self
    }

    /// The share of the events (0 to 1) at which the answer is compared with that of the whole query:
    /// under `incremental` all of it, under `keyed` the groups that the event touches. Under `requery`
    /// there is nothing to compare.
    #[must_use]
    pub fn verify(mut self, share: f64) -> Self {
        self.verify = share;
        self
    }

    /// The columns of the answer that tell its groups apart, where GROUP BY does not.
    #[must_use]
    pub fn keys<K: Into<String>>(mut self, columns: impl IntoIterator<Item = K>) -> Self {
        self.keys = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Stores the rows even if no node reads them.
    #[must_use]
    pub fn store(mut self, store: bool) -> Self {
        self.store = store;
        self
    }

    /// Whether other processes write to the table too. With a file of SQLite that is noticed anyway,
    /// with a MySQL server it is not.
    #[must_use]
    pub fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// The name under which a database keeps what was emitted. It must be the same after a restart.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}
