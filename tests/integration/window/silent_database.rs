//! A MySQL server that accepts connections and says nothing, or too little, holds nothing up for long.

use crate::support::binary::{Signal, Site};
use crate::support::mariadb::Server;
use crate::support::process::Silent;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use tributary::connect::{self, Options};
use tributary::{Database, ErrorKind, Network, source};

/// Nothing takes longer than this: the limit is 5 s.
const LIMIT: Duration = Duration::from_secs(12);

/// A server that greets as MariaDB does, and then falls silent.
fn greets() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        let mut greeting =
            b"\x0a5.5.5-10.11.6-MariaDB\0\x07\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15"
                .to_vec();
        greeting.extend([0; 10]);
        greeting.extend(b"ijklmnopqrst\0mysql_native_password\0");
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let greeting = greeting.clone();
            std::thread::spawn(move || {
                let length = u8::try_from(greeting.len()).expect("it is short");
                let _ = stream.write_all(&[length, 0, 0, 0]);
                let _ = stream.write_all(&greeting);
                let mut scrap = [0; 1024];
                while stream.read(&mut scrap).is_ok_and(|len| len > 0) {}
            });
        }
    });
    port
}

fn url(port: u16) -> String {
    format!("mysql://me:canary@127.0.0.1:{port}/x")
}

#[test]
fn a_server_that_never_greets_or_stops_after_it_is_unavailable_in_time() {
    let silent = Silent::start();
    for port in [silent.port(), greets()] {
        let begun = Instant::now();
        let error = Database::open(&url(port)).expect_err("nobody answers");
        assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable());
        assert!(
            error.to_string().contains("does not answer in time"),
            "{error}"
        );
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn a_network_starts_without_a_server_that_never_greets() {
    let silent = Silent::start();
    let url = format!("sql:{}", url(silent.port()));
    let sink = Options::new()
        .with("table", "t")
        .with("columns", json!({"n": "integer"}));
    let rows = Options::new()
        .with("query", "select n from t where n > :cursor order by n")
        .with("cursor", "n");
    for fails_fast in [false, true] {
        let network = Network::new();
        network.fail_fast(fails_fast);
        let begun = Instant::now();
        let built = || {
            network.add_source("in", source::from_iter(["{\"n\":1}"]))?;
            network.add_sink("out", connect::sink(&url, &sink)?)?;
            network.link("in", "out")?;
            network.add_source("rows", connect::source(&url, &rows)?)?;
            network.add_sink("rest", tributary::sink::handler(|_| Ok(())))?;
            network.link("rows", "rest")
        };
        built().expect("the server is not asked for anything");
        assert!(begun.elapsed() < Duration::from_secs(1));
        let started = network.start();
        assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
        if fails_fast {
            let error = started.expect_err("nobody answers");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        } else {
            started.expect("it starts");
            let _ = network.stop_within(Duration::ZERO);
        }
    }
}

#[test]
fn the_time_of_a_run_and_signals_end_a_start_that_waits() -> Result<(), Box<dyn std::error::Error>>
{
    let silent = Silent::start();
    let script = format!(
        "local tb = require('tributary') tb.create_ticker('in', '10ms') \
         tb.create_sink('out', 'sql:{}', {{ table = 't', columns = {{ n = 'integer' }} }}) \
         tb.chain('in', 'out')",
        url(silent.port())
    );
    let site = Site::with(&[("net.lua", &script)])?;
    let begun = Instant::now();
    let done = site.start(&["run", "net.lua", "--for", "1s"])?.wait()?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        done.stderr.contains("stopped before every node was open"),
        "{}",
        done.stderr
    );
    for signal in [Signal::TERM, Signal::INT] {
        let begun = Instant::now();
        let running = site.start(&["run", "net.lua"])?;
        // Nothing shows that it waits for the database.
        std::thread::sleep(Duration::from_millis(1_000));
        running.signal(signal)?;
        let done = running.wait()?;
        assert_eq!(done.code, Some(0), "{signal:?}: {}", done.stderr);
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
    }
    let done = site.start(&["run", "net.lua", "--fail-fast"])?.wait()?;
    assert_eq!(done.code, Some(69), "{}", done.stderr);
    Ok(())
}

