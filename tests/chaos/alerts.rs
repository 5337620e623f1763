//! A kill between the commit of a window and the delivery of its alert, under every way to emit: no
//! alert is lost.
//!
//! The sink writes to a FIFO that is full and that nobody reads, so the window commits and its
//! alert stays where it is; then the process is killed. In between, and at last, the sink is a file.

use crate::process::{PATIENCE, Site, kill, tail};
use crate::record::count_by;
use crate::seed::{Chance, chance};
use crate::support::wait::eventually_within;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

const SCRIPT: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 4 })
tb.create_table("stakes", {
    key = "sequence",
    columns = { sequence = "integer", source = "text", at = "integer", amount = "integer" },
})
tb.window("totals", "alerts", {
    table = "stakes", time = "at", clock = "event", EXTENT, emit = "MODE", PLAN
    query = "select source, sum(amount) as total from stakes group by source having sum(amount) >= 10",
})
tb.create_file_sink("out", "SINK")
tb.chain("in", "totals")
tb.link("alerts", "out")
"#;

const OPTIONS: &[&str] = &["--db", "sqlite:state.db"];
/// The numbers of `O_NONBLOCK` on Linux.
const NONBLOCK: i32 = 0o4000;

/// A way to emit, and the extent under which each group alerts once.
const MODES: &[(&str, &str)] = &[
    ("all", r#"size = "10h""#),
    ("touched", r#"size = "10h""#),
    ("changes", r#"size = "10h""#),
    ("enter", r#"size = "10h""#),
    ("leave", r#"size = "5s""#),
    ("close", r#"size = "10s", slide = "10s""#),
];

fn groups_of(log: &mut String, groups: u64) {
    for group in 0..groups {
        for half in 0..2 {
            let (sequence, at) = (group * 2 + half, 1_000_000 + group * 10 + half);
            let _ = writeln!(
                log,
                r#"{{"sequence":{sequence},"source":"g{group}","at":{at},"amount":5}}"#
            );
        }
    }
    // All windows end, and all groups leave.
    let (sequence, at) = (groups * 2, 2_000_000);
    let _ = writeln!(
        log,
        r#"{{"sequence":{sequence},"source":"end","at":{at},"amount":0}}"#
    );
}

/// Opens the FIFO and fills it: whoever writes to it waits as long as what is returned lives.
fn block(site: &Site) -> File {
    let path = site.path("fifo");
    if !path.exists() {
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()), "no mkfifo here");
    }
    let mut options = File::options();
    let mut fifo = options
        .read(true)
        .write(true)
        .custom_flags(NONBLOCK)
        .open(&path)
        .expect("a FIFO can be opened from both ends");
    for size in [4_096, 1] {
        loop {
            match fifo.write(&vec![b'x'; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    fifo
}

fn committed(site: &Site) -> i64 {
    let database = rusqlite::Connection::open(site.path("state.db"));
    let count = database.and_then(|database| {
        database.query_row("SELECT count(*) FROM stakes", [], |row| row.get(0))
    });
    // It may not be there yet.
    count.unwrap_or(0)
}

/// Waits until what is committed has not changed for a while.
fn settled(site: &Site) {
    let (mut last, mut since) = (committed(site), Instant::now());
    eventually_within(PATIENCE, "the window comes to rest", || {
        let now = committed(site);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(60)
    });
}

fn alerts(mode: &str, extent: &str, plan: &str, rounds: u64, chance: &mut Chance) {
    let script = |sink: &str| {
        let script = SCRIPT.replace("MODE", mode).replace("EXTENT", extent);
        script.replace("PLAN", plan).replace("SINK", sink)
    };
    let groups = rounds * 8;
    let site = Site::with("");
    let mut log = String::new();
    groups_of(&mut log, groups);
    site.write("log.jsonl", &log);
    for round in 0..rounds {
        let held = block(&site);
        site.write("net.lua", &script("fifo"));
        let mut running = site.start(OPTIONS);
        eventually_within(PATIENCE, "the window commits", || {
            running.status().is_some() || committed(&site) > 0
        });
        settled(&site);
        // It may have come to the end in the round before; in the first one it waits for its sink.
        if let Some(status) = running.status() {
            let fine = round > 0 && status.success();
            assert!(
                fine,
                "{mode}: round {round}: {status}: {}",
                tail(&running.log())
            );
            break;
        }
        kill(running);
        drop(held);
        site.write("net.lua", &script("out.jsonl"));
        let before = site.len("out.jsonl");
        let mut running = site.start(OPTIONS);
        eventually_within(PATIENCE, "some alerts", || {
            running.status().is_some() || site.len("out.jsonl") > before
        });
        std::thread::sleep(Duration::from_micros(chance.below(3_000)));
        kill(running);
    }
    site.write("net.lua", &script("out.jsonl"));
    site.finish(OPTIONS);
    let counts = count_by("source", &site.read("out.jsonl"));
    let lost: Vec<u64> = (0..groups)
        .filter(|group| !counts.contains_key(&format!("g{group}")))
        .collect();
    let more: u64 = counts.values().map(|count| count - 1).sum();
    println!(
        "{mode} {plan}: alerts={groups} lost={} again={more}",
        lost.len()
    );
    assert!(
        lost.is_empty(),
        "{mode} {plan}: no alert of the groups {lost:?}"
    );
    assert!(
        site.read("out.jsonl")
            .lines()
            .all(|line| line.contains(r#""total":10"#) || line.contains(r#""total":5"#)),
        "an alert of something else"
    );
}

fn all_modes(rounds: u64, plans: &[&str]) {
    let mut chance = chance("alerts");
    for (mode, extent) in MODES {
        for plan in plans {
            alerts(mode, extent, plan, rounds, &mut chance);
        }
    }
}

#[test]
fn a_kill_before_an_alert_is_delivered_loses_none() {
    all_modes(2, &[""]);
}

mod long {
    #[test]
    #[ignore = "takes minutes"]
    fn many_kills_before_alerts_are_delivered_lose_none() {
        super::all_modes(20, &["", r#"plan = "requery","#]);
    }
}
