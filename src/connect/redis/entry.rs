//! Entries of a stream, as answers hold them: `[[id, [field, value, ..]], ..]`.
//!
//! What has another shape is passed over: an entry that was deleted has no fields.

use redis::Value;
use serde_json::Map;

/// An entry of a stream.
pub(super) struct Entry {
    pub id: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The entries of an answer to XCLAIM, or of a part of another.
pub(super) fn entries(answer: Value) -> impl Iterator<Item = Entry> {
    list(answer).into_iter().filter_map(|entry| {
        let mut parts = list(entry).into_iter();
        let id = String::from_utf8(bytes(parts.next()?)?).ok()?;
        let mut words = list(parts.next()?).into_iter();
        let mut fields = Vec::with_capacity(words.len() / 2);
        while let (Some(field), Some(value)) = (words.next(), words.next()) {
            fields.push((bytes(field)?, bytes(value)?));
        }
        if fields.is_empty() {
            None
        } else {
            Some(Entry { id, fields })
        }
    })
}

/// The entries of an answer to XREADGROUP for one stream.
pub(super) fn read(answer: Value) -> impl Iterator<Item = Entry> {
    let stream = list(answer).into_iter().next();
    let entry = list(stream.unwrap_or(Value::Nil)).into_iter().nth(1);
    entries(entry.unwrap_or(Value::Nil))
}

/// The answer to XAUTOCLAIM: where to go on, and entries.
pub(super) fn claimed(answer: Value) -> (String, impl Iterator<Item = Entry>) {
    let mut parts = list(answer).into_iter();
    let next = parts.next().and_then(bytes).unwrap_or_default();
    let next = String::from_utf8(next).unwrap_or_default();
    (next, entries(parts.next().unwrap_or(Value::Nil)))
}

impl Entry {
    /// What it carries: the value of this field, or an object of all.
    pub fn payload(self, field: &str) -> Vec<u8> {
        let known = self.fields.iter();
        if let Some(at) = known
            .map(|(name, _)| name)
            .position(|n| n == field.as_bytes())
        {
            let mut fields = self.fields;
            return fields.swap_remove(at).1;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = self.fields.iter();
        let object: Map<_, _> = fields
            .map(|(name, value)| (text(name), text(value).into()))
            .collect();
        serde_json::Value::Object(object).to_string().into_bytes()
    }
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}
