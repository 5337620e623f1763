//! One case through one plan: the same network over a database of its own.

use super::case::{Case, Op, Record};
use super::query::Order;
use crate::support::databases::Place;
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use tributary::pipeline::Forwarder;
use tributary::time::Timestamp;
use tributary::window::{Emit, Plan, Window};
use tributary::{Batch, Database, Error, Event, Network, Simulation, Table, sink};

pub const START: i64 = 1_700_000_000;

/// How a case is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    pub plan: Plan,
    /// Whether rows are stored also where nobody reads them.
    pub store: bool,
    /// On which share of the events the answer is compared with that of the query.
    pub verify: f64,
    /// Whether the database is closed and opened again where the case says so.
    pub restarts: bool,
    /// Whether the window is replaced by its like, before two of the steps.
    pub replaces: bool,
}

/// What a step has made leave the window, port by port.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Left {
    /// The answer, with what became of each row.
    pub out: Vec<(Value, bool)>,
    pub late: Vec<Value>,
    pub errors: Vec<Value>,
}

/// What leaves, and which of it fails.
#[derive(Default)]
struct Sunk {
    left: Left,
    step: u64,
}

fn table(real: bool) -> Table {
    let table = Table::new("events").text("k");
    let table = if real {
        table.real("t")
    } else {
        table.integer("t")
    };
    table
        .text("a")
        .integer("b")
        .integer("n")
        .real("v")
        .key("k")
        .child(
            "parts",
            Table::new("parts").text("event").integer("g").real("w"),
            &[("event", "k")],
        )
}

/// Whether an emission fails: by what it says and the step, so that it does for each plan.
fn fails(case: &Case, row: &Value, step: u64) -> bool {
    let mut hasher = DefaultHasher::new();
    (case.salt, step).hash(&mut hasher);
    if let Some(row) = row.as_object() {
        for value in row.values() {
            match value {
                // What is rounded off is no difference.
                Value::Number(number) => {
                    ((number.as_f64().unwrap_or(0.0) * 1e4).round() as i64).hash(&mut hasher);
                }
                other => other.to_string().hash(&mut hasher),
            }
        }
    }
    hasher.finish() % 10 < case.failing
}

/// A network of one window, fed by two links.
struct Bench<'a> {
    case: &'a Case,
    database: Database,
    simulation: Simulation,
    sunk: Arc<Mutex<Sunk>>,
    sent: Vec<(Value, bool)>,
    /// How many events were made.
    made: usize,
}

/// Runs a case: what has left after each step. `None` where the plan is refused, with the reason.
pub fn run(case: &Case, way: Way, place: &Place) -> Result<Vec<Left>, String> {
    let mut bench = Bench::new(case, way, place)?;
    let mut steps = vec![bench.taken()];
    for (step, op) in case.ops.iter().enumerate() {
        if way.restarts && case.restart == Some(step) {
            bench = bench.restarted(way, place)?;
        }
        if way.replaces && case.replaced_before(step) {
            bench.replace(way, place);
        }
        bench.sunk.lock().unwrap().step += 1;
        bench.does(op);
        steps.push(bench.taken());
    }
    let Bench {
        simulation, sunk, ..
    } = bench;
    finish(simulation);
    // What is on disk goes on after a restart, so it isn't closed.
    if !place.stays() {
        steps.push(std::mem::take(&mut sunk.lock().unwrap().left));
    }
    Ok(steps)
}

