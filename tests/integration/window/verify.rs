//! The share of events on which the answer is held against that of the whole query.

use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{Bench, declared, row, sliding, tumbling};
use serde_json::{Value, json};
use tributary::store::QueryLimits;
use tributary::window::{Emit, Plan, Window};

crate::over_all_databases! {
    an_answer_that_differs_is_reported_with_both_and_dropped
    only_the_share_that_was_asked_for_is_compared
    a_window_that_ends_is_compared_while_it_lasts
    what_is_asked_of_the_database_by_group_is_compared_too
    what_doubles_round_off_is_no_difference
    what_doubles_round_off_is_none_between_groups_and_the_whole
    a_group_that_differs_from_the_full_answer_is_reported_with_both
    a_difference_beside_great_numbers_is_one
    under_keyed_the_whole_query_is_asked_on_that_share
    the_explanation_lists_what_is_compared
}

const SUM: &str = "select g, sum(v) as s from things group by g";

/// Has the next row that is called so change the row `1` behind the window's back. A file of
/// SQLite tells what strangers do, but not what a trigger of theirs does with our own rows; a
/// server tells neither.
fn meddles(place: &Place, k: &str) {
    match place.kind {
        Kind::File => place.execute(&format!(
            "create trigger meddles after insert on things when new.k = '{k}' \
             begin update things set v = v + 100 where k = '1'; end"
        )),
        Kind::Mariadb => place.execute("update things set v = v + 100 where k = '1'"),
        Kind::Memory => unreachable!("nobody else can reach it"),
    }
}

fn an_answer_that_differs_is_reported_with_both_and_dropped(place: &Place) {
    if !place.stays() {
        return;
    }
    let database = declared(place);
    let options = sliding(SUM).emit(Emit::Touched).plan(Plan::Incremental);
    let mut bench = Bench::new(&database, options.verify(1.0));
    bench.send(row("1", 0, "a", 1.0));
    bench.send(row("2", 0, "b", 2.0));
    bench.out();
    if place.kind == Kind::File {
        meddles(place, "3");
    }
    // A rollback of ours or a look at the table would rebuild the state by itself: neither here.
    bench.send(row("0", 0, "b", 2.0));
    assert_eq!(bench.out(), [json!({"g": "b", "s": 4.0})]);
    assert_eq!(bench.errors(), [] as [&str; 0]);
    if place.kind == Kind::Mariadb {
        meddles(place, "3");
    }
    bench.send(row("3", 0, "a", 4.0));
    assert_eq!(bench.out(), [json!({"g": "a", "s": 5.0})]);
    assert_eq!(
        bench.errors(),
        [
            "the running state gives [{\"g\":\"a\",\"s\":5.0}, {\"g\":\"b\",\"s\":4.0}], \
          the query gives [{\"g\":\"a\",\"s\":105.0}, {\"g\":\"b\",\"s\":4.0}]; \
          the state was rebuilt; if that does not help, set plan = \"requery\""
        ]
    );
    bench.send(row("4", 0, "a", 8.0));
    assert_eq!(bench.out(), [json!({"g": "a", "s": 113.0})]);
    bench.send(row("5", 0, "b", 8.0));
    assert_eq!(bench.out(), [json!({"g": "b", "s": 12.0})]);
    assert_eq!(bench.errors(), [] as [&str; 0]);
    // What leaves is what was loaded.
    bench.advance(11.0);
    bench.send(row("6", 11, "a", 1.0));
    assert_eq!(bench.out(), [json!({"g": "a", "s": 1.0})]);
    assert_eq!(bench.errors(), [] as [&str; 0]);
}

/// What rounds off, in a sum that was not carried, by more than what is left of it.
const CANCELLING: [f64; 9] = [0.1, 0.2, -0.3, 1e16, 1.0, -1e16, 0.7, 3.3, -1.0];

