//! What is in a MySQL database: its tables, columns and indexes.

use crate::store::driver::{Existing, ExistingColumn};
use mysql::prelude::Queryable;
use mysql::{Conn, Result};
use std::collections::BTreeMap;

const INTEGERS: [&str; 5] = ["bigint", "int", "mediumint", "smallint", "tinyint"];
const REALS: [&str; 3] = ["double", "float", "decimal"];
const NEITHER: [&str; 2] = ["bit", "geometry"];

/// The table of this name.
pub(super) fn existing(connection: &mut Conn, name: &str) -> Result<Option<Existing>> {
    type Said = (
        String,
        String,
        String,
        String,
        Option<String>,
        Option<String>,
    );
    let columns: Vec<ExistingColumn> = connection.exec_map(
        "SELECT column_name, data_type, is_nullable, extra, column_default, collation_name \
             FROM information_schema.columns \
             WHERE table_schema = database() AND table_name = ? ORDER BY ordinal_position",
        (name,),
        |(name, kind, nullable, extra, default, collation): Said| {
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
    Ok(Some(Existing {
        columns,
        indexes: indexes.into_values().collect(),
    }))
}
