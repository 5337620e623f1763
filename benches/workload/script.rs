//! Maps written in Lua, and the same work with nothing but mlua on one thread.

use super::watch::Watch;
use mlua::{Function, Lua, Table, Value as LuaValue};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tributary::{Network, Result, Runtime, sink, source};

/// An event as they are in the examples.
const EVENT: &[u8] = br#"{"uuid":"9b2c6f4e","create_time":1795464000,"customer_uuid":"76d17c9e","stake":100.0,"odds":1.2}"#;

const FIELD: &str = "function(e) if e.data.stake > 50 then return e end end";
const PAYLOAD: &str = "function(e) return e end";
/// Work enough that the threads around it do not count.
const WORK: &str =
    "function(e) local n = 0 for i = 1, 200 do n = n + i % 7 end if n > 0 then return e end end";

/// Chains of a source, a map and a sink, side by side, which share the events.
fn maps(function: &str, chains: u64, events: u64) -> Result<Duration> {
    let watch = Watch::new(chains as usize);
    let network = Network::new();
    let mut script = String::from("local tb = require('tributary')\n");
    let share = events / chains;
    for at in 0..chains {
        let begun = watch.clone();
        let events = (0..share).map(move |_| {
            begun.begin();
            EVENT
        });
        network.add_source(&format!("spring-{at}"), source::from_iter(events))?;
        let (left, end) = (Arc::new(AtomicU64::new(share)), watch.clone());
        let drain = sink::handler(move |_| {
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                end.end();
            }
            Ok(())
        });
        network.add_sink(&format!("drain-{at}"), drain)?;
        script.push_str(&format!(
            "tb.create_map('map-{at}', {function})\ntb.chain('spring-{at}', 'map-{at}', 'drain-{at}')\n"
        ));
    }
    Runtime::new(&network)?.run_text("bench.lua", script)?;
    network.start()?;
    let took = watch.wait();
    network.wait()?;
    Ok(took)
}

/// A map that reads one field.
pub fn field(events: u64) -> Duration {
    maps(FIELD, 1, events).expect("a map runs")
}

/// A map that looks at nothing.
pub fn payload(events: u64) -> Duration {
    maps(PAYLOAD, 1, events).expect("a map runs")
}

/// Two maps that know nothing of each other, with half of the events each.
pub fn two(events: u64) -> Duration {
    maps(WORK, 2, events).expect("two maps run")
}

/// The same work in one map.
pub fn one(events: u64) -> Duration {
    maps(WORK, 1, events).expect("a map runs")
}

/// Parses each event, makes a table of it, calls the function.
pub fn bare_field(events: u64) -> Duration {
    bare(FIELD, events, |lua| {
        let value: Value = serde_json::from_slice(EVENT).expect("the event is JSON");
        let event = lua.create_table()?;
        event.raw_set("data", to_lua(lua, &value)?)?;
        Ok(event)
    })
    .expect("a function runs")
}

/// Makes a table with the bytes of each event, calls the function.
pub fn bare_payload(events: u64) -> Duration {
    bare(PAYLOAD, events, |lua| {
        let event = lua.create_table()?;
        event.raw_set("payload", lua.create_string(EVENT)?)?;
        Ok(event)
    })
    .expect("a function runs")
}

fn bare(
    function: &str,
    events: u64,
    event: impl Fn(&Lua) -> mlua::Result<Table>,
) -> mlua::Result<Duration> {
    let lua = Lua::new();
    let function: Function = lua.load(format!("return {function}")).eval()?;
    let watch = Watch::new(1);
    watch.begin();
    for _ in 0..events {
        let back: Table = function.call(event(&lua)?)?;
        std::hint::black_box(back);
    }
    watch.end();
    Ok(watch.wait())
}

fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    Ok(match value {
        Value::Null => LuaValue::Nil,
        Value::Bool(value) => LuaValue::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => LuaValue::Integer(whole),
            None => LuaValue::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => LuaValue::String(lua.create_string(text)?),
        Value::Array(items) => {
            let items: mlua::Result<Vec<_>> = items.iter().map(|item| to_lua(lua, item)).collect();
            LuaValue::Table(lua.create_sequence_from(items?)?)
        }
        Value::Object(map) => {
            let table = lua.create_table()?;
            for (key, value) in map {
                table.raw_set(key.as_str(), to_lua(lua, value)?)?;
            }
            LuaValue::Table(table)
        }
    })
}
