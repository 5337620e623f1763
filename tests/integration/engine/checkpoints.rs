//! Files that are read on from where they stood: acks, kills, rotation, checkpoints that do not fit.

use crate::support::binary::Site;
use crate::support::probe::{START, Seen, text};
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tributary::sink::{LineSink, handler};
use tributary::source::{Follow, LineSource};
use tributary::{ErrorKind, Network, Simulation};

type Tested = Result<(), Box<dyn Error>>;

/// A directory with a log and room for its checkpoint.
struct Place(TempDir);

impl Place {
    fn with(text: &str) -> Result<Self, Box<dyn Error>> {
        let place = Place(TempDir::new()?);
        fs::write(place.log(), text)?;
        Ok(place)
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn log(&self) -> std::path::PathBuf {
        self.at("log.jsonl")
    }

    fn source(&self, follow: Follow) -> LineSource {
        LineSource::file(self.log(), follow).checkpoint(self.at("place"))
    }

    /// What a network reads of the log now.
    fn read(&self, follow: Follow) -> tributary::Result<Vec<String>> {
        read(self.source(follow))
    }

    fn append(&self, text: &str) -> Tested {
        let mut file = fs::OpenOptions::new().append(true).open(self.log())?;
        Ok(file.write_all(text.as_bytes())?)
    }
}

fn read(source: LineSource) -> tributary::Result<Vec<String>> {
    let network = Network::new();
    network.add_source("in", source)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(1));
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(seen.texts())
}

fn refused(read: tributary::Result<Vec<String>>) -> Result<tributary::Error, Box<dyn Error>> {
    Ok(read.err().ok_or("it was read")?)
}

#[test]
fn a_file_is_read_on_from_where_the_last_network_stood() -> Tested {
    let place = Place::with("1\n2\n")?;
    assert_eq!(place.read(Follow::No)?, ["1", "2"]);
    assert_eq!(place.read(Follow::No)?, [""; 0]);
    place.append("3\n4")?;
    assert_eq!(
        place.read(Follow::Yes)?,
        ["3"],
        "a line without its end is not read yet"
    );
    place.append("4\n")?;
    assert_eq!(place.read(Follow::No)?, ["44"]);
    Ok(())
}

/// What a sink has taken.
type Taken = Arc<Mutex<Vec<String>>>;

/// A network whose sink refuses a payload so many times, and what the sink has taken.
fn refusing(
    place: &Place,
    bad: &'static str,
    times: u32,
) -> tributary::Result<(Simulation, Taken)> {
    let taken = Taken::default();
    let (takes, mut left) = (taken.clone(), times);
    let network = Network::new();
    network.add_source("in", place.source(Follow::No))?;
    let sink = handler(move |event| {
        if text(event) == bad && left > 0 {
            left -= 1;
            return Err(tributary::Error::data("not yet"));
        }
        takes.lock().unwrap().push(text(event));
        Ok(())
    });
    network.add_sink("out", sink)?;
    network.link("in", "out")?;
    Ok((network.simulate(START)?, taken))
}

#[test]
fn a_line_that_failed_comes_again_after_pauses_and_the_place_waits_for_it() -> Tested {
    let place = Place::with("1\n2\n3\n")?;
    let (mut simulation, taken) = refusing(&place, "2", 2)?;
    assert_eq!(*taken.lock().unwrap(), ["1", "3"]);
    simulation.advance(Duration::from_millis(299));
    assert_eq!(taken.lock().unwrap().len(), 2);
    simulation.advance(Duration::from_millis(1));
    assert_eq!(*taken.lock().unwrap(), ["1", "3", "2"]);
    simulation.finish()?;
    assert_eq!(place.read(Follow::No)?, [""; 0]);

    let place = Place::with("1\n2\n3\n")?;
    let (simulation, taken) = refusing(&place, "2", u32::MAX)?;
    drop(simulation);
    assert_eq!(*taken.lock().unwrap(), ["1", "3"]);
    assert_eq!(place.read(Follow::No)?, ["2", "3"], "nothing is skipped");
    Ok(())
}

