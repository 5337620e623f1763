//! Queries: one SELECT, checked, whose clocks are the network's.

use super::calendar;
use super::catalog::Catalog;
use super::datum::Datum;
use super::dialect::{self, NOW, NOW_DATETIME, NOW_UNIX};
use super::driver::{Backend, Refusal};
use super::feed::TableUse;
use super::reads::{Asked, Reach};
use super::row::{Cell, convert};
use super::table::Type;
use crate::error::{Error, Result, did_you_mean, quote, quote_json};
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The names under which a window's query can ask for its extent, in unix seconds.
const WINDOW_START: &str = "window_start";
const WINDOW_END: &str = "window_end";
/// The names under which a window bounds the time of its rows: by the least number of seconds that
/// is rounded to an instant.
const FROM: &str = "tributary_from";
const TO: &str = "tributary_to";
/// What the names of keys begin with; a number follows.
const KEY: &str = "tributary_key_";

/// What a query is given: the instant, and the event that asks.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "not a part of the public API")]
pub struct Params<'a> {
    /// The network's instant: what every clock in the query shows.
    pub now: Timestamp,
    /// The event whose fields `:name` stands for, where there is one.
    pub event: Option<&'a Map<String, Value>>,
}

/// One SELECT, checked, in which every clock is the network's. A cheap handle.
#[derive(Debug, Clone)]
pub struct Query(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    original: String,
    sql: String,
    text: String,
    params: Vec<Param>,
    columns: Vec<String>,
    /// Where anybody may ask it: that it reads its tables.
    _used: Option<Arc<TableUse>>,
}

/// What the parameters of a query are bound to.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub now: Timestamp,
    /// What `:name` is bound to.
    pub event: Option<&'a Map<String, Value>>,
    /// The window that asks.
    pub window: Option<Interval>,
    /// What the keys of a group are held against.
    pub keys: &'a [Datum],
}

/// The interval of a window.
#[derive(Clone, Copy)]
pub(crate) struct Interval {
    /// What `:window_start` and `:window_end` are bound to.
    pub start: Timestamp,
    pub end: Timestamp,
    /// The least time of its rows.
    pub from: Timestamp,
}

impl<'a> From<&Params<'a>> for Binding<'a> {
    fn from(params: &Params<'a>) -> Self {
        Binding {
            now: params.now,
            event: params.event,
            window: None,
            keys: &[],
        }
    }
}

/// For whom a query is made ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Anybody: an event may ask it.
    Anybody,
    /// A source that reads a table on from a cursor, and checks the names of its parameters.
    Cursor,
    /// A window, which has a start and an end.
    Window,
    /// A plan, which holds the keys of a group against its own and names no columns.
    Plan,
}

/// What a parameter is bound to.
#[derive(Debug)]
enum Param {
    Now,
    NowUnix,
    NowDatetime,
    WindowStart,
    WindowEnd,
    From,
    To,
    /// The key of a group at this place.
    Key(usize),
    /// A field of the event, and the types that columns of this name have.
    Field(String, Vec<Type>),
}

impl Query {
    /// Makes a query ready: one SELECT, parameters that are known, and no objection of
    /// the database.
    pub(crate) fn prepare(
        backend: &dyn Backend,
        catalog: &Catalog,
        original: &str,
        asker: Asker,
        reads: &[String],
    ) -> Result<Self> {
        let sql = dialect::rewrite(backend.dialect(), original)?;
        let (text, names) = dialect::positional(backend.dialect(), &sql)?;
        let params = names
            .iter()
            .map(|name| param(catalog, asker, name))
            .collect::<Result<_>>()?;
        let reach = match asker {
            Asker::Cursor => Reach::Own,
            Asker::Anybody | Asker::Window | Asker::Plan => {
                let mut names = catalog.table_names();
                names.extend_from_slice(reads);
                Reach::Named(names)
            }
        };
        let asked = Asked {
            sql: &sql,
            text: &text,
            reach,
        };
        let checked =
            backend
                .check(&asked, &catalog.tables())
                .map_err(|refusal| match refusal {
                    Refusal::Other(error) => error,
                    Refusal::Query { message, near } => {
                        refused(backend, catalog, original, &message, near.as_deref())
                    }
                })?;
        checked.judge(backend.dialect(), catalog, original)?;
        let columns = checked.columns;
        for (at, column) in columns.iter().enumerate() {
            if asker != Asker::Plan && columns[..at].contains(column) {
                return Err(Error::data(format!(
                    "bad query: two columns of the answer are called {}",
                    quote(column)
                ))
                .with_hint("name one of them otherwise, with \"as\""));
            }
        }
        let used = match asker {
            Asker::Anybody => Some(catalog.name(catalog.named_in(original))?),
            Asker::Cursor | Asker::Window | Asker::Plan => None,
        };
        Ok(Query(Arc::new(Inner {
            _used: used,
            original: original.to_owned(),
            sql,
            text,
            params,
            columns,
        })))
    }

    /// The SQL that is run, with named parameters.
    pub fn sql(&self) -> &str {
        &self.0.sql
    }

    /// The SQL as it was written.
    #[doc(hidden)]
    pub fn original(&self) -> &str {
        &self.0.original
    }

    /// The columns of the answer.
    pub fn columns(&self) -> &[String] {
        &self.0.columns
    }

    /// The columns of the event that it binds by `:name`, each once.
    pub fn fields(&self) -> Vec<&str> {
        let mut fields: Vec<&str> = Vec::new();
        for param in &self.0.params {
            if let Param::Field(name, _) = param
                && !fields.contains(&name.as_str())
            {
                fields.push(name);
            }
        }
        fields
    }

