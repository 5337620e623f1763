//! `sql:` as a sink: events as rows of a table that is declared with it.

use crate::support::databases::{Kind, Place};
use crate::support::process::free_port;
use crate::support::wait::eventually;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

use tributary::connect::{self, Options};
use tributary::{Database, ErrorKind, Network, Result, Stats, sink, source};

/// The tests, over the databases that others than the sink can reach.
macro_rules! over_databases {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[test] fn $name() -> tributary::Result<()> {
                super::$name(&crate::support::databases::Place::file())
            })*
        }
        mod mariadb {
            $(
                #[test]
                #[ignore = "needs mariadbd: run tests/run"]
                fn $name() -> tributary::Result<()> {
                    super::$name(&crate::support::databases::Place::mariadb())
                }
            )*
        }
    };
}

over_databases! {
    an_upsert_keeps_the_last_of_a_key_and_its_child_rows
    an_insert_keeps_the_first_of_a_key
    what_a_sink_writes_a_source_reads
    a_limit_within_one_value_and_a_cursor_of_two_columns_skip_none
    a_table_that_does_not_fit_is_an_error_at_the_start
}

fn options() -> Options {
    Options::new().with("table", "bets").with("key", "id").with(
        "columns",
        json!({"id": "integer", "customer": "text", "stake": "real"}),
    )
}

fn write(place: &Place, options: &Options, events: &[Value]) -> Result<Stats> {
    let events: Vec<String> = events.iter().map(Value::to_string).collect();
    let network = Network::new();
    network.add_source("in", source::from_iter(events))?;
    network.add_sink(
        "out",
        connect::sink(&format!("sql:{}", place.url), options)?,
    )?;
    network.link("in", "out")?;
    network.start()?;
    network.wait()?;
    Ok(network.stats())
}

fn bet(id: i64, stake: f64) -> Value {
    json!({"id": id, "customer": format!("c{id}"), "stake": stake})
}

/// The rows that a source finds.
fn rows(place: &Place, query: &str, many: usize) -> Result<Vec<Value>> {
    rows_by(place, query, json!("id"), many)
}

fn rows_by(place: &Place, query: &str, cursor: Value, many: usize) -> Result<Vec<Value>> {
    let options = Options::new()
        .with("query", query)
        .with("cursor", cursor)
        .with("every", "10ms");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let network = Network::new();
    let source = connect::source(&format!("sql:{}", place.url), &options)?;
    network.add_source("in", source)?;
    network.add_sink("out", sink::collect(&seen))?;
    network.link("in", "out")?;
    network.start()?;
    eventually("all rows", || seen.lock().expect("no panic").len() >= many);
    network.stop()?;
    let seen = seen.lock().expect("no panic");
    seen.iter()
        .map(|event| event.payload().json().cloned())
        .collect()
}

const BETS: &str = "select id, stake from bets where id > :cursor order by id";

fn an_upsert_keeps_the_last_of_a_key_and_its_child_rows(place: &Place) -> Result<()> {
    let children = json!({"games": {"table": "games", "parent": {"bet": "id"},
        "columns": {"bet": "integer", "name": "text"}}});
    let options = options().with("mode", "upsert").with("children", children);
    let mut with_games = bet(1, 1.0);
    with_games["games"] = json!([{"name": "a"}, {"name": "b"}]);
    let mut fewer = bet(1, 3.0);
    fewer["games"] = json!([{"name": "c"}]);
    let events = [with_games, bet(2, 2.0), fewer, json!({"id": "no number"})];
    let stats = write(place, &options, &events)?;
    let out = stats.node("out").expect("a node");
    assert_eq!((out.consumed, out.rejected), (3, 1));
    let expected = [
        json!({"id": 1, "stake": 3.0, "games": 1}),
        json!({"id": 2, "stake": 2.0, "games": 0}),
    ];
    let query = "select id, stake, (select count(*) from games where bet = id) as games \
        from bets where id > :cursor order by id";
    assert_eq!(rows(place, query, 2)?, expected);
    Ok(())
}

