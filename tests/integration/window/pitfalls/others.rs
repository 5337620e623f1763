//! Pitfalls 9 to 12: others who write, transactions, windows beside each other, times.

use super::{SUM, each_plan, options, why_not};
use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{Bench, PLANS, START, ask, declared, row, stored, tumbling};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::pipeline::Forwarder;
use tributary::time::Timestamp;
use tributary::window::{Emit, Plan, TimeDomain, Window, WindowKind, WindowOptions};
use tributary::{Event, Network, sink};

crate::over_all_databases! {
    pitfall_09_what_others_of_this_process_write_is_seen
    pitfall_09_what_strangers_write_is_seen
    pitfall_09_a_window_that_has_begun_ends_though_the_table_was_read_again
    pitfall_11_a_key_that_is_stored_still_is_none_of_a_later_window
    pitfall_10_insert_expiry_and_query_are_one
    pitfall_11_windows_on_one_table_share_its_rows
    pitfall_12_times_are_equal_late_or_run_backwards
    pitfall_12_clocks_jump
}

fn pitfall_09_what_others_of_this_process_write_is_seen(place: &Place) {
    each_plan(place, |database, plan| {
        let options = options(SUM, Emit::Touched, plan).store(true);
        let mut bench = Bench::new(database, options);
        bench.send(row("1", 0, "a", 2.0));
        // By hand, on another connection.
        let mut store = database.connect().unwrap();
        let things = database.table("things").unwrap();
        let by_hand = row("2", 0, "a", 3.0);
        store.insert(&things, by_hand.as_object().unwrap()).unwrap();
        bench.send(row("3", 0, "a", 4.0));
        let sums: Vec<Value> = bench.out().iter().map(|row| row["s"].clone()).collect();
        assert_eq!(sums, [2.0, 9.0], "{plan}");
        // What is deleted by hand is gone.
        store
            .evict(&things, "t", Timestamp::from_secs(START + 1))
            .unwrap();
        drop(store);
        bench.send(row("4", 1, "a", 5.0));
        assert_eq!(bench.out(), [json!({"g": "a", "s": 5.0})], "{plan}");
    });
}

fn pitfall_09_what_strangers_write_is_seen(place: &Place) {
    if !place.stays() {
        return;
    }
    for plan in PLANS {
        let place = place.another();
        let database = declared(&place);
        // Whether a file is shared is found by itself; of a server it must be declared.
        let shared = place.kind == Kind::Mariadb;
        let options = options(SUM, Emit::Touched, plan).shared(shared);
        if shared && plan == Plan::Incremental {
            assert!(why_not(&database, &options).contains("other processes write to the table"));
            continue;
        }
        let mut bench = Bench::new(&database, options);
        bench.send(row("1", 0, "a", 2.0));
        // Past the library, and through a handle that knows nothing of this one.
        place.execute(&format!(
            "insert into things (k, t, g, v) values ('2', {START}, 'a', 3.0)"
        ));
        bench.send(row("3", 0, "a", 4.0));
        let other = declared(&place);
        let mut store = other.connect().unwrap();
        let things = other.table("things").unwrap();
        let by_hand = row("4", 0, "a", 16.0);
        store.insert(&things, by_hand.as_object().unwrap()).unwrap();
        drop(store);
        bench.send(row("5", 0, "a", 32.0));
        let sums: Vec<Value> = bench.out().iter().map(|row| row["s"].clone()).collect();
        assert_eq!(sums, [2.0, 9.0, 57.0], "{plan}");
    }
}

fn pitfall_09_a_window_that_has_begun_ends_though_the_table_was_read_again(place: &Place) {
    if !place.stays() {
        return;
    }
    for plan in [Plan::Requery, Plan::Incremental] {
        let database = declared(&place.another());
        let count = tumbling("select count(*) as n from things").plan(plan);
        // Another window needs the rows for longer: what comes again is none.
        let minute = WindowKind::Sliding(Duration::from_secs(60));
        let longer = WindowOptions::new("things", SUM, minute).time("t");
        let _longer = Window::new(&database, &longer).unwrap();
        let mut bench = Bench::new(&database, count);
        bench.send(row("1", 0, "a", 1.0));
        bench.advance(10.0);
        bench.send(row("1", 12, "a", 1.0));
        let mut store = database.connect().unwrap();
        let things = database.table("things").unwrap();
        let by_hand = row("2", 31, "a", 1.0);
        store.insert(&things, by_hand.as_object().unwrap()).unwrap();
        drop(store);
        bench.advance(30.0);
        let counts: Vec<Value> = bench.out().iter().map(|row| row["n"].clone()).collect();
        assert_eq!(counts, [1, 0, 1], "{plan}");
    }
}

