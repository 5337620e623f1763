//! State on its way to a successor: a node that is replaced in the middle of a stream by one with the same
//! settings does what it would have done.
//!
//! `kinds` names every file with a node; one that is missing fails a test.

mod kinds;

use crate::support::probe::{START, Seen, text};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tributary::pipeline::{
    BatchLimits, Changed, Collect, Deadman, Debounce, Delay, Filter, FilterKey, Forwarder, Key,
    Queue, RateLimit, Sample, Throttle,
};
use tributary::sink::DeadLetterSink;
use tributary::source::{Follow, LineSource, Ticker};
use tributary::store::{DeadLetters, LetterFilter};
use tributary::window::{CreateWindow, QueryWindow};
use tributary::{Database, Draft, Event, Network, Result, Simulation, Table, pipeline, source};

type Tested = std::result::Result<(), Box<dyn std::error::Error>>;

/// A node, under the files that it may need.
struct Case {
    file: &'static str,
    add: fn(&Network, &Path) -> Result<()>,
    replace: fn(&mut Draft, &Path) -> Result<()>,
}

macro_rules! case {
    ($file:literal, $path:ident => $node:expr) => {
        Case {
            file: $file,
            add: |network, $path| network.add_pipeline("node", $node).map(drop),
            replace: |draft, $path| draft.replace("node", $node),
        }
    };
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key() -> Key {
    Key::fields(["k"])
}

fn database(path: &Path) -> Result<Database> {
    Database::open(&format!("sqlite:{}", path.join("db").display()))
}

fn table(path: &Path) -> Result<Database> {
    let database = database(path)?;
    database.declare(Table::new("events").integer("k").integer("n"))?;
    Ok(database)
}

const CASES: &[Case] = &[
    case!("pipeline/ratelimit.rs", _path => RateLimit::new(secs(7))?),
    case!("pipeline/throttle.rs", _path => Throttle::new(2, secs(20), key())?),
    case!("pipeline/changed.rs", _path => Changed::new(Key::fields(["n"]), key(), Some(secs(30)))?),
    case!("pipeline/deadman.rs", _path => Deadman::new(secs(9), key())?),
    case!("pipeline/debounce.rs", _path => Debounce::new(secs(9), key())?),
    case!("pipeline/sample.rs", _path => Sample::new(secs(9), key())?),
    case!("pipeline/delay.rs", _path => Delay::new(secs(13))?),
    case!("pipeline/batch.rs", _path => Collect::new(BatchLimits::new().count(3).time(secs(30)), key())?),
    case!("pipeline/filter.rs", _path => Filter::new(secs(30), FilterKey::Fields(vec!["n".into()]))?),
    case!("pipeline/filter.rs", path => {
        let key = FilterKey::Fields(vec!["n".into()]);
        Filter::new(secs(30), key)?.stored(&database(path)?, "kept")
    }),
    case!("pipeline/queue.rs", path => Queue::new(path.join("queue"))),
    case!("pipeline/forwarder.rs", _path => Forwarder),
    case!("pipeline/closure.rs", _path => pipeline::interceptor(|event| Ok(Some(event.clone())))),
    case!("window/create.rs", path => CreateWindow::new(&table(path)?, None)?),
    case!("window/query.rs", path => {
        QueryWindow::new(&table(path)?, "select :k as k, count(*) as others from events")?
    }),
];

/// Sends events of three keys, second by second, and replaces the node before the second `at`.
fn run(
    case: &Case,
    at: Option<u64>,
) -> std::result::Result<Vec<String>, Box<dyn std::error::Error>> {
    let files = tempfile::tempdir()?;
    let network = Network::new();
    (case.add)(&network, files.path())?;
    let seen = Seen::at(&network, "out")?;
    network.link("node", "out")?;
    if network
        .nodes()
        .iter()
        .any(|node| node.ports.iter().any(|port| port.as_str() == "silent"))
    {
        network.link("node.silent", "out")?;
    }
    let mut simulation = network.simulate(START)?;
    for second in 0..120 {
        if at == Some(second) {
            simulation.change(|draft| (case.replace)(draft, files.path()))?;
        }
        // Nothing comes for a while, so that what waits for silence acts.
        if !(40..60).contains(&second) {
            inject(&mut simulation, second)?;
        }
        simulation.advance(secs(1));
    }
    let stats = simulation.finish()?;
    assert!(stats.breaches().is_empty(), "{:?}", stats.breaches());
    Ok(seen
        .events()
        .iter()
        .map(|event| format!("{} {}", event.time(), text(event)))
        .collect())
}

fn inject(simulation: &mut Simulation, second: u64) -> Result<()> {
    let payload = json!({ "k": second % 3, "n": second / 5 });
    let event = Event::new(payload, simulation.now());
    simulation.inject_event("node", event)
}

#[test]
fn a_node_that_is_replaced_by_its_like_does_what_it_would_have_done() -> Tested {
    for case in CASES {
        let expected = run(case, None)?;
        assert!(!expected.is_empty(), "{}: nothing came out", case.file);
        for at in [1, 7, 31, 45, 61, 119] {
            assert_eq!(
                run(case, Some(at))?,
                expected,
                "{}, replaced at {at}",
                case.file
            );
        }
    }
    Ok(())
}

#[test]
fn an_interval_that_has_changed_counts_for_what_is_under_way() -> Tested {
    let network = Network::new();
    network.add_pipeline("node", Delay::new(secs(10))?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("node", "out")?;
    let mut simulation = network.simulate(START)?;
    inject(&mut simulation, 0)?;
    simulation.change(|draft| draft.replace("node", Delay::new(secs(3))?))?;
    simulation.advance(secs(2));
    assert_eq!(seen.len(), 0);
    simulation.advance(secs(1));
    assert_eq!(seen.len(), 1);
    Ok(())
}

#[test]
fn a_node_with_another_key_takes_no_state_and_the_old_one_lets_its_events_go() -> Tested {
    let network = Network::new();
    network.add_pipeline("node", Debounce::new(secs(10), key())?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("node", "out")?;
    let mut simulation = network.simulate(START)?;
    inject(&mut simulation, 0)?;
    simulation.change(|draft| draft.replace("node", Debounce::new(secs(10), Key::none())?))?;
    assert_eq!(seen.len(), 1);
    Ok(())
}

#[test]
fn a_replaced_file_source_reads_on() -> Tested {
    for checkpoint in [false, true] {
        let files = tempfile::tempdir()?;
        let (log, place) = (files.path().join("log.jsonl"), files.path().join("place"));
        let lines: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        std::fs::write(&log, lines.join("\n") + "\n")?;
        let source = || {
            let source = LineSource::file(&log, Follow::No);
            if checkpoint {
                source.checkpoint(&place).in_flight(100)
            } else {
                source
            }
        };
        let network = Network::new();
        network.add_source("in", source())?;
        let seen = Seen::at(&network, "out")?;
        network.link("in", "out")?;
        network.start()?;
        for _ in 0..10 {
            if network.replace("in", source()).is_err() {
                // It has read to its end.
                break;
            }
        }
        network.wait()?;
        assert_eq!(seen.texts(), lines, "with a checkpoint: {checkpoint}");
    }
    Ok(())
}

/// When a ticker of seven seconds ticks that is replaced at one second by one of another interval.
fn ticks(replaced: Option<(u64, u64)>) -> Result<Vec<i64>> {
    let network = Network::new();
    network.add_source("in", Ticker::new(secs(7))?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    for second in 0..60 {
        if let Some((at, interval)) = replaced
            && at == second
        {
            simulation.change(|draft| draft.replace("in", Ticker::new(secs(interval))?))?;
        }
        simulation.advance(secs(1));
    }
    let events = seen.events();
    Ok(events
        .iter()
        .map(|event| event.time().as_secs() - START.as_secs())
        .collect())
}

#[test]
fn a_replaced_ticker_ticks_on() -> Tested {
    let expected = ticks(None)?;
    assert_eq!(expected, [7, 14, 21, 28, 35, 42, 49, 56]);
    for at in [0, 6, 7, 8, 59] {
        assert_eq!(ticks(Some((at, 7)))?, expected, "replaced at {at}");
    }
    assert_eq!(ticks(Some((16, 4)))?[..4], [7, 14, 18, 22]);
    Ok(())
}

#[test]
fn dead_letters_are_written_once_while_their_sink_is_replaced() -> Tested {
    let files = tempfile::tempdir()?;
    let path = files.path().join("letters.db");
    let network = Network::new();
    let (sender, numbers) = source::channel();
    network.add_source("in", numbers)?;
    network.add_sink("out", DeadLetterSink::file(&path))?;
    network.link("in", "out")?;
    network.start()?;
    for number in 0..1_000 {
        sender.send(number.to_string())?;
        if number % 250 == 100 {
            network.replace("out", DeadLetterSink::file(&path))?;
        }
    }
    drop(sender);
    network.wait()?;
    let letters = DeadLetters::file(&path);
    let kept = letters.list(&LetterFilter::default(), 100)?;
    let kept: Vec<_> = kept.iter().map(|letter| letter.payload.clone()).collect();
    let expected: Vec<_> = (0..1_000).map(|n| n.to_string().into_bytes()).collect();
    assert_eq!(kept, expected);
    Ok(())
}
