//! The chunks of Lua that the library loads: by their names, errors are placed in the user's lines.

use mlua::Lua;
use mlua::chunk::{Chunk, ChunkMode};

/// What chunks of ours are named, so that errors point at the user's line instead.
const CHUNK: &str = "[tributary]/";

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

/// Whether a function comes from the file that fences in the standard library.
pub(super) fn is_sandbox(source: &str) -> bool {
    source.strip_prefix('=').and_then(|s| s.strip_prefix(CHUNK)) == Some("sandbox")
}

/// A message of Lua without its place, where that is in a chunk of ours.
pub(super) fn without_place(message: &str) -> Option<&str> {
    let rest = message.strip_prefix(CHUNK)?;
    rest.split_once(": ").map(|(_, message)| message)
}
