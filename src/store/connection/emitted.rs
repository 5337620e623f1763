//! The rows that windows have emitted, stored beyond a restart: for each scope, rows by identity.
//!
//! An identity is a text of any length, and a key of MySQL has at most 3,072 bytes: so the key is a hash
//! of 128 bits, with the text in a column beside it.

use super::Connection;
use crate::error::{Error, Result, quote};
use crate::store::row::Cell;
use crate::store::statements::{EMITTED, emitted};
use xxhash_rust::xxh3::xxh3_128;

impl Connection {
    /// Creates the table if it is missing. Call it first, outside a transaction.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn make_emitted(&mut self) -> Result<()> {
        let create = emitted::create(self.dialect, &self.options);
        self.run(&create, &[]).map(drop)
    }

    /// All rows of a scope as `(identity, row)`, in the order of the bytes of the identities. Creates
    /// the table if it is missing, so call it first, outside a transaction.
    ///
    /// # Errors
    /// A database that is gone, or whose table of this name is something else.
    pub(crate) fn emitted(&mut self, scope: &str) -> Result<Vec<(String, String)>> {
        self.make_emitted()?;
        let mut rows = self
            .driver
            .all(emitted::ALL, &[scope.into()])?
            .iter()
            .map(
                |object| match (object["identity"].as_str(), object["row"].as_str()) {
                    (Some(identity), Some(row)) => Ok((identity.to_owned(), row.to_owned())),
                    _ => Err(Error::data(format!(
                        "table {} holds something else than rows that were emitted",
                        quote(EMITTED)
                    ))),
                },
            )
            .collect::<Result<Vec<_>>>()?;
        // Independent of the collation of the database.
        rows.sort_unstable();
        Ok(rows)
    }

    /// Stores a row under its identity, and replaces the row that was stored under it.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn set_emitted(&mut self, scope: &str, identity: &str, row: &str) -> Result<()> {
        let (key, identity) = (hash(identity), Cell::from(identity));
        self.run(emitted::SET, &[scope.into(), key, identity, row.into()])?;
        Ok(())
    }

    /// Moves all rows of a scope to another one, where they replace those with the same identities. To do
    /// it again changes nothing.
    ///
    /// # Errors
    /// A database that is gone, or full.
    pub(crate) fn move_emitted(&mut self, from: &str, to: &str) -> Result<()> {
        self.run(emitted::COPY, &[to.into(), from.into()])?;
        self.clear_emitted(from)
    }

    /// Removes all rows of a scope.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn clear_emitted(&mut self, scope: &str) -> Result<()> {
        self.run(emitted::CLEAR, &[scope.into()]).map(drop)
    }

    /// Removes the row under this identity, if there is one.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn unset_emitted(&mut self, scope: &str, identity: &str) -> Result<()> {
        let key = hash(identity);
        self.run(emitted::UNSET, &[scope.into(), key])?;
        Ok(())
    }
}

/// The hash of an identity, for the key of the table.
fn hash(identity: &str) -> Cell<'static> {
    Cell::Text(format!("{:032x}", xxh3_128(identity.as_bytes())).into())
}
