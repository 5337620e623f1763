//! A query for each event.

use super::NodeConnection;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::store::{Database, Params, Query, Store};

/// Runs a query for each event, and emits an event for each row of the result.
///
/// The query sees what is committed when it runs. That may include rows of later events; and next
/// to a node on a sibling branch that inserts the same event, it may not yet include its own.
pub struct QueryWindow {
    connection: NodeConnection,
    query: Query,
    /// Whether fields of the event are parameters of the query.
    uses_event: bool,
}

opaque_debug!(QueryWindow);

impl QueryWindow {
    /// A window that runs this query, in which `:name` is a field of the event.
    ///
    /// # Errors
    /// Anything but one SELECT that the database accepts: see [`Database::prepare`].
    pub fn new(database: &Database, sql: &str) -> Result<Self> {
        let query = database.prepare(sql)?;
        Ok(QueryWindow {
            connection: NodeConnection::new(database),
            uses_event: !query.fields().is_empty(),
            query,
        })
    }

    /// The query, as it is run.
    pub fn query(&self) -> &Query {
        &self.query
    }
}

impl Node for QueryWindow {
    fn open(&mut self) -> Result<()> {
        self.connection.open()
    }
}

impl Pipeline for QueryWindow {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        // Without parameters, the event need not be an object.
        let object = if self.uses_event {
            Some(event.payload().object()?)
        } else {
            None
        };
        let params = Params {
            now: cx.now(),
            event: object,
        };
        for row in self.connection.store()?.query(&self.query, &params)? {
            cx.emit(event.derive(serde_json::Value::Object(row)));
        }
        Ok(())
    }
}
