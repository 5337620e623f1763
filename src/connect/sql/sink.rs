//! A sink: each event is a row of a table, by [`SqlSink`].
//!
//! The invariant: the database is asked for nothing before the node is opened, so that one that does
//! not answer yet is waited for, as any other server is.

use crate::connect::{Address, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use crate::sink::{SqlMode, SqlSink};
use crate::store::{Database, Dialect, Table};
use serde_json::{Map, Value};

/// What the declaration of a table is made of.
const DECLARATION: [&str; 3] = ["children", "columns", "key"];

struct Rows {
    url: String,
    dialect: Dialect,
    table: Table,
    mode: SqlMode,
    inner: Option<SqlSink>,
}

pub(super) fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let dialect = Database::dialect_of(address.rest())?;
    let name = settings.required("table")?;
    if !settings.has("columns") {
        let error = settings.refuse("option columns is missing");
        return Err(error.with_hint("declare them, as in columns = { id = \"integer\" }"));
    }
    let given = DECLARATION.iter().filter_map(|option| {
        let value = settings.json(option)?;
        Some(((*option).to_owned(), value.clone()))
    });
    let table = Table::from_json(name, &Value::Object(given.collect::<Map<_, _>>()))?;
    table.check()?;
    let mode = match settings.choice("mode", &["insert", "upsert"])? {
        Some(mode) => mode.parse()?,
        None => SqlMode::Insert,
    };
    mode.check(&table)?;
    Ok(Box::new(Rows {
        url: address.rest().to_owned(),
        dialect,
        table,
        mode,
        inner: None,
    }))
}

impl Node for Rows {
    fn open(&mut self) -> Result<()> {
        let inner = match self.inner.take() {
            Some(inner) => inner,
            None => {
                let database = Database::open(&self.url)?;
                database.declare(self.table.clone())?;
                SqlSink::new(&database, self.table.name(), self.mode)?
            }
        };
        self.inner.insert(inner).open()
    }

    fn batch_size(&self) -> usize {
        self.dialect.events_per_transaction()
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.commit(cx))
    }

    fn rollback(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.rollback();
        }
    }
}

impl Sink for Rows {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let closed = || Error::new(ErrorKind::Failed, "the sink is not open");
        self.inner.as_mut().ok_or_else(closed)?.write(event, cx)
    }
}
