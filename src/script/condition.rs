//! A condition over events that is written as an expression of Lua.

use super::runtime::Runtime;
use super::value::to_lua;
use crate::error::Result;
use mlua::Function;
use serde_json::Value;

/// An expression over the event `e`.
pub(crate) struct Condition<'a> {
    runtime: &'a Runtime,
    function: Function,
}

impl Runtime {
    /// Compiles an expression.
    ///
    /// # Errors
    /// A mistake in its grammar.
    pub(crate) fn condition(&self, expression: &str) -> Result<Condition<'_>> {
        let text = format!("return function(e) return ({expression}) end");
        let script = self.compile_text("--where", text)?;
        Ok(Condition {
            runtime: self,
            function: self.execute_for(&script)?,
        })
    }
}

impl Condition<'_> {
    /// Whether it is true for this event.
    ///
    /// # Errors
    /// Whatever the expression raises.
    pub fn holds(&self, event: &Value) -> Result<bool> {
        let limit = self.runtime.call_time();
        self.runtime.call("condition", limit, |lua| {
            self.function.call::<bool>(to_lua(lua, event)?)
        })
    }
}
