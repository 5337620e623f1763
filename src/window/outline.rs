//! What a successor has to know of a window: whether what the one has emitted, and the state that it has,
//! mean the same to the other.

use super::analysis::{Analysis, GroupShape, StateShape};
use super::kind::{WindowKind, WindowRules};
use super::options::{TimeDomain, WindowOptions};
use crate::store::{Database, Table};
use std::sync::Arc;

/// What does not change about a window.
pub(super) struct Outline {
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

impl Outline {
    /// Whether a window over the same rows can take anything of this one.
    pub fn has_same_rows(&self, other: &Outline) -> bool {
        self.database.is_same(&other.database) && self.table == other.table
    }

    /// Whether a time is the same to both.
    pub fn has_same_clock(&self, other: &Outline) -> bool {
        self.clock == other.clock && self.time == other.time
    }

    /// Whether the bounds of windows mean the same.
    pub fn has_same_windows(&self, other: &Outline) -> bool {
        self.rules.kind == other.rules.kind
    }

    /// Whether the ids of groups mean the same.
    pub fn has_same_groups(&self, other: &Outline) -> bool {
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
    pub fn transfer(&self, other: &Outline) -> Option<StateTransfer> {
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
}
