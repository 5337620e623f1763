//! Errors of windows that cannot be, and their places: in Rust, and in a script with its line.

use crate::support::databases::Place;
use crate::support::window_bench::{Bench, START, declared, sliding, tumbling};
use serde_json::json;
use std::time::Duration;
use tributary::window::{Emit, Plan, TimeDomain, Window, WindowKind, WindowOptions};
use tributary::{Database, ErrorKind, Network, Runtime, Table};

crate::over_all_databases! {
    a_table_or_column_that_is_not_declared_is_named
    an_extent_that_cannot_be_is_refused
    what_is_of_the_events_clock_is_refused_under_the_systems
    a_mode_that_an_extent_or_query_cannot_serve_is_refused
    a_plan_that_cannot_serve_is_refused_with_the_reason
    a_bad_query_is_refused_when_the_window_is_made
    an_event_that_cannot_be_answered_is_rejected_alone
    an_event_whose_result_rows_share_a_key_is_rejected
}

const SUM: &str = "select g, sum(v) as s from things group by g";

/// The error of a window that cannot be.
#[track_caller]
fn refusal(database: &Database, options: &WindowOptions) -> String {
    let error = Window::new(database, options).err();
    let error = error.expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::Data);
    error.to_string()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn a_table_or_column_that_is_not_declared_is_named(place: &Place) {
    let database = declared(place);
    let of = |table: &str, time: &str| {
        WindowOptions::new(table, SUM, WindowKind::Sliding(seconds(10))).time(time)
    };
    for (options, wanted) in [
        (
            of("thing", "t"),
            "no table \"thing\" is declared; did you mean \"things\"?",
        ),
        (
            of("somewhere", "t"),
            "no table \"somewhere\" is declared; the declared tables are things",
        ),
        (
            of("things", "time"),
            "table \"things\" has no column \"time\"; its columns are k, t, g, v, n",
        ),
        (
            of("things", "tt"),
            "table \"things\" has no column \"tt\"; its columns are k, t, g, v, n",
        ),
        (
            of("things", "g"),
            "things.g is text, so it cannot be the time column of a window; \
             a time column holds unix seconds, as integer or real",
        ),
    ] {
        assert_eq!(refusal(&database, &options), wanted);
    }
    let no_time = WindowOptions::new("things", SUM, WindowKind::Sliding(seconds(10)));
    assert_eq!(
        refusal(&database, &no_time),
        "this window needs a time column; \
         set time = \"column\""
    );
}

fn an_extent_that_cannot_be_is_refused(place: &Place) {
    let database = declared(place);
    let zero = Duration::ZERO;
    let hopping = |size, slide| WindowKind::Hopping { size, slide };
    for (extent, wanted) in [
        (
            WindowKind::Sliding(zero),
            "bad window size \"0s\": it must be more than 0",
        ),
        (
            WindowKind::Session(zero),
            "bad window gap \"0s\": it must be more than 0",
        ),
        (
            hopping(seconds(1), zero),
            "bad window slide \"0s\": it must be more than 0",
        ),
        (
            hopping(seconds(5), seconds(6)),
            "bad window slide \"6s\": it must not be longer than the size \"5s\"; \
             rows between two windows would be in no window",
        ),
        (
            hopping(seconds(100_000), seconds(1)),
            "bad window slide \"1s\": each row would be in 100000 windows of \"1d3h46m40s\", \
             at most 10000 are allowed; \
             use a longer slide, or a sliding window: size without slide",
        ),
        (
            WindowKind::Sliding(Duration::from_millis(1_500)),
            "bad window size \"1s500ms\": column resolution is 1 s; \
             use a whole number of seconds",
        ),
        (WindowKind::Count(0), "bad window count 0"),
    ] {
        let options = WindowOptions::new("things", SUM, extent).time("t");
        assert_eq!(refusal(&database, &options), wanted);
    }
    database
        .declare(Table::new("keyless").text("g").integer("t"))
        .unwrap();
    let sql = "select count(*) as n from keyless";
    assert_eq!(
        refusal(
            &database,
            &WindowOptions::new("keyless", sql, WindowKind::Count(3))
        ),
        "a window with count needs a table with a key, table \"keyless\" has none"
    );
}

