//! A row straight from the bytes of a payload: its columns and child arrays are kept, all else is
//! skipped, and texts without escapes stay where they are.
//!
//! Whatever is out of the ordinary ends the walk with nothing: a value of another type, a key that
//! is missing, an array that stands twice, a document that is malformed. What does come out is the
//! row that the tree gives.

use super::layout::{Holds, Layout};
use super::{Cell, Row, fits, unsigned, whole};
use crate::payload::{Number, Walk};
use crate::store::table::{Child, Table, Type};

/// Reads the bytes as a row; `None` if they must be read from the tree.
pub(super) fn read<'a>(
    table: &'a Table,
    layout: &Layout,
    bytes: &'a [u8],
    sized: bool,
) -> Option<Row<'a>> {
    let walk = Walk::over(bytes)?;
    let mut reader = Reader { walk, sized };
    let mut row = reader.row(table, layout)?;
    (reader.walk.is_over() && row.complete(layout)).then_some(row)
}

impl Row<'_> {
    /// Gives the child rows what their parents give them; whether no key is missing.
    fn complete(&mut self, layout: &Layout) -> bool {
        if layout.key.iter().any(|at| self.cells[*at] == Cell::Null) {
            return false;
        }
        let children = self.table.children();
        for row in &mut self.children {
            let is_it = |child: &Child| std::ptr::eq(row.table, &child.table);
            let Some(at) = children.iter().position(is_it) else {
                return false;
            };
            for (to, from) in &layout.children[at].given {
                row.cells[*to] = self.cells[*from].clone();
            }
            if !row.complete(&layout.children[at]) {
                return false;
            }
        }
        true
    }
}

/// Reads rows where a walk is.
struct Reader<'a> {
    walk: Walk<'a>,
    sized: bool,
}

impl<'a> Reader<'a> {
    /// Reads an object as a row.
    fn row(&mut self, table: &'a Table, layout: &Layout) -> Option<Row<'a>> {
        let mut cells: Vec<Cell<'a>> = Vec::with_capacity(layout.columns);
        let mut children = Vec::new();
        // A bit for each child whose array was there, and whether they came in order.
        let (mut seen, mut ordered) = (0u64, true);
        let mut expected = 0;
        let mut more = self.walk.enter(b'{', b'}')?;
        while more {
            match self.field(layout, &mut expected)? {
                None => self.walk.skip()?,
                Some(Holds::Column(at, kind)) => {
                    let cell = self.cell(kind)?;
                    match cells.get_mut(at) {
                        Some(place) => *place = cell,
                        None => {
                            fill(&mut cells, at);
                            cells.push(cell);
                        }
                    }
                }
                Some(Holds::Child(at)) => {
                    let bit = u32::try_from(at).ok().and_then(|at| 1u64.checked_shl(at));
                    let bit = bit.filter(|bit| seen & bit == 0)?;
                    ordered &= seen < bit;
                    seen |= bit;
                    let child = &table.children()[at].table;
                    self.rows(child, &layout.children[at], &mut children)?;
                }
            }
            more = self.walk.go_on(b'}')?;
        }
        fill(&mut cells, layout.columns);
        if !ordered {
            children.sort_by_key(|row: &Row<'_>| {
                let mut children = table.children().iter();
                children.position(|child| std::ptr::eq(row.table, &child.table))
            });
        }
        Some(Row {
            table,
            cells,
            children,
        })
    }

    /// Reads an array of objects as rows, behind those that are there.
    fn rows(&mut self, table: &'a Table, layout: &Layout, rows: &mut Vec<Row<'a>>) -> Option<()> {
        if self.walk.pass_null() {
            return Some(());
        }
        let mut more = self.walk.enter(b'[', b']')?;
        while more {
            rows.push(self.row(table, layout)?);
            more = self.walk.go_on(b']')?;
        }
        Some(())
    }

    /// Finds what the field holds that comes; nothing that is wanted, perhaps. Fields mostly come in
    /// the order of the table, so the one that is expected is tried first.
    #[inline]
    fn field(&mut self, layout: &Layout, expected: &mut usize) -> Option<Option<Holds>> {
        if let Some(next) = layout.fields.get(*expected)
            && self.walk.pass_token(&next.token)
        {
            *expected += 1;
            return Some(Some(next.holds));
        }
        let name = self.walk.name()?;
        let at = layout.fields.iter().position(|field| field.name == name);
        Some(at.map(|at| {
            *expected = at + 1;
            layout.fields[at].holds
        }))
    }

    /// Reads the value of a column.
    #[inline]
    fn cell(&mut self, kind: Type) -> Option<Cell<'a>> {
        let first = self.walk.peek()?;
        if first == b'n' {
            return self.walk.pass_null().then_some(Cell::Null);
        }
        match kind {
            Type::Text(len) => {
                let text = self.walk.text()?;
                (!self.sized || fits(&text, len)).then_some(Cell::Text(text))
            }
            Type::Integer if first == b't' => {
                self.walk.pass_token(b"true").then_some(Cell::Integer(1))
            }
            Type::Integer if first == b'f' => {
                self.walk.pass_token(b"false").then_some(Cell::Integer(0))
            }
            Type::Integer => match self.walk.number_here()? {
                Number::Integer(number) => Some(Cell::Integer(number)),
                Number::Real(number) => whole(number).map(Cell::Integer),
            },
            Type::Real => match self.walk.number_here()? {
                Number::Integer(number) => Some(Cell::Real(number as f64)),
                Number::Real(number) => Some(Cell::Real(unsigned(number))),
            },
        }
    }
}

/// Adds NULLs until there are so many.
fn fill(cells: &mut Vec<Cell<'_>>, count: usize) {
    while cells.len() < count {
        cells.push(Cell::Null);
    }
}
