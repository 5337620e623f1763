//! One process for each checkpoint, queue and database file of windows: a second one is refused, or
//! stands by.

use crate::support::binary::{Running, Site};
use crate::support::probe::{START, Seen, burst};
use std::error::Error;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tributary::pipeline::{Filter, FilterKey, Queue};
use tributary::source::{Follow, LineSource};
use tributary::{Database, ErrorKind, Network, source};

type Tested = Result<(), Box<dyn Error>>;

/// Each kind of place: the script, further options, the file that is locked and how it is named.
const PLACES: [(&str, &[&str], &str, &str); 8] = [
    (
        r#"tb.create_file_source("in", "log", { follow = true, checkpoint = "a.place" })
           tb.create_stdout("out") tb.chain("in", "out")"#,
        &[],
        "a.place",
        "node in: checkpoint",
    ),
    (
        r#"tb.create_ticker("in", "50ms") tb.create_queue("between", "a.queue")
           tb.create_stdout("out") tb.chain("in", "between", "out")"#,
        &[],
        "a.queue",
        "node between: queue",
    ),
    (
        r#"tb.create_source("in", "sql:sqlite:rows.db", { query =
           "select 1 as n where 1 > :cursor order by n", cursor = "n", checkpoint = "a.cursor" })
           tb.create_stdout("out") tb.chain("in", "out")"#,
        &[],
        "a.cursor",
        "node in: checkpoint",
    ),
    (
        r#"tb.create_ticker("in", "50ms") tb.create_filter("f", "1h", { store = true })
           tb.create_stdout("out") tb.chain("in", "f", "out")"#,
        &["--db", "sqlite:a.db"],
        "a.db",
        "node f: database",
    ),
    (
        r#"tb.create_ticker("in", "50ms")
           tb.create_table("t", { columns = { tick = "integer" } })
           tb.create_window("w", "t") tb.create_stdout("out") tb.chain("in", "w", "out")"#,
        &["--db", "sqlite:a.db"],
        "a.db",
        "node w: database",
    ),
    (
        r#"tb.create_ticker("in", "50ms")
           tb.create_table("t", { columns = { tick = "integer" } })
           tb.sliding_window_time("w", "answer", "select count(*) as n from t", "t", "10s", "tick")
           tb.create_stdout("out") tb.link("in", "w") tb.link("answer", "out")"#,
        &["--db", "sqlite:a.db"],
        "a.db",
        "node w: database",
    ),
    (
        r#"tb.create_ticker("in", "50ms")
           tb.create_sink("out", "file:a.out", { rotate_bytes = 1000 }) tb.chain("in", "out")"#,
        &[],
        "a.out",
        "node out: file",
    ),
    (
        r#"tb.create_ticker("in", "50ms")
           tb.create_table("t", { key = "tick", columns = { tick = "integer" } })
           tb.window("w", "answer", { table = "t", query = "select tick from t", count = 10 })
           tb.create_stdout("out") tb.link("in", "w") tb.link("answer", "out")"#,
        &["--db", "sqlite:linked.db"],
        "a.db",
        "node w: database",
    ),
];

const FOLLOWED: &str = r#"local tb = require("tributary")
tb.create_file_source("in", "log", { follow = true, checkpoint = "a.place" })
tb.create_stdout("out") tb.chain("in", "out")"#;

/// A process that has locked a file.
fn holder(site: &Site, args: &[&str], lock: &str) -> Result<Running, Box<dyn Error>> {
    let mut running = site.start(args)?;
    let (lock, own) = (site.path(lock), format!("{}\n", running.id()));
    running.until("the lock", || {
        std::fs::read_to_string(&lock).is_ok_and(|id| id == own)
    })?;
    Ok(running)
}

#[test]
fn a_second_process_is_refused_with_the_file_and_the_process_that_uses_it() -> Tested {
    for (script, options, file, named) in PLACES {
        let script = format!("local tb = require(\"tributary\")\n{script}");
        let site = Site::with(&[("net.lua", &script), ("log", "1\n")])?;
        if options.contains(&"sqlite:linked.db") {
            std::fs::write(site.path("a.db"), "")?;
            std::os::unix::fs::symlink("a.db", site.path("linked.db"))?;
        }
        let args = [&["run", "net.lua"], options].concat();
        let lock = format!("{file}.lock");
        let first = holder(&site, &args, &lock)?;
        let second = site.call(&args)?;
        let stderr = &second.stderr;
        assert_eq!(
            (second.code, &*second.stdout),
            (Some(75), ""),
            "{file}: {stderr}"
        );
        let by = format!("is in use by process {}\n", first.id());
        assert!(stderr.contains("net.lua:"), "{file}: {stderr}");
        assert!(stderr.contains(named), "{file}: {stderr}");
        assert!(
            stderr.contains(&format!("{file}\" {by}")),
            "{file}: {stderr}"
        );
        assert!(stderr.contains("--wait-lock"), "{file}: {stderr}");
        first.kill()?;
        // The lock of a process that was killed holds nobody up.
        let third = holder(&site, &args, &lock)?.stop()?;
        assert_eq!(third.code, Some(0), "{file}: {}", third.stderr);
        assert!(
            !site.path(&lock).exists(),
            "{file}: an orderly end removes it"
        );
    }
    Ok(())
}

