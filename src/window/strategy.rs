//! The plans: how a window keeps its answer up to date.
//!
//! - `full` — runs the whole query; serves any SELECT, and is what the other plans are checked against.
//! - `keyed` — runs the query for one group at a time, for the groups that an event touches.
//! - `incremental` — keeps running state for each group; reads nothing that is stored.
//! - `members` — which groups a row belongs to, and with which arguments of their aggregates.
//!
//! A window has the queries of `full` under every plan, and those of `keyed` where its groups are
//! known: errors are traced, and answers verified, with them.

pub(super) mod full;
pub(super) mod incremental;
pub(super) mod keyed;
pub(super) mod members;

use super::emission::GroupId;
use crate::error::Result;
use crate::payload::Payload;
use crate::store::{Binding, Connection, Datum, Row};

use full::FullQuery;
use keyed::KeyedQuery;

/// The queries of a window.
pub(super) struct Queries {
    pub full: FullQuery,
    /// The query of one group, where the groups that an event touches are known.
    pub keyed: Option<KeyedQuery>,
}

/// A row of the answer, and its group.
pub(super) struct GroupRow {
    pub group_id: GroupId,
    pub row: Payload,
}

impl Queries {
    /// The keys of the groups that a row belongs to, each once; none where groups are not known.
    ///
    /// # Errors
    /// An expression that the database cannot compute for the row.
    pub fn touched(
        &mut self,
        row: &Row<'_>,
        connection: &mut Connection,
    ) -> Result<Vec<Vec<Datum>>> {
        match &mut self.keyed {
            Some(keyed) => keyed.touched(row, connection),
            None => Ok(Vec::new()),
        }
    }

    /// The row of one group in the answer, where it has one.
    ///
    /// # Errors
    /// Those of [`FullQuery::rows`].
    pub fn of_group(
        &mut self,
        key: &[Datum],
        connection: &mut Connection,
        binding: &Binding<'_>,
    ) -> Result<Option<Payload>> {
        match &self.keyed {
            Some(keyed) => keyed.of_group(key, connection, binding),
            None => Ok(None),
        }
    }
}
