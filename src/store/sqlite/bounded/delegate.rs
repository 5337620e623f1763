//! JSON functions that SQLite itself computes once it is known that they take neither much memory nor much
//! time for one step.
//!
//! - A result of `json_set` and its like has about as many bytes as all arguments together.
//! - `json_pretty` writes the indent before each value, once for each level.
//! - `json_patch` compares each field of one object with each of the other.

use super::json::{JSON, Made};
use super::{Bounds, FLAGS, plain, scalar, text_of, wrong};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};
use std::fmt::Write;

/// The most comparisons of `json_patch`: about a second.
const COMPARISONS: usize = 100_000_000;

/// The functions that set values at places.
const SETTERS: [&str; 8] = [
    "json_set",
    "jsonb_set",
    "json_insert",
    "jsonb_insert",
    "json_replace",
    "jsonb_replace",
    "json_array_insert",
    "jsonb_array_insert",
];

pub(super) fn register(connection: &Connection, bounds: &Bounds) -> Result<()> {
    for name in SETTERS {
        let flags = flags(name).union(FunctionFlags::SQLITE_SUBTYPE);
        scalar(connection, bounds, (name, -1), flags, move |cx, bounds| {
            let mut together = 0;
            for at in 0..cx.len() {
                together += text_of(cx.get_raw(at))?.map_or(4, |text| text.len());
                bounds.fits(together)?;
            }
            // Each place is looked for from the beginning.
            bounds.work(together.saturating_mul(cx.len()))?;
            call(name, cx, bounds)
        })?;
    }
    for name in ["json_patch", "jsonb_patch"] {
        scalar(
            connection,
            bounds,
            (name, 2),
            flags(name),
            move |cx, bounds| {
                let (fields, changes) = (fields(cx.get_raw(0))?, fields(cx.get_raw(1))?);
                if fields.saturating_mul(changes) > COMPARISONS {
                    let error = format!("{name}() of {fields} values and {changes} values");
                    return Err(wrong(error));
                }
                bounds.work(fields.saturating_mul(changes))?;
                call(name, cx, bounds)
            },
        )?;
    }
    for args in [1, 2] {
        scalar(
            connection,
            bounds,
            ("json_pretty", args),
            FLAGS,
            |cx, bounds| {
                bounds.fits(pretty(cx)?)?;
                call("json_pretty", cx, bounds)
            },
        )?;
    }
    Ok(())
}

/// The flags of a function by its name: texts of JSON are marked as such, JSONB is not.
fn flags(name: &str) -> FunctionFlags {
    if is_marked(name) {
        FLAGS.union(FunctionFlags::SQLITE_RESULT_SUBTYPE)
    } else {
        FLAGS
    }
}

fn is_marked(name: &str) -> bool {
    !name.starts_with("jsonb_") && name != "json_pretty"
}

/// Calls SQLite's function of this name.
fn call(name: &str, cx: &Context<'_>, bounds: &Bounds) -> Result<Made> {
    let mut sql = format!("SELECT {name}(");
    let mut values = Vec::with_capacity(cx.len());
    for at in 0..cx.len() {
        let value = cx.get_raw(at);
        let is_json = matches!(value, ValueRef::Text(_)) && cx.get_subtype(at) == JSON;
        let comma = if at > 0 { ", " } else { "" };
        // Writing to a text does not fail.
        let _ = if is_json {
            write!(sql, "{comma}json(?{})", at + 1)
        } else {
            write!(sql, "{comma}?{}", at + 1)
        };
        values.push(value);
    }
    sql.push(')');
    let made = plain::value(&sql, &values, bounds.bytes())?;
    Ok((made, is_marked(name).then_some(JSON)))
}

/// About how many fields and items a value has, at all levels.
fn fields(value: ValueRef<'_>) -> Result<usize> {
    Ok(match value {
        // In the binary form each has at least one byte.
        ValueRef::Blob(bytes) => bytes.len() / 2 + 1,
        _ => text_of(value)?.map_or(0, |text| memchr::memchr_iter(b',', &text).count() + 1),
    })
}

/// The most bytes that `json_pretty` may write. What is no JSON is an error of the call itself.
fn pretty(cx: &Context<'_>) -> Result<usize> {
    let indent = match cx.len() {
        2 => text_of(cx.get_raw(1))?.map_or(4, |indent| indent.len()),
        _ => 4,
    };
    let Ok(text) = plain::text("SELECT json(?1)", cx.get_raw(0)) else {
        return Ok(0);
    };
    let (mut bytes, mut level, mut rest) = (text.len(), 0_usize, text.iter());
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {
                let mut is_escaped = false;
                rest.find(|byte| {
                    let ends = **byte == b'"' && !is_escaped;
                    is_escaped = **byte == b'\\' && !is_escaped;
                    ends
                });
                continue;
            }
            b'[' | b'{' => level += 1,
            b']' | b'}' => level = level.saturating_sub(1),
            b',' => {}
            _ => continue,
        }
        bytes = bytes.saturating_add(level.saturating_mul(indent) + 2);
    }
    Ok(bytes)
}
