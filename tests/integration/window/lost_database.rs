//! A database that ends while a network runs, and comes back.

use crate::support::binary::Site;
use crate::support::mariadb::Server;
use crate::support::probe::{Log, START, Scripted, Seen, burst, soon};
use mysql::prelude::Queryable;
use std::error::Error;
use std::time::{Duration, Instant};
use tributary::{Network, OnError};

type Tested = Result<(), Box<dyn Error>>;

const NET: &str = "\
local tb = require('tributary')
tb.create_table('bets', { key = 'id', columns = { id = 'integer' } })
tb.create_stdin('in')
tb.create_window('keep', 'bets')
tb.create_file_sink('out', 'out.jsonl')
tb.create_file_sink('beside', 'beside.jsonl')
tb.create_dlq('refused', { path = 'refused.db' })
tb.chain('in', 'keep', 'out')
tb.link('in', 'beside')
tb.on_error('*', 'refused')
";

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_database_that_ends_and_comes_back_loses_nothing_and_refuses_nothing() -> Tested {
    let mut server = Server::start();
    let url = server.database();
    let site = Site::with(&[("net.lua", NET)])?;
    let mut running = site.start(&["run", "net.lua", "--db", &url])?;
    // In one piece: of a line at a time the link to the lost node would hold a few, not a thousand.
    let mut send = |ids: std::ops::Range<u32>| {
        let lines: String = ids.map(|id| format!("{{\"id\":{id}}}\n")).collect();
        running.send(&lines)
    };
    let lines = |name: &str| site.read(name).map_or(0, |text| text.lines().count());
    send(0..1_000)?;
    assert!(
        soon(|| lines("out.jsonl") == 1_000),
        "{}",
        lines("out.jsonl")
    );
    server.kill();
    send(1_000..2_000)?;
    // Who does not need the database goes on.
    assert!(soon(|| lines("beside.jsonl") == 2_000));
    // Longer than the pauses between attempts.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(lines("out.jsonl"), 1_000);
    server.restart();
    let back = Instant::now();
    assert!(
        soon(|| lines("out.jsonl") == 2_000),
        "{}",
        lines("out.jsonl")
    );
    assert!(
        back.elapsed() < Duration::from_secs(5),
        "{:?}",
        back.elapsed()
    );
    drop(running.stdin.take());
    let done = running.wait()?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert!(lines[0].contains("node keep: mysql://"), "{lines:?}");
    assert!(
        lines[1..lines.len() - 1]
            .iter()
            .all(|l| l.contains("node keep: still lost: mysql://")),
        "{lines:?}"
    );
    assert!(
        lines[lines.len() - 1].contains("node keep: back after "),
        "{lines:?}"
    );
    assert!((3..=9).contains(&lines.len()), "{lines:?}");
    let name = url.rsplit('/').next().ok_or("no name")?;
    let rows: Option<u32> = server
        .connect(Some(name))?
        .query_first("SELECT COUNT(*) FROM bets")?;
    assert_eq!(rows, Some(2_000));
    let letters = site.call(&["dlq", "list", "refused.db"])?;
    letters.expect(0, "no letters\n", "");
    Ok(())
}

#[test]
fn a_lost_node_counts_no_attempt_and_its_events_wait_for_it() -> Tested {
    let network = Network::new();
    network.add_source("burst", burst(&["a", "b", "c"]))?;
    let mut calls = 0;
    let node = Scripted::new(&Log::default()).on_event(move |_, cx| {
        cx.pass();
        calls += 1;
        match calls {
            ..=8 => Err(tributary::Error::data("the broker is gone").retryable()),
            _ => Ok(()),
        }
    });
    network.add_pipeline("node", node)?;
    let out = Seen::at(&network, "out")?;
    let bad = Seen::at(&network, "bad")?;
    network.link("burst", "node")?;
    network.link("node", "out")?;
    network.on_error("*", OnError::retry(1).after("bad"))?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(60));
    assert_eq!((out.texts().concat(), bad.len()), ("abc".to_owned(), 0));
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}