#[test]
fn a_process_that_stands_by_takes_over_after_a_kill_and_no_line_comes_twice() -> Tested {
    let site = Site::with(&[("net.lua", FOLLOWED), ("log", "1\n")])?;
    let mut first = holder(&site, &["run", "net.lua"], "a.place.lock")?;
    let place = || site.read("a.place").unwrap_or_default();
    first.until("line 1", || place().contains("\"line\":1"))?;
    let mut second = site.start(&["run", "net.lua", "--wait-lock"])?;
    second.until_log("standing by: ")?;
    assert_eq!(first.kill()?.stdout, "1\n");
    site.write("log", "1\n2\n")?;
    second.until("line 2", || place().contains("\"line\":2"))?;
    let done = second.stop()?;
    assert_eq!((done.code, &*done.stdout), (Some(0), "2\n"));
    assert!(done.stderr.contains("standing by: "), "{}", done.stderr);
    assert!(done.stderr.contains("taking over"), "{}", done.stderr);
    Ok(())
}

#[test]
fn a_signal_ends_a_process_that_stands_by_at_once() -> Tested {
    let site = Site::with(&[("net.lua", FOLLOWED), ("log", "1\n")])?;
    let _first = holder(&site, &["run", "net.lua"], "a.place.lock")?;
    let mut second = site.start(&["run", "net.lua", "--wait-lock"])?;
    second.until_log("standing by: ")?;
    let begun = Instant::now();
    second.stop()?;
    assert!(begun.elapsed() < Duration::from_secs(2));
    Ok(())
}

#[test]
fn what_only_reads_takes_no_lock() -> Tested {
    let (script, options, ..) = PLACES[5];
    let script = format!(
        "local tb = require(\"tributary\")\n{script}\n\
         tb.create_dlq(\"refused\", {{ path = \"refused.db\" }}) tb.on_error(\"*\", \"refused\")"
    );
    let site = Site::with(&[("net.lua", &script)])?;
    let mut first = holder(&site, &[&["run", "net.lua"], options].concat(), "a.db.lock")?;
    first.until("dead letters", || site.path("refused.db").exists())?;
    for verb in ["check", "graph", "explain"] {
        let done = site.call(&[&[verb, "net.lua"], options].concat())?;
        assert_eq!(done.code, Some(0), "{verb}: {}", done.stderr);
    }
    let done = site.call(&["dlq", "list", "refused.db"])?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    Ok(())
}

#[test]
fn a_file_that_two_nodes_of_one_process_claim_for_themselves_is_refused() -> Tested {
    let dir = TempDir::new()?;
    let path = dir.path().join("a.queue");
    let queue = |network: &Network| -> tributary::Result<()> {
        let (_sender, events) = source::channel();
        network.add_source("in", events)?;
        network.add_pipeline("queue", Queue::new(&path))?;
        Seen::at(network, "out")?;
        network.link("in", "queue")?;
        network.link("queue", "out")
    };
    let (first, second) = (Network::new(), Network::new());
    queue(&first)?;
    queue(&second)?;
    first.start()?;
    let error = second.start().expect_err("the queue is in use");
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(
        error.message().ends_with("by another node of this process"),
        "{error}"
    );
    first.stop()?;
    // Nothing was opened, and it may be tried again.
    second.start()?;
    second.stop()?;
    Ok(())
}

#[test]
fn a_network_that_grows_is_refused_a_checkpoint_that_it_reads_by_already() -> Tested {
    let dir = TempDir::new()?;
    let log = dir.path().join("log");
    std::fs::write(&log, "1\n")?;
    let source = || LineSource::file(&log, Follow::Yes).checkpoint(dir.path().join("place"));
    let network = Network::new();
    network.add_source("in", source())?;
    Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    let error = network.add_source("again", source()).map(drop);
    assert_eq!(error.map_err(|e| e.kind()), Err(ErrorKind::Locked));
    network.stop()?;
    Ok(())
}

#[test]
fn networks_of_one_process_share_a_database_file() -> Tested {
    let dir = TempDir::new()?;
    let path = dir.path().join("a.db");
    let url = format!("sqlite:{}", path.display());
    let database = Database::open(&url)?;
    let mut networks = Vec::new();
    for (number, database) in [database.clone(), database, Database::open(&url)?]
        .iter()
        .enumerate()
    {
        let network = Network::new();
        network.add_source("in", burst(&["1"]))?;
        let filter = Filter::new(Duration::from_secs(60), FilterKey::Payload)?;
        network.add_pipeline("f", filter.stored(database, format!("{number}")))?;
        let seen = Seen::at(&network, "out")?;
        network.link("in", "f")?;
        network.link("f", "out")?;
        networks.push((network.simulate(START)?, seen));
    }
    let lock = dir.path().join("a.db.lock");
    for (simulation, seen) in networks {
        assert!(lock.exists());
        assert_eq!(seen.texts(), ["1"]);
        simulation.finish()?;
    }
    assert!(!lock.exists());
    Ok(())
}
