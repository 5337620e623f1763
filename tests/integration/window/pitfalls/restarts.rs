//! Pitfalls 13 to 15: tables made elsewhere, restarts, what a column cannot carry.

use super::{SUM, each_plan, options, why_not};
use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{
    Bench, Fate, PLANS, START, declared, row, sliding, stored, tumbling,
};
use serde_json::{Value, json};
use std::time::Duration;
use tributary::Table;
use tributary::window::{Emit, Plan, TimeDomain, Window, WindowKind, WindowOptions};

crate::over_all_databases! {
    pitfall_13_tables_made_elsewhere_compare_as_they_do
    pitfall_13_whole_numbers_divide_as_the_database_has_it
    pitfall_14_what_expired_during_a_pause_has_left
    pitfall_14_what_was_not_delivered_before_a_kill_is_emitted_after_it
    pitfall_14_what_was_delivered_before_a_restart_is_not_emitted_again
    pitfall_14_a_row_is_in_no_window_after_a_restart_for_which_it_was_too_late
    pitfall_15_a_column_of_seconds_carries_no_half_second
}

fn pitfall_13_tables_made_elsewhere_compare_as_they_do(place: &Place) {
    if !place.stays() {
        return;
    }
    place.execute(match place.kind {
        Kind::Mariadb => {
            "create table tags (k varchar(20) primary key, t bigint, g varchar(20)) \
             character set utf8mb4 collate utf8mb4_general_ci"
        }
        _ => "create table tags (k text primary key, t integer, g text collate nocase)",
    });
    let database = place.open();
    let tags = Table::new("tags").text("k").integer("t").text("g").key("k");
    database.declare(tags).unwrap();
    let sql = "select count(*) as n from tags group by g";
    let size = WindowKind::Sliding(Duration::from_secs(10));
    for emit in [Emit::Touched, Emit::Changes] {
        let options = WindowOptions::new("tags", sql, size).time("t").emit(emit);
        let forced = why_not(&database, &options.clone().plan(Plan::Incremental));
        assert!(forced.contains("not created by tributary"), "{forced}");
        let window = Window::new(&database, &options).unwrap();
        assert_ne!(window.explain().plan, Plan::Incremental);
        let mut bench = Bench::new(&database, options);
        let tag = |k: &str, g: &str| json!({"k": format!("{emit}{k}"), "t": START, "g": g});
        bench.send(tag("1", "A"));
        bench.send(tag("2", "a"));
        bench.send(tag("3", "b"));
        let counts: Vec<Value> = bench.out().iter().map(|row| row["n"].clone()).collect();
        assert_eq!(counts, [1, 2, 1], "{emit}");
        bench.advance(11.0);
    }
}

fn pitfall_13_whole_numbers_divide_as_the_database_has_it(place: &Place) {
    let sql = "select g, sum(n) / 2 as half, n / 2 as of_key from things group by g, n";
    let half = match place.kind {
        Kind::Mariadb => json!({"g": "a", "half": "1.5000", "of_key": "1.5000"}),
        _ => json!({"g": "a", "half": 1, "of_key": 1}),
    };
    each_plan(place, |database, plan| {
        let mut bench = Bench::new(database, options(sql, Emit::Touched, plan));
        bench.send(json!({"k": "1", "t": START, "g": "a", "n": 3}));
        assert_eq!(bench.out(), std::slice::from_ref(&half), "{plan}");
    });
}

fn pitfall_14_what_expired_during_a_pause_has_left(place: &Place) {
    if !place.stays() {
        return;
    }
    for emit in [Emit::Changes, Emit::Leave, Emit::Touched] {
        for plan in PLANS {
            let place = place.another();
            let options = options(SUM, emit, plan).name("sums");
            let database = declared(&place);
            let mut bench = Bench::new(&database, options.clone());
            for event in [
                row("1", 0, "a", 1.0),
                row("2", 100, "a", 2.0),
                row("3", 0, "b", 4.0),
            ] {
                bench.send(event);
            }
            bench.finish();
            drop(database);
            let database = declared(&place);
            let mut bench = Bench::at(&database, options, 100);
            bench.advance(0.0);
            let of_a = json!({"g": "a", "s": 2.0});
            let wanted = match emit {
                Emit::Changes => vec![of_a],
                Emit::Leave => vec![json!({"g": "b", "s": 4.0})],
                _ => vec![],
            };
            assert_eq!(bench.out(), wanted, "{emit} {plan}");
            assert_eq!(stored(&database), 1, "{emit} {plan}");
            // A redelivery is known, and the state is whole.
            bench.send(row("2", 100, "a", 2.0));
            bench.send(row("4", 100, "a", 8.0));
            let sums: Vec<Value> = bench.out().iter().map(|row| row["s"].clone()).collect();
            let wanted = match emit {
                Emit::Changes => json!([10.0]),
                Emit::Leave => json!([]),
                _ => json!([2.0, 10.0]),
            };
            assert_eq!(Value::from(sums), wanted, "{emit} {plan}");
        }
    }
}

/// Runs a window until it has something to say, which nobody hears of, and another after a kill.
fn killed(place: &Place, options: &WindowOptions, until: f64, after: f64) -> [Vec<Value>; 2] {
    let database = declared(place);
    let mut bench = Bench::new(&database, options.clone());
    if until == 0.0 {
        bench.fate(Fate::Held);
    }
    bench.send(row("1", 0, "a", 2.0));
    if until > 0.0 {
        bench.out();
        bench.fate(Fate::Held);
        bench.advance(until);
    }
    let first = bench.out();
    drop(bench);
    drop(database);
    let database = declared(place);
    let mut bench = Bench::at(&database, options.clone(), until as i64);
    bench.advance(after);
    [first, bench.out()]
}