fn what_is_of_the_events_clock_is_refused_under_the_systems(place: &Place) {
    let database = declared(place);
    let by_events = "uses clock = \"system\"; clock = \"event\" uses the time column of the events";
    assert_eq!(
        refusal(&database, &sliding(SUM).lateness(seconds(1))),
        format!("lateness needs clock = \"event\", this window {by_events}")
    );
    assert_eq!(
        refusal(&database, &sliding(SUM).idle(seconds(1))),
        format!("idle needs clock = \"event\", this window {by_events}")
    );
    let counted = WindowOptions::new("things", SUM, WindowKind::Count(3)).clock(TimeDomain::Event);
    assert_eq!(
        refusal(&database, &counted),
        "clock = \"event\" needs a time column"
    );
}

fn a_mode_that_an_extent_or_query_cannot_serve_is_refused(place: &Place) {
    let database = declared(place);
    let opaque = "select distinct g from things";
    let session = WindowOptions::new("things", SUM, WindowKind::Session(seconds(10))).time("t");
    for (options, wanted) in [
        (
            sliding(SUM).emit(Emit::Close),
            "emit = \"close\" needs windows that close, but this window does not: sliding, 10s; \
             a slide equal to the size makes tumbling windows",
        ),
        (
            session.clone().emit(Emit::Changes),
            "emit = \"changes\" does not support sessions, which rows can join; \
             use emit = \"close\" or \"touched\"",
        ),
        (
            session.clone().verify(0.5),
            "verify does not support sessions: no query tells them apart",
        ),
        (
            sliding(opaque).emit(Emit::Leave),
            "emit = \"leave\" needs keys that tell the groups apart: distinct: rows of several \
             groups are merged; set keys = {\"column\", ...}, with columns of the answer",
        ),
        (
            sliding(opaque).emit(Emit::Touched),
            "emit = \"touched\" needs the groups that an event touches, which are not known: \
             distinct: rows of several groups are merged; emit = \"changes\" does not need them",
        ),
        (
            sliding(opaque).emit(Emit::Leave).keys(["h"]),
            "key \"h\" is not a column of the answer; its columns are g",
        ),
        (
            sliding(SUM).verify(1.5),
            "bad verify 1.5; verify is a share of the events, from 0 to 1",
        ),
        (
            sliding(SUM).verify(-0.1),
            "bad verify -0.1; verify is a share of the events, from 0 to 1",
        ),
        (
            sliding(SUM).verify(f64::NAN),
            "bad verify NaN; verify is a share of the events, from 0 to 1",
        ),
    ] {
        assert_eq!(refusal(&database, &options), wanted);
    }
    // With keys it can.
    assert!(Window::new(&database, &sliding(opaque).emit(Emit::Leave).keys(["g"])).is_ok());
}

fn a_plan_that_cannot_serve_is_refused_with_the_reason(place: &Place) {
    let database = declared(place);
    let best = "plan = \"auto\" chooses the best plan that does";
    for (options, plan, why) in [
        (
            sliding("select g from things"),
            Plan::Incremental,
            "no groups: neither GROUP BY nor an aggregate",
        ),
        (
            sliding("select sum(v) as s from things").emit(Emit::Changes),
            Plan::Keyed,
            "the query has one group, without keys",
        ),
        (
            sliding("select g, sum(v) as s from things where n > :n group by g"),
            Plan::Incremental,
            ":n is a field of the event: the row of a group depends on the event",
        ),
        (
            sliding(SUM).emit(Emit::Changes).shared(true),
            Plan::Keyed,
            "other processes write to the table (shared = true)",
        ),
        (
            tumbling(SUM),
            Plan::Keyed,
            "emit = \"close\" needs the whole answer when a window closes",
        ),
        (
            WindowOptions::new("things", SUM, WindowKind::Session(seconds(10))).time("t"),
            Plan::Requery,
            "only the plan incremental supports sessions",
        ),
        (
            sliding("select distinct g, sum(v) as s from things group by g"),
            Plan::Incremental,
            "distinct: rows of several groups are merged",
        ),
        (
            sliding("select g, sum(v) as s from things group by g limit 3"),
            Plan::Keyed,
            "limit: which groups are in the answer depends on all groups",
        ),
    ] {
        assert_eq!(
            refusal(&database, &options.plan(plan)),
            format!("plan {plan} does not support this query: {why}; {best}")
        );
    }
}

