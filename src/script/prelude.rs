//! Helpers written in Lua over the native functions: `lua/prelude/*.lua`, embedded in the library.
//!
//! Each file is a chunk that gets the module and adds functions to it; the second thing it gets is a
//! table of what only the host can do. The comment above a
//! function is its documentation: the first line says what it does.

use super::module::Signature;
use super::value::mark_list;
use mlua::chunk::{Chunk, ChunkMode};
use mlua::{Lua, Table};

/// The files, by name.
const FILES: [(&str, &str); 2] = [
    ("data.lua", include_str!("../../lua/prelude/data.lua")),
    ("links.lua", include_str!("../../lua/prelude/links.lua")),
];

/// What chunks of ours are named, so that errors point at the user's line instead.
const CHUNK: &str = "[tributary]/";

/// Adds the helpers to the module.
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

/// A chunk of ours.
pub(super) fn host_chunk<'a>(lua: &Lua, name: &str, text: &'a str) -> Chunk<'a> {
    lua.load(text)
        .set_name(format!("={CHUNK}{name}"))
        .set_mode(ChunkMode::Text)
}

/// Whether a chunk of this name is ours, not the user's.
pub(super) fn is_ours(chunk: &str) -> bool {
    chunk.starts_with(CHUNK)
}

/// A message of Lua without its place, where that is in a chunk of ours.
pub(super) fn without_place(message: &str) -> Option<&str> {
    let rest = message.strip_prefix(CHUNK)?;
    rest.split_once(": ").map(|(_, said)| said)
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
