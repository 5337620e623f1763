//! Headers of messages as JSON.

use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Map, Value, json};

/// The object of a table.
pub(super) fn object(table: &FieldTable) -> Value {
    let pairs = table.inner().iter();
    let pairs = pairs.map(|(name, value)| (name.as_str().to_owned(), value_of(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// Bytes that are no text are shown as well as may be.
fn value_of(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(value) => json!(value),
        AMQPValue::ShortShortInt(value) => json!(value),
        AMQPValue::ShortShortUInt(value) => json!(value),
        AMQPValue::ShortInt(value) => json!(value),
        AMQPValue::ShortUInt(value) => json!(value),
        AMQPValue::LongInt(value) => json!(value),
        AMQPValue::LongUInt(value) => json!(value),
        AMQPValue::LongLongInt(value) => json!(value),
        AMQPValue::Float(value) => json!(value),
        AMQPValue::Double(value) => json!(value),
        AMQPValue::Timestamp(value) => json!(value),
        AMQPValue::ShortString(text) => json!(text.as_str()),
        AMQPValue::LongString(text) => json!(text.to_string()),
        AMQPValue::FieldArray(items) => items.as_slice().iter().map(value_of).collect(),
        AMQPValue::FieldTable(table) => object(table),
        AMQPValue::ByteArray(bytes) => json!(String::from_utf8_lossy(bytes.as_slice())),
        AMQPValue::DecimalValue(value) => {
            json!(f64::from(value.value) / 10_f64.powi(value.scale.into()))
        }
        AMQPValue::Void => Value::Null,
    }
}
