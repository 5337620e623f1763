//! The options of a connector: as a host or a script gives them, and as the connector reads them.
//!
//! [`Options`] is what was given; [`Settings`] are the same after every `${..}` was filled in and
//! every name was found among those that the connector knows. To read another type, add a method
//! to [`Settings`].

use super::secret::{Masked, fill};
use super::template::{JsonTemplate, Template};
use crate::error::{Error, ErrorKind, Result, did_you_mean, quote, quote_json};
use crate::secret;
use crate::time::{parse_duration, parse_positive_duration};
use serde_json::{Map, Value};
use std::time::Duration;

/// The options whose values are secrets, also where they are written in a script.
const SECRET: [&str; 1] = ["token"];

/// The options of a connector, as they are given.
///
/// ```
/// use tributary::connect::Options;
///
/// let options = Options::new().with("append", true).with("sync", false);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Options {
    values: Map<String, Value>,
    pub(super) is_confined: bool,
}

impl Options {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// The same without these.
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.values
            .retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    /// The same for a script that may not start programs: `exec:` is refused, also where the scheme
    /// is filled in.
    #[must_use]
    pub fn confined(mut self) -> Self {
        self.is_confined = true;
        self
    }

    /// The options as a JSON object.
    pub fn to_json(&self) -> Value {
        Value::Object(self.values.clone())
    }

    /// The options that a JSON object names; null names none.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_json(value: Value) -> Result<Self> {
        match value {
            Value::Object(values) => Ok(Options {
                values,
                is_confined: false,
            }),
            Value::Null => Ok(Options::default()),
            // What a table of Lua without anything in it is.
            Value::Array(items) if items.is_empty() => Ok(Options::default()),
            value => {
                let error = format!("options are an object, not {}", quote_json(&value));
                Err(Error::data(error))
            }
        }
    }
}

/// The options of a connector, filled in and checked, as the connector reads them.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    of: String,
    values: Map<String, Value>,
    /// The same as texts of templates, in which what was filled in has no places.
    templates: Map<String, Value>,
    /// The options that may be read as templates.
    may_be_templates: &'static [&'static str],
}

impl Settings {
    /// Fills them in; `of` is whose they are.
    pub(super) fn new(
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
        })
    }

    /// Whether this option is given.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value as it is, filled in.
    pub fn json(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// That an option is wrong: why, and what it is.
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

    /// A string that must be there.
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

    /// A boolean; `otherwise` where it is not given.
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

    /// How many, at least one; `otherwise` where it is not given.
    ///
    /// # Errors
    /// Anything else.
    pub fn count(&self, name: &str, otherwise: usize) -> Result<usize> {
        let given = self.integer(name, 1..=i64::from(u32::MAX))?;
        Ok(given.map_or(otherwise, |count| {
            usize::try_from(count).unwrap_or(otherwise)
        }))
    }

    /// A time such as "10s" that is more than nothing; `otherwise` where it is not given.
    ///
    /// # Errors
    /// Anything else.
    pub fn duration(&self, name: &str, otherwise: Duration) -> Result<Duration> {
        let given = self.timed(name, parse_positive_duration)?;
        Ok(given.unwrap_or(otherwise))
    }

    /// A time such as "10s", which may be nothing ("0s").
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

    /// A [template](Template).
    ///
    /// # Errors
    /// Anything else than a string, and a bad template.
    pub fn template(&self, name: &str) -> Result<Option<Template>> {
        self.string(name)?;
        match self.as_template(name) {
            Some(Value::String(text)) => self.parsed(name, Template::parse(text)).map(Some),
            _ => Ok(None),
        }
    }

    /// A [template](Template), or a list of them.
    ///
    /// # Errors
    /// Anything else than a string or a list of strings, and a bad template.
    pub fn templates(&self, name: &str) -> Result<Vec<Template>> {
        self.list(name)?;
        let texts = match self.as_template(name) {
            None => &[],
            Some(Value::Array(items)) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        let texts = texts.iter().filter_map(Value::as_str);
        texts
            .map(|text| self.parsed(name, Template::parse(text)))
            .collect()
    }

    /// An object of [templates](Template), as for headers.
    ///
    /// # Errors
    /// Anything else than an object of strings, and a bad template.
    pub fn template_pairs(&self, name: &str) -> Result<Vec<(String, Template)>> {
        self.pairs(name)?;
        let map = self.as_template(name).and_then(Value::as_object);
        let texts = map.into_iter().flatten();
        let texts = texts.filter_map(|(name, value)| Some((name, value.as_str()?)));
        texts
            .map(|(key, text)| Ok((key.clone(), self.parsed(name, Template::parse(text))?)))
            .collect()
    }

    /// JSON whose texts are [templates](JsonTemplate).
    ///
    /// # Errors
    /// A bad template.
    pub fn json_template(&self, name: &str) -> Result<Option<JsonTemplate>> {
        let value = self.as_template(name);
        value
            .map(|value| self.parsed(name, JsonTemplate::parse(value)))
            .transpose()
    }

    fn as_template(&self, name: &str) -> Option<&Value> {
        debug_assert!(
            self.may_be_templates.contains(&name),
            "{name} is not listed among the templates of {}",
            self.of
        );
        self.templates.get(name)
    }

    fn parsed<T>(&self, name: &str, parsed: Result<T>) -> Result<T> {
        parsed.map_err(|error| error.within(format!("option {name} of {}", self.of)))
    }

    /// That what was given cannot be done.
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
