//! An error of Lua as one of ours, with its place in the script.

use super::prelude;
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
    (1..64)
        .map_while(|level| lua.inspect_stack(level, line))
        .flatten()
        .next()
}

fn line(debug: &mlua::debug::Debug<'_>) -> Option<String> {
    let line = debug.current_line()?;
    let source = chunk(&debug.source());
    (!prelude::is_prelude(&source)).then(|| format!("{source}:{line}"))
}

/// The name of a chunk: in full where it has one of ours, as Lua shows it where it has not.
pub(super) fn chunk(source: &mlua::debug::DebugSource<'_>) -> String {
    let ours = source.source.as_deref().and_then(|s| s.strip_prefix('='));
    let shown = || source.short_src.as_deref().unwrap_or_default();
    ours.unwrap_or_else(shown).to_owned()
}

/// An error of ours on its way through Lua, with the line of the script.
pub(super) fn raise(lua: &Lua, error: Error) -> mlua::Error {
    mlua::Error::external(error.at_opt(place(lua)))
}

/// What went wrong, out of what mlua wraps around it.
pub(super) fn from_lua(error: &mlua::Error, name: &str) -> Error {
    if let Some(ours) = find(error) {
        return ours.clone();
    }
    match root(error) {
        mlua::Error::MemoryError(_) => {
            let limit = super::limits::MEMORY_LIMIT >> 20;
            Error::data(format!("memory limit of {limit} MiB exceeded")).at(name)
        }
        mlua::Error::RuntimeError(message) => {
            let message = message
                .split("\nstack traceback:")
                .next()
                .unwrap_or(message);
            let (place, message) = split_place(message, name);
            let said = match message {
                "" => "the script raised an error with an empty message",
                "nil" | "<nil>" => "the script raised an error with the value nil",
                other if is_address(other) => "the script raised an error that is no text",
                other => other,
            };
            let error = Error::data(said);
            match place {
                Some(place) => error.at(place),
                None => error.at(name),
            }
        }
        other => {
            let text = other.to_string();
            Error::data(text.split("\nstack traceback:").next().unwrap_or(&text)).at(name)
        }
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

/// What Lua says of a value without a text of its own: `table: 0x55d0`.
fn is_address(text: &str) -> bool {
    let kinds = ["table: 0x", "function: 0x", "thread: 0x", "userdata: 0x"];
    kinds.iter().any(|kind| text.starts_with(kind))
}

/// `name:12: message` taken apart.
fn split_place<'a>(message: &'a str, name: &str) -> (Option<String>, &'a str) {
    let head = String::from_utf8_lossy(&name.as_bytes()[..name.len().min(SHOWN_NAME)]);
    let Some(rest) = message
        .strip_prefix(&*head)
        .and_then(|rest| rest.strip_prefix(':'))
    else {
        return (None, message);
    };
    match rest
        .split_once(": ")
        .or_else(|| rest.strip_suffix(':').map(|line| (line, "")))
    {
        Some((line, said)) if line.parse::<u64>().is_ok() => (Some(format!("{name}:{line}")), said),
        _ => (None, message),
    }
}

/// A mistake in the grammar, with the line and where in it Lua stopped understanding.
pub(super) fn syntax(lua: &Lua, error: &mlua::Error, name: &str, text: &str) -> Error {
    let mlua::Error::SyntaxError { message, .. } = root(error) else {
        return from_lua(error, name);
    };
    let (place, said) = split_place(message, name);
    let Some(place) = place else {
        return Error::data(said).at(name);
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
    let near = said
        .rsplit_once("near '")
        .and_then(|(_, near)| near.strip_suffix('\''));
    let column = near.and_then(|near| {
        let ends = |at: usize| start + at + near.len();
        // The one after which Lua says just this: the same word may stand before it in its place.
        let stopped = |at: &usize| says(lua, name, &text[..ends(*at)]).is_some_and(|s| s == said);
        let mut found = line.match_indices(near).map(|(at, _)| at).take(TRIES);
        let at = found.clone().find(stopped).or_else(|| found.next())?;
        Some(line[..at].chars().count() + 1)
    });
    let place = match column {
        Some(column) => format!("{place}:{column}"),
        None => place,
    };
    match line.trim() {
        "" => Error::data(said),
        line => Error::data(format!("{said}, in the line: {line}")),
    }
    .at(place)
}

/// What Lua says against the grammar of a text.
fn says(lua: &Lua, name: &str, text: &str) -> Option<String> {
    let chunk = lua.load(text).set_name(format!("={name}"));
    let error = chunk.set_mode(ChunkMode::Text).into_function().err()?;
    match root(&error) {
        mlua::Error::SyntaxError { message, .. } => Some(split_place(message, name).1.to_owned()),
        _ => None,
    }
}
