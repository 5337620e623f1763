//! Lua that a person types: lines that build a network bit by bit, and expressions to look at it.

use super::runtime::{Runtime, Script};
use super::value::to_json;
use crate::error::Result;
use mlua::{MultiValue, Value};

/// What became of what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evaluated {
    /// It was executed; its values, as text.
    Done(Vec<String>),
    /// It has no end yet.
    Unfinished,
}

impl Runtime {
    /// Executes a piece of text, an expression too; like a script it takes effect as a whole or
    /// not at all. The module is there as the global `tb`; locals end with the piece.
    ///
    /// ```
    /// use tributary::{Network, Runtime, script::Evaluated};
    ///
    /// let runtime = Runtime::new(&Network::new())?;
    /// assert_eq!(runtime.evaluate("tb.create_forwarder(")?, Evaluated::Unfinished);
    /// runtime.evaluate("tb.create_forwarder('f')")?;
    /// let result = runtime.evaluate("1 + 1, tb.node_exists('f'), { n = 1 }")?;
    /// assert_eq!(result, Evaluated::Done(vec!["2".into(), "true".into(), r#"{"n":1}"#.into()]));
    /// # Ok::<(), tributary::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Runtime::compile_text`] and [`Runtime::execute`].
    #[doc(hidden)]
    pub fn evaluate(&self, text: &str) -> Result<Evaluated> {
        const NAME: &str = "typed";
        self.give_module("tb")?;
        let script = match self.compile_text(NAME, format!("return {text}")) {
            Ok(script) => script,
            Err(_) => match self.compile_text(NAME, text) {
                Ok(script) => script,
                Err(error) if error.message().contains("near <eof>") => {
                    return Ok(Evaluated::Unfinished);
                }
                Err(error) => return Err(error),
            },
        };
        self.values(&script).map(Evaluated::Done)
    }

    fn values(&self, script: &Script) -> Result<Vec<String>> {
        let values: MultiValue = self.execute_for(script)?;
        Ok(values.iter().map(shown).collect())
    }
}

/// A value as a person reads it: a table as JSON, where it has that form.
fn shown(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Table(table) if table.metatable().is_none() => match to_json(value) {
            Ok(json) => json.to_string(),
            Err(_) => "a table".to_owned(),
        },
        other => other
            .to_string()
            .unwrap_or_else(|_| other.type_name().to_owned()),
    }
}
