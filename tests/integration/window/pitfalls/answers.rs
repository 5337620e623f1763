//! Pitfalls 1 to 8: what is answered, and when.

use super::{SUM, each_plan, options, why_not};
use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{Bench, Fate, START, ask, declared, row, sliding};
use serde_json::{Value, json};
use std::time::Duration;
use tributary::Table;
use tributary::time::Timestamp;
use tributary::window::{Emit, Plan, Window, WindowKind, WindowOptions};

crate::over_all_databases! {
    pitfall_01_the_mode_decides_what_is_emitted_never_the_plan
    pitfall_02_groups_change_and_leave_by_time_alone
    pitfall_02_what_time_alone_has_emitted_is_repeated_until_it_is_delivered
    pitfall_03_every_clock_of_a_statement_is_the_networks_instant
    pitfall_04_running_sums_do_not_drift
    pitfall_04_a_threshold_does_not_flip
    pitfall_05_the_sum_of_nothing_is_null_and_null_is_a_key
    pitfall_06_what_has_no_one_grouping_is_asked_again_and_explained
    pitfall_07_a_join_multiplies_rows
    pitfall_07_a_partner_comes_later
    pitfall_08_an_event_that_comes_again_counts_once
}

fn pitfall_01_the_mode_decides_what_is_emitted_never_the_plan(place: &Place) {
    let (a, b) = (json!({"g": "a", "s": 2.0}), json!({"g": "b", "s": 3.0}));
    each_plan(place, |database, plan| {
        let mut bench = Bench::new(database, options(SUM, Emit::Touched, plan));
        bench.send(row("1", 0, "a", 2.0));
        bench.send(row("2", 0, "b", 3.0));
        assert_eq!(bench.out(), [a.clone(), b.clone()], "{plan}");
    });
    for plan in [Plan::Requery, Plan::Incremental] {
        let database = declared(&place.another());
        let mut bench = Bench::new(&database, options(SUM, Emit::All, plan));
        bench.send(row("1", 0, "a", 2.0));
        bench.send(row("2", 0, "b", 3.0));
        assert_eq!(bench.out(), [a.clone(), a.clone(), b.clone()], "{plan}");
    }
    let database = declared(place);
    assert_eq!(
        why_not(&database, &options(SUM, Emit::All, Plan::Keyed)),
        "plan keyed does not support this query: emit = \"all\" needs the whole answer for every event; \
         plan = \"auto\" chooses the best plan that does"
    );
}

fn pitfall_02_groups_change_and_leave_by_time_alone(place: &Place) {
    each_plan(place, |database, plan| {
        let mut bench = Bench::new(database, options(SUM, Emit::Changes, plan));
        bench.send(row("1", 0, "a", 2.0));
        bench.send(row("2", 3, "a", 5.0));
        bench.out();
        bench.advance(10.9);
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        assert_eq!(
            bench.simulation.next_wake(),
            Some(Timestamp::from_secs(START + 11)),
            "{plan}"
        );
        bench.advance(0.1);
        assert_eq!(bench.out(), [json!({"g": "a", "s": 5.0})], "{plan}");
        bench.advance(3.0);
        // Where processes share a database, a window looks for what a killed one has left.
        let looks = place.kind == Kind::Mariadb;
        assert_eq!(bench.simulation.next_wake().is_some(), looks, "{plan}");
    });
    each_plan(place, |database, plan| {
        let mut bench = Bench::new(database, options(SUM, Emit::Leave, plan));
        bench.send(row("1", 0, "a", 2.0));
        bench.send(row("2", 3, "a", 5.0));
        bench.advance(13.9);
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        bench.advance(0.1);
        assert_eq!(bench.out(), [json!({"g": "a", "s": 5.0})], "{plan}");
    });
}

fn pitfall_02_what_time_alone_has_emitted_is_repeated_until_it_is_delivered(place: &Place) {
    for emit in [Emit::Changes, Emit::Leave] {
        each_plan(place, |database, plan| {
            let mut bench = Bench::new(database, options(SUM, emit, plan));
            bench.send(row("1", 0, "a", 2.0));
            bench.send(row("2", 3, "a", 5.0));
            bench.out();
            bench.fate(Fate::Failed);
            bench.advance(if emit == Emit::Changes { 11.05 } else { 14.05 });
            let wanted = [json!({"g": "a", "s": 5.0})];
            assert_eq!(bench.out(), wanted, "{emit} {plan}");
            bench.advance(0.1);
            assert_eq!(bench.out(), wanted, "{emit} {plan}");
            bench.fate(Fate::Delivered);
            bench.advance(1.0);
            assert_eq!(bench.out(), wanted, "{emit} {plan}");
            bench.advance(1.0);
            assert_eq!(bench.out(), [] as [Value; 0], "{emit} {plan}");
        });
    }
}

