//! Functions in place of SQLite's own, where one call of those has no bound: the same results for the same
//! arguments, in linear time, with the time and the size of the query checked meanwhile.
//!
//! Which functions need that is decided in `store/sqlite/dialect/functions.rs`, which names the bound of each
//! function that a query may call. A function here has the flags of the one that it replaces, so that plans and
//! indexes of expressions stay as they are.
//!
//! - `text` — `instr`, `replace`, `concat`, `concat_ws`, `unhex`.
//! - `trim` — `trim`, `ltrim`, `rtrim` of certain characters.
//! - `pattern` — LIKE and GLOB whose pattern is no constant, as functions of Tributary.
//! - `json` — `json_array`, `json_object`, `json_quote`.
//! - `group` — `json_group_array`, `json_group_object`.
//! - `plain` — calls of SQLite's own functions, on a connection of their own.
//! - `delegate` — JSON functions that are called there, once their arguments are known to be small enough.
//!
//! To replace one more function: its implementation here, its bound `Ours` in that list, and its calls in the
//! tests below, which compare it with SQLite's.

mod delegate;
mod group;
mod json;
mod pattern;
mod plain;
mod text;
mod trim;

pub(super) use plain::call as call_plain;

use super::bounds::{Bounds, no_memory};
use rusqlite::functions::{Context, FunctionFlags, SqlFnOutput};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, Result};
use std::borrow::Cow;

/// The flags of the functions of SQLite that compute.
const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8
    .union(FunctionFlags::SQLITE_DETERMINISTIC)
    .union(FunctionFlags::SQLITE_INNOCUOUS);

/// Registers all of them on a connection.
pub(super) fn register(connection: &Connection, bounds: &Bounds) -> Result<()> {
    text::register(connection, bounds)?;
    trim::register(connection, bounds)?;
    pattern::register(connection, bounds)?;
    json::register(connection, bounds)?;
    group::register(connection, bounds)?;
    delegate::register(connection, bounds)
}

/// Registers a function of so many arguments; -1 stands for any number.
fn scalar<T: SqlFnOutput>(
    connection: &Connection,
    bounds: &Bounds,
    (name, args): (&str, i32),
    flags: FunctionFlags,
    call: impl Fn(&mut Context<'_>, &Bounds) -> Result<T> + Send + 'static,
) -> Result<()> {
    let bounds = bounds.clone();
    connection.create_scalar_function(name, args, flags, move |cx| call(cx, &bounds))
}

/// A text as a result, which need not be UTF-8.
struct Text(Vec<u8>);

impl ToSql for Text {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

/// A value as SQLite casts it to a text; `None` for NULL.
fn text_of(value: ValueRef<'_>) -> Result<Option<Cow<'_, [u8]>>> {
    Ok(match value {
        ValueRef::Null => None,
        ValueRef::Integer(whole) => Some(Cow::Owned(whole.to_string().into_bytes())),
        ValueRef::Real(_) => Some(Cow::Owned(plain::text("SELECT CAST(?1 AS TEXT)", value)?)),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(Cow::Borrowed(bytes)),
    })
}

/// The same up to the first NUL, where SQLite reads it as a string of C.
fn string_of(value: ValueRef<'_>) -> Result<Option<Cow<'_, [u8]>>> {
    Ok(text_of(value)?.map(|text| match memchr::memchr(0, &text) {
        None => text,
        Some(end) => match text {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..end]),
            Cow::Owned(mut bytes) => {
                bytes.truncate(end);
                Cow::Owned(bytes)
            }
        },
    }))
}

/// The error of a call, with SQLite's message.
fn wrong(message: impl Into<String>) -> Error {
    let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR);
    Error::SqliteFailure(error, Some(message.into()))
}

/// Whether a byte continues a character of UTF-8.
fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The length of the first character, as SQLite skips it; 0 at the end.
fn character(bytes: &[u8]) -> usize {
    match bytes {
        [] => 0,
        [first, rest @ ..] if *first >= 0xc0 => {
            1 + rest.iter().take_while(|byte| continues(**byte)).count()
        }
        _ => 1,
    }
}

/// The first character, as SQLite reads it: what is no UTF-8 is read as something, too.
fn read(bytes: &[u8]) -> Option<(u32, usize)> {
    let first = u32::from(*bytes.first()?);
    let length = character(bytes);
    if first < 0xc0 {
        return Some((first, length));
    }
    let lead = match first {
        0xc0..0xe0 => first - 0xc0,
        0xe0..0xf0 => first - 0xe0,
        0xf0..0xf8 => first - 0xf0,
        0xf8..0xfc => first - 0xf8,
        0xfc..0xfe => first - 0xfc,
        _ => 0,
    };
    let join = |read: u32, byte: &u8| (read << 6).wrapping_add(u32::from(byte & 0x3f));
    let read = bytes[1..length].iter().fold(lead, join);
    let is_none = read < 0x80 || read & 0xffff_f800 == 0xd800 || read & 0xffff_fffe == 0xfffe;
    Some((if is_none { 0xfffd } else { read }, length))
}

#[cfg(test)]
mod tests;
