//! A cursor: the columns that order the rows, and their values.

use crate::error::{Error, Result, quote};
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// The values of the columns of a cursor, in the order of the columns.
pub(super) type CursorValues = Vec<Value>;

/// The columns of a cursor.
pub(super) struct Columns(Vec<String>);

impl Columns {
    pub fn new(names: Vec<String>) -> Self {
        Columns(names)
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The columns in SQL: `at`, or `(at, id)`.
    pub fn sql(&self) -> String {
        match self.0.as_slice() {
            [one] => one.clone(),
            names => format!("({})", names.join(", ")),
        }
    }

    /// The condition and the order that a query needs.
    pub fn hint(&self) -> String {
        let (columns, by) = (self.sql(), self.0.join(", "));
        match self.0.as_slice() {
            [_] => format!("write where {columns} > :cursor order by {by}"),
            names => {
                let params: Vec<String> = names.iter().map(|name| format!(":{name}")).collect();
                format!(
                    "write where {columns} > ({}) order by {by}",
                    params.join(", ")
                )
            }
        }
    }

    /// The parameters of a query for the rows after these values.
    pub fn params(&self, values: &CursorValues) -> Map<String, Value> {
        let names = self.0.iter().cloned();
        let mut params: Map<String, Value> = names.zip(values.iter().cloned()).collect();
        if let [only] = values.as_slice() {
            params.insert("cursor".to_owned(), only.clone());
        }
        params
    }

    /// The values of a row.
    pub fn of(&self, row: &Map<String, Value>) -> Result<CursorValues> {
        let value = |name: &String| match row.get(name) {
            Some(value) if is_value(value) => Ok(value.clone()),
            _ => {
                let name = quote(name);
                Err(Error::data(format!(
                    "a row has no value in its cursor column {name}"
                )))
            }
        };
        self.0.iter().map(value).collect()
    }

    /// The values as JSON: a value, or a list of the values of several columns.
    pub fn to_json(&self, values: &CursorValues) -> Value {
        match values.as_slice() {
            [only] => only.clone(),
            values => values.into(),
        }
    }

    /// Values from a checkpoint or an option. A value of the first column alone means before all rows with
    /// this value: the other columns have their values of `start`.
    pub fn parse(&self, value: &Value, start: &CursorValues) -> Option<CursorValues> {
        match value {
            Value::Array(values) => {
                let fits = values.len() == self.0.len() && values.iter().all(is_value);
                fits.then(|| values.clone())
            }
            value if is_value(value) => {
                let mut values = start.clone();
                *values.first_mut()? = value.clone();
                Some(values)
            }
            _ => None,
        }
    }
}

fn is_value(value: &Value) -> bool {
    value.is_number() || value.is_string()
}

/// The order of two rows by their values; `None` if only the database can decide, as for text.
pub(super) fn order(a: &CursorValues, b: &CursorValues) -> Option<Ordering> {
    for (a, b) in a.iter().zip(b) {
        let order = match (a, b) {
            (Value::Number(_), Value::Number(_)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.as_f64().partial_cmp(&b.as_f64()),
            },
            (a, b) if a == b => Some(Ordering::Equal),
            _ => None,
        };
        if order != Some(Ordering::Equal) {
            return order;
        }
    }
    Some(Ordering::Equal)
}

/// Whether the database may treat two values as equal: a collation may ignore case and blanks.
pub(super) fn may_be_same(a: &CursorValues, b: &CursorValues) -> bool {
    let folded = |text: &str| text.trim_end().to_lowercase();
    a.iter().zip(b).all(|(a, b)| match (a, b) {
        (Value::String(a), Value::String(b)) => a == b || folded(a) == folded(b),
        (Value::Number(_), Value::Number(_)) => a == b || a.as_f64() == b.as_f64(),
        _ => false,
    })
}

/// The values for messages.
pub(super) fn shown(values: &CursorValues) -> String {
    let values: Vec<String> = values.iter().map(crate::error::quote_json).collect();
    match values.as_slice() {
        [one] => one.clone(),
        values => format!("({})", values.join(", ")),
    }
}
