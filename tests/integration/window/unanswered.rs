//! Answers that a query cannot give while no event asks for them: a window ends, or time passes.

use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{Bench, START, declared, sliding, tumbling};
use serde_json::{Value, json};
use tributary::store::QueryLimits;
use tributary::window::{Emit, Plan};

crate::over_all_databases! {
    a_window_that_cannot_be_answered_ends_all_the_same
    a_window_of_too_many_rows_ends_all_the_same
    an_answer_that_fails_as_time_passes_is_logged_once_and_emitted_later
}

/// Two of them are more than 64 bits hold.
const HALF: i64 = 1 << 62;

fn number(k: &str, after: i64, n: i64) -> Value {
    json!({"k": k, "t": START + after, "g": k, "n": n})
}

fn a_window_that_cannot_be_answered_ends_all_the_same(place: &Place) {
    // There alone a sum of integers overflows.
    if place.kind == Kind::Mariadb {
        return;
    }
    let sql = "select sum(n) as s from things";
    for plan in [Plan::Requery, Plan::Incremental] {
        let database = declared(&place.another());
        let mut bench = Bench::new(&database, tumbling(sql).plan(plan));
        bench.send(number("1", 0, HALF));
        bench.send(number("2", 1, HALF));
        bench.advance(12.0);
        assert_eq!(bench.out(), Vec::<Value>::new(), "{plan}");
        let errors = bench.errors();
        assert_eq!(errors.len(), 1, "{plan} {errors:?}");
        // The next ones are none the worse for it.
        bench.send(number("3", 12, 1));
        bench.advance(10.0);
        assert_eq!(bench.out(), [json!({"s": 1})], "{plan}");
        assert_eq!(bench.errors(), Vec::<String>::new(), "{plan}");
    }
}

fn a_window_of_too_many_rows_ends_all_the_same(place: &Place) {
    let sql = "select g, count(*) as c from things group by g";
    for plan in [Plan::Requery, Plan::Incremental] {
        let limits = QueryLimits::new().rows(2);
        let database = declared(&place.another()).with_limits(limits);
        let mut bench = Bench::new(&database, tumbling(sql).plan(plan));
        for k in ["1", "2", "3"] {
            bench.send(number(k, 0, 1));
        }
        bench.advance(12.0);
        assert_eq!(bench.out(), Vec::<Value>::new(), "{plan}");
        let errors = bench.errors();
        assert_eq!(errors.len(), 1, "{plan} {errors:?}");
        assert!(errors[0].starts_with("the answer has more than 2 rows"));
        bench.send(number("4", 12, 1));
        bench.advance(10.0);
        assert_eq!(bench.out(), [json!({"g": "4", "c": 1})], "{plan}");
    }
}

fn an_answer_that_fails_as_time_passes_is_logged_once_and_emitted_later(place: &Place) {
    if place.kind == Kind::Mariadb {
        return;
    }
    let sql = "select sum(n) as s from things";
    for plan in [Plan::Requery, Plan::Incremental] {
        let database = declared(&place.another());
        let options = sliding(sql).emit(Emit::Changes).plan(plan);
        let mut bench = Bench::new(&database, options);
        // Once the negative one has left, the two others are too much; then one of them leaves.
        bench.send(number("1", 0, -HALF));
        bench.send(number("2", 2, HALF));
        bench.send(number("3", 4, HALF));
        let none = json!({"s": null});
        let sums = [
            none.clone(),
            json!({"s": -HALF}),
            json!({"s": 0}),
            json!({"s": HALF}),
        ];
        assert_eq!(bench.out(), sums, "{plan}");
        bench.advance(11.5);
        assert_eq!(bench.errors().len(), 1, "{plan}");
        bench.advance(1.5);
        assert_eq!(
            bench.out(),
            Vec::<Value>::new(),
            "{plan}: it is what was emitted last"
        );
        bench.advance(10.0);
        assert_eq!(bench.out(), [none], "{plan}");
        assert_eq!(bench.errors(), Vec::<String>::new(), "{plan}");
    }
}