fn pitfall_11_a_key_that_is_stored_still_is_none_of_a_later_window(place: &Place) {
    if !place.stays() {
        return;
    }
    for plan in [Plan::Requery, Plan::Incremental] {
        let database = declared(&place.another());
        let options = tumbling(SUM).plan(plan).clock(TimeDomain::Event);
        // Another window needs the first row for longer.
        let minute = WindowKind::Sliding(Duration::from_secs(60));
        let longer = WindowOptions::new("things", SUM, minute).time("t");
        let _longer = Window::new(&database, &longer).unwrap();
        let mut bench = Bench::new(&database, options);
        bench.simulation.end_source("right").unwrap();
        bench.send(row("1", 0, "a", 1.0));
        bench.send(row("2", 10, "a", 2.0));
        bench.send_all(vec![row("1", 11, "a", 4.0), row("3", 20, "a", 8.0)]);
        let sums: Vec<Value> = bench.out().iter().map(|row| row["s"].clone()).collect();
        assert_eq!(sums, [1.0, 2.0], "{plan}");
    }
    // The same of one that slides.
    for plan in [Plan::Requery, Plan::Keyed, Plan::Incremental] {
        let database = declared(&place.another());
        let minute = WindowKind::Sliding(Duration::from_secs(60));
        let longer = WindowOptions::new("things", SUM, minute).time("t");
        let _longer = Window::new(&database, &longer).unwrap();
        let mut bench = Bench::new(&database, options(SUM, Emit::Touched, plan));
        bench.send(row("1", 0, "a", 1.0));
        bench.advance(20.0);
        bench.out();
        bench.send_all(vec![row("1", 20, "a", 4.0), row("2", 20, "a", 8.0)]);
        let sums: Vec<Value> = bench.out().iter().map(|row| row["s"].clone()).collect();
        assert_eq!(sums, [8.0], "{plan}");
    }
}

fn pitfall_10_insert_expiry_and_query_are_one(place: &Place) {
    each_plan(place, |database, plan| {
        let options = options(SUM, Emit::Touched, plan).store(true);
        let mut bench = Bench::new(database, options);
        bench.send(row("old", 0, "a", 1.0));
        bench.out();
        // One of a batch is bad, half-way through its child rows: it alone never was.
        bench.simulation.set_clock(Timestamp::from_secs(START + 11));
        let bad = json!({"k": "bad", "t": START + 11, "g": "a", "v": 8.0,
                         "parts": [{"w": 1}, {"w": "one"}]});
        let good = |k: &str, v: f64| row(k, 11, "a", v);
        bench.send_all(vec![good("1", 2.0), bad, good("2", 4.0)]);
        let sums: Vec<Value> = bench.out().iter().map(|row| row["s"].clone()).collect();
        assert_eq!(sums, [2.0, 6.0], "{plan}");
        assert_eq!(bench.errors().len(), 1, "{plan}");
        assert_eq!(stored(database), 2, "{plan}");
        assert_eq!(ask(database, "select count(*) as n from parts")["n"], 0);
    });
}

