//! Recipes: what a script has called to make a node. A script that is loaded again makes only those nodes whose
//! recipe has changed.

use super::args::Args;
use super::function::Host;
use crate::connect;
use crate::network::Made;
use mlua::Value as LuaValue;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

/// A call that has made nodes.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// The native function.
    pub function: String,
    /// Of its arguments, with all that they refer to; a secret counts by its value.
    pub digest: u128,
    /// What it has made, in this order.
    pub made: Vec<Made>,
    /// What it has returned.
    pub value: Value,
}

/// The digest of a call; `None` where an argument cannot be captured, so that the call is none that can
/// succeed. `helpers` stands for the user's own helpers, which functions may call.
pub(super) fn digest(host: &Host, args: &Args, helpers: u128, most: usize) -> Option<u128> {
    let roots = args.values().iter().enumerate();
    let roots: Vec<(String, LuaValue)> = roots
        .map(|(index, value)| (format!("argument #{}", index + 1), value.clone()))
        .collect();
    let captured = host.capture(&roots, most).ok()?;
    let mut bytes = captured.digest(&with_secrets).to_le_bytes().to_vec();
    if captured.has_functions() {
        bytes.extend(helpers.to_le_bytes());
    }
    Some(xxh3_128(&bytes))
}

/// A text with its secrets filled in, where they can be.
fn with_secrets(text: &[u8]) -> Vec<u8> {
    let filled = std::str::from_utf8(text).ok();
    let filled = filled.filter(|text| text.contains("${"));
    let filled = filled.and_then(|text| connect::filled(text).ok());
    filled.map_or_else(|| text.to_vec(), String::into_bytes)
}
