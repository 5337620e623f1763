//! One value of a row, owned: what windows keep, group by and compare.

use super::row::{self, Cell};
use super::value::real;
use crate::error::Result;
use crate::time::Timestamp;
use serde_json::Value;
use std::cmp::Ordering;

/// One value of a row.
#[derive(Debug, Clone)]
pub(crate) enum Datum {
    Null,
    Integer(i64),
    Real(f64),
    Text(Box<str>),
}

impl Datum {
    /// The value as it is bound to a statement.
    pub fn cell(&self) -> Cell<'_> {
        match self {
            Datum::Null => Cell::Null,
            Datum::Integer(whole) => Cell::Integer(*whole),
            Datum::Real(real) => Cell::Real(*real),
            Datum::Text(text) => Cell::from(&**text),
        }
    }

    /// Becomes another value; a text takes the place of one that is as long.
    pub fn set(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Datum::Text(text), Cell::Text(new)) => {
                let mut place = String::from(std::mem::take(text));
                place.clear();
                place.push_str(new);
                *text = place.into_boxed_str();
            }
            (place, cell) => *place = Datum::from(cell),
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// The value as an instant, in unix seconds; `None` for what is no number. What is beyond the
    /// instants that are counted is the last one.
    pub fn as_time(&self) -> Option<Timestamp> {
        let time = match self {
            Datum::Integer(whole) => Timestamp::from_secs(*whole),
            // The cast saturates.
            Datum::Real(real) => Timestamp::from_micros((real * 1e6).round() as i64),
            Datum::Null | Datum::Text(_) => return None,
        };
        Some(time.within_counted())
    }

    /// A value of an answer; what is no scalar is its text.
    pub fn from_json(value: Value) -> Self {
        match value {
            Value::Null => Datum::Null,
            Value::Bool(is) => Datum::Integer(is.into()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Datum::Integer(whole),
                (None, Some(real)) => Datum::Real(real),
                (None, None) => Datum::Null,
            },
            Value::String(text) => Datum::Text(text.into()),
            other => Datum::Text(other.to_string().into()),
        }
    }

    /// Writes the value as JSON, as the answer of a query has it.
    ///
    /// # Errors
    /// A double that JSON cannot hold.
    pub fn write_json(&self, column: &str, to: &mut Vec<u8>) -> Result<()> {
        const FITS: &str = "a scalar can be written to memory";
        match self {
            Datum::Null => to.extend_from_slice(b"null"),
            Datum::Integer(whole) => serde_json::to_writer(to, whole).expect(FITS),
            Datum::Real(number) if number.is_finite() => {
                serde_json::to_writer(to, &row::unsigned(*number)).expect(FITS);
            }
            Datum::Real(number) => drop(real(column, *number)?),
            Datum::Text(text) => serde_json::to_writer(to, &**text).expect(FITS),
        }
        Ok(())
    }

    /// Adds bytes that are equal for values that the database groups together, and for no others.
    pub fn encode(cell: &Cell<'_>, to: &mut Vec<u8>) {
        match cell {
            Cell::Null => to.push(0),
            Cell::Integer(whole) => {
                to.push(1);
                to.extend_from_slice(&whole.to_le_bytes());
            }
            Cell::Real(number) => match row::whole(*number) {
                // 1.0 and 1 are one key.
                Some(whole) => Datum::encode(&Cell::Integer(whole), to),
                None => {
                    to.push(2);
                    to.extend_from_slice(&number.to_le_bytes());
                }
            },
            Cell::Text(text) => {
                to.push(3);
                to.extend_from_slice(&(text.len() as u32).to_le_bytes());
                to.extend_from_slice(text.as_bytes());
            }
        }
    }
}

impl From<&Cell<'_>> for Datum {
    fn from(cell: &Cell<'_>) -> Self {
        match cell {
            Cell::Null => Datum::Null,
            Cell::Integer(whole) => Datum::Integer(*whole),
            Cell::Real(real) => Datum::Real(*real),
            Cell::Text(text) => Datum::Text(text.as_ref().into()),
        }
    }
}

/// The order of the databases: nothing, then numbers, then texts by their bytes.
impl Ord for Datum {
    fn cmp(&self, other: &Self) -> Ordering {
        use Datum::{Integer, Null, Real, Text};
        let class = |datum: &Datum| match datum {
            Null => 0,
            Integer(_) | Real(_) => 1,
            Text(_) => 2,
        };
        match (self, other) {
            (Integer(a), Integer(b)) => a.cmp(b),
            // Zero has two signs, and is one value.
            (Real(a), Real(b)) => a.partial_cmp(b).unwrap_or_else(|| a.total_cmp(b)),
            (Integer(a), Real(b)) => compare(*a, *b),
            (Real(a), Integer(b)) => compare(*b, *a).reverse(),
            (Text(a), Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            _ => class(self).cmp(&class(other)),
        }
    }
}

/// An integer beside a double, without rounding the integer.
fn compare(whole: i64, real: f64) -> Ordering {
    match (whole as f64).total_cmp(&real) {
        // Equal as doubles: then the double is whole, and its value as an integer decides.
        Ordering::Equal => match row::whole(real) {
            Some(other) => whole.cmp(&other),
            None => Ordering::Less,
        },
        differs => differs,
    }
}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Datum {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Datum {}
