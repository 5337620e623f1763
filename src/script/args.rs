//! What a function was called with.

use super::value::{describe, to_json};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::time::{parse_duration, parse_positive_duration};
use mlua::Value as LuaValue;
use serde_json::{Map, Value};
use std::time::Duration;

/// The arguments of a call from Lua, counted from 1.
pub struct Args {
    function: String,
    values: Vec<LuaValue>,
}

opaque_debug!(Args, function);

impl Args {
    pub(super) fn new(function: &str, values: Vec<LuaValue>) -> Self {
        Args {
            function: function.to_owned(),
            values,
        }
    }

    pub(super) fn values(&self) -> &[LuaValue] {
        &self.values
    }

    /// How many there are, `nil` at the end included.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Refuses more arguments than the function takes.
    ///
    /// # Errors
    /// More than `most` arguments.
    pub fn at_most(&self, most: usize) -> Result<()> {
        if self.len() > most {
            Err(Error::data(format!(
                "too many arguments to {}: {most} at most, got {}",
                self.function,
                self.len()
            )))
        } else {
            Ok(())
        }
    }

    fn get(&self, at: usize) -> &LuaValue {
        self.values.get(at - 1).unwrap_or(&LuaValue::Nil)
    }

    pub(super) fn wrong(&self, at: usize, expected: &str) -> Error {
        let got = match self.get(at) {
            LuaValue::Nil if at > self.len() => "nothing".to_owned(),
            value => describe(value),
        };
        Error::data(format!(
            "bad argument #{at} to {}: {expected} expected, got {got}",
            self.function
        ))
    }

    /// A string.
    ///
    /// # Errors
    /// Anything else, and one that is not UTF-8.
    pub fn string(&self, at: usize) -> Result<String> {
        match self.get(at) {
            LuaValue::String(text) => match text.to_str() {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => Err(self.wrong(at, "a string in UTF-8")),
            },
            _ => Err(self.wrong(at, "string")),
        }
    }

    /// What a person would read: a string, or a number or boolean as text, cut after so many bytes.
    pub(super) fn text(&self, at: usize, longest: usize) -> Result<String> {
        match self.get(at) {
            LuaValue::String(text) => {
                let bytes = text.as_bytes();
                Ok(match bytes.get(..longest) {
                    Some(head) if head.len() < bytes.len() => {
                        format!("{} … (cut)", String::from_utf8_lossy(head))
                    }
                    _ => text.to_string_lossy(),
                })
            }
            LuaValue::Integer(_) | LuaValue::Number(_) | LuaValue::Boolean(_) => {
                Ok(self.get(at).to_string().unwrap_or_default())
            }
            _ => Err(self.wrong(at, "string")),
        }
    }

    /// A string, if one is there.
    ///
    /// # Errors
    /// Something that is neither a string nor nil.
    pub fn string_opt(&self, at: usize) -> Result<Option<String>> {
        match self.get(at) {
            LuaValue::Nil => Ok(None),
            _ => self.string(at).map(Some),
        }
    }

    /// All strings from this argument on.
    ///
    /// # Errors
    /// Something else among them.
    pub fn strings(&self, from: usize) -> Result<Vec<String>> {
        (from..=self.len()).map(|at| self.string(at)).collect()
    }