fn pitfall_11_windows_on_one_table_share_its_rows(place: &Place) {
    for (small, large) in [
        (Plan::Incremental, Plan::Incremental),
        (Plan::Keyed, Plan::Requery),
        (Plan::Requery, Plan::Incremental),
    ] {
        let database = declared(&place.another());
        let network = Network::new();
        network.add_pipeline("in", Forwarder).unwrap();
        let of = |seconds: u64, plan: Plan| {
            let extent = WindowKind::Sliding(Duration::from_secs(seconds));
            let options = WindowOptions::new("things", SUM, extent).time("t");
            Window::new(&database, &options.emit(Emit::Touched).plan(plan)).unwrap()
        };
        let [small_out, large_out]: [Arc<Mutex<Vec<_>>>; 2] = Default::default();
        network.add_pipeline("small", of(10, small)).unwrap();
        network.add_pipeline("large", of(60, large)).unwrap();
        network
            .add_sink("small_out", sink::collect(&small_out))
            .unwrap();
        network
            .add_sink("large_out", sink::collect(&large_out))
            .unwrap();
        network.fanout("in", ["small", "large"]).unwrap();
        network.link("small", "small_out").unwrap();
        network.link("large", "large_out").unwrap();
        let mut simulation = network.simulate(Timestamp::from_secs(START)).unwrap();
        let sums = |of: &Arc<Mutex<Vec<Event>>>| {
            let events = std::mem::take(&mut *of.lock().unwrap());
            let sum = |event: &Event| event.payload().json().unwrap()["s"].clone();
            events.iter().map(sum).collect::<Vec<Value>>()
        };
        for (after, v) in [(0, 1.0), (20, 2.0), (61, 4.0)] {
            simulation.advance_to(Timestamp::from_secs(START + after));
            let event = row(&after.to_string(), after, "a", v);
            simulation.inject("in", event).unwrap();
        }
        assert_eq!(sums(&small_out), [1.0, 2.0, 4.0], "{small} {large}");
        assert_eq!(sums(&large_out), [1.0, 3.0, 6.0], "{small} {large}");
        // Of two windows the largest decides what is deleted.
        assert_eq!(stored(&database), 2, "{small} {large}");
        simulation.advance(Duration::from_secs(70));
        assert_eq!(stored(&database), 0, "{small} {large}");
    }
}

fn pitfall_12_times_are_equal_late_or_run_backwards(place: &Place) {
    let sql = "select g, count(*) as n, min(t) as oldest from things group by g";
    each_plan(place, |database, plan| {
        let mut bench = Bench::new(database, options(sql, Emit::Touched, plan));
        bench.advance(20.0);
        // After the beginning, which counts.
        for (number, after) in [20, 20, 12, 15, 9, 10, 25, 1].into_iter().enumerate() {
            bench.send(row(&number.to_string(), after, "a", 1.0));
        }
        let wanted: Vec<Value> = [
            (1, 20),
            (2, 20),
            (3, 12),
            (4, 12),
            (4, 12),
            (5, 10),
            (6, 10),
            (6, 10),
        ]
        .iter()
        .map(|(n, oldest)| json!({"g": "a", "n": n, "oldest": START + oldest}))
        .collect();
        assert_eq!(bench.out(), wanted, "{plan}");
        // They leave by their times, whatever the order in which they came.
        bench.advance(3.0);
        bench.send(row("again", 23, "a", 1.0));
        let wanted = json!({"g": "a", "n": 5, "oldest": START + 15});
        assert_eq!(bench.out(), [wanted], "{plan}");
    });
}

fn pitfall_12_clocks_jump(place: &Place) {
    let sql = "select g, count(*) as n from things group by g";
    each_plan(place, |database, plan| {
        let mut bench = Bench::new(database, options(sql, Emit::Touched, plan));
        let mut count = |clock: i64, k: &str, after: i64| {
            bench.set_clock(clock);
            bench.send(row(k, after, "a", 1.0));
            bench.out()[0]["n"].clone()
        };
        assert_eq!(count(0, "1", 0), 1, "{plan}");
        assert_eq!(count(1_000, "2", 1_000), 1, "{plan}");
        // What has left has left; what is of a time to come stays until the clock has caught up.
        assert_eq!(count(0, "3", 0), 2, "{plan}");
        assert_eq!(count(10, "4", 10), 3, "{plan}");
        assert_eq!(count(11, "5", 11), 3, "{plan}");
        assert_eq!(count(1_011, "6", 1_011), 1, "{plan}");
        assert_eq!(count(-5_000, "7", -5_000), 2, "{plan}");
    });
}
