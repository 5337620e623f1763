//! A disk that is full, and has room again: what was on its way is not lost.
//!
//! The disk is a tmpfs. Where none can be mounted, that is printed, and the limit of the process on the
//! size of its files stands in: no file can grow then, and there is room again when the limit is
//! lifted.

use crate::process::{PATIENCE, Site, end, tail};
use crate::record;
use crate::support::binary::Running;
use crate::support::wait::eventually_within;
use std::process::Command;
use std::time::Duration;

/// What writes to the disk that is soon full.
struct Writer {
    script: &'static str,
    options: &'static [&'static str],
    /// Gives what has come out as the lines of a file.
    out: fn(&Site) -> String,
    /// Whether the disk has no room at all: what is written is small.
    brimful: bool,
}

const WRITERS: &[(&str, Writer)] = &[
    (
        "a file sink",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_file_sink("out", "small/out.jsonl", { append = false })
tb.chain("in", "out")"#,
            options: &[],
            out: |site| site.read("small/out.jsonl"),
            brimful: false,
        },
    ),
    (
        "a file sink that is synced",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_file_sink("out", "small/out.jsonl", { sync = true })
tb.chain("in", "out")"#,
            options: &[],
            out: |site| site.read("small/out.jsonl"),
            brimful: false,
        },
    ),
    (
        "a file sink that rotates and compresses",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_sink("out", "file:small/out.jsonl", { rotate_bytes = 70000, gzip = true })
tb.chain("in", "out")"#,
            options: &[],
            out: |site| {
                let all = "for f in small/out.jsonl*; do case $f in *.gz) gzip -dc \"$f\";; \
                           *) cat \"$f\";; esac; done";
                let mut all_of_it = Command::new("sh");
                let all = all_of_it
                    .args(["-c", all])
                    .current_dir(site.root())
                    .output();
                let all = all.expect("a shell can be started");
                assert!(all.status.success());
                String::from_utf8(all.stdout).expect("it is text")
            },
            brimful: false,
        },
    ),
    (
        "standard output",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_stdout("out")
tb.chain("in", "out")"#,
            options: &[],
            out: |site| site.read("small/stdout"),
            brimful: false,
        },
    ),
    (
        "a checkpoint of a file",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "small/place", in_flight = 500 })
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "out")"#,
            options: &[],
            out: |site| site.read("out.jsonl"),
            brimful: true,
        },
    ),
    (
        "a checkpoint of rows",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_source("rows", "sql:sqlite:rows.db", { cursor = "id", checkpoint = "small/cursor",
    query = "select id, line from rows where id > :cursor order by id limit 100" })
tb.create_map("line", function(e) return e.data.line end)
tb.create_file_sink("out", "out.jsonl")
tb.chain("rows", "line", "out")"#,
            options: &["--for", "8s"],
            out: |site| site.read("out.jsonl"),
            brimful: true,
        },
    ),
    (
        "a queue",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_queue("between", "small/between.queue")
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "between", "out")"#,
            options: &[],
            out: |site| site.read("out.jsonl"),
            brimful: false,
        },
    ),
    (
        "a queue whose outcomes come while it is closed",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_queue("between", "small/between.queue")
tb.create_delay("later", "700ms")
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "between", "later", "out")"#,
            options: &[],
            out: |site| site.read("out.jsonl"),
            brimful: false,
        },
    ),
    (
        "a window",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_table("arrivals", {
    key = "sequence",
    columns = { sequence = "integer", source = "text", text = "text" },
})
tb.create_window("store", "arrivals")
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "store", "out")"#,
            options: &["--db", "sqlite:small/state.db"],
            out: |site| site.read("out.jsonl"),
            brimful: false,
        },
    ),
    (
        "a filter",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_filter("once", "10h", { store = true })
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "once", "out")"#,
            options: &["--db", "sqlite:small/state.db"],
            out: |site| site.read("out.jsonl"),
            brimful: false,
        },
    ),
    (
        "a SQL sink",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_map("row", function(e) return { line = e.payload } end)
tb.create_table("arrivals", { columns = { line = "text" } })
tb.create_sql_sink("out", { table = "arrivals" })
tb.chain("in", "row", "out")"#,
            options: &["--db", "sqlite:small/state.db"],
            out: |site| rows(site, "small/state.db", "SELECT line FROM arrivals"),
            brimful: false,
        },
    ),
    (
        "dead letters",
        Writer {
            script: r#"local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { checkpoint = "place", in_flight = 500 })
tb.create_handler("out", function(e) error("no") end)
tb.create_dlq("refused", { path = "small/refused.db" })
tb.on_error("out", "refused")
tb.chain("in", "out")"#,
            options: &[],
            out: |site| {
                let sql = "SELECT CAST(payload AS TEXT) FROM tributary_letters";
                rows(site, "small/refused.db", sql)
            },
            brimful: false,
        },
    ),
];

