//! Durable queues: what is taken in comes out, in order, over ends and kills.

use crate::support::binary::Site;
use crate::support::probe::{Log, START, Scripted, Seen, burst, text, tracking};
use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tributary::pipeline::Queue;
use tributary::sink::handler;
use tributary::{Event, Network, Outcome, Pipeline, ReadStatus, Simulation, source};

type Tested = Result<(), Box<dyn Error>>;

/// `in -> queue -> out`.
fn chain(network: &Network) -> tributary::Result<()> {
    network.link("in", "queue")?;
    network.link("queue", "out")
}

/// What a sink holds on to.
type Kept = Arc<Mutex<Vec<Event>>>;

/// `in -> queue -> out`, where `out` keeps what it gets.
fn keeping(path: &Path, payloads: &[&str]) -> tributary::Result<(Simulation, Kept)> {
    let (kept, network) = (Kept::default(), Network::new());
    let keep = kept.clone();
    network.add_source("in", burst(payloads))?;
    network.add_pipeline("queue", Queue::new(path))?;
    let keeper = handler(move |event| {
        keep.lock().unwrap().push(event.clone());
        Ok(())
    });
    network.add_sink("out", keeper)?;
    chain(&network)?;
    Ok((network.simulate(START)?, kept))
}

/// What a queue holds: all of it is taken out.
fn left(path: &Path) -> tributary::Result<Vec<String>> {
    let network = Network::new();
    network.add_source("in", burst(&[]))?;
    network.add_pipeline("queue", Queue::new(path))?;
    let seen = Seen::at(&network, "out")?;
    chain(&network)?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(1));
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(seen.texts())
}

#[test]
fn what_a_queue_holds_is_there_after_a_restart_and_what_was_delivered_is_not() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("q");
    let (mut simulation, kept) = keeping(&path, &["1", "2", "3", "4"])?;
    let mut events = std::mem::take(&mut *kept.lock().unwrap());
    assert_eq!(
        events.iter().map(text).collect::<Vec<_>>(),
        ["1", "2", "3", "4"]
    );
    for at in [2, 0] {
        events.remove(at).settle(Outcome::Delivered);
    }
    simulation.advance(Duration::from_secs(1));
    drop(simulation);
    drop(events);
    assert_eq!(left(&path)?, ["2", "4"]);
    assert_eq!(left(&path)?, [""; 0]);
    Ok(())
}

#[test]
fn an_event_is_delivered_for_its_source_once_the_queue_has_it() -> Tested {
    let folder = TempDir::new()?;
    let log = Log::default();
    let network = Network::new();
    network.add_source("in", tracking(&["a", "b"], &log))?;
    network.add_pipeline("queue", Queue::new(folder.path().join("q")))?;
    network.add_sink("out", handler(|_| Err(tributary::Error::data("never"))))?;
    chain(&network)?;
    network.simulate(START)?;
    assert_eq!(log.lines(), ["source a Delivered", "source b Delivered"]);
    Ok(())
}

#[test]
fn what_failed_comes_again_after_pauses_that_grow() -> Tested {
    let folder = TempDir::new()?;
    let (mut simulation, kept) = keeping(&folder.path().join("q"), &["1", "2"])?;
    let take = || std::mem::take(&mut *kept.lock().unwrap());
    for pause in [100, 200, 400] {
        let events = take();
        assert_eq!(events.iter().map(text).collect::<Vec<_>>(), ["1", "2"]);
        drop(events);
        simulation.advance(Duration::ZERO);
        simulation.advance(Duration::from_millis(pause - 1));
        assert_eq!(take().len(), 0, "before {pause} ms");
        simulation.advance(Duration::from_millis(1));
    }
    assert_eq!(take().len(), 2);
    Ok(())
}

#[test]
fn more_than_may_be_under_way_waits_in_the_file_in_order() -> Tested {
    let folder = TempDir::new()?;
    let names: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut simulation, kept) = keeping(&folder.path().join("q"), &names)?;
    let mut seen = Vec::new();
    while seen.len() < names.len() {
        let events = std::mem::take(&mut *kept.lock().unwrap());
        assert!((1..=1_024).contains(&events.len()), "{}", events.len());
        for event in events {
            seen.push(text(&event));
            event.settle(Outcome::Delivered);
        }
        simulation.advance(Duration::from_millis(100));
    }
    assert_eq!(seen, names);
    Ok(())
}

/// A source of this event.
fn one(event: &Event) -> Scripted {
    let mut event = Some(event.clone());
    Scripted::new(&Log::default()).on_read(move |cx| {
        event.take().into_iter().for_each(|event| cx.emit(event));
        Ok(ReadStatus::Idle)
    })
}

