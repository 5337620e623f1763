//! The table of a window: whether rows are stored in it, and which of them must be kept.

use crate::store::{
    CountRetention, Database, Datum, Row, RowReader, Table, TableUse, TimeRetention,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// The stored rows of a window.
pub(in crate::window) struct Storage {
    pub table: Arc<Table>,
    pub reader: Arc<RowReader>,
    /// Whether the tables are as this crate makes them, so that their values compare as ours do.
    pub exact: bool,
    /// Whether rows are stored: decided when the node opens.
    pub stored: bool,
    /// Whether they need not be, where no other node uses the table.
    may_skip: bool,
    used: Arc<TableUse>,
    /// What keeps the rows of the window from being deleted by others, where rows leave by time.
    pub hold: Option<Arc<TimeRetention>>,
    /// The same, where the window has a number of rows.
    pub last: Option<Arc<CountRetention>>,
    /// The keys of the rows of such a window, in the order in which they came.
    pub arrivals: VecDeque<Box<[Datum]>>,
    /// The version of the data when the last transaction began, where the database has it: it changes
    /// when other processes commit.
    pub version: Option<u64>,
}

/// What the storage of a window is made of.
pub(in crate::window) struct StorageParts {
    pub table: Arc<Table>,
    pub exact: bool,
    pub may_skip: bool,
    pub used: Arc<TableUse>,
    pub hold: Option<Arc<TimeRetention>>,
    pub last: Option<Arc<CountRetention>>,
}

impl Storage {
    pub fn new(parts: StorageParts) -> Self {
        Storage {
            reader: Arc::new(RowReader::new(Arc::clone(&parts.table))),
            table: parts.table,
            exact: parts.exact,
            stored: true,
            may_skip: parts.may_skip,
            used: parts.used,
            hold: parts.hold,
            last: parts.last,
            arrivals: VecDeque::new(),
            version: None,
        }
    }

    /// Decides whether rows are stored: unless the table is used by this window alone. Rows that were
    /// not stored once are not from then on.
    pub fn decide(&mut self, database: &Database) {
        if self.may_skip && self.stored {
            self.stored = !database.keep_to_itself(self.table.name(), &self.used);
        }
    }

    /// Notes that a row of a window with a number of rows has come.
    pub fn note_arrival(&mut self, row: &Row<'_>) {
        if self.last.is_some() && self.stored {
            let columns = self.table.key_columns().iter();
            let key = columns.map(|column| Datum::from(&row.cell(column)));
            self.arrivals.push_back(key.collect());
        }
    }
}
