//! The text of the statements that we write ourselves. Values are never in it.

use super::dialect::{Dialect, InternalColumn};
use super::table::{Child, Table};

/// The table of remembered keys.
pub(crate) const KEYS: &str = "tributary_keys";

/// The table of rows that were emitted.
pub(crate) const EMITTED: &str = "tributary_emitted";

/// The table of what windows have emitted and is not delivered.
pub(crate) const OUTBOX: &str = "tributary_outbox";

/// The table of dead letters.
pub(crate) const LETTERS: &str = "tributary_letters";

/// The statements of one table.
pub(crate) struct Statements {
    pub insert: String,
    /// Asks for the row with a key.
    pub exists: String,
    /// `(?, …)`, for one row.
    values: String,
    /// Asks for keys, up to where they stand.
    keys: String,
    /// `(a = ? AND …)`, for one key.
    key: String,
    /// Inserts a row, which takes the place of one with its key.
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

    /// Inserts so many rows, of which each takes the place of one with its key.
    pub fn upsert_many(&self, rows: usize) -> String {
        format!("{}{}", self.insert_many(rows), self.or_update)
    }

    /// Inserts so many rows.
    pub fn insert_many(&self, rows: usize) -> String {
        let more = format!(", {}", self.values).repeat(rows.saturating_sub(1));
        format!("{}{more}", self.insert)
    }

    /// Asks which of so many keys are there.
    pub fn exist(&self, keys: usize) -> String {
        // Not `IN`: of tuples, MariaDB looks through the whole table.
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

/// Makes an index.
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

/// Deletes the rows of `table` in which `column` is below a bound, and the rows below them.
pub(crate) fn evict(dialect: Dialect, table: &Table, column: &str) -> Vec<String> {
    dialect.delete_where(table, &|of| format!("{of}{} < ?", dialect.quote(column)))
}

/// Deletes the row of `table` with a key, and the rows below it.
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

/// Deletes the rows of a child table that belong to so many keys, and the rows below them.
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

/// Asks for the least value of a column.
pub(crate) fn oldest(dialect: Dialect, table: &Table, column: &str) -> String {
    format!(
        "SELECT min({}) AS oldest FROM {}",
        dialect.quote(column),
        dialect.quote(table.name())
    )
}

/// Asks for all keys, by a column and then by themselves.
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

/// Asks for the greatest value of a column.
pub(crate) fn latest(dialect: Dialect, table: &Table, column: &str) -> String {
    format!(
        "SELECT max({}) AS latest FROM {}",
        dialect.quote(column),
        dialect.quote(table.name())
    )
}

/// Asks for the values of a column, each once.
pub(crate) fn times(dialect: Dialect, table: &Table, column: &str) -> String {
    format!(
        "SELECT DISTINCT {} AS time FROM {}",
        dialect.quote(column),
        dialect.quote(table.name())
    )
}

/// Asks for the least value of a column from a bound on.
pub(crate) fn oldest_from(dialect: Dialect, table: &Table, column: &str) -> String {
    format!(
        "{} WHERE {} >= ?",
        oldest(dialect, table, column),
        dialect.quote(column)
    )
}

/// The statements of the remembered keys.
pub(crate) mod keys {
    use super::{Dialect, InternalColumn, KEYS};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let kinds = [
            InternalColumn::Name,
            InternalColumn::Key,
            InternalColumn::Number,
        ];
        let [name, key, number] = kinds.map(|kind| dialect.internal_type(kind));
        format!(
            "CREATE TABLE IF NOT EXISTS {KEYS} (scope {name} NOT NULL, hash {key} NOT NULL, \
             until {number} NOT NULL, PRIMARY KEY (scope, hash)){options}"
        )
    }

    pub const REMEMBER: &str = "REPLACE INTO tributary_keys (scope, hash, until) VALUES (?, ?, ?)";
    pub const RECALL: &str =
        "SELECT hash, until FROM tributary_keys WHERE scope = ? AND until > ? ORDER BY until, hash";
    pub const FORGET: &str = "DELETE FROM tributary_keys WHERE scope = ? AND until <= ?";
}

/// The statements of the rows that were emitted.
pub(crate) mod emitted {
    use super::{Dialect, EMITTED, InternalColumn};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let kinds = [
            InternalColumn::Name,
            InternalColumn::Hash,
            InternalColumn::MediumText,
        ];
        let [name, key, text] = kinds.map(|kind| dialect.internal_type(kind));
        format!(
            "CREATE TABLE IF NOT EXISTS {EMITTED} (scope {name} NOT NULL, hash {key} NOT NULL, \
             identity {text} NOT NULL, `row` {text} NOT NULL, PRIMARY KEY (scope, hash)){options}"
        )
    }

