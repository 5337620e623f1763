//! Functions that join nodes up and ask about them.

use super::{BuildContext, Export};
use crate::error::{Error, ErrorKind, Result};
use crate::network::{LinkOptions, OnError, Overflow};
use crate::script::Args;
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "link",
        arguments: "from, to [, {capacity = 4096, overflow = \"block\", ...}]",
        about: "copies every event that leaves `from` (a node or \"node.port\") to `to`",
        run: link,
    },
    Export {
        name: "fanout",
        arguments: "from, to, ... [, {capacity = 4096, ...}]",
        about: "links one node to several: each gets a copy of every event",
        run: fanout,
    },
    Export {
        name: "fanin",
        arguments: "to, from, ... [, {capacity = 4096, ...}]",
        about: "links several nodes to one, which gets the events of all",
        run: fanin,
    },
    Export {
        name: "balance",
        arguments: "from, to, to, ... [, {key = \"field\"}]",
        about: "shares the events of one node among several; with a key, events of one key go to one node",
        run: balance,
    },
    Export {
        name: "unlink",
        arguments: "from, to",
        about: "removes a link; what was sent into it still arrives",
        run: unlink,
    },
    Export {
        name: "remove",
        arguments: "name",
        about: "removes a node with its links; it processes what waits for it, and ends",
        run: remove,
    },
    Export {
        name: "on_error",
        arguments: "node, target or {retry = 5, backoff = \"100ms..10s\", jitter = true, after = target}",
        about: "retries a rejected event, then sends it to `target`; node \"*\" stands for all nodes not behind the target",
        run: on_error,
    },
    Export {
        name: "node_exists",
        arguments: "name",
        about: "whether a node of this name exists",
        run: node_exists,
    },
];

/// The options of a link.
const OPTIONS: &[&str] = &[
    "capacity",
    "bytes",
    "overflow",
    "timeout",
    "spill_dir",
    "spill_size",
];

fn link(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (from, to) = (args.string(1)?, args.string(2)?);
    let options = options(args, 3)?;
    let linked = build.draft()?.link_with(from, to, options);
    linked.map_err(data)?;
    Ok(true.into())
}

fn fanout(build: &BuildContext, args: &Args) -> Result<Value> {
    let (to, options) = others(args)?;
    let linked = build.draft()?.fanout_with(args.string(1)?, to, options);
    linked.map_err(data)?;
    Ok(true.into())
}

fn fanin(build: &BuildContext, args: &Args) -> Result<Value> {
    let (from, options) = others(args)?;
    let linked = build.draft()?.fanin_with(args.string(1)?, from, options);
    linked.map_err(data)?;
    Ok(true.into())
}

fn unlink(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    build.draft()?.unlink(args.string(1)?, args.string(2)?)?;
    Ok(true.into())
}

fn remove(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    build.draft()?.remove(&args.string(1)?)?;
    Ok(true.into())
}

/// What is wrong with options of a script is wrong with the script.
fn data(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Usage => error.with_kind(ErrorKind::Data),
        _ => error,
    }
}

/// The nodes after the first one, and the options that may follow.
fn others(args: &Args) -> Result<(Vec<String>, LinkOptions)> {
    let last = args.len();
    if last > 1 && args.is_table(last) {
        let nodes = (2..last).map(|at| args.string(at));
        Ok((nodes.collect::<Result<_>>()?, options(args, last)?))
    } else {
        Ok((args.strings(2)?, LinkOptions::new()))
    }
}

fn options(args: &Args, at: usize) -> Result<LinkOptions> {
    let given = args.options(at, OPTIONS)?;
    let mut options = LinkOptions::new();
    let number = |name: &str, what: &str| {
        let wrong = |value| move |_| Error::data(format!("bad capacity of {value} {what}"));
        let value = given.integer(name)?;
        let value = value.map(|value| usize::try_from(value).map_err(wrong(value)));
        value.transpose()
    };
    if let Some(events) = number("capacity", "events")? {
        options = options.events(events);
    }
    if let Some(bytes) = number("bytes", "bytes")? {
        options = options.bytes(bytes);
    }
    if let Some(timeout) = given.positive_duration("timeout")? {
        options = options.timeout(timeout);
    }
    let mut overflow = match given.string("overflow")? {
        Some(overflow) => overflow.parse()?,
        None => Overflow::Block,
    };
    let (dir, size) = (given.string("spill_dir")?, given.integer("spill_size")?);
    match &mut overflow {
        Overflow::Spill(spill) => {
            spill.dir = dir.map(Into::into);
            if let Some(size) = size {
                let wrong = |_| Error::data(format!("bad spill_size {size}: at least 1 byte"));
                spill.size = u64::try_from(size).map_err(wrong)?;
            }
        }
        _ if dir.is_some() || size.is_some() => {
            let text = "spill_dir and spill_size are for a link with overflow = \"spill\"";
            return Err(Error::data(text));
        }
        _ => {}
    }
    Ok(options.overflow(overflow))
}

fn balance(build: &BuildContext, args: &Args) -> Result<Value> {
    let from = args.string(1)?;
    let last = args.len();
    let has_options = last > 1 && args.is_table(last);
    let members = if has_options { last - 1 } else { last };
    let members: Vec<String> = (2..=members)
        .map(|at| args.string(at))
        .collect::<Result<_>>()?;
    let key = if has_options {
        args.options(last, &["key"])?.string("key")?
    } else {
        None
    };
    build.draft()?.balance(from, members, key.as_deref())?;
    Ok(true.into())
}

fn on_error(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let node = args.string(1)?;
    let on_error = if args.is_table(2) {
        retries(args)?
    } else {
        OnError::to(args.string(2)?)
    };
    build.draft()?.on_error(&node, on_error)?;
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

fn node_exists(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    let name = args.string(1)?;
    match build.draft() {
        Ok(draft) => Ok(draft.node_exists(&name).into()),
        Err(_) => Ok(build.network.node_exists(&name).into()),
    }
}
