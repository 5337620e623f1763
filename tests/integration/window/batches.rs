//! Many events at once become rows as one by one, over every database.

use crate::support::databases::{Kind, Place, insert, one};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tributary::time::Timestamp;
use tributary::window::{CreateWindow, Emit, Plan, Window, WindowKind, WindowOptions};
use tributary::{Batch, Database, Event, Network, Table, sink, source};

crate::over_all_databases! {
    a_batch_with_duplicates_inside_and_stored_is_inserted_once
    bad_rows_are_rejected_alone
    children_nest_and_have_keys_of_their_own
    texts_that_the_database_takes_for_the_same_are_one_key
    two_windows_on_one_table_insert_each_row_once
    a_batch_without_keys_is_inserted_as_it_is
    rows_too_large_to_go_together_go_all_the_same
}

/// The table of events, with legs below it.
fn slips() -> Table {
    let legs = Table::new("legs").text("slip").integer("n").real("odds");
    Table::new("slips")
        .text("id")
        .integer("n")
        .key("id")
        .child("legs", legs, &[("slip", "id")])
}

fn slip(id: impl std::fmt::Display, n: i64) -> Value {
    json!({"id": id.to_string(), "n": n, "legs": [{"n": -1, "odds": 1.5}, {"n": n, "odds": null}]})
}

/// Feeds all events through so many windows; how many have passed, and the rejected ones.
fn feed(db: &Database, table: &str, windows: usize, events: Vec<Value>) -> (usize, Vec<Value>) {
    let network = Network::new();
    let (out, errors) = (Arc::default(), Arc::default());
    network.add_source("in", source::from_iter(events)).unwrap();
    network.add_sink("out", sink::collect(&out)).unwrap();
    network.add_sink("errors", sink::collect(&errors)).unwrap();
    for n in 0..windows {
        let name = format!("window-{n}");
        let window = CreateWindow::new(db, Some(table)).unwrap();
        network.add_pipeline(&name, window).unwrap();
        network.link("in", &name).unwrap();
        network.link(&name, "out").unwrap();
        network.link(format!("{name}.errors"), "errors").unwrap();
    }
    network.start().unwrap();
    network.wait().unwrap();
    let taken = |events: &Arc<Mutex<Vec<Event>>>| std::mem::take(&mut *events.lock().unwrap());
    let rejected = taken(&errors);
    let rejected = rejected.iter().map(|e| e.payload().json().unwrap().clone());
    (taken(&out).len(), rejected.collect())
}

fn count(db: &Database, sql: &str) -> i64 {
    let mut store = db.connect().unwrap();
    one(&mut *store, db, sql).as_i64().unwrap()
}

fn a_batch_with_duplicates_inside_and_stored_is_inserted_once(place: &Place) {
    let db = place.open();
    db.declare(slips()).unwrap();
    let mut store = db.connect().unwrap();
    for n in 0..100 {
        insert(&mut *store, &db, "slips", &slip(n * 7, 1_000)).unwrap();
    }
    drop(store);
    // Each of 700 comes three times, and the first one counts.
    let events = (0..2_100).map(|n| slip(n % 700, n)).collect();
    let (passed, rejected) = feed(&db, "slips", 1, events);
    assert_eq!((passed, rejected.len()), (2_100, 0));
    assert_eq!(count(&db, "select count(*) from slips"), 700);
    assert_eq!(count(&db, "select count(*) from legs"), 1_400);
    let stored = "select count(*) from slips where n = 1000";
    assert_eq!(count(&db, stored), 100);
    assert_eq!(count(&db, "select count(*) from slips where n < 700"), 600);
    let own = "select count(*) from legs l join slips s on s.id = l.slip and s.n = l.n";
    assert_eq!(count(&db, own), 700);
}

