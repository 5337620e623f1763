//! Values of Lua as JSON, and back. Whole numbers stay whole, up to 64 bits; what JSON cannot say
//! is an error, never nil in silence.

use crate::error::{Error, Result, quote};
use mlua::{Lua, Table, Value as LuaValue};
use serde_json::{Map, Number, Value};

/// How deep tables may nest; a table that contains itself ends here.
const MAX_DEPTH: usize = 127;

/// A Lua value as JSON. A table whose keys are 1 to n is an array (with null in its holes, where more
/// places are filled than not), one with names is an object, an empty one is an empty object.
pub(super) fn to_json(value: &LuaValue) -> Result<Value> {
    convert(value, 0)
}

fn convert(value: &LuaValue, depth: usize) -> Result<Value> {
    if depth > MAX_DEPTH {
        return Err(Error::data(format!(
            "a table nested deeper than {MAX_DEPTH}"
        )));
    }
    match value {
        LuaValue::Nil => Ok(Value::Null),
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
        LuaValue::Table(table) => table_to_json(table, depth),
        other => Err(Error::data(format!(
            "a value of type {} has no form in JSON",
            other.type_name()
        ))),
    }
}

fn table_to_json(table: &Table, depth: usize) -> Result<Value> {
    let mut object = Map::new();
    let mut list = Vec::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, value) = pair.map_err(|error| Error::data(error.to_string()))?;
        match &key {
            LuaValue::Integer(at) => list.push((*at, convert(&value, depth + 1)?)),
            LuaValue::String(name) => {
                let name = name
                    .to_str()
                    .map_err(|_| Error::data("a key that is not UTF-8 has no form in JSON"))?;
                object.insert(name.to_owned(), convert(&value, depth + 1)?);
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
        (true, _) => {
            // The order of a Lua table is no order: names are sorted, so that equal tables are
            // equal texts.
            let mut sorted: Vec<_> = object.into_iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(Value::Object(sorted.into_iter().collect()))
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

/// A JSON value as Lua's. Null is nil.
pub(super) fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    Ok(match value {
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
                table.raw_set(at, to_lua(lua, item)?)?;
            }
            LuaValue::Table(table)
        }
        Value::Object(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            for (key, value) in map {
                table.raw_set(key.as_str(), to_lua(lua, value)?)?;
            }
            LuaValue::Table(table)
        }
    })
}

/// A value as messages name it: its type, and itself where that is short.
pub(super) fn describe(value: &LuaValue) -> String {
    match value {
        LuaValue::String(text) => quote(text.to_string_lossy()),
        LuaValue::Integer(value) => format!("number {value}"),
        LuaValue::Number(value) => format!("number {value}"),
        other => other.type_name().to_owned(),
    }
}
