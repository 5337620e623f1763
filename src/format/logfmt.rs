//! logfmt: `level=info msg="a text" took=12.5`.
//!
//! A value without quotes is a number, `true`, `false` or `null` where it is written as one; in quotes it is
//! text, with the escapes of JSON.

use super::record::Record;
use super::types::{Types, is_auto, write_text};
use crate::error::{Error, Result, quote};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Writes the payload of a line.
///
/// # Errors
/// A word without a value, a key that is there twice, a quote that is not closed, a line without a pair.
pub(super) fn write(types: &Types, line: &str, out: &mut Vec<u8>) -> Result<()> {
    let mut record = Record::begin(out);
    let mut keys = HashSet::new();
    let mut rest = line.trim_ascii();
    let at = |rest: &str| line.trim_ascii_end().len() - rest.len();
    if rest.is_empty() {
        return Err(Error::data("no pair of a key and a value"));
    }
    while !rest.is_empty() {
        let end = rest
            .find([' ', '\t', '\n', '\r', '='])
            .unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let Some(after) = after.strip_prefix('=') else {
            let error = format!("the word {} at byte {} has no value", quote(key), at(rest));
            return Err(
                Error::data(error).with_hint("write key=value, and quote values with blanks")
            );
        };
        if key.is_empty() || key.contains('"') {
            let error = format!("bad key {} at byte {}", quote(key), at(rest));
            return Err(Error::data(error));
        }
        if !keys.insert(key) {
            let error = format!("key {} is there twice, at byte {}", quote(key), at(rest));
            return Err(Error::data(error));
        }
        let value = record.value(key);
        let within = |error: Error| error.within(format!("field {}", quote(key)));
        if after.starts_with('"') {
            let (text, behind) = quoted(after)
                .ok_or_else(|| within(Error::data("a quote is not closed, or a bad escape")))?;
            match types.given(key) {
                Some(kind) => kind.write(&text, value).map_err(within)?,
                None => write_text(&text, value),
            }
            rest = behind;
            if !rest.is_empty() && !rest.starts_with(|c: char| c.is_ascii_whitespace()) {
                let error = "a blank is expected behind the closing quote";
                return Err(within(Error::data(error)));
            }
        } else {
            let end = after
                .find(|c: char| c.is_ascii_whitespace())
                .unwrap_or(after.len());
            let (text, behind) = after.split_at(end);
            if text.contains('"') {
                return Err(within(Error::data(format!(
                    "a quote within the value {}",
                    quote(text)
                ))));
            }
            match types.given(key) {
                Some(kind) => kind.write(text, value).map_err(within)?,
                None if text == "null" || is_auto(text) => value.extend(text.as_bytes()),
                None => write_text(text, value),
            }
            rest = behind;
        }
        rest = rest.trim_ascii_start();
    }
    record.end();
    Ok(())
}

/// The text in the quotes at the beginning, and what follows them.
fn quoted(rest: &str) -> Option<(String, &str)> {
    let body = &rest[1..];
    let mut end = 0;
    loop {
        end += body[end..].find(['"', '\\'])?;
        if body.as_bytes()[end] == b'"' {
            break;
        }
        // What is escaped may be of several bytes.
        end += 1 + body[end + 1..].chars().next()?.len_utf8();
    }
    let (inner, behind) = (&body[..end], &body[end + 1..]);
    if !inner.contains('\\') {
        return Some((inner.to_owned(), behind));
    }
    // JSON takes no control characters as they are.
    let mut escaped = String::from("\"");
    for c in inner.chars() {
        match c {
            c if c.is_ascii_control() => escaped += &format!("\\u{:04x}", u32::from(c)),
            c => escaped.push(c),
        }
    }
    escaped.push('"');
    let text = serde_json::from_str(&escaped).ok()?;
    Some((text, behind))
}

/// Adds the fields of an object as one line.
///
/// # Errors
/// A key that cannot be written: one that is empty, or has blanks, quotes or `=`.
pub(super) fn encode(object: &Map<String, Value>, out: &mut Vec<u8>) -> Result<()> {
    for (at, (key, value)) in object.iter().enumerate() {
        let is_bad = |c: char| c.is_ascii_whitespace() || c.is_control() || matches!(c, '"' | '=');
        if key.is_empty() || key.contains(is_bad) {
            let error = format!("the field {} cannot be a key of logfmt", quote(key));
            return Err(Error::data(error));
        }
        if at > 0 {
            out.push(b' ');
        }
        out.extend(key.as_bytes());
        out.push(b'=');
        match value {
            Value::String(text) if is_plain(text) => out.extend(text.as_bytes()),
            Value::String(text) => write_text(text, out),
            Value::Number(number) => out.extend(decimal(number.to_string()).as_bytes()),
            Value::Null | Value::Bool(_) => out.extend(value.to_string().as_bytes()),
            Value::Array(_) | Value::Object(_) => write_text(&value.to_string(), out),
        }
    }
    Ok(())
}

/// Whether a text is the same text without quotes.
fn is_plain(text: &str) -> bool {
    let is_special = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\' | '=');
    !text.is_empty() && !text.contains(is_special) && !is_auto(text) && text != "null"
}

/// A number with a point before its exponent: without one it could be a hash.
fn decimal(number: String) -> String {
    match number.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => number,
    }
}
