//! `kill -9` at random moments: what a file source has read and a file sink was to write.

use crate::process::{Site, stop, tail};
use crate::record;
use crate::seed::{Chance, chance};
use std::fs::File;
use std::io::Write;
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

/// A window behind a log that is rotated.
const ROTATED: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "app.log", {
    follow = true, checkpoint = "place", in_flight = 500, rotate_wait = "1s",
})
tb.create_table("arrivals", {
    key = "sequence",
    columns = { sequence = "integer", source = "text", text = "text" },
})
tb.create_window("store", "arrivals")
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "store", "out")
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
            while site.len("out.jsonl") < target && running.status().is_none() {
                assert!(
                    Instant::now() < limit,
                    "no progress: {}",
                    tail(&running.log())
                );
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(chance.below(3_000)));
        }
        killed += u64::from(crate::process::kill(running));
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
    site.finish(options);
    assert_eq!(
        site.len("out.jsonl"),
        before,
        "delivered lines have come again"
    );
    check_database(&site);
    site
}

/// Kills one process after the other while a log is written and rotated, by renaming it, and late lines
/// are added to what was renamed.
fn kills_under_rotation(kills: u64, events: u64) {
    let mut chance = chance("rotation");
    let site = Site::with(ROTATED);
    let whole = record::log("r", "a", events);
    site.write("log.jsonl", &whole);
    site.write("app.log", "");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let parts = lines.chunks(lines.len() / (kills as usize * 4) + 1);
    let open = || {
        let opened = File::options()
            .append(true)
            .create(true)
            .open(site.path("app.log"));
        opened.expect("a log")
    };
    let write = |mut log: File, part: &[&str]| {
        log.write_all(part.concat().as_bytes())
            .expect("it can be written");
    };
    let (mut killed, mut rotations) = (0, 0);
    let began = Instant::now();
    let mut running = site.start(OPTIONS);
    // What was set aside before the first start is not read.
    while site.len("place") == 0 && began.elapsed() < crate::process::PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    for part in parts {
        let (now, late) = part.split_at(part.len() / 2);
        write(open(), now);
        if chance.once_in(2) {
            let old = open();
            rotations += 1;
            let aside = format!("app.log.20260101-{rotations:05}");
            std::fs::rename(site.path("app.log"), site.path(&aside)).expect("it can be renamed");
            drop(open());
            std::thread::sleep(Duration::from_micros(chance.below(20_000)));
            write(old, late);
        } else {
            write(open(), late);
        }
        if chance.once_in(3) {
            std::thread::sleep(Duration::from_micros(chance.below(60_000)));
            killed += u64::from(crate::process::kill(running));
            running = site.start(OPTIONS);
        }
    }
    let limit = Instant::now() + crate::process::PATIENCE;
    let arrived = || record::compare("r", &whole, &site.read("out.jsonl"));
    while arrived().lost > 0 {
        assert!(
            Instant::now() < limit,
            "{}: {}",
            arrived(),
            tail(&running.log())
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    stop(running);
    println!(
        "rotation: {killed} kills, {rotations} rotations in {:?}",
        began.elapsed()
    );
    let report = record::compare_files("r", &site.path("log.jsonl"), &site.path("out.jsonl"));
    // A late line of one file may come after the first ones of the next.
    assert_eq!((report.lost, report.corrupt), (0, 0), "{report}");
    assert!(report.dup <= killed * IN_FLIGHT, "{report}");
    assert!(
        killed > 0 && rotations > 0,
        "{killed} kills, {rotations} rotations"
    );
    assert_eq!(stored(&site), events);
    check_database(&site);
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
fn kills_before_a_window_behind_a_log_that_is_rotated_lose_nothing() {
    kills_under_rotation(5, 5_000);
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
    fn a_hundred_kills_before_a_window_behind_a_log_that_is_rotated_lose_nothing() {
        kills_under_rotation(100, 200_000);
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
