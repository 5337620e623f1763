//! Reading JSON so that nothing is lost in silence.
//!
//! `serde_json` rounds an integer of forty digits to a double without a word. Here such a number
//! is an error, as is nesting deeper than [`MAX_DEPTH`]. Of a key that stands twice in an object
//! the last one counts.

use crate::error::{Error, Result, quote_bytes};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

/// How many levels a value may have, the innermost one counted: 127 arrays or objects around it.
pub const MAX_DEPTH: usize = 128;

/// Parses one JSON document.
///
/// # Errors
/// Bytes that are not one JSON document, nesting deeper than [`MAX_DEPTH`], a number that no
/// 64-bit integer or double holds. The message names the offset in bytes.
pub fn parse_json(bytes: &[u8]) -> Result<Value> {
    read(bytes, PhantomData::<Keep>).map(|kept| kept.0)
}

/// How many arrays and objects are one in another: less than [`MAX_DEPTH`] in what was parsed.
pub(crate) fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// Checks that the bytes are one JSON document, without building its value.
///
/// # Errors
/// Those of [`parse_json`].
pub fn check_json(bytes: &[u8]) -> Result<()> {
    read(bytes, PhantomData::<Skip>).map(|Skip| ())
}

thread_local! {
    /// Whether a whole number beyond 64 bits may have been read as a double.
    pub(super) static ROUNDED: Cell<bool> = const { Cell::new(false) };
}

/// Reads one JSON document in a way of its own: [`Skip`] what is not needed, and [`note`] every
/// double, so that the document is refused for whatever [`parse_json`] refuses it.
///
/// # Errors
/// Those of [`parse_json`], and those of the reader.
pub(crate) fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value> {
    if bytes.is_empty() {
        return Err(Error::data("malformed JSON at byte 0: it is empty"));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Error::data(
            "malformed JSON at byte 0: it begins with a byte order mark",
        ));
    }
    ROUNDED.set(false);
    // The whole of it is checked at once where it can be: that is quicker than text by text.
    let value = match std::str::from_utf8(bytes) {
        Ok(text) => whole(serde_json::Deserializer::from_str(text), seed),
        Err(_) => whole(serde_json::Deserializer::from_slice(bytes), seed),
    };
    let value = value.map_err(|error| malformed(bytes, error))?;
    if ROUNDED.get()
        && let Some((at, digits)) = long_integer(bytes)
    {
        return Err(Error::data(format!(
            "number out of range at byte {at}: {} does not fit 64 bits",
            quote_bytes(digits)
        ))
        .with_hint("write it as a string"));
    }
    Ok(value)
}

/// Reads one document and nothing after it.
fn whole<'de, R: serde_json::de::Read<'de>, S: DeserializeSeed<'de>>(
    mut from: serde_json::Deserializer<R>,
    seed: S,
) -> serde_json::Result<S::Value> {
    let value = seed.deserialize(&mut from)?;
    from.end()?;
    Ok(value)
}

fn malformed(bytes: &[u8], error: serde_json::Error) -> Error {
    let at = offset(bytes, error.line(), error.column());
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    if what.starts_with("recursion limit") {
        return Error::data(format!(
            "malformed JSON at byte {at}: nesting deeper than {MAX_DEPTH}"
        ))
        .with_source(error);
    }
    let near = &bytes[at.min(bytes.len())..bytes.len().min(at + 20)];
    Error::data(format!(
        "malformed JSON at byte {at}: {what}, near {}",
        quote_bytes(near)
    ))
    .with_source(error)
}

/// The offset of a one-based line and column; the parser's column is the count of bytes read.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize = bytes
        .split_inclusive(|b| *b == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}

/// The first integer literal that fits neither `i64` nor `u64`, and where it stands.
pub(super) fn long_integer(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while bytes.get(at).is_some_and(|b| *b != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let len = bytes[at..]
                    .iter()
                    .take_while(|b| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                    .count();
                let literal = &bytes[at..at + len];
                let text = std::str::from_utf8(literal).unwrap_or_default();
                let whole = !text.contains(['.', 'e', 'E']);
                if whole && text.parse::<i64>().is_err() && text.parse::<u64>().is_err() {
                    return Some((at, literal));
                }
                at += len;
            }
            _ => at += 1,
        }
    }
    None
}

/// Remembers that a double was read which may be a whole number that was rounded.
pub(crate) fn note(number: f64) {
    if number.abs() >= 9.2e18 {
        ROUNDED.set(true);
    }
}

/// A value that is kept.
struct Keep(Value);
/// A value that is only looked at.
pub(super) struct Skip;

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(KeepVisitor).map(Keep)
    }
}

impl<'de> Deserialize<'de> for Skip {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SkipVisitor)
    }
}

struct KeepVisitor;

impl<'de> Visitor<'de> for KeepVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        note(value);
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Keep(value)) = seq.next_element()? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Keep(value))) = map.next_entry::<String, Keep>()? {
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

struct SkipVisitor;

impl<'de> Visitor<'de> for SkipVisitor {
    type Value = Skip;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_f64<E>(self, value: f64) -> Result<Skip, E> {
        note(value);
        Ok(Skip)
    }
    fn visit_str<E>(self, _: &str) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Skip, A::Error> {
        while let Some(Skip) = seq.next_element()? {}
        Ok(Skip)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Skip, A::Error> {
        while let Some((Skip, Skip)) = map.next_entry()? {}
        Ok(Skip)
    }
}

#[cfg(test)]
mod tests {
    use super::{check_json, parse_json};
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};
    use std::path::Path;

    fn agree(bytes: &[u8]) {
        let (checked, parsed) = (check_json(bytes), parse_json(bytes));
        assert_eq!(checked.is_ok(), parsed.is_ok(), "{bytes:?}");
    }

    proptest! {
        #[test]
        fn what_is_checked_is_what_can_be_parsed(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "[\\[\\]{}\",:0-9eE.+a-z -]{0,40}".prop_map(String::into_bytes),
                "-?[0-9]{1,40}(\\.[0-9]{0,5})?([eE]-?[0-9]{1,4})?".prop_map(String::into_bytes),
            ]
        ) {
            agree(&bytes);
        }
    }

    #[test]
    fn what_is_checked_is_what_can_be_parsed_of_the_corpus() -> std::io::Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in std::fs::read_dir(root.join("tests/fuzz/corpus/events"))? {
            agree(&std::fs::read(file?.path())?);
        }
        Ok(())
    }
}
