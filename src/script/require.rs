//! `require`: the module `tributary`, and files in the script's own directory.

use super::failure::{self, raise};
use super::source;
use crate::error::{Error, Result, did_you_mean, quote};
use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, Table, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use xxhash_rust::xxh3::xxh3_64;

/// The longest name of a module, in bytes.
const LONGEST_NAME: usize = 255;

/// What `require` finds, and what it has found for the script that runs.
#[derive(Default)]
pub(super) struct Modules {
    /// The directory of the script that runs.
    directory: RefCell<Option<PathBuf>>,
    loaded: RefCell<HashMap<PathBuf, Loaded>>,
    /// The files that it has required, with digests of their texts, in the order of their loading.
    files: RefCell<Vec<(PathBuf, u64)>>,
    /// The names of all chunks, the one of the script that runs first.
    chunks: RefCell<Vec<String>>,
}

enum Loaded {
    /// It is being loaded, so a module that requires it is required by it.
    Begun,
    Done(Value),
}

impl Modules {
    /// A script begins.
    pub fn begin(&self, name: &str, directory: Option<PathBuf>) {
        *self.directory.borrow_mut() = directory;
        self.loaded.borrow_mut().clear();
        self.files.borrow_mut().clear();
        self.name(name, 0);
    }

    fn name(&self, name: &str, at: usize) {
        let mut chunks = self.chunks.borrow_mut();
        chunks.retain(|known| known != name);
        let at = at.min(chunks.len());
        chunks.insert(at, name.to_owned());
    }

    /// The files that the script has required so far, with digests of their texts.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.files.borrow().clone()
    }

    /// The names of all chunks, the one of the script that runs first.
    pub fn chunks(&self) -> Vec<String> {
        self.chunks.borrow().clone()
    }
}

/// The function `require`.
pub(super) fn create(lua: &Lua, module: &Table, modules: &Rc<Modules>) -> mlua::Result<Function> {
    let (module, modules) = (module.clone(), modules.clone());
    lua.create_function(move |lua, name: Value| {
        let Value::String(text) = &name else {
            let got = super::value::describe(&name);
            let error = format!("bad argument #1 to require: string expected, got {got}");
            return Err(raise(lua, Error::data(error)));
        };
        if *text == "tributary" {
            return Ok(Value::Table(module.clone()));
        }
        let length = text.as_bytes().len();
        if length > LONGEST_NAME {
            let error = format!("bad name of a module: {length} bytes, more than {LONGEST_NAME}");
            return Err(raise(lua, Error::data(error)));
        }
        let name = text.to_string_lossy();
        let path = find(&name, &modules).map_err(|error| raise(lua, error))?;
        match modules.loaded.borrow().get(&path) {
            Some(Loaded::Done(value)) => return Ok(value.clone()),
            Some(Loaded::Begun) => {
                let error = format!("module {} requires itself", quote(&name));
                return Err(raise(lua, Error::data(error)));
            }
            None => {}
        }
        modules
            .loaded
            .borrow_mut()
            .insert(path.clone(), Loaded::Begun);
        let loaded = load(lua, &path, &name, &modules);
        let done = match &loaded {
            Ok(value) => modules
                .loaded
                .borrow_mut()
                .insert(path, Loaded::Done(value.clone())),
            Err(_) => modules.loaded.borrow_mut().remove(&path),
        };
        drop(done);
        loaded
    })
}

/// The file of this module: dots stand between directories.
fn find(name: &str, modules: &Modules) -> Result<PathBuf> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let word = |word: &str| !word.is_empty() && word.chars().all(allowed);
    let missing = format!("no module {}", quote(name));
    if let Some(hint) = did_you_mean(name, ["tributary"]) {
        return Err(Error::data(missing).with_hint(hint));
    }
    let Some(directory) = modules.directory.borrow().clone() else {
        return Err(Error::data(format!("{missing}: there is \"tributary\"")));
    };
    if !name.split('.').all(word) {
        let error = format!("bad name of a module {}", quote(name));
        let hint = "a module is a file in the script's own directory: require(\"lib.rules\") loads lib/rules.lua";
        return Err(Error::data(error).with_hint(hint));
    }
    let mut path = directory;
    path.extend(name.split('.'));
    path.set_extension("lua");
    if path.is_file() {
        Ok(path)
    } else {
        let shown = path.display().to_string();
        Err(Error::data(format!(
            "{missing}: there is no file {}",
            quote(shown)
        )))
    }
}

fn load(lua: &Lua, path: &Path, name: &str, modules: &Modules) -> mlua::Result<Value> {
    let shown = path.display().to_string();
    let text = source::read(path).map_err(|error| raise(lua, error))?;
    modules.name(&shown, 1);
    let digest = xxh3_64(text.as_bytes());
    modules.files.borrow_mut().push((path.to_owned(), digest));
    let chunk = lua
        .load(&text)
        .set_name(format!("={shown}"))
        .set_mode(ChunkMode::Text);
    let function = chunk
        .into_function()
        .map_err(|error| raise(lua, failure::syntax(lua, &error, &shown, &text)))?;
    let value: Value = function.call((name, shown))?;
    Ok(match value {
        Value::Nil => Value::Boolean(true),
        value => value,
    })
}
