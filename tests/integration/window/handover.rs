//! A window that is replaced by one with another query or other settings: no row is forgotten, and what was
//! emitted is not emitted again. That one which is replaced by its like does what it would have done is tested
//! with random streams in `plans`.

use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{Bench, Fate, PLANS, declared, row, sliding, stored, tumbling};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tributary::window::{Emit, Plan, TimeDomain, Window, WindowKind, WindowOptions};
use tributary::{Context, Error, Event, Network, Node, Result, Sink, sink, source};

crate::over_all_databases! {
    a_threshold_that_is_raised_repeats_no_alert_and_loses_none
    a_threshold_that_is_lowered_alerts_those_that_are_above_it_now
    a_select_list_that_has_changed_repeats_no_alert
    a_row_with_other_columns_is_emitted_when_its_values_change
    another_grouping_emits_its_groups_as_new_ones
    another_where_reads_the_rows_that_are_stored
    a_window_that_has_closed_does_not_close_again
    what_was_not_delivered_is_delivered_by_the_successor
    the_watermark_goes_on_link_by_link
    fewer_rows_are_the_last_ones_in_the_order_in_which_they_came
    what_a_successor_emits_is_remembered_over_a_restart
}

fn alert(threshold: i64) -> String {
    format!("select g, sum(v) as s from things group by g having sum(v) > {threshold}")
}

/// Every plan, and whether rows are stored where nothing reads them.
fn ways() -> impl Iterator<Item = (Plan, bool)> {
    let plans = PLANS.into_iter();
    plans.flat_map(|plan| [(plan, true), (plan, false)])
}

fn options(sql: &str, (plan, store): (Plan, bool), emit: Emit) -> WindowOptions {
    sliding(sql).plan(plan).store(store).emit(emit)
}

/// The groups of the rows that have left, in order.
fn groups(rows: &[Value]) -> Vec<&str> {
    let groups = rows.iter().map(|row| row["g"].as_str().unwrap_or_default());
    let mut groups: Vec<&str> = groups.collect();
    groups.sort_unstable();
    groups
}

fn a_threshold_that_is_raised_repeats_no_alert_and_loses_none(place: &Place) {
    for way in ways() {
        let database = declared(&place.another());
        let mut bench = Bench::new(&database, options(&alert(100), way, Emit::Enter));
        bench.send(row("1", 0, "a", 150.0));
        bench.send(row("2", 0, "b", 120.0));
        bench.send(row("3", 0, "c", 90.0));
        assert_eq!(groups(&bench.out()), ["a", "b"], "{way:?}");
        bench.replace(&database, &options(&alert(130), way, Emit::Enter));
        bench.send(row("4", 0, "a", 1.0));
        assert_eq!(groups(&bench.out()), [""; 0], "{way:?}");
        // The rows from before count.
        bench.send(row("5", 0, "b", 11.0));
        bench.send(row("6", 0, "c", 39.0));
        bench.send(row("7", 0, "c", 2.0));
        assert_eq!(groups(&bench.out()), ["b", "c"], "{way:?}");
        // And they leave when they would have.
        bench.advance(9.0);
        bench.send(row("8", 9, "d", 131.0));
        assert_eq!(groups(&bench.out()), ["d"], "{way:?}");
        bench.advance(2.0);
        bench.send(row("9", 11, "a", 131.0));
        assert_eq!(groups(&bench.out()), ["a"], "{way:?}");
    }
}

fn a_threshold_that_is_lowered_alerts_those_that_are_above_it_now(place: &Place) {
    for way in ways() {
        let database = declared(&place.another());
        let mut bench = Bench::new(&database, options(&alert(100), way, Emit::Changes));
        bench.send(row("1", 0, "a", 150.0));
        bench.send(row("2", 0, "b", 90.0));
        assert_eq!(groups(&bench.out()), ["a"], "{way:?}");
        bench.replace(&database, &options(&alert(80), way, Emit::Changes));
        assert_eq!(groups(&bench.out()), ["b"], "{way:?}");
        bench.replace(&database, &options(&alert(70), way, Emit::Changes));
        bench.send(row("3", 0, "c", 1.0));
        assert_eq!(groups(&bench.out()), [""; 0], "{way:?}");
    }
}