fn pitfall_03_every_clock_of_a_statement_is_the_networks_instant(place: &Place) {
    let sql = "select unix_timestamp() as a, unix_timestamp(now()) as b, \
               unix_timestamp(current_timestamp) as c, unix_timestamp(now() - interval 7 second) \
               as d, count(*) as n from things";
    let mut bench = Bench::new(&declared(place), sliding(sql));
    for (after, n) in [(0, 1), (4, 2), (40, 1)] {
        bench.set_clock(after);
        bench.send(row(&after.to_string(), after, "a", 1.0));
        let at = START + after;
        let wanted = json!({"a": at, "b": at, "c": at, "d": at - 7, "n": n});
        assert_eq!(bench.out(), [wanted]);
    }
}

fn pitfall_04_running_sums_do_not_drift(place: &Place) {
    let database = declared(place);
    let mut bench = Bench::new(&database, options(SUM, Emit::Changes, Plan::Incremental));
    // What is large swallows what is small, unless it is kept beside it.
    bench.send(row("large", 0, "a", 1e16));
    bench.send(row("small", 5, "a", 0.1));
    bench.out();
    bench.advance(11.0);
    assert_eq!(bench.out(), [json!({"g": "a", "s": 0.1})]);
    // A group that was empty begins at nothing.
    bench.advance(20.0);
    bench.send(row("new", 31, "a", 0.3));
    assert_eq!(bench.out(), [json!({"g": "a", "s": 0.3})]);
}

fn pitfall_04_a_threshold_does_not_flip(place: &Place) {
    let sql = "select g, round(sum(v), 2) as s from things group by g having s > 130";
    each_plan(place, |database, plan| {
        let mut bench = Bench::new(database, options(sql, Emit::Touched, plan));
        for second in 0..40 {
            let v = [0.1, 0.2, 0.7, 1e9][second % 4];
            bench.send(row(&second.to_string(), second as i64, "a", v));
            bench.advance(1.0);
        }
        bench.out();
        // The last of these finds none of those.
        for (number, v) in [(40, 32.5), (42, 32.5), (44, 32.5), (50, 32.5), (51, 0.0)] {
            bench.set_clock(number);
            bench.out();
            bench.send(row(&format!("late {number}"), number.max(44), "a", v));
        }
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
        bench.send(row("more", 51, "a", 0.01));
        assert_eq!(bench.out(), [json!({"g": "a", "s": 130.01})], "{plan}");
    });
}

fn pitfall_05_the_sum_of_nothing_is_null_and_null_is_a_key(place: &Place) {
    let nothing = "select count(*) as c, count(v) as n, sum(v) as s, min(v) as l from things";
    for plan in [Plan::Requery, Plan::Incremental] {
        let database = declared(&place.another());
        let mut bench = Bench::new(&database, options(nothing, Emit::Changes, plan));
        let of = |c: i64| json!({"c": c, "n": 0, "s": null, "l": null});
        bench.advance(0.0);
        assert_eq!(bench.out(), [of(0)], "{plan}");
        bench.send(json!({"k": "1", "t": START}));
        bench.advance(11.0);
        assert_eq!(bench.out(), [of(1), of(0)], "{plan}");
    }
    let keys = "select g, n + 1 as more, count(*) as c, sum(v * n) as s from things \
                group by g, n + 1";
    each_plan(place, |database, plan| {
        let mut bench = Bench::new(database, options(keys, Emit::Touched, plan));
        bench.send(json!({"k": "1", "t": START, "v": 2.0}));
        bench.send(json!({"k": "2", "t": START, "g": null, "v": 3.0}));
        bench.send(json!({"k": "3", "t": START, "g": "null", "v": 3.0, "n": 1}));
        assert_eq!(
            bench.out(),
            [
                json!({"g": null, "more": null, "c": 1, "s": null}),
                json!({"g": null, "more": null, "c": 2, "s": null}),
                json!({"g": "null", "more": 2, "c": 1, "s": 3.0}),
            ],
            "{plan}"
        );
    });
}

