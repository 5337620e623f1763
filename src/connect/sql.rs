//! `sql:` before the address of a database: the rows that a query finds, as events; and events as rows.
//!
//! | options of a source | |
//! |---|---|
//! | `query` | one SELECT, which asks for what is behind `:cursor`, in its order |
//! | `cursor` | the column by which rows are in order, or a list of columns |
//! | `start` | where the cursor begins, 0; of several columns a list |
//! | `every` | the pause before the query is asked again where it has found nothing, "1s" |
//! | `checkpoint` | path of a file that keeps the cursor |
//!
//! | options of a sink | |
//! |---|---|
//! | `table` | the table, made where it is missing |
//! | `columns`, `key`, `children` | its declaration, as that of `create_table` |
//! | `mode` | "insert": the row that is there stays; "upsert": the last of a key wins |
//!
//! The query is run again and again with the cursor, the values of the cursor columns so far, and
//! gives the rows behind it in its order. With `checkpoint` the cursor is kept in a file, which is
//! written before more is read: at least once also after a kill.
//!
//! The invariant: a value is passed when every row that has it is delivered. A row that failed is
//! read again, with all rows of its value and those behind it. A limit may cut between rows of one
//! value: then the rows of the last value are left for the next query, and where all rows have one
//! value, the limit is raised until there is another ([`Rows::fetch`]).
//!
//! A row that appears later with a value that was passed is behind the cursor and not read. A
//! cursor of several columns, `cursor = {"at", "id"}` with `where (at, id) > (:at, :id) order by at, id`,
//! tells rows of one instant apart. What remains is a transaction that commits after another one with
//! greater values: leave time for it, as in `and at < :now - 10`.
//!
//! An answer that is over a limit (64 MiB, 100,000 rows, 5 s) is none: the source waits and asks again,
//! and says so in the log. `limit` in the query makes answers smaller.
//!
//! A sink is a [`SqlSink`](crate::sink::SqlSink) with a database of its own ([`sink`]), as
//! `create_sql_sink` makes one into the database of the network.

mod cursor;
mod sink;

use super::{Address, Connector, Make, Settings};
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Read, Source};
use crate::store::{Asker, Database, Dialect, LIMIT, Params, Query, Store, is_over};
use crate::time::Timestamp;
use cursor::{Columns, CursorValues, may_be_same, order, shown};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
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
    address: Address,
    settings: Settings,
    columns: Columns,
    start: CursorValues,
    every: Duration,
    checkpoint: Option<PathBuf>,
    /// The query, once it was checked.
    asked: Option<Asked>,
    store: Option<Box<dyn Store>>,
    /// All rows up to here are delivered.
    delivered: CursorValues,
    /// The checkpoint was read, which only the first open does.
    is_loaded: bool,
    is_saved: bool,
    /// The rows under way in their order, and whether each is delivered: of each value all rows.
    under_way: VecDeque<(Token, CursorValues, bool)>,
    /// Those of them that are too large for an event.
    refused: HashSet<Token>,
    failed: bool,
    /// When the database is asked next.
    next: Timestamp,
}

/// A query that is ready.
struct Asked {
    database: Database,
    query: Query,
    /// The most rows of an answer, where the query says so.
    limit: Option<u64>,
}

fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    settings.required("query")?;
    let columns = columns(settings)?;
    let zero = vec![Value::from(0); columns.names().len()];
    let start = match settings.json("start") {
        None => zero,
        Some(given) if given.is_array() != (zero.len() == 1) => {
            let start = columns.place(given, &zero);
            start.ok_or_else(|| settings.wrong("start", expected(&columns)))?
        }
        Some(_) => return Err(settings.wrong("start", expected(&columns))),
    };
    let mut rows = Rows {
        address: address.clone(),
        settings: settings.clone(),
        columns,
        every: settings.duration("every", Duration::from_secs(1))?,
        checkpoint: settings.string("checkpoint")?.map(PathBuf::from),
        asked: None,
        store: None,
        delivered: start.clone(),
        start,
        is_loaded: false,
        is_saved: false,
        under_way: VecDeque::new(),
        refused: HashSet::new(),
        failed: false,
        next: Timestamp::from_secs(0),
    };
    // A server is asked when the node is opened: one that does not answer is waited for then.
    if Database::dialect_of(address.rest())? == Dialect::Sqlite {
        rows.ask()?;
    }
    Ok(Box::new(rows))
}

