//! Events that a window rejects: they leave no row, and no other event is the worse for them.

use crate::support::databases::{Kind, Place};
use crate::support::probe::{Log, Seen, tracking};
use crate::support::window_bench::{Bench, PLANS, START, ask, declared, sliding, stored};
use serde_json::{Value, json};
use std::time::Duration;
use tributary::store::QueryLimits;
use tributary::time::Timestamp;
use tributary::window::{Emit, Plan, TimeDomain, Window, WindowKind, WindowOptions};
use tributary::{Network, Table};

crate::over_all_databases! {
    an_event_whose_answer_is_too_long_leaves_no_row
    an_event_that_is_rejected_leaves_no_row_in_a_table_without_a_key
    a_row_that_makes_its_sum_overflow_is_refused_alone
    a_sum_that_overflows_since_a_row_has_left_is_rejected_once_and_no_event
    the_neighbours_of_a_rejected_event_are_delivered_once
}

/// Two of them are more than 64 bits hold.
const HALF: i64 = 1 << 62;

const SUM: &str = "select g, sum(n) as s from things group by g";

fn row(k: i64, after: i64, g: &str, n: i64) -> Value {
    json!({"k": k.to_string(), "t": START + after, "g": g, "n": n})
}

fn an_event_whose_answer_is_too_long_leaves_no_row(place: &Place) {
    let limits = QueryLimits::new().rows(2);
    let sql = "select g, count(*) as c from things group by g";
    for plan in [Plan::Requery, Plan::Incremental] {
        for together in [false, true] {
            for store in [false, true] {
                let database = declared(&place.another()).with_limits(limits);
                let options = sliding(sql).emit(Emit::All).plan(plan).store(store);
                let mut bench = Bench::new(&database, options);
                let events: Vec<Value> = ["a", "b", "c", "a", "d", "b"]
                    .iter()
                    .zip(0..)
                    .map(|(g, k)| row(k, 0, g, 1))
                    .collect();
                if together {
                    bench.send_all(events)
                } else {
                    events.into_iter().for_each(|event| bench.send(event))
                }
                let what = format!("{plan} {together} {store}");
                assert_eq!(bench.errors().len(), 2, "{what}");
                let [a, b] = ["a", "b"].map(|g| move |c: i64| json!({"g": g, "c": c}));
                let right = [a(1), a(1), b(1), a(2), b(1), a(2), b(2)];
                assert_eq!(bench.out(), right, "{what}");
                if store {
                    assert_eq!(stored(&database), 4, "{what}");
                }
            }
        }
    }
}

fn an_event_that_is_rejected_leaves_no_row_in_a_table_without_a_key(place: &Place) {
    let limits = QueryLimits::new().rows(2);
    let database = place.open().with_limits(limits);
    let plain = Table::new("plain").integer("t").integer("n");
    database.declare(plain).unwrap();
    let size = WindowKind::Sliding(Duration::from_secs(10));
    let options = WindowOptions::new("plain", "select n from plain", size).time("t");
    let mut bench = Bench::new(&database, options.store(true));
    for together in [false, true, false] {
        let events: Vec<Value> = (0..3).map(|n| json!({"t": START, "n": n})).collect();
        if together {
            bench.send_all(events)
        } else {
            events.into_iter().for_each(|event| bench.send(event))
        }
    }
    assert_eq!(bench.errors().len(), 7);
    let count = ask(&database, "select count(*) as n from plain");
    assert_eq!(count["n"], 2);
}

fn a_row_that_makes_its_sum_overflow_is_refused_alone(place: &Place) {
    // There alone a sum of integers overflows.
    if place.kind == Kind::Mariadb {
        return;
    }
    let extents = [
        WindowKind::Sliding(Duration::from_secs(10)),
        WindowKind::Count(20),
        WindowKind::Hopping {
            size: Duration::from_secs(10),
            slide: Duration::from_secs(5),
        },
    ];
    for (extent, emit) in extents
        .into_iter()
        .flat_map(|extent| [(extent, Emit::Touched), (extent, Emit::Changes)])
    {
        for plan in PLANS {
            for (together, store) in [(false, true), (true, true), (false, false), (true, false)] {
                let database = declared(&place.another());
                let options = WindowOptions::new("things", SUM, extent).time("t");
                let options = options.emit(emit).plan(plan).store(store);
                let mut bench = Bench::new(&database, options);
                let events = vec![
                    row(1, 0, "a", HALF),
                    row(2, 0, "b", 1),
                    row(3, 0, "a", HALF),
                    row(4, 0, "b", 2),
                    row(5, 0, "a", 1),
                    row(3, 0, "a", 2),
                ];
                if together {
                    bench.send_all(events)
                } else {
                    events.into_iter().for_each(|event| bench.send(event))
                }
                let what = format!("{extent} {emit} {plan} {together} {store}");
                assert_eq!(bench.errors().len(), 1, "{what}");
                let mut out = bench.out();
                if let WindowKind::Hopping { .. } = extent {
                    // Each of them twice: two windows are open.
                    out = out.into_iter().step_by(2).collect();
                }
                let right = [
                    ("a", HALF),
                    ("b", 1),
                    ("b", 3),
                    ("a", HALF + 1),
                    ("a", HALF + 3),
                ];
                let right = right.map(|(g, s)| json!({"g": g, "s": s}));
                assert_eq!(out, right, "{what}");
            }
        }
    }
}

