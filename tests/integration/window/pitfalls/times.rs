//! Pitfall 15: times with a fraction, next to the boundaries of windows. Which rows are in a window
//! is the same to the state and to the database, under either clock.

use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{Bench, PLANS, START};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tributary::time::Timestamp;
use tributary::window::{Emit, Plan, TimeDomain, Window, WindowKind, WindowOptions};
use tributary::{Database, Table};

crate::over_all_databases! {
    pitfall_15_a_time_next_to_a_boundary_is_in_exactly_one_tumbling_window
    pitfall_15_a_time_next_to_a_boundary_is_in_as_many_hopping_windows_as_any_other
    pitfall_15_a_sliding_window_holds_the_rows_of_its_size_to_the_microsecond
    pitfall_15_a_bound_of_the_query_is_the_same_to_every_plan
    pitfall_15_a_bound_with_a_fraction_is_the_same_to_every_plan_over_whole_seconds
    pitfall_15_a_bound_from_above_that_moves_is_the_same_to_every_plan
    pitfall_15_what_leaves_a_window_is_deleted_to_the_microsecond
    pitfall_15_a_time_beyond_what_is_counted_is_refused
}

fn declared(place: &Place) -> Database {
    let database = place.open();
    let readings = Table::new("readings").text("k").real("at").integer("t");
    database.declare(readings.key("k")).unwrap();
    database
}

/// The instant of a time, as it is documented: rounded to the microsecond.
fn micros(at: f64) -> i64 {
    (at * 1e6).round() as i64
}

/// Doubles around an instant: some steps of a double away, and some of half a microsecond.
fn near(micros: i64) -> Vec<f64> {
    let exact = micros as f64 / 1e6;
    let mut near = vec![exact, exact.next_up(), exact.next_down()];
    for half in [-2.0, -1.0, 1.0, 2.0] {
        let off = (micros as f64 + half / 2.0) / 1e6;
        near.extend([off, off.next_up(), off.next_down()]);
    }
    near
}

/// Times around the boundaries of windows that begin every `slide`, in three windows from a base on;
/// with sums of tenths, which are next to a boundary by themselves.
fn times(base: i64, slide: i64) -> Vec<f64> {
    let first = base.div_euclid(slide) * slide;
    let mut times: Vec<f64> = (0..4).flat_map(|step| near(first + step * slide)).collect();
    let mut tenths = first as f64 / 1e6;
    for _ in 0..31 {
        times.push(tenths);
        tenths += 0.1;
    }
    times
}

const SECOND: i64 = 1_000_000;
/// From when on: with negative times, and such as a double cannot have to the microsecond.
const BASES: [i64; 5] = [
    0,
    -5 * SECOND,
    START * SECOND + 700_000,
    -START * SECOND,
    20_000_000_000 * SECOND,
];

fn bases(place: &Place) -> Vec<i64> {
    let bases = match place.kind {
        Kind::Memory => BASES.len(),
        Kind::File | Kind::Mariadb => 3,
    };
    BASES[BASES.len() - bases..].to_vec()
}

/// What the window emits of these rows, after all windows have ended.
fn emitted(
    database: &Database,
    options: WindowOptions,
    times: &[f64],
    clock: TimeDomain,
) -> Vec<Value> {
    let least = times.iter().map(|at| micros(*at)).min().unwrap() - 60 * SECOND;
    let most = times.iter().map(|at| micros(*at)).max().unwrap();
    let options = match clock {
        TimeDomain::Event => options.clock(clock).lateness(Duration::from_secs(3_600)),
        _ => options,
    };
    let mut bench = Bench::at_micros(database, options, least - START * SECOND);
    bench.simulation.end_source("right").unwrap();
    for (number, at) in times.iter().enumerate() {
        bench.send(json!({"k": number.to_string(), "at": at, "t": 0}));
    }
    if clock == TimeDomain::Event {
        let after = (most + 7_200 * SECOND) as f64 / 1e6;
        bench.send(json!({"k": "last", "at": after, "t": 0}));
    } else {
        let after = Timestamp::from_micros(most + 600 * SECOND);
        bench.simulation.advance_to(after);
    }
    assert_eq!(bench.errors(), [] as [String; 0]);
    assert_eq!(bench.late(), [] as [Value; 0]);
    bench.out()
}