fn expected(columns: &Columns) -> &'static str {
    match columns.names().len() {
        1 => "a number or a text",
        _ => "a list of a number or a text for each column of the cursor",
    }
}

fn columns(settings: &Settings) -> Result<Columns> {
    let names = settings.list("cursor")?;
    if names.is_empty() {
        settings.required("cursor")?;
        return Err(settings.wrong("cursor", "at least one column"));
    }
    let twice = (1..names.len()).any(|at| names[..at].contains(&names[at]));
    match twice {
        true => Err(settings.wrong("cursor", "different columns")),
        false => Ok(Columns::new(names)),
    }
}

/// The query, ready to be asked; its limit is a parameter then.
fn prepare(address: &Address, columns: &Columns, settings: &Settings) -> Result<Asked> {
    let database = Database::open(address.rest())?;
    let given = settings.required("query")?;
    // As it was given: errors name places in it.
    let query = database.prepare_for(Asker::Cursor, given)?;
    for column in columns.names() {
        if !query.columns().contains(column) {
            let known = query.columns().join(", ");
            let error = settings.refuse(format!("the query has no column {}", quote(column)));
            return Err(error.with_hint(format!("its columns are {known}")));
        }
    }
    let fields = query.fields();
    let is_known = |field: &str| {
        columns.names().iter().any(|name| name == field)
            || (field == "cursor" && columns.names().len() == 1)
    };
    if let Some(unknown) = fields.iter().find(|field| !is_known(field)) {
        let unknown = quote(format!(":{unknown}"));
        let error = settings.refuse(format!("bad query: there is nothing to bind {unknown} to"));
        return Err(error.with_hint(columns.hint()));
    }
    let asks = |name: &String| fields.contains(&name.as_str()) || fields.contains(&"cursor");
    if !columns.names().iter().all(asks) {
        let error = match columns.names() {
            [_] => "the query does not ask for what is behind :cursor",
            _ => "the query does not ask for what is behind every column of its cursor",
        };
        return Err(settings.refuse(error).with_hint(columns.hint()));
    }
    let paged = database.paged(given)?;
    if !paged.is_ordered {
        let by = columns.names().join(", ");
        log::warn!("{address}: the query has no order; write order by {by}");
    }
    if let Some(table) = &paged.table
        && database.is_unique(table, columns.names())? == Some(false)
    {
        log::warn!(
            "{address}: several rows of table {} may have the same {}: one that comes later with a \
             value that was passed is not read; add a unique column to the cursor, as in \
             cursor = {{\"at\", \"id\"}}",
            quote(table),
            columns.sql(),
        );
    }
    let (query, limit) = match paged.limit {
        None => (query, None),
        limit => (database.prepare_for(Asker::Cursor, &paged.sql)?, limit),
    };
    Ok(Asked {
        database,
        query,
        limit,
    })
}

fn load(path: &Path) -> Result<Option<Value>> {
    let name = quote(path.to_string_lossy());
    match fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(cursor @ (Value::Number(_) | Value::String(_) | Value::Array(_))) => {
                Ok(Some(cursor))
            }
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
        if let (Some(path), false) = (&self.checkpoint, self.is_loaded) {
            if let Some(cursor) = load(path)? {
                let place = self.columns.place(&cursor, &self.start);
                self.delivered = place.ok_or_else(|| {
                    let name = quote(path.to_string_lossy());
                    let columns = self.columns.sql();
                    Error::data(format!("{name} is no checkpoint of the cursor {columns}"))
                })?;
                self.is_saved = true;
            }
            self.is_loaded = true;
        }
        // Whether it can be written is better known before anything is read.
        self.save_place()?;
        self.store = Some(self.ask()?.database.connect()?);
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        // A row that was refused here would be refused again.
        let outcome = match self.refused.remove(&token) {
            true => Outcome::Delivered,
            false => outcome,
        };
        let found = self
            .under_way
            .iter_mut()
            .find(|(known, ..)| *known == token);
        if let Some((_, _, delivered)) = found {
            *delivered = outcome == Outcome::Delivered;
            self.failed |= outcome == Outcome::Failed;
        }
        while let Some((_, _, true)) = self.under_way.front() {
            let Some((_, place, _)) = self.under_way.pop_front() else {
                break;
            };
            // Rows of the same value are read together: those that are left say that it is not over.
            let next = self.under_way.front();
            if !next.is_some_and(|(_, next, _)| may_be_same(next, &place)) {
                self.delivered = place;
                self.is_saved = false;
            }
        }
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.save_place()
    }
}