fn what_doubles_round_off_is_no_difference(place: &Place) {
    for sql in [
        "select g, sum(v) as s, avg(v) as a from things group by g",
        "select g, sum(v) * 1000 as s, sum(v) / count(*) as m from things group by g",
        "select g, sum(v) - avg(v) * count(*) as zero from things group by g",
        "select g, round(sum(v), 1) as s from things group by g having sum(v) > 0",
        "select sum(v * 3) as s, case when sum(v) > 0 then 'more' else 'less' end as what from things",
    ] {
        for options in [sliding(sql), tumbling(sql).emit(Emit::All)] {
            let database = declared(&place.another());
            let options = options.plan(Plan::Incremental).verify(1.0);
            let mut bench = Bench::new(&database, options);
            for (k, v) in CANCELLING.iter().enumerate() {
                bench.send(row(&k.to_string(), 0, "a", *v));
            }
            // They leave one after the other.
            for (k, v) in CANCELLING.iter().enumerate() {
                bench.advance(1.0);
                bench.send(row(&format!("later {k}"), k as i64 + 1, "a", *v));
            }
            assert_eq!(bench.errors(), [] as [&str; 0], "{sql}");
        }
    }
}

fn what_doubles_round_off_is_none_between_groups_and_the_whole(place: &Place) {
    let (sum, mean) = (
        SUM,
        "select g, avg(v) as a, sum(v) * 3 as s from things group by g",
    );
    for sql in [
        sum,
        mean,
        "select g, sum(v) as s from things group by g having sum(v) > 0.5",
    ] {
        for shared in [false, true] {
            let database = declared(&place.another());
            let options = sliding(sql).emit(Emit::Touched).plan(Plan::Keyed);
            let mut bench = Bench::new(&database, options.shared(shared).verify(1.0));
            // A group is found in the order of its times, and a table read in that of its keys.
            for (k, v) in CANCELLING.iter().enumerate() {
                bench.send(row(&format!("{k} b"), 9 - k as i64, "b", *v));
                bench.send(row(&format!("{k} a"), 9 - k as i64, "a", *v));
            }
            assert_eq!(bench.errors(), [] as [&str; 0], "{sql}");
        }
    }
}

fn a_group_that_differs_from_the_full_answer_is_reported_with_both(place: &Place) {
    if place.kind != Kind::Mariadb {
        return;
    }
    // What fields of the event stand in cannot be judged by what was summed.
    let sql = "select g, sum(v) as s, :k as k from things group by g";
    let options = sliding(sql).emit(Emit::Touched).verify(1.0);
    let mut bench = Bench::new(&declared(place), options);
    bench.send(row("3", 0, "a", 0.1));
    bench.send(row("2", 1, "a", 0.2));
    assert_eq!(bench.errors(), [] as [&str; 0]);
    bench.send(row("1", 2, "a", -0.3));
    assert_eq!(bench.out().len(), 3);
    let errors = bench.errors();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("the query by group gives [{\"g\":\"a\",\"s\":"),
        "{errors:?}"
    );
}

fn a_difference_beside_great_numbers_is_one(place: &Place) {
    if place.kind != Kind::Mariadb {
        return;
    }
    let database = declared(place);
    let options = sliding(SUM).emit(Emit::Touched).plan(Plan::Incremental);
    let mut bench = Bench::new(&database, options.verify(1.0));
    bench.send(row("1", 5, "a", 1.0));
    for (k, v) in CANCELLING.iter().enumerate() {
        bench.send(row(&format!("great {k}"), 0, "a", *v));
    }
    assert_eq!(bench.errors(), [] as [&str; 0]);
    meddles(place, "");
    bench.send(row("2", 5, "a", 1.0));
    assert_eq!(bench.errors().len(), 1);
    // Once they have left, what is small is told again.
    bench.set_clock(11);
    bench.send(row("3", 11, "a", 1.0));
    place.execute("update things set v = v + 0.000001 where k = '1'");
    bench.send(row("4", 11, "a", 1.0));
    assert_eq!(bench.errors().len(), 1);
}

