//! What a window has committed is emitted, whatever happens between the commit and the delivery.
//!
//! One stream goes through a window for every mode, extent, plan and clock. At each step in turn
//! nothing is delivered, and then the process is killed, with and without its source sending the last
//! event again, or the deliveries of that step fail. What is delivered in the end is what is delivered
//! without: nothing is missing, nothing is untrue, and nothing comes twice.

use crate::support::databases::{Kind, Place};
use crate::support::window_bench::{Fate, PLANS, START, declared};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::time::Timestamp;
use tributary::window::{Emit, TimeDomain, Window, WindowKind, WindowOptions};
use tributary::{
    Context, Error, Event, Network, Node, Outcome, ReadStatus, Result, Simulation, Source, Token,
    sink,
};

crate::over_all_databases! {
    every_row_of_the_answer_is_delivered
    every_touched_group_is_delivered
    every_change_is_delivered
    every_group_that_enters_is_delivered
    every_group_that_leaves_is_delivered
    every_window_that_closes_is_delivered
}

const SQL: &str = "select g, sum(n) as s from things group by g having sum(n) > 100";

/// What a source sends, and what became of it.
#[derive(Default)]
pub struct Sent {
    queue: VecDeque<String>,
    under_way: Vec<(Token, String)>,
    failed: Vec<String>,
}

/// A source that tracks its events, as one with a checkpoint does.
struct Tracked(Arc<Mutex<Sent>>);

impl Node for Tracked {
    fn settle(&mut self, token: Token, outcome: Outcome, _: &mut Context<'_>) -> Result<()> {
        let mut sent = self.0.lock().unwrap();
        let at = sent.under_way.iter().position(|(known, _)| *known == token);
        let (_, payload) = sent.under_way.remove(at.expect("it is under way"));
        if outcome == Outcome::Failed {
            sent.failed.push(payload);
        }
        Ok(())
    }
}

impl Source for Tracked {
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        let mut sent = self.0.lock().unwrap();
        while let Some(payload) = sent.queue.pop_front() {
            let token = cx.emit_tracked(Event::new(payload.as_str(), cx.now()));
            sent.under_way.push((token, payload));
        }
        Ok(ReadStatus::Idle)
    }
}

/// What has left the window.
#[derive(Default)]
pub struct Seen {
    fate: Fate,
    pub delivered: Vec<(i64, String)>,
    held: Vec<Event>,
    undelivered: usize,
    errors: Vec<String>,
}

pub struct Run {
    pub simulation: Simulation,
    sent: Arc<Mutex<Sent>>,
    seen: Arc<Mutex<Seen>>,
}

impl Run {
    pub fn new(
        place: &Place,
        options: &WindowOptions,
        seen: &Arc<Mutex<Seen>>,
        now: Timestamp,
    ) -> Self {
        let database = declared(place);
        let network = Network::new();
        let sent: Arc<Mutex<Sent>> = Arc::default();
        network.add_source("in", Tracked(sent.clone())).unwrap();
        let window = Window::new(&database, options).unwrap();
        network.add_pipeline("window", window).unwrap();
        let to = seen.clone();
        let out = sink::handler(move |event| {
            let mut seen = to.lock().unwrap();
            let row = event.payload().text().unwrap().to_owned();
            match seen.fate {
                Fate::Delivered => {
                    let at = event.time().as_micros() - START * 1_000_000;
                    seen.delivered.push((at, row));
                    return Ok(());
                }
                Fate::Held => seen.held.push(event.clone()),
                Fate::Failed => {}
            }
            seen.undelivered += 1;
            match seen.fate {
                Fate::Failed => Err(Error::data("this one fails")),
                _ => Ok(()),
            }
        });
        network.add_sink("out", out).unwrap();
        let to = seen.clone();
        let errors = sink::handler(move |event| {
            let why = event.meta().get("error").map(Value::to_string);
            to.lock().unwrap().errors.extend(why);
            Ok(())
        });
        network.add_sink("errors", errors).unwrap();
        network.link("in", "window").unwrap();
        network.link("window", "out").unwrap();
        network.link("window.errors", "errors").unwrap();
        Run {
            simulation: network.simulate(now).unwrap(),
            sent,
            seen: seen.clone(),
        }
    }

    fn step(&mut self, step: &(i64, Option<Value>)) {
        self.simulation
            .advance_to(Timestamp::from_secs(START + step.0));
        if let Some(event) = &step.1 {
            self.send(event.to_string());
        }
    }

    pub fn send(&mut self, event: String) {
        self.sent.lock().unwrap().queue.push_back(event);
        self.simulation.advance(Duration::ZERO);
    }

    pub fn fate(&self, fate: Fate) {
        self.seen.lock().unwrap().fate = fate;
    }
}

