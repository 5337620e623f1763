//! Helpers written in Lua over the native functions: `lua/prelude/*.lua`, embedded in the library.
//!
//! Each file is a chunk that gets the module and adds functions to it; the second thing it gets is a
//! table of what only the host can do. The comment above a
//! function is its documentation: the first line describes what it does.
//!
//! A directory of the user's own helpers is loaded likewise, after these ([`Helpers`]).

use super::chunks::host_chunk;
use super::signature::Signature;
use super::value::mark_list;
use super::{failure, source};
use crate::error::{Error, Result, quote};
use mlua::{Lua, Table, Value};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

/// The files, by name.
const FILES: [(&str, &str); 3] = [
    ("data.lua", include_str!("../../lua/prelude/data.lua")),
    ("links.lua", include_str!("../../lua/prelude/links.lua")),
    ("windows.lua", include_str!("../../lua/prelude/windows.lua")),
];

/// The user's own helpers: files, by their paths.
#[derive(Debug, Default)]
pub(super) struct Helpers(Vec<(String, String)>);

impl Helpers {
    /// Reads all `*.lua` of a directory, by name.
    ///
    /// # Errors
    /// A directory or a file that cannot be read.
    pub fn read(directory: &Path) -> Result<Self> {
        let shown = || format!("prelude {}", quote(directory.to_string_lossy()));
        let wrong = |error: std::io::Error| Error::io(shown(), &error);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.extension().is_some_and(|extension| extension == "lua") {
                paths.push(path);
            }
        }
        paths.sort();
        let files = paths.iter().map(|path| {
            let text = source::read(path)?;
            Ok((path.display().to_string(), text))
        });
        files.collect::<Result<_>>().map(Helpers)
    }

    /// A digest of their texts.
    pub fn digest(&self) -> u128 {
        let texts = self.0.iter().map(|(_, text)| text.as_str());
        xxh3_128(texts.collect::<Vec<_>>().join("\0").as_bytes())
    }

    /// Adds the helpers to a module; what is there already they must not replace.
    pub fn load(&self, lua: &Lua, module: &Table) -> mlua::Result<()> {
        let there: Vec<(String, Value)> = module.pairs().flatten().collect();
        for (path, text) in &self.0 {
            let chunk = host_chunk(lua, path, text);
            let chunk = chunk.into_function().map_err(|error| {
                // Once more under its own name, for the message.
                let plain = lua.load(text).set_name(format!("={path}")).into_function();
                let error = plain.err().unwrap_or(error);
                mlua::Error::external(failure::syntax(lua, &error, path, text))
            })?;
            chunk.call::<()>(module)?;
            for (name, function) in &there {
                if module.raw_get::<Value>(name.as_str())? != *function {
                    let error = format!("tributary has a function {} already", quote(name));
                    return Err(mlua::Error::external(Error::data(error).at(path.as_str())));
                }
            }
        }
        Ok(())
    }

    /// The functions, with the first line of their documentation.
    pub fn functions(&self) -> Vec<Signature> {
        self.0
            .iter()
            .flat_map(|(_, text)| signatures(text))
            .collect()
    }
}

/// Adds the helpers of the library to the module.
pub(super) fn load(lua: &Lua, module: &Table) -> mlua::Result<()> {
    let native = lua.create_table()?;
    let mark = |lua: &Lua, table: Table| {
        mark_list(lua, &table)?;
        Ok(table)
    };
    native.raw_set("mark_list", lua.create_function(mark)?)?;
    for (name, text) in FILES {
        host_chunk(lua, name, text).call::<()>((module, &native))?;
    }
    Ok(())
}

/// Every helper, with the first line of its documentation.
pub(super) fn functions() -> Vec<Signature> {
    FILES
        .iter()
        .flat_map(|(_, text)| signatures(text))
        .collect()
}

/// `function tb.name(arguments)`, and the first line of the `---` comment above it.
fn signatures(text: &str) -> Vec<Signature> {
    let mut found = Vec::new();
    let mut about: Option<&str> = None;
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("---") {
            let comment = comment.trim();
            if !comment.starts_with('@') {
                about = about.or(Some(comment));
            }
            continue;
        }
        if let Some((name, arguments)) = line
            .strip_prefix("function tb.")
            .and_then(|rest| rest.split_once('('))
        {
            let arguments = arguments.split(')').next().unwrap_or("");
            found.push(Signature {
                name: name.to_owned(),
                arguments: arguments.to_owned(),
                about: about.unwrap_or("").to_owned(),
            });
        }
        about = None;
    }
    found
}
