//! Sessions, which have one plan only, held against a model of them that is written here.
//!
//! The model keeps rows, and reckons each answer from them. The redelivery of a row whose session
//! has ended is late by itself, so keys need not be remembered beyond. Every other case over a
//! database that stays is closed and opened again on its way, and in every other one of the rest the window is
//! replaced, of which the model knows nothing.

use super::run::same;
use crate::support::databases::Place;
use crate::support::window_bench::{Bench, START, declared};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use tributary::Database;
use tributary::window::{Emit, TimeDomain, WindowKind, WindowOptions};

/// A row: its group, its value in quarters, how far its time is from now, its child rows.
#[derive(Debug, Clone)]
struct Record {
    g: Option<&'static str>,
    v: Option<i64>,
    lag: i64,
    parts: Vec<i64>,
}

#[derive(Debug, Clone)]
enum Op {
    Events(Vec<Record>),
    /// The row that was sent so many before comes again.
    Again(usize),
    Advance(u64),
    /// The clock is set forward by so many seconds.
    Clock(i64),
}

#[derive(Debug, Clone)]
pub struct Case {
    gap: i64,
    by_events: bool,
    lateness: i64,
    touched: bool,
    /// Whether rows count once for each of their child rows.
    joined: bool,
    store: bool,
    pub salt: u64,
    ops: Vec<Op>,
}

fn record() -> impl Strategy<Value = Record> {
    let g = proptest::option::weighted(0.85, proptest::sample::select(vec!["x", "y"]));
    let lag = prop_oneof![3 => Just(0_i64), 3 => -4_i64..=2, 2 => -15_i64..=15];
    let parts = proptest::collection::vec(0_i64..4, 0..=3);
    (g, proptest::option::weighted(0.85, -4_i64..9), lag, parts)
        .prop_map(|(g, v, lag, parts)| Record { g, v, lag, parts })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => proptest::collection::vec(record(), 1..=3).prop_map(Op::Events),
        2 => (0_usize..6).prop_map(Op::Again),
        4 => (1_u64..24).prop_map(Op::Advance),
        1 => (1_i64..9).prop_map(Op::Clock),
    ]
}

pub fn case() -> impl Strategy<Value = Case> {
    (
        1_i64..9,
        any::<bool>(),
        0_i64..5,
        proptest::bool::weighted(0.3),
        any::<bool>(),
        any::<bool>(),
        any::<u64>(),
        proptest::collection::vec(op(), 1..30),
    )
        .prop_map(
            |(gap, by_events, lateness, touched, joined, store, salt, ops)| Case {
                gap,
                by_events,
                lateness,
                touched,
                joined,
                store,
                salt,
                ops,
            },
        )
}

impl Case {
    fn options(&self) -> WindowOptions {
        let from = if self.joined {
            "things r join parts p on p.thing = r.k"
        } else {
            "things r"
        };
        let sql = format!(
            "select :window_start as begins, :window_end as ends, r.g, count(*) as n, \
             count(distinct r.v) as d, sum(r.v) as s, min(r.v) as l, max(r.v) as h, avg(r.v) as m \
             from {from} group by r.g"
        );
        let gap = WindowKind::Session(Duration::from_secs(self.gap as u64));
        let emit = if self.touched {
            Emit::Touched
        } else {
            Emit::Close
        };
        let options = WindowOptions::new("things", sql, gap)
            .time("t")
            .emit(emit)
            .store(self.store);
        if self.by_events {
            options
                .clock(TimeDomain::Event)
                .lateness(Duration::from_secs(self.lateness as u64))
        } else {
            options
        }
    }
}

/// A session of the model; seconds after the beginning.
struct Session {
    g: Option<&'static str>,
    begins: i64,
    ends: i64,
    keys: Vec<usize>,
    /// A value for each row that counts.
    values: Vec<Option<i64>>,
}

impl Session {
    fn touches(&self, row: &Row, gap: i64) -> bool {
        self.g == row.g && row.at <= self.ends && row.at + gap >= self.begins
    }

    fn row(&self) -> Value {
        let mut values: Vec<i64> = self.values.iter().flatten().copied().collect();
        values.sort_unstable();
        let quarters = |value: Option<i64>| value.map(|value| value as f64 / 4.0);
        let sum: i64 = values.iter().sum();
        let some = values.first().map(|_| sum);
        let mean = quarters(some).map(|sum| sum / values.len() as f64);
        let (least, greatest) = (values.first().copied(), values.last().copied());
        let mut distinct = values.clone();
        distinct.dedup();
        json!({
            "begins": START + self.begins, "ends": START + self.ends, "g": self.g,
            "n": self.values.len(), "d": distinct.len(), "s": quarters(some),
            "l": quarters(least), "h": quarters(greatest), "m": mean,
        })
    }
}

#[derive(Clone)]
struct Row {
    key: usize,
    at: i64,
    g: Option<&'static str>,
    v: Option<i64>,
    parts: Vec<i64>,
}

impl Row {
    fn event(&self) -> Value {
        let parts: Vec<Value> = self.parts.iter().map(|w| json!({"w": w})).collect();
        let v = self.v.map(|v| v as f64 / 4.0);
        json!({"k": self.key.to_string(), "t": START + self.at, "g": self.g, "v": v, "parts": parts})
    }
}

/// What sessions are, as simply as can be.
struct Model<'a> {
    case: &'a Case,
    open: Vec<Session>,
    /// When the last session of a group has ended.
    ended: HashMap<Option<&'static str>, i64>,
    watermark: Option<i64>,
    out: Vec<Value>,
    late: Vec<Value>,
}