impl Source for Rows {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<Read> {
        let now = cx.now();
        if self.failed {
            // What is behind a row that failed is read again with it; late outcomes mean nothing.
            self.under_way.clear();
            self.refused.clear();
            self.failed = false;
            self.next = now.after(PAUSE);
        }
        if !self.under_way.is_empty() || now < self.next {
            let _ = wait;
            return Ok(Read::Idle);
        }
        let rows = self.fetch(now)?;
        if rows.is_empty() {
            self.next = now.after(self.every);
            return Ok(Read::Idle);
        }
        for (place, row) in rows {
            let token = match Event::new(Value::Object(row), now).within(cx.max_event_bytes()) {
                Ok(event) => cx.emit_tracked(event),
                Err((mut event, error)) => {
                    let token = cx.track(&mut event);
                    self.refused.insert(token);
                    cx.reject(event, error);
                    token
                }
            };
            self.under_way.push_back((token, place, false));
        }
        Ok(Read::More)
    }
}

impl Rows {
    /// Writes the checkpoint, unless it has the place already.
    fn save_place(&mut self) -> Result<()> {
        if let (Some(path), false) = (&self.checkpoint, self.is_saved) {
            save(path, &self.columns.to_json(&self.delivered))?;
        }
        self.is_saved = true;
        Ok(())
    }

    fn ask(&mut self) -> Result<&Asked> {
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => prepare(&self.address, &self.columns, &self.settings)?,
        };
        Ok(self.asked.insert(asked))
    }

    /// The rows behind the cursor, of each value all of them.
    fn fetch(&mut self, now: Timestamp) -> Result<Vec<(CursorValues, Map<String, Value>)>> {
        let (Some(store), Some(asked)) = (&mut self.store, &self.asked) else {
            return Ok(Vec::new());
        };
        let mut params = self.columns.params(&self.delivered);
        // One more tells whether there are more.
        let mut most = asked.limit.map(|limit| limit.saturating_add(1));
        let mut is_raised = false;
        loop {
            if let Some(most) = most {
                let most = most.min(i64::MAX.unsigned_abs());
                params.insert(LIMIT.to_owned(), most.into());
            }
            let params = Params {
                now,
                event: Some(&params),
            };
            let found = store.query(&asked.query, &params).map_err(|error| {
                let error = match is_over(&error) {
                    // Nobody is to blame but the rows that are there now.
                    true => error.retryable(),
                    false => error,
                };
                match is_raised {
                    false => error,
                    true => error.within("the limit is raised, as all rows have one cursor value"),
                }
            })?;
            let mut rows = Vec::with_capacity(found.len());
            for row in found {
                let place = self.columns.of(&row)?;
                let before = rows.last().map_or(&self.delivered, |(place, _)| place);
                check(&self.columns, before, &place, rows.is_empty())?;
                rows.push((place, row));
            }
            let is_cut = most.is_some_and(|most| rows.len() as u64 >= most);
            let Some((last, _)) = rows.last().filter(|_| is_cut) else {
                return Ok(rows);
            };
            let tied = rows
                .iter()
                .rev()
                .take_while(|(place, _)| may_be_same(place, last));
            let whole = rows.len() - tied.count();
            if whole > 0 {
                rows.truncate(whole);
                return Ok(rows);
            }
            most = most.map(|most| most.saturating_mul(2));
            is_raised = true;
        }
    }
}

/// Refuses a row that is not behind the one before it, where that can be told.
fn check(
    columns: &Columns,
    before: &CursorValues,
    place: &CursorValues,
    is_first: bool,
) -> Result<()> {
    let wrong = match order(before, place) {
        Some(Ordering::Greater) if !is_first => "the rows are not in the order of their cursor",
        Some(Ordering::Greater | Ordering::Equal) if is_first => {
            "the query gives rows that are not behind its cursor"
        }
        _ => return Ok(()),
    };
    let (place, before) = (shown(place), shown(before));
    let error = Error::data(format!("{wrong}: {place} after {before}"));
    Err(error.with_hint(columns.hint()))
}
