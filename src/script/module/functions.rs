//! Functions that make nodes of functions written in Lua.

use super::timing::count;
use super::{BuildContext, Export};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::pipeline::Bounds;
use crate::script::Args;
use crate::script::function::{Each, Generator, Handler, Kind, Process, Spec, Timer};
use crate::script::value::describe;
use crate::time::parse_positive_duration;
use mlua::{Table, Value as LuaValue};
use serde_json::Value;

pub(super) const EXPORTS: &[Export] = &[
    Export {
        name: "create_map",
        arguments: "name, function(event)",
        about: "a pipeline that emits what the function returns, the event or another one; nil drops it",
        run: |build, args| each(build, args, Kind::Map),
    },
    Export {
        name: "create_filter_fn",
        arguments: "name, function(event)",
        about: "a pipeline that passes an event if the function returns true",
        run: |build, args| each(build, args, Kind::Filter),
    },
    Export {
        name: "create_flat_map",
        arguments: "name, function(event, emit)",
        about: "a pipeline that replaces each event by those that the function emits, any number of them",
        run: |build, args| each(build, args, Kind::FlatMap),
    },
    Export {
        name: "create_route",
        arguments: "name, {port = function(event), ...}",
        about: "a pipeline that sends an event to each port whose function returns true, or to `unmatched`",
        run: route,
    },
    Export {
        name: "create_process",
        arguments: "name, {process = function(event, emit, state), init, every, key, finish}",
        about: "a pipeline with a state, or one for each value of the field `key`, with timers and a function for the end",
        run: process,
    },
    Export {
        name: "create_handler",
        arguments: "name, function(event)",
        about: "a sink that calls the function with each event",
        run: handler,
    },
    Export {
        name: "create_generator",
        arguments: "name, function(emit, count) [, {every = \"1s\"}]",
        about: "a source that calls the function, at intervals or at once, until it returns false",
        run: generator,
    },
];

/// Takes functions out of the VM, for a node of this name.
fn spec(build: &BuildContext, args: &Args, node: &str, roots: Vec<LuaValue>) -> Result<Spec> {
    let roots: Vec<_> = roots
        .into_iter()
        .map(|root| ("the function".to_owned(), root))
        .collect();
    let portable = build
        .host()?
        .capture(&roots, build.limits.memory)
        .map_err(|error| error.within(format!("{} of {}", args.called(), quote(node))))?;
    Ok(Spec {
        node: node.to_owned(),
        place: build.draft()?.place(),
        portable,
        limits: build.limits,
        event_bytes: build.network.max_event_bytes(),
        network: build.network.stats_handle(),
        helpers: build.helpers.borrow().clone(),
    })
}

fn each(build: &BuildContext, args: &Args, kind: Kind) -> Result<Value> {
    args.at_most(2)?;
    let (name, function) = (args.string(1)?, args.function(2)?);
    let spec = spec(build, args, &name, vec![LuaValue::Function(function)])?;
    build.draft()?.add_pipeline(&name, Each::new(spec, kind))?;
    Ok(true.into())
}

fn route(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let (name, table) = (args.string(1)?, args.table(2)?);
    let mut routes = Vec::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (port, function) = pair.map_err(|error| Error::data(error.to_string()))?;
        let LuaValue::String(port) = &port else {
            let error = format!("a route has the name of a port, got {}", describe(&port));
            return Err(Error::data(error).with_hint("write {port = function(event) ... end}"));
        };
        let port = port.to_string_lossy();
        if !function.is_function() {
            let (port, got) = (quote(port), describe(&function));
            let error = format!(
                "route {port} of {}: function expected, got {got}",
                quote(name)
            );
            return Err(Error::data(error));
        }
        routes.push((port, function));
    }
    if routes.is_empty() || routes.len() > 62 {
        let error = format!("create_route takes 1 to 62 routes, got {}", routes.len());
        return Err(Error::data(error));
    }
    routes.sort_by(|a, b| a.0.cmp(&b.0));
    let (ports, functions) = routes.into_iter().unzip();
    let spec = spec(build, args, &name, functions)?;
    let node = Each::new(spec, Kind::Route(ports));
    build.draft()?.add_pipeline(&name, node)?;
    Ok(true.into())
}

fn handler(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let (name, function) = (args.string(1)?, args.function(2)?);
    let spec = spec(build, args, &name, vec![LuaValue::Function(function)])?;
    build.draft()?.add_sink(&name, Handler::new(spec))?;
    Ok(true.into())
}

