//! Takes a function out of its VM, with everything that it has captured.
//!
//! The walk needs no recursion, so that a list of a million tables has no depth, and what it has still
//! to look into is kept in a table of Lua, since the host cannot hold a million references. What cannot move
//! is refused with the path that leads to it.

mod path;

use super::known::Known;
use super::portable::{Addition, Item, Object, Portable};
use crate::error::{Error, Result};
use crate::script::chunks::is_sandbox;
use crate::script::failure::size;
use crate::script::sandbox::Upvalues;
use mlua::{Function, LuaString, Table, Value, WeakLua};
use path::{Label, Step, shown};
use std::collections::HashMap;

/// What a VM needs for others to take functions out of it.
pub(in crate::script) struct Host {
    pub lua: WeakLua,
    pub upvalues: Upvalues,
    pub known: Known,
}

/// Texts that are longer move once, however often they are referred to.
const SHORT: usize = 40;

/// About what is kept of an object, beside what it holds.
const OBJECT: usize = 72;

/// So many values move at once, since the host holds a reference to each.
const ROOTS: usize = 10_000;

struct Walk<'a> {
    host: &'a Host,
    /// What every VM has, by where it is.
    names: HashMap<usize, String>,
    portable: Portable,
    steps: Vec<Step>,
    /// Objects that were seen and not looked into.
    open: Table,
    opened: usize,
    seen: HashMap<usize, usize>,
    texts: HashMap<usize, usize>,
    variables: HashMap<usize, usize>,
    /// About how much memory the values take outside the VM, and how much they may.
    bytes: usize,
    most: usize,
}

impl Host {
    /// Takes these values, which have names for messages, out of the VM, as far as they take no more
    /// than so many bytes.
    ///
    /// # Errors
    /// Something that cannot move: its path. More than `most` bytes.
    pub fn capture(&self, roots: &[(String, Value)], most: usize) -> Result<Portable> {
        let mut walk = self.begin(most)?;
        for (name, value) in roots {
            walk.root(value, || name.clone())?;
        }
        walk.end()
    }

    /// Takes values out of the VM, one after the other, until they take `enough` bytes together;
    /// `next` hands them over, with what they are called. Each may take `most` bytes.
    ///
    /// # Errors
    /// Those of [`Host::capture`].
    pub fn capture_some(
        &self,
        (enough, most): (usize, usize),
        mut next: impl FnMut() -> Result<Option<(String, Value)>>,
    ) -> Result<Portable> {
        let mut walk = self.begin(most)?;
        while walk.bytes < enough && walk.portable.roots.len() < ROOTS {
            let Some((name, value)) = next()? else { break };
            walk.most = walk.bytes + most;
            walk.root(&value, || name)?;
        }
        walk.end()
    }

    fn begin(&self, most: usize) -> Result<Walk<'_>> {
        let gone = || Error::data("the VM of the script is gone");
        let lua = self.lua.try_upgrade().ok_or_else(gone)?;
        Ok(Walk {
            host: self,
            names: self.known.names(),
            portable: Portable {
                functions: self.known.functions(),
                ..Portable::default()
            },
            steps: Vec::new(),
            open: lua.create_table().map_err(wrong)?,
            opened: 0,
            seen: HashMap::new(),
            texts: HashMap::new(),
            variables: HashMap::new(),
            bytes: 0,
            most,
        })
    }
}