fn a_select_list_that_has_changed_repeats_no_alert(place: &Place) {
    for emit in [Emit::Enter, Emit::Changes] {
        for way in ways() {
            let database = declared(&place.another());
            let mut bench = Bench::new(&database, options(&alert(100), way, emit));
            bench.send(row("1", 0, "a", 150.0));
            assert_eq!(groups(&bench.out()), ["a"], "{way:?}");
            // The sum is an aggregate that the state has, and a constant needs none.
            let sql =
                "select g, sum(v) as s, 'high' as level from things group by g having sum(v) > 100";
            bench.replace(&database, &options(sql, way, emit));
            bench.send(row("2", 0, "b", 1.0));
            assert_eq!(groups(&bench.out()), [""; 0], "{way:?} {emit}");
            bench.send(row("3", 0, "b", 100.0));
            assert_eq!(
                bench.out(),
                [json!({"g": "b", "s": 101.0, "level": "high"})],
                "{way:?} {emit}"
            );
        }
    }
}

fn a_row_with_other_columns_is_emitted_when_its_values_change(place: &Place) {
    for way in ways() {
        let database = declared(&place.another());
        let mut bench = Bench::new(&database, options(&alert(100), way, Emit::Changes));
        bench.send(row("1", 0, "a", 150.0));
        bench.out();
        let sql = "select g, sum(v) as s, sum(v) > 200 as very from things group by g having sum(v) > 100";
        bench.replace(&database, &options(sql, way, Emit::Changes));
        bench.send(row("2", 0, "a", 1.0));
        assert_eq!(
            bench.out(),
            [json!({"g": "a", "s": 151.0, "very": 0})],
            "{way:?}"
        );
        bench.send(row("3", 0, "a", 0.0));
        assert_eq!(bench.out(), [] as [Value; 0], "{way:?}");
    }
}

fn another_grouping_emits_its_groups_as_new_ones(place: &Place) {
    for plan in PLANS {
        let way = (plan, true);
        let database = declared(&place.another());
        let mut bench = Bench::new(
            &database,
            options(&alert(100), way, Emit::Changes).name("w"),
        );
        bench.send(row("1", 0, "a", 150.0));
        bench.out();
        let sql = "select n, g, sum(v) as s from things group by n, g having sum(v) > 100";
        bench.replace(&database, &options(sql, way, Emit::Changes).name("w"));
        assert_eq!(
            bench.out(),
            [json!({"n": null, "g": "a", "s": 150.0})],
            "{plan}"
        );
        bench.send(row("2", 0, "b", 1.0));
        assert_eq!(bench.out(), [] as [Value; 0], "{plan}");
    }
}

fn another_where_reads_the_rows_that_are_stored(place: &Place) {
    for plan in PLANS {
        let way = (plan, true);
        let database = declared(&place.another());
        let all = "select g, count(*) as c from things group by g";
        let mut bench = Bench::new(&database, options(all, way, Emit::Touched));
        for (key, value) in [("1", 1.0), ("2", 5.0), ("3", 7.0)] {
            bench.send(row(key, 0, "a", value));
        }
        bench.out();
        let some = "select g, count(*) as c from things where v > 4 group by g";
        bench.replace(&database, &options(some, way, Emit::Touched));
        bench.send(row("4", 0, "a", 6.0));
        assert_eq!(bench.out(), [json!({"g": "a", "c": 3})], "{plan}");
    }
}

fn a_window_that_has_closed_does_not_close_again(place: &Place) {
    for (plan, store) in [
        (Plan::Requery, true),
        (Plan::Incremental, true),
        (Plan::Incremental, false),
    ] {
        let database = declared(&place.another());
        let made = |threshold| {
            tumbling(&alert(threshold))
                .plan(plan)
                .store(store)
                .name("w")
        };
        let mut bench = Bench::new(&database, made(100));
        bench.send(row("1", 1, "a", 150.0));
        bench.advance(10.0);
        assert_eq!(groups(&bench.out()), ["a"], "{plan}");
        bench.send(row("2", 10, "b", 90.0));
        bench.replace(&database, &made(60));
        assert_eq!(groups(&bench.out()), [""; 0], "{plan}");
        // Of the window that is closed no row comes any more.
        bench.send(row("3", 2, "c", 500.0));
        assert_eq!(bench.late().len(), 1, "{plan}");
        bench.advance(10.0);
        assert_eq!(groups(&bench.out()), ["b"], "{plan}");
    }
}

