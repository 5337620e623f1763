//! What an event carries: bytes and the JSON value that they spell.
//!
//! Each is made from the other at most once, and all branches share both: a clone is a reference.
//! A payload made of bytes is one allocation.

mod json;

use crate::error::{Error, Result};
use serde_json::Value;
use std::fmt;
use std::sync::{Arc, OnceLock};
use triomphe::ThinArc;

pub use json::{MAX_DEPTH, check_json, parse_json};

/// The greatest payload that sources of lines accept, in bytes (1 MiB).
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
pub struct Payload(Repr);

#[derive(Clone)]
enum Repr {
    /// Bytes with the parsed value beside them, in one allocation.
    Bytes(ThinArc<OnceLock<Box<Value>>, u8>),
    /// A value with its bytes beside it.
    Json(Arc<FromJson>),
}

struct FromJson {
    value: Value,
    bytes: OnceLock<Box<[u8]>>,
}

impl Payload {
    /// The bytes; written from the JSON value at the first call where that came first.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Bytes(thin) => &thin.slice,
            Repr::Json(json) => json
                .bytes
                .get_or_init(|| json.value.to_string().into_bytes().into()),
        }
    }

    /// The JSON value; parsed from the bytes at the first call where those came first.
    ///
    /// # Errors
    /// Bytes that are not one JSON document: see [`parse_json`].
    pub fn json(&self) -> Result<&Value> {
        match &self.0 {
            Repr::Json(json) => Ok(&json.value),
            Repr::Bytes(thin) => {
                let cell = &thin.header.header;
                if let Some(value) = cell.get() {
                    return Ok(value);
                }
                let value = parse_json(&thin.slice)?;
                Ok(cell.get_or_init(|| Box::new(value)))
            }
        }
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
        Payload(Repr::Bytes(ThinArc::from_header_and_slice(
            OnceLock::new(),
            bytes,
        )))
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
        Payload(Repr::Json(Arc::new(FromJson {
            value,
            bytes: OnceLock::new(),
        })))
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::error::quote_bytes(self.bytes()))
    }
}
