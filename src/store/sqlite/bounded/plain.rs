//! Calls of SQLite's own functions: on a connection that has no function in their place, one for each thread.

use super::no_memory;
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Error, ErrorCode, Result, Row};
use std::cell::OnceCell;

/// Runs a SELECT of one value.
pub(in crate::store::sqlite) fn call<T>(
    sql: &str,
    values: &[ValueRef<'_>],
    bytes: usize,
    take: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<T> {
    thread_local! {
        static PLAIN: OnceCell<Connection> = const { OnceCell::new() };
    }
    PLAIN.with(|plain| {
        let plain = match plain.get() {
            Some(plain) => plain,
            None => {
                let opened = Connection::open_in_memory()?;
                opened.set_prepared_statement_cache_capacity(64);
                plain.get_or_init(|| opened)
            }
        };
        plain.set_limit(
            Limit::SQLITE_LIMIT_LENGTH,
            i32::try_from(bytes).unwrap_or(i32::MAX),
        )?;
        let mut statement = plain.prepare_cached(sql)?;
        let values = values.iter().map(|value| ToSqlOutput::Borrowed(*value));
        statement
            .query_row(rusqlite::params_from_iter(values), take)
            .map_err(without_message)
    })
}

/// The text that a SELECT of one value makes of a value.
pub(super) fn text(sql: &str, value: ValueRef<'_>) -> Result<Vec<u8>> {
    let bytes = 1_000_000_000;
    call(sql, &[value], bytes, |row| match row.get_ref(0)? {
        ValueRef::Text(text) | ValueRef::Blob(text) => copy(text),
        _ => Ok(Vec::new()),
    })
}

/// The value that a SELECT makes of values.
pub(super) fn value(sql: &str, values: &[ValueRef<'_>], bytes: usize) -> Result<Owned> {
    call(sql, values, bytes, |row| {
        Ok(match row.get_ref(0)? {
            ValueRef::Text(text) => Owned::Text(copy(text)?),
            ValueRef::Blob(blob) => Owned::Other(Value::Blob(copy(blob)?)),
            other => Owned::Other(other.try_into()?),
        })
    })
}

fn copy(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())
        .map_err(|_| no_memory())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// A value whose text need not be UTF-8.
pub(super) enum Owned {
    Text(Vec<u8>),
    Other(Value),
}

impl rusqlite::ToSql for Owned {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(match self {
            Owned::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text)),
            Owned::Other(value) => ToSqlOutput::Borrowed(value.into()),
        })
    }
}

/// An error with a message is always a general one. These are known by their code.
fn without_message(error: Error) -> Error {
    match error {
        Error::SqliteFailure(error, _)
            if matches!(error.code, ErrorCode::TooBig | ErrorCode::OutOfMemory) =>
        {
            Error::SqliteFailure(error, None)
        }
        error => error,
    }
}