fn generator(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(3)?;
    let (name, function) = (args.string(1)?, args.function(2)?);
    let every = args.options(3, &["every"])?.string("every")?;
    let every = every
        .map(|every| parse_positive_duration(&every))
        .transpose()?;
    let spec = spec(build, args, &name, vec![LuaValue::Function(function)])?;
    build
        .draft()?
        .add_source(&name, Generator::new(spec, every))?;
    Ok(true.into())
}

const FIELDS: [&str; 6] = ["process", "init", "every", "key", "finish", "max_keys"];

fn process(build: &BuildContext, args: &Args) -> Result<Value> {
    args.at_most(2)?;
    let (name, table) = (args.string(1)?, args.table(2)?);
    for (field, _) in table.pairs::<LuaValue, LuaValue>().flatten() {
        let field = field.to_string().unwrap_or_default();
        if !FIELDS.contains(&field.as_str()) {
            let hint = did_you_mean(&field, FIELDS)
                .unwrap_or_else(|| format!("it takes {}", FIELDS.join(", ")));
            let error = format!("create_process has no option {}", quote(field));
            return Err(Error::data(error).with_hint(hint));
        }
    }
    let mut functions = vec![
        function(&table, "init", false)?,
        function(&table, "process", true)?,
        function(&table, "finish", false)?,
    ];
    let mut timers = timers(&table)?;
    timers.sort_by_key(|(timer, _)| timer.every);
    let (timers, calls): (Vec<Timer>, Vec<LuaValue>) = timers.into_iter().unzip();
    functions.extend(calls);
    let fields = match field(&table, "key")? {
        LuaValue::Nil => Vec::new(),
        LuaValue::String(field) => vec![field.to_string_lossy()],
        other => strings(&other)
            .ok_or_else(|| wrong("key", "the name of a field or a list of names", &other))?,
    };
    let max_keys = match field(&table, "max_keys")? {
        LuaValue::Nil => Bounds::KEYS,
        LuaValue::Integer(number) => count(number, "max_keys")?,
        other => return Err(wrong("max_keys", "integer", &other)),
    };
    let spec = spec(build, args, &name, functions)?;
    let node = Process::new(spec, fields, max_keys, timers);
    build.draft()?.add_pipeline(&name, node)?;
    Ok(true.into())
}

fn timers(table: &Table) -> Result<Vec<(Timer, LuaValue)>> {
    let every = match field(table, "every")? {
        LuaValue::Nil => return Ok(Vec::new()),
        LuaValue::Table(every) => every,
        other => return Err(wrong("every", "a table of functions by interval", &other)),
    };
    let mut timers = Vec::new();
    for pair in every.pairs::<LuaValue, LuaValue>() {
        let (interval, function) = pair.map_err(|error| Error::data(error.to_string()))?;
        let LuaValue::String(text) = &interval else {
            return Err(wrong("every", "an interval as in \"5s\"", &interval));
        };
        let within = |error: Error| error.within("option every of create_process");
        let interval = parse_positive_duration(&text.to_string_lossy()).map_err(within)?;
        if !function.is_function() {
            return Err(wrong("every", "a function", &function));
        }
        timers.push((Timer::new(interval), function));
    }
    Ok(timers)
}

fn field(table: &Table, name: &str) -> Result<LuaValue> {
    table
        .raw_get(name)
        .map_err(|error| Error::data(error.to_string()))
}

fn function(table: &Table, name: &str, needed: bool) -> Result<LuaValue> {
    match field(table, name)? {
        LuaValue::Nil if !needed => Ok(LuaValue::Nil),
        value if value.is_function() => Ok(value),
        other => Err(wrong(name, "function", &other)),
    }
}

fn strings(value: &LuaValue) -> Option<Vec<String>> {
    let items = value.as_table()?.sequence_values::<LuaValue>();
    let texts: Option<Vec<String>> = items
        .map(|item| item.ok()?.as_string().map(|text| text.to_string_lossy()))
        .collect();
    texts.filter(|texts| !texts.is_empty())
}

fn wrong(name: &str, expected: &str, got: &LuaValue) -> Error {
    let got = describe(got);
    Error::data(format!(
        "option {name} of create_process: {expected} expected, got {got}"
    ))
}
