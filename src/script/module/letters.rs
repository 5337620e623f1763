//! The function that makes a sink of dead letters.

use super::{Export, Session};
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

fn dlq(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let name = args.string(1)?;
    let options = args.options(2, &["path", "db"])?;
    let sink = match (options.string("path")?, options.boolean("db")?) {
        (Some(path), None | Some(false)) => {
            let target = format!("dead letters in {path}");
            session.add_sink(&name, &target, DeadLetterSink::file(path))?;
            return Ok(true.into());
        }
        (None, Some(true)) => DeadLetterSink::table(&session.database, &name),
        _ => {
            return Err(Error::data("create_dlq needs one place to keep letters")
                .with_hint("{path = \"refused.db\"}, or {db = true}"));
        }
    };
    session.draft()?.add_sink(&name, sink)?;
    Ok(true.into())
}
