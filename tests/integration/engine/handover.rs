//! State on its way to a successor: a node that is replaced in the middle of a stream by one with the same
//! settings does what it would have done.
//!
//! The list names every file with a node that hands over its state; one that is missing fails a test.

use crate::support::probe::{START, Seen, text};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tributary::pipeline::{
    BatchLimits, Changed, Collect, Deadman, Debounce, Delay, Filter, FilterKey, Key, Queue,
    RateLimit, Sample, Throttle,
};
use tributary::source::{Follow, LineSource};
use tributary::{Database, Draft, Event, Network, Result, Simulation};

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
];

/// Nodes that are tested elsewhere, each with the test.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "source/lines.rs",
        "engine::handover::a_replaced_file_source_reads_on",
    ),
    (
        "window/node.rs",
        "window::plans::a_window_that_is_replaced_goes_on_as_if_it_had_not_been",
    ),
    (
        "script/function/process.rs",
        "script::function::process::tests",
    ),
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

#[test]
fn every_node_that_hands_over_its_state_is_in_the_list() -> Tested {
    fn files(folder: &Path, all: &mut Vec<PathBuf>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                files(&path, all)?;
            } else {
                all.push(path);
            }
        }
        Ok(())
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all)?;
    for path in all {
        let text = std::fs::read_to_string(&path)?;
        let name = path.strip_prefix(&root)?.display().to_string();
        let is_node = text.contains("fn give(&mut self)") && !name.starts_with("node");
        let listed = CASES.iter().any(|case| case.file == name)
            || ELSEWHERE.iter().any(|(file, _)| *file == name);
        assert_eq!(is_node, listed, "{name}");
    }
    Ok(())
}
