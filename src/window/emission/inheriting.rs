//! The memory of a window that is replaced, in the hands of its successor.
//!
//! The successor has the outbox at once, since outcomes come while the network changes, and the rest as it
//! was. It adapts it when it begins: then the change is certain. Rows that were emitted count as its own where
//! the ids of its groups mean the same. In a database, they move to its name with its first commit.

use super::{CLOSED, Emission};
use crate::error::Result;
use crate::payload::Payload;
use crate::store::{Connection, Store};
use crate::window::options::Emit;
use std::sync::Arc;

/// The name under which a database on disk keeps what a window emits.
#[derive(Debug, Clone)]
pub(in crate::window) struct ScopeName {
    /// As the window has it from its options.
    pub wanted: Arc<str>,
    /// As it got it, since another window may have that name.
    pub claimed: Arc<str>,
}

/// What a successor makes of the memory.
pub(in crate::window) struct Heir<'a> {
    pub mode: Emit,
    pub is_session: bool,
    pub scope: Option<&'a ScopeName>,
    /// Whether the ids of its groups mean the same.
    pub comparable: bool,
    /// Whether its answers have the same columns.
    pub same_columns: bool,
}

/// What is to be done to the memory in the database.
pub(super) struct Relocation {
    /// The name under which it is.
    from: Arc<str>,
    /// Whether the rows that were emitted are forgotten.
    clears: bool,
}

impl Emission {
    /// Makes the memory of another window that of its successor.
    pub fn adapt(&mut self, heir: &Heir<'_>) {
        let keeps = heir.comparable && heir.mode.remembers() && self.mode.remembers();
        let boundaries = heir.is_session || self.boundaries.is_empty();
        let clears = !keeps && !self.last.is_empty() || !boundaries;
        if clears {
            self.last.clear();
        }
        if !boundaries {
            self.boundaries.open();
        }
        if !heir.same_columns {
            self.mixed = true;
            self.last
                .values_mut()
                .for_each(|last| last.inherited = true);
        }
        self.mode = heir.mode;
        self.remembers = Self::keeps_more(heir.mode, heir.is_session);
        if let (Some(from), Some(heir)) = (self.scope.take(), heir.scope) {
            if clears || from != heir.claimed {
                self.relocation = Some(Relocation { from, clears });
            }
            self.scope = Some(heir.claimed.clone());
        }
    }

    /// Moves the memory in the database to the name of this window, within the open transaction. To do it
    /// again changes nothing.
    pub(super) fn relocate(&self, connection: &mut Connection) -> Result<()> {
        let (Some(relocation), Some(scope)) = (&self.relocation, &self.scope) else {
            return Ok(());
        };
        let Relocation { from, clears } = relocation;
        if from != scope {
            self.outbox.relocate(from, scope, connection)?;
        }
        if *clears {
            connection.clear_emitted(from)?;
        } else if from != scope {
            connection.move_emitted(from, scope)?;
        }
        if self.mode == Emit::Close && self.closed > i64::MIN {
            connection.set_emitted(scope, CLOSED, &self.closed.to_string())?;
        }
        Ok(())
    }

    /// The same in a transaction of its own, on a new connection: it is not known whether it was done.
    pub(super) fn relocate_now(&mut self, connection: &mut Connection) -> Result<()> {
        if self.relocation.is_some() {
            connection.begin()?;
            self.relocate(connection)?;
            connection.commit()?;
            self.relocation = None;
        }
        Ok(())
    }
}

/// Whether two rows have the same values in the columns that both have.
pub(super) fn agree(ours: &Payload, theirs: &Payload) -> bool {
    match (ours.object(), theirs.object()) {
        (Ok(ours), Ok(theirs)) => ours.iter().all(|(column, value)| {
            let other = theirs.get(column);
            other.is_none_or(|other| other == value)
        }),
        _ => false,
    }
}
