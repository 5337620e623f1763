//! What a declaration must keep to, whatever the database: names, keys, children.

use super::{Table, Type};
use crate::error::{Error, Result, did_you_mean, quote};
use std::collections::HashSet;

/// The longest name of a table or column: what MySQL takes.
const MAX_NAME: usize = 64;

impl Table {
    /// Checks the declaration as a whole.
    pub(crate) fn check(&self) -> Result<()> {
        let mut names = HashSet::new();
        let mut twice = None;
        self.walk(&mut |table| {
            if !names.insert(table.name.to_ascii_lowercase()) {
                twice.get_or_insert(&table.name);
            }
        });
        if let Some(name) = twice {
            return Err(Error::data(format!(
                "table {} stands twice in one declaration",
                quote(name)
            )));
        }
        self.check_alone()
    }

    fn check_alone(&self) -> Result<()> {
        check_name("table", &self.name)?;
        let within = |error: Error| error.within(format!("table {}", quote(&self.name)));
        if self.columns.is_empty() {
            return Err(within(Error::data("it has no columns")));
        }
        let mut seen = HashSet::new();
        for column in &self.columns {
            check_name("column", &column.name).map_err(within)?;
            if !seen.insert(column.name.to_ascii_lowercase()) {
                return Err(within(Error::data(format!(
                    "column {} stands twice",
                    quote(&column.name)
                ))));
            }
            if column.kind == Type::Text(0) {
                return Err(within(Error::data(format!(
                    "column {} has room for no character",
                    quote(&column.name)
                ))));
            }
        }
        for (at, name) in self.key.iter().enumerate() {
            self.expect_column(name)?;
            if self.key[..at].contains(name) {
                return Err(within(Error::data(format!(
                    "column {} stands twice in the key",
                    quote(name)
                ))));
            }
        }
        for child in &self.children {
            self.check_child(child).map_err(within)?;
            child.table.check_alone()?;
        }
        Ok(())
    }

    /// Child rows are deleted with the row that they belong to, so they must name it.
    fn check_child(&self, child: &super::Child) -> Result<()> {
        let bad = |why: String| Error::data(format!("child {}: {why}", quote(&child.field)));
        let namesakes = |c: &&super::Child| c.field == child.field;
        if self.children.iter().filter(namesakes).count() > 1 {
            return Err(bad("it stands twice".to_owned()));
        }
        if self.find(&child.field).is_some() {
            return Err(bad("a column has the same name".to_owned()));
        }
        if self.key.is_empty() {
            return Err(bad("a table with children needs a key".to_owned()));
        }
        for (theirs, ours) in &child.parent {
            let (_, ours) = self.expect_column(ours)?;
            let (_, theirs) = child.table.expect_column(theirs)?;
            let alike = matches!(
                (ours.kind, theirs.kind),
                (Type::Integer, Type::Integer)
                    | (Type::Real, Type::Real)
                    | (Type::Text(_), Type::Text(_))
            );
            if !alike {
                return Err(bad(format!(
                    "column {} is {}, but {} of its parent is {}",
                    quote(&theirs.name),
                    theirs.kind,
                    quote(&ours.name),
                    ours.kind
                )));
            }
        }
        match self
            .key
            .iter()
            .find(|key| !child.parent.iter().any(|(_, ours)| ours == *key))
        {
            None => Ok(()),
            Some(key) => Err(bad(format!(
                "no column of it repeats the parent's key {}",
                quote(key)
            ))
            .with_hint(format!(
                "name one, as in parent = {{ {}_{key} = {} }}",
                self.name,
                quote(key)
            ))),
        }
    }

    /// The column of this name and its place.
    pub(crate) fn expect_column(&self, name: &str) -> Result<(usize, &super::Column)> {
        self.find(name).ok_or_else(|| {
            let columns = self.columns.iter().map(|c| c.name.as_str());
            let hint = did_you_mean(name, columns.clone()).unwrap_or_else(|| {
                format!("its columns are {}", columns.collect::<Vec<_>>().join(", "))
            });
            Error::data(format!(
                "table {} has no column {}",
                quote(&self.name),
                quote(name)
            ))
            .with_hint(hint)
        })
    }
}

/// Checks the name of a table or column against the grammar that both databases take.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let bad = || Error::data(format!("bad {what} name {}", quote(name)));
    let mut bytes = name.bytes();
    let word = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !word || name.len() > MAX_NAME {
        return Err(bad().with_hint("allowed is [A-Za-z_][A-Za-z0-9_]{0,63}"));
    }
    let lower = name.to_ascii_lowercase();
    if what == "table" && (lower.starts_with("sqlite_") || lower.starts_with("tributary_")) {
        return Err(
            bad().with_hint("names beginning with \"sqlite_\" or \"tributary_\" are reserved")
        );
    }
    Ok(())
}
