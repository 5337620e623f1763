//! What was meant by a script with an error, as far as its text shows it.

use crate::error::{Error, quote};

/// The functions that name nodes and make none.
const NAMING: [&str; 6] = ["link", "chain", "fanin", "fanout", "balance", "on_error"];

/// The error, with a hint where the text of the script shows what is wrong.
pub(super) fn explained(error: Error, name: &str, text: &str) -> Error {
    let hint = made_later(&error, name, text).or_else(|| no_module(&error, text));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// A node is named that a later line makes.
fn made_later(error: &Error, name: &str, text: &str) -> Option<String> {
    let message = error.message();
    let node = ["no source node ", "no target node ", "no node "]
        .iter()
        .find_map(|kind| message.strip_prefix(kind))?;
    let node = node.strip_prefix('"')?.strip_suffix('"')?;
    let place = error.place()?.strip_prefix(name)?.strip_prefix(':')?;
    let line: usize = place.split([':', ' ']).next()?.parse().ok()?;
    let mut later = text.lines().enumerate().skip(line);
    let (at, _) = later.find(|(_, code)| makes(code, node))?;
    Some(format!(
        "line {} makes {}: move it before this line",
        at + 1,
        quote(node)
    ))
}

/// Whether a line calls a function that makes nodes with this name.
fn makes(code: &str, node: &str) -> bool {
    let code = code.split("--").next().unwrap_or_default();
    let named = [format!("\"{node}\""), format!("'{node}'")];
    let Some(at) = named.iter().find_map(|name| code.find(name.as_str())) else {
        return false;
    };
    // The innermost call that is open there.
    let Some(open) = code[..at].rfind(['(', '{']) else {
        return false;
    };
    let before = code[..open].trim_end();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let function = &before[before.trim_end_matches(is_part).len()..];
    !function.is_empty() && !NAMING.contains(&function)
}

/// The module was used and not asked for: `tb.link(..)` without `local tb = require("tributary")`.
fn no_module(error: &Error, text: &str) -> Option<String> {
    let message = error.message();
    let rest = message.strip_prefix("attempt to index a nil value (")?;
    let (kind, rest) = rest.split_once(' ')?;
    let variable = rest.strip_prefix('\'')?.split('\'').next()?;
    let is_module = match kind {
        "global" => !text.contains("require") || matches!(variable, "tb" | "tributary"),
        "local" | "upvalue" => matches!(variable, "tb" | "tributary"),
        _ => false,
    };
    is_module.then(|| format!("write local {variable} = require(\"tributary\") before it"))
}
