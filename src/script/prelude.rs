//! Helpers written in Lua over the native functions: `lua/prelude/*.lua`, embedded in the library.
//!
//! Each file is a chunk that gets the module and adds functions to it. The comment above a
//! function is its documentation: the first line says what it does.

use super::module::Signature;
use mlua::chunk::ChunkMode;
use mlua::{Lua, Table};

/// The files, by name.
const FILES: [(&str, &str); 2] = [
    ("links.lua", include_str!("../../lua/prelude/links.lua")),
    ("windows.lua", include_str!("../../lua/prelude/windows.lua")),
];

/// What chunks of the prelude are named, so that errors point at the user's line instead.
const CHUNK: &str = "prelude/";

/// Adds the helpers to the module.
pub(super) fn load(lua: &Lua, module: &Table) -> mlua::Result<()> {
    for (name, text) in FILES {
        let chunk = lua
            .load(text)
            .set_name(format!("={CHUNK}{name}"))
            .set_mode(ChunkMode::Text);
        chunk.call::<()>(module.clone())?;
    }
    Ok(())
}

/// Whether a chunk of this name is the prelude's.
pub(super) fn is_prelude(chunk: &str) -> bool {
    chunk.starts_with(CHUNK)
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
