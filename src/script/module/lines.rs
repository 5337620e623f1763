//! Functions that make sources and sinks of lines.

use super::{BuildContext, Export};
use crate::error::{Error, Result};
use crate::format::{Encoder, Format, Framing, READ_OPTIONS, WRITE_OPTIONS};
use crate::script::Args;
use crate::script::args::Options;
use crate::sink::LineSink;
use crate::source::{Follow, LineSource};
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_stdin",
        arguments: "name [, {format = \"json\"}]",
        about: "a source that emits each line of standard input (JSON lines or another format), then ends",
        run: stdin,
    },
    Export {
        name: "create_stdout",
        arguments: "name [, {format = \"json\"}]",
        about: "a sink that writes each event as a line to standard output",
        run: stdout,
    },
    Export {
        name: "create_file_source",
        arguments: "name, path [, {format = \"json\", follow = false, checkpoint = \"path\"}]",
        about: "a source that emits each line of a file (JSON lines or another format); `checkpoint` keeps its position",
        run: file_source,
    },
    Export {
        name: "create_file_sink",
        arguments: "name, path [, {format = \"json\", append = true, sync = false}]",
        about: "a sink that appends each event as a line to a file; `append = false` overwrites the file",
        run: file_sink,
    },
];

/// The format that the options describe, of the same names as those of connectors.
fn format(options: &Options) -> Result<Format> {
    Format::read(options.function(), options.values(), Framing::Stream)
}

fn encoder(options: &Options) -> Result<Encoder> {
    Encoder::of_script(options.function(), options.values())
}

fn stdin(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let options = args.options(2, READ_OPTIONS)?;
    let source = LineSource::stdin().format(format(&options)?);
    build.draft()?.add_source(&args.string(1)?, source)?;
    Ok(true.into())
}

fn stdout(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let options = args.options(2, WRITE_OPTIONS)?;
    let sink = LineSink::stdout().format(encoder(&options)?);
    build.draft()?.add_sink(&args.string(1)?, sink)?;
    Ok(true.into())
}

fn file_source(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (name, path) = (args.string(1)?, args.string(2)?);
    let own = ["follow", "checkpoint", "in_flight", "rotate_wait"];
    let options = args.options(3, &[&own, READ_OPTIONS].concat())?;
    let follow = match options.boolean("follow")? {
        Some(true) => Follow::Yes,
        _ => Follow::No,
    };
    let mut source = LineSource::file(path, follow).format(format(&options)?);
    if let Some(time) = options.positive_duration("rotate_wait")? {
        if follow == Follow::No {
            let text = "option rotate_wait of create_file_source is for one with follow = true";
            return Err(Error::data(text));
        }
        source = source.rotate_wait(time);
    }
    let in_flight = options.integer("in_flight")?;
    match options.string("checkpoint")? {
        // A replay reads all of it, and leaves the place of the real run as it is.
        Some(_) if build.recorder().is_some() => {}
        Some(checkpoint) => source = source.checkpoint(checkpoint),
        None if in_flight.is_some() => {
            let text = "option in_flight of create_file_source is for one with a checkpoint";
            return Err(Error::data(text));
        }
        None => {}
    }
    if let Some(events) = in_flight {
        match usize::try_from(events) {
            Ok(events @ 1..) => source = source.in_flight(events),
            _ => {
                return Err(Error::data(format!(
                    "bad in_flight {events}: at least 1 is needed"
                )));
            }
        }
    }
    build.draft()?.add_source(&name, source)?;
    Ok(true.into())
}

fn file_sink(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (name, path) = (args.string(1)?, args.string(2)?);
    let options = args.options(3, &[&["append", "sync"], WRITE_OPTIONS].concat())?;
    let target = format!("file:{path}");
    let mut sink =
        LineSink::file(path, options.boolean("append")?.unwrap_or(true)).format(encoder(&options)?);
    if options.boolean("sync")? == Some(true) {
        sink = sink.synced();
    }
    build.add_sink(&name, &target, sink)?;
    Ok(true.into())
}
