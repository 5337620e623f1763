//! What is in a SQLite database: its tables, columns and indexes.

use super::DIALECT;
use crate::store::dialect;
use crate::store::driver::{Existing, ExistingColumn};
use rusqlite::{Connection, Result};

/// The statements that made the schema, tables first.
pub(super) fn copy(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY type <> 'table', rowid",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The table of this name.
pub(super) fn existing(connection: &Connection, name: &str) -> Result<Option<Existing>> {
    let mut statement = connection.prepare_cached(
        "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?)",
    )?;
    let mut columns = Vec::new();
    let mut key = Vec::new();
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let column: String = row.get(0)?;
        let kind: String = row.get(1)?;
        let part: i64 = row.get(4)?;
        if part > 0 {
            key.push((part, column.clone()));
        }
        let default: Option<String> = row.get(3)?;
        columns.push(ExistingColumn {
            name: column,
            takes: takes(&kind),
            kind: kind.to_lowercase(),
            required: row.get::<_, bool>(2)? && default.is_none(),
            folds: false,
        });
    }
    if columns.is_empty() {
        return Ok(None);
    }
    key.sort();
    let mut indexes = vec![(key.into_iter().map(|(_, name)| name).collect(), true)];
    let mut statement = connection
        .prepare_cached("SELECT name, \"unique\" FROM pragma_index_list(?) WHERE partial = 0")?;
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let index: String = row.get(0)?;
        let mut info = connection
            .prepare_cached("SELECT coalesce(name, '') FROM pragma_index_info(?) ORDER BY seqno")?;
        let names = info.query_map([index], |row| row.get(0))?;
        indexes.push((names.collect::<Result<_>>()?, row.get(1)?));
    }
    let exact = exact(connection, name, &columns)?;
    Ok(Some(Existing {
        columns,
        indexes,
        exact,
    }))
}

/// Words of a `CREATE TABLE` that make a table store, compare or change its rows differently. A column
/// of such a name counts as one too, which only costs time.
const OWN_WAYS: [&str; 6] = [
    "as",
    "collate",
    "conflict",
    "generated",
    "references",
    "virtual",
];

/// Whether a table is as Tributary would have created it.
fn exact(connection: &Connection, name: &str, columns: &[ExistingColumn]) -> Result<bool> {
    let ours = |column: &ExistingColumn| {
        let kinds = ["integer", "real", "text"];
        kinds.contains(&column.kind.as_str())
    };
    let mut statement = connection.prepare_cached(
        "SELECT type, sql FROM sqlite_schema WHERE tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL",
    )?;
    let mut rows = statement.query([name])?;
    let mut exact = columns.iter().all(ours);
    let mut found = false;
    while let Some(row) = rows.next()? {
        let (kind, sql): (String, String) = (row.get(0)?, row.get(1)?);
        match kind.as_str() {
            "table" => {
                found = true;
                exact &= match dialect::words(DIALECT, &sql) {
                    Ok(mut words) => !words.any(|word| OWN_WAYS.contains(&word.as_str())),
                    Err(_) => false,
                };
            }
            "index" => {}
            _ => exact = false,
        }
    }
    Ok(exact && found)
}

/// Which of integer, real and text a column of this type keeps as they are, after its affinity.
fn takes(kind: &str) -> [bool; 3] {
    let kind = kind.to_uppercase();
    let has = |part: &str| kind.contains(part);
    if has("INT") {
        [true, false, false]
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        [false, false, true]
    } else if kind.is_empty() || has("BLOB") || has("DATE") || has("TIME") {
        [true, true, true]
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        [false, true, false]
    } else {
        [true, true, false]
    }
}