impl Walk<'_> {
    /// Takes one value, and all that it refers to.
    fn root(&mut self, value: &Value, name: impl FnOnce() -> String) -> Result<()> {
        let item = self.item(value, None, |_| Label::Root(name()))?;
        self.portable.roots.push(item);
        self.walk()
    }

    fn end(mut self) -> Result<Portable> {
        self.add_changes()?;
        self.portable.bytes = self.bytes;
        Ok(self.portable)
    }

    /// Counts what is taken.
    fn add(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        if self.bytes > self.most {
            let most = size(self.most);
            Err(Error::data(format!("more than {most} would have to move")))
        } else {
            Ok(())
        }
    }

    fn walk(&mut self) -> Result<()> {
        while self.portable.objects.len() < self.opened {
            let at = self.portable.objects.len();
            let open: Value = self.open.raw_get(at + 1).map_err(wrong)?;
            let object = match open {
                Value::Function(function) => self.function(&function, at)?,
                Value::Table(table) => self.table(&table, at)?,
                // Nothing else is an object.
                _ => Object::Table {
                    pairs: Box::default(),
                    meta: None,
                },
            };
            self.open.raw_set(at + 1, false).map_err(wrong)?;
            if let Object::Function { code, .. } = &object {
                self.add(code.len())?;
            }
            self.add(OBJECT)?;
            self.portable.objects.push(object);
        }
        Ok(())
    }

    fn text(&mut self, text: &LuaString) -> Result<Item> {
        let bytes = text.as_bytes();
        if bytes.len() <= SHORT {
            self.add(bytes.len())?;
            return Ok(Item::Text((*bytes).into()));
        }
        let pointer = text.to_pointer() as usize;
        if let Some(at) = self.texts.get(&pointer) {
            return Ok(Item::Long(*at));
        }
        self.add(bytes.len() + OBJECT)?;
        let at = self.portable.texts.len();
        self.portable.texts.push((*bytes).into());
        self.texts.insert(pointer, at);
        Ok(Item::Long(at))
    }

    fn item(
        &mut self,
        value: &Value,
        from: Option<usize>,
        label: impl FnOnce(bool) -> Label,
    ) -> Result<Item> {
        let refuse = |walk: &Self, what: &str, label: Label| {
            let path = walk.path(&Step { from, label });
            let error = format!("{path} is {what}, which cannot move to the thread of the node");
            Err(Error::data(error).with_hint(
                "what a node's function captures is plain data and functions; make the rest inside",
            ))
        };
        Ok(match value {
            Value::Nil => Item::Nil,
            Value::Boolean(value) => Item::Boolean(*value),
            Value::Integer(value) => Item::Integer(*value),
            Value::Number(value) => Item::Number(*value),
            Value::String(text) => self.text(text)?,
            value if value.is_null() => Item::Null,
            Value::Table(_) | Value::Function(_) => {
                let pointer = value.to_pointer() as usize;
                if let Some(at) = self.seen.get(&pointer) {
                    return Ok(Item::Object(*at));
                }
                if let Some(name) = self.names.get(&pointer) {
                    return Ok(Item::Known(name.as_str().into()));
                }
                if let Value::Function(function) = value {
                    let info = function.info();
                    if info.what == "C" {
                        return refuse(self, "a function that is not written in Lua", label(true));
                    }
                    // What that file makes and no VM has by name is a wrapped coroutine.
                    if info.source.is_some_and(|source| is_sandbox(&source)) {
                        return refuse(self, "a coroutine", label(true));
                    }
                }
                let at = self.opened;
                self.opened += 1;
                self.seen.insert(pointer, at);
                self.open.raw_set(at + 1, value).map_err(wrong)?;
                self.steps.push(Step {
                    from,
                    label: label(false),
                });
                Item::Object(at)
            }
            Value::Thread(_) => return refuse(self, "a coroutine", label(true)),
            Value::UserData(data) if is_file(data) => {
                return refuse(self, "an open file", label(true));
            }
            Value::Error(_) => return refuse(self, "an error", label(true)),
            other => return refuse(self, &format!("a {}", other.type_name()), label(true)),
        })
    }

    fn table(&mut self, table: &Table, at: usize) -> Result<Object> {
        let mut pairs = Vec::new();
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair.map_err(|error| Error::data(error.to_string()))?;
            let place = pairs.len();
            let label = |message| {
                if message {
                    Label::Key(shown(&key))
                } else {
                    Label::Pair(place)
                }
            };
            let held = self.item(&value, Some(at), label)?;
            let key = self.item(&key, Some(at), label)?;
            self.add(size_of::<(Item, Item)>())?;
            pairs.push((key, held));
        }
        let meta = match table.metatable() {
            Some(meta) if is_finalizer(&meta) => {
                let path = self.path(&Step {
                    from: Some(at),
                    label: Label::Meta,
                });
                let error = "a metatable with __gc or __close is not allowed";
                return Err(Error::data(format!("{path}: {error}")));
            }
            Some(meta) => Some(self.item(&Value::Table(meta), Some(at), |_| Label::Meta)?),
            None => None,
        };
        Ok(Object::Table {
            pairs: pairs.into_boxed_slice(),
            meta,
        })
    }

    fn function(&mut self, function: &Function, at: usize) -> Result<Object> {
        let info = function.info();
        if let Some(chunk) = info.source.as_deref().and_then(|s| s.strip_prefix('='))
            && !self.portable.chunks.iter().any(|known| known == chunk)
        {
            self.portable.chunks.push(chunk.to_owned());
        }
        let upvalues = &self.host.upvalues;
        let mut captured = Vec::new();
        for number in 1..=info.num_upvalues {
            let id: Value = upvalues.id.call((function, number)).map_err(wrong)?;
            let id = id.to_pointer() as usize;
            if let Some(variable) = self.variables.get(&id) {
                captured.push(*variable);
                continue;
            }
            let (name, value): (String, Value) =
                upvalues.get.call((function, number)).map_err(wrong)?;
            let item = self.item(&value, Some(at), |_| Label::Variable(name))?;
            let variable = self.portable.variables.len();
            self.portable.variables.push(item);
            self.variables.insert(id, variable);
            captured.push(variable);
        }
        Ok(Object::Function {
            // With names of variables and lines, for messages.
            code: function.dump(false),
            captured,
        })
    }

    /// Globals that scripts have made, where a function names them. Names of fields are not distinguished
    /// from names of globals, so there may be some too many.
    fn add_changes(&mut self) -> Result<()> {
        let mut changes = self.host.known.changes();
        loop {
            let (named, others): (Vec<_>, Vec<_>) =
                changes.into_iter().partition(|c| self.names(&c.key));
            changes = others;
            if named.is_empty() {
                return Ok(());
            }
            for change in named {
                let label = |_| match change.table.as_str() {
                    "_G" => Label::Global(change.key.clone()),
                    library => Label::Global(format!("{library}.{}", change.key)),
                };
                let value = self.item(&change.value, None, label)?;
                self.portable.additions.push(Addition {
                    table: change.table,
                    key: change.key,
                    value,
                });
            }
            self.walk()?;
        }
    }

    fn names(&self, key: &str) -> bool {
        let key = key.as_bytes();
        let mut objects = self.portable.objects.iter();
        objects.any(|object| match object {
            Object::Function { code, .. } => code.windows(key.len()).any(|at| at == key),
            Object::Table { .. } => false,
        })
    }
}

fn wrong(error: mlua::Error) -> Error {
    Error::data(error.to_string())
}

/// Whether a metatable has what runs where no limit of time reaches.
fn is_finalizer(meta: &Table) -> bool {
    let has = |name| !matches!(meta.raw_get(name), Ok(Value::Nil));
    has("__gc") || has("__close")
}

/// Files are the only foreign userdata of the standard library.
fn is_file(data: &mlua::AnyUserData) -> bool {
    data.type_id().is_none()
}