#[test]
fn payload_and_meta_are_kept_byte_for_byte() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("q");
    let bytes: Vec<u8> = (0..=255).collect();
    let event = Event::new(bytes.as_slice(), START)
        .with_meta("z", "\u{0}'\"é")
        .with_meta(
            "a",
            serde_json::json!({"n": [1, 0.1, null, 9_007_199_254_740_993_u64]}),
        );
    for restarted in [false, true] {
        let network = Network::new();
        network.add_source("in", one(&event))?;
        network.add_pipeline("queue", Queue::new(&path))?;
        let seen = Seen::default();
        let refuse = handler(|_| Err(tributary::Error::data("not now")));
        if restarted {
            network.add_sink("out", seen.sink())?
        } else {
            network.add_sink("out", refuse)?
        };
        chain(&network)?;
        let mut simulation = network.simulate(START)?;
        simulation.advance(Duration::from_millis(10));
        simulation.finish()?;
        if restarted {
            assert_eq!(seen.len(), 2);
            for got in seen.events() {
                assert_eq!(got.payload().bytes(), bytes);
                assert_eq!(got.time(), START);
                let meta = |event: &Event| -> Vec<String> {
                    event
                        .meta()
                        .iter()
                        .map(|(key, value)| format!("{key}={value}"))
                        .collect()
                };
                assert_eq!(meta(&got), meta(&event));
            }
        }
    }
    Ok(())
}

#[test]
fn a_network_whose_sources_have_ended_ends_when_its_queues_are_empty() -> Tested {
    for boxed in [false, true] {
        let folder = TempDir::new()?;
        let path = folder.path().join("q");
        let network = Network::new();
        let texts = (0..20_000).map(|n: u32| n.to_string());
        network.add_source("in", source::from_iter(texts))?;
        if boxed {
            let queue: Box<dyn Pipeline> = Box::new(Queue::new(&path));
            network.add_pipeline("queue", queue)?;
        } else {
            network.add_pipeline("queue", Queue::new(&path))?;
        }
        let seen = Seen::at(&network, "out")?;
        chain(&network)?;
        network.start()?;
        network.wait()?;
        let expected: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        assert_eq!(seen.texts(), expected);
        assert_eq!(left(&path)?, [""; 0]);
    }
    Ok(())
}

#[test]
fn a_file_that_is_no_queue_of_ours_is_refused_and_stays_as_it_is() -> Tested {
    let folder = TempDir::new()?;
    let refused = |path: &Path| -> Result<tributary::Error, Box<dyn Error>> {
        Ok(left(path).err().ok_or("it was opened")?)
    };
    let path = folder.path().join("newer");
    left(&path)?;
    let header = std::fs::read(&path)?;
    assert_eq!(&header[68..72], b"trbq");
    let mut newer = header.clone();
    newer[63] = 7;
    std::fs::write(&path, &newer)?;
    let message = refused(&path)?.to_string();
    assert!(
        message.ends_with("newer\": the queue is of version 7, this program knows 2"),
        "{message}"
    );
    assert_eq!(std::fs::read(&path)?, newer);

    let error = refused(&folder.path().join("no/such/q"))?;
    assert_eq!(error.kind().exit_code(), 73);
    assert!(
        error.to_string().contains("there is no directory \""),
        "{error}"
    );
    let error = refused(folder.path())?;
    assert!(error.to_string().contains("it is a directory"), "{error}");
    let path = folder.path().join("text");
    std::fs::write(
        &path,
        "this is a text, and long enough to be looked at".repeat(30),
    )?;
    let error = refused(&path)?;
    assert!(
        error.to_string().contains("text\": file is not a database"),
        "{error}"
    );
    let path = folder.path().join("other.db");
    let other = tributary::store::Database::open(&format!("sqlite:{}", path.display()))?;
    other.declare(tributary::store::Table::from_json(
        "t",
        &serde_json::json!({"columns": {"a": "text"}}),
    )?)?;
    other.connect()?;
    drop(other);
    let error = refused(&path)?;
    assert!(
        error.to_string().contains("other.db\": it is no queue; "),
        "{error}"
    );
    Ok(())
}

/// The payload of an event that was refused, and why.
type Refused = (String, String);

/// What a queue holds, and what of it leaves by `errors`, with the reason.
fn left_and_refused(path: &Path) -> tributary::Result<(Vec<String>, Vec<Refused>)> {
    let network = Network::new();
    network.add_source("in", burst(&[]))?;
    network.add_pipeline("queue", Queue::new(path))?;
    let (seen, refused) = (Seen::at(&network, "out")?, Kept::default());
    let keep = refused.clone();
    let keeper = handler(move |event| {
        keep.lock().unwrap().push(event.clone());
        Ok(())
    });
    network.add_sink("refused", keeper)?;
    chain(&network)?;
    network.link("queue.errors", "refused")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(1));
    let refused = std::mem::take(&mut *refused.lock().unwrap())
        .iter()
        .map(|event| {
            let reason = event
                .meta()
                .get("reason")
                .and_then(|reason| reason.as_str());
            (text(event), reason.unwrap_or_default().to_owned())
        })
        .collect();
    simulation.advance(Duration::from_secs(1));
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok((seen.texts(), refused))
}

