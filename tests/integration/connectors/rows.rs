//! `sql:`: rows behind a cursor, as events.

use crate::probe::{Log, Scripted, Seen, soon};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tributary::connect::{self, Options};
use tributary::{Error, Network, Result, Sink};

const QUERY: &str = "select id, stake from bets where id > :cursor order by id limit 3";

fn options() -> Options {
    Options::new()
        .with("query", QUERY)
        .with("cursor", "id")
        .with("every", "20ms")
}

fn database(place: &Path) -> (String, rusqlite::Connection) {
    let path = place.join("bets.db");
    let database = rusqlite::Connection::open(&path).expect("opened");
    database
        .execute_batch("create table if not exists bets (id integer primary key, stake real)")
        .expect("made");
    (format!("sql:sqlite:{}", path.display()), database)
}

fn insert(database: &rusqlite::Connection, ids: std::ops::Range<i64>) {
    for id in ids {
        database
            .execute("insert into bets values (?, 1.5)", [id])
            .expect("inserted");
    }
}

fn reading(url: &str, options: &Options, sink: impl Sink + 'static) -> Result<Network> {
    let network = Network::new();
    network.add_source("in", connect::source(url, options)?)?;
    network.add_sink("out", sink)?;
    network.link("in", "out")?;
    network.start()?;
    Ok(network)
}

#[test]
fn each_row_comes_once_and_the_next_network_goes_on() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let (url, database) = database(place.path());
    let place = place.path().join("place").display().to_string();
    let options = options().with("checkpoint", place.as_str());
    insert(&database, 1..11);
    let seen = Seen::default();
    let network = reading(&url, &options, seen.sink())?;
    assert!(soon(|| seen.len() == 10));
    insert(&database, 11..12);
    assert!(soon(|| seen.len() == 11));
    network.stop()?;
    insert(&database, 12..13);
    let network = reading(&url, &options, seen.sink())?;
    assert!(soon(|| seen.len() == 12));
    network.stop()?;
    let expected: Vec<String> = (1..13)
        .map(|id| format!(r#"{{"id":{id},"stake":1.5}}"#))
        .collect();
    assert_eq!(seen.texts(), expected);
    std::fs::write(&place, "rubbish").expect("written");
    let error = reading(&url, &options, seen.sink())
        .err()
        .expect("it is refused");
    assert!(
        error
            .to_string()
            .contains("is no checkpoint of a sql source"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_row_that_failed_comes_again_with_those_behind_it() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let (url, database) = database(place.path());
    insert(&database, 1..6);
    let (log, failed) = (Log::default(), AtomicBool::new(false));
    let sink = Scripted::new(&log).on_event(move |event, _| {
        match event.payload().json()?["id"] == 2 && !failed.swap(true, Ordering::SeqCst) {
            true => Err(Error::data("not yet")),
            false => Ok(()),
        }
    });
    let network = reading(&url, &options(), sink)?;
    assert!(soon(|| log.count(r#"{"id":5,"stake":1.5}"#) == 1));
    assert_eq!(log.count(r#"{"id":1,"stake":1.5}"#), 1);
    assert_eq!(log.count(r#"{"id":2,"stake":1.5}"#), 2);
    network.stop()
}

#[test]
fn a_query_without_its_cursor_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let (url, _database) = database(place.path());
    for (options, expected) in [
        (
            options().with("query", "select id from bets"),
            "write where id > :cursor order by id",
        ),
        (
            options().with("cursor", "ident"),
            "the query has no column \"ident\"; its columns are id, stake",
        ),
        (
            options().with("query", "select id from bots where id > :cursor"),
            "bots",
        ),
        (
            options().with("start", true),
            "option start of sql sources: a number or a text expected",
        ),
        (Options::new(), "sql sources needs the option query"),
    ] {
        let error = connect::source(&url, &options)
            .err()
            .expect("it is refused")
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = connect::source("sql:mysql://me:hidden@", &options())
        .err()
        .expect("it is refused")
        .to_string();
    assert!(
        error.contains("bad database url \"mysql://me:***@\""),
        "{error}"
    );
}