fn a_bad_query_is_refused_when_the_window_is_made(place: &Place) {
    let database = declared(place);
    // Rows 31, 32, 34, 36 and 37; what the database says differs, that it speaks first does not.
    for (sql, wanted) in [
        ("select g, count(*) as n from things group", "bad query: "),
        (
            "select g, count(*) as n from thins group by g",
            "did you mean \"things\"?",
        ),
        (
            "select h, count(*) as n from things group by h",
            "bad query: ",
        ),
        ("delete from things", "window queries must be one SELECT"),
        (
            "select 1 as a; select 2 as b",
            "window queries must be one SELECT",
        ),
        (
            "select g, v as g from things",
            "two columns of the answer are called \"g\"",
        ),
        (
            "select g from things where k = ?",
            "a parameter without a name",
        ),
    ] {
        let told = refusal(&database, &sliding(sql));
        assert!(told.contains(wanted), "{sql}: {told}");
    }
}

fn an_event_that_cannot_be_answered_is_rejected_alone(place: &Place) {
    let database = declared(place);
    for (number, plan) in [Plan::Requery, Plan::Incremental].into_iter().enumerate() {
        // A name of its own: the one before it was not ended, and may have left what was delivered.
        let options = sliding(SUM).emit(Emit::Touched).plan(plan);
        let mut bench = Bench::new(&database, options.name(plan.to_string()));
        let good = |n: i32| json!({"k": format!("{number} {n}"), "t": START, "g": format!("{number}"), "v": 1.0});
        bench.send(good(1));
        for (bad, why) in [
            (
                json!({"k": "b", "g": "a"}),
                "things.t is missing, but it is the time column of the window",
            ),
            (
                json!({"k": "b", "t": null}),
                "things.t is missing, but it is the time column of the window",
            ),
            (
                json!({"k": "b", "t": "now"}),
                "things.t must be integer, this is \"now\"",
            ),
            (
                json!({"k": "b", "t": 1.5}),
                "things.t must be integer, this is 1.5",
            ),
            (
                json!({"t": START}),
                "things.k is missing, and it is part of the key",
            ),
            (
                json!({"k": "b", "t": START, "v": true}),
                "things.v must be real, this is true",
            ),
            (json!([1]), "a JSON object was expected, this is an array"),
            (
                json!({"k": "b", "t": START, "parts": 5}),
                "things.parts must be an array of objects, this is 5",
            ),
        ] {
            bench.send(bad);
            assert_eq!(bench.errors(), [why]);
        }
        bench.send(good(2));
        let sums: Vec<_> = bench.out().iter().map(|row| row["s"].clone()).collect();
        assert_eq!(sums, [1.0, 2.0], "{plan}");
    }
}