/// The windows that each row is in, by its number.
fn windows(emitted: &[Value]) -> BTreeMap<usize, Vec<i64>> {
    let mut windows: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for row in emitted {
        let Ok(number) = row["k"].as_str().unwrap().parse() else {
            continue;
        };
        assert_eq!(row["n"], 1, "{row}");
        let start = micros(row["s"].as_f64().unwrap());
        windows.entry(number).or_default().push(start);
    }
    for starts in windows.values_mut() {
        starts.sort_unstable();
    }
    windows
}

const EACH: &str = "select k, :window_start as s, count(*) as n from readings group by k";

/// Every plan and mode that serves, under both clocks.
fn each_way(
    place: &Place,
    extent: WindowKind,
    mut test: impl FnMut(&Database, WindowOptions, TimeDomain),
) {
    for clock in [TimeDomain::System, TimeDomain::Event] {
        for (plan, emit) in [
            (Plan::Requery, Emit::Close),
            (Plan::Requery, Emit::Touched),
            (Plan::Keyed, Emit::Touched),
            (Plan::Incremental, Emit::Close),
            (Plan::Incremental, Emit::Touched),
        ] {
            let options = WindowOptions::new("readings", EACH, extent).time("at");
            let options = options.plan(plan).emit(emit);
            test(&declared(&place.another()), options, clock);
        }
    }
}

fn pitfall_15_a_time_next_to_a_boundary_is_in_exactly_one_tumbling_window(place: &Place) {
    // Where a row costs more, what is next to a boundary by itself will do.
    let slides: &[i64] = match place.kind {
        Kind::Memory => &[SECOND, SECOND / 10, 7 * SECOND],
        Kind::File | Kind::Mariadb => &[SECOND],
    };
    for slide in slides.iter().copied() {
        let size = Duration::from_micros(slide as u64);
        for base in bases(place) {
            let times = times(base, slide);
            each_way(
                place,
                WindowKind::Hopping { size, slide: size },
                |database, options, clock| {
                    let windows = windows(&emitted(database, options.clone(), &times, clock));
                    for (number, at) in times.iter().enumerate() {
                        let right = micros(*at).div_euclid(slide) * slide;
                        // Seconds as doubles: the start of a window that is far away is rounded too.
                        let right = micros(right as f64 / 1e6);
                        let ours = windows.get(&number).map(Vec::as_slice);
                        assert_eq!(
                            ours,
                            Some(&[right][..]),
                            "{at:?}, every {slide}: {options:?}"
                        );
                    }
                },
            );
        }
    }
}

fn pitfall_15_a_time_next_to_a_boundary_is_in_as_many_hopping_windows_as_any_other(place: &Place) {
    let (size, slide) = (3 * SECOND / 10, SECOND / 10);
    let extent = WindowKind::Hopping {
        size: Duration::from_micros(size as u64),
        slide: Duration::from_micros(slide as u64),
    };
    for base in bases(place) {
        let times = times(base, slide);
        each_way(place, extent, |database, options, clock| {
            let windows = windows(&emitted(database, options.clone(), &times, clock));
            for (number, at) in times.iter().enumerate() {
                let last = micros(*at).div_euclid(slide) * slide;
                let right = [2, 1, 0].map(|back| micros((last - back * slide) as f64 / 1e6));
                let ours = windows.get(&number).map(Vec::as_slice);
                assert_eq!(ours, Some(&right[..]), "{at:?}: {options:?}");
            }
        });
    }
}

