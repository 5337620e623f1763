//! The options of a connector, as the connector reads them.
//!
//! The invariants: every option name is one that the connector has, and every `${..}` is resolved. Options
//! that are templates are read by the methods in [`templates`]. To read another type, add a method to
//! [`Settings`].

mod formats;
mod templates;

use super::options::Options;
use super::secret::{Masked, fill};
use crate::error::{Error, ErrorKind, Result, did_you_mean, quote, quote_json};
use crate::secret;
use crate::store::QueryLimits;
use crate::time::{parse_duration, parse_positive_duration};
use serde_json::{Map, Value};
use std::time::Duration;

/// The options whose values are secrets, also where they are written in a script.
const SECRET: [&str; 1] = ["token"];

/// The options of a connector, filled in and checked, as the connector reads them.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    of: String,
    values: Map<String, Value>,
    /// The same as texts of templates, in which values have no placeholders.
    templates: Map<String, Value>,
    /// The options that may be read as templates.
    may_be_templates: &'static [&'static str],
    query_limits: QueryLimits,
}

impl Settings {
    /// Fills them in; `of` is whose they are.
    pub(in crate::connect) fn new(
        of: String,
        options: &Options,
        known: &[&str],
        may_be_templates: &'static [&'static str],
    ) -> Result<Self> {
        if let Some(unknown) = options
            .values
            .keys()
            .find(|key| !known.contains(&key.as_str()))
        {
            let hint =
                did_you_mean(unknown, known.iter().copied()).unwrap_or_else(|| match known {
                    [] => "it has none".to_owned(),
                    known => format!("its options are {}", known.join(", ")),
                });
            let error = format!("{of} has no option {}", quote(unknown));
            return Err(Error::data(error).with_hint(hint));
        }
        let (mut values, mut templates) = (Map::new(), Map::new());
        for (name, value) in &options.values {
            let within = |error: Error| error.within(format!("option {name} of {of}"));
            let (value, template) = fill_all(value).map_err(within)?;
            if let (Value::String(text), true) = (&value, SECRET.contains(&name.as_str())) {
                secret::add(text);
            }
            values.insert(name.clone(), value);
            templates.insert(name.clone(), template);
        }
        Ok(Settings {
            of,
            values,
            templates,
            may_be_templates,
            query_limits: options.query_limits,
        })
    }

    /// The limits of each query that the node runs.
    pub fn query_limits(&self) -> QueryLimits {
        self.query_limits
    }

    /// Whether this option is given.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value as it is, filled in.
    pub fn json(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// An error of one option: what is expected, and its value.
    pub fn wrong(&self, name: &str, expected: &str) -> Error {
        let got = match self.values.get(name) {
            None => "nothing".to_owned(),
            Some(value) => quote_json(value),
        };
        let error = format!(
            "option {name} of {}: {expected} expected, got {got}",
            self.of
        );
        Error::data(error)
    }

    /// A string.
    ///
    /// # Errors
    /// Anything else.
    pub fn string(&self, name: &str) -> Result<Option<&str>> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "string")),
        }
    }

    /// A string, which is mandatory.
    ///
    /// # Errors
    /// None, and anything else.
    pub fn required(&self, name: &str) -> Result<&str> {
        self.string(name)?
            .ok_or_else(|| Error::data(format!("{} needs the option {name}", self.of)))
    }

    /// One of these words.
    ///
    /// # Errors
    /// Anything else.
    pub fn choice(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        let found = words.iter().find(|word| **word == text);
        found.copied().map(Some).ok_or_else(|| {
            let error = self.wrong(name, &format!("one of {}", words.join(", ")));
            error.with_hint_opt(did_you_mean(text, words.iter().copied()))
        })
    }

    /// A boolean; `otherwise` if it is not set.
    ///
    /// # Errors
    /// Anything else.
    pub fn boolean(&self, name: &str, otherwise: bool) -> Result<bool> {
        match self.values.get(name) {
            None => Ok(otherwise),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong(name, "boolean")),
        }
    }

    /// A whole number of this range.
    ///
    /// # Errors
    /// Anything else.
    pub fn integer(&self, name: &str, range: std::ops::RangeInclusive<i64>) -> Result<Option<i64>> {
        let Some(value) = self.values.get(name) else {
            return Ok(None);
        };
        let whole = value.as_f64().filter(|real| real.fract() == 0.0);
        let number = value.as_i64().or_else(|| {
            whole
                .filter(|real| real.abs() < 1e15)
                .map(|real| real as i64)
        });
        match number {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let (least, most) = (range.start(), range.end());
                let expected = match *most {
                    i64::MAX => format!("a whole number from {least}"),
                    _ => format!("a whole number from {least} to {most}"),
                };
                Err(self.wrong(name, &expected))
            }
        }
    }

    /// A count of at least one; `otherwise` if it is not set.
    ///
    /// # Errors
    /// Anything else.
    pub fn count(&self, name: &str, otherwise: usize) -> Result<usize> {
        let given = self.integer(name, 1..=i64::from(u32::MAX))?;
        Ok(given.map_or(otherwise, |count| {
            usize::try_from(count).unwrap_or(otherwise)
        }))
    }

    /// A time such as "10s" of more than zero; `otherwise` if it is not set.
    ///
    /// # Errors
    /// Anything else.
    pub fn duration(&self, name: &str, otherwise: Duration) -> Result<Duration> {
        let given = self.timed(name, parse_positive_duration)?;
        Ok(given.unwrap_or(otherwise))
    }

    /// A time such as "10s", which may be zero ("0s").
    ///
    /// # Errors
    /// Anything else.
    pub fn duration_or_none(&self, name: &str) -> Result<Option<Duration>> {
        self.timed(name, parse_duration)
    }

    fn timed(&self, name: &str, parse: fn(&str) -> Result<Duration>) -> Result<Option<Duration>> {
        let text = match self.values.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(self.wrong(name, "a time such as \"10s\"")),
        };
        let of = |error: Error| error.within(format!("option {name} of {}", self.of));
        parse(text).map(Some).map_err(of)
    }

    /// A string, or a list of strings.
    ///
    /// # Errors
    /// Anything else.
    pub fn list(&self, name: &str) -> Result<Vec<String>> {
        let wrong = || self.wrong(name, "a string or a list of strings");
        match self.values.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// An object of strings, as for headers.
    ///
    /// # Errors
    /// Anything else.
    pub fn pairs(&self, name: &str) -> Result<Vec<(String, String)>> {
        let wrong = || self.wrong(name, "an object of strings");
        match self.values.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => {
                let pairs = map.iter().map(|(name, value)| {
                    let value = value.as_str()?;
                    Some((name.clone(), value.to_owned()))
                });
                pairs.collect::<Option<_>>().ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// An error of the options together.
    pub fn refuse(&self, why: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Config, format!("{}: {why}", self.of))
    }
}

/// The value with every `${..}` filled in, and the same as a template.
fn fill_all(value: &Value) -> Result<(Value, Value)> {
    Ok(match value {
        Value::String(text) => {
            let filled: Masked = fill(text)?;
            (filled.reveal().into(), filled.template().into())
        }
        Value::Array(items) => {
            let items = items.iter().map(fill_all);
            let (items, templates) = items.collect::<Result<(Vec<_>, Vec<_>)>>()?;
            (items.into(), templates.into())
        }
        Value::Object(map) => {
            let (mut items, mut templates) = (Map::new(), Map::new());
            for (name, item) in map {
                let (item, template) = fill_all(item)?;
                items.insert(name.clone(), item);
                templates.insert(name.clone(), template);
            }
            (items.into(), templates.into())
        }
        other => (other.clone(), other.clone()),
    })
}