#[test]
fn no_more_lines_are_under_way_than_may_be() -> Tested {
    let text: String = (0..1_000).map(|n| format!("{n}\n")).collect();
    let place = Place::with(&text)?;
    let kept: Arc<Mutex<Vec<tributary::Event>>> = Arc::default();
    let keep = kept.clone();
    let network = Network::new();
    network.add_source("in", place.source(Follow::No).in_flight(10))?;
    let sink = handler(move |event| {
        keep.lock().unwrap().push(event.clone());
        Ok(())
    });
    network.add_sink("out", sink)?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    let mut seen = 0;
    while seen < 1_000 {
        let events = std::mem::take(&mut *kept.lock().unwrap());
        assert!((1..=10).contains(&events.len()), "{} of them", events.len());
        for event in events {
            assert_eq!(self::text(&event), seen.to_string());
            event.settle(tributary::Outcome::Delivered);
            seen += 1;
        }
        simulation.advance(Duration::from_millis(100));
    }
    simulation.finish()?;
    assert_eq!(place.read(Follow::No)?, [""; 0]);
    Ok(())
}

#[test]
fn a_refused_line_moves_the_place_on() -> Tested {
    let place = Place::with("1\n{'a'}\n2\n")?;
    assert_eq!(place.read(Follow::No)?, ["1", "2"]);
    assert_eq!(place.read(Follow::No)?, [""; 0]);
    Ok(())
}

#[test]
fn a_log_that_was_rotated_while_nothing_ran_is_read_to_its_end_first() -> Tested {
    let place = Place::with("1\n")?;
    assert_eq!(place.read(Follow::Yes)?, ["1"]);
    place.append("2\n")?;
    fs::rename(place.log(), place.at("log.1"))?;
    fs::write(place.log(), "1\n3\n")?;
    assert_eq!(place.read(Follow::Yes)?, ["2", "1", "3"]);
    place.append("4\n")?;
    fs::rename(place.log(), place.at("log.2"))?;
    fs::write(place.log(), "5\n")?;
    fs::remove_file(place.at("log.2"))?;
    assert_eq!(place.read(Follow::Yes)?, ["5"], "what is gone is gone");
    Ok(())
}

#[test]
fn a_log_that_was_cut_is_read_from_its_beginning() -> Tested {
    let place = Place::with("1\n2\n3\n")?;
    assert_eq!(place.read(Follow::Yes)?, ["1", "2", "3"]);
    fs::write(place.log(), "4\n")?;
    assert_eq!(place.read(Follow::Yes)?, ["4"]);
    fs::write(place.log(), "5\n6\n7\n8\n")?;
    assert_eq!(place.read(Follow::Yes)?, ["5", "6", "7", "8"]);
    Ok(())
}

#[test]
fn a_log_may_turn_while_lines_of_it_are_under_way() -> Tested {
    let place = Place::with("1\n2\n")?;
    let taken: Arc<Mutex<Vec<tributary::Event>>> = Arc::default();
    let keep = taken.clone();
    let network = Network::new();
    network.add_source("in", place.source(Follow::Yes))?;
    let keeper = handler(move |event| {
        keep.lock().unwrap().push(event.clone());
        Ok(())
    });
    network.add_sink("out", keeper)?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    fs::rename(place.log(), place.at("log.1"))?;
    fs::write(place.log(), "3\n4\n")?;
    simulation.advance(Duration::from_secs(1));
    let mut events = std::mem::take(&mut *taken.lock().unwrap());
    assert_eq!(
        events.iter().map(text).collect::<Vec<_>>(),
        ["1", "2", "3", "4"]
    );
    for at in [3, 2, 0] {
        events.remove(at).settle(tributary::Outcome::Delivered);
    }
    simulation.advance(Duration::from_secs(1));
    drop(simulation);
    drop(events);
    assert_eq!(place.read(Follow::Yes)?, ["2", "3", "4"]);
    Ok(())
}

#[test]
fn the_checkpoint_of_another_file_is_refused() -> Tested {
    let place = Place::with("1\n2\n")?;
    place.read(Follow::No)?;
    fs::write(place.at("other.jsonl"), "1\n2\n3\n")?;
    for follow in [Follow::No, Follow::Yes] {
        let other = LineSource::file(place.at("other.jsonl"), follow);
        let error = refused(read(other.checkpoint(place.at("place"))))?;
        assert_eq!(error.kind(), ErrorKind::Data);
        let message = error.to_string();
        assert!(
            message.contains("place\" belongs to another file than \""),
            "{message}"
        );
        assert!(message.ends_with("log.jsonl\""), "{message}");
    }
    fs::write(place.log(), "7\n8\n9\n")?;
    let message = refused(place.read(Follow::No))?.to_string();
    assert!(
        message.contains("; the file was replaced; to read it"),
        "{message}"
    );
    Ok(())
}