    /// A whole number.
    ///
    /// # Errors
    /// Anything else, and a number with a fraction.
    pub fn integer(&self, at: usize) -> Result<i64> {
        match self.get(at) {
            LuaValue::Integer(value) => Ok(*value),
            LuaValue::Number(value) if is_whole(*value) => Ok(*value as i64),
            _ => Err(self.wrong(at, "integer")),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// Anything else.
    pub fn number(&self, at: usize) -> Result<f64> {
        match self.get(at) {
            LuaValue::Integer(value) => Ok(*value as f64),
            LuaValue::Number(value) => Ok(*value),
            _ => Err(self.wrong(at, "number")),
        }
    }

    /// A boolean.
    ///
    /// # Errors
    /// Anything else.
    pub fn boolean(&self, at: usize) -> Result<bool> {
        match self.get(at) {
            LuaValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong(at, "boolean")),
        }
    }

    /// A duration in text (`"10s"`) that is more than zero.
    ///
    /// # Errors
    /// Anything else; see [`parse_duration`](crate::time::parse_duration).
    pub fn duration(&self, at: usize) -> Result<Duration> {
        let wrong = |error: Error| error.within(format!("bad argument #{at} to {}", self.function));
        parse_positive_duration(&self.string(at)?).map_err(wrong)
    }

    /// A function of Lua.
    pub(super) fn function(&self, at: usize) -> Result<mlua::Function> {
        match self.get(at) {
            LuaValue::Function(function) => Ok(function.clone()),
            _ => Err(self.wrong(at, "function")),
        }
    }

    /// A table of Lua.
    pub(super) fn table(&self, at: usize) -> Result<mlua::Table> {
        match self.get(at) {
            LuaValue::Table(table) => Ok(table.clone()),
            _ => Err(self.wrong(at, "table")),
        }
    }

    /// The function that was called.
    pub(super) fn called(&self) -> &str {
        &self.function
    }

    /// Whatever it is, as JSON; nil is null.
    ///
    /// # Errors
    /// What has no form in JSON: a function, NaN, a table with both numbers and names.
    pub fn json(&self, at: usize) -> Result<Value> {
        let wrong = |error: Error| error.within(format!("bad argument #{at} to {}", self.function));
        to_json(self.get(at)).map_err(wrong)
    }

    /// Whether there is a table.
    pub fn is_table(&self, at: usize) -> bool {
        self.get(at).is_table()
    }

    /// A table of options, or none.
    ///
    /// # Errors
    /// Something that is neither a table nor nil, an option that is not among `known`.
    pub(super) fn options(&self, at: usize, known: &[&str]) -> Result<Options> {
        let values = match self.get(at) {
            LuaValue::Nil => Map::new(),
            LuaValue::Table(_) => match self.json(at)? {
                Value::Object(map) => map,
                _ => return Err(self.wrong(at, "table of options")),
            },
            _ => return Err(self.wrong(at, "table of options")),
        };
        if let Some(unknown) = values.keys().find(|key| !known.contains(&key.as_str())) {
            let hint = did_you_mean(unknown, known.iter().copied())
                .unwrap_or_else(|| format!("its options are {}", known.join(", ")));
            let error = format!("{} has no option {}", self.function, quote(unknown));
            return Err(Error::data(error).with_hint(hint));
        }
        Ok(Options {
            function: self.function.clone(),
            values,
        })
    }
}

/// Whether a float stands for one whole number: beyond 2^53 it stands for several.
fn is_whole(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() <= (1_i64 << 53) as f64
}

/// A table of options.
pub(super) struct Options {
    function: String,
    values: Map<String, Value>,
}

impl Options {
    fn wrong(&self, name: &str, expected: &str) -> Error {
        let got = self
            .values
            .get(name)
            .map(Value::to_string)
            .unwrap_or_default();
        let error = format!(
            "option {name} of {}: {expected} expected, got {got}",
            self.function
        );
        Error::data(error)
    }

    /// Whose options they are.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// All of them.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    pub fn boolean(&self, name: &str) -> Result<Option<bool>> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.wrong(name, "boolean")),
        }
    }

    /// A string that must be there.
    pub fn required(&self, name: &str) -> Result<String> {
        self.string(name)?.ok_or_else(|| {
            let error = format!("{} needs the option {name}", self.function);
            Error::data(error)
        })
    }

    /// A time such as "10s"; it may be nothing.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>> {
        self.timed(name, parse_duration)
    }

    /// A time such as "10s", and not nothing.
    pub fn positive_duration(&self, name: &str) -> Result<Option<Duration>> {
        self.timed(name, parse_positive_duration)
    }

    fn timed(&self, name: &str, parse: fn(&str) -> Result<Duration>) -> Result<Option<Duration>> {
        let text = match self.values.get(name) {
            Some(Value::String(_)) | None => self.string(name)?,
            Some(_) => return Err(self.wrong(name, "a time such as \"10s\"")),
        };
        let of = |error: Error| error.within(format!("option {name} of {}", self.function));
        text.map(|text| parse(&text).map_err(of)).transpose()
    }

    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.values.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| self.wrong(name, "number")),
        }
    }

    pub fn string(&self, name: &str) -> Result<Option<String>> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value.clone())),
            Some(_) => Err(self.wrong(name, "string")),
        }
    }

    /// A string, or a list of strings.
    pub fn strings(&self, name: &str) -> Result<Option<Vec<String>>> {
        let wrong = || self.wrong(name, "a string or a list of strings");
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(vec![value.clone()])),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts
                    .collect::<Option<Vec<_>>>()
                    .map(Some)
                    .ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    pub fn integer(&self, name: &str) -> Result<Option<i64>> {
        match self.values.get(name) {
            None => Ok(None),
            Some(value) => match (value.as_i64(), value.as_f64()) {
                (Some(whole), _) => Ok(Some(whole)),
                (None, Some(real)) if is_whole(real) => Ok(Some(real as i64)),
                _ => Err(self.wrong(name, "integer")),
            },
        }
    }
}
