//! How long addresses take to be read.

use proptest::prelude::*;
use proptest::sample::select;
use std::env;
use std::process::Command;
use std::time::{Duration, Instant};
use tributary::Database;
use tributary::connect::{self, Options};

/// Set where the test is a process of its own: passwords of addresses are secrets of the process, and would be
/// masked in the messages of other tests.
const SECRET: &str = "TRIBUTARY_TESTED_SECRET";

/// What addresses are made of.
const PIECES: [&str; 32] = [
    "a",
    "aaaa",
    ":",
    "/",
    "//",
    "://",
    "@",
    "u:p@",
    "?",
    "&",
    "=",
    "a=b&",
    "%",
    "%41",
    "%4",
    "$",
    "${",
    "$${",
    "}",
    "${env:TRIBUTARY_TESTED_SECRET}",
    "${env:NONE}",
    "${",
    "{",
    "}",
    "{{",
    "{data.a}",
    "[",
    "]",
    ",",
    ".",
    " ",
    "é",
];

const BEGINNINGS: [&str; 14] = [
    "",
    "nats://",
    "kafka://h/",
    "redis://u:",
    "amqp://u:p@h/",
    "mqtt://h/",
    "http://h/",
    "exec:",
    "file:",
    "tcp://h:",
    "unix:",
    "sql:sqlite:",
    "mysql://u:",
    "slack:https://",
];

fn text(beginning: &str, piece: &str, ending: &str, length: usize) -> String {
    let rest = length.saturating_sub(beginning.len() + ending.len());
    format!("{beginning}{}{ending}", piece.repeat(rest / piece.len()))
}

/// The least of three.
fn took(text: &str) -> Duration {
    let options = Options::new().confined();
    let times = (0..3).map(|_| {
        let begun = Instant::now();
        let _ = connect::source(text, &options);
        let _ = connect::sink(text, &options);
        let _ = Database::check_url(text);
        begun.elapsed()
    });
    times.min().unwrap_or_default()
}

fn is_linear(config: ProptestConfig) {
    let parts = (
        select(BEGINNINGS.to_vec()),
        prop::collection::vec(select(PIECES.to_vec()), 1..4),
        select(PIECES.to_vec()),
    );
    proptest!(config, |((beginning, pieces, ending) in parts)| {
        let piece = pieces.concat();
        // An address has at most 4096 bytes, but that is found only when it is filled in.
        for (short, long) in [(512, 4_096), (8 << 10, 64 << 10)] {
            let text = |length| text(beginning, &piece, ending, length);
            let (short, long) = (took(&text(short)), took(&text(long)));
            let most = short * 24 + Duration::from_millis(20);
            prop_assert!(long < most, "{beginning}{piece}…{ending}: {short:?}, eight times as long: {long:?}");
        }
    });
}

#[test]
fn an_address_is_read_in_time_linear_in_its_length() {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    };
    if env::var_os(SECRET).is_some() {
        return is_linear(config);
    }
    let name = "connect::addresses::an_address_is_read_in_time_linear_in_its_length";
    let this = env::current_exe().expect("the path of this program");
    let mut command = Command::new(this);
    command.args(["--exact", name]).env(SECRET, "s".repeat(50));
    let done = command.output().expect("this program runs");
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && output.contains("1 passed"),
        "{output}"
    );
}
