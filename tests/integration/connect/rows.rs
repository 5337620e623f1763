//! `sql:`: rows behind a cursor, as events.

use crate::support::probe::{Log, Scripted, Seen, soon};
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
fn each_row_comes_once_and_the_next_network_resumes() -> Result<()> {
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
    let error = reading(&url, &options, seen.sink()).expect_err("it is refused");
    assert!(
        error
            .to_string()
            .contains("is not a checkpoint of a sql source"),
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
        if event.payload().json()?["id"] == 2 && !failed.swap(true, Ordering::SeqCst) {
            Err(Error::data("not yet"))
        } else {
            Ok(())
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

/// A table of rows with a number and an instant.
fn instants(place: &Path, rows: &[(i64, i64)]) -> (String, rusqlite::Connection) {
    let path = place.join("instants.db");
    let database = rusqlite::Connection::open(&path).expect("opened");
    database
        .execute_batch("create table t (n integer, at integer)")
        .expect("made");
    add(&database, rows);
    (format!("sql:sqlite:{}", path.display()), database)
}

fn add(database: &rusqlite::Connection, rows: &[(i64, i64)]) {
    for (n, at) in rows {
        database
            .execute("insert into t values (?, ?)", [n, at])
            .expect("inserted");
    }
}

fn by(query: &str, cursor: impl Into<serde_json::Value>) -> Options {
    Options::new()
        .with("query", query)
        .with("cursor", cursor)
        .with("every", "20ms")
}

fn numbers(seen: &Seen) -> Vec<i64> {
    let events = seen.events();
    let number = |event: &tributary::Event| event.payload().json().expect("JSON")["n"].as_i64();
    events.iter().filter_map(number).collect()
}

#[test]
fn a_row_that_failed_comes_again_where_others_have_its_value() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    for failing in 1..=3 {
        for limit in ["", " limit 2", " limit 10"] {
            let place = tempfile::tempdir_in(place.path()).expect("a directory");
            let rows = [(1, 100), (2, 100), (3, 100), (4, 200)];
            let (url, _database) = instants(place.path(), &rows);
            let query = format!("select n, at from t where at > :cursor order by at, n{limit}");
            let checkpoint = place.path().join("place");
            let options = by(&query, "at").with("checkpoint", checkpoint.display().to_string());
            let (log, failed) = (Log::default(), AtomicBool::new(false));
            let sink = Scripted::new(&log).on_event(move |event, _| {
                let fails = event.payload().json()?["n"] == failing;
                if fails && !failed.swap(true, Ordering::SeqCst) {
                    return Err(Error::data("not yet"));
                }
                Ok(())
            });
            let network = reading(&url, &options, sink)?;
            let kept = || std::fs::read_to_string(&checkpoint).expect("kept");
            assert!(soon(|| kept() == "200"), "{}", kept());
            network.stop()?;
            for (n, at) in rows {
                let least = if n == failing { 2 } else { 1 };
                let count = log.count(&format!(r#"{{"n":{n},"at":{at}}}"#));
                assert!(count >= least, "{failing}{limit}: {n} came {count} times");
            }
        }
    }
    Ok(())
}

#[test]
fn a_limit_that_cuts_between_rows_of_one_value_skips_none() -> Result<()> {
    for limit in [1, 2, 3, 4, 5, 100] {
        let place = tempfile::tempdir().expect("a directory");
        let rows: Vec<(i64, i64)> = (0..30).map(|n| (n, 100 + n / 7)).collect();
        let (url, database) = instants(place.path(), &rows);
        let query = format!("select n, at from t where at > :cursor order by at limit {limit}");
        let seen = Seen::default();
        let network = reading(&url, &by(&query, "at"), seen.sink())?;
        assert!(soon(|| seen.len() >= 30), "{limit}: {:?}", numbers(&seen));
        add(&database, &[(30, 200)]);
        assert!(soon(|| seen.len() >= 31), "{limit}");
        network.stop()?;
        assert_eq!(numbers(&seen), (0..31).collect::<Vec<_>>(), "{limit}");
    }
    Ok(())
}

#[test]
fn a_cursor_of_two_columns_reads_what_comes_later_with_the_same_value() -> Result<()> {
    for query in [
        "select n, at from t where (at, n) > (:at, :n) order by at, n limit 2",
        "select n, at from t where at > :at or (at = :at and n > :n) order by at, n",
    ] {
        let place = tempfile::tempdir().expect("a directory");
        let (url, database) = instants(place.path(), &[(1, 100), (2, 100), (3, 100)]);
        let checkpoint = place.path().join("place");
        let options =
            by(query, vec!["at", "n"]).with("checkpoint", checkpoint.display().to_string());
        let seen = Seen::default();
        let network = reading(&url, &options, seen.sink())?;
        assert!(soon(|| seen.len() == 3));
        add(&database, &[(4, 100), (5, 101)]);
        assert!(soon(|| seen.len() == 5));
        network.stop()?;
        let kept = std::fs::read_to_string(&checkpoint).expect("kept");
        assert_eq!(kept, "[101,5]");
        add(&database, &[(6, 101), (7, 200)]);
        let network = reading(&url, &options, seen.sink())?;
        assert!(soon(|| seen.len() == 7));
        network.stop()?;
        assert_eq!(numbers(&seen), (1..8).collect::<Vec<_>>());
        // What was kept of the first column alone goes on with all rows of its value.
        std::fs::write(&checkpoint, "101").expect("written");
        let seen = Seen::default();
        let network = reading(&url, &options, seen.sink())?;
        assert!(soon(|| seen.len() == 3));
        network.stop()?;
        assert_eq!(numbers(&seen), [5, 6, 7]);
        let one = by("select n, at from t where n > :cursor order by n", "n")
            .with("checkpoint", checkpoint.display().to_string());
        let error = reading(&url, &one, Seen::default().sink()).err();
        let error = error.expect("it is refused").to_string();
        assert!(
            error.contains("is not a checkpoint of the cursor n"),
            "{error}"
        );
    }
    Ok(())
}

#[test]
fn rows_that_the_cursor_would_skip_are_refused() -> Result<()> {
    for (query, expected) in [
        (
            "select n, at from t where at > :cursor order by at desc",
            "the rows are not in the order of their cursor: 100 after 200; \
             write where at > :cursor order by at",
        ),
        (
            "select n, at from t where at >= :cursor order by at",
            "the query returns rows that are not after its cursor: 200 after 200; write where at > ",
        ),
    ] {
        let place = tempfile::tempdir().expect("a directory");
        let (url, _database) = instants(place.path(), &[(1, 100), (2, 200)]);
        let network = reading(&url, &by(query, "at"), Seen::default().sink())?;
        let error = network.wait_timeout(std::time::Duration::from_secs(10));
        let error = error.expect("it ends").expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let place = tempfile::tempdir().expect("a directory");
    let (url, _database) = instants(place.path(), &[]);
    for (options, expected) in [
        (
            by(
                "select n, at from t where at > :cursor order by at limit 2 offset 1",
                "at",
            ),
            "bad query: its limit is not one number from 1; write it at the end",
        ),
        (
            by(
                "select n, at from t where (at, n) > (:at, 1)",
                vec!["at", "n"],
            ),
            "write where (at, n) > (:at, :n) order by at, n",
        ),
        (
            by("select n, at from t where at > :cursor", vec!["at", "n"]),
            "no value for \":cursor\"; write where (at, n) > (:at, :n)",
        ),
        (
            by("select n, at from t where at > :cursr", "at"),
            "no value for \":cursr\"; write where at > :cursor",
        ),
        (
            by("select n, at from t where at > :at", Vec::<String>::new()),
            "option cursor",
        ),
        (
            by("select n, at from t where at > :at", vec!["at", "at"]),
            "different columns expected",
        ),
        (
            by(
                "select n, at from t where (at, n) > (:at, :n)",
                vec!["at", "n"],
            )
            .with("start", 1),
            "option start of sql sources: a list of a number or a text for each column",
        ),
    ] {
        let error = connect::source(&url, &options).err().expect("refused");
        assert!(error.to_string().contains(expected), "{error}");
    }
    Ok(())
}

#[test]
fn a_row_that_is_too_large_leaves_its_head_by_errors_and_is_passed() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let (url, database) = database(place.path());
    let large = "x".repeat(8_000);
    database
        .execute_batch("create table texts (id integer primary key, text text)")
        .expect("made");
    for (id, text) in [(1, "a"), (2, large.as_str()), (3, "b")] {
        database
            .execute("insert into texts values (?, ?)", (id, text))
            .expect("inserted");
    }
    let query = "select id, text from texts where id > :cursor order by id limit 3";
    let options = options().with("query", query);
    for is_linked in [true, false] {
        let network = Network::new();
        network.set_max_event_bytes(2_000);
        network.add_source("in", connect::source(&url, &options)?)?;
        let (seen, bad) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
        network.link("in", "out")?;
        if is_linked {
            network.link("in.errors", "bad")?;
        }
        network.start()?;
        assert!(soon(|| seen.len() == 2));
        database
            .execute("insert into texts values (4, 'c')", [])
            .expect("inserted");
        assert!(soon(|| seen.len() == 3), "the row is read again");
        let refused = network.stats().node("in").map(|node| node.refused);
        assert_eq!(refused, Some(1));
        network.stop()?;
        database
            .execute("delete from texts where id = 4", [])
            .expect("deleted");
        assert_eq!(bad.len(), usize::from(is_linked));
        for event in bad.events() {
            let whole = serde_json::json!({"id": 2, "text": large}).to_string();
            let meta = |key: &str| event.meta().get(key).cloned().unwrap_or_default();
            assert_eq!(event.payload().bytes(), &whole.as_bytes()[..4_096]);
            assert_eq!(meta("size"), whole.len());
            let hash = xxhash_rust::xxh3::xxh3_128(whole.as_bytes());
            assert_eq!(meta("xxh3"), format!("{hash:032x}"));
        }
    }
    Ok(())
}

#[test]
fn a_source_that_is_replaced_reads_on_behind_what_is_under_way() -> Result<()> {
    for checkpoint in [false, true] {
        let place = tempfile::tempdir().expect("a directory");
        let (url, database) = database(place.path());
        insert(&database, 1..200);
        let place = place.path().join("place").display().to_string();
        let options = |every: &str| {
            let options = options().with("every", every);
            if checkpoint {
                options.with("checkpoint", place.as_str())
            } else {
                options
            }
        };
        let seen = Seen::default();
        let network = reading(&url, &options("1ms"), seen.sink())?;
        for every in ["2ms", "3ms", "1ms"] {
            let before = seen.len();
            assert!(soon(|| seen.len() > before));
            network.replace("in", connect::source(&url, &options(every))?)?;
        }
        assert!(soon(|| seen.len() >= 199));
        network.stop()?;
        let ids = seen.events().into_iter();
        let ids: Vec<_> = ids
            .map(|event| Ok(event.payload().json()?["id"].as_i64()))
            .collect::<Result<_>>()?;
        let expected: Vec<_> = (1..200).map(Some).collect();
        assert_eq!(ids, expected, "with a checkpoint: {checkpoint}");
    }
    Ok(())
}
