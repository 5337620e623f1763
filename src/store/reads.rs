//! What a query may read and call: tables, views and functions.
//!
//! A query reads declared tables, and those that the script names (`reads = {"rates"}`,
//! [`Database::with_reads`](super::Database::with_reads)). The tables of the database itself (its
//! schema, its users, its settings) cannot be read. Only functions that compute can be called.
//!
//! The backend reports what a prepared query reads and calls ([`Backend::check`](super::driver::Backend::check)). This module decides
//! whether that is allowed, and makes the errors.

use super::catalog::Catalog;
use super::dialect::{self, Dialect};
use crate::error::{Error, Result, did_you_mean, quote};

/// Which relations a query may read.
pub(crate) enum Reach {
    /// Those of these names.
    Named(Vec<String>),
    /// All but those of the database itself: a `sql:` source reads the tables of its user.
    Own,
}

/// A query that a backend is to check.
pub(crate) struct Asked<'a> {
    /// With named parameters, as it can be read.
    pub sql: &'a str,
    /// With positional parameters, as the database is given it.
    pub text: &'a str,
    pub reach: Reach,
}

/// What a backend reports of a query.
pub(crate) struct Checked {
    /// The columns of the answer.
    pub columns: Vec<String>,
    /// The relations that it may not read.
    pub outside: Vec<String>,
    /// The functions that it calls, where the database reports them.
    pub calls: Vec<String>,
}

impl Checked {
    /// Refuses a query that reads or calls more than is allowed.
    pub fn judge(&self, dialect: Dialect, catalog: &Catalog, original: &str) -> Result<()> {
        let strange = |name: &&String| !dialect::is_harmless(dialect, &name.to_lowercase());
        if let Some(name) = self.calls.iter().find(strange) {
            let place = dialect::locate(dialect, original, name);
            return Err(dialect::refused_call(dialect, name, place));
        }
        match self.outside.first() {
            None => Ok(()),
            Some(name) => Err(not_read(dialect, catalog, original, name)),
        }
    }
}

fn not_read(dialect: Dialect, catalog: &Catalog, original: &str, name: &str) -> Error {
    let word = name.rsplit('.').next().unwrap_or(name);
    let place = match dialect::locate(dialect, original, word) {
        Some((line, column)) => format!(" at line {line}, column {column}"),
        None => String::new(),
    };
    let table = quote(name);
    if dialect.is_system(name) {
        return Error::data(format!(
            "bad query: {table} is of the database itself and cannot be read{place}"
        ));
    }
    let declared = catalog.table_names();
    let near = did_you_mean(name, declared.iter().map(String::as_str));
    Error::data(format!("bad query: table {table} is not declared{place}")).with_hint(near.unwrap_or_else(|| {
        format!("declare it with create_table, or name it among what the query reads: reads = {{{table}}}")
    }))
}

/// Checks the names of what queries are to read beside the declared tables; `relations` lists those of the
/// database.
///
/// # Errors
/// A relation of the database itself, and one that is not there.
pub(crate) fn check_names(
    dialect: Dialect,
    catalog: &Catalog,
    names: &[String],
    relations: impl FnOnce() -> Result<Vec<String>>,
) -> Result<()> {
    if let Some(name) = names.iter().find(|name| dialect.is_system(name)) {
        let name = quote(name);
        return Err(Error::data(format!(
            "reads: {name} is of the database itself and cannot be read"
        )));
    }
    let declared = catalog.table_names();
    let is_known = |name: &&String| {
        let mut known = declared.iter();
        // Tables of another database are not looked up.
        known.any(|known| known == *name) || (dialect.qualifies_databases() && name.contains('.'))
    };
    let unknown: Vec<&String> = names.iter().filter(|name| !is_known(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let there = relations()?;
    let is_there = |name: &str| there.iter().any(|there| there.eq_ignore_ascii_case(name));
    match unknown.into_iter().find(|name| !is_there(name)) {
        None => Ok(()),
        Some(name) => {
            let near = did_you_mean(name, there.iter().map(String::as_str));
            Err(Error::data(format!(
                "reads: there is no table or view {} in the database",
                quote(name)
            ))
            .with_hint_opt(near))
        }
    }
}
