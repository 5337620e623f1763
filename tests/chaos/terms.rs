//! SIGTERM under load: the process drains and ends well, and nothing comes twice.

use crate::process::{PATIENCE, Site, stop, tail};
use crate::record;
use crate::seed::chance;
use crate::support::wait::eventually_within;
use std::fmt::Write;
use std::time::Duration;

const SCRIPT: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { follow = true, checkpoint = "place", in_flight = 500 })
tb.create_filter("once", "10h", { by = { "source", "sequence" } })
tb.create_map("same", function(e) return e end)
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "once", "same", "out")
"#;

/// Lines that are there for each process.
const EACH: u64 = 3_000;

fn terms(times: u64) {
    let mut chance = chance("terms");
    let site = Site::with(SCRIPT);
    let mut log = String::new();
    for time in 0..times {
        for n in time * EACH..(time + 1) * EACH {
            let _ = writeln!(log, "{}", record::line("r", "a", n, ""));
        }
        site.write("log.jsonl", &log);
        let before = site.len("out.jsonl");
        let running = site.start(&[]);
        let more = chance.below(log.len() as u64 - before).min(200_000);
        eventually_within(
            PATIENCE,
            &format!("run {time}, which logged {}", tail(&running.log())),
            || site.len("out.jsonl") > before + more / 2,
        );
        std::thread::sleep(Duration::from_micros(chance.below(20_000)));
        stop(running);
        let written = site.read("out.jsonl");
        assert!(written.ends_with('\n'), "run {time} ends with half a line");
    }
    // One that follows does not end by itself: let it come to the end of the log, where none has yet.
    // Told to stop before it has begun to listen it would end by the signal.
    let written = || site.read("out.jsonl").lines().count() as u64;
    if written() < times * EACH {
        let running = site.start(&[]);
        eventually_within(PATIENCE, "the last run", || written() >= times * EACH);
        stop(running);
    }
    record::compare_files("r", &site.path("log.jsonl"), &site.path("out.jsonl")).expect_all(0);
}

#[test]
fn a_process_that_is_stopped_under_load_ends_with_0_and_loses_nothing() {
    terms(5);
}

mod long {
    #[test]
    #[ignore = "takes minutes"]
    fn two_hundred_processes_that_are_stopped_under_load_lose_nothing() {
        super::terms(200);
    }
}