const NET: &str = "local tb = require('tributary')
tb.create_table('bets', { key = 'id', columns = { id = 'integer' } })
tb.create_stdin('in')
tb.create_window('keep', 'bets')
tb.create_stdout('out')
tb.chain('in', 'keep', 'out')
";

/// Addresses at which no database is: one that accepts connections, and one that does not.
fn nowhere() -> (Silent, [String; 2]) {
    let silent = Silent::start();
    let urls = [url(silent.port()), url(1)];
    (silent, urls)
}

#[test]
fn a_run_waits_for_its_database_until_its_time_is_over_or_a_signal_comes()
-> Result<(), Box<dyn std::error::Error>> {
    let (_silent, urls) = nowhere();
    let site = Site::with(&[("net.lua", NET)])?;
    for url in urls {
        let begun = Instant::now();
        let args = ["run", "net.lua", "--db", &url, "--for", "2s"];
        let done = site.call(&args)?;
        assert_eq!(done.code, Some(0), "{url}: {}", done.stderr);
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(2), "{url}: {took:?}");
        assert!(took < Duration::from_secs(4), "{url}: {took:?}");
        assert!(
            done.stderr
                .contains("stopped before the network was built: mysql://me:***@"),
            "{url}: {}",
            done.stderr
        );
        let begun = Instant::now();
        let running = site.start(&["run", "net.lua", "--db", &url])?;
        // Nothing shows that it waits for the database.
        std::thread::sleep(Duration::from_secs(1));
        let done = running.stop()?;
        assert!(begun.elapsed() < Duration::from_secs(3), "{url}");
        assert!(!done.stderr.contains("canary"), "{}", done.stderr);
    }
    Ok(())
}

#[test]
fn what_does_not_wait_for_a_database_ends_in_time_with_its_error()
-> Result<(), Box<dyn std::error::Error>> {
    let (_silent, urls) = nowhere();
    let site = Site::with(&[("net.lua", NET)])?;
    for url in urls {
        for args in [
            &["run", "net.lua", "--fail-fast", "--db", &url][..],
            &["check", "net.lua", "--db", &url],
            &["graph", "net.lua", "--db", &url],
        ] {
            let begun = Instant::now();
            let done = site.call(args)?;
            assert_eq!(done.code, Some(69), "{args:?}: {}", done.stderr);
            assert!(begun.elapsed() < Duration::from_secs(8), "{args:?}");
            assert!(
                done.stderr
                    .contains("checked against the schema of the database"),
                "{}",
                done.stderr
            );
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_database_that_is_available_later_is_waited_for_and_one_that_falls_silent_ends_the_load()
-> Result<(), Box<dyn std::error::Error>> {
    let mut server = Server::start();
    let url = server.database();
    server.kill();
    let site = Site::with(&[("net.lua", NET)])?;
    let mut running = site.start(&["run", "net.lua", "--db", &url])?;
    running.send("{\"id\":1}\n")?;
    drop(running.stdin.take());
    running.until_log("waiting for the database: ")?;
    // It would have ended meanwhile.
    std::thread::sleep(Duration::from_secs(1));
    assert!(running.status().is_none(), "it waits");
    server.restart();
    let done = running.wait()?;
    assert_eq!(
        (done.code, &*done.stdout),
        (Some(0), "{\"id\":1}\n"),
        "{}",
        done.stderr
    );
    assert_eq!(
        done.stderr.matches("waiting for the database: ").count(),
        1,
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("the database is available"),
        "{}",
        done.stderr
    );
    // After the first answers there is none: each question waits no longer than the first of them.
    let database = Database::open_within(&url, Duration::from_secs(1))?;
    server.suspend();
    let begun = Instant::now();
    for name in ["a", "b", "c", "d", "e"] {
        let error = database
            .declare(tributary::Table::new(name).integer("n"))
            .expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    server.resume();
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}
