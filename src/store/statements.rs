//! The statements of Tributary itself. Values are bound, never written into them.

mod internal;

use super::dialect::Dialect;
use super::table::{Child, Table};
pub(crate) use internal::{EMITTED, KEYS, LETTERS, OUTBOX, emitted, keys, letters, outbox};

/// The statements of one table.
pub(crate) struct Statements {
    pub insert: String,
    /// Selects the row with a key.
    pub exists: String,
    /// `(?, …)`, for one row.
    values: String,
    /// Selects keys, up to the condition.
    keys: String,
    /// `(a = ? AND …)`, for one key.
    key: String,
    /// Inserts a row, which replaces the row with its key.
    pub upsert: String,
    or_update: String,
}

impl Statements {
    pub fn new(dialect: Dialect, table: &Table) -> Self {
        let names: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
        let values = format!("({})", vec!["?"; names.len()].join(", "));
        let insert = format!(
            "INSERT INTO {} ({}) VALUES {values}",
            dialect.quote(table.name()),
            dialect.quote_all(&names)
        );
        let key: Vec<String> = table
            .key_columns()
            .iter()
            .map(|column| format!("{} = ?", dialect.quote(column)))
            .collect();
        let exists = format!(
            "SELECT 1 AS found FROM {} WHERE {}",
            dialect.quote(table.name()),
            key.join(" AND ")
        );
        let names: Vec<&str> = table.key_columns().iter().map(String::as_str).collect();
        let keys = format!(
            "SELECT {} FROM {} WHERE ",
            dialect.quote_all(&names),
            dialect.quote(table.name())
        );
        let or_update = or_update(dialect, table);
        Statements {
            upsert: format!("{insert}{or_update}"),
            or_update,
            insert,
            exists,
            values,
            keys,
            key: format!("({})", key.join(" AND ")),
        }
    }

    /// Inserts this many rows, each of which replaces the row with its key.
    pub fn upsert_many(&self, rows: usize) -> String {
        format!("{}{}", self.insert_many(rows), self.or_update)
    }

    /// Inserts this many rows.
    pub fn insert_many(&self, rows: usize) -> String {
        let more = format!(", {}", self.values).repeat(rows.saturating_sub(1));
        format!("{}{more}", self.insert)
    }

    /// Selects those of this many keys that exist.
    pub fn exist(&self, keys: usize) -> String {
        // Not `IN`: with tuples, MariaDB scans the whole table.
        let more = format!(" OR {}", self.key).repeat(keys.saturating_sub(1));
        format!("{}{}{more}", self.keys, self.key)
    }
}

fn or_update(dialect: Dialect, table: &Table) -> String {
    let key: Vec<&str> = table.key_columns().iter().map(String::as_str).collect();
    let columns = table.columns().iter().map(|column| column.name.as_str());
    let others: Vec<&str> = columns.filter(|name| !key.contains(name)).collect();
    dialect.upsert_clause(&key, &others)
}

/// Creates a table.
pub(crate) fn create_table(dialect: Dialect, table: &Table, options: &str) -> String {
    let mut lines: Vec<String> = table
        .columns()
        .iter()
        .map(|column| {
            let kind = dialect.column_type(column.kind);
            let null = if table.key_columns().contains(&column.name) {
                " NOT NULL"
            } else {
                ""
            };
            format!("{} {kind}{null}", dialect.quote(&column.name))
        })
        .collect();
    if !table.key_columns().is_empty() {
        let key: Vec<&str> = table.key_columns().iter().map(String::as_str).collect();
        lines.push(format!("PRIMARY KEY ({})", dialect.quote_all(&key)));
    }
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({}){options}",
        dialect.quote(table.name()),
        lines.join(", ")
    )
}

/// Creates an index.
pub(crate) fn create_index(dialect: Dialect, table: &str, columns: &[&str]) -> String {
    let mut name = format!("{table}_{}", columns.join("_"));
    // Names are ASCII, and MySQL takes 64 characters.
    name.truncate(64);
    let unless = dialect.if_no_index();
    format!(
        "CREATE INDEX {unless}{} ON {} ({})",
        dialect.quote(&name),
        dialect.quote(table),
        dialect.quote_all(columns)
    )
}

/// Deletes the rows of `table` in which `column` is below a bound, and their child rows.
pub(crate) fn evict(dialect: Dialect, table: &Table, column: &str) -> Vec<String> {
    dialect.delete_where(table, &|of| format!("{of}{} < ?", dialect.quote(column)))
}

/// Deletes the row of `table` with a key, and its child rows.
pub(crate) fn delete(dialect: Dialect, table: &Table) -> Vec<String> {
    dialect.delete_where(table, &|of| {
        let columns = table.key_columns().iter().enumerate();
        let held: Vec<String> = columns
            .map(|(index, column)| {
                let parameter = dialect.parameter(index + 1);
                format!("{of}{} = {parameter}", dialect.quote(column))
            })
            .collect();
        held.join(" AND ")
    })
}

/// The columns of a child that repeat the key of its parent, and that key's.
pub(crate) fn key_links<'a>(
    table: &'a Table,
    child: &'a Child,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let links = child.parent.iter();
    links
        .filter(|(_, ours)| table.key_columns().contains(ours))
        .map(|(theirs, ours)| (theirs.as_str(), ours.as_str()))
}

/// Deletes the rows of a child table that belong to this many keys, and their child rows.
pub(crate) fn delete_below(
    dialect: Dialect,
    table: &Table,
    child: &Child,
    keys: usize,
) -> Vec<String> {
    dialect.delete_where(&child.table, &|of| {
        let mut number = 0;
        let one = |_| {
            let held: Vec<String> = key_links(table, child)
                .map(|(theirs, _)| {
                    number += 1;
                    let parameter = dialect.parameter(number);
                    format!("{of}{} = {parameter}", dialect.quote(theirs))
                })
                .collect();
            format!("({})", held.join(" AND "))
        };
        let all: Vec<String> = (0..keys).map(one).collect();
        format!("({})", all.join(" OR "))
    })
}

/// Selects the least value of a column.
pub(crate) fn oldest(dialect: Dialect, table: &Table, column: &str) -> String {
    format!(
        "SELECT min({}) AS oldest FROM {}",
        dialect.quote(column),
        dialect.quote(table.name())
    )
}

/// Selects all keys, ordered by a column and then by key.
pub(crate) fn keys_by(dialect: Dialect, table: &Table, by: Option<&str>) -> String {
    let key: Vec<&str> = table.key_columns().iter().map(String::as_str).collect();
    let order: Vec<&str> = by.into_iter().chain(key.iter().copied()).collect();
    format!(
        "SELECT {} FROM {} ORDER BY {}",
        dialect.quote_all(&key),
        dialect.quote(table.name()),
        dialect.quote_all(&order)
    )
}

/// Selects the greatest value of a column.
pub(crate) fn latest(dialect: Dialect, table: &Table, column: &str) -> String {
    format!(
        "SELECT max({}) AS latest FROM {}",
        dialect.quote(column),
        dialect.quote(table.name())
    )
}

/// Selects the distinct values of a column.
pub(crate) fn times(dialect: Dialect, table: &Table, column: &str) -> String {
    format!(
        "SELECT DISTINCT {} AS time FROM {}",
        dialect.quote(column),
        dialect.quote(table.name())
    )
}

/// Selects the least value of a column from a bound on.
pub(crate) fn oldest_from(dialect: Dialect, table: &Table, column: &str) -> String {
    format!(
        "{} WHERE {} >= ?",
        oldest(dialect, table, column),
        dialect.quote(column)
    )
}
