//! Options that are templates, whose placeholders each event fills in.
//!
//! The invariant: text that a `${..}` stood for has no placeholders.

use super::Settings;
use crate::error::Result;
use crate::format::{JsonTemplate, Template};
use serde_json::Value;

impl Settings {
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
}
