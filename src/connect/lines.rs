//! `file:path`, `stdin:`, `stdout:`: lines, as [`LineSource`] and [`LineSink`] read and write them.

use super::{Address, Connector, Make, Settings};
use crate::error::Result;
use crate::format::Framing;
use crate::node::{Sink, Source};
use crate::sink::{LineSink, Rotation};
use crate::source::{Follow, LineSource};
use std::time::Duration;

pub(super) const FILE: Connector = Connector {
    scheme: "file",
    templates: &["template"],
    source: Some(Make {
        options: &["follow", "checkpoint", "in_flight", "rotate_wait"],
        bytes: Some(Framing::Stream),
        make: file_source,
    }),
    sink: Some(Make {
        options: &[
            "append",
            "sync",
            "rotate_bytes",
            "rotate_time",
            "keep",
            "gzip",
        ],
        bytes: Some(Framing::Stream),
        make: file_sink,
    }),
    ..Connector::NONE
};

pub(super) const STDIN: Connector = Connector {
    scheme: "stdin",
    source: Some(Make {
        options: &[],
        bytes: Some(Framing::Stream),
        make: stdin,
    }),
    ..Connector::NONE
};

pub(super) const STDOUT: Connector = Connector {
    scheme: "stdout",
    templates: &["template"],
    sink: Some(Make {
        options: &[],
        bytes: Some(Framing::Stream),
        make: stdout,
    }),
    ..Connector::NONE
};

/// `file:path` and `file:///path`.
fn path(address: &Address) -> Result<&str> {
    let rest = address.rest();
    match rest.strip_prefix("//").unwrap_or(rest) {
        "" => Err(address.wrong("no path in the address")),
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
    let follow = if settings.boolean("follow", false)? {
        Follow::Yes
    } else {
        Follow::No
    };
    let mut source =
        LineSource::file(path(address)?, follow).format(settings.format(Framing::Stream)?);
    if settings.has("rotate_wait") {
        if follow == Follow::No {
            return Err(settings.refuse("option rotate_wait needs follow = true"));
        }
        source = source.rotate_wait(settings.duration("rotate_wait", Duration::from_secs(5))?);
    }
    match settings.string("checkpoint")? {
        Some(checkpoint) => source = source.checkpoint(checkpoint),
        None if settings.has("in_flight") => {
            return Err(settings.refuse("option in_flight needs the option checkpoint"));
        }
        None => {}
    }
    if settings.has("in_flight") {
        source = source.in_flight(settings.count("in_flight", 1)?);
    }
    Ok(Box::new(source))
}

fn file_sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let sink = LineSink::file(path(address)?, settings.boolean("append", true)?)
        .format(settings.encoder(Framing::Stream)?);
    let sink = match rotation(settings)? {
        Some(rotation) => sink.rotated(rotation),
        None => sink,
    };
    Ok(if settings.boolean("sync", false)? {
        Box::new(sink.synced())
    } else {
        Box::new(sink)
    })
}

fn rotation(settings: &Settings) -> Result<Option<Rotation>> {
    if !(settings.has("rotate_bytes") || settings.has("rotate_time")) {
        let alone = ["keep", "gzip"].into_iter().find(|name| settings.has(name));
        return match alone {
            Some(name) => {
                Err(settings.refuse(format!("option {name} needs rotate_bytes or rotate_time")))
            }
            None => Ok(None),
        };
    }
    let mut rotation = Rotation::new().gzip(settings.boolean("gzip", false)?);
    if settings.has("rotate_bytes") {
        rotation = rotation.bytes(settings.count("rotate_bytes", 1)? as u64);
    }
    if settings.has("rotate_time") {
        rotation = rotation.time(settings.duration("rotate_time", Duration::from_secs(1))?);
    }
    if settings.has("keep") {
        rotation = rotation.keep(settings.count("keep", 1)?);
    }
    Ok(Some(rotation))
}

fn stdin(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    nothing_follows(address)?;
    Ok(Box::new(
        LineSource::stdin().format(settings.format(Framing::Stream)?),
    ))
}

fn stdout(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    nothing_follows(address)?;
    Ok(Box::new(
        LineSink::stdout().format(settings.encoder(Framing::Stream)?),
    ))
}