    /// The SQL with positional parameters, as the database is given it.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// Calls `run` with the values of the parameters, in order.
    pub(crate) fn bind<T>(
        &self,
        params: &Binding<'_>,
        run: impl FnOnce(&[Cell<'_>]) -> Result<T>,
    ) -> Result<T> {
        let needs_datetime = |param: &Param| matches!(param, Param::NowDatetime);
        let datetime = if self.0.params.iter().any(needs_datetime) {
            calendar::datetime(params.now)
        } else {
            String::new()
        };
        let cells = self
            .0
            .params
            .iter()
            .map(|param| match param {
                Param::Now => Ok(Cell::Real(params.now.as_secs_f64())),
                Param::NowUnix => Ok(Cell::Integer(params.now.as_secs())),
                Param::NowDatetime => Ok(Cell::from(datetime.as_str())),
                Param::WindowStart => window(params).map(|window| seconds(window.start)),
                Param::WindowEnd => window(params).map(|window| seconds(window.end)),
                Param::From => window(params).map(|window| Cell::Real(window.from.least_secs())),
                Param::To => window(params).map(|window| Cell::Real(window.end.least_secs())),
                Param::Key(at) => Ok(params.keys.get(*at).map_or(Cell::Null, Datum::cell)),
                Param::Field(name, kinds) => field(params, name, kinds),
            })
            .collect::<Result<Vec<_>>>()?;
        run(&cells)
    }
}

fn window(params: &Binding<'_>) -> Result<Interval> {
    params
        .window
        .ok_or_else(|| Error::data("there is no window to take :window_start or :window_end from"))
}

/// An instant in unix seconds, whole where it can be.
fn seconds(at: Timestamp) -> Cell<'static> {
    match at.as_micros() % 1_000_000 {
        0 => Cell::Integer(at.as_secs()),
        _ => Cell::Real(at.as_secs_f64()),
    }
}

fn field<'a>(params: &Binding<'a>, name: &str, kinds: &[Type]) -> Result<Cell<'a>> {
    let Some(event) = params.event else {
        return Err(Error::data(format!(
            "there is no event to take :{name} from"
        )));
    };
    let Some(value) = event.get(name) else {
        return Ok(Cell::Null);
    };
    kinds
        .iter()
        .find_map(|kind| convert(*kind, value))
        .ok_or_else(|| {
            let kinds: Vec<String> = kinds.iter().map(Type::to_string).collect();
            Error::data(format!(
                ":{name} must be {}, this is {}",
                kinds.join(" or "),
                quote_json(value)
            ))
        })
}

fn param(catalog: &Catalog, asker: Asker, name: &str) -> Result<Param> {
    match name {
        WINDOW_START if asker != Asker::Anybody => return Ok(Param::WindowStart),
        WINDOW_END if asker != Asker::Anybody => return Ok(Param::WindowEnd),
        FROM if matches!(asker, Asker::Window | Asker::Plan) => return Ok(Param::From),
        TO if matches!(asker, Asker::Window | Asker::Plan) => return Ok(Param::To),
        NOW => return Ok(Param::Now),
        NOW_UNIX => return Ok(Param::NowUnix),
        NOW_DATETIME => return Ok(Param::NowDatetime),
        // Which names there are is known to the source alone.
        _ if asker == Asker::Cursor => {
            let kinds = vec![Type::Integer, Type::Real, Type::Text(Type::TEXT_LEN)];
            return Ok(Param::Field(name.to_owned(), kinds));
        }
        _ => {}
    }
    if asker == Asker::Plan
        && let Some(Ok(at)) = name.strip_prefix(KEY).map(str::parse)
    {
        return Ok(Param::Key(at));
    }
    let tables = catalog.tables();
    let columns = || tables.iter().flat_map(|table| table.columns());
    let mut kinds: Vec<Type> = Vec::new();
    for column in columns().filter(|column| column.name == name) {
        if !kinds.contains(&column.kind) {
            kinds.push(column.kind);
        }
    }
    if !kinds.is_empty() {
        return Ok(Param::Field(name.to_owned(), kinds));
    }
    let error = Error::data(format!(
        "bad query: there is nothing to bind {} to",
        quote(format!(":{name}"))
    ));
    let known = columns().map(|c| c.name.as_str()).chain([NOW]);
    Err(error.with_hint(match did_you_mean(name, known) {
        Some(hint) => hint,
        None => "it is neither :now nor a column of a declared table (child tables have none)"
            .to_owned(),
    }))
}

/// The error of a query that the database refused, with the place in what was written.
fn refused(
    backend: &dyn Backend,
    catalog: &Catalog,
    original: &str,
    message: &str,
    near: Option<&str>,
) -> Error {
    let place = near.and_then(|near| dialect::locate(backend.dialect(), original, near));
    let place = match place {
        Some((line, column)) => format!(" at line {line}, column {column}"),
        None => String::new(),
    };
    let error = Error::data(format!("bad query: {message}{place}"));
    let lower = message.to_lowercase();
    let near = near.map(|near| near.rsplit('.').next().unwrap_or(near));
    let (what, names) = if lower.contains("no such table") || lower.contains("doesn't exist") {
        ("tables", catalog.table_names())
    } else if lower.contains("column") {
        ("columns", catalog.column_names())
    } else {
        return error;
    };
    let hint = near.and_then(|near| did_you_mean(near, names.iter().map(String::as_str)));
    error.with_hint(hint.unwrap_or_else(|| {
        if names.is_empty() {
            "no table is declared".to_owned()
        } else {
            format!("the declared {what} are {}", names.join(", "))
        }
    }))
}
