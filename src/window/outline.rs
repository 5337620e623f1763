//! What a successor has to know of a window: whether what the one has emitted, and the state that it has,
//! mean the same to the other.

use super::analysis::{Analysis, GroupShape, StateShape};
use super::kind::{WindowKind, WindowRules};
use super::options::{TimeDomain, WindowOptions};
use crate::error::quote;
use crate::node::Loss;
use crate::store::{Database, Table};
use crate::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// What does not change about a window.
pub(super) struct WindowOutline {
    pub database: Database,
    pub table: Arc<Table>,
    pub rules: WindowRules,
    pub clock: TimeDomain,
    /// The column with the time of a row.
    pub time: Option<String>,
    /// The columns of the answer.
    pub columns: Vec<String>,
    pub groups: GroupIds,
    /// What the running state is, where the plan has one.
    pub state: Option<StateShape>,
    /// Whether rows have to be stored.
    pub needs_stored: bool,
    pub facts: Facts,
}

/// What becomes known of a window while it works.
pub(super) struct Facts {
    stored: AtomicBool,
    /// How far event time has come, in microseconds.
    now: AtomicI64,
}

impl Default for Facts {
    fn default() -> Self {
        Facts {
            stored: AtomicBool::new(true),
            now: AtomicI64::new(i64::MIN),
        }
    }
}

impl Facts {
    /// Notes whether rows are stored.
    pub fn set_stored(&self, stored: bool) {
        self.stored.store(stored, Ordering::Relaxed);
    }

    /// Notes how far event time has come.
    pub fn set_now(&self, now: Option<Timestamp>) {
        if let Some(now) = now {
            self.now.store(now.as_micros(), Ordering::Relaxed);
        }
    }
}

/// What tells the groups of an answer apart.
#[derive(PartialEq, Eq)]
pub(super) enum GroupIds {
    /// GROUP BY.
    Keys(Vec<String>),
    /// These columns.
    Columns(Vec<String>),
}

/// How the running state of a window becomes that of its successor.
pub(super) struct StateTransfer {
    /// Where each aggregate of the successor is.
    pub places: Vec<usize>,
    /// How much later its rows leave.
    pub later: i64,
}

impl GroupIds {
    pub fn of(analysis: &Analysis, options: &WindowOptions, columns: &[String]) -> Self {
        match &analysis.grouped {
            Ok(grouped) => GroupIds::Keys(GroupShape::of(grouped).keys),
            Err(_) if options.keys.is_empty() => GroupIds::Columns(columns.to_vec()),
            Err(_) => GroupIds::Columns(options.keys.clone()),
        }
    }
}

impl WindowOutline {
    /// Whether a window over the same rows can take anything of this one.
    pub fn has_same_rows(&self, other: &WindowOutline) -> bool {
        self.database.is_same(&other.database) && self.table == other.table
    }

    /// Whether a time is the same to both.
    pub fn has_same_clock(&self, other: &WindowOutline) -> bool {
        self.clock == other.clock && self.time == other.time
    }

    /// Whether the bounds of windows mean the same.
    pub fn has_same_windows(&self, other: &WindowOutline) -> bool {
        self.rules.kind == other.rules.kind
    }

    /// Whether the ids of groups mean the same.
    pub fn has_same_groups(&self, other: &WindowOutline) -> bool {
        let same_starts = match (self.rules.kind, other.rules.kind) {
            (WindowKind::Hopping { slide, .. }, WindowKind::Hopping { slide: other, .. }) => {
                slide == other
            }
            (own, other) => {
                own.closes() == other.closes() && own.is_session() == other.is_session()
            }
        };
        same_starts && self.groups == other.groups
    }

    /// How the running state of another window becomes that of this one; `None` where it lacks something.
    pub fn transfer(&self, other: &WindowOutline) -> Option<StateTransfer> {
        let (own, other_state) = (self.state.as_ref()?, other.state.as_ref()?);
        let later = self.rules.later_than(&other.rules)?;
        if self.time != other.time {
            return None;
        }
        Some(StateTransfer {
            places: own.find_in(other_state)?,
            later,
        })
    }

    /// What this window would lack if it replaced another one over the same rows; `now` is system time.
    pub fn loss(&self, other: &WindowOutline, now: Timestamp) -> Option<Loss> {
        if !self.has_same_rows(other) {
            return None;
        }
        let now = match other.clock {
            TimeDomain::System => now,
            TimeDomain::Event => match other.facts.now.load(Ordering::Relaxed) {
                i64::MIN => return None,
                micros => Timestamp::from_micros(micros),
            },
        };
        let stored = other.facts.stored.load(Ordering::Relaxed);
        if !stored && (self.needs_stored || self.transfer(other).is_none()) {
            let table = quote(self.table.name());
            let what = format!(
                "rows of table {table} are not stored, and the running state lacks what the query needs"
            );
            return Some(self.without_rows_before(now, what));
        }
        self.loss_of_left(other, now)
    }

    /// What it lacks because rows have left the other window.
    fn loss_of_left(&self, other: &WindowOutline, now: Timestamp) -> Option<Loss> {
        let what = "rows that have left the window are not there any more";
        match (self.rules.kind, other.rules.kind) {
            (WindowKind::Count(own), WindowKind::Count(other)) => {
                let lacks = own.checked_sub(other).filter(|lacks| *lacks > 0)?;
                Some(Loss::of(format!(
                    "{what}; it is complete after {lacks} more rows"
                )))
            }
            (WindowKind::Count(_), _) | (_, WindowKind::Count(_)) => {
                Some(self.without_rows_before(now, what.to_owned()))
            }
            _ => {
                let has_from = other.rules.needed_from(now, std::iter::empty());
                let needs_from = self.rules.needed_from(now, std::iter::empty());
                let lacks = needs_from < has_from;
                lacks.then(|| self.without_rows_before(has_from, what.to_owned()))
            }
        }
    }

    /// The loss of all rows before an instant.
    fn without_rows_before(&self, first: Timestamp, what: String) -> Loss {
        match self.rules.kind {
            WindowKind::Sliding(_) | WindowKind::Hopping { .. } => {
                let last = Timestamp::from_micros(first.as_micros() - 1);
                Loss::of(what).until(Timestamp::from_micros(self.rules.stored_until(last)))
            }
            WindowKind::Count(rows) => {
                Loss::of(format!("{what}; it is complete after {rows} more rows"))
            }
            WindowKind::Session(_) => Loss::of(format!(
                "{what}; it is complete when the sessions that are open have ended"
            )),
        }
    }
}
