//! From a JSON object to rows: every value is checked before anything is inserted.
//!
//! A payload of bytes is read without a tree ([`bytes`]). That reader handles valid rows only: anything
//! else is read from the tree, so that errors are made in one place.

mod bytes;
mod layout;
mod reader;

use super::table::{Child, Column, Table, Type};
use crate::error::{Error, Result, quote, quote_json};
use serde_json::{Map, Value};
use std::borrow::Cow;

pub(crate) use reader::RowReader;

/// One value, as it is bound to a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Cell::Text(Cow::Borrowed(text))
    }
}

impl Cell<'_> {
    /// The same value, which borrows nothing.
    pub fn into_owned(self) -> Cell<'static> {
        match self {
            Cell::Null => Cell::Null,
            Cell::Integer(whole) => Cell::Integer(whole),
            Cell::Real(real) => Cell::Real(real),
            Cell::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
        }
    }

    /// The same value, borrowed from this one.
    pub fn borrowed(&self) -> Cell<'_> {
        match self {
            Cell::Text(text) => Cell::from(&**text),
            Cell::Null => Cell::Null,
            Cell::Integer(whole) => Cell::Integer(*whole),
            Cell::Real(real) => Cell::Real(*real),
        }
    }

    /// About how many bytes it takes in a statement.
    pub fn size(&self) -> usize {
        match self {
            Cell::Text(text) => text.len(),
            Cell::Null | Cell::Integer(_) | Cell::Real(_) => 8,
        }
    }
}

/// A row of a table, and the rows of its child tables, those of each child together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row<'a> {
    pub table: &'a Table,
    pub cells: Vec<Cell<'a>>,
    pub children: Vec<Row<'a>>,
}

impl<'a> Row<'a> {
    /// Reads an object as a row of `table`. Where `sized`, the lengths of texts are checked.
    ///
    /// Fields that are no column are ignored, missing ones are NULL.
    pub fn read(table: &'a Table, object: &'a Map<String, Value>, sized: bool) -> Result<Self> {
        Row::read_below(table, object, sized, &[])
    }

    /// Reads a row in which these columns are given already.
    fn read_below(
        table: &'a Table,
        object: &'a Map<String, Value>,
        sized: bool,
        given: &[(&str, Cell<'a>)],
    ) -> Result<Self> {
        let mut cells = Vec::with_capacity(table.columns().len());
        for column in table.columns() {
            let cell = match given.iter().find(|(name, _)| *name == column.name) {
                Some((_, cell)) => cell.clone(),
                None => match object.get(&column.name) {
                    Some(value) => cell(table, column, value, sized)?,
                    None => Cell::Null,
                },
            };
            if cell == Cell::Null && table.key_columns().contains(&column.name) {
                return Err(Error::data(format!(
                    "{}.{} is missing, and it is part of the key",
                    table.name(),
                    column.name
                )));
            }
            cells.push(cell);
        }
        let mut row = Row {
            table,
            cells,
            children: Vec::new(),
        };
        for child in table.children() {
            row.read_children(child, object.get(&child.field), sized)?;
        }
        Ok(row)
    }

    fn read_children(
        &mut self,
        child: &'a Child,
        value: Option<&'a Value>,
        sized: bool,
    ) -> Result<()> {
        let expected = |value: &Value| {
            Error::data(format!(
                "{}.{} must be an array of objects, this is {}",
                self.table.name(),
                child.field,
                quote_json(value)
            ))
        };
        let items = match value {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(expected(other)),
        };
        let given: Vec<(&str, Cell<'a>)> = child
            .parent
            .iter()
            .map(|(theirs, ours)| (theirs.as_str(), self.cell(ours)))
            .collect();
        for item in items {
            let object = item.as_object().ok_or_else(|| expected(item))?;
            let row = Row::read_below(&child.table, object, sized, &given)?;
            self.children.push(row);
        }
        Ok(())
    }

    /// The value of this column.
    pub fn cell(&self, column: &str) -> Cell<'a> {
        self.table
            .find(column)
            .map_or(Cell::Null, |(at, _)| self.cells[at].clone())
    }
}

fn cell<'a>(table: &Table, column: &Column, value: &'a Value, sized: bool) -> Result<Cell<'a>> {
    let cell = convert(column.kind, value).ok_or_else(|| {
        Error::data(format!(
            "{}.{} must be {}, this is {}",
            table.name(),
            column.name,
            column.kind,
            quote_json(value)
        ))
    })?;
    if let (Cell::Text(text), Type::Text(len), true) = (&cell, column.kind, sized)
        && !fits(text, len)
    {
        return Err(Error::data(format!(
            "{}.{} has room for {len} characters, this has {}: {}",
            table.name(),
            column.name,
            text.chars().count(),
            quote(text)
        ))
        .with_hint(format!(
            "declare it as text({})",
            text.chars().count().next_power_of_two()
        )));
    }
    Ok(cell)
}

/// Whether a text has at most so many characters.
fn fits(text: &str, len: u16) -> bool {
    let len = usize::from(len);
    text.len() <= len || text.chars().count() <= len
}

/// A JSON value as one of a type; `None` where it is of another.
pub(crate) fn convert(kind: Type, value: &Value) -> Option<Cell<'_>> {
    match (kind, value) {
        (_, Value::Null) => Some(Cell::Null),
        (Type::Integer, Value::Number(number)) => match number.as_i64() {
            Some(whole) => Some(Cell::Integer(whole)),
            None => number.as_f64().and_then(whole).map(Cell::Integer),
        },
        // As SQL has it, on either database.
        (Type::Integer, Value::Bool(is)) => Some(Cell::Integer(i64::from(*is))),
        (Type::Real, Value::Number(number)) => number.as_f64().map(unsigned).map(Cell::Real),
        (Type::Text(_), Value::String(text)) => Some(text.as_str().into()),
        _ => None,
    }
}

/// The double, of which a zero has no sign: the databases take 0.0 and -0.0 for one value, and
/// keep the sign or not. So rows, answers and all that is between know one zero.
pub(in crate::store) fn unsigned(number: f64) -> f64 {
    // Of two zeros the sum is the positive one, and every other number stays.
    number + 0.0
}

/// The integer that this double is, where it is exactly one.
pub(super) fn whole(number: f64) -> Option<i64> {
    // 2^63 as a double is the first beyond i64.
    let fits = number.fract() == 0.0 && (-(2f64.powi(63))..2f64.powi(63)).contains(&number);
    fits.then_some(number as i64)
}

#[cfg(test)]
mod tests;
