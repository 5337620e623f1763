//! The plan `keyed`: the query of one group, for each group that an event touches.

use super::GroupRow;
use super::full::WithKeys;
use super::members::MemberReader;
use crate::error::Result;
use crate::payload::Payload;
use crate::store::{Binding, Connection, Datum, Query, Row};
use crate::window::analysis::{GroupedQuery, KEY};
use crate::window::answer::group_id;
use crate::window::kind::WindowBounds;
use serde_json::{Map, Value};

/// The query of a window for one of its groups.
pub(in crate::window) struct KeyedQuery {
    /// The keys of the group are its parameters, and its last columns.
    query: WithKeys,
    members: MemberReader,
}

impl KeyedQuery {
    pub fn new(query: Query, grouped: &GroupedQuery) -> Self {
        KeyedQuery {
            query: WithKeys {
                query,
                keys: grouped.keys.len(),
            },
            members: MemberReader::new(
                grouped.chain.clone(),
                grouped.keys.clone(),
                grouped.filter.clone(),
                Vec::new(),
                grouped.computed.clone(),
            ),
        }
    }

    /// The keys of the groups that a row belongs to, each once.
    ///
    /// # Errors
    /// An expression that the database cannot compute for the row.
    pub fn touched(
        &mut self,
        row: &Row<'_>,
        connection: &mut Connection,
    ) -> Result<Vec<Vec<Datum>>> {
        let mut touched: Vec<Vec<Datum>> = Vec::new();
        self.members.each(row, connection, &mut |member| {
            let key = member.key();
            if !touched.contains(&key) {
                touched.push(key);
            }
        })?;
        Ok(touched)
    }

    /// The row of the group with this key in the answer, where it has one.
    ///
    /// # Errors
    /// A query that the database refuses, a query that runs too long.
    pub fn of_group(
        &self,
        key: &[Datum],
        connection: &mut Connection,
        binding: &Binding<'_>,
    ) -> Result<Option<Payload>> {
        let binding = Binding {
            keys: key,
            ..*binding
        };
        let mut rows = connection.ask(&self.query.query, &binding)?;
        Ok(rows
            .pop()
            .map(|row| split_key(row, self.query.keys, None).row))
    }
}

/// Takes the key of its group, which the last columns hold, out of a row.
pub(super) fn split_key(
    mut row: Map<String, Value>,
    keys: usize,
    window: Option<WindowBounds>,
) -> GroupRow {
    let key: Vec<Datum> = (0..keys)
        .map(|number| {
            row.shift_remove(&format!("{KEY}{number}"))
                .unwrap_or_default()
        })
        .map(Datum::from_json)
        .collect();
    GroupRow {
        group_id: group_id(window, &key),
        row: Value::Object(row).into(),
    }
}
