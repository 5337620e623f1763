//! The text of the statements that we write ourselves. Values are never in it.

use super::dialect::Dialect;
use super::table::{Child, Table, Type};

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
            list(dialect, &names)
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
            list(dialect, &names),
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
    let set = |value: fn(String) -> String, names: &[&str]| {
        let quoted = names.iter().map(|name| dialect.quote(name));
        let set: Vec<String> = quoted
            .map(|name| format!("{name} = {}", value(name.clone())))
            .collect();
        set.join(", ")
    };
    match dialect {
        Dialect::Sqlite => {
            let key = list(dialect, &key);
            match others.is_empty() {
                true => format!(" ON CONFLICT ({key}) DO NOTHING"),
                false => {
                    let set = set(|name| format!("excluded.{name}"), &others);
                    format!(" ON CONFLICT ({key}) DO UPDATE SET {set}")
                }
            }
        }
        Dialect::Mysql => {
            let names = if others.is_empty() { &key } else { &others };
            let set = set(|name| format!("VALUES({name})"), names);
            format!(" ON DUPLICATE KEY UPDATE {set}")
        }
    }
}

/// Makes a table; texts are as long as MySQL is told, SQLite has no lengths.
pub(crate) fn create_table(dialect: Dialect, table: &Table, options: &str) -> String {
    let mut lines: Vec<String> = table
        .columns()
        .iter()
        .map(|column| {
            let kind = match (dialect, column.kind) {
                (Dialect::Sqlite, Type::Integer) => "INTEGER".to_owned(),
                (Dialect::Sqlite, Type::Real) => "REAL".to_owned(),
                (Dialect::Sqlite, Type::Text(_)) => "TEXT".to_owned(),
                (Dialect::Mysql, Type::Integer) => "BIGINT".to_owned(),
                (Dialect::Mysql, Type::Real) => "DOUBLE".to_owned(),
                (Dialect::Mysql, Type::Text(len)) => text_type(len),
            };
            let null = match table.key_columns().contains(&column.name) {
                true => " NOT NULL",
                false => "",
            };
            format!("{} {kind}{null}", dialect.quote(&column.name))
        })
        .collect();
    if !table.key_columns().is_empty() {
        let key: Vec<&str> = table.key_columns().iter().map(String::as_str).collect();
        lines.push(format!("PRIMARY KEY ({})", list(dialect, &key)));
    }
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({}){options}",
        dialect.quote(table.name()),
        lines.join(", ")
    )
}

/// The type of a text in MySQL: long ones are kept outside the row, which has limits of its own.
fn text_type(len: u16) -> String {
    match len {
        0..=1_000 => format!("VARCHAR({len})"),
        // At four bytes for a character, 65,535 bytes.
        1_001..=16_383 => "TEXT".to_owned(),
        _ => "MEDIUMTEXT".to_owned(),
    }
}

/// Makes an index.
pub(crate) fn create_index(dialect: Dialect, table: &str, columns: &[&str]) -> String {
    let mut name = format!("{table}_{}", columns.join("_"));
    // Names are ASCII, and MySQL takes 64 characters.
    name.truncate(64);
    let unless = match dialect {
        Dialect::Sqlite => "IF NOT EXISTS ",
        Dialect::Mysql => "",
    };
    format!(
        "CREATE INDEX {unless}{} ON {} ({})",
        dialect.quote(&name),
        dialect.quote(table),
        list(dialect, columns)
    )
}

/// Deletes the rows of `table` in which `column` is below a bound, and the rows below them.
pub(crate) fn evict(dialect: Dialect, table: &Table, column: &str) -> Vec<String> {
    delete_where(dialect, table, |of| {
        format!("{of}{} < ?", dialect.quote(column))
    })
}

