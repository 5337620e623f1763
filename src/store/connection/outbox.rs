//! Outboxes: what was committed with a transaction and is not delivered yet, in numbered pieces.
//!
//! A piece is identified by the `run` that wrote it and its number, since processes can share a scope. On
//! a server each run has a lock: its pieces belong to the connection that holds it. The lock is free as
//! soon as that connection has ended, and its transaction with it.

use super::Connection;
use crate::error::{Error, Result, quote};
use crate::store::row::Cell;
use crate::store::statements::{OUTBOX, outbox};
use serde_json::{Map, Value};
use std::time::Duration;

/// A piece of an outbox.
pub(crate) struct Piece {
    pub run: i64,
    pub number: i64,
    pub text: String,
}

impl Connection {
    /// Creates the table if it is missing. Call it first, outside a transaction.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn make_outbox(&mut self) -> Result<()> {
        let create = outbox::create(self.dialect, &self.options);
        self.run(&create, &[]).map(|_| ())
    }

    /// The runs that have pieces in a scope.
    ///
    /// # Errors
    /// A database that is gone, or whose table of this name is something else.
    pub(crate) fn outbox_runs(&mut self, scope: &str) -> Result<Vec<i64>> {
        let rows = self.driver.all(outbox::RUNS, &[scope.into()])?;
        let run = |row| number(row, "run").ok_or_else(other);
        rows.iter().map(run).collect()
    }

    /// The pieces of a run, by their numbers.
    ///
    /// # Errors
    /// A database that is gone, or whose table of this name is something else.
    pub(crate) fn outbox(&mut self, scope: &str, run: i64) -> Result<Vec<Piece>> {
        let cells = [scope.into(), Cell::Integer(run)];
        let rows = self.driver.all(outbox::ALL, &cells)?;
        let piece = |row: &Map<String, Value>| {
            let number = number(row, "number")?;
            let text = row.get("entries")?.as_str()?.to_owned();
            Some(Piece { run, number, text })
        };
        let pieces = rows.iter().map(|row| piece(row).ok_or_else(other));
        pieces.collect()
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// A database that is gone, or full.
    pub(crate) fn add_to_outbox(&mut self, scope: &str, piece: &Piece) -> Result<()> {
        let cells = [
            scope.into(),
            Cell::Integer(piece.run),
            Cell::Integer(piece.number),
            piece.text.as_str().into(),
        ];
        self.run(outbox::ADD, &cells).map(|_| ())
    }

    /// Moves the pieces of a run to another scope. To do it again changes nothing.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn move_outbox(&mut self, from: &str, to: &str, run: i64) -> Result<()> {
        let cells = [to.into(), from.into(), Cell::Integer(run)];
        self.run(outbox::MOVE, &cells).map(|_| ())
    }

    /// Removes the pieces of a run from one number to another.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn remove_from_outbox(
        &mut self,
        scope: &str,
        run: i64,
        (first, last): (i64, i64),
    ) -> Result<()> {
        let cells = [
            scope.into(),
            Cell::Integer(run),
            Cell::Integer(first),
            Cell::Integer(last),
        ];
        self.run(outbox::REMOVE, &cells).map(|_| ())
    }

    /// Whether several processes may write to an outbox, so that runs have locks.
    pub(crate) fn locks_runs(&self) -> bool {
        self.dialect.session_lock().is_some()
    }

    /// Takes the lock of a run until the connection ends; waits so long, to the second, for another
    /// connection that holds it. Returns whether it is held. True where runs have no locks.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn lock_run(&mut self, run: i64, wait: Duration) -> Result<bool> {
        let Some(lock) = self.dialect.session_lock() else {
            return Ok(true);
        };
        let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        self.is_held(lock.take, run, Some(seconds))
    }

    /// Whether this connection holds the lock of a run. True where runs have no locks.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn holds_run(&mut self, run: i64) -> Result<bool> {
        match self.dialect.session_lock() {
            Some(lock) => self.is_held(lock.check, run, None),
            None => Ok(true),
        }
    }

    /// Releases the lock of a run.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn release_run(&mut self, run: i64) -> Result<()> {
        if let Some(lock) = self.dialect.session_lock() {
            self.is_held(lock.release, run, None)?;
        }
        Ok(())
    }

    fn is_held(&mut self, statement: &str, run: i64, seconds: Option<i64>) -> Result<bool> {
        let name = format!("tributary_outbox_{run:016x}");
        let mut cells = vec![Cell::from(name.as_str())];
        cells.extend(seconds.map(Cell::Integer));
        let rows = self.driver.all(statement, &cells)?;
        Ok(rows.first().and_then(|row| number(row, "held")) == Some(1))
    }

    /// A number that changes when the connection to the database was replaced by another one, which
    /// holds no lock.
    pub(crate) fn session(&self) -> u64 {
        self.driver.session()
    }
}

fn number(row: &Map<String, Value>, name: &str) -> Option<i64> {
    row.get(name)?.as_i64()
}

fn other() -> Error {
    Error::data(format!(
        "table {} holds something else than an outbox",
        quote(OUTBOX)
    ))
}
