//! Functions that make sources and sinks of lines.

use super::{Export, Session};
use crate::error::Result;
use crate::script::Args;
use crate::sink::LineSink;
use crate::source::{Follow, LineSource};
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_stdin",
        arguments: "name",
        about: "a source that emits each line of standard input (JSON lines), then ends",
        run: stdin,
    },
    Export {
        name: "create_stdout",
        arguments: "name",
        about: "a sink that writes each event as a line to standard output",
        run: stdout,
    },
    Export {
        name: "create_file_source",
        arguments: "name, path [, {follow = false}]",
        about: "a source that emits each line of a file (JSON lines); `follow` waits for more",
        run: file_source,
    },
    Export {
        name: "create_file_sink",
        arguments: "name, path [, {append = true}]",
        about: "a sink that adds each event as a line to a file; `append = false` overwrites it",
        run: file_sink,
    },
];

fn stdin(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    session
        .draft()?
        .add_source(&args.string(1)?, LineSource::stdin())?;
    Ok(true.into())
}

fn stdout(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    session
        .draft()?
        .add_sink(&args.string(1)?, LineSink::stdout())?;
    Ok(true.into())
}

fn file_source(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (name, path) = (args.string(1)?, args.string(2)?);
    let follow = match args.options(3, &["follow"])?.boolean("follow")? {
        Some(true) => Follow::Yes,
        _ => Follow::No,
    };
    session
        .draft()?
        .add_source(&name, LineSource::file(path, follow))?;
    Ok(true.into())
}

fn file_sink(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (name, path) = (args.string(1)?, args.string(2)?);
    let append = args
        .options(3, &["append"])?
        .boolean("append")?
        .unwrap_or(true);
    session
        .draft()?
        .add_sink(&name, LineSink::file(path, append))?;
    Ok(true.into())
}
