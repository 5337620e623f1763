//! A row straight from the bytes of a payload: its columns and child arrays are kept, all else is
//! skipped, and texts without escapes stay where they are.
//!
//! Whatever is out of the ordinary ends the walk with nothing: a value of another type, a key that
//! is missing, an array that stands twice, a document that is malformed. What does come out is the
//! row that the tree gives.

use super::{Cell, Row, Spare, fits, whole};
use crate::payload::{Number, Walk};
use crate::store::table::{Child, Table, Type};

/// The columns of a child that its parent gives: child's, parent's.
type Links<'a> = &'a [(String, String)];

/// Reads the bytes as a row; `None` where the tree is to say what they are.
pub(super) fn read<'a>(
    table: &'a Table,
    bytes: &'a [u8],
    sized: bool,
    spare: &mut Spare,
) -> Option<Row<'a>> {
    let mut reader = Reader {
        walk: Walk::over(bytes)?,
        sized,
        spare,
    };
    let mut row = reader.row(table, &[])?;
    (reader.walk.is_over() && row.complete()).then_some(row)
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

/// Reads rows where a walk is.
struct Reader<'a, 's> {
    walk: Walk<'a>,
    sized: bool,
    spare: &'s mut Spare,
}

impl<'a> Reader<'a, '_> {
    /// Reads an object as a row.
    fn row(&mut self, table: &'a Table, links: Links<'a>) -> Option<Row<'a>> {
        let columns = table.columns().len();
        let mut row = Row {
            table,
            cells: self.spare.cells(columns),
            children: Vec::new(),
        };
        // A bit for each child whose array was there, and whether they came in order.
        let (mut seen, mut ordered) = (0u64, true);
        let mut expected = 0;
        let mut more = self.walk.enter(b'{', b'}')?;
        while more {
            match self.field(table, links, expected)? {
                Field::Other => self.walk.skip()?,
                Field::Column(at, kind) => {
                    let cell = self.cell(kind)?;
                    match row.cells.get_mut(at) {
                        Some(place) => *place = cell,
                        None => {
                            while row.cells.len() < at {
                                row.cells.push(Cell::Null);
                            }
                            row.cells.push(cell);
                        }
                    }
                    expected = at + 1;
                }
                Field::Child(at, child) => {
                    let bit = u32::try_from(at).ok().and_then(|at| 1u64.checked_shl(at));
                    let bit = bit.filter(|bit| seen & bit == 0)?;
                    ordered &= seen < bit;
                    seen |= bit;
                    self.rows(child, &mut row.children)?;
                }
            }
            more = self.walk.go_on(b'}')?;
        }
        while row.cells.len() < columns {
            row.cells.push(Cell::Null);
        }
        if !ordered {
            row.children.sort_by_key(|row| {
                let mut children = table.children().iter();
                children.position(|child| std::ptr::eq(row.table, &child.table))
            });
        }
        Some(row)
    }

    /// Reads an array of objects as rows, behind those that are there.
    fn rows(&mut self, child: &'a Child, rows: &mut Vec<Row<'a>>) -> Option<()> {
        if self.walk.pass_null() {
            return Some(());
        }
        if rows.capacity() == 0 {
            *rows = self.spare.rows();
        }
        let mut more = self.walk.enter(b'[', b']')?;
        while more {
            rows.push(self.row(&child.table, &child.parent)?);
            more = self.walk.go_on(b']')?;
        }
        Some(())
    }

    /// Finds the field that comes. Fields mostly come in the order of the columns, so the search
    /// begins with the one that is expected: the first from here on that no parent gives.
    fn field(&mut self, table: &'a Table, links: Links<'a>, expected: usize) -> Option<Field<'a>> {
        let columns = table.columns();
        let is_given = |name: &str| links.iter().any(|(theirs, _)| theirs == name);
        let column = |at: usize| match is_given(&columns[at].name) {
            true => Field::Other,
            false => Field::Column(at, columns[at].kind),
        };
        let mut next = columns.iter().enumerate().skip(expected);
        if let Some((at, next)) = next.find(|(_, column)| !is_given(&column.name))
            && self.walk.pass_name(&next.name)
        {
            return Some(Field::Column(at, next.kind));
        }
        let name = self.walk.name()?;
        if let Some(at) = columns.iter().position(|column| column.name == name) {
            return Some(column(at));
        }
        let mut children = table.children().iter().enumerate();
        Some(match children.find(|(_, child)| child.field == name) {
            Some((at, child)) => Field::Child(at, child),
            None => Field::Other,
        })
    }

    /// Reads the value of a column.
    fn cell(&mut self, kind: Type) -> Option<Cell<'a>> {
        match (self.walk.peek()?, kind) {
            (b'"', Type::Text(len)) => {
                let text = self.walk.text()?;
                (!self.sized || fits(&text, len)).then_some(Cell::Text(text))
            }
            (b'-' | b'0'..=b'9', Type::Integer) => match self.walk.number()? {
                Number::Integer(number) => Some(Cell::Integer(number)),
                Number::Real(number) => whole(number).map(Cell::Integer),
            },
            (b'-' | b'0'..=b'9', Type::Real) => match self.walk.number()? {
                Number::Integer(number) => Some(Cell::Real(number as f64)),
                Number::Real(number) => Some(Cell::Real(number)),
            },
            _ => self.walk.pass_null().then_some(Cell::Null),
        }
    }
}