fn only_the_share_that_was_asked_for_is_compared(place: &Place) {
    if place.kind != Kind::Mariadb {
        return;
    }
    let database = declared(place);
    let options = sliding(SUM).emit(Emit::Touched).plan(Plan::Incremental);
    let mut bench = Bench::new(&database, options.verify(0.25));
    for k in ["1", "2"] {
        bench.send(row(k, 0, "a", 1.0));
    }
    meddles(place, "");
    bench.send(row("3", 0, "a", 1.0));
    assert_eq!(bench.errors().len(), 0);
    bench.send(row("4", 0, "a", 1.0));
    assert_eq!(bench.errors().len(), 1);
    bench.out();
    bench.send(row("5", 0, "a", 1.0));
    assert_eq!(bench.out(), [json!({"g": "a", "s": 105.0})]);
}

fn a_window_that_ends_is_compared_while_it_lasts(place: &Place) {
    if place.kind != Kind::Mariadb {
        return;
    }
    let database = declared(place);
    let options = tumbling(SUM).plan(Plan::Incremental).verify(1.0);
    let mut bench = Bench::new(&database, options);
    bench.send(row("1", 0, "a", 1.0));
    meddles(place, "");
    bench.send(row("2", 0, "a", 2.0));
    assert_eq!(bench.errors().len(), 1);
    bench.advance(11.0);
    assert_eq!(bench.out(), [json!({"g": "a", "s": 103.0})]);
    assert_eq!(bench.errors().len(), 0);
}

fn what_is_asked_of_the_database_by_group_is_compared_too(place: &Place) {
    let hopping = tumbling(SUM).emit(Emit::Touched);
    for options in [
        sliding(SUM).emit(Emit::Touched),
        sliding(SUM).emit(Emit::Changes),
        hopping,
    ] {
        let database = declared(&place.another());
        let options = options.plan(Plan::Keyed).verify(1.0);
        let mut bench = Bench::new(&database, options);
        for (number, (g, v)) in [("a", 1.0), ("b", 2.0), ("a", 4.0), ("c", -0.0)]
            .iter()
            .enumerate()
        {
            bench.send(row(&number.to_string(), 0, g, *v));
        }
        let (sums, none): (Vec<Value>, Vec<String>) = (
            bench.out().iter().map(|row| row["s"].clone()).collect(),
            bench.errors(),
        );
        assert_eq!(sums, [1.0, 2.0, 5.0, 0.0]);
        assert_eq!(none, [] as [&str; 0]);
    }
}

fn under_keyed_the_whole_query_is_asked_on_that_share(place: &Place) {
    let limits = QueryLimits::new().rows(2);
    let database = declared(place).with_limits(limits);
    let options = sliding(SUM).emit(Emit::Touched).plan(Plan::Keyed);
    let mut bench = Bench::new(&database, options.verify(0.5));
    for (k, g) in ["a", "b", "c", "d"].iter().enumerate() {
        bench.send(row(&k.to_string(), 0, g, 1.0));
    }
    // One group at a time is always within the limit; every second event asks for all of them.
    let errors = bench.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("2 rows"), "{errors:?}");
}

fn the_explanation_lists_what_is_compared(place: &Place) {
    let database = declared(place);
    let of = |options: tributary::window::WindowOptions| {
        let explanation = Window::new(&database, &options).unwrap().explain();
        let shown = explanation.to_string();
        let line = shown.lines().find_map(|line| line.strip_prefix("verify: "));
        line.map(str::to_owned)
    };
    let touched = sliding(SUM).emit(Emit::Touched);
    assert_eq!(of(touched.clone()), None);
    assert_eq!(
        of(touched.clone().verify(0.01)).unwrap(),
        "the whole answer, on a share of 0.01 of the events"
    );
    assert_eq!(
        of(touched.clone().plan(Plan::Keyed).verify(1.0)).unwrap(),
        "the groups that an event touches, at every event"
    );
    let opaque = sliding("select distinct g from things").emit(Emit::Changes);
    assert_eq!(
        of(opaque.verify(0.5)).unwrap(),
        "nothing: every answer comes from the whole query"
    );
    let refused = Window::new(&database, &touched.plan(Plan::Requery).verify(0.5)).err();
    assert_eq!(
        refused.unwrap().to_string(),
        "verify has nothing to compare with plan = \"requery\", which always runs the whole query; \
         remove one of them"
    );
}
