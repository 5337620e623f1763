//! Outboxes: what was committed with a transaction and is not delivered yet, in numbered pieces.
//!
//! A piece is identified by the `run` that wrote it and its number, since processes can share a scope.

use super::Connection;
use crate::error::{Error, Result, quote};
use crate::store::row::Cell;
use crate::store::statements::{OUTBOX, outbox};

/// A piece of an outbox.
pub(crate) struct Piece {
    pub run: i64,
    pub number: i64,
    pub text: String,
}

impl Connection {
    /// All pieces of a scope, by their numbers. Creates the table if it is missing, so call it first,
    /// outside a transaction.
    ///
    /// # Errors
    /// A database that is gone, or whose table of this name is something else.
    pub(crate) fn outbox(&mut self, scope: &str) -> Result<Vec<Piece>> {
        let create = outbox::create(self.dialect, &self.options);
        self.run(&create, &[])?;
        let rows = self.driver.all(outbox::ALL, &[scope.into()])?;
        let pieces = rows.iter().map(|row| {
            let number = |name: &str| row.get(name).and_then(serde_json::Value::as_i64);
            let text = row.get("entries").and_then(serde_json::Value::as_str);
            match (number("run"), number("number"), text) {
                (Some(run), Some(number), Some(text)) => Ok(Piece {
                    run,
                    number,
                    text: text.to_owned(),
                }),
                _ => Err(Error::data(format!(
                    "table {} holds something else than an outbox",
                    quote(OUTBOX)
                ))),
            }
        });
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
}
