//! Values that move from one VM to another: plain data of the host, which any thread may hold.
//!
//! References stay references: what was one table, function or captured variable before is one
//! afterwards.

use super::known::Known;
use crate::error::Error;
use crate::script::sandbox::Upvalues;
use mlua::chunk::ChunkMode;
use mlua::{Function, LightUserData, Lua, Table, Value};

/// A value, or where it stands among the objects.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::script) enum Item {
    Nil,
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(Box<[u8]>),
    /// A text that is longer, by its number: it is one, however often it is referred to.
    Long(usize),
    /// What every VM has.
    Known(Box<str>),
    Object(usize),
}

#[derive(Debug)]
pub(super) enum Object {
    Table {
        pairs: Box<[(Item, Item)]>,
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
    /// Texts that are longer than a few bytes.
    pub(super) texts: Vec<Box<[u8]>>,
    /// The values of captured variables.
    pub(super) variables: Vec<Item>,
    pub(super) additions: Vec<Addition>,
    /// What was to be moved, in order.
    pub(super) roots: Vec<Item>,
    /// The names of the scripts that the functions come from, for messages.
    pub(super) chunks: Vec<String>,
    /// The names of all functions of the module.
    pub(super) functions: Vec<String>,
    /// About how much memory this takes.
    pub(super) bytes: usize,
}

impl Portable {
    /// About how much memory this takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The names of the scripts that the functions come from.
    pub fn chunks(&self) -> &[String] {
        &self.chunks
    }

    /// The names of all functions that the module had there.
    pub fn functions(&self) -> &[String] {
        &self.functions
    }

    /// Makes copies of the values in this VM.
    pub fn unpack(
        &self,
        lua: &Lua,
        upvalues: &Upvalues,
        known: &Known,
    ) -> mlua::Result<Vec<Value>> {
        // In a table of Lua, since a million references are too many for the host.
        let objects = lua.create_table_with_capacity(self.objects.len(), 0)?;
        for (at, object) in (1..).zip(&self.objects) {
            match object {
                Object::Table { pairs, .. } => {
                    objects.raw_set(at, lua.create_table_with_capacity(0, pairs.len())?)?;
                }
                Object::Function { code, .. } => {
                    let chunk = lua.load(code.as_slice()).set_mode(ChunkMode::Binary);
                    objects.raw_set(at, chunk.into_function()?)?;
                }
            }
        }
        let texts = lua.create_table()?;
        let value = |item: &Item| -> mlua::Result<Value> {
            Ok(match item {
                Item::Nil => Value::Nil,
                Item::Null => Value::LightUserData(LightUserData(std::ptr::null_mut())),
                Item::Boolean(value) => Value::Boolean(*value),
                Item::Integer(value) => Value::Integer(*value),
                Item::Number(value) => Value::Number(*value),
                Item::Text(text) => Value::String(lua.create_string(text)?),
                Item::Long(at) => match texts.raw_get(at + 1)? {
                    Value::Nil => {
                        let text = lua.create_string(&self.texts[*at])?;
                        texts.raw_set(at + 1, &text)?;
                        Value::String(text)
                    }
                    text => text,
                },
                Item::Known(name) => known.value(name).ok_or_else(|| missing(name))?,
                Item::Object(at) => objects.raw_get(at + 1)?,
            })
        };
        let mut homes: Vec<Option<(usize, usize)>> = vec![None; self.variables.len()];
        for (number, object) in (1..).zip(&self.objects) {
            match object {
                Object::Table { pairs, meta } => {
                    let table: Table = objects.raw_get(number)?;
                    for (key, held) in pairs {
                        table.raw_set(value(key)?, value(held)?)?;
                    }
                    if let Some(meta) = meta
                        && let Value::Table(meta) = value(meta)?
                    {
                        table.set_metatable(Some(meta))?;
                    }
                }
                Object::Function { captured, .. } => {
                    let function: Function = objects.raw_get(number)?;
                    for (at, variable) in (1..).zip(captured) {
                        match homes[*variable] {
                            Some((other, there)) => {
                                let other: Function = objects.raw_get(other)?;
                                upvalues.join.call::<()>((&function, at, other, there))?;
                            }
                            None => {
                                let value = value(&self.variables[*variable])?;
                                upvalues.set.call::<()>((&function, at, value))?;
                                homes[*variable] = Some((number, at));
                            }
                        }
                    }
                }
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
