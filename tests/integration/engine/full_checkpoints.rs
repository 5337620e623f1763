//! Checkpoints on a disk that is full for a while: each event comes once, and the place is the end.

use crate::support::probe::{START, Seen, soon, text};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tributary::connect::{self, Options};
use tributary::sink::handler;
use tributary::source::{Follow, LineSource};
use tributary::{Network, Source};

type Tested = Result<(), Box<dyn Error>>;

/// A directory with a checkpoint `place`.
struct Disk(TempDir);

impl Disk {
    fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Disk(TempDir::new()?))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A checkpoint is written to this file and renamed: there is no room for it any more.
    fn fill(&self) -> Tested {
        Ok(symlink("/dev/full", self.at("place.new"))?)
    }

    fn free(&self) -> Tested {
        Ok(fs::remove_file(self.at("place.new"))?)
    }

    fn lines(&self) -> LineSource {
        LineSource::file(self.at("log"), Follow::Yes).checkpoint(self.at("place"))
    }

    fn append(&self, name: &str, text: &str) -> Tested {
        let mut options = fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(self.at(name))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    /// A database with so many rows.
    fn rows(&self, many: i64) -> Result<Box<dyn Source>, Box<dyn Error>> {
        let path = self.at("rows.db");
        let database = rusqlite::Connection::open(&path)?;
        database.execute_batch("create table if not exists rows (id integer primary key)")?;
        for id in 1..=many {
            database.execute("insert or ignore into rows values (?)", [id])?;
        }
        let options = Options::new()
            .with(
                "query",
                "select id from rows where id > :cursor order by id limit 3",
            )
            .with("cursor", "id")
            .with("checkpoint", self.at("place").display().to_string());
        let url = format!("sql:sqlite:{}", path.display());
        Ok(connect::source(&url, &options)?)
    }
}

/// What another network reads from where the last one stood.
fn left(source: impl Source + 'static) -> Result<Vec<String>, Box<dyn Error>> {
    let network = Network::new();
    network.add_source("in", source)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(10));
    simulation.finish()?;
    Ok(seen.texts())
}

fn reopened(network: &Network) -> u64 {
    let stats = network.stats();
    stats.node("in").map_or(0, |node| node.reopened)
}

#[test]
fn each_line_comes_once_when_the_first_checkpoint_waits_for_room() -> Tested {
    let disk = Disk::new()?;
    disk.append("log", "1\n2\n")?;
    disk.fill()?;
    let network = Network::new();
    network.add_source("in", disk.lines().rotate_wait(Duration::from_millis(10)))?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    assert!(soon(|| reopened(&network) >= 2));
    assert_eq!(seen.texts(), [""; 0], "nothing is read before");
    // The log that was found is read on, also when it is renamed meanwhile.
    fs::rename(disk.at("log"), disk.at("log.1"))?;
    disk.append("log.1", "3\n")?;
    disk.append("log", "4\n")?;
    disk.free()?;
    assert!(soon(|| seen.len() >= 4));
    network.stop()?;
    assert_eq!(seen.texts(), ["1", "2", "3", "4"]);
    assert_eq!(left(disk.lines())?, [""; 0]);
    Ok(())
}

#[test]
fn each_line_is_delivered_once_while_the_checkpoint_waits_for_room() -> Tested {
    let disk = Disk::new()?;
    disk.append("log", "1\n2\n")?;
    let network = Network::new();
    network.add_source("in", disk.lines())?;
    let taken = Arc::new(Mutex::new(Vec::new()));
    let (takes, mut refused) = (taken.clone(), false);
    let sink = handler(move |event| {
        // One line fails, and is emitted again while there is no room.
        if text(event) == "4" && !std::mem::replace(&mut refused, true) {
            return Err(tributary::Error::data("not yet"));
        }
        takes.lock().unwrap().push(text(event));
        Ok(())
    });
    network.add_sink("out", sink)?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(1));
    disk.fill()?;
    disk.append("log", "3\n4\n5\n")?;
    simulation.advance(Duration::from_secs(10));
    disk.free()?;
    disk.append("log", "6\n")?;
    simulation.advance(Duration::from_secs(30));
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    let mut taken = taken.lock().unwrap().clone();
    taken.sort();
    assert_eq!(taken, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(left(disk.lines())?, [""; 0]);
    Ok(())
}

#[test]
fn each_line_comes_once_when_reading_fails_for_a_while() -> Tested {
    let disk = Disk::new()?;
    disk.append("log", "1\n2\n")?;
    let network = Network::new();
    network.add_source("in", disk.lines())?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(1));
    fs::rename(disk.at("log"), disk.at("log.1"))?;
    disk.append("log.1", "3\n")?;
    // It cannot be read, which is retryable.
    fs::create_dir(disk.at("log"))?;
    simulation.advance(Duration::from_secs(10));
    fs::remove_dir(disk.at("log"))?;
    disk.append("log", "4\n")?;
    simulation.advance(Duration::from_secs(10));
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    assert_eq!(seen.texts(), ["1", "2", "3", "4"]);
    assert_eq!(left(disk.lines())?, [""; 0]);
    Ok(())
}

#[test]
fn each_row_comes_once_when_the_first_checkpoint_waits_for_room() -> Tested {
    let disk = Disk::new()?;
    disk.fill()?;
    let network = Network::new();
    network.add_source("in", disk.rows(8)?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    assert!(soon(|| reopened(&network) >= 2));
    assert_eq!(seen.texts(), [""; 0], "nothing is read before");
    disk.free()?;
    assert!(soon(|| seen.len() >= 8));
    network.stop()?;
    let expected: Vec<String> = (1..=8).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    assert_eq!(seen.texts(), expected);
    assert_eq!(left(disk.rows(8)?)?, [""; 0]);
    Ok(())
}

#[test]
fn each_row_comes_once_while_the_checkpoint_waits_for_room() -> Tested {
    let disk = Disk::new()?;
    let network = Network::new();
    network.add_source("in", disk.rows(2)?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(2));
    assert_eq!(seen.len(), 2);
    disk.fill()?;
    disk.rows(5)?;
    simulation.advance(Duration::from_secs(10));
    disk.free()?;
    disk.rows(8)?;
    simulation.advance(Duration::from_secs(10));
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    let expected: Vec<String> = (1..=8).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    assert_eq!(seen.texts(), expected);
    assert_eq!(left(disk.rows(8)?)?, [""; 0]);
    Ok(())
}
