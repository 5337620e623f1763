//! Values of Lua as JSON, and back. Whole numbers stay whole, up to 64 bits; what JSON cannot say
//! is an error, never nil in silence.
//!
//! What a native function gives has nil for null. The data of events keeps everything: null is
//! `tb.null`, and a list has a metatable that marks it, so that an empty one stays a list.

mod bytes;

pub(super) use bytes::read_data;

use crate::error::{Error, Result, quote};
use mlua::{Lua, Table, Value as LuaValue};
use serde_json::{Map, Number, Value};

/// How deep tables may nest; a table that contains itself ends here.
const MAX_DEPTH: usize = 127;

/// A Lua value as JSON. A table whose keys are 1 to n is an array (with null in its holes, where more
/// places are filled than not), one with names is an object, an empty one is an empty object.
pub(super) fn to_json(value: &LuaValue) -> Result<Value> {
    convert(value, None, 0)
}

/// The same for a value that was this one before: names keep their order, and an empty list stays
/// one.
pub(super) fn to_json_like(value: &LuaValue, before: &Value) -> Result<Value> {
    convert(value, Some(before), 0)
}

fn convert(value: &LuaValue, before: Option<&Value>, depth: usize) -> Result<Value> {
    if depth > MAX_DEPTH {
        return Err(Error::data(format!(
            "a table nested deeper than {MAX_DEPTH}"
        )));
    }
    match value {
        LuaValue::Nil => Ok(Value::Null),
        value if value.is_null() => Ok(Value::Null),
        LuaValue::Boolean(value) => Ok(Value::Bool(*value)),
        LuaValue::Integer(value) => Ok(Value::from(*value)),
        LuaValue::Number(value) => Number::from_f64(*value)
            .map(Value::Number)
            .ok_or_else(|| Error::data(format!("the number {value} has no form in JSON"))),
        LuaValue::String(text) => match text.to_str() {
            Ok(text) => Ok(Value::String(text.to_owned())),
            Err(_) => Err(Error::data(
                "a string that is not UTF-8 has no form in JSON",
            )),
        },
        LuaValue::Table(table) => table_to_json(table, before, depth),
        other => Err(Error::data(format!(
            "a value of type {} has no form in JSON",
            other.type_name()
        ))),
    }
}

fn table_to_json(table: &Table, before: Option<&Value>, depth: usize) -> Result<Value> {
    let mut object = Map::new();
    let mut list = Vec::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, value) = pair.map_err(|error| Error::data(error.to_string()))?;
        match &key {
            LuaValue::Integer(at) => {
                let place = usize::try_from(at - 1).ok();
                let before = place.and_then(|at| before?.as_array()?.get(at));
                list.push((*at, convert(&value, before, depth + 1)?));
            }
            LuaValue::String(name) => {
                let name = name
                    .to_str()
                    .map_err(|_| Error::data("a key that is not UTF-8 has no form in JSON"))?;
                let before = before.and_then(|before| before.get(&*name));
                object.insert(name.to_owned(), convert(&value, before, depth + 1)?);
            }
            other => {
                return Err(Error::data(format!(
                    "a table key of type {} has no form in JSON",
                    other.type_name()
                )));
            }
        }
    }
    match (list.is_empty(), object.is_empty()) {
        (true, true) if is_list(table) || before.is_some_and(Value::is_array) => {
            Ok(Value::Array(Vec::new()))
        }
        (true, _) => {
            // The order of a Lua table is no order: names are sorted, so that equal tables are
            // equal texts; those that were there before stay where they were.
            let before = before.and_then(Value::as_object);
            let place = |name: &str| before?.keys().position(|known| known == name);
            let mut sorted: Vec<_> = object
                .into_iter()
                .map(|(name, value)| (place(&name).unwrap_or(usize::MAX), name, value))
                .collect();
            sorted.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            let pairs = sorted.into_iter().map(|(_, name, value)| (name, value));
            Ok(Value::Object(pairs.collect()))
        }
        (false, true) => array(list),
        (false, false) => Err(Error::data(
            "a table with both numbers and names has no form in JSON",
        )),
    }
}

/// A list of the values at these places; a hole is null. What Lua says of its length is not asked:
/// that finds a hole by doubling, and can be 2^62 for a table of sixty values.
fn array(list: Vec<(i64, Value)>) -> Result<Value> {
    let (mut first, mut last) = (1, 0);
    for (at, _) in &list {
        (first, last) = (first.min(*at), last.max(*at));
    }
    let len = usize::try_from(last).ok().filter(|_| first == 1);
    let Some(len) = len.filter(|len| len / 2 < list.len()) else {
        return Err(Error::data(
            "a table whose keys are numbers, but not 1 to n, has no form in JSON",
        ));
    };
    let mut array = vec![Value::Null; len];
    for (at, value) in list {
        array[at as usize - 1] = value;
    }
    Ok(Value::Array(array))
}

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

/// Whether a value made with [`to_data`] still says the same.
pub(super) fn says(value: &LuaValue, json: &Value) -> bool {
    match (value, json) {
        (LuaValue::Boolean(value), Value::Bool(said)) => value == said,
        (LuaValue::Integer(value), Value::Number(said)) => said.as_i64() == Some(*value),
        (LuaValue::Number(value), Value::Number(said)) => {
            said.is_f64() && said.as_f64().map(f64::to_bits) == Some(value.to_bits())
        }
        (LuaValue::String(text), Value::String(said)) => *text.as_bytes() == *said.as_bytes(),
        (LuaValue::Table(table), Value::Array(items)) => {
            holds(table, items.len(), |key, value| match key {
                LuaValue::Integer(at) => usize::try_from(at - 1)
                    .ok()
                    .and_then(|at| items.get(at))
                    .is_some_and(|item| says(value, item)),
                _ => false,
            })
        }
        (LuaValue::Table(table), Value::Object(map)) => {
            holds(table, map.len(), |key, value| match key {
                LuaValue::String(name) => name
                    .to_str()
                    .ok()
                    .and_then(|name| map.get(&*name))
                    .is_some_and(|said| says(value, said)),
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
        match right(&key, &value) {
            true => Ok(()),
            // Only to stop looking.
            false => Err(mlua::Error::StackError),
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
