//! `file:path`, `stdin:`, `stdout:`: lines, as [`LineSource`] and [`LineSink`] read and write them.

use super::{Address, Connector, Make, Settings};
use crate::error::Result;
use crate::node::{Sink, Source};
use crate::sink::LineSink;
use crate::source::{Follow, LineSource};

pub(super) const FILE: Connector = Connector {
    scheme: "file",
    source: Some(Make {
        options: &["follow", "checkpoint", "in_flight"],
        make: file_source,
    }),
    sink: Some(Make {
        options: &["append", "sync"],
        make: file_sink,
    }),
    ..Connector::NONE
};

pub(super) const STDIN: Connector = Connector {
    scheme: "stdin",
    source: Some(Make {
        options: &[],
        make: stdin,
    }),
    ..Connector::NONE
};

pub(super) const STDOUT: Connector = Connector {
    scheme: "stdout",
    sink: Some(Make {
        options: &[],
        make: stdout,
    }),
    ..Connector::NONE
};

/// `file:path` and `file:///path`.
fn path(address: &Address) -> Result<&str> {
    let rest = address.rest();
    match rest.strip_prefix("//").unwrap_or(rest) {
        "" => Err(address.wrong("it names no file")),
        path => Ok(path),
    }
}

fn nothing_follows(address: &Address) -> Result<()> {
    match address.rest() {
        "" => Ok(()),
        _ => Err(address.wrong("nothing can follow the colon")),
    }
}

fn file_source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let follow = match settings.boolean("follow", false)? {
        true => Follow::Yes,
        false => Follow::No,
    };
    let mut source = LineSource::file(path(address)?, follow);
    match settings.string("checkpoint")? {
        Some(checkpoint) => source = source.checkpoint(checkpoint),
        None if settings.has("in_flight") => {
            return Err(settings.refuse("in_flight is for a source with a checkpoint"));
        }
        None => {}
    }
    if settings.has("in_flight") {
        source = source.in_flight(settings.count("in_flight", 1)?);
    }
    Ok(Box::new(source))
}

fn file_sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let sink = LineSink::file(path(address)?, settings.boolean("append", true)?);
    Ok(match settings.boolean("sync", false)? {
        true => Box::new(sink.synced()),
        false => Box::new(sink),
    })
}

fn stdin(address: &Address, _: &Settings) -> Result<Box<dyn Source>> {
    nothing_follows(address)?;
    Ok(Box::new(LineSource::stdin()))
}

fn stdout(address: &Address, _: &Settings) -> Result<Box<dyn Sink>> {
    nothing_follows(address)?;
    Ok(Box::new(LineSink::stdout()))
}
