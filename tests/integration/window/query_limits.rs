//! How much a query may ask for, over every database.

use crate::support::databases::{Place, ask, insert};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tributary::store::QueryLimits;
use tributary::time::Timestamp;
use tributary::window::{QueryWindow, Window, WindowKind, WindowOptions};
use tributary::{Database, Event, Network, Pipeline, Table, sink};

crate::over_all_databases! {
    a_recursion_without_end_is_that_events_error
    a_join_of_everything_with_everything_is_that_events_error
    a_window_keeps_the_row_of_an_event_that_it_cannot_answer_in_time
    a_query_that_waits_for_another_has_a_time_of_its_own
    the_rows_of_an_answer_are_limited_for_each_handle
    what_is_remembered_has_no_limit
}

const SHORT: QueryLimits = QueryLimits::new()
    .rows(100)
    .time(Duration::from_millis(300))
    .bytes(1 << 20);

/// A query that has no end where `n` is more than zero.
const RECURSION: &str = "with recursive r(i) as \
    (select 1 union all select i % 1000 + 1 from r where :n > 0) select count(*) as c from r";
const JOIN: &str = "select count(*) as c from big a, big b, big c, big d, big e \
    where :n > 0 and a.x + b.x + c.x + d.x + e.x < 0";

/// A database with a table of a thousand rows, and one for events.
fn filled(place: &Place) -> Database {
    let db = place.open();
    db.declare(Table::new("big").integer("x")).unwrap();
    db.declare(Table::new("t").integer("n").integer("at").key("n"))
        .unwrap();
    let mut store = db.connect().unwrap();
    store.begin().unwrap();
    for x in 0..1_000 {
        insert(&mut *store, &db, "big", &json!({"x": x})).unwrap();
    }
    store.commit().unwrap();
    db
}

/// Feeds one event that has an answer, one that has none in time, and one more; the errors and
/// what came out.
fn feed(window: impl Pipeline + 'static) -> (Vec<String>, Vec<Value>) {
    let network = Network::new();
    let (out, errors) = (Arc::default(), Arc::default());
    network.add_pipeline("window", window).unwrap();
    network.add_sink("out", sink::collect(&out)).unwrap();
    network.add_sink("errors", sink::collect(&errors)).unwrap();
    network.link("window", "out").unwrap();
    network.link("window.errors", "errors").unwrap();
    let mut simulation = network.simulate(Timestamp::from_secs(10)).unwrap();
    let begun = Instant::now();
    for n in [0, 1, -1] {
        let event = json!({"n": n, "at": 10});
        simulation.inject("window", event).unwrap();
    }
    let took = begun.elapsed();
    assert!(took >= SHORT.time, "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let taken = |events: &Arc<Mutex<Vec<Event>>>| std::mem::take(&mut *events.lock().unwrap());
    let errors = taken(&errors);
    let errors = errors
        .iter()
        .map(|event| event.meta().get("error").unwrap().to_string());
    let out = taken(&out);
    let out = out
        .iter()
        .map(|event| event.payload().json().unwrap()["c"].clone());
    (errors.collect(), out.collect())
}

const GIVEN_UP: &str = "the query was given up after 300ms";

fn is_given_up(errors: &[String]) {
    assert!(
        matches!(errors, [error] if error.contains(GIVEN_UP)),
        "{errors:?}"
    );
}

fn a_recursion_without_end_is_that_events_error(place: &Place) {
    let db = filled(place).with_limits(SHORT);
    let (errors, out) = feed(QueryWindow::new(&db, RECURSION).unwrap());
    is_given_up(&errors);
    assert_eq!(out, [1, 1]);
}

fn a_join_of_everything_with_everything_is_that_events_error(place: &Place) {
    let db = filled(place).with_limits(SHORT);
    let (errors, out) = feed(QueryWindow::new(&db, JOIN).unwrap());
    is_given_up(&errors);
    assert_eq!(out, [0, 0]);
}

fn a_window_keeps_the_row_of_an_event_that_it_cannot_answer_in_time(place: &Place) {
    let db = filled(place).with_limits(SHORT);
    let size = Duration::from_secs(10);
    let options = WindowOptions::new("t", JOIN, WindowKind::Sliding(size)).time("at");
    let (errors, out) = feed(Window::new(&db, &options).unwrap());
    is_given_up(&errors);
    assert_eq!(out, [0, 0]);
    let mut store = db.connect().unwrap();
    let rows = ask(
        &mut *store,
        &db,
        "select count(*) as c from t",
        Timestamp::EPOCH,
    )
    .unwrap();
    assert_eq!(rows[0]["c"], 3);
}

fn a_query_that_waits_for_another_has_a_time_of_its_own(place: &Place) {
    let db = filled(place).with_limits(SHORT);
    let endless = JOIN.replace(":n > 0", "1 > 0");
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (db, endless) = (db.clone(), endless.clone());
            std::thread::spawn(move || {
                let mut store = db.connect().unwrap();
                ask(&mut *store, &db, &endless, Timestamp::EPOCH).unwrap_err()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap().message(), GIVEN_UP);
    }
}

fn the_rows_of_an_answer_are_limited_for_each_handle(place: &Place) {
    let db = filled(place);
    let short = db.clone().with_limits(SHORT);
    let all = "select x from big";
    let (mut store, mut short_store) = (db.connect().unwrap(), short.connect().unwrap());
    let rows = ask(&mut *store, &db, all, Timestamp::EPOCH).unwrap();
    assert_eq!(rows.len(), 1_000);
    let error = ask(&mut *short_store, &short, all, Timestamp::EPOCH).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer has more than 100 rows; add a limit, or a narrower condition"
    );
    let some = "select x from big limit 100";
    let rows = ask(&mut *short_store, &short, some, Timestamp::EPOCH).unwrap();
    assert_eq!(rows.len(), 100);
    // Least of all limits are one row and a millisecond.
    let limits = QueryLimits::new().rows(0).time(Duration::ZERO).bytes(0);
    let mut store = db.clone().with_limits(limits).connect().unwrap();
    let one = "select 1 as one";
    assert_eq!(
        ask(&mut *store, &db, one, Timestamp::EPOCH).unwrap().len(),
        1
    );
}

fn what_is_remembered_has_no_limit(place: &Place) {
    let db = place.open().with_limits(SHORT);
    let mut store = db.connect().unwrap();
    store.recall("scope", Timestamp::EPOCH).unwrap();
    store.begin().unwrap();
    for n in 0..SHORT.rows as u64 * 2 {
        let until = Timestamp::from_secs(1);
        store.remember("scope", &n.to_be_bytes(), until).unwrap();
    }
    store.commit().unwrap();
    let kept = store.recall("scope", Timestamp::EPOCH).unwrap();
    assert_eq!(kept.len(), SHORT.rows * 2);
}
