//! Functions that declare tables and make windows over them.

use super::{Export, Session};
use crate::error::Result;
use crate::pipeline::Forwarder;
use crate::script::Args;
use crate::store::Table;
use crate::window::{CreateWindow, Extent, QueryWindow, Window, WindowOptions};
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_table",
        arguments: "name, {key = \"column\", columns = {...}, children = {...}}",
        about: "declares a table, which is created where it does not exist",
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
        arguments: "name, query",
        about: "a pipeline that runs a query for each event and emits each row of the answer",
        run: query_window,
    },
    Export {
        name: "sliding_window_time",
        arguments: "name, out, query, table, size, time_column",
        about: "inserts each event, answers with the query over the last `size` at node `out`",
        run: sliding_window_time,
    },
];

fn create_table(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    session
        .database
        .declare(Table::from_json(&args.string(1)?, &args.json(2)?)?)?;
    Ok(true.into())
}

fn create_window(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let window = CreateWindow::new(&session.database, args.string_opt(2)?.as_deref())?;
    session.draft()?.add_pipeline(&args.string(1)?, window)?;
    Ok(true.into())
}

fn query_window(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let name = args.string(1)?;
    let window = QueryWindow::new(&session.database, &args.string(2)?)?;
    session.draft()?.add_pipeline(&name, window)?;
    Ok(true.into())
}

fn sliding_window_time(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(6)?;
    let (name, out) = (args.string(1)?, args.string(2)?);
    let (query, table) = (args.string(3)?, args.string(4)?);
    let (size, column) = (args.duration(5)?, args.string(6)?);
    let options = WindowOptions::new(table, query, Extent::Sliding(size)).time(column).name(&name);
    let window = Window::new(&session.database, &options)?;
    let mut draft = session.draft()?;
    let window = draft.add_pipeline(&name, window)?;
    draft.add_place(&format!(" (made by sliding_window_time for {name})"));
    let out = draft.add_pipeline(&out, Forwarder)?;
    draft.link(&window, &out)?;
    Ok(true.into())
}
