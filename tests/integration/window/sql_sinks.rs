//! SQL sinks: events become rows, once each, whatever comes again.

use crate::support::binary::Site;
use crate::support::databases::{Kind, Place, ask, bet, bets, one};
use crate::support::probe::{Log, START, burst, tracking};
use serde_json::{Value, json};
use std::error::Error;
use tributary::sink::{SqlMode, SqlSink};
use tributary::{Database, Network, Runtime, Stats, Table};

type Tested = Result<(), Box<dyn Error>>;

crate::over_all_databases! {
    upsert_replaces_a_row_and_its_child_rows
    insert_leaves_the_row_that_is_there
    an_event_that_does_not_fit_is_rejected_and_the_others_are_written
    a_row_that_the_database_refuses_is_rejected_and_the_others_are_written
    what_is_not_declared_is_kept_by_an_upsert
    events_are_delivered_once_their_rows_are_committed
    a_key_may_be_all_there_is
}

fn run(db: &Database, table: &str, mode: SqlMode, events: &[Value]) -> tributary::Result<Stats> {
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let network = Network::new();
    network.add_source("in", burst(&texts))?;
    network.add_sink("out", SqlSink::new(db, table, mode)?)?;
    network.link("in", "out")?;
    network.simulate(START)?.finish()
}

fn counts(db: &Database) -> (Value, Value) {
    let mut store = db.connect().unwrap();
    let bets = one(&mut *store, db, "select count(*) from example_bets");
    let selections = one(&mut *store, db, "select count(*) from example_selections");
    (bets, selections)
}

fn upsert_replaces_a_row_and_its_child_rows(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut later = bet("a", 8, "d", 20.0);
    later["selections"] = json!([{"game_id": 1, "market": "over", "odds": 1.1}]);
    let mut none = bet("c", 9, "e", 5.0);
    none.as_object_mut().unwrap().remove("selections");
    let first = [
        bet("a", 7, "c", 10.0),
        bet("b", 7, "c", 1.0),
        bet("c", 7, "c", 1.0),
    ];
    run(&db, "example_bets", SqlMode::Upsert, &first).unwrap();
    assert_eq!(counts(&db), (json!(3), json!(6)));
    // One of them twice in a batch: the last one wins.
    let second = [bet("a", 1, "x", 1.0), none, later, bet("d", 7, "c", 1.0)];
    run(&db, "example_bets", SqlMode::Upsert, &second).unwrap();
    assert_eq!(counts(&db), (json!(4), json!(5)));
    let mut store = db.connect().unwrap();
    let sql = "select b.uuid, b.stake, s.market from example_bets b \
        left join example_selections s on s.bet_uuid = b.uuid where b.uuid in ('a', 'c') order by 1";
    let rows = ask(&mut *store, &db, sql, START).unwrap();
    assert_eq!(
        serde_json::to_value(rows).unwrap(),
        json!([
            {"uuid": "a", "stake": 20.0, "market": "over"},
            {"uuid": "c", "stake": 5.0, "market": null},
        ])
    );
}

fn insert_leaves_the_row_that_is_there(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    for stake in [10.0, 20.0] {
        let twice = [bet("a", 7, "c", stake), bet("a", 8, "c", 30.0)];
        let stats = run(&db, "example_bets", SqlMode::Insert, &twice).unwrap();
        assert_eq!(stats.node("out").unwrap().consumed, 2);
        assert_eq!(stats.breaches(), [""; 0]);
    }
    assert_eq!(counts(&db), (json!(1), json!(2)));
    let mut store = db.connect().unwrap();
    assert_eq!(
        one(&mut *store, &db, "select stake from example_bets"),
        10.0
    );
}

