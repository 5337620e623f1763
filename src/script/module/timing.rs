//! Functions that make nodes which thin out, hold back or put together events, for each key apart.

use super::{BuildContext, Export};
use crate::error::{Error, Result};
use crate::pipeline::{
    BatchLimits, Bounds, Changed, Collect, Deadman, Debounce, Delay, Key, Sample, Throttle,
};
use crate::script::Args;
use crate::script::args::Options;
use crate::time::parse_positive_duration;
use serde_json::Value;
use std::time::Duration;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_throttle",
        arguments: "name, count, interval [, {key = \"field\"}]",
        about: "a pipeline that passes at most this many events in any interval",
        run: throttle,
    },
    Export {
        name: "create_debounce",
        arguments: "name, time [, {key = \"field\"}]",
        about: "a pipeline that emits the last event when no other has come for this time",
        run: debounce,
    },
    Export {
        name: "create_sample",
        arguments: "name, interval [, {key = \"field\"}]",
        about: "a pipeline that emits the last event of each interval",
        run: sample,
    },
    Export {
        name: "create_batch",
        arguments: "name, {count = 100, bytes = 65536, time = \"1s\", key = \"field\"}",
        about: "a pipeline that emits several events as one list, when one of the limits is reached",
        run: batch,
    },
    Export {
        name: "create_changed",
        arguments: "name, {by = {\"field\", ...}, key = \"field\", forget = \"1h\"}",
        about: "a pipeline that drops an event if its fields `by` equal those of the last one",
        run: changed,
    },
    Export {
        name: "create_deadman",
        arguments: "name, time [, {key = \"field\"}]",
        about: "a pipeline that sends an event to port `silent` when none has come for this time",
        run: deadman,
    },
    Export {
        name: "create_delay",
        arguments: "name, time [, {max_events = 1000000}]",
        about: "a pipeline that passes every event after this time, and holds at most `max_events` events",
        run: delay,
    },
];

/// The options of a node that holds events for each key.
const HELD: &[&str] = &["key", "max_keys", "max_events", "max_bytes"];

/// The fields of the option `key`.
fn key(options: &Options) -> Result<Key> {
    Ok(options.strings("key")?.map_or(Key::none(), Key::fields))
}

fn duration(options: &Options, name: &str) -> Result<Option<Duration>> {
    let text = options.string(name)?;
    let read = text.map(|text| parse_positive_duration(&text));
    read.transpose()
        .map_err(|error| error.within(format!("option {name}")))
}

/// How much the node may hold, by its options.
pub(super) fn bounds(options: &Options) -> Result<Bounds> {
    let number = |name: &str| {
        let number = options.integer(name)?;
        number.map(|number| count(number, name)).transpose()
    };
    let mut bounds = Bounds::new();
    if let Some(keys) = number("max_keys")? {
        bounds = bounds.max_keys(keys);
    }
    if let Some(events) = number("max_events")? {
        bounds = bounds.max_events(events);
    }
    if let Some(bytes) = number("max_bytes")? {
        bounds = bounds.max_bytes(bytes);
    }
    Ok(bounds)
}

/// A whole number that counts something.
pub(super) fn count(number: i64, what: &str) -> Result<usize> {
    usize::try_from(number)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| Error::data(format!("bad {what} {number}: it must be more than zero")))
}

fn throttle(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(4)?;
    let (name, most) = (args.string(1)?, count(args.integer(2)?, "count")?);
    let options = args.options(4, &["key", "max_keys", "max_events"])?;
    let node = Throttle::new(most, args.duration(3)?, key(&options)?)?;
    let node = node.bounds(bounds(&options)?)?;
    build.draft()?.add_pipeline(&name, node)?;
    Ok(true.into())
}

fn debounce(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let options = args.options(3, HELD)?;
    let node = Debounce::new(args.duration(2)?, key(&options)?)?;
    let node = node.bounds(bounds(&options)?)?;
    build.draft()?.add_pipeline(&args.string(1)?, node)?;
    Ok(true.into())
}

fn sample(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let options = args.options(3, HELD)?;
    let node = Sample::new(args.duration(2)?, key(&options)?)?;
    let node = node.bounds(bounds(&options)?)?;
    build.draft()?.add_pipeline(&args.string(1)?, node)?;
    Ok(true.into())
}

fn batch(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let known = [&["count", "bytes", "time"], HELD].concat();
    let options = args.options(2, &known)?;
    let number = |name: &str| {
        let number = options.integer(name)?;
        number.map(|number| count(number, name)).transpose()
    };
    let limits = BatchLimits {
        count: number("count")?,
        bytes: number("bytes")?,
        time: duration(&options, "time")?,
    };
    let node = Collect::new(limits, key(&options)?)?;
    let node = node.bounds(bounds(&options)?)?;
    build.draft()?.add_pipeline(&args.string(1)?, node)?;
    Ok(true.into())
}

fn changed(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let options = args.options(2, &["by", "key", "forget", "max_keys"])?;
    let by = options.strings("by")?.unwrap_or_default();
    let forget = duration(&options, "forget")?;
    let node = Changed::new(Key::fields(by), key(&options)?, forget)?;
    let node = node.bounds(bounds(&options)?)?;
    build.draft()?.add_pipeline(&args.string(1)?, node)?;
    Ok(true.into())
}

fn deadman(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let options = args.options(3, &["key", "max_keys", "max_bytes"])?;
    let node = Deadman::new(args.duration(2)?, key(&options)?)?;
    let node = node.bounds(bounds(&options)?)?;
    build.draft()?.add_pipeline(&args.string(1)?, node)?;
    Ok(true.into())
}

fn delay(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let options = args.options(3, &["max_events", "max_bytes", "limit"])?;
    let mut bounds = bounds(&options)?;
    if let Some(limit) = options.integer("limit")? {
        if options.integer("max_events")?.is_some() {
            let error = "limit is an older name of max_events: give one of them";
            return Err(Error::data(error));
        }
        bounds = bounds.max_events(count(limit, "limit")?);
    }
    let node = Delay::new(args.duration(2)?)?.bounds(bounds)?;
    build.draft()?.add_pipeline(&args.string(1)?, node)?;
    Ok(true.into())
}
