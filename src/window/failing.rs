//! Groups whose query fails, though the current event did not cause it.
//!
//! A sum may overflow because a row has left. Then the answer of the group is rejected once, and the
//! events that come while it fails are taken without it.

use super::emission::GroupId;
use super::state::GroupIndex;
use crate::error::{Error, Result};
use std::collections::HashSet;

/// The groups whose query fails. The id of the whole answer, where groups are not distinguished, is
/// empty.
#[derive(Default)]
pub(super) struct FailingGroups {
    groups: HashSet<GroupId>,
    /// The errors that are still to be rejected: one for each group that was added.
    errors: Vec<Error>,
}

/// Whether the current event is the cause of a failing query.
pub(super) struct FailureContext<'a> {
    pub failing: &'a mut FailingGroups,
    /// The groups of the state that the event touches.
    pub touched: &'a [GroupIndex],
}

impl FailingGroups {
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub fn has(&self, group: &GroupId) -> bool {
        self.groups.contains(group)
    }

    /// Adds a group, whose error is to be rejected.
    pub fn add(&mut self, group: GroupId, error: Error) {
        if self.groups.insert(group) {
            self.errors.push(error);
        }
    }

    /// Adds a group that is a part of what was rejected already.
    pub fn add_rejected(&mut self, group: GroupId) {
        self.groups.insert(group);
    }

    /// Removes a group, whose query has succeeded.
    pub fn remove(&mut self, group: &GroupId) {
        self.groups.remove(group);
    }

    /// Whether the query over all groups fails.
    pub fn has_whole(&self) -> bool {
        self.groups.contains("")
    }

    pub fn add_whole(&mut self, error: Error) {
        self.add("".into(), error);
    }

    pub fn remove_whole(&mut self) {
        self.groups.remove("");
    }

    /// The whole answer; `None` where its query failed before the current event too.
    ///
    /// # Errors
    /// That of the query, where it did not fail before.
    pub fn excuse<T>(&mut self, answer: Result<T>) -> Result<Option<T>> {
        self.excuse_group(&"".into(), answer)
    }

    /// The answer of a group; `None` where its query failed before the current event too.
    ///
    /// # Errors
    /// That of the query, where it did not fail before.
    pub fn excuse_group<T>(&mut self, group: &GroupId, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => {
                if !self.is_empty() {
                    self.remove(group);
                }
                Ok(Some(answer))
            }
            Err(error) if is_final(&error) && self.has(group) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds or removes a group, by whether its query fails.
    ///
    /// # Errors
    /// An error of the database, and not of the query.
    pub fn note(&mut self, group: &str, answer: Result<()>) -> Result<()> {
        match answer {
            Ok(()) => self.remove(&group.into()),
            Err(error) if is_final(&error) => self.add(group.into(), error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes the errors that are to be rejected.
    pub fn take_errors(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.errors)
    }
}

/// Whether an error is that of a query or a row, which trying again does not help.
pub(super) fn is_final(error: &Error) -> bool {
    !(error.is_retryable() || error.is_fatal() || error.is_busy())
}