impl Model<'_> {
    /// Time has come to an instant, in microseconds.
    fn close(&mut self, now: i64) {
        self.open.sort_by_key(|s| (s.ends, s.begins, s.g));
        let ended = |session: &Session| session.ends * 1_000_000 < now;
        let first_open = self.open.iter().position(|session| !ended(session));
        let count = first_open.unwrap_or(self.open.len());
        for session in &self.open[..count] {
            self.ended.insert(session.g, session.ends);
        }
        let rows: Vec<Value> = self.open.drain(..count).map(|s| s.row()).collect();
        if !self.case.touched {
            self.out.extend(rows);
        }
    }

    /// Whether a row would join an open session, and would have been of the one before that has
    /// ended. How long that is known is not defined: it is late for as long.
    fn is_unclear(&self, row: &Row) -> bool {
        let gap = self.case.gap;
        let ended = self.ended.get(&row.g);
        ended.is_some_and(|ended| row.at + gap <= *ended)
            && self.open.iter().any(|session| session.touches(row, gap))
    }

    /// A row has come at an instant of the network's, in microseconds.
    fn row(&mut self, row: &Row, now: i64) {
        let gap = self.case.gap;
        let now = if self.case.by_events {
            let reached = row.at - self.case.lateness;
            let watermark = self.watermark.map_or(reached, |w| w.max(reached));
            self.watermark = Some(watermark);
            watermark * 1_000_000
        } else {
            now
        };
        self.close(now);
        let counts = if self.case.joined { row.parts.len() } else { 1 };
        let joins = counts > 0 && self.open.iter().any(|s| s.touches(row, gap));
        if (row.at + gap) * 1_000_000 < now && !joins {
            self.late.push(row.event());
            return;
        }
        let known = self.open.iter().any(|s| s.keys.contains(&row.key));
        if !known && counts > 0 {
            let mut joined = Session {
                g: row.g,
                begins: row.at,
                ends: row.at + gap,
                keys: vec![row.key],
                values: vec![row.v; counts],
            };
            for session in std::mem::take(&mut self.open) {
                if !session.touches(row, gap) {
                    self.open.push(session);
                    continue;
                }
                joined.begins = joined.begins.min(session.begins);
                joined.ends = joined.ends.max(session.ends);
                joined.keys.extend(session.keys);
                joined.values.extend(session.values);
            }
            self.open.push(joined);
        }
        if self.case.touched && counts > 0 {
            let touched = self.open.iter().filter(|s| s.touches(row, gap));
            self.out.extend(touched.map(Session::row));
        }
    }
}

/// The window of a case over a place, from so many microseconds after the beginning.
fn open(case: &Case, database: &Database, after: i64) -> Bench {
    let mut bench = Bench::at_micros(database, case.options(), after);
    bench.simulation.end_source("right").unwrap();
    bench
}

/// Runs a case; says where the window and the model differ.
pub fn compare(case: &Case, place: &Place) -> Result<(), String> {
    let mut database = declared(place);
    let mut bench = open(case, &database, 0);
    let restarts = place.stays() && (case.salt / 8).is_multiple_of(2);
    let replaces = !restarts && (case.salt / 16).is_multiple_of(2);
    let third = case.ops.len().div_ceil(3);
    let mut model = Model {
        case,
        open: Vec::new(),
        ended: HashMap::new(),
        watermark: None,
        out: Vec::new(),
        late: Vec::new(),
    };
    let mut sent: Vec<Row> = Vec::new();
    for (step, op) in case.ops.iter().enumerate() {
        let now = bench.simulation.now();
        if restarts && step % third == third - 1 {
            let (out, _) = bench.finish();
            assert_eq!(out, [] as [Value; 0]);
            database = declared(place);
            bench = open(case, &database, of_start(now));
        }
        if replaces && step % third == third - 1 {
            bench.replace(&database, &case.options());
        }
        match op {
            Op::Events(records) => {
                let first = sent.len();
                for record in records {
                    let row = Row {
                        key: sent.len(),
                        at: now.as_secs() - START + record.lag,
                        g: record.g,
                        v: record.v,
                        parts: record.parts.clone(),
                    };
                    if !model.is_unclear(&row) {
                        model.row(&row, of_start(now));
                        sent.push(row);
                    }
                }
                bench.send_all(sent[first..].iter().map(Row::event).collect());
            }
            Op::Again(back) => {
                let found = sent.iter().rev().nth(*back).cloned();
                if let Some(row) = found.filter(|row| !model.is_unclear(row)) {
                    bench.send(row.event());
                    model.row(&row, of_start(now));
                }
            }
            Op::Advance(quarters) => bench.advance(*quarters as f64 / 4.0),
            Op::Clock(by) => bench.set_clock(now.as_secs() - START + by),
        }
        if !case.by_events {
            model.close(of_start(bench.simulation.now()));
        }
        let (out, late) = (bench.out(), bench.late());
        if !all_same(&out, &model.out) || late != model.late {
            let [out, late, right, right_late] =
                [out, late, model.out, model.late].map(|rows| Value::from(rows).to_string());
            return Err(format!(
                "in step {step}, {op:?},\nright: {right} late {right_late}\nours:  {out} late {late}"
            ));
        }
        model.out.clear();
        model.late.clear();
    }
    let is_memory = !place.stays();
    let (out, _) = bench.finish();
    if is_memory {
        model.close(i64::MAX);
    }
    if all_same(&out, &model.out) {
        Ok(())
    } else {
        Err(format!(
            "at the end,\nright: {}\nours:  {}",
            Value::from(model.out),
            Value::from(out)
        ))
    }
}

fn all_same(ours: &[Value], right: &[Value]) -> bool {
    ours.len() == right.len()
        && ours
            .iter()
            .zip(right)
            .all(|(ours, right)| same(right, ours))
}

fn of_start(now: tributary::time::Timestamp) -> i64 {
    now.as_micros() - START * 1_000_000
}
