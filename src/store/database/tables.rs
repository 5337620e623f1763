//! What windows and sinks declare of tables beyond their columns: who uses a table, which indexes it
//! needs, and how long its rows are kept.

use super::Database;
use crate::error::Result;
use crate::store::TableUse;
use crate::store::retention::{CountRetention, RowHold, TimeRetention};
use crate::time::Timestamp;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

impl Database {
    /// Registers a use of a table, for as long as the result exists.
    ///
    /// # Errors
    /// A table of which no rows are stored.
    pub(crate) fn name_table(&self, table: &str) -> Result<Arc<TableUse>> {
        self.catalog.name(vec![table.to_owned()])
    }

    /// Registers a use of a table and of those that a query names, for a window, which is
    /// [checked](Self::check_stored) when it opens.
    pub(crate) fn name_tables(&self, table: &str, sql: &str) -> Arc<TableUse> {
        let mut tables = self.catalog.named_in(sql);
        tables.retain(|named| named != table);
        tables.push(table.to_owned());
        self.catalog.name_before_open(tables)
    }

    /// Checks that the rows of these tables are stored, unless by the window that is replaced.
    ///
    /// # Errors
    /// A table of which no rows are stored.
    pub(crate) fn check_stored(
        &self,
        own: &Arc<TableUse>,
        replaced: Option<&Arc<TableUse>>,
    ) -> Result<()> {
        self.catalog.check_stored(own, replaced)
    }

    /// Has the rows of a table not stored, if nothing else uses it but the window that is replaced;
    /// returns whether that is so.
    pub(crate) fn keep_to_itself(
        &self,
        table: &str,
        own: &Arc<TableUse>,
        replaced: Option<&Arc<TableUse>>,
    ) -> bool {
        self.catalog.keep_to_itself(table, own, replaced)
    }

    /// Checks that the rows that a window needs can be kept beside those of the windows that are open, but
    /// for the one that it replaces.
    ///
    /// # Errors
    /// A table whose last rows one of them queries.
    pub(crate) fn open_hold(
        &self,
        table: &str,
        own: &RowHold,
        replaced: Option<&RowHold>,
    ) -> Result<()> {
        self.catalog
            .retention(|retention| retention.open(table, own, replaced))
    }

    /// Takes a name, which no other window has, under which a window stores what it emits.
    pub(crate) fn claim_scope(&self, name: &str) -> Arc<str> {
        self.catalog.claim_scope(name)
    }

    /// Has an index created when a node connects.
    pub(crate) fn want_index(&self, table: &str, columns: &[String]) {
        self.catalog.want_index(table, columns);
    }

    /// Has the rows of a table kept for a window, by their time in this column. Until the window is
    /// open, rows of the age `size` are kept.
    ///
    /// # Errors
    /// Rows that are deleted by another column already; a table whose last rows another window queries.
    pub(crate) fn retain_by_time(
        &self,
        table: &str,
        column: &str,
        size: Option<Duration>,
    ) -> Result<Arc<TimeRetention>> {
        self.catalog
            .retention(|retention| retention.by_time(table, column, size))
    }

    /// Has the last `rows` rows of a table kept for a window, which may query the table.
    ///
    /// # Errors
    /// Another window on the table, where one of them queries it.
    pub(crate) fn retain_by_count(
        &self,
        table: &str,
        rows: usize,
        queries: bool,
    ) -> Result<Arc<CountRetention>> {
        self.catalog
            .retention(|retention| retention.by_count(table, rows, queries))
    }

    /// Whether the window of these rows deletes the rows that leave it.
    pub(crate) fn deletes(&self, count: &CountRetention) -> bool {
        self.catalog.retention(|retention| retention.deletes(count))
    }

    /// The time before which no window needs rows of this table; `now` is the network's clock.
    pub(crate) fn floor(&self, table: &str, now: Timestamp) -> Option<Timestamp> {
        self.catalog
            .retention(|retention| retention.floor(table, now))
    }

    /// The declared tables that a query may name, child tables by their own names.
    pub(crate) fn tables_in(&self, sql: &str) -> Vec<String> {
        let words = sql.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
        let words: HashSet<String> = words.map(str::to_lowercase).collect();
        let mut named = Vec::new();
        for table in self.tables() {
            table.walk(&mut |table| {
                if words.contains(&table.name().to_lowercase()) {
                    named.push(table.name().to_owned());
                }
            });
        }
        named
    }
}
