//! The key of an event that may come again, by which its entries in the outbox are found.

use crate::event::Event;
use crate::store::{Datum, Row};
use std::cell::OnceCell;
use xxhash_rust::xxh3::xxh3_128;

/// The key of an event. Its hash is computed when it is first needed: most events emit nothing.
pub(super) struct EventKey<'a> {
    row: &'a Row<'a>,
    columns: &'a [String],
    hash: OnceCell<u128>,
}

impl<'a> EventKey<'a> {
    /// `None` for an event that does not come again, or is another row then.
    pub fn of(event: &Event, row: &'a Row<'a>, columns: &'a [String]) -> Option<Self> {
        (event.is_tracked() && !columns.is_empty()).then_some(EventKey {
            row,
            columns,
            hash: OnceCell::new(),
        })
    }

    /// The hash; `bytes` is memory that serves every event.
    pub fn hash(&self, bytes: &mut Vec<u8>) -> u128 {
        *self.hash.get_or_init(|| {
            bytes.clear();
            for column in self.columns {
                Datum::encode(&self.row.cell(column), bytes);
            }
            xxh3_128(bytes)
        })
    }
}
