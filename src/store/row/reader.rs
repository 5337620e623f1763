//! Rows of one table out of payloads: what is to be known of the table is looked up once.

use super::layout::Layout;
use super::{Row, bytes};
use crate::error::Result;
use crate::payload::Payload;
use crate::store::table::Table;
use std::sync::Arc;

/// Reads payloads as rows of a table.
pub(crate) struct RowReader {
    table: Arc<Table>,
    layout: Layout,
}

impl RowReader {
    pub fn new(table: Arc<Table>) -> Self {
        RowReader {
            layout: Layout::of(&table, &[]),
            table,
        }
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Reads a payload as a row. Where `sized`, the lengths of texts are checked.
    ///
    /// Fields that are no column are ignored, missing ones are NULL.
    ///
    /// # Errors
    /// A value of another type than its column, a key that is missing, no JSON object.
    pub fn read<'a>(&'a self, payload: &'a Payload, sized: bool) -> Result<Row<'a>> {
        let read = match payload.tree() {
            None => self.walk(payload.bytes(), sized),
            Some(_) => None,
        };
        match read {
            Some(row) => Ok(row),
            None => Row::read(&self.table, payload.object()?, sized),
        }
    }

    /// Reads the bytes of a valid row; `None` if they must be read from the tree.
    pub(super) fn walk<'a>(&'a self, bytes: &'a [u8], sized: bool) -> Option<Row<'a>> {
        bytes::read(&self.table, &self.layout, bytes, sized)
    }
}