/// The network of a case over a place, from an instant on. An error where the plan is refused.
fn simulate(
    case: &Case,
    way: Way,
    place: &Place,
    sunk: &Arc<Mutex<Sunk>>,
    start: Timestamp,
) -> Result<(Database, Simulation), String> {
    let database = open(case, place);
    let window = window(case, way, &database)?;
    let network = Network::new();
    network.add_pipeline("left", Forwarder).unwrap();
    network.add_pipeline("right", Forwarder).unwrap();
    network.add_pipeline("window", window).unwrap();
    let (to, of) = (sunk.clone(), case.clone());
    let out = sink::handler(move |event| {
        let mut sunk = to.lock().unwrap();
        let row = event.payload().json()?.clone();
        let fails = fails(&of, &row, sunk.step);
        sunk.left.out.push((row, fails));
        if fails {
            Err(Error::data("this one fails"))
        } else {
            Ok(())
        }
    });
    network.add_sink("out", out).unwrap();
    let to = sunk.clone();
    let late = sink::handler(move |event| {
        to.lock()
            .unwrap()
            .left
            .late
            .push(event.payload().json()?.clone());
        Ok(())
    });
    network.add_sink("late", late).unwrap();
    let to = sunk.clone();
    let errors = sink::handler(move |event| {
        to.lock()
            .unwrap()
            .left
            .errors
            .push(event.payload().json()?.clone());
        Ok(())
    });
    network.add_sink("errors", errors).unwrap();
    network.fanin("window", ["left", "right"]).unwrap();
    network.link("window", "out").unwrap();
    network.link("window.late", "late").unwrap();
    network.link("window.errors", "errors").unwrap();
    Ok((database, network.simulate(start).unwrap()))
}

fn open(case: &Case, place: &Place) -> Database {
    let database = place.open();
    database.declare(table(case.real)).unwrap();
    database
}

fn window(case: &Case, way: Way, database: &Database) -> Result<Window, String> {
    let options = case
        .options()
        .plan(way.plan)
        .store(way.store)
        .verify(way.verify);
    Window::new(database, &options).map_err(|error| error.to_string())
}

fn finish(simulation: Simulation) {
    let end = simulation.finish();
    assert!(end.is_ok(), "{:?}", end.err());
}

impl<'a> Bench<'a> {
    fn new(case: &'a Case, way: Way, place: &Place) -> Result<Self, String> {
        let sunk = Arc::default();
        let start = Timestamp::from_secs(START);
        let (database, simulation) = simulate(case, way, place, &sunk, start)?;
        Ok(Bench {
            case,
            database,
            simulation,
            sunk,
            sent: Vec::new(),
            made: 0,
        })
    }

    /// The same after a stop and a start on the same place.
    fn restarted(self, way: Way, place: &Place) -> Result<Self, String> {
        let now = self.simulation.now();
        finish(self.simulation);
        let (database, simulation) = simulate(self.case, way, place, &self.sunk, now)?;
        Ok(Bench {
            database,
            simulation,
            ..self
        })
    }

    /// Replaces the window by its like, over the same handle of the database or, where it stays, another one.
    fn replace(&mut self, way: Way, place: &Place) {
        let other = place.stays() && self.case.salt.is_multiple_of(3);
        let database = if other {
            open(self.case, place)
        } else {
            self.database.clone()
        };
        let window = window(self.case, way, &database).unwrap();
        let replaced = self
            .simulation
            .change(|draft| draft.replace("window", window));
        replaced.unwrap();
    }

    fn taken(&self) -> Left {
        std::mem::take(&mut self.sunk.lock().unwrap().left)
    }

    fn does(&mut self, op: &Op) {
        match op {
            Op::Event(record) => {
                let event = self.event(record);
                self.sends(event, record.left);
            }
            Op::Batch(records) => {
                let left = records.first().is_none_or(|record| record.left);
                let now = self.simulation.now();
                let events: Vec<Value> = records.iter().map(|record| self.event(record)).collect();
                self.sent
                    .extend(events.iter().map(|event| (event.clone(), left)));
                let batch = Batch::from_iter(events.into_iter().map(|e| Event::new(e, now)));
                self.simulation.inject_batch(side(left), batch).unwrap();
            }
            Op::Again(back) => {
                let found = self.sent.iter().rev().nth(*back).cloned();
                if let Some((event, left)) = found {
                    self.sends(event, left);
                }
            }
            Op::Bad(0) => self.sends(json!({"k": "k1", "a": "x"}), true),
            Op::Bad(1) => self.sends(json!({"k": 5, "t": START}), true),
            Op::Bad(_) => {
                let parts = json!([{"g": 1, "w": 1.0}, {"g": "one"}]);
                self.sends(json!({"k": "k2", "t": START, "parts": parts}), true);
            }
            Op::Advance(by) => self.simulation.advance(*by),
            Op::Clock(by) => {
                let now = self.simulation.now().as_micros() + by * 1_000_000;
                self.simulation.set_clock(Timestamp::from_micros(now));
            }
        }
    }