/// What is in a database, as lines.
fn rows(site: &Site, file: &str, sql: &str) -> String {
    let database = rusqlite::Connection::open(site.path(file)).expect("it can be opened");
    let mut rows = database.prepare(sql).expect("there is such a table");
    let lines = rows.query_map([], |row| row.get::<_, String>(0));
    let lines: Result<Vec<String>, _> = lines.expect("it can be read").collect();
    lines.expect("they are texts").join("\n") + "\n"
}

/// A place with a directory `small` that is soon full.
struct Small {
    site: Site,
    mounted: bool,
}

impl Drop for Small {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount")
                .arg("-l")
                .arg(self.site.path("small"))
                .status();
        }
    }
}

impl Small {
    fn with(script: &'static str, events: u64) -> Small {
        let site = Site::with(script);
        site.write("log.jsonl", &record::log("r", "a", events));
        let dir = site.path("small");
        std::fs::create_dir(&dir).expect("a directory can be made");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(&dir);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if mounted {
            // Little is left of it.
            std::fs::write(dir.join("ballast"), vec![0; (16 << 20) - (100 << 10)])
                .expect("there is room");
        } else {
            eprintln!("NO TMPFS can be mounted here: a limit on the size of files stands in");
        }
        Small { site, mounted }
    }

    /// Starts it while the disk is almost full.
    fn start(&self, options: &[&str]) -> Running {
        let limit = if self.mounted {
            ""
        } else {
            "ulimit -S -f 150; "
        };
        let script = format!("{limit}exec \"$0\" \"$@\" > small/stdout");
        self.site.start_by(&["sh", "-c", &script], options)
    }

    /// Makes room, for a process that runs too.
    fn free(&self, running: Option<&Running>) {
        if self.mounted {
            std::fs::remove_file(self.site.path("small/ballast")).expect("it is there");
            let _ = std::fs::remove_file(self.site.path("small/ballast2"));
            return;
        }
        if let Some(running) = running {
            let id = running.id().to_string();
            let mut lift = Command::new("prlimit");
            let lifted = lift
                .args(["--pid", &id, "--fsize=unlimited:unlimited"])
                .status();
            assert!(
                lifted.is_ok_and(|status| status.success()),
                "no prlimit here"
            );
        }
    }

    /// Nothing that would fit, fits.
    fn fill(&self) {
        let more = std::fs::File::create(self.site.path("small/ballast2"));
        let mut more = more.expect("a file can be made");
        assert!(std::io::copy(&mut std::io::repeat(0), &mut more).is_err());
    }
}

const EVENTS: u64 = 5_000;

/// The process waits for room, goes on when there is some, and ends well: each event has come once, and
/// while it waits there is no half line.
fn waits_for_room(what: &str, writer: &Writer) {
    let small = Small::with(writer.script, EVENTS);
    let site = &small.site;
    if writer.brimful || what.contains("rotates") {
        if !small.mounted {
            eprintln!("NOT TESTED: a limit on the size of files does not reach {what}");
            return;
        }
        if writer.brimful {
            small.fill();
        }
    }
    let log = site.read("log.jsonl");
    let database = rusqlite::Connection::open(site.path("rows.db")).expect("a file can be made");
    let table = "CREATE TABLE rows (id INTEGER PRIMARY KEY, line TEXT); BEGIN";
    database.execute_batch(table).expect("a table can be made");
    for line in log.lines() {
        let added = database.execute("INSERT INTO rows (line) VALUES (?)", [line]);
        added.expect("a row can be added");
    }
    database.execute_batch("COMMIT").expect("it is committed");
    drop(database);
    let mut running = small.start(writer.options);
    let full = |log: &str| {
        let words = ["full", "I/O", "no space left", "too large"];
        words.iter().any(|word| log.contains(word))
    };
    eventually_within(PATIENCE, "the full disk is in the log", || {
        let log = tail(&running.log());
        assert!(running.status().is_none(), "{what}: it has ended: {log}");
        full(&log)
    });
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(
        running.status().is_none(),
        "{what}: it has ended: {}",
        tail(&running.log())
    );
    for file in ["small/out.jsonl", "small/stdout"] {
        let lines = site.read(file);
        assert!(
            lines.is_empty() || lines.ends_with('\n'),
            "{what}: half a line"
        );
    }
    small.free(Some(&running));
    let done = end(running);
    let stderr = tail(&done.stderr);
    assert_eq!(done.code, Some(0), "{what}: {stderr}");
    let (wanted, out) = (log, (writer.out)(site));
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (wanted, got) = (sorted(&wanted), sorted(&out));
    let many = got.len();
    assert!(wanted == got, "{what}: {many} lines of {EVENTS}: {stderr}");
}

#[test]
fn whatever_writes_to_a_full_disk_waits_for_room_and_brings_each_event_once() {
    for (what, writer) in WRITERS {
        waits_for_room(what, writer);
    }
}
