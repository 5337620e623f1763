//! What is lost where one node takes the place of another.

use crate::time::Timestamp;
use std::fmt;

/// What the successor of a node lacks, and until when that shows in what it emits.
///
/// ```
/// use tributary::{Loss, time::Timestamp};
///
/// let loss = Loss::of("there are no rows from before").until(Timestamp::from_secs(0));
/// assert_eq!(
///     loss.to_string(),
///     "incomplete until 1970-01-01T00:00:00Z: there are no rows from before"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    what: String,
    until: Option<Timestamp>,
}

impl Loss {
    /// A loss: what is missing.
    pub fn of(what: impl Into<String>) -> Self {
        Loss {
            what: what.into(),
            until: None,
        }
    }

    /// The same, which shows until this instant.
    #[must_use]
    pub fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }

    /// The instant from which what is emitted is complete again, where it is known.
    pub fn complete_from(&self) -> Option<Timestamp> {
        self.until
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "incomplete until {until}: {}", self.what),
            None => write!(f, "incomplete: {}", self.what),
        }
    }
}