/// Steps: so many seconds after the beginning an event comes.
fn steps() -> Vec<(i64, Option<Value>)> {
    let row = |k: i64, after: i64, g: &str, n: i64| {
        Some(json!({"k": k.to_string(), "t": START + after, "g": g, "n": n}))
    };
    vec![
        (0, row(1, 0, "a", 500)),
        (1, row(2, 1, "b", 200)),
        // One leaves because of another row, and comes again.
        (2, row(3, 2, "a", -450)),
        (3, row(4, 3, "a", 400)),
        // Rows leave, windows end.
        (10, row(5, 10, "c", 150)),
        (14, row(6, 14, "b", 300)),
        (26, None),
        (27, row(7, 27, "d", 101)),
        (38, row(8, 38, "e", 1)),
        (68, row(9, 68, "e", 1)),
    ]
}

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cause {
    Nothing,
    Kill,
    /// The source has not noted that its event was delivered.
    KillBeforeTheSource,
    Failure,
    /// The source sends the event again after the window has repeated its answer.
    FailureAndALateSource,
}

impl Cause {
    fn is_failure(self) -> bool {
        matches!(self, Cause::Failure | Cause::FailureAndALateSource)
    }
}

const CAUSES: [Cause; 4] = [
    Cause::Kill,
    Cause::KillBeforeTheSource,
    Cause::Failure,
    Cause::FailureAndALateSource,
];

/// What is delivered in the end, and how much was not at the step.
fn delivered(
    place: &Place,
    options: &WindowOptions,
    cause: Cause,
    at: usize,
) -> (Vec<(i64, String)>, usize) {
    let place = place.another();
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let mut run = Run::new(&place, options, &seen, Timestamp::from_secs(START));
    let mut missed = 0;
    for (number, step) in steps().iter().enumerate() {
        let here = cause != Cause::Nothing && number == at;
        if here {
            run.fate(match cause {
                Cause::Failure | Cause::FailureAndALateSource => Fate::Failed,
                _ => Fate::Held,
            });
        }
        run.step(step);
        if !here {
            continue;
        }
        run.fate(Fate::Delivered);
        missed = std::mem::take(&mut seen.lock().unwrap().undelivered);
        if cause.is_failure() {
            if cause == Cause::FailureAndALateSource {
                run.simulation.advance(Duration::from_millis(200));
            }
            let failed = std::mem::take(&mut run.sent.lock().unwrap().failed);
            failed.into_iter().for_each(|event| run.send(event));
            continue;
        }
        let now = run.simulation.now();
        let unsettled: Vec<String> = {
            let sent = run.sent.lock().unwrap();
            sent.under_way
                .iter()
                .map(|(_, event)| event.clone())
                .collect()
        };
        drop(run);
        seen.lock().unwrap().held.clear();
        run = Run::new(&place, options, &seen, now);
        let noted = step.1.as_ref().map(Value::to_string);
        let noted =
            noted.filter(|event| cause == Cause::KillBeforeTheSource && !unsettled.contains(event));
        unsettled
            .into_iter()
            .chain(noted)
            .for_each(|event| run.send(event));
    }
    run.simulation.advance(Duration::from_secs(30));
    run.simulation.finish().unwrap();
    let mut seen = seen.lock().unwrap();
    assert_eq!(seen.errors, [] as [String; 0]);
    let mut delivered = std::mem::take(&mut seen.delivered);
    delivered.sort();
    (delivered, missed)
}

/// What is in one list and not in another one.
fn without<'a>(all: &'a [(i64, String)], some: &[(i64, String)]) -> Vec<&'a (i64, String)> {
    let mut left: Vec<_> = some.iter().collect();
    all.iter()
        .filter(|one| match left.iter().position(|other| other == one) {
            Some(at) => {
                left.remove(at);
                false
            }
            None => true,
        })
        .collect()
}

fn holds(place: &Place, emit: Emit) {
    let seconds = Duration::from_secs;
    let hopping = |size, slide| WindowKind::Hopping {
        size: seconds(size),
        slide: seconds(slide),
    };
    let extents = [
        WindowKind::Sliding(seconds(10)),
        WindowKind::Count(3),
        hopping(10, 10),
        hopping(10, 5),
        WindowKind::Session(seconds(5)),
    ];
    let (mut windows, mut missed_in_all) = (0, 0);
    for extent in extents {
        for plan in PLANS {
            for clock in [TimeDomain::System, TimeDomain::Event] {
                let options = WindowOptions::new("things", SQL, extent).time("t");
                let options = options.emit(emit).plan(plan).clock(clock).name("w");
                if Window::new(&declared(&place.another()), &options).is_err() {
                    continue;
                }
                windows += 1;
                let (right, _) = delivered(place, &options, Cause::Nothing, 0);
                assert!(!right.is_empty(), "{extent} {plan} {clock}");
                for (number, cause) in CAUSES.into_iter().enumerate() {
                    if !place.stays() && !cause.is_failure() {
                        continue;
                    }
                    for at in 0..steps().len() {
                        // Where each run is slow, every window takes its share of the steps.
                        let turn = at + number + windows;
                        let share = if place.kind == Kind::Mariadb { 4 } else { 2 };
                        if place.stays() && !turn.is_multiple_of(share) {
                            continue;
                        }
                        let (ours, missed) = delivered(place, &options, cause, at);
                        missed_in_all += missed;
                        let what = format!("{extent} {emit} {plan} {clock} {cause:?} at step {at}");
                        let lost = without(&right, &ours);
                        let more = without(&ours, &right);
                        assert!(
                            lost.is_empty() && more.is_empty(),
                            "{what}: lost {lost:?}, more {more:?}"
                        );
                    }
                }
            }
        }
    }
    assert!(windows >= 2, "{windows}");
    assert!(missed_in_all >= windows, "{missed_in_all} of {windows}");
}

