//! The options of a connector, as a host or a script gives them. A connector reads them as [`Settings`].
//!
//! [`Settings`]: super::settings::Settings

use crate::error::{Error, Result, quote_json};
use crate::store::QueryLimits;
use serde_json::{Map, Value};

/// The options of a connector, as they are given.
///
/// ```
/// use tributary::connect::Options;
///
/// let options = Options::new().with("append", true).with("sync", false);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pub(super) values: Map<String, Value>,
    pub(in crate::connect) is_confined: bool,
    pub(super) query_limits: QueryLimits,
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

    /// The same for a node that runs queries (`sql:`): each has these limits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tributary::{connect::Options, store::QueryLimits};
    ///
    /// let limits = QueryLimits::new().time(Duration::from_secs(60));
    /// let options = Options::new().with("cursor", "id").query_limits(limits);
    /// ```
    #[must_use]
    pub fn query_limits(mut self, limits: QueryLimits) -> Self {
        self.query_limits = limits;
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
                ..Options::default()
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
