//! Files with flipped bits, or cut short: either nothing of it is noticed, or there is an error
//! that names the file. Never a panic, never a hang, and what was there is never silently replaced
//! by something new.
//!
//! A file of zero bytes counts as new, since one that was made and not yet written looks like that;
//! no trial cuts so far.

use crate::process::Site;
use crate::record;
use crate::seed::{Chance, chance};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;
use tributary::pipeline::Queue;
use tributary::sink::handler;
use tributary::{Database, Network, Result, Runtime};

const LIMIT: Duration = Duration::from_secs(20);
const EVENTS: u64 = 200;

/// A network over a file that may be broken: `$` is the directory.
struct Subject {
    file: &'static str,
    script: &'static str,
    database: bool,
}

const SUBJECTS: &[Subject] = &[
    Subject {
        file: "state.db",
        script: r#"
local tb = require("tributary")
tb.create_file_source("in", "$/log.jsonl")
tb.create_filter("once", "10h", { by = { "source", "sequence" }, store = true })
tb.create_file_sink("out", "$/out.jsonl", { append = false })
tb.create_file_sink("bad", "$/bad.jsonl")
tb.chain("in", "once", "out")
tb.link("once.errors", "bad")
"#,
        database: true,
    },
    Subject {
        file: "state.db",
        script: r#"
local tb = require("tributary")
tb.create_file_source("in", "$/log.jsonl")
tb.create_table("arrivals", {
    key = "sequence",
    columns = { sequence = "integer", source = "text", text = "text" },
})
tb.window("groups", "answers", {
    table = "arrivals", size = "10h", time = "sequence", emit = "changes", store = true,
    query = "select source, count(*) as n, max(text) as last from arrivals group by source",
})
tb.create_file_sink("out", "$/out.jsonl", { append = false })
tb.create_file_sink("bad", "$/bad.jsonl")
tb.chain("in", "groups")
tb.link("answers", "out")
tb.link("groups.errors", "bad")
"#,
        database: true,
    },
    Subject {
        file: "between.queue",
        script: r#"
local tb = require("tributary")
tb.create_file_source("in", "$/log.jsonl")
tb.create_queue("between", "$/between.queue")
tb.create_file_sink("out", "$/out.jsonl", { append = false })
tb.create_file_sink("bad", "$/bad.jsonl")
tb.chain("in", "between", "out")
tb.link("between.errors", "bad")
"#,
        database: false,
    },
    Subject {
        file: "place",
        script: r#"
local tb = require("tributary")
tb.create_file_source("in", "$/log.jsonl", { checkpoint = "$/place" })
tb.create_file_sink("out", "$/out.jsonl", { append = false })
tb.chain("in", "out")
"#,
        database: false,
    },
];

/// Runs it in a directory until it ends, or is stopped because it waits for better times.
fn run(subject: &Subject, dir: &Path) -> Result<()> {
    let database = if subject.database {
        Database::open(&format!("sqlite:{}", dir.join(subject.file).display()))?
    } else {
        Database::open("sqlite::memory:")?
    };
    let network = Network::new();
    let runtime = Runtime::with_database(&network, &database)?;
    let script = subject.script.replace('$', &dir.display().to_string());
    runtime.run_text("net.lua", script)?;
    network.start()?;
    match network.wait_timeout(Duration::from_millis(1_500)) {
        Some(ended) => ended,
        None => network.stop_within(LIMIT),
    }
}

/// Breaks some bytes; says how.
fn corrupt(bytes: &mut Vec<u8>, chance: &mut Chance) -> String {
    let len = bytes.len() as u64;
    // Much of what matters stands at the beginning.
    let near = |chance: &mut Chance| {
        if chance.once_in(3) {
            chance.below(len.min(200))
        } else {
            chance.below(len)
        }
    };
    match chance.below(4) {
        0 => {
            let left = 1 + chance.below(len - 1);
            bytes.truncate(left as usize);
            format!("cut to {left} of {len} bytes")
        }
        1 => {
            let (from, count) = (near(chance), 1 + chance.below(600));
            let to = (from + count).min(len);
            bytes[from as usize..to as usize].fill(0);
            format!("zeros from {from} to {to}")
        }
        _ => {
            let flips: Vec<(u64, u64)> = (0..1 + chance.below(8))
                .map(|_| (near(chance), chance.below(8)))
                .collect();
            for (at, bit) in &flips {
                bytes[*at as usize] ^= 1 << bit;
            }
            format!("flipped (byte, bit) {flips:?}")
        }
    }
}

