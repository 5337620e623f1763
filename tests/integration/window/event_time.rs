//! Windows that go by the events' own time: the watermark, late rows, links that are silent, and
//! windows that end.

use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{Bench, START, declared, row, sliding, stored, tumbling};
use serde_json::{Value, json};
use std::time::Duration;
use tributary::time::Timestamp;
use tributary::window::{Emit, Plan, TimeDomain, WindowKind, WindowOptions};

crate::over_all_databases! {
    a_late_row_leaves_by_the_port_late_and_counts_nowhere
    a_late_row_without_a_link_is_counted_as_dropped
    a_clock_in_the_query_is_the_watermark
    a_window_slides_with_the_events_and_not_with_the_networks_clock
    the_watermark_is_the_least_over_the_links
    the_watermark_never_goes_back
    a_link_that_has_ended_holds_nothing_back
    a_link_that_is_silent_for_too_long_holds_nothing_back
    while_every_link_is_silent_windows_end_by_the_networks_clock
    a_row_after_a_silence_is_late_whatever_was_to_be_done_meanwhile
    a_link_stays_silent_when_the_table_is_read_again
    tumbling_windows_emit_their_answers_in_order_as_they_end
    a_row_is_late_only_when_its_last_window_has_ended
    sessions_end_when_the_watermark_has_passed_their_gap
    a_row_that_is_late_by_the_clock_joins_the_session_that_is_open
    rows_that_are_exactly_the_gap_apart_are_one_session
    a_row_joins_two_sessions
    a_session_that_has_ended_is_not_joined_when_a_row_comes_again
    open_windows_in_memory_are_reported_at_the_end
    a_restart_resumes_at_the_watermark
}

const SUM: &str = "select g, sum(v) as s from things group by g";
/// The plans that serve windows that end.
const PLANS: [Plan; 2] = [Plan::Requery, Plan::Incremental];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn by_events(options: WindowOptions) -> WindowOptions {
    options.clock(TimeDomain::Event)
}

fn sums(bench: &Bench) -> Vec<Value> {
    bench.out().iter().map(|row| row["s"].clone()).collect()
}

fn over_plans(place: &Place, test: impl Fn(&tributary::Database, Plan)) {
    for plan in PLANS {
        test(&declared(&place.another()), plan);
    }
}

fn a_late_row_leaves_by_the_port_late_and_counts_nowhere(place: &Place) {
    for plan in [Plan::Requery, Plan::Keyed, Plan::Incremental] {
        let database = declared(&place.another());
        let options = by_events(sliding(SUM)).lateness(seconds(2)).store(true);
        let mut bench = Bench::new(&database, options.emit(Emit::Touched).plan(plan));
        bench.by("right", row("r", 100, "b", 1.0));
        // Until all links have spoken nothing is late.
        bench.send(row("1", 0, "a", 1.0));
        bench.send(row("2", 10, "a", 2.0));
        bench.send(row("3", 8, "a", 4.0));
        assert_eq!(bench.out().len(), 4, "{plan}");
        assert_eq!(bench.late(), [] as [Value; 0], "{plan}");
        let late = row("4", 7, "a", 8.0);
        bench.send(late.clone());
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        assert_eq!(bench.late(), [late], "{plan}");
        bench.send(row("5", 10, "a", 16.0));
        assert_eq!(sums(&bench), [23.0], "{plan}");
        assert_eq!(stored(&database), 5, "{plan}");
    }
}

fn a_late_row_without_a_link_is_counted_as_dropped(place: &Place) {
    let database = declared(place);
    let mut bench = Bench::without_late(&database, by_events(sliding(SUM)));
    bench.by("right", row("r", 0, "a", 1.0));
    bench.send(row("1", 10, "a", 1.0));
    bench.by("right", row("2", 10, "a", 1.0));
    bench.send(row("3", 9, "a", 1.0));
    bench.send(row("4", 1, "a", 1.0));
    assert_eq!(bench.out().len(), 3);
    let (_, stats) = bench.finish();
    let window = stats.nodes.iter().find(|n| n.name.as_str() == "window");
    let window = window.unwrap();
    assert_eq!(window.dropped.get("late"), Some(&2));
    assert_eq!((window.received, window.passed), (5, 3));
}

