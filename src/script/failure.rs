//! An error of Lua as one of ours, with its place in the script.

use super::prelude;
use crate::error::{Error, ErrorKind};
use mlua::Lua;

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
    let source = debug.source();
    let source = source.short_src?;
    (!prelude::is_prelude(&source)).then(|| format!("{source}:{line}"))
}

/// An error of ours on its way through Lua, with the line of the script.
pub(super) fn raise(lua: &Lua, error: Error) -> mlua::Error {
    mlua::Error::external(error.at_opt(place(lua)))
}

/// What went wrong, out of what mlua wraps around it. `text` is the script's, to show the line.
pub(super) fn from_lua(error: &mlua::Error, name: &str, text: &str) -> Error {
    if let Some(ours) = find(error) {
        return ours.clone();
    }
    match root(error) {
        mlua::Error::SyntaxError { message, .. } => syntax(message, name, text),
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
    let Some(rest) = message
        .strip_prefix(name)
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

/// Shows the line, and where in it Lua stopped understanding.
fn syntax(message: &str, name: &str, text: &str) -> Error {
    let (place, said) = split_place(message, name);
    let number = place
        .as_ref()
        .and_then(|place| place.rsplit(':').next()?.parse::<usize>().ok());
    let line = number
        .and_then(|number| text.lines().nth(number.checked_sub(1)?))
        .unwrap_or("");
    let near = said
        .rsplit_once("near '")
        .and_then(|(_, near)| near.strip_suffix('\''));
    let column = near
        .and_then(|near| line.find(near))
        .map(|at| line[..at].chars().count() + 1);
    let place = match (place, column) {
        (Some(place), Some(column)) => format!("{place}:{column}"),
        (Some(place), None) => place,
        (None, _) => name.to_owned(),
    };
    let said = match line.trim() {
        "" => said.to_owned(),
        line => format!("{said}, in the line: {line}"),
    };
    Error::new(ErrorKind::Data, said).at(place)
}
