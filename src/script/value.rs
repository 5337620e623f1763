//! Values of Lua as JSON, and back. Whole numbers stay whole, up to 64 bits; what JSON cannot express
//! is an error, never nil in silence.
//!
//! What a native function gives has nil for null. The data of events keeps everything: null is
//! `tb.null`, and a list has a metatable that marks it, so that an empty one stays a list.

mod bytes;
mod json;

pub(super) use bytes::read_data;
pub(super) use json::{to_json, to_json_within};

use crate::error::{Error, quote};
use mlua::{Lua, Table, Value as LuaValue};
use serde_json::Value;

/// The metatable of lists, one for each VM.
struct Lists(Table);

/// What marks the metatable of a list.
const LIST: &str = "__list";

fn is_list(table: &Table) -> bool {
    let mark = table.metatable().map(|meta| meta.raw_get::<bool>(LIST));
    matches!(mark, Some(Ok(true)))
}

/// Marks a table as a list, so that it is one in JSON when it is empty too.
pub(super) fn mark_list(lua: &Lua, table: &Table) -> mlua::Result<()> {
    if let Some(lists) = lua.app_data_ref::<Lists>() {
        return table.set_metatable(Some(lists.0.clone()));
    }
    let meta = lua.create_table()?;
    meta.raw_set(LIST, true)?;
    meta.raw_set("__metatable", false)?;
    lua.set_app_data(Lists(meta.clone()));
    table.set_metatable(Some(meta))
}

/// What stands for null in Lua.
pub(super) fn null() -> LuaValue {
    LuaValue::LightUserData(mlua::LightUserData(std::ptr::null_mut()))
}

/// A JSON value as Lua's. Null is nil.
pub(super) fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    make(lua, value, false)
}

/// A JSON value as Lua's, of which nothing is lost: null is `tb.null`, lists are marked.
pub(super) fn to_data(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    make(lua, value, true)
}

fn make(lua: &Lua, value: &Value, whole: bool) -> mlua::Result<LuaValue> {
    Ok(match value {
        Value::Null if whole => null(),
        Value::Null => LuaValue::Nil,
        Value::Bool(value) => LuaValue::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => LuaValue::Integer(whole),
            (None, Some(_)) if number.is_u64() => {
                let error = format!("{number} is too large for an integer of Lua");
                return Err(mlua::Error::external(Error::data(error)));
            }
            (None, real) => LuaValue::Number(real.unwrap_or(f64::NAN)),
        },
        Value::String(text) => LuaValue::String(lua.create_string(text)?),
        Value::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (at, item) in (1..).zip(items) {
                table.raw_set(at, make(lua, item, whole)?)?;
            }
            if whole {
                mark_list(lua, &table)?;
            }
            LuaValue::Table(table)
        }
        Value::Object(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            for (key, value) in map {
                // Without a value in between, which costs as much again.
                match value {
                    Value::String(text) => table.raw_set(key.as_str(), text.as_str())?,
                    value => table.raw_set(key.as_str(), make(lua, value, whole)?)?,
                }
            }
            LuaValue::Table(table)
        }
    })
}

/// Whether a value made with [`to_data`] still is_equal the same. Each table is reported, since to go
/// through one may take long.
pub(super) fn is_equal(value: &LuaValue, json: &Value, table: &dyn Fn()) -> bool {
    let seen = table;
    match (value, json) {
        (LuaValue::Boolean(value), Value::Bool(expected)) => value == expected,
        (LuaValue::Integer(value), Value::Number(expected)) => expected.as_i64() == Some(*value),
        (LuaValue::Number(value), Value::Number(expected)) => {
            expected.is_f64() && expected.as_f64().map(f64::to_bits) == Some(value.to_bits())
        }
        (LuaValue::String(text), Value::String(expected)) => {
            *text.as_bytes() == *expected.as_bytes()
        }
        (LuaValue::Table(table), Value::Array(items)) => {
            seen();
            holds(table, items.len(), |key, value| match key {
                LuaValue::Integer(at) => usize::try_from(at - 1)
                    .ok()
                    .and_then(|at| items.get(at))
                    .is_some_and(|item| is_equal(value, item, seen)),
                _ => false,
            })
        }
        (LuaValue::Table(table), Value::Object(map)) => {
            seen();
            holds(table, map.len(), |key, value| match key {
                LuaValue::String(name) => name
                    .to_str()
                    .ok()
                    .and_then(|name| map.get(&*name))
                    .is_some_and(|expected| is_equal(value, expected, seen)),
                _ => false,
            })
        }
        (value, Value::Null) => value.is_null(),
        _ => false,
    }
}

/// Whether a table has so many values, all of which are right.
fn holds(table: &Table, count: usize, right: impl Fn(&LuaValue, &LuaValue) -> bool) -> bool {
    let mut seen = 0;
    let looked = table.for_each(|key: LuaValue, value: LuaValue| {
        seen += 1;
        if right(&key, &value) {
            Ok(())
        } else {
            // Only to stop looking.
            Err(mlua::Error::StackError)
        }
    });
    looked.is_ok() && seen == count
}

/// A value as messages name it: its type, and itself where that is short.
pub(super) fn describe(value: &LuaValue) -> String {
    match value {
        LuaValue::String(text) => quote(text.to_string_lossy()),
        LuaValue::Integer(value) => format!("number {value}"),
        LuaValue::Number(value) => format!("number {value}"),
        value if value.is_null() => "null".to_owned(),
        other => other.type_name().to_owned(),
    }
}