/// What a script is told whose third line makes a window with these options.
fn told(options: &str) -> String {
    let runtime = Runtime::new(&Network::new()).unwrap();
    let text = format!(
        "local tb = require('tributary')\n\
         tb.create_table('things', {{ key = 'k', columns = {{ k = 'text', t = 'integer', v = 'real' }} }})\n\
         tb.window('w', 'out', {{ table = 'things', query = 'select count(*) as n from things'{options} }})\n"
    );
    match runtime.run_text("net.lua", text) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_error_of_a_script_names_the_line_and_the_option() {
    for (options, wanted) in [
        (
            ", time = 't'",
            "a window has one extent: size, count or gap; size = \"10s\", or count = 1000, or gap = \"30s\"",
        ),
        (
            ", time = 't', size = '10s', count = 5",
            "a window has one extent: size, count or gap; size = \"10s\", or count = 1000, or gap = \"30s\"",
        ),
        (
            ", time = 't', slide = '10s'",
            "a window with a slide needs a size; size = \"10s\"",
        ),
        (
            ", size = '10s'",
            "this window needs a time column; set time = \"column\"",
        ),
        (
            ", time = 'z', size = '10s'",
            "table \"things\" has no column \"z\"; its columns are k, t, v",
        ),
        (
            ", time = 't', size = '10s', latenes = '2s'",
            r#"window has no option "latenes"; did you mean "lateness"?"#,
        ),
        (
            ", time = 't', size = '10s', lateness = '2s'",
            "lateness needs clock = \"event\", this window uses clock = \"system\"; clock = \"event\" uses the time column of the events",
        ),
        (
            ", time = 't', size = '10s', clock = 'event', lateness = '-2s'",
            r#"option lateness of window: bad duration "-2s": it is negative"#,
        ),
        (
            ", time = 't', size = '-10s'",
            r#"option size of window: bad duration "-10s": it is negative"#,
        ),
        (
            ", time = 't', size = '0s'",
            r#"option size of window: bad duration "0s": it must be more than zero"#,
        ),
        (
            ", time = 't', size = '500ms'",
            "bad window size \"500ms\": column resolution is 1 s; use a whole number of seconds",
        ),
        (
            ", time = 't', size = '10s', slide = '11s'",
            "bad window slide \"11s\": it must not be longer than the size \"10s\"; rows between two windows would be in no window",
        ),
        (
            ", time = 't', size = '10s', clock = 'events'",
            "bad clock \"events\"; did you mean \"event\"?",
        ),
        (
            ", time = 't', size = '10s', emit = 'change'",
            "bad emit \"change\"; did you mean \"changes\"?",
        ),
        (
            ", time = 't', size = '10s', emit = 'close'",
            "emit = \"close\" needs windows that close, but this window does not: sliding, 10s; a slide equal to the size makes tumbling windows",
        ),
        (
            ", time = 't', size = '10s', plan = 'fast'",
            "bad plan \"fast\"; it is one of requery, keyed, incremental",
        ),
        (
            ", time = 't', size = '10s', plan = 'keyed', emit = 'changes'",
            "plan keyed does not support this query: the query has one group, without keys; plan = \"auto\" chooses the best plan that does",
        ),
        (", count = 0", "bad window count 0; it is at least 1 row"),
        (", count = -1", "bad window count -1; it is at least 1 row"),
        (
            ", count = 2.5",
            r#"option count of window: integer expected, got 2.5"#,
        ),
        (
            ", count = 5, verify = 2",
            "bad verify 2; verify is a share of the events, from 0 to 1",
        ),
        (
            ", gap = '30s', time = 't', emit = 'leave'",
            "emit = \"leave\" does not support sessions, which rows can join; use emit = \"close\" or \"touched\"",
        ),
        (
            ", time = 't', size = '10s', store = 'yes'",
            r#"option store of window: boolean expected, got "yes""#,
        ),
        (
            ", time = 't', size = '10s', keys = { 'm' }",
            r#"key "m" is not a column of the answer; its columns are n"#,
        ),
    ] {
        assert_eq!(
            told(options),
            format!("net.lua:3: {wanted}"),
            "of {options}"
        );
    }
}

fn an_event_whose_result_rows_share_a_key_is_rejected(place: &Place) {
    let database = declared(place);
    let options = sliding("select g, n from things order by k").keys(["g"]);
    let mut bench = Bench::new(&database, options.emit(Emit::Changes));
    let row = |k: &str, g: &str, n: i64| json!({"k": k, "t": START, "g": g, "n": n});
    bench.send(row("1", "a", 1));
    bench.send(row("2", "b", 2));
    assert_eq!(
        bench.out(),
        [json!({"g": "a", "n": 1}), json!({"g": "b", "n": 2})]
    );
    bench.send(row("3", "a", 3));
    assert_eq!(bench.out(), Vec::<serde_json::Value>::new());
    let errors = bench.errors();
    assert!(
        errors[0].starts_with("two rows of the answer have the same g: "),
        "{errors:?}"
    );
    // Once one of them has left, the keys tell rows apart again.
    bench.advance(20.0);
    bench.send(json!({"k": "4", "t": START + 20, "g": "a", "n": 4}));
    assert_eq!(bench.out(), [json!({"g": "a", "n": 4})]);
}
