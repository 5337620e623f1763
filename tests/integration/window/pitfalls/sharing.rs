//! Pitfall 11: windows beside each other on one table.

use super::SUM;
use crate::support::databases::Place;
use crate::support::window_bench::{START, declared, row, sliding, stored, tumbling};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::pipeline::Forwarder;
use tributary::time::Timestamp;
use tributary::window::{CreateWindow, Emit, Plan, TimeDomain, Window, WindowKind, WindowOptions};
use tributary::{Database, Event, Network, Simulation, sink};

crate::over_all_databases! {
    pitfall_11_windows_that_end_keep_their_rows_from_others
    pitfall_11_windows_of_the_last_rows_share_a_table_by_their_state
    pitfall_11_what_others_insert_drives_out_what_is_not_among_the_last
    pitfall_11_a_table_that_is_asked_for_its_last_rows_is_not_shared
}

/// Windows side by side behind one node, in this order.
struct Beside {
    simulation: Simulation,
    out: Vec<Arc<Mutex<Vec<Event>>>>,
}

impl Beside {
    fn of(database: &Database, windows: &[WindowOptions]) -> Self {
        let network = Network::new();
        network.add_pipeline("in", Forwarder).unwrap();
        let mut all = Vec::new();
        for (number, options) in windows.iter().enumerate() {
            let out = Arc::default();
            let (window, sink) = (format!("window{number}"), format!("out{number}"));
            let made = Window::new(database, options).unwrap();
            network.add_pipeline(window.as_str(), made).unwrap();
            network
                .add_sink(sink.as_str(), sink::collect(&out))
                .unwrap();
            network.link("in", window.as_str()).unwrap();
            network.link(window.as_str(), sink.as_str()).unwrap();
            all.push(out);
        }
        Beside {
            simulation: network.simulate(Timestamp::from_secs(START)).unwrap(),
            out: all,
        }
    }

    /// A row of so many seconds after the beginning comes, then.
    fn send(&mut self, after: i64, v: f64) {
        self.simulation
            .advance_to(Timestamp::from_secs(START + after));
        let event = row(&format!("{after}:{v}"), after, "a", v);
        self.simulation.inject("in", event).unwrap();
    }

    /// The sums that a window has emitted since this was asked last.
    fn sums(&self, window: usize) -> Vec<Value> {
        let events = std::mem::take(&mut *self.out[window].lock().unwrap());
        let sum = |event: &Event| event.payload().json().unwrap()["s"].clone();
        events.iter().map(sum).collect()
    }
}

fn last(rows: usize) -> WindowOptions {
    WindowOptions::new("things", SUM, WindowKind::Count(rows)).emit(Emit::Touched)
}

fn pitfall_11_windows_that_end_keep_their_rows_from_others(place: &Place) {
    for clock in [TimeDomain::System, TimeDomain::Event] {
        for (plan, other) in [
            (Plan::Requery, Plan::Requery),
            (Plan::Requery, Plan::Incremental),
            (Plan::Incremental, Plan::Requery),
        ] {
            let database = declared(&place.another());
            let shorter = WindowKind::Sliding(Duration::from_secs(2));
            let shorter = WindowOptions::new("things", SUM, shorter).time("t");
            let ends = tumbling(SUM).plan(plan).clock(clock);
            let ends = match clock {
                TimeDomain::Event => ends.lateness(Duration::from_secs(2)),
                _ => ends,
            };
            // The short one comes first and evicts before the other one has ever ended a window.
            let windows = [shorter.plan(other).emit(Emit::Touched), ends];
            let mut beside = Beside::of(&database, &windows);
            for (after, v) in [(0, 1.0), (3, 2.0), (7, 4.0), (23, 8.0), (37, 16.0)] {
                beside.send(after, v);
            }
            assert_eq!(beside.sums(1), [7.0, 8.0], "{plan} {other} {clock:?}");
            assert_eq!(beside.sums(0), [1.0, 2.0, 4.0, 8.0, 16.0]);
        }
    }
}

fn pitfall_11_windows_of_the_last_rows_share_a_table_by_their_state(place: &Place) {
    let database = declared(&place.another());
    let minute = WindowKind::Sliding(Duration::from_secs(60));
    let by_time = WindowOptions::new("things", SUM, minute).time("t");
    let by_time = by_time.plan(Plan::Requery).emit(Emit::Touched);
    let mut beside = Beside::of(&database, &[last(2), last(3)]);
    for after in 0..5 {
        beside.send(after, f64::from(1 << after));
    }
    assert_eq!(beside.sums(0), [1.0, 3.0, 6.0, 12.0, 24.0]);
    assert_eq!(beside.sums(1), [1.0, 3.0, 7.0, 14.0, 28.0]);
    // The larger one decides what is deleted.
    assert_eq!(stored(&database), 3);
    drop(beside);

    let database = declared(&place.another());
    let mut beside = Beside::of(&database, &[last(2), by_time]);
    for (after, v) in [(0, 1.0), (1, 2.0), (2, 4.0), (61, 8.0)] {
        beside.send(after, v);
    }
    assert_eq!(beside.sums(0), [1.0, 3.0, 6.0, 12.0]);
    // What is old enough is deleted, not what is one of many.
    assert_eq!(beside.sums(1), [1.0, 3.0, 7.0, 14.0]);
    assert_eq!(stored(&database), 3);
}

fn pitfall_11_what_others_insert_drives_out_what_is_not_among_the_last(place: &Place) {
    for plan in [Plan::Requery, Plan::Incremental] {
        let database = declared(&place.another());
        let network = Network::new();
        let out: Arc<Mutex<Vec<Event>>> = Arc::default();
        let create = CreateWindow::new(&database, Some("things")).unwrap();
        let window = Window::new(&database, &last(2).plan(plan)).unwrap();
        network.add_pipeline("create", create).unwrap();
        network.add_pipeline("last", window).unwrap();
        network.add_sink("out", sink::collect(&out)).unwrap();
        network.link("create", "last").unwrap();
        network.link("last", "out").unwrap();
        let simulation = network.simulate(Timestamp::from_secs(START)).unwrap();
        let mut beside = Beside {
            simulation,
            out: vec![out],
        };
        for after in 0..5 {
            let event = row(&after.to_string(), after, "a", f64::from(1 << after));
            beside.simulation.inject("create", event).unwrap();
        }
        assert_eq!(beside.sums(0), [1.0, 3.0, 6.0, 12.0, 24.0], "{plan}");
        assert_eq!(stored(&database), 2, "{plan}");
    }
}

fn pitfall_11_a_table_that_is_asked_for_its_last_rows_is_not_shared(place: &Place) {
    let refused = |database: &Database, options: &WindowOptions| {
        let error = Window::new(database, options).err().unwrap();
        error.to_string()
    };
    let why = "table \"things\" can't be shared: a window asks it for its last 2 rows";
    let asks = last(2).plan(Plan::Requery);
    for other in [sliding(SUM), tumbling(SUM), last(2), last(5)] {
        let database = declared(&place.another());
        let window = Window::new(&database, &asks).unwrap();
        assert!(refused(&database, &other).contains(why));
        drop(window);
        // It is gone, and so is what it needed.
        let other = Window::new(&database, &other).unwrap();
        assert!(refused(&database, &asks).contains(why));
        drop(other);
        Window::new(&database, &asks).unwrap();
    }
}
