//! The table of a window: whether rows are stored in it, and which of them must be kept.

use crate::error::Result;
use crate::store::{Connection, Database, Datum, Row, RowHold, RowReader, Table, TableUse};
use std::collections::{BTreeSet, VecDeque};
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
    /// What keeps the rows of the window from being deleted by others.
    pub hold: RowHold,
    /// The keys of the rows of such a window, in the order in which they came.
    pub arrivals: VecDeque<Box<[Datum]>>,
    /// Whether that order is that of a window that was replaced.
    inherited: bool,
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
    pub hold: RowHold,
}

/// The storage of a window that is replaced, as long as its successor needs it.
pub(in crate::window) struct FormerStorage {
    pub stored: bool,
    used: Arc<TableUse>,
    hold: RowHold,
    pub arrivals: VecDeque<Box<[Datum]>>,
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
            arrivals: VecDeque::new(),
            inherited: false,
            version: None,
        }
    }

    /// Whether rows need not be stored.
    pub fn may_skip(&self) -> bool {
        self.may_skip
    }

    /// Decides whether rows are stored: unless the table is used by this window alone. Rows that were
    /// not stored once are not from then on, and what a window that is replaced has stored is there.
    ///
    /// # Errors
    /// A table that another window does not share, or whose rows it does not store.
    pub fn open(&mut self, database: &Database, former: Option<&FormerStorage>) -> Result<()> {
        let table = self.table.name();
        database.check_stored(&self.used, former.map(|former| &former.used))?;
        database.open_hold(table, &self.hold, former.map(|former| &former.hold))?;
        if self.may_skip && self.stored && former.is_none_or(|former| !former.stored) {
            let replaced = former.map(|former| &former.used);
            self.stored = !database.keep_to_itself(table, &self.used, replaced);
        }
        Ok(())
    }

    /// Continues with the order of rows of a window that was replaced.
    pub fn inherit(&mut self, former: FormerStorage) {
        self.arrivals = former.arrivals;
        self.inherited = true;
    }

    /// What a successor needs.
    pub fn hand_over(&mut self) -> FormerStorage {
        FormerStorage {
            stored: self.stored,
            used: self.used.clone(),
            hold: self.hold.clone(),
            arrivals: std::mem::take(&mut self.arrivals),
        }
    }

    /// Reads the keys of the rows of a window with a number of rows: in the order in which they came, as far
    /// as that was inherited or a column has it.
    ///
    /// # Errors
    /// A database that cannot be reached.
    pub fn read_arrivals(
        &mut self,
        connection: &mut Connection,
        column: Option<&str>,
    ) -> Result<()> {
        let mut read = Vec::new();
        connection.keys(&self.table, column, &mut |key| read.push(key.into()))?;
        if std::mem::take(&mut self.inherited) {
            let there: BTreeSet<&Box<[Datum]>> = read.iter().collect();
            self.arrivals.retain(|key| there.contains(key));
            let known: BTreeSet<Box<[Datum]>> = self.arrivals.iter().cloned().collect();
            read.retain(|key| !known.contains(key));
        } else {
            self.arrivals.clear();
        }
        self.arrivals.extend(read);
        Ok(())
    }

    /// Notes that a row of a window with a number of rows has come.
    pub fn note_arrival(&mut self, row: &Row<'_>) {
        if self.hold.count.is_some() && self.stored {
            let columns = self.table.key_columns().iter();
            let key = columns.map(|column| Datum::from(&row.cell(column)));
            self.arrivals.push_back(key.collect());
        }
    }
}