#[test]
fn what_is_no_checkpoint_is_refused_and_stays_as_it_is() -> Tested {
    let place = Place::with("1\n2\n")?;
    let with = |path: &Path| refused(read(place.source(Follow::No).checkpoint(path)));
    assert!(
        with(&place.log())?
            .to_string()
            .contains("log.jsonl\": is no checkpoint; ")
    );
    assert_eq!(fs::read_to_string(place.log())?, "1\n2\n");
    let error = with(place.0.path())?;
    assert_eq!(error.kind().exit_code(), 73);
    assert!(error.to_string().ends_with("\": is a directory"), "{error}");
    let error = with(&place.at("no/such/place"))?;
    assert_eq!(error.kind().exit_code(), 73);
    assert!(
        error.to_string().contains("; there is no directory \""),
        "{error}"
    );
    fs::write(place.at("place"), "{\"tributary_checkpoint\":7}")?;
    let message = with(&place.at("place"))?.to_string();
    assert!(
        message.ends_with("place\": is of version 7, this program knows 1 to 2"),
        "{message}"
    );
    fs::remove_file(place.at("place"))?;
    assert_eq!(place.read(Follow::No)?, ["1", "2"]);
    let saved = fs::read_to_string(place.at("place"))?;
    fs::write(
        place.at("place"),
        saved.replace("\"offset\":4", "\"offset\":2"),
    )?;
    let message = with(&place.at("place"))?.to_string();
    assert!(
        message.contains("place\": is damaged; to read"),
        "{message}"
    );
    fs::remove_file(place.at("place"))?;
    let error = refused(read(LineSource::stdin().checkpoint(place.at("new"))))?;
    assert!(
        error.to_string().contains("cannot have a checkpoint"),
        "{error}"
    );
    let null = LineSource::file("/dev/null", Follow::No).checkpoint(place.at("new"));
    let error = refused(read(null))?;
    assert!(
        error.to_string().contains("only a regular file can have"),
        "{error}"
    );
    Ok(())
}

#[test]
fn half_a_line_that_a_kill_has_left_is_cut_off_and_whole_ones_are_ended() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("out.jsonl");
    let after = |before: &str| -> Result<String, Box<dyn Error>> {
        fs::write(&path, before)?;
        let network = Network::new();
        network.add_source("in", crate::support::probe::burst(&["7"]))?;
        network.add_sink("out", LineSink::file(&path, true).synced())?;
        network.link("in", "out")?;
        network.simulate(START)?.finish()?;
        Ok(fs::read_to_string(&path)?)
    };
    assert_eq!(after("{}\n{\"a\":1,\"b")?, "{}\n7\n");
    assert_eq!(after("{\"a")?, "7\n");
    assert_eq!(after("{}\n{\"a\":1}")?, "{}\n{\"a\":1}\n7\n");
    assert_eq!(after("12")?, "12\n7\n");
    assert_eq!(after("text")?, "text\n7\n");
    assert_eq!(after("")?, "7\n");
    Ok(())
}

/// How often the binary is killed at most, over so many lines, of which so many are under way.
const KILLS: usize = 30;
const LINES: usize = 20_000;
const IN_FLIGHT: usize = 250;

#[test]
fn nothing_is_lost_when_the_process_is_killed_at_any_moment() -> Tested {
    let script = format!(
        "local tb = require('tributary')
tb.create_file_source('in', 'in.jsonl', {{checkpoint = 'place', in_flight = {IN_FLIGHT}}})
tb.create_forwarder('mid')
tb.create_file_sink('out', 'out.jsonl')
tb.chain('in', 'mid', 'out')"
    );
    let text: String = (0..LINES)
        .map(|n| format!("{{\"n\":{n},\"check\":\"{n:x}\"}}\n"))
        .collect();
    let site = Site::with(&[("net.lua", &script), ("in.jsonl", &text)])?;
    let seed = std::process::id();
    let kills = site.killed_again_and_again(&["run", "net.lua"], KILLS, seed)?;
    let mut counts: HashMap<String, usize> = HashMap::new();
    let written = site.read("out.jsonl")?;
    written
        .lines()
        .for_each(|line| *counts.entry(line.to_owned()).or_default() += 1);
    let expected: HashSet<&str> = text.lines().collect();
    let strange: Vec<_> = counts
        .keys()
        .filter(|line| !expected.contains(line.as_str()))
        .collect();
    let again = written.lines().count() - counts.len();
    println!(
        "seed={seed} kills={kills} sent={LINES} unique={} dup={again}",
        counts.len()
    );
    assert_eq!(strange, [""; 0], "seed {seed}");
    assert_eq!(counts.len(), LINES, "seed {seed}");
    assert!(
        again <= kills * IN_FLIGHT,
        "{again} came again in {kills} kills, seed {seed}"
    );
    Ok(())
}