fn every_row_of_the_answer_is_delivered(place: &Place) {
    holds(place, Emit::All);
}

fn every_touched_group_is_delivered(place: &Place) {
    holds(place, Emit::Touched);
}

fn every_change_is_delivered(place: &Place) {
    holds(place, Emit::Changes);
}

fn every_group_that_enters_is_delivered(place: &Place) {
    holds(place, Emit::Enter);
}

fn every_group_that_leaves_is_delivered(place: &Place) {
    holds(place, Emit::Leave);
}

fn every_window_that_closes_is_delivered(place: &Place) {
    holds(place, Emit::Close);
}

/// A row whose group takes a megabyte less a little.
fn large(k: i64) -> Value {
    let name = format!("{k:03}").repeat(340_000);
    json!({"k": k.to_string(), "t": START, "g": name, "n": 1})
}

#[test]
fn a_window_whose_outbox_is_full_takes_nothing_more_in_and_loses_nothing() {
    for place in [Place::memory(), Place::file()] {
        let sql = "select g, count(*) as c from things group by g";
        let size = WindowKind::Sliding(Duration::from_secs(3_600));
        let options = WindowOptions::new("things", sql, size).time("t");
        let options = options.emit(Emit::Touched).store(true);
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let start = Timestamp::from_secs(START);
        let mut run = Run::new(&place, &options, &seen, start);
        run.fate(Fate::Failed);
        for k in 0..80 {
            run.send(large(k).to_string());
        }
        let window = |run: &Run| run.simulation.stats().node("window").unwrap().clone();
        let taken = window(&run);
        let done = taken.passed + taken.consumed;
        assert!((60..70).contains(&done), "{:?} {done}", place.kind);
        // What has failed is repeated while the window waits.
        let before = seen.lock().unwrap().undelivered;
        run.simulation.advance(Duration::from_secs(10));
        assert!(seen.lock().unwrap().undelivered > before);
        run.fate(Fate::Delivered);
        run.simulation.advance(Duration::from_secs(60));
        let failed = std::mem::take(&mut run.sent.lock().unwrap().failed);
        failed.into_iter().for_each(|event| run.send(event));
        run.simulation.advance(Duration::from_secs(60));
        let mut rows: Vec<String> = {
            let seen = seen.lock().unwrap();
            seen.delivered.iter().map(|(_, row)| row.clone()).collect()
        };
        rows.sort();
        rows.dedup();
        assert_eq!(rows.len(), 80, "{:?}", place.kind);
        assert_eq!(seen.lock().unwrap().errors, [] as [String; 0]);
        run.simulation.finish().unwrap();
    }
}

#[test]
fn an_event_without_a_key_is_stored_and_delivered_once_though_its_delivery_failed() {
    let place = Place::file();
    let database = place.open();
    let plain = tributary::Table::new("plain").integer("t").integer("n");
    database.declare(plain).unwrap();
    let size = WindowKind::Sliding(Duration::from_secs(10));
    let options = WindowOptions::new("plain", "select sum(n) as s from plain", size).time("t");
    let network = Network::new();
    let sent: Arc<Mutex<Sent>> = Arc::default();
    network.add_source("in", Tracked(sent.clone())).unwrap();
    let window = Window::new(&database, &options.emit(Emit::All)).unwrap();
    network.add_pipeline("window", window).unwrap();
    let rows: Arc<Mutex<Vec<String>>> = Arc::default();
    let (to, mut fails) = (rows.clone(), true);
    let out = sink::handler(move |event| {
        if std::mem::take(&mut fails) {
            return Err(Error::data("the first one fails"));
        }
        to.lock()
            .unwrap()
            .push(event.payload().text().unwrap().to_owned());
        Ok(())
    });
    network.add_sink("out", out).unwrap();
    network.link("in", "window").unwrap();
    network.link("window", "out").unwrap();
    let mut simulation = network.simulate(Timestamp::from_secs(START)).unwrap();
    let event = json!({"t": START, "n": 5}).to_string();
    sent.lock().unwrap().queue.push_back(event);
    simulation.advance(Duration::ZERO);
    let failed = std::mem::take(&mut sent.lock().unwrap().failed);
    sent.lock().unwrap().queue.extend(failed);
    simulation.advance(Duration::from_secs(1));
    assert_eq!(*rows.lock().unwrap(), [r#"{"s":5}"#]);
    simulation.finish().unwrap();
}
