//! An error of Lua as one of ours, with its place in the script.

use super::chunks;
use crate::error::Error;
use mlua::Lua;
use mlua::chunk::ChunkMode;

/// So many bytes of a chunk's name are shown in messages of Lua itself.
const SHOWN_NAME: usize = 59;

/// In so many places of a line it is tried whether Lua stopped there.
const TRIES: usize = 64;

/// The place in a script from which a native function is being called: the innermost line that is
/// not the prelude's.
pub(super) fn place(lua: &Lua) -> Option<String> {
    place_from(lua, 1)
}

/// The innermost line of a script from this level of the stack on.
pub(super) fn place_from(lua: &Lua, level: usize) -> Option<String> {
    (level..level + 64)
        .map_while(|level| lua.inspect_stack(level, line))
        .flatten()
        .next()
}

fn line(debug: &mlua::debug::Debug<'_>) -> Option<String> {
    let line = debug.current_line()?;
    let source = chunk(&debug.source());
    (!chunks::is_ours(&source)).then(|| format!("{source}:{line}"))
}

/// The name of a chunk: in full where it has one of ours, as Lua shows it where it has not.
fn chunk(source: &mlua::debug::DebugSource<'_>) -> String {
    let ours = source.source.as_deref().and_then(|s| s.strip_prefix('='));
    let shown = || source.short_src.as_deref().unwrap_or_default();
    ours.unwrap_or_else(shown).to_owned()
}

/// An error of ours on its way through Lua, with the line of the script.
pub(super) fn raise(lua: &Lua, error: Error) -> mlua::Error {
    mlua::Error::external(error.at_opt(place(lua)))
}

/// Whether a VM had no memory left.
pub(super) fn is_memory(error: &mlua::Error) -> bool {
    match root(error) {
        mlua::Error::MemoryError(_) => true,
        // An error of the library of strings.
        mlua::Error::RuntimeError(message) => without_traceback(message) == "not enough memory",
        _ => false,
    }
}

/// So many bytes, in the greatest unit that fits.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        mib if mib % (1 << 20) == 0 => format!("{} MiB", mib >> 20),
        kib if kib % (1 << 10) == 0 => format!("{} KiB", kib >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

/// The innermost line of a script that the traceback of an error names.
pub(super) fn user_line(error: &mlua::Error, chunks: &[String]) -> Option<String> {
    let mlua::Error::RuntimeError(message) = root(error) else {
        return None;
    };
    let places = traceback(message)?.lines().map(str::trim_start);
    places.filter_map(|line| split_place(line, chunks).0).next()
}

const TRACEBACK: &str = "\nstack traceback:";

/// So many bytes of a message are looked at and kept; a script may raise a text of any length.
const MESSAGE: usize = 4 << 10;

/// So many bytes at the end of a message hold its traceback.
const TRACE: usize = 16 << 10;

/// The message of an error without its traceback, cut where it is too long.
fn without_traceback(message: &str) -> &str {
    let head = &message[..message.floor_char_boundary(MESSAGE)];
    head.split(TRACEBACK).next().unwrap_or(head)
}

/// The traceback of an error.
fn traceback(message: &str) -> Option<&str> {
    let start = match message.len() {
        0..=TRACE => 0,
        length => message.ceil_char_boundary(length - TRACE),
    };
    message[start..]
        .split_once(TRACEBACK)
        .map(|(_, trace)| trace)
}

/// What went wrong, out of what mlua wraps around it; `chunks` are the names of the scripts, of
/// which the first stands for what has no line.
pub(super) fn from_lua(error: &mlua::Error, chunks: &[String]) -> Error {
    let default = chunks.first().cloned();
    if let Some(ours) = find(error) {
        return ours.clone();
    }
    match root(error) {
        mlua::Error::RuntimeError(message) => {
            let (mut place, mut message) = split_place(without_traceback(message), chunks);
            if place.is_none()
                && let Some(rest) = chunks::without_place(message)
            {
                (place, message) = (user_line(error, chunks), rest);
            }
            let reason = match message {
                "" => "the script raised an error with an empty message",
                "nil" | "<nil>" => "the script raised an error with the value nil",
                other if is_address(other) => "the script raised an error that is no text",
                other => other,
            };
            let error = if message.len() + 4 > MESSAGE && reason == message {
                Error::data(format!("{reason} … (cut)"))
            } else {
                Error::data(reason)
            };
            error.at_opt(place).at_opt(default)
        }
        other => Error::data(without_traceback(&other.to_string())).at_opt(default),
    }
}

/// An error of ours that mlua has wrapped.
fn find(error: &mlua::Error) -> Option<&Error> {
    error.downcast_ref::<Error>().or_else(|| match error {
        mlua::Error::CallbackError { cause, .. } | mlua::Error::WithContext { cause, .. } => {
            find(cause)
        }
        _ => None,
    })
}

fn root(error: &mlua::Error) -> &mlua::Error {
    match error {
        mlua::Error::CallbackError { cause, .. } | mlua::Error::WithContext { cause, .. } => {
            root(cause)
        }
        other => other,
    }
}

/// What Lua shows for a value without a text of its own: `table: 0x55d0`.
fn is_address(text: &str) -> bool {
    let kinds = ["table: 0x", "function: 0x", "thread: 0x", "userdata: 0x"];
    kinds.iter().any(|kind| text.starts_with(kind))
}

/// `name:12: message` taken apart, for one of these names.
fn split_place<'a>(message: &'a str, chunks: &[String]) -> (Option<String>, &'a str) {
    let mut found = chunks.iter().filter_map(|name| split_at(message, name));
    match found.next() {
        Some((place, reason)) => (Some(place), reason),
        None => (None, message),
    }
}

