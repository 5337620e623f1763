//! Several processes with one database and windows of one name: what the outbox of one has left when it was
//! killed is emitted by exactly one of the others, and what is still in flight by none.

use super::outbox::{Run, Seen};
use crate::support::binary::{Running, Site};
use crate::support::databases::{Place, kill_connections};
use crate::support::wait::eventually_within;
use crate::support::window_bench::{Fate, START};
use serde_json::json;
use std::error::Error;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tributary::time::Timestamp;
use tributary::window::{Emit, Plan, WindowKind, WindowOptions};

type Tested = Result<(), Box<dyn Error>>;

/// How long a server may take to notice that a client is gone.
const NOTICED: Duration = Duration::from_secs(10);
/// More than the time between two looks for what others have left.
const LOOK: Duration = Duration::from_secs(11);

fn options(emit: Emit) -> WindowOptions {
    let size = WindowKind::Sliding(Duration::from_secs(86_400));
    let sql = "select g, sum(n) as s from things group by g";
    let options = WindowOptions::new("things", sql, size).time("t");
    options.emit(emit).plan(Plan::Requery).name("shared")
}

/// A network of one of the processes.
struct Process {
    run: Run,
    seen: Arc<Mutex<Seen>>,
}

impl Process {
    fn start(place: &Place, emit: Emit) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let run = Run::new(place, &options(emit), &seen, Timestamp::from_secs(START));
        Process { run, seen }
    }

    fn row(&mut self, k: i64, g: &str, n: i64) {
        let row = json!({"k": k.to_string(), "t": START, "g": g, "n": n});
        self.run.send(row.to_string());
    }

    /// Lets time pass until this process has delivered as many rows, or does not any more.
    fn wait_for(&mut self, rows: usize) {
        let since = Instant::now();
        while self.delivered().len() < rows && since.elapsed() < NOTICED {
            self.run.simulation.advance(LOOK);
            // Others use the server meanwhile, in their own time.
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn delivered(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.delivered.iter().map(|(_, row)| row.clone()).collect()
    }
}

/// The rows that are left in the outbox.
fn left(place: &Place) -> i64 {
    place.rows_in("tributary_outbox")
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn what_a_killed_process_has_left_is_emitted_by_one_of_those_that_run() {
    let place = Place::mariadb();
    let mut killed = Process::start(&place, Emit::Touched);
    let (mut one, mut other) = (
        Process::start(&place, Emit::Touched),
        Process::start(&place, Emit::Touched),
    );
    killed.run.fate(Fate::Held);
    for k in 0..20 {
        killed.row(k, &format!("g{k}"), k);
    }
    one.run.simulation.advance(LOOK);
    other.run.simulation.advance(LOOK);
    assert_eq!((one.delivered().len(), other.delivered().len()), (0, 0));
    drop(killed);
    one.wait_for(20);
    other.run.simulation.advance(LOOK);
    one.run.simulation.advance(LOOK);
    assert_eq!(other.delivered(), [] as [String; 0]);
    let right: Vec<String> = (0..20)
        .map(|k| json!({"g": format!("g{k}"), "s": k.to_string()}).to_string())
        .collect();
    assert_eq!(one.delivered(), right, "in order");
    assert_eq!(left(&place), 0);
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn of_processes_that_start_at_once_one_takes_each_entry_over() {
    let place = Place::mariadb();
    for round in 0..5 {
        let (mut all, mut killed) = (Vec::new(), Vec::new());
        for part in 0..4 {
            let mut process = Process::start(&place, Emit::Touched);
            process.run.fate(Fate::Held);
            for k in 0..5 {
                let id = round * 100 + part * 10 + k;
                process.row(id, &format!("g{id}"), 1);
                all.push(json!({"g": format!("g{id}"), "s": "1"}).to_string());
            }
            killed.push(process);
        }
        drop(killed);
        let barrier = Barrier::new(3);
        let delivered: Mutex<Vec<String>> = Mutex::default();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    barrier.wait();
                    let mut process = Process::start(&place, Emit::Touched);
                    let since = Instant::now();
                    loop {
                        process.run.simulation.advance(LOOK);
                        if left(&place) == 0 || since.elapsed() > NOTICED {
                            break;
                        }
                        // Others use the server meanwhile, in their own time.
                        thread::sleep(Duration::from_millis(10));
                    }
                    delivered.lock().unwrap().extend(process.delivered());
                });
            }
        });
        let mut delivered = delivered.into_inner().unwrap();
        delivered.sort();
        all.sort();
        assert_eq!(delivered, all, "round {round}");
    }
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_process_that_starts_leaves_alone_what_another_one_has_in_flight() {
    let place = Place::mariadb();
    let mut first = Process::start(&place, Emit::Touched);
    first.run.fate(Fate::Failed);
    first.row(1, "a", 5);
    let mut second = Process::start(&place, Emit::Touched);
    second.run.simulation.advance(LOOK);
    assert_eq!(second.delivered(), [] as [String; 0]);
    first.run.fate(Fate::Delivered);
    first.run.simulation.advance(LOOK);
    second.run.simulation.advance(LOOK);
    assert_eq!(first.delivered(), [r#"{"g":"a","s":"5"}"#]);
    assert_eq!(second.delivered(), [] as [String; 0]);
    assert_eq!(left(&place), 0);
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_process_that_has_lost_its_connection_keeps_its_entries_unless_another_one_was_faster() {
    for faster in [false, true] {
        let place = Place::mariadb();
        let mut first = Process::start(&place, Emit::Touched);
        first.run.fate(Fate::Failed);
        first.row(1, "a", 5);
        kill_connections(&place);
        let mut second = None;
        if faster {
            let second = second.insert(Process::start(&place, Emit::Touched));
            second.wait_for(1);
        }
        first.run.fate(Fate::Delivered);
        first.run.simulation.advance(LOOK);
        let mut second = second.unwrap_or_else(|| Process::start(&place, Emit::Touched));
        for _ in 0..3 {
            second.run.simulation.advance(LOOK);
            first.run.simulation.advance(LOOK);
        }
        let rows = [r#"{"g":"a","s":"5"}"#];
        let (ours, theirs): (&[&str], &[&str]) = if faster { (&[], &rows) } else { (&rows, &[]) };
        assert_eq!(first.delivered(), ours, "faster: {faster}");
        assert_eq!(second.delivered(), theirs, "faster: {faster}");
        assert_eq!(left(&place), 0);
        // Both work on.
        first.row(2, "b", 1);
        second.row(3, "c", 1);
        assert_eq!(first.delivered().len(), ours.len() + 1);
        assert_eq!(second.delivered().len(), theirs.len() + 1);
    }
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_change_that_was_superseded_by_another_process_is_not_taken_over() {
    let place = Place::mariadb();
    let mut killed = Process::start(&place, Emit::Changes);
    let mut running = Process::start(&place, Emit::Changes);
    killed.run.fate(Fate::Held);
    killed.row(1, "a", 5);
    killed.row(2, "b", 1);
    running.row(3, "a", 2);
    drop(killed);
    running.wait_for(3);
    running.run.simulation.advance(LOOK);
    let (a, b) = (r#"{"g":"a","s":"7"}"#, r#"{"g":"b","s":"1"}"#);
    let mut delivered = running.delivered();
    delivered.sort();
    delivered.dedup();
    assert_eq!(delivered, [a, b]);
    assert_eq!(left(&place), 0);
}

/// Rows are alerts, which wait in a delay.
fn script(delay: &str) -> String {
    format!(
        r#"local tb = require("tributary")
        tb.create_table("t", {{ key = "n", columns = {{ n = "integer", at = "integer" }} }})
        tb.create_source("in", "file:${{env:INPUT}}", {{ follow = true }})
        tb.window("w", "answer", {{ table = "t", time = "at", size = "1h", emit = "touched",
            query = "select n, count(*) as c from t group by n" }})
        tb.create_delay("wait", "{delay}")
        tb.create_sink("out", "file:${{env:OUTPUT}}")
        tb.chain("in", "w")
        tb.chain("answer", "wait", "out")"#
    )
}

fn lines(site: &Site, name: &str) -> Vec<String> {
    let text = site.read(name).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    eventually_within(Duration::from_secs(60), what, holds);
}

/// What the killed process has emitted and not delivered.
const ROWS: usize = 30;

fn input() -> String {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let row = |n| format!("{}\n", json!({"n": n, "at": now}));
    (0..ROWS).map(row).collect()
}

fn right() -> Vec<String> {
    (0..ROWS)
        .map(|n| json!({"n": n, "c": 1}).to_string())
        .collect()
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn of_real_processes_one_delivers_what_a_killed_one_has_left() -> Tested {
    for restarted in [false, true] {
        let place = Place::mariadb();
        let (slow, fast) = (script("1h"), script("1ms"));
        let site = Site::with(&[
            ("slow.lua", &slow),
            ("fast.lua", &fast),
            ("rows", &input()),
            ("none", ""),
        ])?;
        let process = |script: &str, input: &str, output: &str| {
            let mut command = site.command(&["run", script, "--db", &place.url]);
            command.env("INPUT", input).env("OUTPUT", output);
            Running::of(command)
        };
        let others = || -> Result<Vec<Running>, Box<dyn Error>> {
            Ok(vec![
                process("fast.lua", "none", "one")?,
                process("fast.lua", "none", "other")?,
            ])
        };
        let mut running = Vec::new();
        if !restarted {
            running = others()?;
            // They look for outboxes of others by then.
            thread::sleep(Duration::from_secs(1));
        }
        let killed = process("slow.lua", "rows", "killed")?;
        let is_there = || {
            !place
                .texts("show tables like 'tributary_outbox'")
                .is_empty()
        };
        until("the outbox is written", || {
            is_there() && left(&place) > 0 && place.rows_in("t") == ROWS as i64
        });
        killed.kill()?;
        if restarted {
            running = others()?;
        }
        let delivered = || [lines(&site, "one"), lines(&site, "other")].concat();
        until("all is delivered", || delivered().len() >= ROWS);
        until("the outbox is empty", || left(&place) == 0);
        let (mut delivered, mut right) = (delivered(), right());
        delivered.sort();
        right.sort();
        assert_eq!(delivered, right, "restarted: {restarted}");
        assert_eq!(lines(&site, "killed"), [] as [String; 0]);
        drop(running);
    }
    Ok(())
}

#[test]
fn with_a_file_a_process_that_stands_by_delivers_what_a_killed_one_has_left() -> Tested {
    let (slow, fast) = (script("1h"), script("1ms"));
    let site = Site::with(&[
        ("slow.lua", &slow),
        ("fast.lua", &fast),
        ("rows", &input()),
        ("none", ""),
    ])?;
    let process = |script: &str, input: &str, output: &str| {
        let mut command = site.command(&["run", script, "--db", "sqlite:a.db", "--wait-lock"]);
        command.env("INPUT", input).env("OUTPUT", output);
        Running::of(command)
    };
    let killed = process("slow.lua", "rows", "killed")?;
    let count = |table: &str| {
        let open = rusqlite::Connection::open(site.path("a.db"));
        let sql = format!("select count(*) from {table}");
        open.and_then(|db| db.query_row(&sql, [], |row| row.get::<_, i64>(0)))
    };
    until("the outbox is written", || {
        count("tributary_outbox").is_ok_and(|n| n > 0) && count("t").is_ok_and(|n| n == ROWS as i64)
    });
    let standby = [
        process("fast.lua", "none", "one")?,
        process("fast.lua", "none", "other")?,
    ];
    // They look for outboxes of others by then.
    thread::sleep(Duration::from_millis(500));
    killed.kill()?;
    let delivered = || [lines(&site, "one"), lines(&site, "other")].concat();
    until("all is delivered", || delivered().len() >= ROWS);
    until("the outbox is empty", || {
        count("tributary_outbox").is_ok_and(|n| n == 0)
    });
    assert_eq!(delivered(), right());
    drop(standby);
    Ok(())
}