fn an_event_that_does_not_fit_is_rejected_and_the_others_are_written(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut bad = bet("b", 7, "c", 1.0);
    bad["selections"][1]["odds"] = json!("much");
    let events = [
        bet("a", 7, "c", 1.0),
        bad,
        json!({"stake": 1.0}),
        bet("d", 7, "c", 1.0),
    ];
    for mode in [SqlMode::Upsert, SqlMode::Insert] {
        let stats = run(&db, "example_bets", mode, &events).unwrap();
        let out = stats.node("out").unwrap();
        assert_eq!((out.consumed, out.rejected), (2, 2));
        assert_eq!(counts(&db), (json!(2), json!(4)));
    }
}

fn a_row_that_the_database_refuses_is_rejected_and_the_others_are_written(place: &Place) {
    if place.kind == Kind::Memory {
        return;
    }
    place.execute(
        "create table t (id bigint primary key, n bigint check (n < 10), u bigint unique)",
    );
    let db = place.open();
    db.declare(
        Table::new("t")
            .integer("id")
            .integer("n")
            .integer("u")
            .key("id"),
    )
    .unwrap();
    let row = |id: i64, n: i64| json!({"id": id, "n": n, "u": id});
    let events: Vec<Value> = (0..20)
        .map(|id| row(id, if id == 7 { 10 } else { 1 }))
        .collect();
    let stats = run(&db, "t", SqlMode::Upsert, &events).unwrap();
    assert_eq!(stats.node("out").unwrap().rejected, 1);
    run(
        &db,
        "t",
        SqlMode::Upsert,
        &[row(7, 3), row(8, 12), row(9, 5)],
    )
    .unwrap();
    let mut store = db.connect().unwrap();
    let rows = ask(
        &mut *store,
        &db,
        "select n from t where id in (7, 8, 9) order by id",
        START,
    );
    assert_eq!(
        serde_json::to_value(rows.unwrap()).unwrap(),
        json!([{"n": 3}, {"n": 1}, {"n": 5}])
    );
    assert_eq!(one(&mut *store, &db, "select count(*) from t"), 20);
}

fn what_is_not_declared_is_kept_by_an_upsert(place: &Place) {
    if place.kind == Kind::Memory {
        return;
    }
    place
        .execute("create table t (id bigint primary key, n bigint, note varchar(9) default 'new')");
    let db = place.open();
    db.declare(Table::new("t").integer("id").integer("n").key("id"))
        .unwrap();
    run(&db, "t", SqlMode::Upsert, &[json!({"id": 1, "n": 1})]).unwrap();
    place.execute("update t set note = 'mine'");
    run(
        &db,
        "t",
        SqlMode::Upsert,
        &[json!({"id": 1, "n": 2}), json!({"id": 2, "n": 2})],
    )
    .unwrap();
    let other = place.open();
    other
        .declare(
            Table::new("t")
                .integer("id")
                .integer("n")
                .text("note")
                .key("id"),
        )
        .unwrap();
    let mut store = other.connect().unwrap();
    let rows = ask(
        &mut *store,
        &other,
        "select n, note from t order by id",
        START,
    )
    .unwrap();
    assert_eq!(
        serde_json::to_value(rows).unwrap(),
        json!([{"n": 2, "note": "mine"}, {"n": 2, "note": "new"}])
    );
}

fn events_are_delivered_once_their_rows_are_committed(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let (good, log) = (bet("a", 7, "c", 1.0).to_string(), Log::default());
    let network = Network::new();
    network
        .add_source("in", tracking(&[&good, "{}"], &log))
        .unwrap();
    let sink = SqlSink::new(&db, "example_bets", SqlMode::Upsert).unwrap();
    network.add_sink("out", sink).unwrap();
    network.link("in", "out").unwrap();
    network.simulate(START).unwrap();
    let delivered = format!("source {good} Delivered");
    assert_eq!(log.lines(), [delivered.as_str(), "source {} Failed"]);
    assert_eq!(counts(&db), (json!(1), json!(2)));
}

