//! The functions of MySQL that SQLite lacks and rewritten queries call.
//!
//! All are deterministic, so SQLite calls them once where their arguments don't change.

use crate::store::calendar;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

/// Makes the functions known to a connection.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("from_unixtime", 1, flags, |cx| {
        Ok(micros(cx, 0).and_then(calendar::from_micros))
    })?;
    connection.create_scalar_function("unix_timestamp", 1, flags, |cx| {
        let micros = text(cx, 0).and_then(|text| calendar::to_micros(&text));
        Ok(micros.map(|micros| match micros % 1_000_000 {
            0 => rusqlite::types::Value::Integer(micros / 1_000_000),
            _ => rusqlite::types::Value::Real(micros as f64 / 1e6),
        }))
    })?;
    connection.create_scalar_function("date_shift", 3, flags, |cx| {
        let (Some(from), Some(count), Some(unit)) = (text(cx, 0), number(cx, 1), text(cx, 2))
        else {
            return Ok(None);
        };
        Ok(calendar::shift(&from, count, &unit))
    })
}

/// Unix seconds as microseconds, exactly where they are whole.
fn micros(cx: &Context<'_>, at: usize) -> Option<i64> {
    match cx.get_raw(at) {
        ValueRef::Integer(seconds) => seconds.checked_mul(1_000_000),
        _ => {
            let micros = (number(cx, at)? * 1e6).round();
            (micros.abs() < 9e18).then_some(micros as i64)
        }
    }
}

fn number(cx: &Context<'_>, at: usize) -> Option<f64> {
    match cx.get_raw(at) {
        ValueRef::Integer(whole) => Some(whole as f64),
        ValueRef::Real(real) => Some(real),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

fn text(cx: &Context<'_>, at: usize) -> Option<String> {
    match cx.get_raw(at) {
        ValueRef::Text(text) => std::str::from_utf8(text).ok().map(str::to_owned),
        _ => None,
    }
}