/// Deletes the row of `table` with a key, and the rows below it.
pub(crate) fn delete(dialect: Dialect, table: &Table) -> Vec<String> {
    delete_where(dialect, table, |of| {
        let columns = table.key_columns().iter().enumerate();
        let held: Vec<String> = columns
            .map(|(at, column)| match dialect {
                Dialect::Sqlite => format!("{of}{} = ?{}", dialect.quote(column), at + 1),
                Dialect::Mysql => format!("{of}{} = ?", dialect.quote(column)),
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
    delete_where(dialect, &child.table, |of| {
        let mut number = 0;
        let one = |_| {
            let held: Vec<String> = key_links(table, child)
                .map(|(theirs, _)| {
                    number += 1;
                    let theirs = dialect.quote(theirs);
                    match dialect {
                        Dialect::Sqlite => format!("{of}{theirs} = ?{number}"),
                        Dialect::Mysql => format!("{of}{theirs} = ?"),
                    }
                })
                .collect();
            format!("({})", held.join(" AND "))
        };
        let all: Vec<String> = (0..keys).map(one).collect();
        format!("({})", all.join(" OR "))
    })
}

fn delete_where(
    dialect: Dialect,
    table: &Table,
    condition: impl Fn(&str) -> String,
) -> Vec<String> {
    match dialect {
        Dialect::Sqlite => {
            let mut statements = Vec::new();
            evict_nested(table, &condition(""), &mut statements);
            statements
        }
        Dialect::Mysql => {
            let mut targets = vec!["t0".to_owned()];
            let mut from = format!("{} AS t0", dialect.quote(table.name()));
            join_children(table, 0, &mut targets, &mut from);
            let targets = targets.join(", ");
            let condition = condition("t0.");
            vec![format!("DELETE {targets} FROM {from} WHERE {condition}")]
        }
    }
}

/// SQLite: `DELETE FROM child WHERE (links) IN (SELECT keys FROM parent WHERE …)`, children first.
fn evict_nested(table: &Table, condition: &str, statements: &mut Vec<String>) {
    let dialect = Dialect::Sqlite;
    for child in table.children() {
        let (theirs, ours) = links(child);
        let below = format!(
            "({}) IN (SELECT {} FROM {} WHERE {condition})",
            list(dialect, &theirs),
            list(dialect, &ours),
            dialect.quote(table.name())
        );
        evict_nested(&child.table, &below, statements);
    }
    statements.push(format!(
        "DELETE FROM {} WHERE {condition}",
        dialect.quote(table.name())
    ));
}

/// MySQL: `DELETE parent, child FROM parent LEFT JOIN child ON … WHERE …`. In one statement, since
/// between two of them somebody else may commit a row that the second one sees and the first did
/// not.
fn join_children(table: &Table, above: usize, targets: &mut Vec<String>, from: &mut String) {
    let dialect = Dialect::Mysql;
    for child in table.children() {
        let number = targets.len();
        targets.push(format!("t{number}"));
        let on: Vec<String> = child
            .parent
            .iter()
            .map(|(theirs, ours)| {
                let (theirs, ours) = (dialect.quote(theirs), dialect.quote(ours));
                format!("t{number}.{theirs} = t{above}.{ours}")
            })
            .collect();
        from.push_str(&format!(
            " LEFT JOIN {} AS t{number} ON {}",
            dialect.quote(child.table.name()),
            on.join(" AND ")
        ));
        join_children(&child.table, number, targets, from);
    }
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
        list(dialect, &key),
        dialect.quote(table.name()),
        list(dialect, &order)
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
    use super::{Dialect, KEYS};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let columns = match dialect {
            Dialect::Sqlite => "scope TEXT NOT NULL, hash TEXT NOT NULL, until INTEGER NOT NULL",
            Dialect::Mysql => {
                "scope VARCHAR(255) NOT NULL, hash VARCHAR(128) NOT NULL, until BIGINT NOT NULL"
            }
        };
        format!("CREATE TABLE IF NOT EXISTS {KEYS} ({columns}, PRIMARY KEY (scope, hash)){options}")
    }

    pub const REMEMBER: &str = "REPLACE INTO tributary_keys (scope, hash, until) VALUES (?, ?, ?)";
    pub const RECALL: &str =
        "SELECT hash, until FROM tributary_keys WHERE scope = ? AND until > ? ORDER BY until, hash";
    pub const FORGET: &str = "DELETE FROM tributary_keys WHERE scope = ? AND until <= ?";
}

/// The statements of the rows that were emitted.
pub(crate) mod emitted {
    use super::{Dialect, EMITTED};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let [name, key, text] = match dialect {
            Dialect::Sqlite => ["TEXT"; 3],
            Dialect::Mysql => ["VARCHAR(255)", "CHAR(32)", "MEDIUMTEXT"],
        };
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
    use super::{Dialect, OUTBOX};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let [name, number, text, after] = match dialect {
            Dialect::Sqlite => ["TEXT", "INTEGER", "TEXT", " WITHOUT ROWID"],
            Dialect::Mysql => ["VARCHAR(255)", "BIGINT", "LONGTEXT", ""],
        };
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
    use super::{Dialect, LETTERS};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let [id, name, text, long, bytes] = match dialect {
            Dialect::Sqlite => [
                "INTEGER PRIMARY KEY AUTOINCREMENT",
                "TEXT",
                "TEXT",
                "TEXT",
                "BLOB",
            ],
            Dialect::Mysql => [
                "BIGINT AUTO_INCREMENT PRIMARY KEY",
                "VARCHAR(255)",
                "TEXT",
                "MEDIUMTEXT",
                "LONGBLOB",
            ],
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {LETTERS} (id {id}, queue {name} NOT NULL, \
             node {name} NOT NULL, reason {text} NOT NULL, place {text}, at BIGINT NOT NULL, \
             attempts BIGINT NOT NULL, time BIGINT NOT NULL, meta {long} NOT NULL, \
             payload {bytes} NOT NULL){options}"
        )
    }

    /// The name of a lock is one for the whole server, and has at most 64 characters.
    pub const LOCK: &str = "SELECT GET_LOCK(CONCAT('tributary_requeue_', MD5(DATABASE())), 0) AS held, \
         IS_USED_LOCK(CONCAT('tributary_requeue_', MD5(DATABASE()))) AS holder";
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

/// The columns of a child that link it to its parent, and the parent's.
fn links(child: &Child) -> (Vec<&str>, Vec<&str>) {
    child
        .parent
        .iter()
        .map(|(theirs, ours)| (theirs.as_str(), ours.as_str()))
        .unzip()
}

fn list(dialect: Dialect, names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| dialect.quote(name)).collect();
    quoted.join(", ")
}