fn a_clock_in_the_query_is_the_watermark(place: &Place) {
    let sql = "select unix_timestamp() as at, count(*) as n from things";
    let database = declared(place);
    let options = by_events(sliding(sql)).lateness(seconds(3));
    let mut bench = Bench::new(&database, options);
    bench.simulation.end_source("right").unwrap();
    for after in [0, 5, 4] {
        bench.send(row(&after.to_string(), after, "a", 1.0));
    }
    bench.advance(1_000.0);
    bench.send(row("20", 20, "a", 1.0));
    assert_eq!(
        bench.out(),
        [
            json!({"at": START - 3, "n": 1}),
            json!({"at": START + 2, "n": 2}),
            json!({"at": START + 2, "n": 3}),
            json!({"at": START + 17, "n": 1}),
        ]
    );
}

fn a_window_slides_with_the_events_and_not_with_the_networks_clock(place: &Place) {
    for plan in [Plan::Requery, Plan::Keyed, Plan::Incremental] {
        let database = declared(&place.another());
        let options = by_events(sliding(SUM)).emit(Emit::Leave).plan(plan);
        let mut bench = Bench::new(&database, options);
        bench.simulation.end_source("right").unwrap();
        bench.send(row("1", 0, "a", 1.0));
        bench.advance(1_000.0);
        bench.send(row("2", 10, "b", 1.0));
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        bench.send(row("3", 11, "b", 1.0));
        assert_eq!(bench.out(), [json!({"g": "a", "s": 1.0})], "{plan}");
    }
}

fn the_watermark_is_the_least_over_the_links(place: &Place) {
    over_plans(place, |database, plan| {
        let options = by_events(tumbling(SUM)).plan(plan);
        let mut bench = Bench::new(database, options);
        bench.send(row("1", 1, "a", 1.0));
        bench.send(row("2", 25, "a", 2.0));
        // Nobody knows how far a link has come that has brought nothing yet.
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        bench.by("right", row("3", 9, "a", 4.0));
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        bench.by("right", row("4", 10, "a", 8.0));
        assert_eq!(sums(&bench), [5.0], "{plan}");
        bench.by("right", row("5", 99, "a", 16.0));
        assert_eq!(sums(&bench), [8.0], "{plan}");
        bench.send(row("6", 30, "a", 32.0));
        assert_eq!(sums(&bench), [2.0], "{plan}");
    });
}

fn the_watermark_never_goes_back(place: &Place) {
    over_plans(place, |database, plan| {
        let options = by_events(tumbling(SUM)).plan(plan);
        let mut bench = Bench::new(database, options);
        bench.simulation.end_source("right").unwrap();
        bench.send(row("1", 25, "a", 1.0));
        let late = row("2", 5, "a", 2.0);
        bench.send(late.clone());
        bench.send(row("3", 20, "a", 4.0));
        assert_eq!(bench.late(), [late], "{plan}");
        bench.send(row("4", 30, "a", 8.0));
        assert_eq!(sums(&bench), [5.0], "{plan}");
    });
}

fn a_link_that_has_ended_holds_nothing_back(place: &Place) {
    over_plans(place, |database, plan| {
        let options = by_events(tumbling(SUM)).plan(plan);
        let mut bench = Bench::new(database, options);
        bench.send(row("1", 1, "a", 1.0));
        bench.by("right", row("2", 2, "a", 2.0));
        bench.send(row("3", 15, "a", 4.0));
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        bench.simulation.end_source("right").unwrap();
        assert_eq!(sums(&bench), [3.0], "{plan}");
    });
}

fn a_link_that_is_silent_for_too_long_holds_nothing_back(place: &Place) {
    over_plans(place, |database, plan| {
        let options = by_events(tumbling(SUM)).idle(seconds(5)).plan(plan);
        let mut bench = Bench::new(database, options);
        bench.send(row("1", 1, "a", 1.0));
        bench.by("right", row("2", 2, "a", 2.0));
        bench.advance(3.0);
        bench.send(row("3", 15, "a", 4.0));
        bench.advance(1.9);
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        bench.advance(0.1);
        assert_eq!(sums(&bench), [3.0], "{plan}");
        // When it speaks again, what it says may be late.
        let late = row("4", 3, "a", 8.0);
        bench.by("right", late.clone());
        assert_eq!(bench.late(), [late], "{plan}");
    });
}