fn split_at<'a>(message: &'a str, name: &str) -> Option<(String, &'a str)> {
    let head = String::from_utf8_lossy(&name.as_bytes()[..name.len().min(SHOWN_NAME)]);
    let rest = message.strip_prefix(&*head)?.strip_prefix(':')?;
    let (line, reason) = rest
        .split_once(": ")
        .or_else(|| rest.strip_suffix(':').map(|line| (line, "")))?;
    (line.parse::<u64>().is_ok()).then(|| (format!("{name}:{line}"), reason))
}

/// A mistake in the grammar, with the line and where in it Lua stopped understanding.
pub(super) fn syntax(lua: &Lua, error: &mlua::Error, name: &str, text: &str) -> Error {
    let chunks = [name.to_owned()];
    let mlua::Error::SyntaxError { message, .. } = root(error) else {
        return from_lua(error, &chunks);
    };
    let (place, reason) = split_place(message, &chunks);
    let Some(place) = place else {
        return Error::data(reason).at(name);
    };
    let number = place
        .rsplit(':')
        .next()
        .and_then(|number| number.parse::<usize>().ok())
        .unwrap_or(0);
    let mut lines = text.split_inclusive('\n');
    let before = lines.by_ref().take(number.saturating_sub(1));
    let start: usize = before.map(str::len).sum();
    // What is missing at the end of the text has no line.
    let line = lines.next().unwrap_or("");
    let near = reason
        .rsplit_once("near '")
        .and_then(|(_, near)| near.strip_suffix('\''));
    let column = near.and_then(|near| {
        let ends = |at: usize| start + at + near.len();
        // The one after which Lua reports just this: the same word may stand before it in its place.
        let stopped = |at: &usize| {
            grammar_error(lua, &chunks, &text[..ends(*at)]).is_some_and(|s| s == reason)
        };
        let mut found = line.match_indices(near).map(|(at, _)| at).take(TRIES);
        let at = found.clone().find(stopped).or_else(|| found.next())?;
        Some(line[..at].chars().count() + 1)
    });
    let place = match column {
        Some(column) => format!("{place}:{column}"),
        None => place,
    };
    match line.trim() {
        "" => Error::data(reason),
        line => Error::data(format!("{reason}, in the line: {line}")),
    }
    .at(place)
}

/// The grammar error of a text, if it has one.
fn grammar_error(lua: &Lua, chunks: &[String], text: &str) -> Option<String> {
    let chunk = lua.load(text).set_name(format!("={}", chunks[0]));
    let error = chunk.set_mode(ChunkMode::Text).into_function().err()?;
    match root(&error) {
        mlua::Error::SyntaxError { message, .. } => Some(split_place(message, chunks).1.to_owned()),
        _ => None,
    }
}
