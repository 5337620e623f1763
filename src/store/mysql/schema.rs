//! What is in a MySQL database: its tables, columns and indexes.

use super::dialect::ServerSchema;
use crate::store::driver::{Existing, ExistingColumn};
use mysql::prelude::Queryable;
use mysql::{Conn, Result, params};
use std::collections::BTreeMap;

const INTEGERS: [&str; 5] = ["bigint", "int", "mediumint", "smallint", "tinyint"];
const REALS: [&str; 3] = ["double", "float", "decimal"];
const TEXTS: [&str; 4] = ["varchar", "text", "mediumtext", "longtext"];
const NEITHER: [&str; 2] = ["bit", "geometry"];

/// The table of this name.
pub(super) fn existing(connection: &mut Conn, name: &str) -> Result<Option<Existing>> {
    type ColumnRow = (
        String,
        String,
        String,
        String,
        Option<String>,
        Option<String>,
        String,
    );
    let mut exact = true;
    let columns: Vec<ExistingColumn> = connection.exec_map(
        "SELECT column_name, data_type, is_nullable, extra, column_default, collation_name, \
             column_type \
             FROM information_schema.columns \
             WHERE table_schema = database() AND table_name = ? ORDER BY ordinal_position",
        (name,),
        |(name, kind, nullable, extra, default, collation, full): ColumnRow| {
            exact &= !extra.to_lowercase().contains(" generated")
                && match &collation {
                    // The others ignore trailing blanks, or more.
                    Some(collation) => {
                        TEXTS.contains(&kind.as_str())
                            && (collation.ends_with("_nopad_bin")
                                || collation.ends_with("_0900_bin"))
                    }
                    None => kind == "double" || kind == "bigint" && !full.contains("unsigned"),
                };
            let is = |of: &[&str]| of.contains(&kind.as_str());
            ExistingColumn {
                name,
                takes: [
                    is(&INTEGERS),
                    is(&REALS),
                    !is(&INTEGERS) && !is(&REALS) && !is(&NEITHER),
                ],
                required: nullable == "NO"
                    && default.is_none()
                    && !extra.contains("auto_increment")
                    && !extra.to_lowercase().contains("generated"),
                folds: collation.is_some_and(|collation| !collation.ends_with("_bin")),
                kind,
            }
        },
    )?;
    if columns.is_empty() {
        return Ok(None);
    }
    let mut indexes: BTreeMap<String, (Vec<String>, bool)> = BTreeMap::new();
    let parts: Vec<(String, String, bool)> = connection.exec(
        "SELECT index_name, column_name, non_unique = 0 FROM information_schema.statistics \
         WHERE table_schema = database() AND table_name = ? AND column_name IS NOT NULL \
         ORDER BY index_name, seq_in_index",
        (name,),
    )?;
    for (index, column, unique) in parts {
        let entry = indexes.entry(index).or_default();
        entry.0.push(column);
        entry.1 = unique;
    }
    let odd: Option<i64> = connection.exec_first(
        "SELECT (SELECT count(*) FROM information_schema.triggers \
             WHERE event_object_schema = database() AND event_object_table = :name) \
         + (SELECT count(*) FROM information_schema.key_column_usage \
             WHERE table_schema = database() AND table_name = :name \
             AND referenced_table_name IS NOT NULL) \
         + (SELECT count(*) FROM information_schema.tables \
             WHERE table_schema = database() AND table_name = :name \
             AND NOT (table_type = 'BASE TABLE' AND engine = 'InnoDB'))",
        params! { name },
    )?;
    Ok(Some(Existing {
        exact: exact && odd == Some(0),
        columns,
        indexes: indexes.into_values().collect(),
    }))
}

/// What there is beside the tables that are known.
pub(super) fn there(connection: &mut Conn) -> Result<ServerSchema> {
    let about: Option<(Option<String>, i64)> =
        connection.query_first("SELECT database(), @@lower_case_table_names")?;
    let (database, folds) = about.unwrap_or_default();
    Ok(ServerSchema {
        database: database.unwrap_or_default(),
        folds: folds != 0,
        relations: connection.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
        )?,
        databases: connection.query("SELECT schema_name FROM information_schema.schemata")?,
    })
}
