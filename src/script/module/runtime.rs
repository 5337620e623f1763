//! Functions that can be called at any time: while a script is loaded, and in a node's function
//! while events flow.

use super::{BuildContext, Export};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::network::Stats;
use crate::script::Args;
use crate::time::{Clock, SystemClock};
use log::Level;
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "log",
        arguments: "[level,] text",
        about: "logs a text, at most 64 KiB of it; the level is \"error\", \"warn\", \"info\" (the default) or \"debug\"",
        run: |_, args| log(args, None),
    },
    Export {
        name: "now",
        arguments: "",
        about: "the network's time, in seconds since 1970 with a fraction",
        run: now,
    },
    Export {
        name: "stats",
        arguments: "",
        about: "the counts of a running network: a table of nodes and a list of links",
        run: |build, args| stats(args, &build.network.stats()),
    },
];

fn now(_: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(0)?;
    Ok(SystemClock.now().as_secs_f64().into())
}

/// A text of a script is logged up to this length.
const LONGEST: usize = 64 << 10;

/// Logs a text of a script, or of the function of this node.
pub(in crate::script) fn log(args: &Args, node: Option<&str>) -> Result<Value> {
    args.at_most(2)?;
    let levels = [
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
    ];
    let (level, text) = match args.len() {
        0 | 1 => (Level::Info, args.text(1, LONGEST)?),
        _ => {
            let name = args.string(1)?;
            let Some((_, level)) = levels.iter().find(|(known, _)| *known == name) else {
                let names = levels.map(|(name, _)| name);
                let hint = did_you_mean(&name, names)
                    .unwrap_or_else(|| format!("the levels are {}", names.join(", ")));
                return Err(Error::data(format!("no level {}", quote(name))).with_hint(hint));
            };
            (*level, args.text(2, LONGEST)?)
        }
    };
    // The error type knows how to show what a terminal must not get.
    let shown = Error::data(text);
    match node {
        Some(node) => log::log!(level, "node {node}: {shown}"),
        None => log::log!(level, "{shown}"),
    }
    Ok(Value::Null)
}

/// An account as a table.
pub(in crate::script) fn stats(args: &Args, stats: &Stats) -> Result<Value> {
    args.at_most(0)?;
    Ok(stats.to_json())
}