fn corruptions(trials: u64) {
    let mut chance = chance("corruption");
    for (number, subject) in SUBJECTS.iter().enumerate() {
        let site = Site::with("");
        site.write("log.jsonl", &record::log("r", "a", EVENTS));
        run(subject, site.root()).expect("a sound file is no error");
        if subject.file == "between.queue" {
            fill(&site);
        }
        let whole = std::fs::read(site.path(subject.file)).expect("it is there");
        let mut messages: BTreeMap<String, u64> = BTreeMap::new();
        for trial in 0..trials / SUBJECTS.len() as u64 {
            for end in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(site.path(&format!("{}{end}", subject.file)));
            }
            let mut bytes = whole.clone();
            let how = corrupt(&mut bytes, &mut chance);
            let case = format!("subject {number}, trial {trial}, {how}");
            std::fs::write(site.path(subject.file), &bytes).expect("it can be written");
            let ran = catch_unwind(AssertUnwindSafe(|| run(subject, site.root())));
            let Ok(ran) = ran else {
                panic!("{case}: a panic")
            };
            let outcome = match ran {
                Ok(()) => {
                    let anew = begins_anew(subject, &site);
                    assert!(!anew, "{case}: what was there is silently left out");
                    let changed = changed(&site);
                    assert_eq!(changed, None, "{case}: it comes out changed");
                    "not noticed".to_owned()
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(!text.contains("panic"), "{case}: {text}");
                    let named = text.contains(subject.file);
                    assert!(named, "{case}: the error does not name the file: {text}");
                    let from = text.rfind(": ").map_or(0, |at| at + 2);
                    text[from..].to_owned()
                }
            };
            *messages.entry(outcome).or_insert(0) += 1;
        }
        println!("subject {number} ({}): {messages:?}", subject.file);
    }
}

/// A line that has come out and was never put in.
fn changed(site: &Site) -> Option<String> {
    let whole = [record::log("r", "a", EVENTS), record::log("r", "b", EVENTS)].concat();
    let whole: std::collections::HashSet<&str> = whole.lines().collect();
    let out = site.read("out.jsonl");
    let mut lines = out.lines().filter(|line| !line.contains("\"n\":"));
    lines.find(|line| !whole.contains(line)).map(str::to_owned)
}

/// Whether the run behaved as with a file that was not there: what a sound one remembers lets
/// nothing out again, and a queue gives out what was left in it.
fn begins_anew(subject: &Subject, site: &Site) -> bool {
    // The sink overwrites it, so it is as the run has left it.
    let out = site.read("out.jsonl");
    match subject.file {
        "between.queue" => !out.contains(r#""source":"b""#),
        _ => out.lines().count() as u64 >= EVENTS,
    }
}

/// Leaves events in the queue, as a process does that was killed.
fn fill(site: &Site) {
    let lines: Vec<String> = record::log("r", "b", EVENTS)
        .lines()
        .map(str::to_owned)
        .collect();
    let network = Network::new();
    let kept = std::sync::Mutex::new(Vec::new());
    let add = || -> Result<()> {
        network.add_source("in", tributary::source::from_iter(lines))?;
        network.add_pipeline("between", Queue::new(site.path("between.queue")))?;
        let keep = handler(move |event| {
            kept.lock().expect("it is whole").push(event.clone());
            Ok(())
        });
        network.add_sink("out", keep)?;
        network.link("in", "between")?;
        network.link("between", "out")
    };
    add().expect("it is a network");
    let start = tributary::time::Timestamp::from_secs(0);
    drop(network.simulate(start).expect("it can be opened"));
}

#[test]
fn a_file_that_is_broken_is_an_error_with_its_path_or_not_noticed() {
    corruptions(100);
}

mod long {
    #[test]
    #[ignore = "takes minutes"]
    fn a_thousand_broken_files_are_errors_with_their_path_or_not_noticed() {
        super::corruptions(1_000);
    }
}