fn what_was_not_delivered_is_delivered_by_the_successor(place: &Place) {
    for emit in [Emit::Enter, Emit::Touched] {
        for way in ways() {
            let database = declared(&place.another());
            let mut bench = Bench::new(&database, options(&alert(100), way, emit));
            bench.fate(Fate::Failed);
            bench.send(row("1", 0, "a", 150.0));
            assert_eq!(bench.out().len(), 1, "{way:?}");
            bench.replace(&database, &options(&alert(110), way, emit));
            bench.fate(Fate::Delivered);
            assert_eq!(bench.out(), [] as [Value; 0], "{way:?}");
            bench.advance(0.5);
            assert_eq!(
                bench.out(),
                [json!({"g": "a", "s": 150.0})],
                "{way:?} {emit}"
            );
            bench.advance(60.0);
            assert_eq!(bench.out(), [] as [Value; 0], "{way:?} {emit}");
        }
    }
}

fn the_watermark_goes_on_link_by_link(place: &Place) {
    for way in ways() {
        let database = declared(&place.another());
        let made = |threshold| {
            let options = options(&alert(threshold), way, Emit::Enter);
            options.clock(TimeDomain::Event)
        };
        let mut bench = Bench::new(&database, made(100));
        bench.by("left", row("1", 100, "a", 150.0));
        bench.by("right", row("2", 20, "b", 150.0));
        assert_eq!(groups(&bench.out()), ["a", "b"], "{way:?}");
        bench.replace(&database, &made(140));
        // The other link has not come further.
        bench.by("right", row("3", 21, "c", 150.0));
        assert_eq!(bench.late(), [] as [Value; 0], "{way:?}");
        assert_eq!(groups(&bench.out()), ["c"], "{way:?}");
        bench.by("right", row("4", 19, "d", 150.0));
        assert_eq!(bench.late().len(), 1, "{way:?}");
    }
}

fn fewer_rows_are_the_last_ones_in_the_order_in_which_they_came(place: &Place) {
    let sum = "select sum(v) as s from things";
    for way in [
        (Plan::Requery, true),
        (Plan::Incremental, true),
        (Plan::Incremental, false),
    ] {
        let (plan, store) = way;
        let last = |rows| {
            let options = WindowOptions::new("things", sum, WindowKind::Count(rows));
            options.plan(plan).store(store)
        };
        let database = declared(&place.another());
        let mut bench = Bench::new(&database, last(4));
        for (key, value) in [("9", 1.0), ("1", 2.0), ("8", 4.0), ("2", 8.0), ("7", 16.0)] {
            bench.send(row(key, 0, "a", value));
        }
        assert_eq!(bench.out().last(), Some(&json!({"s": 30.0})), "{way:?}");
        bench.replace(&database, &last(3));
        bench.send(row("0", 0, "a", 32.0));
        assert_eq!(bench.out(), [json!({"s": 56.0})], "{way:?}");
        if store {
            assert_eq!(stored(&database), 3, "{way:?}");
        }
    }
}

fn what_a_successor_emits_is_remembered_over_a_restart(place: &Place) {
    if place.kind == Kind::Memory {
        return;
    }
    for plan in PLANS {
        for named in [true, false] {
            let place = place.another();
            let made = |threshold| {
                let options = options(&alert(threshold), (plan, true), Emit::Enter);
                if named { options.name("w") } else { options }
            };
            let database = declared(&place);
            let mut bench = Bench::new(&database, made(100));
            bench.send(row("1", 0, "a", 150.0));
            bench.replace(&database, &made(120));
            bench.send(row("2", 0, "b", 150.0));
            assert_eq!(groups(&bench.out()), ["a", "b"], "{plan}");
            bench.finish();
            drop(database);
            let database = declared(&place);
            let mut bench = Bench::new(&database, made(120));
            bench.send(row("3", 0, "c", 150.0));
            bench.send(row("4", 0, "a", 1.0));
            assert_eq!(groups(&bench.out()), ["c"], "{plan} {named}");
            assert_eq!(place.rows_in("tributary_emitted"), 3, "{plan} {named}");
        }
    }
}

