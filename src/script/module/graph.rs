//! Functions that join nodes up and ask about them.

use super::{Export, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::network::{Capacity, OnError};
use crate::script::Args;
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "link",
        arguments: "from, to [, {capacity = 4096}]",
        about: "copies every event that leaves `from` (a node or \"node.port\") to `to`",
        run: link,
    },
    Export {
        name: "fanout",
        arguments: "from, to, ...",
        about: "links one node to several: each gets a copy of every event",
        run: fanout,
    },
    Export {
        name: "fanin",
        arguments: "to, from, ...",
        about: "links several nodes to one, which gets the events of all",
        run: fanin,
    },
    Export {
        name: "balance",
        arguments: "from, to, to, ... [, {key = \"field\"}]",
        about: "shares the events of one node among several; with a key, equal keys stay together",
        run: balance,
    },
    Export {
        name: "on_error",
        arguments: "node, target or {retry = 5, backoff = \"100ms..10s\", jitter = true, after = target}",
        about: "tries a rejected event again, then sends it to `target`; node \"*\" is all but what that leads to",
        run: on_error,
    },
    Export {
        name: "node_exists",
        arguments: "name",
        about: "whether there is a node of this name",
        run: node_exists,
    },
];

fn link(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (from, to) = (args.string(1)?, args.string(2)?);
    let mut draft = session.draft()?;
    match args.options(3, &["capacity"])?.integer("capacity")? {
        None => draft.link(from, to)?,
        Some(events) => {
            let wrong = |_| Error::new(ErrorKind::Data, format!("bad capacity of {events} events"));
            let events = usize::try_from(events).map_err(wrong)?;
            let capacity = Capacity {
                events,
                ..Capacity::default()
            };
            draft
                .link_with(from, to, capacity)
                .map_err(|e| e.with_kind(ErrorKind::Data))?;
        }
    }
    Ok(true.into())
}

fn fanout(session: &Session, args: &Args) -> Result<Value> {
    session.draft()?.fanout(args.string(1)?, args.strings(2)?)?;
    Ok(true.into())
}

fn fanin(session: &Session, args: &Args) -> Result<Value> {
    session.draft()?.fanin(args.string(1)?, args.strings(2)?)?;
    Ok(true.into())
}

fn balance(session: &Session, args: &Args) -> Result<Value> {
    let from = args.string(1)?;
    let last = args.len();
    let has_options = last > 1 && args.is_table(last);
    let members = if has_options { last - 1 } else { last };
    let members: Vec<String> = (2..=members)
        .map(|at| args.string(at))
        .collect::<Result<_>>()?;
    let key = match has_options {
        true => args.options(last, &["key"])?.string("key")?,
        false => None,
    };
    session.draft()?.balance(from, members, key.as_deref())?;
    Ok(true.into())
}

fn on_error(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let node = args.string(1)?;
    let on_error = match args.is_table(2) {
        false => OnError::to(args.string(2)?),
        true => retries(args)?,
    };
    session.draft()?.on_error(&node, on_error)?;
    Ok(true.into())
}

fn retries(args: &Args) -> Result<OnError> {
    let options = args.options(2, &["retry", "backoff", "jitter", "after"])?;
    let times = options.integer("retry")?.unwrap_or(5);
    let wrong = |_| Error::data(format!("bad retry {times}: allowed is 0 to 10000"));
    let mut on_error = OnError::retry(u32::try_from(times).map_err(wrong)?);
    if let Some(backoff) = options.string("backoff")? {
        let (least, most) = OnError::parse_backoff(&backoff)
            .map_err(|error| error.within("option backoff of on_error"))?;
        on_error = on_error.backoff(least, most);
    }
    if let Some(jitter) = options.boolean("jitter")? {
        on_error = on_error.jitter(jitter);
    }
    if let Some(target) = options.string("after")? {
        on_error = on_error.after(target);
    }
    Ok(on_error)
}

fn node_exists(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    let name = args.string(1)?;
    match session.draft() {
        Ok(draft) => Ok(draft.node_exists(&name).into()),
        Err(_) => Ok(session.network.node_exists(&name).into()),
    }
}
