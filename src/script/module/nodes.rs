//! Functions that make the plain nodes.

use super::timing::bounds;
use super::{BuildContext, Export};
use crate::error::{Error, Result};
use crate::format::{Format, Framing, READ_OPTIONS};
use crate::pipeline::{Filter, FilterKey, Forwarder, Parse, RateLimit};
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
        name: "create_parse",
        arguments: "name [, {format = \"json\", field = \"message\", keep = false}]",
        about: "a pipeline that parses the text in a field; `keep` keeps the event's other fields",
        run: parse,
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

fn ticker(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    build
        .draft()?
        .add_source(&args.string(1)?, Ticker::new(args.duration(2)?)?)?;
    Ok(true.into())
}

fn forwarder(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    build.draft()?.add_pipeline(&args.string(1)?, Forwarder)?;
    Ok(true.into())
}

fn ratelimit(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    build
        .draft()?
        .add_pipeline(&args.string(1)?, RateLimit::new(args.duration(2)?)?)?;
    Ok(true.into())
}

fn filter(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (name, interval) = (args.string(1)?, args.duration(2)?);
    let options = args.options(3, &["by", "store", "max_keys"])?;
    let key = options
        .strings("by")?
        .map_or(FilterKey::Payload, FilterKey::Fields);
    let mut filter = Filter::new(interval, key)?.bounds(bounds(&options)?)?;
    if options.boolean("store")? == Some(true) {
        filter = filter.stored(&build.database, &name);
    }
    build.draft()?.add_pipeline(&name, filter)?;
    Ok(true.into())
}

fn parse(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let of_format: Vec<&str> = Framing::Message.of(READ_OPTIONS).collect();
    let options = args.options(2, &[&["field", "keep"], &of_format[..]].concat())?;
    let format = Format::read(options.function(), options.values(), Framing::Message)?;
    if format.is_bytes() {
        let error = "create_parse finds no fields in the format bytes";
        return Err(Error::data(error));
    }
    let field = options.string("field")?.unwrap_or("message".to_owned());
    let node = Parse::new(&format, field).keep(options.boolean("keep")? == Some(true));
    build.draft()?.add_pipeline(&args.string(1)?, node)?;
    Ok(true.into())
}

fn discarder(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(1)?;
    build.draft()?.add_sink(&args.string(1)?, Discarder)?;
    Ok(true.into())
}

fn tester(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    build
        .draft()?
        .add_sink(&args.string(1)?, Tester::new(args.string(2)?))?;
    Ok(true.into())
}