/// A sink that does not open.
struct Broken;

impl Node for Broken {
    fn open(&mut self) -> Result<()> {
        Err(Error::data("broken"))
    }
}

impl Sink for Broken {
    fn write(&mut self, _: &Event, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_change_that_is_undone_leaves_the_window_as_it_was() {
    for way in ways() {
        let database = declared(&Place::memory());
        let mut bench = Bench::new(&database, options(&alert(100), way, Emit::Enter));
        bench.send(row("1", 0, "a", 150.0));
        bench.send(row("2", 0, "b", 90.0));
        bench.out();
        let window = Window::new(&database, &options(&alert(10), way, Emit::Changes)).unwrap();
        let refused = bench.simulation.change(|draft| {
            draft.replace("window", window)?;
            draft.replace("out", Broken)
        });
        assert!(refused.is_err(), "{way:?}");
        bench.advance(1.0);
        assert_eq!(groups(&bench.out()), [""; 0], "{way:?}");
        bench.send(row("3", 1, "a", 1.0));
        bench.send(row("4", 1, "b", 11.0));
        assert_eq!(groups(&bench.out()), ["b"], "{way:?}");
        bench.advance(10.0);
        bench.send(row("5", 11, "a", 101.0));
        assert_eq!(groups(&bench.out()), ["a"], "{way:?}");
    }
}

#[test]
fn a_window_of_its_last_rows_that_queries_them_is_replaced_by_another() {
    let database = declared(&Place::memory());
    let last = |rows| {
        let sql = "select sum(v) as s from things";
        let options = WindowOptions::new("things", sql, WindowKind::Count(rows));
        options.plan(Plan::Requery)
    };
    let mut bench = Bench::new(&database, last(3));
    bench.replace(&database, &last(2));
    bench.send(row("1", 0, "a", 1.0));
    assert_eq!(bench.out(), [json!({"s": 1.0})]);
    // Beside it there is none.
    let other = Window::new(&database, &last(1)).unwrap();
    let refused = bench.simulation.change(|draft| {
        draft.add_pipeline("other", other)?;
        draft.link("left", "other")
    });
    let error = refused.err().unwrap().to_string();
    assert!(
        error.contains("table \"things\" can't be shared"),
        "{error}"
    );
}

/// Why a window of some rows is not replaced by another one, unless the loss is accepted.
fn loss(before: &WindowOptions, after: &WindowOptions) -> Option<String> {
    let database = declared(&Place::memory());
    let mut bench = Bench::new(&database, before.clone());
    for key in 0..7 {
        bench.send(row(&key.to_string(), 0, "a", 1.0));
    }
    bench.advance(3.0);
    let made = || Window::new(&database, after).unwrap();
    let replaced = bench
        .simulation
        .change(|draft| draft.replace("window", made()));
    let error = replaced.err()?.to_string();
    // The old one goes on.
    bench.out();
    bench.send(row("more", 3, "a", 1.0));
    assert_eq!(bench.out().len(), 1);
    let mut accepting = made();
    accepting.accept_loss();
    bench
        .simulation
        .change(|draft| draft.replace("window", accepting))
        .unwrap();
    bench.send(row("and more", 3, "a", 1.0));
    assert_eq!(bench.out().len(), 1);
    Some(error)
}

#[test]
fn a_successor_that_lacks_rows_is_refused_unless_the_loss_is_accepted() {
    let sql = |aggregate: &str| format!("select g, {aggregate} as s from things group by g");
    let way = (Plan::Incremental, false);
    let unstored = options(&sql("sum(v)"), way, Emit::Touched);
    let stored = unstored.clone().store(true);
    let longer = |sql: &str, seconds| {
        let size = WindowKind::Sliding(std::time::Duration::from_secs(seconds));
        let options = WindowOptions::new("things", sql, size).time("t");
        options.emit(Emit::Touched)
    };
    let until = |error: Option<String>| {
        let error = error.unwrap();
        let (_, rest) = error.split_once("incomplete until ").expect(&error);
        rest.split_once(": ").unwrap().0.to_owned()
    };
    let same = [
        (unstored.clone(), unstored.clone()),
        (unstored.clone(), longer(&sql("sum(v)"), 5)),
        (stored.clone(), options(&sql("max(v)"), way, Emit::Touched)),
        (
            stored.clone(),
            options(&sql("sum(v)"), (Plan::Requery, true), Emit::Touched),
        ),
    ];
    for (before, after) in same {
        assert_eq!(loss(&before, &after), None);
    }
    // They come at 22:13:20.
    let max = options(&sql("max(v)"), way, Emit::Touched);
    assert_eq!(until(loss(&unstored, &max)), "2023-11-14T22:13:33Z");
    let requery = options(&sql("sum(v)"), (Plan::Requery, true), Emit::Touched);
    assert_eq!(until(loss(&unstored, &requery)), "2023-11-14T22:13:33Z");
    assert_eq!(until(loss(&unstored, &stored)), "2023-11-14T22:13:33Z");
    let hour = longer(&sql("sum(v)"), 3600);
    assert_eq!(until(loss(&stored, &hour)), "2023-11-14T23:13:13Z");
    assert_eq!(until(loss(&unstored, &hour)), "2023-11-14T23:13:13Z");
    let last = |rows| {
        let options = WindowOptions::new("things", sql("sum(v)"), WindowKind::Count(rows));
        options.plan(Plan::Incremental).emit(Emit::Touched)
    };
    let error = loss(&last(2), &last(5)).unwrap();
    assert!(error.contains("complete after 3 more rows"), "{error}");
}

/// How often each group is alerted while the window is replaced again and again under load.
fn alerts_under_load(
    place: &Place,
    (plan, store): (Plan, bool),
    emit: Emit,
) -> Result<Vec<(String, usize)>> {
    let database = declared(place);
    // No sum is between the two.
    let made = |time: u64| {
        let sql = alert(101 + time as i64 % 2);
        let size = WindowKind::Sliding(std::time::Duration::from_secs(1 << 40));
        let options = WindowOptions::new("things", sql, size).time("t");
        Window::new(&database, &options.plan(plan).store(store).emit(emit))
    };
    let network = Network::new();
    let (sender, rows) = source::channel();
    let seen: Arc<Mutex<Vec<Event>>> = Arc::default();
    network.add_source("in", rows)?;
    network.add_pipeline("window", made(0)?)?;
    network.add_sink("out", sink::collect(&seen))?;
    network.link("in", "window")?;
    network.link("window", "out")?;
    network.start()?;
    let feeding = std::thread::spawn(move || -> Result<()> {
        for number in 0..1_500 {
            let group = format!("g{}", number % 100);
            sender.send(row(&number.to_string(), 0, &group, 10.0))?;
        }
        Ok(())
    });
    let mut times = 0;
    while !feeding.is_finished() || times < 10 {
        times += 1;
        if network
            .change(|draft| draft.replace("window", made(times)?))
            .is_err()
        {
            // It has ended.
            break;
        }
    }
    feeding.join().expect("no panic")?;
    network.wait()?;
    let mut alerts: BTreeMap<String, usize> = BTreeMap::new();
    for event in seen.lock().expect("no panic").iter() {
        let group = event.payload().json()?["g"].as_str().map(str::to_owned);
        *alerts.entry(group.unwrap_or_default()).or_default() += 1;
    }
    Ok(alerts.into_iter().collect())
}

#[test]
fn no_alert_is_lost_or_repeated_while_the_threshold_changes_under_load() -> Result<()> {
    let mut expected: Vec<(String, usize)> = (0..100).map(|n| (format!("g{n}"), 1)).collect();
    expected.sort();
    for place in [Place::memory(), Place::file()] {
        for way in ways() {
            let alerts = alerts_under_load(&place.another(), way, Emit::Enter)?;
            assert_eq!(alerts, expected, "{way:?} {:?}", place.kind);
        }
    }
    Ok(())
}
