//! The plans `requery` and `keyed`: the answer is what the database says it is.
//!
//! `requery` asks the whole query, which serves any SELECT and is what the other plans are held
//! against. `keyed` asks it with the keys of a group held against their values, for each group that
//! an event touches.

use super::answer::identity;
use super::emission::Identity;
use super::plan::{self, Grouped, KEY};
use super::rows::Reader;
use crate::error::{Error, Result, quote};
use crate::payload::Payload;
use crate::store::{Asker, Binding, Database, Datum, Query, Row, Session};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The queries of a window.
pub(super) struct Requery {
    whole: Query,
    grouped: Option<ByGroup>,
    /// The columns of the answer by which its groups are told apart, where the query does not say.
    columns: Vec<String>,
}

struct ByGroup {
    whole: Query,
    keyed: Query,
    keys: usize,
    reader: Reader,
}

/// A row of the answer.
pub(super) struct Found {
    pub identity: Identity,
    pub row: Payload,
}

/// Which of the two forms of a query is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Sliding,
    Bounded,
}

impl Form {
    pub fn of(self, extent: &plan::Extent) -> &str {
        match self {
            Form::Sliding => &extent.sliding.sql,
            Form::Bounded => &extent.bounded.sql,
        }
    }
}

impl Requery {
    /// The queries of one that was read.
    ///
    /// # Errors
    /// What the database says against them.
    pub fn new(
        database: &Database,
        whole: Query,
        grouped: Option<&Grouped>,
        columns: Vec<String>,
        form: Form,
    ) -> Result<Self> {
        let by_group = |grouped: &Grouped| -> Result<ByGroup> {
            Ok(ByGroup {
                whole: database.prepare_for(Asker::Plan, form.of(&grouped.whole))?,
                keyed: database.prepare_for(Asker::Plan, form.of(&grouped.keyed))?,
                keys: grouped.keys.len(),
                reader: Reader::new(
                    grouped.chain.clone(),
                    grouped.keys.clone(),
                    grouped.filter.clone(),
                    Vec::new(),
                    grouped.computed.clone(),
                ),
            })
        };
        Ok(Requery {
            whole,
            grouped: grouped.map(by_group).transpose()?,
            columns,
        })
    }

    /// The rows of the answer as they are.
    ///
    /// # Errors
    /// Whatever the database refuses, an answer that is too long or takes too long.
    pub fn rows(&mut self, session: &mut Session, binding: &Binding<'_>) -> Result<Vec<Payload>> {
        let rows = session.ask(&self.whole, binding)?;
        Ok(rows
            .into_iter()
            .map(|row| Value::Object(row).into())
            .collect())
    }

    /// The rows of the answer, with what their groups are called.
    ///
    /// # Errors
    /// The same; rows that the named columns do not tell apart.
    pub fn answer(
        &mut self,
        session: &mut Session,
        binding: &Binding<'_>,
        window: Option<(i64, i64)>,
    ) -> Result<Vec<Found>> {
        match &self.grouped {
            Some(grouped) => {
                let rows = session.ask(&grouped.whole, binding)?;
                let keys = grouped.keys;
                Ok(rows
                    .into_iter()
                    .map(|row| named(row, keys, window))
                    .collect())
            }
            None => {
                let rows = session.ask(&self.whole, binding)?;
                let rows: Vec<Found> = rows.into_iter().map(|row| self.call(row, window)).collect();
                self.check_keys(&rows)?;
                Ok(rows)
            }
        }
    }

    /// Checks that the columns that were named tell the rows apart.
    fn check_keys(&self, rows: &[Found]) -> Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let mut seen = HashSet::with_capacity(rows.len());
        match rows.iter().find(|found| !seen.insert(&found.identity)) {
            None => Ok(()),
            Some(twice) => Err(Error::data(format!(
                "two rows of the answer have the same {}: {}",
                self.columns.join(", "),
                quote(&twice.identity)
            ))
            .with_hint("keys names columns that tell all rows apart")),
        }
    }

    /// A row whose group goes by columns of the answer, or by the whole row.
    fn call(&self, row: Map<String, Value>, window: Option<(i64, i64)>) -> Found {
        let datum = |value: &Value| Datum::from_json(value.clone());
        let key: Vec<Datum> = match self.columns.is_empty() {
            true => row.values().map(datum).collect(),
            false => self
                .columns
                .iter()
                .filter_map(|c| row.get(c))
                .map(datum)
                .collect(),
        };
        Found {
            identity: identity(window, &key),
            row: Value::Object(row).into(),
        }
    }

    /// The keys of the groups that a row is in, each once.
    ///
    /// # Errors
    /// What the database cannot compute of it.
    pub fn touched(&mut self, row: &Row<'_>, session: &mut Session) -> Result<Vec<Vec<Datum>>> {
        let mut touched: Vec<Vec<Datum>> = Vec::new();
        if let Some(grouped) = &mut self.grouped {
            grouped.reader.each(row, session, &mut |member| {
                let key = member.key();
                if !touched.contains(&key) {
                    touched.push(key);
                }
            })?;
        }
        Ok(touched)
    }

    /// Whether the groups that an event touches are known.
    pub fn knows_groups(&self) -> bool {
        self.grouped.is_some()
    }

    /// The row of one group.
    ///
    /// # Errors
    /// Those of [`rows`](Self::rows).
    pub fn of_group(
        &mut self,
        key: &[Datum],
        session: &mut Session,
        binding: &Binding<'_>,
    ) -> Result<Option<Payload>> {
        let Some(grouped) = &self.grouped else {
            return Ok(None);
        };
        let binding = Binding {
            keys: key,
            ..*binding
        };
        let mut rows = session.ask(&grouped.keyed, &binding)?;
        Ok(rows.pop().map(|row| named(row, grouped.keys, None).row))
    }
}

/// A row whose last columns are the keys of its group.
fn named(mut row: Map<String, Value>, keys: usize, window: Option<(i64, i64)>) -> Found {
    let key: Vec<Datum> = (0..keys)
        .map(|at| row.shift_remove(&format!("{KEY}{at}")).unwrap_or_default())
        .map(Datum::from_json)
        .collect();
    Found {
        identity: identity(window, &key),
        row: Value::Object(row).into(),
    }
}
