//! Whether every node there is stands in a table of the suite.

use super::pipelines::PIPELINES;
use super::sinks::{HOSTED, SINKS, STANDARD};
use crate::support::binary::functions;
use std::path::Path;

/// The functions of Lua that make neither a pipeline nor a sink.
const OTHERS: &[&str] = &[
    "array",
    "balance",
    "chain",
    "create_file_source",
    "create_generator",
    "create_sink",
    "create_source",
    "create_stdin",
    "create_table",
    "create_ticker",
    "explain",
    "fanin",
    "fanout",
    "link",
    "log",
    "node_exists",
    "now",
    "on_error",
    "remove",
    "stats",
    "unlink",
];

fn is_in_a_table(function: &str) -> bool {
    PIPELINES.iter().any(|known| known.function == function)
        || SINKS.iter().any(|known| known.name == function)
        || STANDARD.iter().any(|(known, _)| *known == function)
}

#[test]
fn every_function_that_makes_a_pipeline_or_a_sink_is_in_the_suite() {
    for function in functions(&[]).expect("the list of functions") {
        let name = function.name.as_str();
        assert!(
            is_in_a_table(name) != OTHERS.contains(&name),
            "{name}: put it into a table of the suite, or among the others",
        );
    }
}

/// The types of `src/pipeline.rs` and `src/sink.rs`, and the function of Lua that makes each.
const TYPES: &[(&str, &str)] = &[
    ("Changed", "create_changed"),
    ("Collect", "create_batch"),
    ("DeadLetterSink", "create_dlq"),
    ("Deadman", "create_deadman"),
    ("Debounce", "create_debounce"),
    ("Delay", "create_delay"),
    ("Discarder", "create_discarder"),
    ("Filter", "create_filter"),
    ("Forwarder", "create_forwarder"),
    ("LineSink", "create_file_sink"),
    ("Parse", "create_parse"),
    ("Queue", "create_queue"),
    ("RateLimit", "create_ratelimit"),
    ("Sample", "create_sample"),
    ("SqlSink", "create_sql_sink"),
    ("Tester", "create_tester"),
    ("Throttle", "create_throttle"),
];

/// What these modules export beside nodes, and pipelines of closures, which settle nothing themselves.
const NO_NODES: &[&str] = &[
    "BatchLimits",
    "Bounds",
    "FilterKey",
    "Injector",
    "Interceptor",
    "Key",
    "Recorder",
    "Rotation",
    "SqlMode",
    "Verdict",
    "injector",
    "interceptor",
];

#[test]
fn every_type_of_a_pipeline_or_a_sink_is_in_the_suite() {
    for file in ["src/pipeline.rs", "src/sink.rs"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(path).expect("a source file");
        let exports = text.split("pub use ").skip(1);
        let exports = exports.map(|rest| rest.split(';').next().unwrap_or_default());
        let names = exports.flat_map(|export| {
            let (_, names) = export.split_once("::").unwrap_or(("", export));
            let names = names.trim_matches(['{', '}', '\n', ' ']);
            names
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
        });
        for name in names {
            let made = TYPES.iter().find(|(known, _)| *known == name);
            let tested = made.is_some_and(|(_, function)| is_in_a_table(function));
            let known = tested || HOSTED.contains(&name) || NO_NODES.contains(&name);
            assert!(known, "{file}: {name} is in no table of the suite");
        }
    }
}
