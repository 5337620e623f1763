//! Pitfall 14 for sessions: what has ended stays so when the state is rebuilt from the table.

use crate::support::databases::Place;
use crate::support::window_bench::{Bench, Fate, START, declared, row, stored};
use serde_json::Value;
use std::time::Duration;
use tributary::Database;
use tributary::time::Timestamp;
use tributary::window::{Emit, TimeDomain, WindowKind, WindowOptions};

crate::over_all_databases! {
    pitfall_14_a_session_that_has_ended_is_not_joined_after_a_restart
    pitfall_14_a_session_that_has_ended_is_not_joined_when_the_table_is_read_again
    pitfall_14_overlapping_sessions_not_emitted_before_a_kill_are_emitted_apart_after_it
    pitfall_14_what_keeps_sessions_apart_goes_with_their_rows
    pitfall_12_a_session_that_has_ended_stays_so_when_the_clock_is_set_back
}

const SQL: &str = "select :window_start % 100 as begins, :window_end % 100 as ends, g, \
                   count(*) as n, sum(v) as s from things group by g";

fn sessions(emit: Emit, clock: TimeDomain) -> WindowOptions {
    let gap = WindowKind::Session(Duration::from_secs(10));
    let options = WindowOptions::new("things", SQL, gap).time("t");
    options.emit(emit).clock(clock).store(true).name("sessions")
}

fn bench(database: &Database, emit: Emit, clock: TimeDomain, at: i64) -> Bench {
    let mut bench = Bench::at(database, sessions(emit, clock), at);
    bench.simulation.end_source("right").unwrap();
    bench
}

/// A session of `a` ends while one of `b` is open; then a row of `a` comes that would have joined
/// it, but is in time for a session of its own.
const BEFORE: [(i64, &str, i64, &str, f64); 6] = [
    (0, "b1", 0, "b", 100.0),
    (5, "a1", 2, "a", 1.0),
    (5, "a2", 5, "a", 2.0),
    (9, "b2", 9, "b", 100.0),
    (16, "b3", 16, "b", 100.0),
    (16, "a3", 7, "a", 4.0),
];

/// That one goes on and ends, and a third one overlaps with it.
const AFTER: [(i64, &str, i64, &str, f64); 5] = [
    (16, "a4", 8, "a", 8.0),
    (19, "b4", 19, "b", 100.0),
    (19, "a5", 11, "a", 16.0),
    (60, "b5", 60, "b", 1.0),
    (90, "c1", 90, "c", 1.0),
];

fn send(bench: &mut Bench, rows: &[(i64, &str, i64, &str, f64)]) {
    for (now, key, after, group, value) in rows {
        bench
            .simulation
            .advance_to(Timestamp::from_secs(START + now));
        bench.send(row(key, *after, group, *value));
    }
}

/// What the windows say: of `a` alone, since the rest goes on through all of it.
fn of_a(out: Vec<Value>) -> Vec<[i64; 4]> {
    let of_a = out.into_iter().filter(|row| row["g"] == "a");
    let number = |value: &Value| value.as_f64().unwrap() as i64;
    let shown = |row: Value| ["begins", "ends", "n", "s"].map(|name| number(&row[name]));
    of_a.map(shown).collect()
}

/// All that is emitted for both halves of the stream, with something done between them.
fn both(
    place: &Place,
    (emit, clock): (Emit, TimeDomain),
    between: impl Fn(Bench, &Database) -> Bench,
) -> Vec<[i64; 4]> {
    let database = declared(place);
    let mut bench = bench(&database, emit, clock, 0);
    send(&mut bench, &BEFORE);
    let mut out = of_a(bench.out());
    let mut bench = between(bench, &database);
    send(&mut bench, &AFTER);
    out.extend(of_a(bench.out()));
    assert_eq!(bench.errors(), [] as [String; 0]);
    out
}

/// What is to be emitted, whatever is done: nothing is joined that was live apart.
fn right(emit: Emit) -> Vec<[i64; 4]> {
    match emit {
        Emit::Close => vec![[2, 15, 2, 3], [7, 18, 2, 12], [11, 21, 1, 16]],
        _ => vec![
            [2, 12, 1, 1],
            [2, 15, 2, 3],
            [7, 17, 1, 4],
            [7, 18, 2, 12],
            [11, 21, 1, 16],
        ],
    }
}

