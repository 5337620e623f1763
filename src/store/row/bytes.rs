//! A row straight from the bytes of a payload: its columns and child arrays are kept, all else is
//! skipped, and texts without escapes stay where they are.
//!
//! Whatever is out of the ordinary ends the walk with nothing: a value of another type, a key that
//! is missing, an array that stands twice, a document that is malformed. What does come out is the
//! row that the tree gives.

use super::{Cell, Row, fits, whole};
use crate::payload::{self, Skip, note};
use crate::store::table::{Child, Table, Type};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The columns of a child that its parent gives: child's, parent's.
type Links<'a> = &'a [(String, String)];

/// Reads the bytes as a row; `None` where the tree is to say what they are.
pub(super) fn read<'a>(table: &'a Table, bytes: &'a [u8], sized: bool) -> Option<Row<'a>> {
    let links: Links<'a> = &[];
    let seed = RowSeed {
        table,
        links,
        sized,
    };
    let mut row = payload::read(bytes, seed).ok()?;
    row.complete().then_some(row)
}

impl Row<'_> {
    /// Gives the child rows what their parents give them; whether no key is missing.
    fn complete(&mut self) -> bool {
        let found = |name: &String| self.table.find(name).map(|(at, _)| at);
        let mut keys = self.table.key_columns().iter().filter_map(found);
        if keys.any(|at| self.cells[at] == Cell::Null) {
            return false;
        }
        let mut rows = self.children.iter_mut().peekable();
        for child in self.table.children() {
            while let Some(row) = rows.next_if(|row| std::ptr::eq(row.table, &child.table)) {
                // Of two that name the same column the first one counts.
                for (theirs, ours) in child.parent.iter().rev() {
                    if let (Some((to, _)), Some(from)) = (child.table.find(theirs), found(ours)) {
                        row.cells[to] = self.cells[from].clone();
                    }
                }
                if !row.complete() {
                    return false;
                }
            }
        }
        true
    }
}

/// What a field is.
enum Field<'a> {
    Column(usize, Type),
    Child(usize, &'a Child),
    Other,
}

/// Finds the field of a name. Fields mostly come in the order of the columns, so the search begins
/// with the one that is expected.
struct FieldSeed<'a> {
    table: &'a Table,
    links: Links<'a>,
    expected: usize,
}

impl<'a> FieldSeed<'a> {
    fn find(&self, name: &str) -> Field<'a> {
        let columns = self.table.columns();
        let (before, after) = columns.split_at(self.expected);
        let later = after.iter().position(|column| column.name == name);
        let place = match later {
            Some(at) => Some(before.len() + at),
            None => before.iter().position(|column| column.name == name),
        };
        if let Some(at) = place {
            return match self.links.iter().any(|(theirs, _)| theirs == name) {
                true => Field::Other,
                false => Field::Column(at, columns[at].kind),
            };
        }
        let mut children = self.table.children().iter().enumerate();
        match children.find(|(_, child)| child.field == name) {
            Some((at, child)) => Field::Child(at, child),
            None => Field::Other,
        }
    }
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'de> {
    type Value = Field<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Field<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'de> {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field")
    }
    fn visit_str<E>(self, name: &str) -> Result<Field<'de>, E> {
        Ok(self.find(name))
    }
}

/// Reads an object as a row.
#[derive(Clone, Copy)]
struct RowSeed<'a> {
    table: &'a Table,
    links: Links<'a>,
    sized: bool,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'de> {
    type Value = Row<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Row<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'de> {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
        let (table, links, sized) = (self.table, self.links, self.sized);
        let mut row = Row {
            table,
            cells: vec![Cell::Null; table.columns().len()],
            children: Vec::new(),
        };
        let mut expected = 0;
        // A bit for each child whose array was there, and whether they came in order.
        let (mut seen, mut ordered) = (0u64, true);
        loop {
            let names = FieldSeed {
                table,
                links,
                expected,
            };
            match map.next_key_seed(names)? {
                None => break,
                Some(Field::Other) => {
                    map.next_value::<Skip>()?;
                }
                Some(Field::Column(at, kind)) => {
                    row.cells[at] = map.next_value_seed(CellSeed { kind, sized })?;
                    expected = at + 1;
                }
                Some(Field::Child(at, child)) => {
                    let bit = u32::try_from(at).ok().and_then(|at| 1u64.checked_shl(at));
                    let Some(bit) = bit.filter(|bit| seen & bit == 0) else {
                        return Err(A::Error::custom("an array that stands twice"));
                    };
                    ordered &= seen < bit;
                    seen |= bit;
                    map.next_value_seed(RowsSeed {
                        rows: &mut row.children,
                        seed: RowSeed {
                            table: &child.table,
                            links: &child.parent,
                            sized,
                        },
                    })?;
                }
            }
        }
        if !ordered {
            row.children.sort_by_key(|row| {
                let mut children = table.children().iter();
                children.position(|child| std::ptr::eq(row.table, &child.table))
            });
        }
        Ok(row)
    }
}

/// Reads an array of objects as rows, behind those that are there.
struct RowsSeed<'r, 'a> {
    rows: &'r mut Vec<Row<'a>>,
    seed: RowSeed<'a>,
}

impl<'de> DeserializeSeed<'de> for RowsSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowsSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(row) = seq.next_element_seed(self.seed)? {
            self.rows.push(row);
        }
        Ok(())
    }
}

/// Reads the value of a column.
struct CellSeed {
    kind: Type,
    sized: bool,
}

impl CellSeed {
    fn text<E: Error>(self, text: Cow<'_, str>) -> Result<Cell<'_>, E> {
        match self.kind {
            Type::Text(len) if !self.sized || fits(&text, len) => Ok(Cell::Text(text)),
            _ => Err(E::custom("a text")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for CellSeed {
    type Value = Cell<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cell<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CellSeed {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the column's type")
    }
    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Cell<'de>, E> {
        match self.kind {
            Type::Integer => Ok(Cell::Integer(value)),
            Type::Real => Ok(Cell::Real(value as f64)),
            Type::Text(_) => Err(E::custom("a number")),
        }
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Cell<'de>, E> {
        match (i64::try_from(value), self.kind) {
            (Ok(value), _) => self.visit_i64(value),
            (Err(_), Type::Real) => Ok(Cell::Real(value as f64)),
            (Err(_), _) => Err(E::custom("a number")),
        }
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Cell<'de>, E> {
        note(value);
        let cell = match self.kind {
            Type::Integer => whole(value).map(Cell::Integer),
            Type::Real => Some(Cell::Real(value)),
            Type::Text(_) => None,
        };
        cell.ok_or_else(|| E::custom("a double"))
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Cell<'de>, E> {
        self.text(Cow::Borrowed(text))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Cell<'de>, E> {
        self.text(Cow::Owned(text.to_owned()))
    }
}
