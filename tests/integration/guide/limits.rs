//! The tables of the page about limits list what the library has.

use std::time::Duration;
use tributary::payload::MAX_EVENT_BYTES;
use tributary::pipeline::Bounds;
use tributary::time::format_duration;
use tributary::{network, script, store};

const PAGE: &str = include_str!("../../../src/doc/guide/limits.md");

/// The rows of a table below a heading.
fn rows(heading: &str) -> Vec<&'static str> {
    let (_, below) = PAGE.split_once(heading).expect("the heading");
    let section = below.split("\n## ").next().unwrap_or(below);
    let lines = section.lines().filter(|line| line.starts_with("| "));
    lines.skip(1).collect()
}

#[test]
fn the_page_has_the_bound_of_every_function_of_the_standard_library() {
    let bounds = include_str!("../../../src/script/bounds.rs");
    let known = bounds.lines().filter_map(|line| line.strip_prefix("//! "));
    let known: Vec<&str> = known.filter(|line| line.starts_with("| `")).collect();
    assert!(known.len() > 90, "{}", known.len());
    let heading = "## What the standard library of Lua can do by itself";
    assert_eq!(rows(heading), known);
}

#[test]
fn the_page_has_the_defaults() {
    let (lua, query) = (
        script::ScriptLimits::default(),
        store::QueryLimits::default(),
    );
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    let time = |time: Duration| format_duration(time);
    let rows = rows("## All limits and their defaults");
    for (option, default) in [
        ("| `--max-event-bytes` |", mib(MAX_EVENT_BYTES)),
        ("| `--lua-memory` |", mib(lua.memory)),
        ("| `--lua-call-time` |", time(lua.call_time)),
        ("| `ScriptLimits` in Rust |", time(lua.load_time)),
        ("| `--query-time` |", time(query.time)),
        ("| `--query-rows` |", query.rows.to_string()),
        ("| `--query-bytes` |", mib(query.bytes)),
        ("| `--drain` |", time(network::STOP_LIMIT)),
        ("| `max_keys` |", Bounds::KEYS.to_string()),
        ("| `max_events` |", Bounds::EVENTS.to_string()),
        ("| `max_bytes` |", Bounds::BYTES.to_string()),
    ] {
        let found: Vec<&&str> = rows.iter().filter(|row| row.contains(option)).collect();
        assert!(!found.is_empty(), "{option}");
        for row in found {
            assert!(
                row.contains(&format!("| {default} {option}")),
                "{row}: {default}"
            );
        }
    }
}