fn while_every_link_is_silent_windows_end_by_the_networks_clock(place: &Place) {
    over_plans(place, |database, plan| {
        let options = by_events(tumbling(SUM)).idle(seconds(5)).plan(plan);
        let mut bench = Bench::new(database, options.lateness(seconds(1)));
        bench.send(row("1", 1, "a", 1.0));
        bench.by("right", row("2", 4, "a", 2.0));
        // The watermark stands at 3 then, seven seconds from the end of the window.
        bench.advance(6.9);
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        bench.advance(0.1);
        assert_eq!(sums(&bench), [3.0], "{plan}");
        assert_eq!(bench.simulation.now().as_secs(), START + 7, "{plan}");
    });
}

fn a_row_after_a_silence_is_late_whatever_was_to_be_done_meanwhile(place: &Place) {
    // Windows of 10 s: in the first stream nothing leaves during the silence, in the second a row does.
    for first in [-4, -9] {
        over_plans(place, |database, plan| {
            let options = by_events(sliding("select sum(v) as s from things")).plan(plan);
            let mut bench = Bench::new(database, options.idle(seconds(2)));
            bench.send(row("1", first, "a", 1.0));
            bench.by("right", row("2", 0, "a", 2.0));
            bench.advance(4.0);
            bench.out();
            let late = row("3", 3, "a", 4.0);
            bench.send(late.clone());
            assert_eq!(bench.late(), [late], "{plan}, after {first}");
        });
    }
}

fn a_link_stays_silent_when_the_table_is_read_again(place: &Place) {
    over_plans(place, |database, plan| {
        let options = by_events(tumbling(SUM)).idle(seconds(5)).store(true);
        let mut bench = Bench::new(database, options.plan(plan));
        bench.send(row("1", 1, "a", 1.0));
        bench.advance(4.0);
        let mut store = database.connect().unwrap();
        let things = database.table("things").unwrap();
        let by_hand = row("2", 1, "a", 2.0);
        store.insert(&things, by_hand.as_object().unwrap()).unwrap();
        drop(store);
        bench.send(row("3", 12, "a", 4.0));
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        // The right link has brought nothing since the beginning.
        bench.advance(1.0);
        assert_eq!(sums(&bench), [3.0], "{plan}");
    });
}

fn tumbling_windows_emit_their_answers_in_order_as_they_end(place: &Place) {
    let sql = "select :window_start as begins, :window_end as ends, g, sum(v) as s \
               from things group by g order by s desc";
    over_plans(place, |database, plan| {
        let size = seconds(10);
        let hopping = WindowKind::Hopping {
            size,
            slide: seconds(5),
        };
        let options = WindowOptions::new("things", sql, hopping).time("t");
        let mut bench = Bench::new(database, by_events(options).plan(plan));
        bench.simulation.end_source("right").unwrap();
        bench.send(row("1", 6, "a", 1.0));
        bench.send(row("2", 7, "b", 2.0));
        bench.send(row("3", 12, "a", 4.0));
        bench.send(row("4", 1_000, "a", 8.0));
        let of = |begins: i64, g: &str, s: f64| json!({"begins": START + begins, "ends": START + begins + 10, "g": g, "s": s});
        assert_eq!(
            bench.out(),
            [
                of(0, "b", 2.0),
                of(0, "a", 1.0),
                of(5, "a", 5.0),
                of(5, "b", 2.0),
                of(10, "a", 4.0),
            ],
            "{plan}"
        );
    });
}

fn a_row_is_late_only_when_its_last_window_has_ended(place: &Place) {
    over_plans(place, |database, plan| {
        let hopping = WindowKind::Hopping {
            size: seconds(10),
            slide: seconds(5),
        };
        let options = WindowOptions::new("things", SUM, hopping).time("t");
        let mut bench = Bench::new(database, by_events(options).plan(plan));
        bench.simulation.end_source("right").unwrap();
        bench.send(row("1", 7, "a", 1.0));
        bench.send(row("2", 12, "a", 2.0));
        assert_eq!(sums(&bench), [1.0], "{plan}");
        // Of its two windows the later one is open still.
        bench.send(row("3", 8, "a", 4.0));
        assert_eq!(bench.late(), [] as [Value; 0], "{plan}");
        let late = row("4", 4, "a", 8.0);
        bench.send(late.clone());
        assert_eq!(bench.late(), [late], "{plan}");
        bench.send(row("5", 30, "a", 16.0));
        assert_eq!(sums(&bench), [7.0, 2.0], "{plan}");
    });
}

fn session(sql: &str) -> WindowOptions {
    let options = WindowOptions::new("things", sql, WindowKind::Session(seconds(5)));
    by_events(options.time("t"))
}

