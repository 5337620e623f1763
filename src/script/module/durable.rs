//! Functions that make nodes which keep events on disk.

use super::{Export, Session};
use crate::error::Result;
use crate::pipeline::Queue;
use crate::script::Args;
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[Export {
    name: "create_queue",
    arguments: "name, path",
    about: "a pipeline that keeps events in a file until they are delivered",
    run: queue,
}];

fn queue(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let (name, path) = (args.string(1)?, args.string(2)?);
    session.draft()?.add_pipeline(&name, Queue::new(path))?;
    Ok(true.into())
}
