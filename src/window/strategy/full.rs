//! The plan `requery`: the whole query, for every event.

use super::GroupRow;
use super::keyed::split_key;
use crate::error::{Error, Result, quote};
use crate::payload::Payload;
use crate::store::{Binding, Connection, Datum, Query};
use crate::window::answer::group_id;
use crate::window::kind::WindowBounds;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The query of a window over all of its rows.
pub(in crate::window) struct FullQuery {
    query: Query,
    /// The query with the keys of its groups as further columns, where they are known.
    with_keys: Option<WithKeys>,
    /// The columns of the answer that tell its groups apart, where the query does not. Where there
    /// are none either, the whole row does.
    columns: Vec<String>,
}

/// A query whose last columns are the keys of its groups.
pub(in crate::window) struct WithKeys {
    pub query: Query,
    /// The number of keys.
    pub keys: usize,
}

impl FullQuery {
    pub fn new(query: Query, with_keys: Option<WithKeys>, columns: Vec<String>) -> Self {
        FullQuery {
            query,
            with_keys,
            columns,
        }
    }

    /// The rows of the answer.
    ///
    /// # Errors
    /// A query that the database refuses, an answer with too many rows, a query that runs too long.
    pub fn rows(&self, connection: &mut Connection, binding: &Binding<'_>) -> Result<Vec<Payload>> {
        let rows = connection.ask(&self.query, binding)?;
        Ok(rows
            .into_iter()
            .map(|row| Value::Object(row).into())
            .collect())
    }

    /// The rows of the answer, with their groups.
    ///
    /// # Errors
    /// Those of [`rows`](Self::rows); two rows with the same values in `columns`.
    pub fn answer(
        &self,
        connection: &mut Connection,
        binding: &Binding<'_>,
        window: Option<WindowBounds>,
    ) -> Result<Vec<GroupRow>> {
        if let Some(WithKeys { query, keys }) = &self.with_keys {
            let rows = connection.ask(query, binding)?.into_iter();
            return Ok(rows.map(|row| split_key(row, *keys, window)).collect());
        }
        let rows = connection.ask(&self.query, binding)?;
        let rows: Vec<GroupRow> = rows
            .into_iter()
            .map(|row| self.by_columns(row, window))
            .collect();
        self.check_keys(&rows)?;
        Ok(rows)
    }

    /// Checks that `columns` tell the rows apart.
    fn check_keys(&self, rows: &[GroupRow]) -> Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let mut seen = HashSet::with_capacity(rows.len());
        match rows.iter().find(|found| !seen.insert(&found.group_id)) {
            None => Ok(()),
            Some(twice) => Err(Error::data(format!(
                "two rows of the answer have the same {}: {}",
                self.columns.join(", "),
                quote(&twice.group_id)
            ))
            .with_hint("set keys to columns that tell all rows apart")),
        }
    }

    /// A row whose group is given by `columns`, or by the whole row.
    fn by_columns(&self, row: Map<String, Value>, window: Option<WindowBounds>) -> GroupRow {
        let datum = |value: &Value| Datum::from_json(value.clone());
        let key: Vec<Datum> = if self.columns.is_empty() {
            row.values().map(datum).collect()
        } else {
            let values = self.columns.iter().filter_map(|column| row.get(column));
            values.map(datum).collect()
        };
        GroupRow {
            group_id: group_id(window, &key),
            row: Value::Object(row).into(),
        }
    }
}
