//! Rows for as long as the window, and an answer after each.
//!
//! Event by event the row is inserted and the query asked, all within one transaction of the
//! batch. Rows that have left the window are deleted when the timer wakes the node, whether events
//! come or not, and the cutoff is computed from the clock at that moment.

use super::Session;
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::store::{Cell, Database, Params, Query, Row, Store, Table, Type};
use crate::time::{Timestamp, format_duration};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The unit of time columns.
const SECOND: Duration = Duration::from_secs(1);

/// Inserts each event into a table, asks a query over it, and emits one event for each row of the
/// answer; deletes rows that are older than the window.
///
/// A second event with the same key is not inserted again, and answered all the same. An event
/// that the query cannot answer (too many rows, too long) is rejected; its row is good, and stays.
pub struct SlidingWindow {
    session: Session,
    database: Database,
    query: Query,
    table: Arc<Table>,
    column: String,
    own_size: Duration,
    /// The least value of the time column, as far as this node knows.
    oldest: Option<Timestamp>,
    /// The same before the batch.
    oldest_before: Option<Timestamp>,
}

impl SlidingWindow {
    /// A window over the rows of `table` whose `column`, in unix seconds, is at most `size` old.
    /// Where several windows are on one table, its rows are kept for the largest.
    ///
    /// # Errors
    /// A table or column that is not declared, a column of texts, a size that is not whole
    /// seconds, a table whose rows go by another column already, and a query that
    /// [`Database::prepare`] refuses.
    pub fn new(
        database: &Database,
        sql: &str,
        table: &str,
        size: Duration,
        column: &str,
    ) -> Result<Self> {
        let table = database.table(table)?;
        let (_, declared) = table.expect_column(column)?;
        if let Type::Text(_) = declared.kind {
            return Err(Error::data(format!(
                "{}.{column} is text, so it cannot be the time of a window",
                table.name()
            ))
            .with_hint("a time column holds unix seconds, as integer or real"));
        }
        let shown = quote(format_duration(size));
        if size < SECOND || size.subsec_nanos() != 0 {
            return Err(
                Error::data(format!("bad window size {shown}: column resolution is 1 s"))
                    .with_hint("the size is a whole number of seconds"),
            );
        }
        let query = database.prepare(sql)?;
        database.keep(table.name(), column, size)?;
        Ok(SlidingWindow {
            session: Session::new(database),
            database: database.clone(),
            query,
            table,
            column: column.to_owned(),
            own_size: size,
            oldest: None,
            oldest_before: None,
        })
    }

    /// The query, as it is run.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// For how long rows are kept: the size of the largest window on the table.
    fn size(&self) -> Duration {
        let kept = self.database.kept(self.table.name());
        kept.unwrap_or(self.own_size)
    }

    /// The time of a row.
    fn time_of(&self, row: &Row<'_>) -> Result<Timestamp> {
        match row.cell(&self.column) {
            Cell::Integer(seconds) => Ok(Timestamp::from_secs(seconds)),
            // The cast saturates.
            Cell::Real(seconds) => Ok(Timestamp::from_secs(seconds.floor() as i64)),
            Cell::Null | Cell::Text(_) => Err(Error::data(format!(
                "{}.{} is missing, and it is the time of the window",
                self.table.name(),
                self.column
            ))),
        }
    }
}

impl Node for SlidingWindow {
    fn open(&mut self) -> Result<()> {
        self.session.open()?;
        // What was in the window before a restart may have left it meanwhile.
        self.oldest = self.session.store()?.oldest(&self.table, &self.column)?;
        self.oldest_before = self.oldest;
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.session.commit()?;
        self.oldest_before = self.oldest;
        Ok(())
    }

    fn rollback(&mut self) {
        self.session.rollback();
        self.oldest = self.oldest_before;
    }

    fn wake(&self) -> Option<Timestamp> {
        // A row of second n leaves when the clock shows n + size + 1: until then a query in whole
        // seconds finds it.
        let second = Timestamp::from_secs(self.oldest?.as_secs());
        Some(second.after(self.size() + SECOND))
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = Timestamp::from_secs(cx.now().as_secs());
        let cutoff = now.before(self.size());
        let store = self.session.begin()?;
        store.evict(&self.table, &self.column, cutoff)?;
        self.oldest = store.oldest(&self.table, &self.column)?;
        Ok(())
    }
}

impl Pipeline for SlidingWindow {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let sized = self.session.store()?.sized();
        let row = Row::of(&self.table, event.payload(), sized)?;
        let time = self.time_of(&row)?;
        let store = self.session.begin()?;
        store.insert_row_of(&row)?;
        let params = Params {
            now: cx.now(),
            event: match self.query.fields().is_empty() {
                true => None,
                false => Some(event.payload().object()?),
            },
        };
        let answer = store.query(&self.query, &params)?;
        self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
        for row in answer {
            cx.emit(event.derive(Value::Object(row)));
        }
        Ok(())
    }
}
