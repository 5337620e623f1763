//! A network of one window, for tests: what leaves it, port by port, and what becomes of that.
//!
//! What leaves by `out` is taken, fails, or is held without an outcome, as the test says.

use crate::support::databases::Place;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::source::{self, Sender};
use tributary::store::Params;
use tributary::time::Timestamp;
use tributary::window::{Plan, Window, WindowKind, WindowOptions};
use tributary::{Batch, Database, Error, Event, Network, Pipeline, Simulation, Stats, Table, sink};

/// Where virtual time begins: a multiple of 100 seconds.
pub const START: i64 = 1_700_000_000;

/// All plans, the reference first.
pub const PLANS: [Plan; 3] = [Plan::Requery, Plan::Keyed, Plan::Incremental];

/// Rows of a group, with a value and child rows.
fn rows() -> Table {
    Table::new("things")
        .text("k")
        .integer("t")
        .text("g")
        .real("v")
        .integer("n")
        .key("k")
        .child(
            "parts",
            Table::new("parts").text("thing").integer("w"),
            &[("thing", "k")],
        )
}

/// A database with the tables that the tests use.
pub fn declared(place: &Place) -> Database {
    let database = place.open();
    database.declare(rows()).unwrap();
    database
}

/// A window of ten seconds over it.
pub fn sliding(sql: &str) -> WindowOptions {
    WindowOptions::new("things", sql, WindowKind::Sliding(Duration::from_secs(10))).time("t")
}

/// A window that ends every ten seconds.
pub fn tumbling(sql: &str) -> WindowOptions {
    let size = Duration::from_secs(10);
    WindowOptions::new("things", sql, WindowKind::Hopping { size, slide: size }).time("t")
}

/// A row of a group, so many seconds after the beginning.
pub fn row(k: &str, after: i64, g: &str, v: f64) -> Value {
    json!({"k": k, "t": START + after, "g": g, "v": v})
}

/// What becomes of the window's emissions.
#[derive(Clone, Copy, Default, PartialEq)]
pub enum Fate {
    #[default]
    Delivered,
    Failed,
    /// Neither: the outcome is never told.
    Held,
}

#[derive(Default)]
struct Seen {
    out: Vec<Value>,
    late: Vec<Value>,
    errors: Vec<String>,
    fate: Fate,
    held: Vec<Event>,
}

/// A simulated network of one window, fed by the links `left` and `right`.
pub struct Bench {
    pub simulation: Simulation,
    seen: Arc<Mutex<Seen>>,
    /// They keep the sources open.
    _senders: [Sender; 2],
}

impl Bench {
    pub fn new(database: &Database, options: WindowOptions) -> Self {
        Bench::at(database, options, 0)
    }

    /// The same, which begins so many seconds later.
    pub fn at(database: &Database, options: WindowOptions, after: i64) -> Self {
        Bench::at_micros(database, options, after * 1_000_000)
    }

    /// The same, so many microseconds later.
    pub fn at_micros(database: &Database, options: WindowOptions, after: i64) -> Self {
        Bench::made(database, options, after, true)
    }

    /// The same, whose port `late` leads nowhere.
    pub fn without_late(database: &Database, options: WindowOptions) -> Self {
        Bench::made(database, options, 0, false)
    }

    fn made(database: &Database, options: WindowOptions, after: i64, late: bool) -> Self {
        Bench::through(Window::new(database, &options).unwrap(), after, late)
    }

    /// The same of what has a window in it.
    pub fn of(window: impl Pipeline + 'static) -> Self {
        Bench::through(window, 0, true)
    }