    // "row" is a word of MySQL; SQLite knows its quotes.
    pub const SET: &str =
        "REPLACE INTO tributary_emitted (scope, hash, identity, `row`) VALUES (?, ?, ?, ?)";
    pub const UNSET: &str = "DELETE FROM tributary_emitted WHERE scope = ? AND hash = ?";
    pub const ALL: &str = "SELECT identity, `row` FROM tributary_emitted WHERE scope = ?";
}

/// The statements of what was emitted and is not delivered.
pub(crate) mod outbox {
    use super::{Dialect, InternalColumn, OUTBOX};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let kinds = [
            InternalColumn::Name,
            InternalColumn::Number,
            InternalColumn::LongText,
        ];
        let [name, number, text] = kinds.map(|kind| dialect.internal_type(kind));
        let after = dialect.stored_by_key();
        format!(
            "CREATE TABLE IF NOT EXISTS {OUTBOX} (scope {name} NOT NULL, run {number} NOT NULL, \
             number {number} NOT NULL, entries {text} NOT NULL, \
             PRIMARY KEY (scope, run, number)){after}{options}"
        )
    }

    pub const ADD: &str =
        "INSERT INTO tributary_outbox (scope, run, number, entries) VALUES (?, ?, ?, ?)";
    pub const REMOVE: &str =
        "DELETE FROM tributary_outbox WHERE scope = ? AND run = ? AND number BETWEEN ? AND ?";
    pub const ALL: &str = "SELECT run, number, entries FROM tributary_outbox WHERE scope = ? \
         ORDER BY number, run";
}

/// The statements of the dead letters. Payloads travel as hexadecimal digits and are kept as the
/// bytes that they are, so that any tool reads them.
pub(crate) mod letters {
    use super::{Dialect, InternalColumn, LETTERS};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let kinds = [
            InternalColumn::Id,
            InternalColumn::Name,
            InternalColumn::Text,
            InternalColumn::MediumText,
            InternalColumn::Bytes,
        ];
        let [id, name, text, long, bytes] = kinds.map(|kind| dialect.internal_type(kind));
        format!(
            "CREATE TABLE IF NOT EXISTS {LETTERS} (id {id}, queue {name} NOT NULL, \
             node {name} NOT NULL, reason {text} NOT NULL, place {text}, at BIGINT NOT NULL, \
             attempts BIGINT NOT NULL, time BIGINT NOT NULL, meta {long} NOT NULL, \
             payload {bytes} NOT NULL){options}"
        )
    }

    pub const ADD: &str = "INSERT INTO tributary_letters \
         (queue, node, reason, place, at, attempts, time, meta, payload) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, UNHEX(?))";
    pub const REMOVE: &str = "DELETE FROM tributary_letters WHERE id = ?";
    pub const NODES: &str =
        "SELECT node, COUNT(*) AS number, MAX(id) AS last FROM tributary_letters";
    const READ: &str = "SELECT id, node, reason, place, at, attempts, time, meta, \
         LENGTH(payload) AS size";

    /// Letters with their payloads, or with so many bytes of them.
    pub fn read(head: Option<u32>) -> String {
        let payload = match head {
            None => "payload".to_owned(),
            Some(bytes) => format!("SUBSTR(payload, 1, {bytes})"),
        };
        format!("{READ}, HEX({payload}) AS payload FROM tributary_letters")
    }

    pub const PURGE: &str = "DELETE FROM tributary_letters";
}