    fn sends(&mut self, event: Value, left: bool) {
        self.sent.push((event.clone(), left));
        self.simulation.inject(side(left), event).unwrap();
    }

    fn event(&mut self, record: &Record) -> Value {
        let now = self.simulation.now();
        let mut event = Map::new();
        self.made += 1;
        let key = if self.case.fresh {
            format!("k{}.{}", record.key, self.made)
        } else {
            format!("k{}", record.key)
        };
        event.insert("k".to_owned(), key.into());
        let time = if self.case.real {
            // Some of them less than half a microsecond off, or just half of one.

            let off = [0.0, 4e-7, -5e-7][record.key as usize % 3];
            json!(now.as_micros() as f64 / 1e6 + record.lag as f64 / 4.0 + off)
        } else {
            json!(now.as_secs() + record.lag)
        };
        event.insert("t".to_owned(), time);
        // NULL, and a field that is missing.
        event.insert("a".to_owned(), json!(record.a));
        for (name, value) in [("b", record.b), ("n", record.n)] {
            if let Some(value) = value {
                event.insert(name.to_owned(), value.into());
            }
        }
        // Zeros of both signs.
        let quarters = |count: i64| match (count, record.key % 2) {
            (0, 1) => -0.0,
            _ => count as f64 / 4.0,
        };
        event.insert("v".to_owned(), json!(record.v.map(quarters)));
        let part = |(g, w): &(Option<i64>, i64)| json!({"g": g, "w": quarters(*w)});
        let parts: Vec<Value> = record.parts.iter().map(part).collect();
        event.insert("parts".to_owned(), parts.into());
        event.into()
    }
}

fn side(left: bool) -> &'static str {
    if left { "left" } else { "right" }
}

/// Where two runs differ first, if they do. The plan `keyed` asks for one group after the other,
/// so nobody orders those of one event.
pub fn difference(case: &Case, plan: Plan, right: &[Left], ours: &[Left]) -> Option<String> {
    let ordered =
        case.shape.order != Order::None && case.emit != Emit::Leave && plan != Plan::Keyed;
    for (step, (right, ours)) in right.iter().zip(ours).enumerate() {
        let same = same_rows(&right.out, &ours.out, ordered)
            && right.late == ours.late
            && right.errors == ours.errors;
        if !same {
            let op = step.checked_sub(1).and_then(|at| case.ops.get(at));
            return Some(format!(
                "in step {step}, {op:?},\nrequery: {}\nours:    {}",
                shown(right),
                shown(ours)
            ));
        }
    }
    None
}

fn shown(left: &Left) -> String {
    let out: Vec<String> = left
        .out
        .iter()
        .map(|(row, fails)| format!("{row}{}", if *fails { " (fails)" } else { "" }))
        .collect();
    let list = |values: &[Value]| Value::from(values.to_vec()).to_string();
    format!(
        "[{}] late {} errors {}",
        out.join(", "),
        list(&left.late),
        list(&left.errors)
    )
}

fn same_rows(right: &[(Value, bool)], ours: &[(Value, bool)], ordered: bool) -> bool {
    if right.len() != ours.len() {
        return false;
    }
    if ordered {
        return right
            .iter()
            .zip(ours)
            .all(|(a, b)| a.1 == b.1 && same(&a.0, &b.0));
    }
    let mut left: Vec<&(Value, bool)> = ours.iter().collect();
    right.iter().all(|(row, fails)| {
        let found = left
            .iter()
            .position(|(ours, f)| f == fails && same(row, ours));
        found.map(|at| left.swap_remove(at)).is_some()
    })
}

/// Whether two rows are the same: names, places and types too, doubles but for rounding.
pub fn same(right: &Value, ours: &Value) -> bool {
    match (right, ours) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((an, a), (bn, b))| an == bn && same(a, b))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            if a == 0.0 && b == 0.0 {
                return a.is_sign_negative() == b.is_sign_negative();
            }
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
        }
        (a, b) => a == b,
    }
}