    fn through(window: impl Pipeline + 'static, after: i64, late: bool) -> Self {
        let network = Network::new();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (left, source) = source::channel();
        network.add_source("left", source).unwrap();
        let (right, source) = source::channel();
        network.add_source("right", source).unwrap();
        network.add_pipeline("window", window).unwrap();
        network.fanin("window", ["left", "right"]).unwrap();
        Bench::port(&network, "window", "out", &seen, |seen, event| {
            seen.out.push(value(event));
            match seen.fate {
                Fate::Delivered => return Ok(()),
                Fate::Failed => return Err(Error::data("this one fails")),
                Fate::Held => seen.held.push(event.clone()),
            }
            Ok(())
        });
        if late {
            Bench::port(&network, "window.late", "late", &seen, |seen, event| {
                seen.late.push(value(event));
                Ok(())
            });
        }
        Bench::port(&network, "window.errors", "errors", &seen, |seen, event| {
            let why = event.meta().get("error").and_then(Value::as_str);
            seen.errors.push(why.unwrap_or_default().to_owned());
            Ok(())
        });
        let start = Timestamp::from_micros(START * 1_000_000 + after);
        Bench {
            simulation: network.simulate(start).unwrap(),
            seen,
            _senders: [left, right],
        }
    }

    fn port(
        network: &Network,
        from: &str,
        name: &str,
        seen: &Arc<Mutex<Seen>>,
        take: fn(&mut Seen, &Event) -> tributary::Result<()>,
    ) {
        let seen = seen.clone();
        let sink = sink::handler(move |event| take(&mut seen.lock().unwrap(), event));
        network.add_sink(name, sink).unwrap();
        network.link(from, name).unwrap();
    }

    pub fn send(&mut self, event: Value) {
        self.by("left", event);
    }

    pub fn by(&mut self, link: &str, event: Value) {
        self.simulation.inject(link, event).unwrap();
    }

    /// Sends events as one batch.
    pub fn send_all(&mut self, events: Vec<Value>) {
        let now = self.simulation.now();
        let batch = Batch::from_iter(events.into_iter().map(|event| Event::new(event, now)));
        self.simulation.inject_batch("left", batch).unwrap();
    }

    /// Replaces the window by one with these options.
    pub fn replace(&mut self, database: &Database, options: &WindowOptions) {
        let window = Window::new(database, options).unwrap();
        let replaced = self
            .simulation
            .change(|draft| draft.replace("window", window));
        replaced.unwrap();
    }

    pub fn advance(&mut self, seconds: f64) {
        self.simulation.advance(Duration::from_secs_f64(seconds));
    }

    /// Sets the clock, to so many seconds after the beginning.
    pub fn set_clock(&mut self, after: i64) {
        self.simulation
            .set_clock(Timestamp::from_secs(START + after));
    }

    /// From now on this becomes of what the window emits.
    pub fn fate(&self, fate: Fate) {
        self.seen.lock().unwrap().fate = fate;
    }

    /// What has left by `out` since this was asked last.
    pub fn out(&self) -> Vec<Value> {
        std::mem::take(&mut self.seen.lock().unwrap().out)
    }

    /// What was too late since this was asked last.
    pub fn late(&self) -> Vec<Value> {
        std::mem::take(&mut self.seen.lock().unwrap().late)
    }

    /// Why events were rejected since this was asked last.
    pub fn errors(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap().errors)
    }

    /// Ends the network in good order; gives what has left meanwhile, and the account.
    pub fn finish(self) -> (Vec<Value>, Stats) {
        let stats = self.simulation.finish().unwrap();
        let out = std::mem::take(&mut self.seen.lock().unwrap().out);
        (out, stats)
    }
}

fn value(event: &Event) -> Value {
    event.payload().json().unwrap().clone()
}

/// What the database answers past the window.
pub fn ask(database: &Database, sql: &str) -> Map<String, Value> {
    let mut store = database.connect().unwrap();
    let query = database.prepare(sql).unwrap();
    let params = Params {
        now: Timestamp::EPOCH,
        event: None,
    };
    store.query(&query, &params).unwrap().remove(0)
}

/// How many rows are stored.
pub fn stored(database: &Database) -> i64 {
    let answer = ask(database, "select count(*) as n from things");
    answer["n"].as_i64().unwrap()
}
