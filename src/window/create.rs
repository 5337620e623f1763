//! Events become rows.

use super::NodeConnection;
use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::store::{Database, RowReader, Store, Table, TableUse};
use std::sync::Arc;

/// Inserts each event into a table, and passes it on once its row is committed.
///
/// A second event with the same key is not inserted again, and passed on all the same.
pub struct CreateWindow {
    connection: NodeConnection,
    claim: Option<Claim>,
    reader: RowReader,
    _used: Arc<TableUse>,
}

opaque_debug!(CreateWindow);

impl CreateWindow {
    /// A window on a declared table; where none is named, on the only one.
    ///
    /// # Errors
    /// A table that is not declared; none or several declared where none is named.
    pub fn new(database: &Database, table: Option<&str>) -> Result<Self> {
        let table = match table {
            Some(name) => database.table(name)?,
            None => only(database)?,
        };
        Ok(CreateWindow {
            connection: NodeConnection::new(database),
            claim: database.claim(),
            _used: database.name_table(table.name())?,
            reader: RowReader::new(table),
        })
    }

    /// The tables that it fills: its own, and the child tables.
    pub(crate) fn tables(&self) -> Vec<String> {
        let mut tables = Vec::new();
        let mut name = |table: &Table| tables.push(table.name().to_owned());
        self.reader.table().walk(&mut name);
        tables
    }
}

fn only(database: &Database) -> Result<Arc<Table>> {
    let tables = database.tables();
    match tables.as_slice() {
        [table] => Ok(table.clone()),
        [] => Err(Error::data("no table is declared").with_hint("declare one first")),
        several => {
            let names: Vec<&str> = several.iter().map(|table| table.name()).collect();
            Err(Error::data("several tables are declared")
                .with_hint(format!("name one of {}", names.join(", "))))
        }
    }
}

impl Node for CreateWindow {
    fn claims(&self) -> Vec<Claim> {
        self.claim.iter().cloned().collect()
    }

    fn open(&mut self) -> Result<()> {
        self.connection.open()
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.connection.commit()
    }

    fn rollback(&mut self) {
        self.connection.rollback();
    }
}

impl Pipeline for CreateWindow {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let store = self.connection.store()?;
        let row = self.reader.read(event.payload(), store.sized())?;
        store.begin()?;
        store.insert_buffered(row, Some(event.payload()))?;
        cx.pass();
        Ok(())
    }
}
