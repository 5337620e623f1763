//! Dead letters: events that a node rejected for good, stored until they are requeued or removed.
//!
//! They are in a table of their own, in a separate file or in a database beside other tables.
//! A sink writes them ([`DeadLetterSink`](crate::sink::DeadLetterSink)); [`DeadLetters`] reads them,
//! and removes them. A letter is complete: the payload byte for byte, the node, the reason, the place and the time.

use super::Store;
use super::connection::Connection;
use super::database::Database;
use crate::claim::Claim;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// An event that was rejected for good.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Letter {
    /// Its number: a later letter has a greater one.
    pub id: u64,
    /// The node that rejected it.
    pub node: String,
    /// Why.
    pub reason: String,
    /// Where that arose, as `file:line`, where that is known.
    pub place: Option<String>,
    /// When it was rejected.
    pub at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// The event's own time.
    pub time: Timestamp,
    /// What else was known about it.
    pub meta: Map<String, Value>,
    /// How many bytes the payload has.
    pub size: usize,
    /// The payload, or its beginning where only that was asked for.
    pub payload: Vec<u8>,
}

impl Letter {
    /// Whether only the beginning of the payload was kept, since it was too large for an event.
    pub fn is_cut(&self) -> bool {
        self.meta
            .get("size")
            .and_then(Value::as_u64)
            .is_some_and(|size| self.meta.contains_key("xxh3") && size > self.size as u64)
    }
}

/// Which letters are meant: all that fit each of what is given.
///
/// ```
/// use tributary::store::LetterFilter;
///
/// let newest = LetterFilter::new().node("parse").limit(10);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LetterFilter {
    /// Those that this node rejected.
    pub node: Option<String>,
    /// Those that were rejected at this instant or later.
    pub since: Option<Timestamp>,
    /// The first so many of them.
    pub limit: Option<usize>,
    /// Those up to this number.
    pub last: Option<u64>,
}

impl LetterFilter {
    /// All letters.
    pub fn new() -> Self {
        LetterFilter::default()
    }

    /// Those of this node.
    #[must_use]
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// Those that were rejected at this instant or later.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// The first so many of them.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Those up to this number.
    #[must_use]
    pub fn last(mut self, id: u64) -> Self {
        self.last = Some(id);
        self
    }
}

/// Where letters are kept: a cheap handle.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DeadLetters {
    /// A file for them alone.
    File(PathBuf),
    /// A database, beside its other tables.
    Table(Database),
}

impl DeadLetters {
    /// The letters in this file. It is opened by the first call.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        DeadLetters::File(path.into())
    }

    /// The letters in this database.
    pub fn table(database: &Database) -> Self {
        DeadLetters::Table(database.clone())
    }

    /// Letters in the order in which they came, with at most `head` bytes of their payloads.
    ///
    /// # Errors
    /// A file that is not there or holds no letters, a database that does not answer.
    pub fn list(&self, filter: &LetterFilter, head: u32) -> Result<Vec<Letter>> {
        self.connection()?.letters(filter, 0, Some(head))
    }

    /// The letter of this number, with its payload.
    ///
    /// # Errors
    /// Those of [`list`](Self::list), and a number that there is not.
    pub fn get(&self, id: u64) -> Result<Letter> {
        let filter = LetterFilter {
            last: Some(id),
            limit: Some(1),
            ..LetterFilter::default()
        };
        let found = self
            .connection()?
            .letters(&filter, id.saturating_sub(1), None)?;
        let missing = || Error::data(format!("{self}: no letter {id}"));
        found.into_iter().next().ok_or_else(missing)
    }

    /// How many letters there are of each node, by name, and the greatest number among them.
    ///
    /// # Errors
    /// Those of [`list`](Self::list).
    pub fn nodes(&self, filter: &LetterFilter) -> Result<Vec<(String, u64, u64)>> {
        self.connection()?.letter_nodes(filter)
    }

    /// Removes letters, up to the limit; returns how many that were.
    ///
    /// # Errors
    /// Those of [`list`](Self::list).
    pub fn purge(&self, filter: &LetterFilter) -> Result<u64> {
        self.connection()?.purge_letters(filter)
    }

    /// The claim of a requeue: two at once would requeue each letter twice. A server has a lock instead,
    /// see [`Connection::lock_letters`].
    pub(crate) fn claim(&self) -> Option<Claim> {
        let path = match self {
            DeadLetters::File(path) => path.clone(),
            DeadLetters::Table(database) => database.path()?,
        };
        Some(Claim::new("requeue of", path).part("requeue"))
    }

    /// A connection to letters that are there.
    pub(crate) fn connection(&self) -> Result<Connection> {
        if let DeadLetters::File(path) = self {
            std::fs::metadata(path).map_err(|error| Error::io(self, &error))?;
        }
        let mut connection = self.open()?;
        if connection.has_letters()? {
            Ok(connection)
        } else {
            Err(Error::data(format!(
                "{self}: there are no dead letters in it"
            )))
        }
    }

    /// A connection for a writer; the table or file is created if it is missing.
    pub(crate) fn writer(&self) -> Result<Connection> {
        let made = self.open().and_then(|mut connection| {
            connection.make_letters()?;
            // Fails now if it cannot be written.
            connection.begin()?;
            connection.commit()?;
            Ok(connection)
        });
        made.map_err(|error| match self {
            DeadLetters::File(_) if !error.is_retryable() => error
                .with_kind(ErrorKind::CannotCreate)
                .within("dead letters"),
            _ => error.within("dead letters"),
        })
    }

    fn open(&self) -> Result<Connection> {
        match self {
            DeadLetters::File(path) => Database::file(path)?.connection(),
            DeadLetters::Table(database) => database.connection(),
        }
    }
}

impl std::fmt::Display for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeadLetters::File(path) => f.write_str(&quote(Path::new(path).to_string_lossy())),
            DeadLetters::Table(database) => write!(f, "{database}"),
        }
    }
}
