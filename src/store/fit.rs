//! Whether a table that is there fits its declaration.

use super::dialect::Dialect;
use super::driver::{Existing, ExistingColumn};
use super::table::{Table, Type};
use crate::error::{Error, Result, did_you_mean, quote};

/// Checks a declared table against the one that is there.
///
/// # Errors
/// Columns that are missing, hold something else, or must be given and are not declared; a key
/// that the database doesn't keep unique.
pub(crate) fn check(table: &Table, existing: &Existing) -> Result<()> {
    let bad = |why: String| {
        Error::data(format!(
            "table {} is there already and does not fit: {why}",
            quote(table.name())
        ))
    };
    for column in table.columns() {
        let Some(there) = find(existing, &column.name) else {
            let names = existing.columns.iter().map(|c| c.name.as_str());
            let hint = did_you_mean(&column.name, names.clone()).unwrap_or_else(|| {
                format!("its columns are {}", names.collect::<Vec<_>>().join(", "))
            });
            return Err(bad(format!("it has no column {}", quote(&column.name))).with_hint(hint));
        };
        let class = match column.kind {
            Type::Integer => 0,
            Type::Real => 1,
            Type::Text(_) => 2,
        };
        if !there.takes[class] {
            return Err(bad(format!(
                "column {} is {} there, {} in the declaration",
                quote(&column.name),
                there.kind,
                column.kind
            )));
        }
        if there.folds && table.key_columns().contains(&column.name) {
            log::warn!(
                "key column {}.{} has a collation under which different texts are equal",
                table.name(),
                column.name
            );
        }
    }
    let declared = |name: &str| {
        let same = |c: &super::Column| c.name.eq_ignore_ascii_case(name);
        table.columns().iter().any(same)
    };
    if let Some(missed) = existing
        .columns
        .iter()
        .find(|there| there.required && !declared(&there.name))
    {
        return Err(bad(format!(
            "its column {} must be given a value, and is not declared",
            quote(&missed.name)
        )));
    }
    if !table.key_columns().is_empty() && !has_key(table, existing) {
        return Err(bad(format!(
            "it has no unique index on its key ({})",
            table.key_columns().join(", ")
        )));
    }
    Ok(())
}

/// Checks that the database can keep the key of a table unique.
///
/// # Errors
/// A key that is too long.
pub(crate) fn check_key(table: &Table, dialect: Dialect) -> Result<()> {
    let Some(max) = dialect.max_key_bytes() else {
        return Ok(());
    };
    let bytes = table.columns().iter().map(|column| match column.kind {
        _ if !table.key_columns().contains(&column.name) => 0,
        Type::Integer | Type::Real => 8,
        Type::Text(len) => usize::from(len) * 4,
    });
    if bytes.sum::<usize>() <= max {
        return Ok(());
    }
    Err(Error::data(format!(
        "table {}: its key is too long for {}, which takes {max} bytes at 4 for a character",
        quote(table.name()),
        dialect.name()
    ))
    .with_hint("declare shorter texts, as in text(255)"))
}

/// Whether some index begins with exactly these columns.
pub(crate) fn has_index(existing: &Existing, columns: &[&str]) -> bool {
    existing.indexes.iter().any(|(index, _)| {
        index.len() >= columns.len()
            && columns.iter().all(|wanted| {
                index[..columns.len()]
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(wanted))
            })
    })
}

/// Whether some unique index lies within these columns; `None` where one of them is none of the table.
pub(crate) fn is_unique(existing: &Existing, columns: &[String]) -> Option<bool> {
    if columns
        .iter()
        .any(|column| find(existing, column).is_none())
    {
        return None;
    }
    let is_there = |name: &String| {
        columns
            .iter()
            .any(|column| column.eq_ignore_ascii_case(name))
    };
    let unique = existing.indexes.iter();
    Some(
        unique
            .filter(|(index, unique)| *unique && !index.is_empty())
            .any(|(index, _)| index.iter().all(is_there)),
    )
}

fn has_key(table: &Table, existing: &Existing) -> bool {
    let key = table.key_columns();
    existing.indexes.iter().any(|(index, unique)| {
        *unique
            && index.len() == key.len()
            && key
                .iter()
                .all(|wanted| index.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
    })
}

fn find<'a>(existing: &'a Existing, name: &str) -> Option<&'a ExistingColumn> {
    existing
        .columns
        .iter()
        .find(|there| there.name.eq_ignore_ascii_case(name))
}