const MODES: [(Emit, TimeDomain); 4] = [
    (Emit::Close, TimeDomain::Event),
    (Emit::Touched, TimeDomain::Event),
    (Emit::Close, TimeDomain::System),
    (Emit::Touched, TimeDomain::System),
];

fn pitfall_14_a_session_that_has_ended_is_not_joined_after_a_restart(place: &Place) {
    for (emit, clock) in MODES {
        let without = both(&place.another(), (emit, clock), |bench, _| bench);
        assert_eq!(without, right(emit), "{emit} {clock:?}");
        if !place.stays() {
            continue;
        }
        let place = place.another();
        let with = both(&place, (emit, clock), |first, _| {
            let (emitted, _) = first.finish();
            assert_eq!(emitted, [] as [Value; 0]);
            // Twice: what was kept apart once stays so.
            let (emitted, _) = bench(&declared(&place), emit, clock, 16).finish();
            assert_eq!(emitted, [] as [Value; 0]);
            bench(&declared(&place), emit, clock, 16)
        });
        assert_eq!(with, right(emit), "{emit} {clock:?}");
    }
}

fn pitfall_14_a_session_that_has_ended_is_not_joined_when_the_table_is_read_again(place: &Place) {
    for (emit, clock) in MODES {
        let emitted = both(&place.another(), (emit, clock), |bench, database| {
            let things = database.table("things").unwrap();
            let by_hand = row("by hand", 16, "b", 0.0);
            let mut store = database.connect().unwrap();
            store.insert(&things, by_hand.as_object().unwrap()).unwrap();
            bench
        });
        assert_eq!(emitted, right(emit), "{emit} {clock:?}");
    }
}

fn pitfall_14_overlapping_sessions_not_emitted_before_a_kill_are_emitted_apart_after_it(
    place: &Place,
) {
    if !place.stays() {
        return;
    }
    for clock in [TimeDomain::Event, TimeDomain::System] {
        let place = place.another();
        let database = declared(&place);
        let mut held = bench(&database, Emit::Close, clock, 0);
        held.fate(Fate::Held);
        send(&mut held, &BEFORE);
        send(&mut held, &AFTER[..3]);
        let right = [[2, 15, 2, 3], [7, 18, 2, 12], [11, 21, 1, 16]];
        assert_eq!(of_a(held.out()), right[..2], "{clock:?}");
        drop((held, database));
        let database = declared(&place);
        let mut after = bench(&database, Emit::Close, clock, 19);
        send(&mut after, &AFTER[3..]);
        assert_eq!(of_a(after.out()), right, "{clock:?}");
    }
}

fn pitfall_14_what_keeps_sessions_apart_goes_with_their_rows(place: &Place) {
    if !place.stays() {
        return;
    }
    for (emit, clock) in MODES {
        let place = place.another();
        let database = declared(&place);
        let mut bench = bench(&database, emit, clock, 0);
        let kept = || place.rows_in("tributary_emitted where identity like 'cut%'");
        send(&mut bench, &BEFORE);
        assert_eq!((kept(), stored(&database)), (1, 6), "{emit} {clock:?}");
        send(&mut bench, &AFTER);
        for after in [120, 150] {
            send(&mut bench, &[(after, &after.to_string(), after, "c", 1.0)]);
        }
        assert_eq!(kept(), 0, "{emit} {clock:?}");
    }
}

fn pitfall_12_a_session_that_has_ended_stays_so_when_the_clock_is_set_back(place: &Place) {
    for restarts in [false, true] {
        if restarts && !place.stays() {
            continue;
        }
        let place = place.another();
        let database = declared(&place);
        let mut bench = bench(&database, Emit::Close, TimeDomain::System, 0);
        send(
            &mut bench,
            &[(2, "a1", 2, "a", 1.0), (13, "b1", 5, "b", 100.0)],
        );
        assert_eq!(of_a(bench.out()), [[2, 12, 1, 1]]);
        if restarts {
            bench.finish();
            bench = super::sessions::bench(&declared(&place), Emit::Close, TimeDomain::System, 4);
        }
        bench.set_clock(4);
        // One that would be in time by the clock, but end when others have; and one that would not.
        bench.send(row("a2", 2, "a", 2.0));
        bench.send(row("a3", 3, "a", 4.0));
        assert_eq!(bench.late(), [row("a2", 2, "a", 2.0)], "{restarts}");
        bench.advance(20.0);
        assert_eq!(of_a(bench.out()), [[3, 13, 1, 4]], "{restarts}");
    }
}