fn a_sum_that_overflows_since_a_row_has_left_is_rejected_once_and_no_event(place: &Place) {
    if place.kind == Kind::Mariadb {
        return;
    }
    for emit in [Emit::Touched, Emit::Changes, Emit::All] {
        for plan in PLANS {
            for store in [true, false] {
                if (emit, plan) == (Emit::All, Plan::Keyed) {
                    continue;
                }
                let database = declared(&place.another());
                let options = sliding(SUM).emit(emit).plan(plan).store(store);
                let mut bench = Bench::new(&database, options.clock(TimeDomain::Event));
                bench.simulation.end_source("right").unwrap();
                for event in [
                    row(1, 0, "a", -HALF),
                    row(2, 2, "a", HALF),
                    row(3, 4, "a", HALF),
                ] {
                    bench.send(event);
                }
                let what = format!("{emit} {plan} {store}");
                assert_eq!(bench.errors(), [] as [String; 0], "{what}");
                bench.out();
                // The negative one leaves by the first of these.
                bench.send(row(4, 11, "a", 1));
                bench.send(row(5, 11, "b", 1));
                bench.send(row(6, 11, "a", 1));
                assert_eq!(bench.errors().len(), 1, "{what}");
                let out = bench.out();
                if emit != Emit::All {
                    assert_eq!(out, [json!({"g": "b", "s": 1})], "{what}");
                }
                // One of the great ones leaves.
                bench.send(row(7, 13, "a", 1));
                let out = bench.out();
                let sum = json!({"g": "a", "s": HALF + 3});
                assert!(out.contains(&sum), "{what}: {out:?}");
                assert_eq!(bench.errors(), [] as [String; 0], "{what}");
                // Once it can be told, an event is to blame again.
                bench.send(row(8, 13, "a", HALF));
                assert_eq!(bench.errors().len(), 1, "{what}");
                bench.send(row(9, 13, "a", 1));
                let sum = json!({"g": "a", "s": HALF + 4});
                assert!(bench.out().contains(&sum), "{what}");
            }
        }
    }
}

fn the_neighbours_of_a_rejected_event_are_delivered_once(place: &Place) {
    let limits = QueryLimits::new().rows(3);
    let database = place.open().with_limits(limits);
    let plain = Table::new("plain").integer("t").text("n");
    database.declare(plain).unwrap();
    let size = WindowKind::Sliding(Duration::from_secs(10));
    // `c` is too many while it comes.
    let sql = "select n from plain union all select 'more' as n from plain where n = 'c' union all \
               select 'most' as n from plain where n = 'c'";
    let options = WindowOptions::new("plain", sql, size).time("t").store(true);
    let network = Network::new();
    let log = Log::default();
    let event = |n: &str| json!({"t": START, "n": n}).to_string();
    let events = [event("a"), event("b"), event("c")];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    network.add_source("in", tracking(&events, &log)).unwrap();
    let window = Window::new(&database, &options).unwrap();
    network.add_pipeline("window", window).unwrap();
    let out = Seen::at(&network, "out").unwrap();
    let errors = Seen::at(&network, "errors").unwrap();
    network.link("in", "window").unwrap();
    network.link("window", "out").unwrap();
    network.link("window.errors", "errors").unwrap();
    let simulation = network.simulate(Timestamp::from_secs(START)).unwrap();
    assert_eq!(out.len(), 3);
    assert_eq!(errors.len(), 1);
    let told = log.take();
    assert_eq!(told.len(), 3, "{told:?}");
    for line in told {
        assert!(line.ends_with("Delivered"), "{line}");
    }
    simulation.finish().unwrap();
}
