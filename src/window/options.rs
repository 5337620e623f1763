//! What a window is told: its rows, its kind, its clock, and what it emits when.

use super::kind::WindowKind;
use crate::error::{Error, Result, did_you_mean, quote};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What a window emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// Every row of the answer, at every event.
    All,
    /// At every event the rows of the groups that it touched.
    Touched,
    /// Each row that differs from what was last emitted of its group.
    Changes,
    /// The row of a group that has come into the answer.
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

/// How an answer is kept up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Whose time it is in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeDomain {
    /// The network's.
    System,
    /// The rows': `now()` is the watermark.
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

/// What a [`Window`](super::Window) is told.
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
#[derive(Debug, Clone)]
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

    /// The column that holds a row's time in unix seconds. Every kind but a count needs one.
    #[must_use]
    pub fn time(mut self, column: impl Into<String>) -> Self {
        self.time = Some(column.into());
        self
    }

    /// Whose time it is: the network's unless said.
    #[must_use]
    pub fn clock(mut self, clock: TimeDomain) -> Self {
        self.clock = clock;
        self
    }

    /// With the clock of the events: how far a row may lag behind the latest one before it counts
    /// as late. The watermark is that far behind the latest row.
    #[must_use]
    pub fn lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// With the clock of the events: after how long without an event a link holds the watermark
    /// back no longer. While all are idle, the watermark goes on with the network's clock.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// What is emitted: everything at every event unless said, or, of windows that end, what they
    /// hold when they do.
    #[must_use]
    pub fn emit(mut self, emit: Emit) -> Self {
        self.emit = Some(emit);
        self
    }

    /// Forces a plan, in place of the best that serves.
    #[must_use]
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plan = Some(plan);
        self
    }

    /// On which share of the events (0 to 1) the answer is compared with that of the whole query:
    /// under `incremental` all of it, under `keyed` the groups that the event touches. Where the
    /// whole query is what is asked anyway there is nothing to compare.
    #[must_use]
    pub fn verify(mut self, share: f64) -> Self {
        self.verify = share;
        self
    }

    /// The columns of the answer that tell its groups apart, where the query does not say it.
    #[must_use]
    pub fn keys<K: Into<String>>(mut self, columns: impl IntoIterator<Item = K>) -> Self {
        self.keys = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Stores the rows also where nobody would read them.
    #[must_use]
    pub fn store(mut self, store: bool) -> Self {
        self.store = store;
        self
    }

    /// Says that others, who are not of this process, write to the table too. A file of SQLite
    /// tells by itself, a MySQL server does not.
    #[must_use]
    pub fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// The name under which a database remembers what was emitted: the same after a restart.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}