fn pitfall_14_what_was_not_delivered_before_a_kill_is_emitted_after_it(place: &Place) {
    if !place.stays() {
        return;
    }
    let row = json!({"g": "a", "s": 2.0});
    for plan in PLANS {
        for (emit, until) in [
            (Emit::Changes, 0.0),
            (Emit::Enter, 0.0),
            (Emit::Leave, 11.0),
        ] {
            let options = options(SUM, emit, plan).name("sums");
            let emitted = killed(&place.another(), &options, until, 0.5);
            assert_eq!(emitted, [[row.clone()], [row.clone()]], "{emit} {plan}");
        }
    }
    for plan in [Plan::Requery, Plan::Incremental] {
        let options = tumbling(SUM).emit(Emit::Close).plan(plan).name("sums");
        let emitted = killed(&place.another(), &options, 10.0, 0.5);
        assert_eq!(emitted, [[row.clone()], [row.clone()]], "close {plan}");
    }
}

fn pitfall_14_what_was_delivered_before_a_restart_is_not_emitted_again(place: &Place) {
    if !place.stays() {
        return;
    }
    for plan in PLANS {
        for emit in [Emit::Changes, Emit::Enter, Emit::Leave, Emit::Close] {
            if (plan, emit) == (Plan::Keyed, Emit::Close) {
                continue;
            }
            let place = place.another();
            let options = match emit {
                Emit::Close => tumbling(SUM),
                _ => sliding(SUM),
            };
            let options = options.emit(emit).plan(plan).name("sums");
            let database = declared(&place);
            let mut bench = Bench::new(&database, options.clone());
            bench.send(row("1", 0, "a", 2.0));
            bench.advance(if emit == Emit::Leave { 11.0 } else { 10.0 });
            assert_eq!(bench.out(), [json!({"g": "a", "s": 2.0})], "{emit} {plan}");
            let at = bench.simulation.now().as_secs() - START;
            bench.finish();
            drop(database);
            let database = declared(&place);
            let mut bench = Bench::at(&database, options, at);
            bench.advance(0.5);
            bench.send(row("1", 0, "a", 2.0));
            bench.advance(30.0);
            assert_eq!(bench.out(), [] as [Value; 0], "{emit} {plan}");
        }
    }
}

fn pitfall_14_a_row_is_in_no_window_after_a_restart_for_which_it_was_too_late(place: &Place) {
    let hops = WindowKind::Hopping {
        size: Duration::from_secs(10),
        slide: Duration::from_secs(5),
    };
    for plan in [Plan::Requery, Plan::Incremental] {
        for restarts in [false, true] {
            if restarts && !place.stays() {
                continue;
            }
            let place = place.another();
            let sql = "select :window_end % 100 as ends, sum(v) as s from things having s > 1";
            let options = WindowOptions::new("things", sql, hops).time("t");
            let options = options.emit(Emit::Close).plan(plan).name("sums");
            let mut bench = Bench::new(&declared(&place), options.clone());
            // Too little is in the window that ends at 5, then too late; nothing in that before.
            bench.send(row("1", 4, "a", 1.0));
            bench.advance(6.0);
            bench.send(row("2", 2, "a", 2.0));
            bench.send(row("3", 6, "a", 4.0));
            assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
            if restarts {
                let (emitted, _) = bench.finish();
                assert_eq!(emitted, [] as [Value; 0], "{plan}");
                bench = Bench::at(&declared(&place), options, 6);
            }
            bench.advance(10.0);
            let right = [(10, 7.0), (15, 4.0)].map(|(ends, s)| json!({"ends": ends, "s": s}));
            assert_eq!(bench.out(), right, "{plan} {restarts}");
        }
    }
}

fn pitfall_15_a_column_of_seconds_carries_no_half_second(place: &Place) {
    let database = declared(place);
    let half = Duration::from_millis(500);
    let size = Duration::from_secs(1);
    for (extent, what) in [
        (WindowKind::Sliding(half), "size"),
        (WindowKind::Session(half), "gap"),
        (WindowKind::Hopping { size, slide: half }, "slide"),
    ] {
        let options = WindowOptions::new("things", SUM, extent).time("t");
        assert_eq!(
            why_not(&database, &options),
            format!(
                "bad window {what} \"500ms\": column resolution is 1 s; \
                 use a whole number of seconds"
            )
        );
    }
    // A column of doubles carries it.
    let fine = Table::new("fine").text("k").real("t").key("k");
    database.declare(fine).unwrap();
    let sql = "select count(*) as n from fine";
    let options = WindowOptions::new("fine", sql, WindowKind::Sliding(half)).time("t");
    let mut bench = Bench::new(
        &database,
        options.emit(Emit::Changes).clock(TimeDomain::System),
    );
    bench.advance(0.0);
    assert_eq!(bench.out(), [json!({"n": 0})]);
    bench.send(json!({"k": "1", "t": START}));
    bench.advance(0.25);
    bench.send(json!({"k": "2", "t": START as f64 + 0.25}));
    assert_eq!(bench.out(), [json!({"n": 1}), json!({"n": 2})]);
    bench.advance(0.3);
    assert_eq!(bench.out(), [json!({"n": 1})]);
    bench.advance(0.25);
    assert_eq!(bench.out(), [json!({"n": 0})]);
}
