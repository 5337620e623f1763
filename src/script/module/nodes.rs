//! Functions that make the plain nodes.

use super::timing::bounds;
use super::{Export, Session};
use crate::error::Result;
use crate::pipeline::{Filter, FilterKey, Forwarder, RateLimit};
use crate::script::Args;
use crate::sink::{Discarder, Tester};
use crate::source::Ticker;
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_ticker",
        arguments: "name, interval",
        about: "a source that emits {\"tick\", \"time\"} at every interval",
        run: ticker,
    },
    Export {
        name: "create_forwarder",
        arguments: "name",
        about: "a pipeline that passes every event",
        run: forwarder,
    },
    Export {
        name: "create_ratelimit",
        arguments: "name, interval",
        about: "a pipeline that passes at most one event in each interval",
        run: ratelimit,
    },
    Export {
        name: "create_filter",
        arguments: "name, interval [, {by = {\"field\", ...}, store = false}]",
        about: "a pipeline that drops duplicates within the interval; with `store`, also after a restart",
        run: filter,
    },
    Export {
        name: "create_discarder",
        arguments: "name",
        about: "a sink that discards every event",
        run: discarder,
    },
    Export {
        name: "create_tester",
        arguments: "name, indicator",
        about: "a sink that prints its indicator for every event",
        run: tester,
    },
];

fn ticker(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    session
        .draft()?
        .add_source(&args.string(1)?, Ticker::new(args.duration(2)?)?)?;
    Ok(true.into())
}

fn forwarder(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    session.draft()?.add_pipeline(&args.string(1)?, Forwarder)?;
    Ok(true.into())
}

fn ratelimit(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    session
        .draft()?
        .add_pipeline(&args.string(1)?, RateLimit::new(args.duration(2)?)?)?;
    Ok(true.into())
}

fn filter(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (name, interval) = (args.string(1)?, args.duration(2)?);
    let options = args.options(3, &["by", "store", "max_keys"])?;
    let key = options
        .strings("by")?
        .map_or(FilterKey::Payload, FilterKey::Fields);
    let mut filter = Filter::new(interval, key)?.bounds(bounds(&options)?)?;
    if options.boolean("store")? == Some(true) {
        filter = filter.stored(&session.database, &name);
    }
    session.draft()?.add_pipeline(&name, filter)?;
    Ok(true.into())
}

fn discarder(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    session.draft()?.add_sink(&args.string(1)?, Discarder)?;
    Ok(true.into())
}

fn tester(session: &Session, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    session
        .draft()?
        .add_sink(&args.string(1)?, Tester::new(args.string(2)?))?;
    Ok(true.into())
}
