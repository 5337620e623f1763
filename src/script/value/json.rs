//! Values of Lua as JSON, of a size that is counted while it is made: one table that stands in many
//! places is written many times.

use super::is_list;
use crate::error::{Error, Result};
use crate::payload::MAX_EVENT_BYTES;
use mlua::{Table, Value as LuaValue};
use serde_json::{Map, Number, Value};
use std::fmt::Write;

/// How deep tables may nest; a table that contains itself ends here.
const MAX_DEPTH: usize = 127;

/// A Lua value as JSON. A table whose keys are 1 to n is an array (with null in its holes, where more
/// places are filled than not), one with names is an object, an empty one is an empty object.
pub(in crate::script) fn to_json(value: &LuaValue) -> Result<Value> {
    to_json_within(value, None, MAX_EVENT_BYTES, &|| ()).map(|(value, _)| value)
}

/// The same within so many bytes as text, which are counted. Each table is reported, since to go
/// through one that was emptied may take long. For a value that was `before` before
/// names keep their order, and an empty list stays one.
pub(in crate::script) fn to_json_within(
    value: &LuaValue,
    before: Option<&Value>,
    most: usize,
    table: &dyn Fn(),
) -> Result<(Value, usize)> {
    let mut writer = Writer {
        most,
        size: 0,
        seen: table,
    };
    let value = writer.convert(value, before, 0)?;
    Ok((value, writer.size))
}

struct Writer<'a> {
    most: usize,
    /// The bytes of what was converted.
    size: usize,
    /// Is called for each table.
    seen: &'a dyn Fn(),
}

impl Writer<'_> {
    fn add(&mut self, bytes: usize) -> Result<()> {
        self.size += bytes;
        if self.size > self.most {
            Err(Error::data(format!(
                "more than {} bytes as JSON (max_event_bytes)",
                self.most
            )))
        } else {
            Ok(())
        }
    }

    fn text(&mut self, text: &str) -> Result<String> {
        self.add(written(text))?;
        Ok(text.to_owned())
    }

    fn number(&mut self, number: Number) -> Result<Value> {
        let mut count = Count(0);
        // Counting does not fail.
        let _ = write!(count, "{number}");
        self.add(count.0)?;
        Ok(Value::Number(number))
    }

    fn convert(&mut self, value: &LuaValue, before: Option<&Value>, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(Error::data(format!(
                "a table nested deeper than {MAX_DEPTH}"
            )));
        }
        match value {
            LuaValue::Nil => self.add(4).map(|()| Value::Null),
            value if value.is_null() => self.add(4).map(|()| Value::Null),
            LuaValue::Boolean(value) => self
                .add(if *value { 4 } else { 5 })
                .map(|()| Value::Bool(*value)),
            LuaValue::Integer(value) => self.number(Number::from(*value)),
            LuaValue::Number(value) => match Number::from_f64(*value) {
                Some(number) => self.number(number),
                None => Err(Error::data(format!(
                    "the number {value} has no form in JSON"
                ))),
            },
            LuaValue::String(text) => match text.to_str() {
                Ok(text) => self.text(&text).map(Value::String),
                Err(_) => Err(Error::data(
                    "a string that is not UTF-8 has no form in JSON",
                )),
            },
            LuaValue::Table(table) => self.table(table, before, depth),
            other => Err(Error::data(format!(
                "a value of type {} has no form in JSON",
                other.type_name()
            ))),
        }
    }

    fn table(&mut self, table: &Table, before: Option<&Value>, depth: usize) -> Result<Value> {
        let mut object = Map::new();
        let mut list = Vec::new();
        let items = before.and_then(Value::as_array);
        (self.seen)();
        // The brackets; commas stand between.
        self.add(2)?;
        let mut comma = 0;
        for pair in table.pairs::<LuaValue, LuaValue>() {
            let (key, value) = pair.map_err(|error| Error::data(error.to_string()))?;
            self.add(std::mem::replace(&mut comma, 1))?;
            match &key {
                LuaValue::Integer(at) => {
                    let place = usize::try_from(at - 1).ok();
                    let before = place.and_then(|at| items?.get(at));
                    list.push((*at, self.convert(&value, before, depth + 1)?));
                }
                LuaValue::String(name) => {
                    let name = name
                        .to_str()
                        .map_err(|_| Error::data("a key that is not UTF-8 has no form in JSON"))?;
                    let before = before.and_then(|before| before.get(&*name));
                    let value = self.convert(&value, before, depth + 1)?;
                    object.insert(self.text(&name)?, value);
                    self.add(1)?;
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
            (true, _) => Ok(Value::Object(ordered(object, before))),
            (false, true) => self.array(list),
            (false, false) => Err(Error::data(
                "a table with both numbers and names has no form in JSON",
            )),
        }
    }

    /// A list of the values at these places; a hole is null. Its length in Lua is not
    /// asked: that finds a hole by doubling, and can be 2^62 for a table of sixty values.
    fn array(&mut self, list: Vec<(i64, Value)>) -> Result<Value> {
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
        self.add((len - list.len()) * "null,".len())?;
        let mut array = vec![Value::Null; len];
        for (at, value) in list {
            array[at as usize - 1] = value;
        }
        Ok(Value::Array(array))
    }
}

/// The order of a Lua table is no order: names are sorted, so that equal tables are equal texts;
/// those that were there before stay where they were.
fn ordered(mut object: Map<String, Value>, before: Option<&Value>) -> Map<String, Value> {
    let before = before.and_then(Value::as_object);
    let mut ordered = Map::with_capacity(object.len());
    for name in before.into_iter().flat_map(Map::keys) {
        if let Some((name, value)) = object.swap_remove_entry(name) {
            ordered.insert(name, value);
        }
    }
    object.sort_keys();
    ordered.extend(object);
    ordered
}

/// How many bytes a text takes in JSON.
fn written(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 2,
        0..0x20 => 6,
        _ => 1,
    });
    2 + escaped.sum::<usize>()
}

struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_that_is_counted_is_the_size_of_the_text() -> Result<()> {
        let lua = mlua::Lua::new();
        for text in [
            "nil",
            "true",
            "false",
            "-12",
            "1 << 62",
            "0.1",
            "1e300",
            "''",
            "'a\"\\n\\1\\127é'",
            "{}",
            "{ 1, 2, 3 }",
            "{ 1, nil, 3 }",
            "{ a = 1, ['b\"'] = { {}, { x = 'y' } } }",
            "{ a = { 1.5, 'x', false } }",
        ] {
            let value: LuaValue = lua.load(text).eval().expect("Lua");
            let (json, size) = to_json_within(&value, None, 1000, &|| ())?;
            assert_eq!(json.to_string().len(), size, "of {text}");
            assert!(to_json_within(&value, None, size, &|| ()).is_ok());
            assert!(
                to_json_within(&value, None, size - 1, &|| ()).is_err(),
                "of {text}"
            );
        }
        Ok(())
    }
}