#[test]
fn an_event_in_which_a_bit_has_flipped_leaves_by_errors_once_and_the_others_go_on() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("q");
    drop(keeping(
        &path,
        &["\"first event\"", "\"second event\"", "\"third event\""],
    )?);
    let mut bytes = std::fs::read(&path)?;
    let at = bytes.windows(6).position(|part| part == b"second");
    bytes[at.ok_or("it is not in the file")?] ^= 1;
    std::fs::write(&path, bytes)?;
    let (out, refused) = left_and_refused(&path)?;
    assert_eq!(out, ["\"first event\"", "\"third event\""]);
    let reason = format!("event 2 of queue \"{}\" is damaged", path.display());
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, "\"recond event\"");
    assert!(refused[0].1.starts_with(&reason), "{refused:?}");
    let (out, refused) = left_and_refused(&path)?;
    assert!(out.is_empty() && refused.is_empty(), "it comes once");
    Ok(())
}

#[test]
fn any_change_of_an_event_in_the_file_is_noticed() -> Tested {
    for change in [
        "time = time + 1",
        "payload = CAST('other' AS BLOB)",
        "payload = 'text'",
        "meta = NULL",
        "meta = '{}'",
        "meta = x'ff'",
        "sum = NULL",
        "sum = sum + 1",
        "id = id + 1",
    ] {
        let folder = TempDir::new()?;
        let path = folder.path().join("q");
        let network = Network::new();
        network.add_source("in", burst(&[]))?;
        network.add_pipeline("queue", Queue::new(&path))?;
        network.add_sink("out", handler(|_| Err(tributary::Error::data("not now"))))?;
        chain(&network)?;
        let event = Event::new("1", START).with_meta("a", 1);
        network.simulate(START)?.inject_event("queue", event)?;
        let file = rusqlite::Connection::open(&path)?;
        assert_eq!(file.execute(&format!("UPDATE queue SET {change}"), ())?, 1);
        drop(file);
        let (out, refused) = left_and_refused(&path)?;
        assert_eq!((out.len(), refused.len()), (0, 1), "{change}");
    }
    Ok(())
}

#[test]
fn a_queue_of_version_1_is_read_and_brought_up_to_date() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("q");
    let file = rusqlite::Connection::open(&path)?;
    file.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE queue
             (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, payload BLOB NOT NULL, meta TEXT);
         PRAGMA application_id = 0x74726271;
         PRAGMA user_version = 1;
         INSERT INTO queue VALUES (7, 1000000, CAST('\"old\"' AS BLOB), '{\"a\":1}');",
    )?;
    drop(file);
    drop(keeping(&path, &["\"new\""])?);
    let file = rusqlite::Connection::open(&path)?;
    let sums: Vec<Option<i64>> = file
        .prepare("SELECT sum FROM queue ORDER BY id")?
        .query_map((), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    assert!(matches!(sums[..], [None, Some(_)]), "{sums:?}");
    drop(file);
    assert_eq!(left(&path)?, ["\"old\"", "\"new\""]);
    Ok(())
}

const KILLS: usize = 30;
const LINES: usize = 20_000;
/// What may come again after a kill: from the file, and from the queue.
const IN_FLIGHT: usize = 500 + 1_024;

#[test]
fn nothing_is_lost_between_file_and_file_when_the_process_is_killed() -> Tested {
    let script = "local tb = require('tributary')
tb.create_file_source('in', 'in.jsonl', {checkpoint = 'place', in_flight = 500})
tb.create_queue('queue', 'queue.db')
tb.create_file_sink('out', 'out.jsonl')
tb.chain('in', 'queue', 'out')";
    let text: String = (0..LINES)
        .map(|n| format!("{{\"n\":{n},\"check\":\"{n:x}\"}}\n"))
        .collect();
    let site = Site::with(&[("net.lua", script), ("in.jsonl", &text)])?;
    let seed = std::process::id();
    let kills = site.killed_again_and_again(&["run", "net.lua"], KILLS, seed)?;
    let written = site.read("out.jsonl")?;
    let unique: HashSet<&str> = written.lines().collect();
    let expected: HashSet<&str> = text.lines().collect();
    let again = written.lines().count() - unique.len();
    println!(
        "seed={seed} kills={kills} sent={LINES} unique={} dup={again}",
        unique.len()
    );
    assert_eq!(unique.difference(&expected).count(), 0, "seed {seed}");
    assert_eq!(unique.len(), LINES, "seed {seed}");
    assert!(
        again <= kills * IN_FLIGHT,
        "{again} came again, seed {seed}"
    );
    Ok(())
}