fn a_key_may_be_all_there_is(place: &Place) {
    let db = place.open();
    db.declare(Table::new("seen").text("a").integer("b").key("a").key("b"))
        .unwrap();
    let row = |b: i64| json!({"a": "x", "b": b});
    for _ in 0..2 {
        run(&db, "seen", SqlMode::Upsert, &[row(1), row(2), row(1)]).unwrap();
    }
    let mut store = db.connect().unwrap();
    assert_eq!(one(&mut *store, &db, "select count(*) from seen"), 2);
}

#[test]
fn upsert_needs_a_key_and_a_table_that_is_declared() -> Tested {
    let db = Database::open("sqlite::memory:")?;
    db.declare(Table::new("t").integer("n"))?;
    let refused = |table: &str, mode| match SqlSink::new(&db, table, mode) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        refused("t", SqlMode::Upsert),
        "mode \"upsert\" needs a key, and table \"t\" has none; declare one, as in key = \"id\""
    );
    assert!(refused("u", SqlMode::Insert).contains("\"u\""));
    assert_eq!(
        "replace".parse::<SqlMode>().unwrap_err().to_string(),
        "bad mode \"replace\": \"insert\" or \"upsert\" is needed"
    );
    Ok(())
}

#[test]
fn scripts_make_queues_and_sinks_of_tables() -> Tested {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    let run = |script: &str| runtime.run_text("net.lua", script);
    run("tb = require('tributary')
tb.create_table('t', {key = 'n', columns = {n = 'integer'}})
tb.create_table('keyless', {columns = {n = 'integer'}})
tb.create_queue('q', 'held.queue')
tb.create_sql_sink('a', {table = 't'})
tb.create_sql_sink('b', {table = 't', mode = 'upsert'})
tb.create_sql_sink('c', {table = 'keyless', mode = 'insert'})")?;
    for (call, expected) in [
        (
            "create_sql_sink('d', {})",
            "create_sql_sink needs the option table",
        ),
        ("create_sql_sink('d', {table = 'u'})", "\"u\""),
        (
            "create_sql_sink('d', {table = 't', mode = 'merge'})",
            "bad mode \"merge\"",
        ),
        (
            "create_sql_sink('d', {table = 'keyless', mode = 'upsert'})",
            "needs a key",
        ),
        (
            "create_sql_sink('d', {table = 't', key = 'n'})",
            "no option \"key\"",
        ),
        ("create_queue('d')", "string expected"),
        (
            "create_queue('q', 'other.queue')",
            "node \"q\" already defined at net.lua:4",
        ),
    ] {
        let error = run(&format!("tb.{call}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{call}: {error}");
    }
    // A queue makes its file when it is opened, not before.
    assert!(!std::path::Path::new("held.queue").exists());
    Ok(())
}

const KILLS: usize = 20;
const LINES: usize = 20_000;

#[test]
fn each_event_is_one_row_when_the_process_is_killed() -> Tested {
    let script = "local tb = require('tributary')
tb.create_table('t', {key = 'n', columns = {n = 'integer', check = 'text'}})
tb.create_file_source('in', 'in.jsonl', {checkpoint = 'place'})
tb.create_sql_sink('out', {table = 't', mode = 'upsert'})
tb.link('in', 'out')";
    let text: String = (0..LINES)
        .map(|n| format!("{{\"n\":{n},\"check\":\"{n:x}\"}}\n"))
        .collect();
    let site = Site::with(&[("net.lua", script), ("in.jsonl", &text)])?;
    let seed = std::process::id();
    let kills =
        site.killed_again_and_again(&["run", "net.lua", "--db", "sqlite:rows.db"], KILLS, seed)?;
    let path = site.path("rows.db");
    let connection = rusqlite::Connection::open(path)?;
    let [rows, wrong]: [u32; 2] = connection.query_row(
        "select count(*), sum(\"check\" <> printf('%x', n)) from t",
        [],
        |row| Ok([row.get(0)?, row.get(1)?]),
    )?;
    println!("seed={seed} kills={kills} sent={LINES} rows={rows} wrong={wrong}");
    assert_eq!((rows as usize, wrong), (LINES, 0), "seed {seed}");
    Ok(())
}