fn an_insert_keeps_the_first_of_a_key(place: &Place) -> Result<()> {
    write(place, &options(), &[bet(1, 1.0), bet(2, 2.0)])?;
    write(place, &options(), &[bet(1, 9.0), bet(3, 3.0)])?;
    let expected =
        [(1, 1.0), (2, 2.0), (3, 3.0)].map(|(id, stake)| json!({"id": id, "stake": stake}));
    assert_eq!(rows(place, BETS, 3)?, expected);
    Ok(())
}

fn what_a_sink_writes_a_source_reads(place: &Place) -> Result<()> {
    let events: Vec<Value> = (1..=3_000).map(|id| bet(id, 0.5)).collect();
    write(place, &options(), &events)?;
    let query = "select id, customer, stake from bets where id > :cursor order by id limit 500";
    assert!(rows(place, query, 3_000)? == events);
    Ok(())
}

fn a_limit_within_one_value_and_a_cursor_of_two_columns_skip_none(place: &Place) -> Result<()> {
    place.execute("create table t (n bigint, at varchar(40) not null)");
    let rows: Vec<String> = (0..40)
        .map(|n| format!("({n}, '{}')", 100 + n / 9))
        .collect();
    place.execute(&format!("insert into t values {}", rows.join(", ")));
    let expected: Vec<Value> = (0..40).map(|n| json!({"n": n})).collect();
    for (query, cursor) in [
        (
            "select n, at from t where at > :cursor order by at, n limit 4",
            json!("at"),
        ),
        (
            "select n, at from t where (at, n) > (:at, :n) order by at, n limit 4",
            json!(["at", "n"]),
        ),
    ] {
        let found = rows_by(place, query, cursor, 40)?;
        let found: Vec<Value> = found.iter().map(|row| json!({"n": row["n"]})).collect();
        assert_eq!(found, expected, "{query}");
    }
    Ok(())
}

fn a_table_that_does_not_fit_is_an_error_at_the_start(place: &Place) -> Result<()> {
    assert!(place.kind != Kind::Memory);
    place.execute("create table bets (id bigint primary key, stake double)");
    let error = write(place, &options(), &[]).expect_err("a column is missing");
    assert!(
        error.to_string().contains("it has no column \"customer\""),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_database_that_is_not_there_is_waited_for() -> Result<()> {
    let url = format!("sql:mysql://me:canary-of-sql@127.0.0.1:{}/x", free_port());
    let network = Network::new();
    network.add_source("in", source::from_iter(["{}"]))?;
    network.add_sink("out", connect::sink(&url, &options())?)?;
    network.link("in", "out")?;
    network.fail_fast(true);
    let error = network.start().expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let place = Place::file();
    let columns = json!({"id": "integer"});
    let table = || Options::new().with("table", "t");
    for (options, expected) in [
        (Options::new(), "sql sinks needs the option table"),
        (table(), "declare them, as in columns ="),
        (
            table()
                .with("columns", columns.clone())
                .with("mode", "upsert"),
            "mode \"upsert\" needs a key, and table \"t\" has none",
        ),
        (
            table()
                .with("columns", columns.clone())
                .with("mode", "upsret"),
            "did you mean \"upsert\"",
        ),
        (
            table().with("columns", json!({"id": "intger"})),
            "did you mean \"integer\"",
        ),
        (
            table().with("columns", columns.clone()).with("key", "n"),
            "\"n\"",
        ),
        (
            table().with("columns", columns.clone()).with("colums", 1),
            "did you mean \"columns\"",
        ),
    ] {
        let made = connect::sink(&format!("sql:{}", place.url), &options);
        let error = made.err().expect("it is refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let options = table().with("columns", columns);
    let error = connect::sink("sql:mysql://me:hidden@", &options).err();
    let error = error.expect("it is refused").to_string();
    assert!(
        error.contains("bad database url \"mysql://me:***@\""),
        "{error}"
    );
    // Nothing was asked of a database until now.
    let path = place.url.strip_prefix("sqlite:").expect("a path");
    assert!(!std::path::Path::new(path).exists());
    assert!(Database::check_url(&place.url).is_ok());
}
