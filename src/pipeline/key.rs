//! What an event belongs to, for nodes that do their work for each key apart.

use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::payload::parse_json;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::Xxh3;

/// The fields of the JSON payload by which events belong together; without fields all events
/// belong together.
///
/// Nodes keep a 128-bit hash of the values. An event that lacks a field is rejected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key(Vec<String>);

impl Key {
    /// All events belong together.
    pub fn none() -> Self {
        Key::default()
    }

    /// Events with equal values of these fields belong together.
    pub fn fields<S: Into<String>>(fields: impl IntoIterator<Item = S>) -> Self {
        Key(fields.into_iter().map(Into::into).collect())
    }

    pub(super) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of an event's values.
    pub(super) fn of(&self, event: &Event) -> Result<u128> {
        self.hash(event, "to take the key from")
    }

    /// The same for fields that are compared, and are no key.
    pub(super) fn compared(&self, event: &Event) -> Result<u128> {
        self.hash(event, "to compare")
    }

    fn hash(&self, event: &Event, what_for: &str) -> Result<u128> {
        if self.is_none() {
            return Ok(0);
        }
        let mut hasher = Xxh3::new();
        self.each(event, what_for, |_, value| {
            hasher.update(value.to_string().as_bytes());
            // No JSON text has this byte, so that fields cannot run into each other.
            hasher.update(&[0xff]);
        })?;
        Ok(hasher.digest128())
    }

    /// An event's values as JSON, one after the other.
    pub(super) fn values(&self, event: &Event) -> Result<String> {
        let mut text = String::new();
        if !self.is_none() {
            self.each(event, "to take the key from", |_, value| {
                if !text.is_empty() {
                    text.push(',');
                }
                text.push_str(&value.to_string());
            })?;
        }
        Ok(text)
    }

    /// The fields with the values that were written so.
    pub(super) fn shown(&self, values: &str) -> Result<Map<String, Value>> {
        let values = parse_json(format!("[{values}]").as_bytes())?;
        let values = values.as_array().cloned().unwrap_or_default();
        Ok(self.0.iter().cloned().zip(values).collect())
    }

    fn each(
        &self,
        event: &Event,
        what_for: &str,
        mut take: impl FnMut(&str, &Value),
    ) -> Result<()> {
        let object = event.payload().object()?;
        for field in &self.0 {
            let value = object
                .get(field)
                .ok_or_else(|| Error::data(format!("no field {} {what_for}", quote(field))))?;
            take(field, value);
        }
        Ok(())
    }
}