fn bad_rows_are_rejected_alone(place: &Place) {
    if !place.stays() {
        return;
    }
    // What only the database refuses.
    let word = match place.kind {
        Kind::Mariadb => "word varchar(3)",
        _ => "word varchar(3) check (length(word) <= 3)",
    };
    place.execute(&format!(
        "create table t (id bigint primary key, {word}, n bigint check (n <> 13))"
    ));
    let db = place.open();
    let t = Table::new("t").integer("id").text("word").integer("n");
    db.declare(t.key("id")).unwrap();
    let events = (0..600).map(|n| {
        let word = ["abc", "too long"][usize::from(n == 77 || n == 500)];
        json!({"id": n, "word": word, "n": n % 300})
    });
    let (passed, rejected) = feed(&db, "t", 1, events.collect());
    assert_eq!(passed, 596);
    let mut rejected: Vec<i64> = rejected.iter().map(|e| e["id"].as_i64().unwrap()).collect();
    rejected.sort_unstable();
    assert_eq!(rejected, [13, 77, 313, 500]);
    assert_eq!(count(&db, "select count(*) from t"), 596);
}

fn children_nest_and_have_keys_of_their_own(place: &Place) {
    let db = place.open();
    let notes = Table::new("notes").text("id").integer("leg").text("word");
    let legs = Table::new("legs")
        .text("id")
        .integer("leg")
        .key("id")
        .key("leg");
    let legs = legs.child("notes", notes, &[("id", "id"), ("leg", "leg")]);
    let table = Table::new("t").text("id").key("id");
    db.declare(table.child("legs", legs, &[("id", "id")]))
        .unwrap();
    let events = (0..400).map(|n| {
        let leg = |leg: i64| json!({"leg": leg, "notes": [{"word": "a"}, {"word": "ä"}]});
        // The second leg of the same number is let go, with its notes.
        json!({"id": format!("{}", n / 2), "legs": [leg(1), leg(2), leg(1)]})
    });
    let (passed, rejected) = feed(&db, "t", 1, events.collect());
    assert_eq!((passed, rejected.len()), (400, 0));
    assert_eq!(count(&db, "select count(*) from t"), 200);
    assert_eq!(count(&db, "select count(*) from legs"), 400);
    assert_eq!(count(&db, "select count(*) from notes"), 800);
}

fn texts_that_the_database_takes_for_the_same_are_one_key(place: &Place) {
    if !place.stays() {
        return;
    }
    place.execute(match place.kind {
        Kind::Mariadb => {
            "create table t (id varchar(9) collate utf8mb4_general_ci primary key, n bigint)"
        }
        _ => "create table t (id text collate nocase primary key, n bigint)",
    });
    place.execute("insert into t values ('x1', 1000)");
    let db = place.open();
    db.declare(Table::new("t").text("id").integer("n").key("id"))
        .unwrap();
    let events = (0..400).map(|n| {
        let letter = if n % 2 == 0 { "X" } else { "x" };
        json!({"id": format!("{letter}{}", n / 2), "n": n})
    });
    let (passed, rejected) = feed(&db, "t", 1, events.collect());
    assert_eq!((passed, rejected.len()), (400, 0));
    assert_eq!(count(&db, "select count(*) from t"), 200);
    assert_eq!(count(&db, "select count(*) from t where n % 2 = 1"), 0);
}

fn two_windows_on_one_table_insert_each_row_once(place: &Place) {
    let db = place.open();
    db.declare(slips()).unwrap();
    let events = (0..1_500).map(|n| slip(n, n)).collect();
    let (passed, rejected) = feed(&db, "slips", 2, events);
    assert_eq!((passed, rejected.len()), (3_000, 0));
    assert_eq!(count(&db, "select count(*) from slips"), 1_500);
    assert_eq!(count(&db, "select count(*) from legs"), 3_000);
}

fn a_batch_without_keys_is_inserted_as_it_is(place: &Place) {
    let db = place.open();
    db.declare(Table::new("t").integer("n").text("word"))
        .unwrap();
    let events = (0..1_000).map(|n| json!({"n": n % 10, "word": null}));
    let (passed, _) = feed(&db, "t", 1, events.collect());
    assert_eq!(passed, 1_000);
    assert_eq!(count(&db, "select count(*) from t where n = 3"), 100);
}

