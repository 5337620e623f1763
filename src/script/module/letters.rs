//! The function that makes a sink of dead letters.

use super::{BuildContext, Export};
use crate::error::{Error, Result};
use crate::script::Args;
use crate::sink::DeadLetterSink;
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[Export {
    name: "create_dlq",
    arguments: "name, {path = \"file\"} or {db = true}",
    about: "a dead-letter queue: keeps rejected events, byte for byte, with their errors; see `tributary dlq`",
    run: dlq,
}];

fn dlq(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let name = args.string(1)?;
    let options = args.options(2, &["path", "db"])?;
    let sink = match (options.string("path")?, options.boolean("db")?) {
        (Some(path), None | Some(false)) => {
            let target = format!("dead letters in {path}");
            build.add_sink(&name, &target, DeadLetterSink::file(path))?;
            return Ok(true.into());
        }
        (None, Some(true)) => DeadLetterSink::table(&build.database, &name),
        _ => {
            return Err(Error::data("create_dlq needs one place to keep letters")
                .with_hint("{path = \"refused.db\"}, or {db = true}"));
        }
    };
    build.draft()?.add_sink(&name, sink)?;
    Ok(true.into())
}
