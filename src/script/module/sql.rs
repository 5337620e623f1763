//! Functions that declare tables and make windows over them.

use super::{BuildContext, Export};
use crate::error::{Error, Result};
use crate::pipeline::Forwarder;
use crate::script::Args;
use crate::script::args::Options;
use crate::script::branches::Access;
use crate::store::{Database, Table};
use crate::window::{CreateWindow, QueryWindow, Window, WindowKind, WindowOptions};
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_table",
        arguments: "name, {key = \"column\", columns = {...}, children = {...}}",
        about: "declares a table and creates it if it does not exist",
        run: create_table,
    },
    Export {
        name: "create_window",
        arguments: "name [, table]",
        about: "a pipeline that inserts each event into a table and passes it on",
        run: create_window,
    },
    Export {
        name: "query_window",
        arguments: "name, query [, {reads = {\"table\", ...}}]",
        about: "a pipeline that runs a query for each event and emits each row of the result",
        run: query_window,
    },
    Export {
        name: "sliding_window_time",
        arguments: "name, out, query, table, size, time_column [, {reads = {\"table\", ...}}]",
        about: "a window over the last `size`: inserts each event and emits the query's result at node `out`",
        run: sliding_window_time,
    },
    Export {
        name: "window",
        arguments: "name, out, {table = ..., query = ..., time = \"column\", size = \"10s\", ...}",
        about: "a window: inserts each event, keeps the query's result up to date and emits it at node `out`",
        run: window,
    },
    Export {
        name: "explain",
        arguments: "name",
        about: "how a window keeps its result up to date: the plan, the reason, the SQL, the indexes",
        run: explain,
    },
];

fn create_table(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    build
        .database
        .declare(Table::from_json(&args.string(1)?, &args.json(2)?)?)?;
    Ok(true.into())
}

fn create_window(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let name = args.string(1)?;
    let window = CreateWindow::new(&build.database, args.string_opt(2)?.as_deref())?;
    let tables = window.tables();
    build.draft()?.add_pipeline(&name, window)?;
    build.notes().add_access(&name, Access::Fills(tables));
    Ok(true.into())
}

fn query_window(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let name = args.string(1)?;
    let query = args.string(2)?;
    let database = reading(build, &args.options(3, &["reads"])?)?;
    let window = QueryWindow::new(&database, &query)?;
    build.draft()?.add_pipeline(&name, window)?;
    let tables = build.database.tables_in(&query);
    build.notes().add_access(&name, Access::Asks(tables));
    Ok(true.into())
}

fn sliding_window_time(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(7)?;
    let (name, out) = (args.string(1)?, args.string(2)?);
    let (query, table) = (args.string(3)?, args.string(4)?);
    let (size, column) = (args.duration(5)?, args.string(6)?);
    // What comes later may read the table.
    let options = WindowOptions::new(table, query, WindowKind::Sliding(size))
        .time(column)
        .store(true);
    let database = reading(build, &args.options(7, &["reads"])?)?;
    add(
        build,
        &database,
        ("sliding_window_time", &name, &out),
        options,
    )
}

/// The database, whose queries may read what `reads` names.
fn reading(build: &BuildContext, given: &Options) -> Result<Database> {
    let names = given.strings("reads")?.unwrap_or_default();
    build.database.clone().with_reads(names)
}

/// The options of `window`.
const OPTIONS: &[&str] = &[
    "table", "query", "time", "size", "slide", "count", "gap", "clock", "lateness", "idle", "emit",
    "plan", "verify", "keys", "reads", "store", "shared",
];

fn window(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (name, out) = (args.string(1)?, args.string(2)?);
    let given = args.options(3, OPTIONS)?;
    let kind = window_kind(&given)?;
    let (table, query) = (given.required("table")?, given.required("query")?);
    let mut options = WindowOptions::new(table, query, kind);
    if let Some(column) = given.string("time")? {
        options = options.time(column);
    }
    if let Some(clock) = given.string("clock")? {
        options = options.clock(clock.parse()?);
    }
    if let Some(lateness) = given.duration("lateness")? {
        options = options.lateness(lateness);
    }
    if let Some(idle) = given.positive_duration("idle")? {
        options = options.idle(idle);
    }
    if let Some(emit) = given.string("emit")? {
        options = options.emit(emit.parse()?);
    }
    match given.string("plan")?.as_deref() {
        None | Some("auto") => {}
        Some(plan) => options = options.plan(plan.parse()?),
    }
    if let Some(share) = given.number("verify")? {
        options = options.verify(share);
    }
    if let Some(keys) = given.strings("keys")? {
        options = options.keys(keys);
    }
    if let Some(store) = given.boolean("store")? {
        options = options.store(store);
    }
    if let Some(shared) = given.boolean("shared")? {
        options = options.shared(shared);
    }
    let database = reading(build, &given)?;
    add(build, &database, ("window", &name, &out), options)
}

/// Which of the options `size`, `slide`, `count` and `gap` give the kind of a window.
fn window_kind(given: &Options) -> Result<WindowKind> {
    let size = given.positive_duration("size")?;
    let slide = given.positive_duration("slide")?;
    let gap = given.positive_duration("gap")?;
    match (size, slide, given.integer("count")?, gap) {
        (Some(size), None, None, None) => Ok(WindowKind::Sliding(size)),
        (Some(size), Some(slide), None, None) => Ok(WindowKind::Hopping { size, slide }),
        (None, None, Some(count), None) => {
            match usize::try_from(count) {
                Ok(count @ 1..) => Ok(WindowKind::Count(count)),
                _ => Err(Error::data(format!("bad window count {count}"))
                    .with_hint("it is at least 1 row")),
            }
        }
        (None, None, None, Some(gap)) => Ok(WindowKind::Session(gap)),
        (None, Some(_), None, None) => {
            Err(Error::data("a window with a slide needs a size").with_hint("size = \"10s\""))
        }
        _ => Err(Error::data("a window has one extent: size, count or gap")
            .with_hint("size = \"10s\", or count = 1000, or gap = \"30s\"")),
    }
}

/// Adds a window and the node that its answers go through.
fn add(
    build: &BuildContext,
    database: &Database,
    (function, name, out): (&str, &str, &str),
    options: WindowOptions,
) -> Result<Value> {
    let window = Window::new(database, &options.name(name))?;
    let explanation = window.explain();
    let mut draft = build.draft()?;
    let node = draft.add_pipeline(name, window)?;
    draft.add_place(&format!(" (made by {function} for {name})"));
    let out = draft.add_pipeline(out, Forwarder)?;
    draft.link(&node, &out)?;
    build.notes().add_explanation(name, explanation);
    Ok(true.into())
}

fn explain(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    Ok(build.explanation(&args.string(1)?)?.to_string().into())
}