fn rows_too_large_to_go_together_go_all_the_same(place: &Place) {
    let db = place.open();
    let notes = Table::new("notes").integer("id").integer("n");
    let table = Table::new("t")
        .integer("id")
        .text_sized("word", 60_000)
        .key("id");
    db.declare(table.child("notes", notes, &[("id", "id")]))
        .unwrap();
    let many: Vec<Value> = (0..50_000).map(|n| json!({"n": n})).collect();
    let mut events: Vec<Value> = (0..60)
        .map(|n| json!({"id": n, "word": "x".repeat(50_000)}))
        .collect();
    events.push(json!({"id": 60, "notes": many}));
    let (passed, rejected) = feed(&db, "t", 1, events);
    assert_eq!((passed, rejected.len()), (61, 0));
    assert_eq!(count(&db, "select count(*) from t"), 61);
    assert_eq!(count(&db, "select count(*) from notes"), 50_000);
}

/// Feeds 200 events as one batch to a window that stores rows, and asks `count` before and after:
/// by `create_window`, and by a window that keeps running state.
fn one_batch(place: &Place, mut counted: impl FnMut(&Database, &Place, bool)) {
    let sum = "select n % 2 as odd, count(*) as c from slips group by n % 2";
    let hour = WindowKind::Sliding(std::time::Duration::from_secs(3_600));
    let options = WindowOptions::new("slips", sum, hour).time("n").store(true);
    let options = options.emit(Emit::Touched).plan(Plan::Incremental);
    for creates in [true, false] {
        let place = place.another();
        let db = place.open();
        db.declare(slips()).unwrap();
        let network = Network::new();
        if creates {
            network.add_pipeline("w", CreateWindow::new(&db, Some("slips")).unwrap())
        } else {
            network.add_pipeline("w", Window::new(&db, &options).unwrap())
        }
        .unwrap();
        let mut simulation = network.simulate(Timestamp::from_secs(1_000)).unwrap();
        simulation.inject("w", slip("first", 1_000)).unwrap();
        counted(&db, &place, false);
        let events = (0..200).map(|n| Event::new(slip(n, 1_000 + n % 7), simulation.now()));
        let batch = Batch::from_iter(events);
        simulation.inject_batch("w", batch).unwrap();
        counted(&db, &place, true);
    }
}

#[test]
fn a_batch_on_sqlite_is_one_transaction() {
    // A frame of the log that ends a transaction says how long the database is then.
    let commits = |place: &Place| {
        let path = place.url.strip_prefix("sqlite:").unwrap();
        let log = std::fs::read(format!("{path}-wal")).unwrap();
        let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
        let frame = 24 + word(8) as usize;
        let frames = (32..log.len()).step_by(frame);
        frames.filter(|at| word(at + 4) > 0).count()
    };
    let mut before = 0;
    one_batch(&Place::file(), |_, place, fed| {
        if fed {
            assert_eq!(commits(place), before + 1)
        } else {
            before = commits(place)
        }
    });
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_batch_on_mysql_is_one_transaction_and_few_statements() {
    one_batch(&Place::mariadb(), |db, place, fed| {
        if !fed {
            // Within a trigger now() is when the statement began that has set it off.
            let log = "insert into log
                       select now(6), variable_value, @@in_transaction
                       from information_schema.session_status where variable_name = 'COM_COMMIT'";
            place.execute("create table log (began datetime(6), commits bigint, inside bigint)");
            for table in ["slips", "legs"] {
                place.execute(&format!(
                    "create trigger {table}_log after insert on {table} for each row {log}"
                ));
            }
            return;
        }
        let db = &db.clone().with_reads(["log"]).unwrap();
        assert_eq!(count(db, "select count(*) from log"), 600);
        // So many commits before it, and none in between.
        assert_eq!(count(db, "select count(distinct commits) from log"), 1);
        assert_eq!(count(db, "select min(inside) from log"), 1);
        let statements = count(db, "select count(distinct began) from log");
        assert!(statements <= 10, "{statements}");
    });
}