fn sessions_end_when_the_watermark_has_passed_their_gap(place: &Place) {
    let sql = "select :window_start as begins, :window_end as ends, g, count(*) as n \
               from things group by g";
    let database = declared(place);
    let mut bench = Bench::new(&database, session(sql).lateness(seconds(2)));
    bench.simulation.end_source("right").unwrap();
    for (k, after, g) in [("1", 0, "a"), ("2", 3, "b"), ("3", 4, "a"), ("4", 10, "c")] {
        bench.send(row(k, after, g, 1.0));
    }
    let of = |begins: i64, ends: i64, g: &str, n: i64| json!({"begins": START + begins, "ends": START + ends, "g": g, "n": n});
    // One of `b` may still come that is exactly the gap after the last one.
    assert_eq!(bench.out(), [] as [Value; 0]);
    bench.send(row("5", 11, "c", 1.0));
    assert_eq!(bench.out(), [of(3, 8, "b", 1)]);
    let late = row("6", 3, "b", 1.0);
    bench.send(late.clone());
    assert_eq!(bench.late(), [late]);
    bench.send(row("6a", 12, "c", 1.0));
    assert_eq!(bench.out(), [of(0, 9, "a", 2)]);
    // Late it is not whose session is open by the watermark.
    bench.send(row("7", 8, "a", 1.0));
    bench.send(row("8", 30, "c", 1.0));
    assert_eq!(bench.out(), [of(8, 13, "a", 1), of(10, 17, "c", 3)]);
}

fn a_row_that_is_late_by_the_clock_joins_the_session_that_is_open(place: &Place) {
    let sql = "select :window_start as begins, :window_end as ends, g, count(*) as n \
               from things group by g";
    let of = |begins: i64, ends: i64, g: &str, n: i64| json!({"begins": START + begins, "ends": START + ends, "g": g, "n": n});
    for clock in [TimeDomain::Event, TimeDomain::System] {
        let database = declared(&place.another());
        let mut bench = Bench::new(&database, session(sql).clock(clock));
        bench.simulation.end_source("right").unwrap();
        let mut send = |now: i64, k: &str, after: i64, g: &str| {
            let now = Timestamp::from_secs(START + now);
            bench.simulation.advance_to(now);
            bench.send(row(k, after, g, 1.0));
        };
        send(10, "1", 10, "a");
        send(13, "2", 13, "a");
        send(17, "3", 17, "b");
        // Within the session, within the gap before it, and within the gap before that.
        send(17, "4", 11, "a");
        send(17, "5", 6, "a");
        send(17, "6", 1, "a");
        // Of no session that is open.
        send(17, "7", 11, "b");
        send(17, "8", 3, "c");
        // Again: it is in its session.
        send(17, "6", 1, "a");
        send(40, "9", 40, "c");
        let late = [row("7", 11, "b", 1.0), row("8", 3, "c", 1.0)];
        assert_eq!(bench.late(), late, "{clock:?}");
        assert_eq!(
            bench.out(),
            [of(1, 18, "a", 5), of(17, 22, "b", 1)],
            "{clock:?}"
        );
    }
}

/// As in Kafka Streams, and whatever comes between them.
fn rows_that_are_exactly_the_gap_apart_are_one_session(place: &Place) {
    let sql = "select :window_start as begins, :window_end as ends, g, count(*) as n \
               from things group by g";
    let of = |begins: i64, ends: i64, g: &str, n: i64| json!({"begins": START + begins, "ends": START + ends, "g": g, "n": n});
    for clock in [TimeDomain::Event, TimeDomain::System] {
        for between in [false, true] {
            let database = declared(&place.another());
            let mut bench = Bench::new(&database, session(sql).clock(clock));
            bench.simulation.end_source("right").unwrap();
            for (k, after, g) in [("1", 0, "a"), ("2", 5, "b"), ("3", 5, "a"), ("4", 11, "a")] {
                if g == "b" && !between {
                    continue;
                }
                let now = Timestamp::from_secs(START + after);
                bench.simulation.advance_to(now);
                bench.send(row(k, after, g, 1.0));
            }
            bench
                .simulation
                .advance_to(Timestamp::from_secs(START + 30));
            bench.send(row("5", 30, "c", 1.0));
            let out = bench.out();
            let of_a: Vec<&Value> = out.iter().filter(|row| row["g"] == "a").collect();
            let right = [of(0, 10, "a", 2), of(11, 16, "a", 1)];
            assert_eq!(
                of_a,
                right.iter().collect::<Vec<_>>(),
                "{clock:?} {between}"
            );
        }
    }
}