/// How many rows the window has after each of these events, under each plan that serves.
fn counts(place: &Place, options: &WindowOptions, events: &[Value], clock: i64) -> Vec<Vec<i64>> {
    let mut counts = Vec::new();
    for plan in PLANS {
        let database = declared(&place.another());
        let options = options.clone().emit(Emit::Touched).plan(plan);
        if Window::new(&database, &options).is_err() {
            continue;
        }
        let mut bench = Bench::at_micros(&database, options, clock - START * SECOND);
        bench.simulation.end_source("right").unwrap();
        let counted = events.iter().map(|event| {
            bench.send(event.clone());
            let out = bench.out();
            out.first().map_or(0, |row| row["n"].as_i64().unwrap())
        });
        counts.push(counted.collect());
        assert_eq!(bench.errors(), [] as [String; 0]);
    }
    counts
}

/// Rows with these times, of one group.
fn rows(times: &[f64]) -> Vec<Value> {
    let row = |(number, at): (usize, &f64)| json!({"k": number.to_string(), "at": at, "t": 1});
    times.iter().enumerate().map(row).collect()
}

/// Checks the counts against those of the rows that are in the window by a condition.
fn agree(
    place: &Place,
    options: &WindowOptions,
    (times, now): (&[f64], i64),
    is_in: impl Fn(i64) -> bool,
) {
    let mut there = 0;
    let right: Vec<i64> = times
        .iter()
        .map(|at| {
            there += i64::from(is_in(micros(*at)));
            there
        })
        .collect();
    let counts = counts(place, options, &rows(times), now);
    assert!(counts.len() > 1, "{options:?}");
    for counts in counts {
        assert_eq!(counts, right, "{options:?}: {times:?} at {now}");
    }
}

const COUNT: &str = "select t, count(*) as n from readings group by t";

fn pitfall_15_a_sliding_window_holds_the_rows_of_its_size_to_the_microsecond(place: &Place) {
    for size in [SECOND, SECOND / 10, 1_100_000] {
        for now in [START * SECOND + 950_000, START * SECOND, 3_950_000] {
            let times = near(now - size);
            let extent = WindowKind::Sliding(Duration::from_micros(size as u64));
            let options = WindowOptions::new("readings", COUNT, extent).time("at");
            agree(place, &options, (&times, now), |at| at >= now - size);
        }
    }
}

fn pitfall_15_a_bound_of_the_query_is_the_same_to_every_plan(place: &Place) {
    let now = START * SECOND + 950_000;
    let whole = START * SECOND;
    for (condition, edge) in [
        ("at > :now - 1.1", now - 1_100_000 + 1),
        ("at >= :now - 1.1", now - 1_100_000),
        (":now - at < 0.3", now - 300_000 + 1),
        ("at + 0.7 >= :now", now - 700_000),
        ("at >= unix_timestamp() - 2", whole - 2_000_000),
        (
            "from_unixtime(at) >= now() - interval 2 second",
            whole - 2_000_000,
        ),
        (
            "from_unixtime(at) > now() - interval 2 second",
            whole - 2_000_000 + 1,
        ),
        ("at >= :window_start", now - 20_000_000),
    ] {
        let sql = format!("select t, count(*) as n from readings where {condition} group by t");
        let extent = WindowKind::Sliding(Duration::from_secs(20));
        let options = WindowOptions::new("readings", sql, extent).time("at");
        let times: Vec<f64> = near(edge).into_iter().chain(near(now)).collect();
        agree(place, &options, (&times, now), |at| at >= edge);
    }
}

/// `:now - 0.3` is rounded, and a time in whole seconds may be next to it.
fn pitfall_15_a_bound_with_a_fraction_is_the_same_to_every_plan_over_whole_seconds(place: &Place) {
    for fraction in 1..10 {
        let now = START * SECOND + fraction * 100_000;
        for strict in [true, false] {
            let sign = if strict { ">" } else { ">=" };
            let sql = format!(
                "select g, count(*) as n from events where t {sign} :now - 2.{fraction} group by g"
            );
            for plan in PLANS {
                let place = place.another();
                let database = place.open();
                let events = Table::new("events").text("k").integer("t").text("g");
                database.declare(events.key("k")).unwrap();
                let extent = WindowKind::Sliding(Duration::from_secs(20));
                let options = WindowOptions::new("events", &sql, extent).time("t");
                let options = options.emit(Emit::Touched).plan(plan);
                let mut bench = Bench::at_micros(&database, options, now - START * SECOND);
                bench.send(json!({"k": "1", "t": START - 2, "g": "a"}));
                bench.send(json!({"k": "2", "t": START - 1, "g": "a"}));
                let last = bench.out().pop().unwrap();
                assert_eq!(last["n"], if strict { 1 } else { 2 }, "{plan}: {sql}");
            }
        }
    }
}

