//! The methods of the table that a test gets.

use super::bench::Bench;
use crate::error::{Error, Result, did_you_mean, quote};
use crate::payload::Payload;
use crate::script::args::Args;
use crate::script::budget::Budget;
use crate::script::failure::raise;
use crate::script::value::to_data;
use mlua::{Lua, MultiValue, Table, Value as LuaValue};
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;

type Call = fn(&mut Bench, &Args) -> Result<Value>;

/// Those that return nothing, by name.
const CALLS: &[(&str, Call)] = &[
    ("load", |bench, args| {
        args.at_most(1)?;
        bench.load(&args.string(1)?).map(Value::from)
    }),
    ("reload", |bench, args| {
        args.at_most(2)?;
        let reloaded = bench.reload(&args.string(1)?, args.string_opt(2)?);
        reloaded.map(Value::from)
    }),
    ("source", |bench, args| {
        args.at_most(1)?;
        bench.add_source(&args.string(1)?).map(Value::from)
    }),
    ("sink", |bench, args| {
        args.at_most(1)?;
        bench.add_sink(&args.string(1)?).map(Value::from)
    }),
    ("inject", |bench, args| {
        let node = args.string(1)?;
        for at in 2..=args.len().max(2) {
            let payload: Payload = match args.json(at)? {
                Value::String(text) => text.into(),
                Value::Null => return Err(args.wrong(at, "a table or a string")),
                value => value.into(),
            };
            bench.inject(&node, payload)?;
        }
        Ok(Value::Null)
    }),
    ("advance", |bench, args| {
        args.at_most(1)?;
        bench.advance(args.duration(1)?).map(Value::from)
    }),
    ("finish", |bench, args| {
        args.at_most(0)?;
        bench.finish().map(Value::from)
    }),
    ("expect", |bench, args| {
        args.at_most(2)?;
        let expected = match args.json(2)? {
            Value::Array(items) => items,
            Value::Object(none) if none.is_empty() => Vec::new(),
            _ => return Err(args.wrong(2, "a list of events")),
        };
        bench.expect(&args.string(1)?, &expected).map(Value::from)
    }),
    ("expect_none", |bench, args| {
        args.at_most(1)?;
        bench.expect(&args.string(1)?, &[]).map(Value::from)
    }),
];

/// The table that a test gets.
pub(super) fn table(lua: &Lua, bench: &Rc<RefCell<Bench>>) -> mlua::Result<Table> {
    let t = lua.create_table()?;
    for (name, call) in CALLS {
        let bench = bench.clone();
        let method = lua.create_function(move |lua, values: MultiValue| {
            let args = method_args(lua, name, values).map_err(|error| raise(lua, error))?;
            call(&mut bench.borrow_mut(), &args).map_err(|error| raise(lua, error))?;
            Ok(())
        })?;
        t.raw_set(*name, method)?;
    }
    let asked = bench.clone();
    let received = lua.create_function(move |lua, values: MultiValue| {
        let args = method_args(lua, "received", values).map_err(|error| raise(lua, error))?;
        let name = args.string(1).map_err(|error| raise(lua, error))?;
        let events = asked.borrow_mut().received(&name);
        let list = lua.create_table()?;
        for event in events.map_err(|error| raise(lua, error))? {
            list.raw_push(match event.payload().json() {
                Ok(json) => to_data(lua, json)?,
                Err(_) => LuaValue::String(lua.create_string(event.payload().bytes())?),
            })?;
        }
        Ok(list)
    })?;
    t.raw_set("received", received)?;
    let clock = bench.clone();
    let now =
        lua.create_function(move |_, _: MultiValue| Ok(clock.borrow().now().as_secs_f64()))?;
    t.raw_set("now", now)?;
    let known: Vec<String> = t
        .pairs::<String, LuaValue>()
        .flatten()
        .map(|p| p.0)
        .collect();
    let meta = lua.create_table()?;
    let unknown = move |lua: &Lua, (_, name): (LuaValue, LuaValue)| -> mlua::Result<()> {
        let name = name.to_string().unwrap_or_default();
        let error = Error::data(format!("a test has no function {}", quote(&name)));
        let hint = did_you_mean(&name, known.iter().map(String::as_str));
        Err(raise(lua, error.with_hint_opt(hint)))
    };
    meta.raw_set("__index", lua.create_function(unknown)?)?;
    t.set_metatable(Some(meta))?;
    Ok(t)
}

/// The arguments of a method, without the table before the colon.
fn method_args(lua: &Lua, name: &str, values: MultiValue) -> Result<Args> {
    Budget::charge_arguments(lua, &values);
    let mut values = values.into_vec();
    if !values.first().is_some_and(LuaValue::is_table) {
        let error = format!("{name} was called without its test");
        return Err(Error::data(error).with_hint(format!("write t:{name}(...), with a colon")));
    }
    values.remove(0);
    Ok(Args::new(name, values))
}
