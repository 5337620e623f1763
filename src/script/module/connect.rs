//! Functions that make sources and sinks by address.

use super::{BuildContext, Export};
use crate::connect::{self, Options};
use crate::error::Result;
use crate::network::InjectedSource;
use crate::script::Args;
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_source",
        arguments: "name, url [, options]",
        about: "a source by its address, such as \"file:bets.jsonl\"; see the guide, connectors",
        run: source,
    },
    Export {
        name: "create_sink",
        arguments: "name, url [, options]",
        about: "a sink by its address, such as \"file:alerts.jsonl\"; see the guide, connectors",
        run: sink,
    },
];

/// The options of a file source that keeps its place.
const PLACE: &[&str] = &["checkpoint", "in_flight"];

fn options(build: &BuildContext, args: &Args) -> Result<Options> {
    args.at_most(3)?;
    let options = if args.len() > 2 {
        Options::from_json(args.json(3)?)?
    } else {
        Options::new()
    };
    // Whoever may start programs may do what the user may.
    let options = options.query_limits(build.database.limits());
    Ok(if build.limits.allow_os {
        options
    } else {
        options.confined()
    })
}

fn source(build: &BuildContext, args: &Args) -> Result<Value> {
    let (name, url) = (args.string(1)?, args.string(2)?);
    let options = options(build, args)?;
    let mut source = connect::source(&url, &options)?;
    if build.recorder().is_some() {
        // Nothing is taken from others, and the place of the real run stays as it is.
        match connect::shown(&url, &options)?.0.as_str() {
            "file" => source = connect::source(&url, &options.without(PLACE))?,
            "stdin" => {}
            _ => source = Box::new(InjectedSource),
        }
    }
    build.draft()?.add_source(&name, source)?;
    Ok(true.into())
}

fn sink(build: &BuildContext, args: &Args) -> Result<Value> {
    let (name, url) = (args.string(1)?, args.string(2)?);
    let options = options(build, args)?;
    let sink = connect::sink(&url, &options)?;
    match connect::shown(&url, &options)? {
        (scheme, _) if scheme == "stdout" => build.draft()?.add_sink(&name, sink).map(drop)?,
        (_, target) => build.add_sink(&name, &target, sink)?,
    }
    Ok(true.into())
}
