//! Events as Lua sees them: a table whose first place holds the event, and whose fields are made
//! when they are first asked for.

use super::vm::Shared;
use crate::error::{Error, Result};
use crate::event::{Event, Meta};
use crate::payload::{MAX_EVENT_BYTES, Payload};
use crate::script::budget::Budget;
use crate::script::failure::raise;
use crate::script::value::{describe, is_equal, read_data, to_data, to_json_within};
use crate::time::{Timestamp, unit_that_fits};
use mlua::{Lua, Table, UserData, UserDataRef, Value};
use serde_json::{Map, Value as Json};

/// To read what is smaller takes no time to speak of.
const LARGE: usize = 4096;

/// The event itself, without its ack: a script may keep it as long as it likes.
pub(super) struct Handle(pub Event);

impl UserData for Handle {}

/// The place in the table of the payload that was read or assigned.
const PAYLOAD: i64 = 2;

/// Makes a field of an event, by the number that the Lua half knows it under; `given` is the payload
/// that the function has read or assigned. `compares`: whether the data will be compared with
/// what it was, unless it stays untouched.
pub(super) fn fetch(
    lua: &Lua,
    budget: &Budget,
    (handle, field, given): (UserDataRef<Handle>, u8, Value),
    compares: bool,
) -> mlua::Result<Value> {
    let event = &handle.0;
    // A function may ask again for what it has thrown away.
    if event.payload().size() > LARGE {
        budget.charge(lua, event.payload().size() * 16);
    }
    match field {
        1 => lua
            .create_string(event.payload().bytes())
            .map(Value::String),
        2 => {
            let payload = payload(&given, event, usize::MAX).map_err(|error| raise(lua, error))?;
            let limit = if payload.size() <= MAX_EVENT_BYTES {
                // Without a limit no step can fail, so none needs to be protected, which costs as
                // much again. What such an event takes is bounded by its size.
                Some(lua.set_memory_limit(0)?)
            } else {
                None
            };
            let made = data(lua, &payload, compares);
            if let Some(limit) = limit {
                lua.set_memory_limit(limit)?;
            }
            made
        }
        3 => {
            let meta = lua.create_table()?;
            for (key, value) in event.meta().iter() {
                meta.raw_set(key, to_data(lua, value)?)?;
            }
            Ok(Value::Table(meta))
        }
        _ => Ok(Value::Number(event.time().as_secs_f64())),
    }
}

fn data(lua: &Lua, payload: &Payload, compares: bool) -> mlua::Result<Value> {
    if payload.tree().is_none()
        && !compares
        && let Some(data) = read_data(lua, payload.bytes())
    {
        return Ok(data);
    }
    let json = payload.json().map_err(|error| raise(lua, error))?;
    to_data(lua, json).map_err(|error| match error.downcast_ref::<Error>() {
        Some(ours) => raise(lua, ours.clone()),
        None => error,
    })
}

/// An event that was made, and how many bytes its meta takes where that was made too.
pub(super) type Made = (Event, usize);

/// The event that a function has returned or emitted: a view as it is now, data in its place, or
/// bytes.
pub(super) fn made(value: &Value, shared: &Shared, table: &dyn Fn()) -> Result<Made> {
    let most = shared.spec.event_bytes;
    let derive = |payload: Payload| (shared.base().derive(payload), 0);
    match value {
        Value::Table(view) if shared.is_view(view) => from_view(view, most, table),
        Value::Table(_) => json(value, None, most, table).map(derive),
        Value::String(text) => bytes(&text.as_bytes(), most).map(derive),
        other => {
            let error = format!(
                "an event, a table or a string expected, got {}",
                describe(other)
            );
            Err(Error::data(error))
        }
    }
}

fn json(value: &Value, before: Option<&Json>, most: usize, table: &dyn Fn()) -> Result<Payload> {
    let (json, size) = to_json_within(value, before, most, table)?;
    Ok(Payload::sized(json, size))
}

fn bytes(bytes: &[u8], most: usize) -> Result<Payload> {
    match bytes.len() {
        size if size > most => {
            let error = format!("an event of {size} bytes, more than {most} (max_event_bytes)");
            Err(Error::data(error))
        }
        _ => Ok(Payload::from(bytes)),
    }
}

fn from_view(view: &Table, most: usize, table: &dyn Fn()) -> Result<Made> {
    let wrong = |error: mlua::Error| Error::data(error.to_string());
    let handle: UserDataRef<Handle> = view.raw_get(1).map_err(wrong)?;
    let event = &handle.0;
    let given: Value = view.raw_get(PAYLOAD).map_err(wrong)?;
    let mut payload = payload(&given, event, most)?;
    let data: Value = view.raw_get("data").map_err(wrong)?;
    if !data.is_nil() {
        match payload.json() {
            Ok(json) if is_equal(&data, json, table) => {}
            Ok(before) => payload = json(&data, Some(before), most, table)?,
            Err(_) => payload = json(&data, None, most, table)?,
        }
    }
    let time = match view.raw_get("time").map_err(wrong)? {
        Value::Nil => event.time(),
        value => time(&value, event)?,
    };
    let (meta, size) = match view.raw_get("meta").map_err(wrong)? {
        Value::Nil => (event.meta().clone(), 0),
        value => meta(&value, most, table)?,
    };
    let (_, _, _, ack) = Event::new("", time).into_parts();
    Ok((Event::from_parts(payload, time, meta, ack), size))
}

/// The payload: the event's own, or what the function has assigned.
fn payload(given: &Value, event: &Event, most: usize) -> Result<Payload> {
    match given {
        Value::Nil => Ok(event.payload().clone()),
        Value::String(text) if *text.as_bytes() == *event.payload().bytes() => {
            Ok(event.payload().clone())
        }
        Value::String(text) => bytes(&text.as_bytes(), most),
        other => Err(Error::data(format!(
            "the payload of an event is a string, got {}",
            describe(other)
        ))),
    }
}

fn time(value: &Value, event: &Event) -> Result<Timestamp> {
    let seconds = match value {
        Value::Integer(seconds) => *seconds as f64,
        Value::Number(seconds) => *seconds,
        other => {
            let error = format!(
                "the time of an event is in seconds, got {}",
                describe(other)
            );
            return Err(Error::data(error));
        }
    };
    if seconds == event.time().as_secs_f64() {
        return Ok(event.time());
    }
    let micros = (seconds * 1e6).round();
    // What a double of microseconds holds exactly: some 285 years.
    if micros.is_nan() || micros.abs() > (1_i64 << 53) as f64 {
        let error = Error::data(format!("bad time of an event: {seconds}"));
        let unit = unit_that_fits(seconds, event.time());
        return Err(
            error.with_hint_opt(unit.map(|unit| format!("it is in seconds, not in {unit}")))
        );
    }
    Ok(Timestamp::from_micros(micros as i64))
}

/// The meta that a function has read or assigned, and its size as JSON.
fn meta(value: &Value, most: usize, table: &dyn Fn()) -> Result<(Meta, usize)> {
    let (json, size) = to_json_within(value, None, most, table)?;
    let map = match json {
        Json::Object(map) => map,
        _ => {
            let error = format!("the meta of an event is a table, got {}", describe(value));
            return Err(Error::data(error));
        }
    };
    Ok((with(map), size))
}

fn with(map: Map<String, Json>) -> Meta {
    let event = Event::new("", Timestamp::EPOCH);
    let event = map
        .into_iter()
        .fold(event, |event, (key, value)| event.with_meta(&key, value));
    event.meta().clone()
}
