//! Values that move from one VM to another: plain data of the host, which any thread may hold.
//!
//! References stay references: what was one table, function or captured variable before is one
//! afterwards.

use super::known::Known;
use crate::error::Error;
use crate::script::sandbox::Upvalues;
use mlua::chunk::ChunkMode;
use mlua::{Function, LightUserData, Lua, Value};

/// A value, or where it stands among the objects.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::script) enum Item {
    Nil,
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(Box<[u8]>),
    /// What every VM has.
    Known(Box<str>),
    Object(usize),
}

#[derive(Debug)]
pub(super) enum Object {
    Table {
        pairs: Vec<(Item, Item)>,
        meta: Option<Item>,
    },
    Function {
        code: Vec<u8>,
        /// The variables that it has captured, by number.
        captured: Vec<usize>,
    },
}

/// Something for a table that every VM has.
#[derive(Debug)]
pub(super) struct Addition {
    pub table: String,
    pub key: String,
    pub value: Item,
}

/// Values, and all that they refer to.
#[derive(Debug, Default)]
pub(in crate::script) struct Portable {
    pub(super) objects: Vec<Object>,
    /// The values of captured variables.
    pub(super) variables: Vec<Item>,
    pub(super) additions: Vec<Addition>,
    /// What was to be moved, in order.
    pub(super) roots: Vec<Item>,
    /// The names of the scripts that the functions come from, for messages.
    pub(super) chunks: Vec<String>,
    /// The names of all functions of the module.
    pub(super) functions: Vec<String>,
}

impl Portable {
    /// The names of the scripts that the functions come from.
    pub fn chunks(&self) -> &[String] {
        &self.chunks
    }

    /// The names of all functions that the module had there.
    pub fn functions(&self) -> &[String] {
        &self.functions
    }

    /// Makes the values anew in this VM.
    pub fn unpack(
        &self,
        lua: &Lua,
        upvalues: &Upvalues,
        known: &Known,
    ) -> mlua::Result<Vec<Value>> {
        let made: Vec<Value> = self
            .objects
            .iter()
            .map(|object| match object {
                Object::Table { pairs, .. } => lua
                    .create_table_with_capacity(0, pairs.len())
                    .map(Value::Table),
                Object::Function { code, .. } => lua
                    .load(code.as_slice())
                    .set_mode(ChunkMode::Binary)
                    .into_function()
                    .map(Value::Function),
            })
            .collect::<mlua::Result<_>>()?;
        let value = |item: &Item| -> mlua::Result<Value> {
            Ok(match item {
                Item::Nil => Value::Nil,
                Item::Null => Value::LightUserData(LightUserData(std::ptr::null_mut())),
                Item::Boolean(value) => Value::Boolean(*value),
                Item::Integer(value) => Value::Integer(*value),
                Item::Number(value) => Value::Number(*value),
                Item::Text(text) => Value::String(lua.create_string(text)?),
                Item::Known(name) => known.value(name).ok_or_else(|| missing(name))?,
                Item::Object(at) => made[*at].clone(),
            })
        };
        let mut homes: Vec<Option<(&Function, usize)>> = vec![None; self.variables.len()];
        for (object, made) in self.objects.iter().zip(&made) {
            match (object, made) {
                (Object::Table { pairs, meta }, Value::Table(table)) => {
                    for (key, held) in pairs {
                        table.raw_set(value(key)?, value(held)?)?;
                    }
                    if let Some(meta) = meta
                        && let Value::Table(meta) = value(meta)?
                    {
                        table.set_metatable(Some(meta))?;
                    }
                }
                (Object::Function { captured, .. }, Value::Function(function)) => {
                    for (at, variable) in (1..).zip(captured) {
                        match homes[*variable] {
                            Some((other, there)) => {
                                upvalues.join.call::<()>((function, at, other, there))?
                            }
                            None => {
                                let value = value(&self.variables[*variable])?;
                                upvalues.set.call::<()>((function, at, value))?;
                                homes[*variable] = Some((function, at));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        for addition in &self.additions {
            if let Some(Value::Table(table)) = known.value(&addition.table) {
                table.raw_set(addition.key.as_str(), value(&addition.value)?)?;
            }
        }
        self.roots.iter().map(value).collect()
    }
}

fn missing(name: &str) -> mlua::Error {
    mlua::Error::external(Error::data(format!("{name} is not there in a node")))
}
