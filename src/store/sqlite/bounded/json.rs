//! `json_array`, `json_object` and `json_quote`, and their forms in JSONB.

use super::{Bounds, FLAGS, plain, scalar, wrong};
use rusqlite::functions::{Context, FunctionFlags, SubType};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};
use std::io::Write;

/// The subtype of a text that is JSON.
pub(super) const JSON: u32 = b'J' as u32;

/// The flags of functions that take and give such texts.
pub(super) const JSON_FLAGS: FunctionFlags = FLAGS
    .union(FunctionFlags::SQLITE_SUBTYPE)
    .union(FunctionFlags::SQLITE_RESULT_SUBTYPE);

/// A value that is JSON.
pub(super) type Made = (plain::Owned, SubType);

pub(super) fn register(connection: &Connection, bounds: &Bounds) -> Result<()> {
    for (name, is_binary) in [("json_array", false), ("jsonb_array", true)] {
        scalar(
            connection,
            bounds,
            (name, -1),
            JSON_FLAGS,
            move |cx, bounds| made(array(cx, bounds)?, is_binary, bounds),
        )?;
    }
    for (name, is_binary) in [("json_object", false), ("jsonb_object", true)] {
        scalar(
            connection,
            bounds,
            (name, -1),
            JSON_FLAGS,
            move |cx, bounds| made(object(cx, bounds)?, is_binary, bounds),
        )?;
    }
    scalar(
        connection,
        bounds,
        ("json_quote", 1),
        JSON_FLAGS,
        |cx, bounds| {
            let mut json = Vec::new();
            append(&mut json, cx.get_raw(0), cx.get_subtype(0), bounds)?;
            made(json, false, bounds)
        },
    )
}

/// JSON as a result: its text, or its binary form.
pub(super) fn made(json: Vec<u8>, is_binary: bool, bounds: &Bounds) -> Result<Made> {
    bounds.fits(json.len())?;
    let made = if is_binary {
        plain::value("SELECT jsonb(?1)", &[ValueRef::Text(&json)], bounds.bytes())?
    } else {
        plain::Owned::Text(json)
    };
    Ok((made, Some(JSON)))
}

fn array(cx: &Context<'_>, bounds: &Bounds) -> Result<Vec<u8>> {
    let mut json = vec![b'['];
    for at in 0..cx.len() {
        separate(&mut json);
        append(&mut json, cx.get_raw(at), cx.get_subtype(at), bounds)?;
    }
    json.push(b']');
    Ok(json)
}

fn object(cx: &Context<'_>, bounds: &Bounds) -> Result<Vec<u8>> {
    if !cx.len().is_multiple_of(2) {
        return Err(wrong("json_object() requires an even number of arguments"));
    }
    let mut json = vec![b'{'];
    for at in (0..cx.len()).step_by(2) {
        let ValueRef::Text(label) = cx.get_raw(at) else {
            return Err(wrong("json_object() labels must be TEXT"));
        };
        separate(&mut json);
        append_text(&mut json, label, bounds)?;
        json.push(b':');
        append(
            &mut json,
            cx.get_raw(at + 1),
            cx.get_subtype(at + 1),
            bounds,
        )?;
    }
    json.push(b'}');
    Ok(json)
}

/// Appends a comma, unless nothing is before it.
fn separate(json: &mut Vec<u8>) {
    if !matches!(json.last(), Some(b'[' | b'{')) {
        json.push(b',');
    }
}

/// Appends a value as JSON.
pub(super) fn append(
    json: &mut Vec<u8>,
    value: ValueRef<'_>,
    subtype: u32,
    bounds: &Bounds,
) -> Result<()> {
    match value {
        ValueRef::Null => json.extend_from_slice(b"null"),
        ValueRef::Integer(whole) => {
            // Writing to a vector does not fail.
            let _ = write!(json, "{whole}");
        }
        ValueRef::Text(text) if subtype == JSON => {
            bounds.grow(json, text.len())?;
            bounds.work(text.len())?;
            json.extend_from_slice(text);
        }
        ValueRef::Text(text) => append_text(json, text, bounds)?,
        // A whole number is the same in every form; SQLite has digits of its own for the others.
        ValueRef::Real(real) if real.fract() == 0.0 && real.abs() < 1e15 && real != 0.0 => {
            let _ = write!(json, "{real:.1}");
        }
        ValueRef::Real(_) | ValueRef::Blob(_) => {
            let text = plain::text("SELECT json_quote(?1)", value)?;
            bounds.grow(json, text.len())?;
            bounds.work(text.len())?;
            json.extend_from_slice(&text);
        }
    }
    bounds.fits(json.len())
}

/// Appends a text as a string of JSON.
pub(super) fn append_text(json: &mut Vec<u8>, text: &[u8], bounds: &Bounds) -> Result<()> {
    bounds.work(text.len())?;
    let more = text.iter().map(|byte| match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 1,
        0..0x20 => 5,
        _ => 0,
    });
    let length = text.len() + more.sum::<usize>() + 2;
    bounds.grow(json, length)?;
    json.push(b'"');
    if length == text.len() + 2 {
        json.extend_from_slice(text);
    } else {
        for byte in text {
            append_byte(json, *byte);
        }
    }
    json.push(b'"');
    Ok(())
}

fn append_byte(json: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        0..0x20 => {
            let _ = write!(json, "\\u{byte:04x}");
            return;
        }
        _ => return json.push(byte),
    };
    json.extend_from_slice(&[b'\\', short]);
}
