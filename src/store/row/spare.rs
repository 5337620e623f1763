//! The memory of rows that were read before, for those to come.

use super::{Cell, Row, bytes};
use crate::error::Result;
use crate::payload::Payload;
use crate::store::table::Table;

/// So much of a kind is kept, and of so many elements each: a row that is larger is rare.
const MOST: usize = 64;

/// What rows are made of, once they are gone. To read a row takes no memory then.
#[derive(Default)]
pub(crate) struct Spare {
    cells: Vec<Vec<Cell<'static>>>,
    rows: Vec<Vec<Row<'static>>>,
}

impl Spare {
    /// Reads a payload as a row, as [`Row::of`] does.
    pub fn row<'a>(
        &mut self,
        table: &'a Table,
        payload: &'a Payload,
        sized: bool,
    ) -> Result<Row<'a>> {
        let read = match payload.tree() {
            None => bytes::read(table, payload.bytes(), sized, self),
            Some(_) => None,
        };
        match read {
            Some(row) => Ok(row),
            None => Row::read(table, payload.object()?, sized),
        }
    }

    /// Takes back what a row is made of.
    pub fn take_back(&mut self, mut row: Row<'_>) {
        for child in row.children.drain(..) {
            self.take_back(child);
        }
        keep(&mut self.rows, row.children);
        keep(&mut self.cells, row.cells);
    }

    /// Room for so many cells at least.
    pub(super) fn cells<'a>(&mut self, count: usize) -> Vec<Cell<'a>> {
        let mut cells = self.cells.pop().unwrap_or_default();
        cells.reserve(count);
        cells
    }

    /// Room for rows, where there is any.
    pub(super) fn rows<'a>(&mut self) -> Vec<Row<'a>> {
        self.rows.pop().unwrap_or_default()
    }
}

fn keep<Short, Long>(kept: &mut Vec<Vec<Long>>, more: Vec<Short>) {
    if kept.len() < MOST && (1..=MOST).contains(&more.capacity()) {
        kept.push(emptied(more));
    }
}

/// The same memory for elements that live longer: collected in place.
fn emptied<Short, Long>(mut vec: Vec<Short>) -> Vec<Long> {
    vec.clear();
    let none = vec.into_iter().map(|_| unreachable!("it is empty"));
    none.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_is_given_again() {
        let text = String::from("a");
        let mut cells = Vec::with_capacity(7);
        cells.push(Cell::from(text.as_str()));
        let place = cells.as_ptr() as usize;
        let again: Vec<Cell<'static>> = emptied(cells);
        assert_eq!((again.as_ptr() as usize, again.capacity()), (place, 7));
    }
}
