//! What an event carries: bytes and the JSON value that they spell.
//!
//! Each is made from the other at most once, and all branches share both: a clone is a reference.
//! A payload made of bytes is one allocation.

mod json;
mod walk;

use crate::error::{Error, Result};
use serde_json::Value;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;
use triomphe::ThinArc;

pub(crate) use json::{MAX_DEPTH, check_json, depth, note, parse_json, read};
pub(crate) use walk::{Number, Walk};

/// The greatest payload that sources send unless the network has another limit, and that sources of lines
/// accept at all, in bytes (1 MiB).
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// Bytes, and the JSON value that they spell.
///
/// ```
/// use serde_json::json;
/// use tributary::Payload;
///
/// let payload = Payload::from(r#"{"stake": 12.5}"#);
/// assert_eq!(payload.json()?["stake"], 12.5);
/// assert_eq!(Payload::from(json!({"n": 1})).bytes(), br#"{"n":1}"#);
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Clone)]
pub struct Payload(ThinArc<OnceLock<Box<Side>>, u8>);

/// The JSON value beside the bytes.
struct Side {
    value: Value,
    /// Where the value came first: the bytes written from it, and about how many they are.
    written: Option<(OnceLock<Box<[u8]>>, usize)>,
}

impl Payload {
    /// The bytes; written from the JSON value at the first call where that came first.
    pub fn bytes(&self) -> &[u8] {
        match self
            .0
            .header
            .header
            .get()
            .map(|side| (&side.value, &side.written))
        {
            Some((value, Some((bytes, _)))) => {
                bytes.get_or_init(|| value.to_string().into_bytes().into())
            }
            _ => &self.0.slice,
        }
    }

    /// The JSON value; parsed from the bytes at the first call where those came first.
    ///
    /// # Errors
    /// Bytes that are not one JSON document, nesting deeper than 128 levels, a number that no 64-bit integer or
    /// double holds.
    pub fn json(&self) -> Result<&Value> {
        let side = &self.0.header.header;
        if let Some(side) = side.get() {
            return Ok(&side.value);
        }
        let value = parse_json(&self.0.slice)?;
        Ok(&side
            .get_or_init(|| {
                Box::new(Side {
                    value,
                    written: None,
                })
            })
            .value)
    }

    /// The JSON value, where it is there already.
    pub(crate) fn tree(&self) -> Option<&Value> {
        self.0.header.header.get().map(|side| &side.value)
    }

    /// About how many bytes it holds: exact where it was made of bytes.
    pub fn size(&self) -> usize {
        match self
            .0
            .header
            .header
            .get()
            .and_then(|side| side.written.as_ref())
        {
            Some((_, size)) => *size,
            None => self.0.slice.len(),
        }
    }

    /// The bytes without the JSON value: the same payload where it has none.
    pub(crate) fn compact(&self) -> Self {
        match self.0.header.header.get() {
            None => self.clone(),
            Some(_) => Payload::from(self.bytes()),
        }
    }

    /// A JSON value that takes so many bytes when it is written.
    pub(crate) fn sized(value: Value, size: usize) -> Self {
        let written = Some((OnceLock::new(), size));
        let side = OnceLock::from(Box::new(Side { value, written }));
        Payload(ThinArc::from_header_and_slice(side, &[]))
    }

    /// The JSON value as an object.
    ///
    /// # Errors
    /// Bytes that are not JSON, and JSON that is something else than an object.
    pub fn object(&self) -> Result<&serde_json::Map<String, Value>> {
        let value = self.json()?;
        value.as_object().ok_or_else(|| {
            let kind = match value {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                Value::String(_) => "a string",
                Value::Array(_) => "an array",
                Value::Object(_) => "an object",
            };
            Error::data(format!("a JSON object was expected, this is {kind}"))
        })
    }

    /// The bytes as text, where they are UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()).ok()
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Payload(ThinArc::from_header_and_slice(OnceLock::new(), bytes))
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        text.as_bytes().into()
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        let size = estimate(&value);
        Payload::sized(value, size)
    }
}

/// About how many bytes a value takes when written.
fn estimate(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| estimate(item) + 1).sum::<usize>(),
        Value::Object(map) => {
            2 + map
                .iter()
                .map(|(k, v)| k.len() + estimate(v) + 4)
                .sum::<usize>()
        }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Payload {}

impl Hash for Payload {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::error::quote_bytes(self.bytes()))
    }
}