/// Rows that are too new for the query now are in the window later, without another row.
fn pitfall_15_a_bound_from_above_that_moves_is_the_same_to_every_plan(place: &Place) {
    for column in ["at", "t"] {
        let sql =
            format!("select count(*) as n from readings where {column} < :window_end and k >= '0'");
        let mut answers = Vec::new();
        for plan in [None].into_iter().chain(PLANS.map(Some)) {
            let database = declared(&place.another());
            let extent = WindowKind::Sliding(Duration::from_secs(20));
            let mut options = WindowOptions::new("readings", &sql, extent).time(column);
            options = options.emit(Emit::All);
            if let Some(plan) = plan {
                options = options.plan(plan);
            }
            if Window::new(&database, &options).is_err() {
                continue;
            }
            let mut bench = Bench::at_micros(&database, options, 500_000);
            for (number, after) in [0, 1, 3].into_iter().enumerate() {
                let at = START + after;
                bench.send(json!({"k": number.to_string(), "at": at as f64, "t": at}));
            }
            bench.advance(2.0);
            bench.send(json!({"k": "3", "at": START as f64, "t": START}));
            answers.push(bench.out());
        }
        assert!(answers.len() > 1, "{column}");
        let counts: Vec<i64> = answers[0]
            .iter()
            .filter_map(|row| row["n"].as_i64())
            .collect();
        assert_eq!(counts, [1, 1, 1, 3], "{column}");
        assert!(
            answers.iter().all(|other| *other == answers[0]),
            "{answers:?}"
        );
    }
}

fn pitfall_15_what_leaves_a_window_is_deleted_to_the_microsecond(place: &Place) {
    let now = START * SECOND + 950_000;
    for at in near(now - SECOND) {
        let database = declared(&place.another());
        let extent = WindowKind::Sliding(Duration::from_secs(1));
        let options = WindowOptions::new("readings", COUNT, extent).time("at");
        let options = options.plan(Plan::Requery);
        let mut bench = Bench::at_micros(&database, options, now - START * SECOND - 500_000);
        bench.send(json!({"k": "a", "at": at, "t": 1}));
        bench.advance(0.5);
        let sql = "select count(*) as n from readings";
        let there = crate::support::window_bench::ask(&database, sql)["n"].as_i64();
        assert_eq!(there, Some(i64::from(micros(at) >= now - SECOND)), "{at:?}");
    }
}

/// Milliseconds, microseconds and nanoseconds where seconds are meant.
fn pitfall_15_a_time_beyond_what_is_counted_is_refused(place: &Place) {
    let size = Duration::from_secs(10);
    for (extent, clock) in [
        (WindowKind::Hopping { size, slide: size }, TimeDomain::Event),
        (WindowKind::Sliding(size), TimeDomain::System),
    ] {
        let database = declared(&place.another());
        let options = WindowOptions::new("readings", COUNT, extent).time("at");
        let mut bench = Bench::new(&database, options.clock(clock));
        let times = [START as f64 * 1e6, START as f64 * 1e9, -1e300];
        for (number, at) in times.into_iter().enumerate() {
            bench.send(json!({"k": number.to_string(), "at": at, "t": 1}));
            let right = format!("readings.at is {at} s, outside the supported range of times");
            let errors = bench.errors();
            assert!(
                errors.len() == 1 && errors[0].starts_with(&right),
                "{errors:?}"
            );
        }
        // What is refused moves no clock and leaves no row.
        bench.send(json!({"k": "good", "at": START, "t": 1}));
        assert_eq!(bench.late(), [] as [Value; 0]);
        let sql = "select count(*) as n from readings";
        if place.stays() {
            assert_eq!(crate::support::window_bench::ask(&database, sql)["n"], 1);
        }
    }
}
