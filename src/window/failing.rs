//! Groups whose answer the query cannot give, for no fault of the event in hand.
//!
//! A sum may overflow because a row has left. The answer of that group is rejected once, and the events
//! that come meanwhile are taken in without it.

use super::emission::GroupId;
use crate::error::{Error, Result};
use std::collections::HashSet;

/// Those groups. The name of the whole answer, where groups are not told apart, is empty.
#[derive(Default)]
pub(super) struct FailingGroups {
    groups: HashSet<GroupId>,
    /// The errors of those that were added and not rejected yet.
    news: Vec<Error>,
}

/// Whose fault an answer is that cannot be given.
pub(super) struct FailureContext<'a> {
    pub failing: &'a mut FailingGroups,
    /// The groups of the state that the event in hand touches.
    pub touched: &'a [u32],
}

impl FailingGroups {
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub fn has(&self, group: &GroupId) -> bool {
        self.groups.contains(group)
    }

    /// The answer of a group cannot be given.
    pub fn add(&mut self, group: GroupId, error: Error) {
        if self.groups.insert(group) {
            self.news.push(error);
        }
    }

    /// The same of one that is part of what was rejected.
    pub fn add_silently(&mut self, group: GroupId) {
        self.groups.insert(group);
    }

    /// The answer of a group can be given again.
    pub fn mend(&mut self, group: &GroupId) {
        self.groups.remove(group);
    }

    /// Whether the whole answer cannot be given.
    pub fn has_whole(&self) -> bool {
        self.groups.contains("")
    }

    pub fn add_whole(&mut self, error: Error) {
        self.add("".into(), error);
    }

    pub fn mend_whole(&mut self) {
        self.groups.remove("");
    }

    /// The whole answer; `None` where it could not be given before the event in hand came.
    ///
    /// # Errors
    /// The same error, where it could.
    pub fn excuse<T>(&mut self, answer: Result<T>) -> Result<Option<T>> {
        self.excuse_group(&"".into(), answer)
    }

    /// The same of a group.
    ///
    /// # Errors
    /// The same.
    pub fn excuse_group<T>(&mut self, group: &GroupId, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => {
                if !self.is_empty() {
                    self.mend(group);
                }
                Ok(Some(answer))
            }
            Err(error) if is_final(&error) && self.has(group) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The errors that are to be rejected, each once.
    pub fn take_news(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.news)
    }
}

/// Whether an error is that of an answer or a row, and not of the database.
pub(super) fn is_final(error: &Error) -> bool {
    !(error.is_retryable() || error.is_fatal() || error.is_busy())
}