fn pitfall_06_what_has_no_one_grouping_is_asked_again_and_explained(place: &Place) {
    let random = match place.kind {
        Kind::Mariadb => "select g, count(*) as n from things where rand() >= 0 group by g",
        _ => "select g, count(*) as n from things where random() is not null group by g",
    };
    let cases = [
        (
            "select r.g, count(p.w) as n from things r left join parts p on p.thing = r.k group by r.g",
            "join",
        ),
        (
            "select distinct g, count(*) as n from things group by g",
            "distinct",
        ),
        (
            "select g, count(*) as n from things group by g order by g limit 1",
            "limit",
        ),
        (
            "select g, count(*) as n from things where v >= (select 0) group by g",
            "subquery",
        ),
        (
            "select g, n from (select g, count(*) as n from things group by g) as x",
            "subquery",
        ),
        (
            "select g, count(*) as n, count(*) over () as m from things group by g",
            "over",
        ),
        (
            "select g, count(*) as n from things group by g union all select 'z', 1 where 1 = 0",
            "union",
        ),
        (random, "rand"),
    ];
    for (sql, message) in cases {
        let database = declared(&place.another());
        let window = Window::new(&database, &sliding(sql)).unwrap();
        let explained = window.explain();
        assert_eq!(explained.plan, Plan::Requery, "{explained}");
        let why = explained.refused.iter().find(|r| r.0 == Plan::Incremental);
        let why = &why.expect("it says why").1;
        assert!(why.to_lowercase().contains(message), "{sql}: {why}");
        let forced = why_not(&database, &sliding(sql).plan(Plan::Incremental));
        assert!(forced.contains(why), "{forced}");
        // And it answers.
        let mut bench = Bench::new(&database, sliding(sql));
        bench.send(json!({"k": "1", "t": START, "g": "a", "v": 1.0, "parts": [{"w": 1}]}));
        bench.send(json!({"k": "1", "t": START, "g": "a", "v": 1.0, "parts": [{"w": 1}]}));
        let out = bench.out();
        assert_eq!(out.len(), 2, "{sql}");
        assert_eq!((&out[1]["g"], &out[1]["n"]), (&json!("a"), &json!(1)));
    }
}

fn pitfall_07_a_join_multiplies_rows(place: &Place) {
    let sql = "select r.g, count(*) as c, sum(r.v) as s, max(p.w) as w \
               from things r join parts p on p.thing = r.k group by r.g";
    each_plan(place, |database, plan| {
        let options = options(sql, Emit::Changes, plan).store(true);
        let mut bench = Bench::new(database, options);
        let with =
            |k: &str, parts: Value| json!({"k": k, "t": START, "g": "a", "v": 1.5, "parts": parts});
        bench.send(with("1", json!([{"w": 1}, {"w": 1}, {"w": 5}])));
        bench.send(with("2", json!([])));
        bench.send(with("3", json!([{"w": 2}])));
        assert_eq!(
            bench.out(),
            [
                json!({"g": "a", "c": 3, "s": 4.5, "w": 5}),
                json!({"g": "a", "c": 4, "s": 6.0, "w": 5})
            ],
            "{plan}"
        );
        bench.advance(11.0);
        assert_eq!(ask(database, "select count(*) as n from parts")["n"], 0);
    });
}

fn pitfall_07_a_partner_comes_later(place: &Place) {
    let database = declared(place);
    let names = Table::new("names").text("g").text("name").key("g");
    database.declare(names).unwrap();
    let sql =
        "select n.name, sum(r.v) as s from things r join names n on n.g = r.g group by n.name";
    let refused = why_not(&database, &options(sql, Emit::Changes, Plan::Incremental));
    assert!(
        refused.contains("is not a declared column of the window's tables"),
        "{refused}"
    );
    let options = sliding(sql).emit(Emit::Changes);
    assert_eq!(
        Window::new(&database, &options).unwrap().explain().plan,
        Plan::Requery
    );
    let mut bench = Bench::new(&database, options);
    bench.send(row("1", 0, "a", 2.0));
    assert_eq!(bench.out(), [] as [Value; 0]);
    let mut store = database.connect().unwrap();
    let name = json!({"g": "a", "name": "anna"});
    let names = database.table("names").unwrap();
    store.insert(&names, name.as_object().unwrap()).unwrap();
    drop(store);
    bench.send(row("2", 0, "b", 2.0));
    assert_eq!(bench.out(), [json!({"name": "anna", "s": 2.0})]);
}

fn pitfall_08_an_event_that_comes_again_counts_once(place: &Place) {
    let extents = [
        WindowKind::Sliding(Duration::from_secs(10)),
        WindowKind::Count(3),
        WindowKind::Hopping {
            size: Duration::from_secs(10),
            slide: Duration::from_secs(5),
        },
    ];
    for extent in extents {
        for store in [true, false] {
            each_plan(place, |database, plan| {
                let options = WindowOptions::new("things", SUM, extent).time("t");
                let options = options.emit(Emit::Changes).plan(plan).store(store);
                let mut bench = Bench::new(database, options);
                let (one, two) = (row("1", 0, "a", 2.0), row("2", 0, "a", 0.5));
                bench.send(one.clone());
                bench.send(one.clone());
                // With other content, and in one batch.
                bench.send(row("1", 0, "a", 100.0));
                bench.send_all(vec![one.clone(), two.clone(), two, one]);
                let windows = if extent == extents[2] { 2 } else { 1 };
                let mut wanted = vec![json!({"g": "a", "s": 2.0}); windows];
                wanted.extend(vec![json!({"g": "a", "s": 2.5}); windows]);
                assert_eq!(bench.out(), wanted, "{extent} {plan} {store}");
            });
        }
    }
}
