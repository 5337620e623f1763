//! `kill -9` at random moments: what a file source has read and a file sink was to write.

use crate::process::Site;
use crate::record;
use crate::seed::{Chance, chance};
use std::time::{Duration, Instant};

/// Events that may be under way between source and sink.
const IN_FLIGHT: u64 = 500;

const FILTER: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_filter("once", "10h", { by = { "source", "sequence" }, store = true })
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "once", "out")
"#;

const WINDOW: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_table("arrivals", {
    key = "sequence",
    columns = { sequence = "integer", source = "text", text = "text" },
})
tb.create_window("store", "arrivals")
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "store", "out")
"#;

const QUEUE: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_queue("between", "state.db")
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "between", "out")
"#;

/// The file is there to see how far it is.
const ROWS: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_table("arrivals", {
    key = "sequence",
    columns = { sequence = "integer", source = "text", text = "text" },
})
tb.create_sql_sink("rows", { table = "arrivals", mode = "upsert" })
tb.create_file_sink("out", "out.jsonl")
tb.fanout("in", "rows", "out")
"#;

/// Events that may be under way behind a queue.
const QUEUED: u64 = 1_024;

const OPTIONS: &[&str] = &["--db", "sqlite:state.db"];

/// Kills one process after the other, spread over the log, and lets the last one end.
fn kills(test: &str, script: &'static str, kills: u64, events: u64) -> Site {
    let mut chance = chance(test);
    let site = Site::with(script);
    site.write("log.jsonl", &record::log("r", "a", events));
    // Its file is not for anything else.
    let options = if script == QUEUE { &[] } else { OPTIONS };
    let whole = site.len("log.jsonl");
    let mut killed = 0;
    let began = Instant::now();
    for kill in 1..=kills {
        let mut running = site.start(options);
        if chance.once_in(4) {
            // While it starts, or just after.
            std::thread::sleep(Duration::from_micros(chance.below(60_000)));
        } else {
            let part = whole / (kills + 1);
            let target = part * (kill - 1) + chance.below(part);
            let limit = Instant::now() + crate::process::PATIENCE;
            while site.len("out.jsonl") < target && running.ended().is_none() {
                assert!(Instant::now() < limit, "no progress: {}", running.said());
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(chance.below(3_000)));
        }
        killed += u64::from(running.kill());
    }
    site.finish(options);
    println!("{test}: {killed} kills in {:?}", began.elapsed());
    let report = record::compare_files("r", &site.path("log.jsonl"), &site.path("out.jsonl"));
    report.expect_all(killed * (IN_FLIGHT + QUEUED * u64::from(script == QUEUE)));
    assert!(
        killed * 2 > kills,
        "only {killed} of {kills} kills met a running process"
    );
    // A process that has ended well leaves nothing to do.
    let before = site.len("out.jsonl");
    site.finish(OPTIONS);
    assert_eq!(
        site.len("out.jsonl"),
        before,
        "delivered lines have come again"
    );
    check_database(&site);
    site
}

fn check_database(site: &Site) {
    let database = rusqlite::Connection::open(site.path("state.db")).expect("it can be opened");
    let sound: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("it can be checked");
    assert_eq!(sound, "ok");
}

fn stored(site: &Site) -> u64 {
    let database = rusqlite::Connection::open(site.path("state.db")).expect("it can be opened");
    let count = "SELECT count(*) FROM arrivals";
    let rows: i64 = database
        .query_row(count, [], |row| row.get(0))
        .expect("the table is there");
    rows as u64
}

#[test]
fn kills_between_a_filter_and_a_file_lose_nothing() {
    kills("filter", FILTER, 5, 5_000);
}

#[test]
fn kills_between_a_window_and_a_file_lose_nothing() {
    let site = kills("window", WINDOW, 5, 5_000);
    assert_eq!(stored(&site), 5_000);
}

#[test]
fn kills_around_a_queue_lose_nothing() {
    kills("queue", QUEUE, 5, 5_000);
}

#[test]
fn kills_before_a_table_leave_each_row_once() {
    let site = kills("rows", ROWS, 5, 5_000);
    assert_eq!(stored(&site), 5_000);
}

#[test]
fn a_sink_that_loses_lines_is_found_out() {
    let site = Site::with(FILTER);
    let mut chance = Chance::new(1);
    let log = record::log("r", "a", 100);
    site.write("log.jsonl", &log);
    let kept = log.lines().filter(|_| !chance.once_in(10));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    site.write("out.jsonl", &kept);
    let report = record::compare_files("r", &site.path("log.jsonl"), &site.path("out.jsonl"));
    assert!(report.lost > 0);
}

mod long {
    use super::*;

    #[test]
    #[ignore = "takes minutes"]
    fn a_hundred_kills_over_a_filter_lose_nothing() {
        kills("filter", FILTER, 100, 200_000);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn a_hundred_kills_over_a_window_lose_nothing() {
        let site = kills("window", WINDOW, 100, 200_000);
        assert_eq!(stored(&site), 200_000);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn a_hundred_kills_around_a_queue_lose_nothing() {
        kills("queue", QUEUE, 100, 200_000);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn a_hundred_kills_before_a_table_leave_each_row_once() {
        let site = kills("rows", ROWS, 100, 200_000);
        assert_eq!(stored(&site), 200_000);
    }
}
