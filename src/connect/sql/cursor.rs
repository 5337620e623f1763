//! A cursor: the columns by which rows are in order, and places among the rows.

use crate::error::{Error, Result, quote};
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// The values of the columns of a cursor, in their order.
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

    /// How they are written in SQL: `at`, or `(at, id)`.
    pub fn sql(&self) -> String {
        match self.0.as_slice() {
            [one] => one.clone(),
            names => format!("({})", names.join(", ")),
        }
    }

    /// What a query asks for to read on, and its order.
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

    /// The parameters of a query that asks for what is behind a place.
    pub fn params(&self, place: &CursorValues) -> Map<String, Value> {
        let names = self.0.iter().cloned();
        let mut params: Map<String, Value> = names.zip(place.iter().cloned()).collect();
        if let [only] = place.as_slice() {
            params.insert("cursor".to_owned(), only.clone());
        }
        params
    }

    /// Where a row is.
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

    /// A place as it is kept: a value, or a list of the values of several columns.
    pub fn to_json(&self, place: &CursorValues) -> Value {
        match place.as_slice() {
            [only] => only.clone(),
            values => values.into(),
        }
    }

    /// A place that was kept or given. One of the first column alone is the place before all rows
    /// with this value: `start` says what the other columns begin with.
    pub fn place(&self, value: &Value, start: &CursorValues) -> Option<CursorValues> {
        match value {
            Value::Array(values) => {
                let fits = values.len() == self.0.len() && values.iter().all(is_value);
                fits.then(|| values.clone())
            }
            value if is_value(value) => {
                let mut place = start.clone();
                *place.first_mut()? = value.clone();
                Some(place)
            }
            _ => None,
        }
    }
}

fn is_value(value: &Value) -> bool {
    value.is_number() || value.is_string()
}

/// How places are ordered; `None` where that is for the database to say, as for texts.
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

/// Whether the database may take two places for the same: a collation may ignore case and blanks.
pub(super) fn may_be_same(a: &CursorValues, b: &CursorValues) -> bool {
    let folded = |text: &str| text.trim_end().to_lowercase();
    a.iter().zip(b).all(|(a, b)| match (a, b) {
        (Value::String(a), Value::String(b)) => a == b || folded(a) == folded(b),
        (Value::Number(_), Value::Number(_)) => a == b || a.as_f64() == b.as_f64(),
        _ => false,
    })
}

/// A place as messages show it.
pub(super) fn shown(place: &CursorValues) -> String {
    let values: Vec<String> = place.iter().map(crate::error::quote_json).collect();
    match values.as_slice() {
        [one] => one.clone(),
        values => format!("({})", values.join(", ")),
    }
}
