//! The Nth operation on a file fails: of each kind, on each thread, for N = 1, 2, … until there is
//! none left to fail.
//!
//! strace makes the calls of the real binary fail, so the product has no hook for it and the whole
//! way down to the system is the one that is shipped. What that does not reach: pages that are
//! written through a mapping (SQLite's index of its log), what a disk loses after it has confirmed that
//! it is written, and reads. Where there is no strace, or it may not trace, that is printed, and
//! nothing is tested.

use crate::process::{Site, end};
use crate::record;
use crate::seed::chance;
use std::process::Command;

const SCRIPT: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 50 })
tb.create_filter("once", "10h", { by = { "source", "sequence" }, store = true })
tb.create_table("arrivals", {
    key = "sequence",
    columns = { sequence = "integer", source = "text", text = "text" },
})
tb.create_window("store", "arrivals")
tb.create_queue("between", "between.queue")
tb.create_file_sink("out", "out.jsonl", { sync = true })
tb.chain("in", "once", "store", "between", "out")
"#;

const OPTIONS: &[&str] = &["--db", "sqlite:state.db"];
const EVENTS: u64 = 300;

/// Calls and what they fail with.
const FAULTS: &[(&str, &str)] = &[
    ("write", "ENOSPC"),
    ("write", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("pwrite64", "EIO"),
    ("fsync", "EIO"),
    ("fdatasync", "EIO"),
    ("openat", "EMFILE"),
    ("openat", "EIO"),
    ("rename", "ENOSPC"),
    ("ftruncate", "EIO"),
];

/// The files whose calls fail.
const FILES: &[&str] = &[
    "place",
    "place.new",
    "out.jsonl",
    "state.db",
    "state.db-wal",
    "between.queue",
    "between.queue-wal",
];

fn has_strace() -> bool {
    let tried = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "true"])
        .status();
    let traces = tried.is_ok_and(|status| status.success());
    if !traces {
        eprintln!("NOT TESTED: there is no strace here, or it may not trace");
    }
    traces
}

/// Runs with the `nth` call of a kind failing on each thread; says whether any did.
fn fail(call: &str, error: &str, nth: u64) -> bool {
    let case = format!("{call}, {error}, {nth}");
    let site = Site::with(SCRIPT);
    site.write("log.jsonl", &record::log("r", "a", EVENTS));
    let path = |name: &str| site.path(name).display().to_string();
    let words = ["strace", "-f", "-qq", "-o"].map(str::to_owned);
    let mut strace = [&words[..], &[path("trace")]].concat();
    for file in FILES {
        // By either of its names.
        strace.extend(["-P".to_owned(), (*file).to_owned()]);
        strace.extend(["-P".to_owned(), path(file)]);
    }
    strace.extend(["-e".to_owned(), format!("trace={call}")]);
    let fault = format!("inject={call}:error={error}:when={nth}");
    strace.extend(["-e".to_owned(), fault]);
    let done = end(site.start_by(&strace, OPTIONS));
    let stderr = done.stderr;
    assert!(!stderr.contains("panicked"), "{case}: {stderr}");
    // An error of the program's own, and not one that only says that something went wrong.
    let code = done.code.unwrap_or(-1);
    let known = [0, 65, 66, 69, 73, 74, 75, 77, 78].contains(&code);
    assert!(known, "{case}: {code}: {stderr}");
    assert!(
        code == 0 || !stderr.is_empty(),
        "{case}: it failed without a word"
    );
    let failed = site.read("trace").contains("(INJECTED)");
    site.finish(OPTIONS);
    let log = std::fs::read_to_string(site.path("log.jsonl")).expect("it was written");
    let report = record::compare("r", &log, &site.read("out.jsonl"));
    let sound = report.lost == 0 && report.corrupt == 0;
    assert!(sound, "{case}: {report}; its errors: {stderr}");
    assert!(report.dup <= 1_100, "{case}: {report}");
    for file in ["state.db", "between.queue"] {
        let database = rusqlite::Connection::open(site.path(file)).expect("it can be opened");
        let sound: String = database
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("it can be checked");
        assert_eq!(sound, "ok", "{case}: {file}");
    }
    failed
}

#[test]
fn an_operation_that_fails_loses_nothing() {
    let mut chance = chance("operations");
    if !has_strace() {
        return;
    }
    let mut failed = 0;
    for (call, error) in FAULTS {
        failed += u64::from(fail(call, error, 1 + chance.below(10)));
    }
    println!("operations: {failed} of {} have failed", FAULTS.len());
    assert!(failed > 3);
}

mod long {
    use super::*;

    #[test]
    #[ignore = "takes minutes"]
    fn every_operation_may_fail_and_nothing_is_lost() {
        if !has_strace() {
            return;
        }
        for (call, error) in FAULTS {
            let began = std::time::Instant::now();
            let last = (1..).find(|nth| !fail(call, error, *nth)).unwrap_or(0);
            println!(
                "{call}, {error}: {} have failed, in {:?}",
                last - 1,
                began.elapsed()
            );
        }
    }
}
