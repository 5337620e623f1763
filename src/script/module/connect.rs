//! Functions that make sources and sinks by address.

use super::{Export, Session};
use crate::connect::{self, Options};
use crate::error::{Error, Result};
use crate::script::Args;
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_source",
        arguments: "name, url [, options]",
        about: "a source by its address, as \"file:bets.jsonl\"; see the table of connectors",
        run: source,
    },
    Export {
        name: "create_sink",
        arguments: "name, url [, options]",
        about: "a sink by its address, as \"file:alerts.jsonl\"; see the table of connectors",
        run: sink,
    },
];

fn options(args: &Args) -> Result<Options> {
    args.at_most(3)?;
    match args.len() > 2 {
        true => Options::from_json(args.json(3)?),
        false => Ok(Options::new()),
    }
}

/// What may start programs is for scripts that may do what the user may.
fn allow(session: &Session, url: &str) -> Result<()> {
    let starts = url
        .split(':')
        .next()
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("exec"));
    // What is filled in may be anything.
    match (starts || url.starts_with("${")) && !session.limits.allow_os {
        true => Err(Error::data("exec is not available to this script")),
        false => Ok(()),
    }
}

fn source(session: &Session, args: &Args) -> Result<Value> {
    let (name, url) = (args.string(1)?, args.string(2)?);
    allow(session, &url)?;
    let source = connect::source(&url, &options(args)?)?;
    session.draft()?.add_source(&name, source)?;
    Ok(true.into())
}

fn sink(session: &Session, args: &Args) -> Result<Value> {
    let (name, url) = (args.string(1)?, args.string(2)?);
    allow(session, &url)?;
    let sink = connect::sink(&url, &options(args)?)?;
    session.draft()?.add_sink(&name, sink)?;
    Ok(true.into())
}