fn a_row_joins_two_sessions(place: &Place) {
    let sql =
        "select :window_start as begins, g, count(*) as n, min(v) as l from things group by g";
    let database = declared(place);
    let mut bench = Bench::new(&database, session(sql).lateness(seconds(10)));
    bench.simulation.end_source("right").unwrap();
    for (k, after, v) in [("1", 0, 3.0), ("2", 8, 2.0), ("3", 4, 1.0), ("3", 4, 1.0)] {
        bench.send(row(k, after, "a", v));
    }
    bench.send(row("4", 100, "b", 1.0));
    assert_eq!(
        bench.out(),
        [json!({"begins": START, "g": "a", "n": 3, "l": 1.0})]
    );
}

fn a_session_that_has_ended_is_not_joined_when_a_row_comes_again(place: &Place) {
    let sql = "select g, sum(v) as s from things where v > 0 group by g";
    let database = declared(place);
    let mut bench = Bench::new(&database, session(sql).store(true));
    bench.simulation.end_source("right").unwrap();
    bench.send(row("1", 0, "a", 1.0));
    bench.send(row("2", 6, "b", -1.0));
    assert_eq!(sums(&bench), [1.0]);
    bench.send(row("3", 3, "a", 2.0));
    // It is in no session.
    bench.send(row("2", 6, "b", -1.0));
    bench.send(row("4", 20, "b", 4.0));
    assert_eq!(sums(&bench), [2.0]);
}

fn open_windows_in_memory_are_reported_at_the_end(place: &Place) {
    for options in [
        by_events(tumbling(SUM)).plan(Plan::Requery),
        by_events(tumbling(SUM)).plan(Plan::Incremental),
        session(SUM),
    ] {
        let place = place.another();
        let database = declared(&place);
        let options = options.name("sums");
        let mut bench = Bench::new(&database, options.clone());
        bench.simulation.end_source("right").unwrap();
        bench.send(row("1", 1, "a", 1.0));
        bench.send(row("2", 2, "a", 2.0));
        let (out, _) = bench.finish();
        let wanted = json!({"g": "a", "s": 3.0});
        if place.kind == Kind::Memory {
            assert_eq!(out, [wanted]);
            continue;
        }
        // What is on disk goes on.
        assert_eq!(out, [] as [Value; 0]);
        drop(database);
        let database = declared(&place);
        let mut bench = Bench::new(&database, options);
        bench.simulation.end_source("right").unwrap();
        bench.send(row("3", 30, "b", 4.0));
        assert_eq!(bench.out(), [wanted]);
    }
}

fn a_restart_resumes_at_the_watermark(place: &Place) {
    if !place.stays() {
        return;
    }
    over_plans(place, |_, plan| {
        let place = place.another();
        let database = declared(&place);
        let options = by_events(tumbling(SUM)).plan(plan).name("sums");
        let mut bench = Bench::new(&database, options.clone());
        bench.simulation.end_source("right").unwrap();
        bench.send(row("1", 1, "a", 1.0));
        bench.send(row("2", 12, "a", 2.0));
        assert_eq!(sums(&bench), [1.0], "{plan}");
        bench.finish();
        drop(database);
        let database = declared(&place);
        let mut bench = Bench::at(&database, options, 1_000);
        let late = row("3", 9, "a", 4.0);
        bench.send(late.clone());
        assert_eq!(bench.late(), [late], "{plan}");
        bench.simulation.end_source("right").unwrap();
        bench.send(row("4", 13, "a", 8.0));
        bench.send(row("5", 20, "a", 16.0));
        assert_eq!(sums(&bench), [10.0], "{plan}");
    });
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn events_that_are_fed_again_are_no_later_for_that() {
    let place = Place::mariadb();
    let database = declared(&place);
    let options = by_events(tumbling(SUM)).plan(Plan::Incremental);
    let mut bench = Bench::new(&database, options);
    bench.simulation.end_source("right").unwrap();
    // What only the commit of the batch finds out: then its events are fed one by one.
    place.execute("alter table things add constraint unlucky check (n <> 13)");
    let mut bad = row("3", 26, "a", 4.0);
    bad["n"] = json!(13);
    bench.send_all(vec![row("1", 1, "a", 1.0), row("2", 25, "a", 2.0), bad]);
    assert_eq!(bench.late(), [] as [Value; 0]);
    assert_eq!(sums(&bench), [1.0]);
    assert_eq!(bench.errors().len(), 1);
}
