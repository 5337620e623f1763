//! Functions that make nodes which keep events on disk.

use super::{BuildContext, Export};
use crate::error::{Error, Result, quote};
use crate::pipeline::{Forwarder, Queue};
use crate::script::Args;
use crate::sink::{SqlMode, SqlSink};
use serde_json::Value;
use std::path::Path;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_queue",
        arguments: "name, path",
        about: "a pipeline that keeps events in a file until they are delivered",
        run: queue,
    },
    Export {
        name: "create_sql_sink",
        arguments: "name, {table = ..., mode = \"insert\"}",
        about: "a sink that writes each event as a row; `mode = \"upsert\"` replaces the row of the same key",
        run: sql_sink,
    },
];

fn queue(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let (name, path) = (args.string(1)?, args.string(2)?);
    let file = Path::new(&path);
    let full = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    if build.database.path().is_some_and(|known| known == full) {
        let error = format!("queue file {} is the file of the database", quote(&path));
        return Err(Error::data(error).with_hint("a queue needs a file of its own"));
    }
    let mut draft = build.draft()?;
    match build.recorder() {
        // Its file belongs to the real run.
        Some(_) => draft.add_pipeline(&name, Forwarder)?,
        None => draft.add_pipeline(&name, Queue::new(path))?,
    };
    Ok(true.into())
}

fn sql_sink(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let options = args.options(2, &["table", "mode"])?;
    let mode = match options.string("mode")? {
        Some(mode) => mode.parse()?,
        None => SqlMode::Insert,
    };
    let sink = SqlSink::new(&build.database, &options.required("table")?, mode)?;
    build.draft()?.add_sink(&args.string(1)?, sink)?;
    Ok(true.into())
}
