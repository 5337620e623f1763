//! `sql:` before the address of a database: the rows that a query finds, as events; and events as rows.
//!
//! | options of a source | |
//! |---|---|
//! | `query` | one SELECT, which asks for what is behind `:cursor` |
//! | `cursor` | the column by which rows are in order |
//! | `start` | where the cursor begins, 0 |
//! | `every` | the pause before the query is asked again where it has found nothing, "1s" |
//! | `checkpoint` | path of a file that keeps the cursor |
//!
//! | options of a sink | |
//! |---|---|
//! | `table` | the table, made where it is missing |
//! | `columns`, `key`, `children` | its declaration, as that of `create_table` |
//! | `mode` | "insert": the row that is there stays; "upsert": the last of a key wins |
//!
//! The query is asked again and again with `:cursor`, the greatest value of the cursor column so far,
//! and gives the rows behind it in its order. The cursor moves over rows that are delivered, in their
//! order; a row that failed is read again, with those behind it. With `checkpoint` the cursor is kept
//! in a file, which is written before more is read: at least once also after a kill.
//!
//! A sink is a [`SqlSink`](crate::sink::SqlSink) with a database of its own ([`sink`]), as
//! `create_sql_sink` makes one into the database of the network.

mod sink;

use super::{Address, Connector, Make, Settings};
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Read, Source};
use crate::store::{Asker, Database, Params, Query, Store};
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const SQL: Connector = Connector {
    scheme: "sql",
    source: Some(Make {
        options: &["query", "cursor", "start", "every", "checkpoint"],
        make: source,
    }),
    sink: Some(Make {
        options: &["children", "columns", "key", "mode", "table"],
        make: sink::sink,
    }),
    ..Connector::NONE
};

/// The pause before rows are read again of which one has failed.
const PAUSE: Duration = Duration::from_secs(1);

struct Rows {
    database: Database,
    query: Query,
    column: String,
    every: Duration,
    checkpoint: Option<PathBuf>,
    store: Option<Box<dyn Store>>,
    /// All rows up to here are delivered.
    delivered: Value,
    is_saved: bool,
    /// The rows under way in their order, and whether each is delivered.
    under_way: VecDeque<(Token, Value, bool)>,
    failed: bool,
    /// When the database is asked next.
    next: Timestamp,
}

fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let database = Database::open(address.rest())?;
    let query = database.prepare_for(Asker::Cursor, settings.required("query")?)?;
    let column = settings.required("cursor")?.to_owned();
    if !query.columns().contains(&column) {
        let columns = query.columns().join(", ");
        let error = format!("the query has no column {}", quote(&column));
        return Err(settings
            .refuse(error)
            .with_hint(format!("its columns are {columns}")));
    }
    if !query.fields().contains(&"cursor") {
        let error = settings.refuse("the query does not ask for what is behind :cursor");
        let hint = format!("write where {column} > :cursor order by {column}");
        return Err(error.with_hint(hint));
    }
    let start = settings.json("start").cloned().unwrap_or(Value::from(0));
    if !(start.is_number() || start.is_string()) {
        return Err(settings.wrong("start", "a number or a text"));
    }
    Ok(Box::new(Rows {
        database,
        query,
        column,
        every: settings.duration("every", Duration::from_secs(1))?,
        checkpoint: settings.string("checkpoint")?.map(PathBuf::from),
        store: None,
        delivered: start,
        is_saved: false,
        under_way: VecDeque::new(),
        failed: false,
        next: Timestamp::from_secs(0),
    }))
}

fn load(path: &Path) -> Result<Option<Value>> {
    let name = quote(path.to_string_lossy());
    match fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(cursor @ (Value::Number(_) | Value::String(_))) => Ok(Some(cursor)),
            _ => Err(Error::data(format!(
                "{name} is no checkpoint of a sql source"
            ))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(name, &error)),
    }
}

/// Whole or not at all: the name changes hands once the bytes are on the disk.
fn save(path: &Path, cursor: &Value) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(cursor.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.map_err(|error| Error::io(quote(path.to_string_lossy()), &error).retryable())
}

impl Node for Rows {
    fn claims(&self) -> Vec<Claim> {
        let checkpoint = self.checkpoint.iter();
        checkpoint
            .map(|path| Claim::new("checkpoint", path))
            .collect()
    }

    fn open(&mut self) -> Result<()> {
        if let (Some(path), false) = (&self.checkpoint, self.is_saved) {
            match load(path)? {
                Some(cursor) => self.delivered = cursor,
                // Whether it can be written is better known before anything is read.
                None => save(path, &self.delivered)?,
            }
            self.is_saved = true;
        }
        self.store = Some(self.database.connect()?);
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        let found = self
            .under_way
            .iter_mut()
            .find(|(known, ..)| *known == token);
        if let Some((_, _, delivered)) = found {
            *delivered = outcome == Outcome::Delivered;
            self.failed |= outcome == Outcome::Failed;
        }
        while let Some((_, _, true)) = self.under_way.front() {
            if let Some((_, cursor, _)) = self.under_way.pop_front() {
                self.delivered = cursor;
                self.is_saved = false;
            }
        }
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if let (Some(path), false) = (&self.checkpoint, self.is_saved) {
            save(path, &self.delivered)?;
        }
        self.is_saved = true;
        Ok(())
    }
}

impl Source for Rows {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<Read> {
        let now = cx.now();
        if self.failed {
            // What is behind a row that failed is read again with it; late outcomes mean nothing.
            self.under_way.clear();
            self.failed = false;
            self.next = now.after(PAUSE);
        }
        if !self.under_way.is_empty() || now < self.next {
            let _ = wait;
            return Ok(Read::Idle);
        }
        let Some(store) = &mut self.store else {
            return Ok(Read::Idle);
        };
        let cursor = Map::from_iter([("cursor".to_owned(), self.delivered.clone())]);
        let params = Params {
            now,
            event: Some(&cursor),
        };
        let rows = store.query(&self.query, &params)?;
        if rows.is_empty() {
            self.next = now.after(self.every);
            return Ok(Read::Idle);
        }
        for row in rows {
            let at = row.get(&self.column).cloned().unwrap_or(Value::Null);
            if !(at.is_number() || at.is_string()) {
                let error = format!(
                    "a row has no value in its cursor column {}",
                    quote(&self.column)
                );
                return Err(Error::new(ErrorKind::Data, error));
            }
            let event = Event::new(Value::Object(row), now);
            let token = cx.emit_tracked(event);
            self.under_way.push_back((token, at, false));
        }
        Ok(Read::More)
    }
}
