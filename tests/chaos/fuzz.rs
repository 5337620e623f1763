//! The bodies of the fuzz targets on stable: over the corpus, where what was found is kept, and over
//! what chance makes of it.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use crate::limit::within;
use crate::seed::{Chance, chance};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Body = fn(&[u8]);

/// All bodies by their names.
const BODIES: &[(&str, Body)] = &[
    ("events", bodies::events),
    ("durations", bodies::durations),
    ("names", bodies::names),
    ("scripts", bodies::scripts),
    ("urls", bodies::urls),
    ("http_requests", bodies::http_requests),
    ("formats", bodies::formats),
    ("lines", bodies::lines),
    ("addresses", bodies::addresses),
    ("sql", bodies::sql),
    ("checkpoints", bodies::checkpoints),
    ("spills", bodies::spills),
    ("outboxes", bodies::outboxes),
    ("letters", bodies::letters),
    ("instants", bodies::instants),
    ("lua_values", bodies::lua_values),
    ("secrets", bodies::secrets),
];

const LIMIT: Duration = Duration::from_secs(20);

/// Pieces that mean something to one body or another.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    ":",
    ",",
    "-",
    ".",
    "e",
    "E+",
    "0",
    "1",
    "9",
    "18446744073709551616",
    "1e999",
    "null",
    "true",
    "NaN",
    "\u{0}",
    "\u{feff}",
    "ä",
    "😀",
    " ",
    "\n",
    "us",
    "ms",
    "s",
    "m",
    "h",
    "d",
    "%",
    "%4",
    "%00",
    "%2F",
    "@",
    "/",
    "//",
    "?",
    "#",
    "mysql://",
    "sqlite:",
    "::",
    "[::1]",
    "hunter2",
    "65536",
    "function",
    "end",
    "(",
    ")",
    "=",
    "do",
    "while true",
    "return",
    "local tb = require(\"tributary\")\n",
    "tb.",
    "string.rep",
    "tb.link(",
    "tb.create_filter(",
    "nil",
    "..",
    "setmetatable",
    "__gc",
    "__close",
    "<close>",
    "coroutine.wrap(",
    "pcall(",
    "error(",
    "goto",
    "--[[",
    "]]",
    "\r\n",
    "\r\n\r\n",
    "POST /in HTTP/1.1\r\n",
    "content-length: ",
    "transfer-encoding: chunked\r\n",
    "0\r\n\r\n",
    ";",
    "\t",
    "'",
    "`",
    "/*",
    "--",
    "select ",
    "${env:",
    "}",
    "\"offset\":",
    "a-secret-of the fuzzer!",
];

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("it can be read"))
        .collect()
}

/// Something new out of what is there.
fn mutate(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = chance.pick(corpus).clone();
    for _ in 0..1 + chance.below(6) {
        let len = bytes.len() as u64;
        let at = chance.below(len + 1) as usize;
        match chance.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 => {
                let end = (at + chance.below(20) as usize).min(bytes.len());
                drop(bytes.drain(at..end));
            }
            2 => {
                let other = chance.pick(corpus);
                let from = chance.below(other.len() as u64 + 1) as usize;
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            3 => bytes.insert(at, chance.next() as u8),
            _ => {
                let piece = chance.pick(PIECES).bytes();
                bytes.splice(at..at, piece.collect::<Vec<u8>>());
            }
        }
    }
    bytes
}

/// Runs a body on these bytes; panics with them when it does.
fn run(name: &'static str, body: Body, inputs: Vec<Vec<u8>>) {
    let last: Arc<Mutex<Vec<u8>>> = Arc::default();
    let shown = {
        let last = last.clone();
        move || {
            let last = last.lock().map(|last| last.clone()).unwrap_or_default();
            format!("{name}: {:?}", String::from_utf8_lossy(&last))
        }
    };
    let count = inputs.len() as u32;
    let seen = last.clone();
    let all = move || {
        for input in inputs {
            seen.lock()
                .expect("nobody panics with it")
                .clone_from(&input);
            body(&input);
        }
    };
    let guarded = move || std::panic::catch_unwind(std::panic::AssertUnwindSafe(all)).is_ok();
    let fine = within(LIMIT * (1 + count / 100), shown.clone(), guarded);
    assert!(fine, "{}", shown());
}

#[test]
fn what_was_found_stays_mended() {
    for (name, body) in BODIES {
        run(name, *body, corpus(name));
    }
}

fn random(time: Duration) {
    let mut chance = chance("fuzz");
    // One of them alone: FUZZ_BODY=sql.
    let only = std::env::var("FUZZ_BODY").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    for (name, body) in BODIES.iter().filter(|(name, _)| wanted(name)) {
        let corpus = corpus(name);
        let (began, mut count) = (Instant::now(), 0);
        while began.elapsed() < time {
            // Scripts run into a limit, and stores are files.
            let is_slow = ["scripts", "checkpoints", "letters"].contains(name);
            let size = if is_slow { 20 } else { 2_000 };
            let inputs = (0..size).map(|_| mutate(&corpus, &mut chance)).collect();
            run(name, *body, inputs);
            count += size;
        }
        println!("{name}: {count} inputs");
    }
}

#[test]
fn what_chance_makes_of_it_breaks_nothing() {
    random(Duration::from_millis(300));
}

mod long {
    use std::time::Duration;

    #[test]
    #[ignore = "takes minutes"]
    fn what_chance_makes_of_it_in_minutes_breaks_nothing() {
        super::random(Duration::from_secs(60));
    }
}
