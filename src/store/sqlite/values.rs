//! The values of an answer.

use crate::error::Result;
use crate::store::datum::Datum;
use crate::store::row::unsigned;
use crate::store::value;
use rusqlite::types::ValueRef;
use serde_json::Value;
/// How many bytes a value takes in an answer.
pub(super) fn size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 8,
        ValueRef::Text(text) => text.len(),
        // As base64.
        ValueRef::Blob(bytes) => bytes.len() / 3 * 4 + 4,
    }
}

/// A value of an answer as JSON.
pub(super) fn json(column: &str, value: ValueRef<'_>) -> Result<Value> {
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(whole) => Ok(whole.into()),
        ValueRef::Real(real) => value::real(column, real),
        ValueRef::Text(text) => Ok(value::text(text)),
        ValueRef::Blob(bytes) => Ok(value::base64(bytes).into()),
    }
}

/// A value of an answer, kept.
pub(super) fn datum(value: ValueRef<'_>) -> Datum {
    match value {
        ValueRef::Null => Datum::Null,
        ValueRef::Integer(whole) => Datum::Integer(whole),
        ValueRef::Real(real) => Datum::Real(unsigned(real)),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Datum::Text(text.into()),
            Err(_) => Datum::Text(value::base64(text).into()),
        },
        ValueRef::Blob(bytes) => Datum::Text(value::base64(bytes).into()),
    }
}
