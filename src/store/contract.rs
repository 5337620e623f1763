//! What nodes do with a connection to a database.
//!
//! Nodes and the tests of the databases use it: one suite runs over every backend. It is hidden from the
//! documentation, since it may change with what the nodes of the library need.

use super::{Params, Query, Table};
use crate::error::Result;
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// What became of a row that was to be inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "not a part of the public API")]
pub enum Inserted {
    /// It is in the table now, with its child rows.
    New,
    /// A row with its key was there already; nothing was changed.
    Duplicate,
}

/// One connection to a database: the contract of the backends.
///
/// Between `begin` and `commit` nothing is visible to others, and on SQLite all others wait. A
/// call outside a transaction is a transaction of its own. An error that
/// [is retryable](crate::Error::is_retryable) means that the connection, or the transaction, is
/// gone: let the store go, and [connect](super::Database::connect) again.
pub trait Store: Send {
    /// Begins a transaction; does nothing within one.
    ///
    /// # Errors
    /// A database that is gone, or locked by another process for too long.
    fn begin(&mut self) -> Result<()>;

    /// Makes everything since `begin` durable and visible; does nothing outside a transaction.
    ///
    /// # Errors
    /// A database that is gone or refuses; call `rollback` then.
    fn commit(&mut self) -> Result<()>;

    /// Takes back everything since `begin`; never fails, the connection may be gone.
    fn rollback(&mut self);

    /// Inserts a JSON object: a row, and the rows of the child tables, all or nothing.
    ///
    /// # Errors
    /// A field of the wrong type, a key that is missing, a value that the database refuses: then
    /// nothing of the object is inserted, and the transaction goes on.
    fn insert(&mut self, table: &Table, object: &Map<String, Value>) -> Result<Inserted>;

    /// Deletes the rows (and their child rows) in which `column`, in unix seconds, is before
    /// `cutoff`; returns how many rows that were, child rows among them.
    ///
    /// # Errors
    /// A database that is gone.
    fn evict(&mut self, table: &Table, column: &str, cutoff: Timestamp) -> Result<u64>;

    /// The least value of `column`, read as unix seconds.
    ///
    /// # Errors
    /// A database that is gone.
    fn oldest(&mut self, table: &Table, column: &str) -> Result<Option<Timestamp>>;

    /// Runs a query; a JSON object for each row.
    ///
    /// # Errors
    /// A parameter that the event has no value for, an answer that is too long or takes too long,
    /// whatever the database refuses.
    fn query(&mut self, query: &Query, params: &Params<'_>) -> Result<Vec<Map<String, Value>>>;

    /// All keys of `scope` that are remembered beyond `now`, with the instant until which they
    /// are. Makes the table of keys where it is missing, so call it first, outside a transaction.
    ///
    /// # Errors
    /// A database that is gone, or whose table of keys is something else.
    fn recall(&mut self, scope: &str, now: Timestamp) -> Result<Vec<(Vec<u8>, Timestamp)>>;

    /// Remembers a key (at most 64 bytes) of `scope` until an instant, in place of what was
    /// remembered of it before.
    ///
    /// # Errors
    /// A database that is gone.
    fn remember(&mut self, scope: &str, key: &[u8], until: Timestamp) -> Result<()>;

    /// Deletes the keys of `scope` that are not remembered beyond `now`; returns how many.
    ///
    /// # Errors
    /// A database that is gone.
    fn forget(&mut self, scope: &str, now: Timestamp) -> Result<u64>;
}
