//! Every kind of node, with the test of its replacement.

use super::{CASES, Tested};
use std::path::{Path, PathBuf};

/// The claim that is held against every connector.
const CLAIM: &str = "connect::claims::what_is_replaced_loses_doubles_and_reorders_nothing";

/// Nodes that hand over their state and are tested elsewhere, each with the test.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "source/lines.rs",
        "engine::handover::a_replaced_file_source_reads_on",
    ),
    (
        "source/ticker.rs",
        "engine::handover::a_replaced_ticker_ticks_on",
    ),
    (
        "window/node.rs",
        "window::plans::a_window_that_is_replaced_goes_on_as_if_it_had_not_been",
    ),
    (
        "script/function/process.rs",
        "script::function::process::tests",
    ),
    (
        "connect/sql/source.rs",
        "connect::rows::a_source_that_is_replaced_reads_on_behind_what_is_under_way",
    ),
    (
        "connect/exec.rs",
        "connect::programs::a_program_runs_on_when_its_source_is_replaced_by_its_like",
    ),
    (
        "connect/http/ingest.rs",
        "connect::http_source::clients_see_nothing_of_a_server_that_is_replaced_under_load",
    ),
    ("connect/amqp/source.rs", CLAIM),
    ("connect/kafka/source.rs", CLAIM),
    ("connect/mqtt/sink.rs", CLAIM),
    ("connect/mqtt/source.rs", CLAIM),
    ("connect/nats/plain.rs", CLAIM),
    ("connect/nats/stream.rs", CLAIM),
    ("connect/redis/channel.rs", CLAIM),
    ("connect/redis/stream.rs", CLAIM),
    ("connect/stream.rs", CLAIM),
];

const ANSWERED: &str = "its commit waits for the answers to all requests";
const COMMITTED: &str = "its commit is that of the database";
const HOST: &str = "what it has belongs to the host";
const CAPTURED: &str = "what a function has captured begins anew";

/// Nodes that hand over nothing and have no case, each with the test of its replacement, or why none is needed.
const FINISH: &[(&str, &str)] = &[
    ("connect/amqp/sink.rs", CLAIM),
    ("connect/kafka/sink.rs", CLAIM),
    ("connect/nats/sink.rs", CLAIM),
    ("connect/redis/sink.rs", CLAIM),
    ("sink/lines.rs", CLAIM),
    ("connect/chat.rs", ANSWERED),
    ("connect/http/webhook.rs", ANSWERED),
    ("connect/sql/sink.rs", COMMITTED),
    ("sink/sql.rs", COMMITTED),
    (
        "sink/dead_letters.rs",
        "engine::handover::dead_letters_are_written_once_while_their_sink_is_replaced",
    ),
    ("sink/channel.rs", HOST),
    ("sink/closure.rs", HOST),
    ("sink/tester.rs", HOST),
    ("source/channel.rs", HOST),
    ("source/iter.rs", HOST),
    ("sink/discarder.rs", "it keeps nothing"),
    ("pipeline/parse.rs", "it keeps nothing"),
    ("sink/recorder.rs", "it is in simulations only"),
    (
        "source/requeue.rs",
        "what it has not delivered is still a dead letter",
    ),
    ("script/function/each.rs", CAPTURED),
    ("script/function/generator.rs", CAPTURED),
    ("script/function/handler.rs", CAPTURED),
];

/// There are no nodes here, or only what a node is, or nodes for tests.
const NO_NODES: &[&str] = &["node", "network/", "doc/", "script/testing/"];

fn files(folder: &Path, all: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, all)?;
        } else {
            all.push(path);
        }
    }
    Ok(())
}

#[test]
fn every_kind_of_node_is_in_a_list() -> Tested {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all)?;
    for path in all {
        let name = path.strip_prefix(&root)?.display().to_string();
        if NO_NODES.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let lines = text.lines().map(str::trim_start);
        let code: Vec<&str> = lines.filter(|line| !line.starts_with("//")).collect();
        let is_node = code.iter().any(|line| line.contains("Node for "));
        let gives = code.iter().any(|line| line.contains("fn give(&mut self)"));
        let count = |what: &str| code.iter().filter(|line| line.contains(what)).count();
        let continues = count("fn continues(&self) -> bool");
        assert_eq!(
            count("fn give(&mut self)"),
            continues,
            "{name}: what a plan shows"
        );
        let has_case = CASES.iter().any(|case| case.file == name);
        let is_in = |list: &[(&str, &str)]| list.iter().any(|(file, _)| *file == name);
        if gives {
            assert!(
                has_case || is_in(ELSEWHERE),
                "{name}: its handover has no test"
            );
            assert!(!is_in(FINISH), "{name}: it hands over its state");
        } else {
            assert!(!is_in(ELSEWHERE), "{name}: it hands over nothing");
            assert_eq!(is_node, has_case || is_in(FINISH), "{name}");
        }
    }
    Ok(())
}
