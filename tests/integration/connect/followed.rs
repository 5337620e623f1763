//! Logs that are followed: renamed, cut, copied, linked elsewhere; and named pipes.

use crate::support::binary::Site;
use crate::support::probe::{START, Seen, soon};
use serde_json::{Value, json};
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tributary::source::{Follow, LineSource};
use tributary::{Network, Simulation};

type Tested<T = ()> = Result<T, Box<dyn Error>>;

/// A directory with a log.
pub struct Place(TempDir);

impl Place {
    pub fn with(text: &str) -> Tested<Self> {
        let place = Place(TempDir::new()?);
        fs::write(place.at("log"), text)?;
        Ok(place)
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn add(&self, name: &str, text: &str) -> Tested {
        Ok(self.open(name)?.write_all(text.as_bytes())?)
    }

    pub fn open(&self, name: &str) -> Tested<File> {
        Ok(OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.at(name))?)
    }

    pub fn rename(&self, from: &str, to: &str) -> Tested {
        // Files are put in order by the time at which they were made, which goes by ticks of 4 ms.
        std::thread::sleep(Duration::from_millis(5));
        Ok(fs::rename(self.at(from), self.at(to))?)
    }

    pub fn copy_and_cut(&self, from: &str, to: &str) -> Tested {
        fs::copy(self.at(from), self.at(to))?;
        OpenOptions::new()
            .write(true)
            .open(self.at(from))?
            .set_len(0)?;
        Ok(())
    }

    /// A network that follows the log.
    pub fn follow(&self) -> Tested<Following> {
        let source = LineSource::file(self.at("log"), Follow::Yes);
        Following::start(source.checkpoint(self.at("place")))
    }

    /// What a network reads of the log now, and is ended.
    pub fn read(&self) -> Tested<Vec<String>> {
        let mut following = self.follow()?;
        following.look();
        following.end()
    }
}

pub struct Following(Simulation, Seen);

impl Following {
    pub fn start(source: LineSource) -> Tested<Self> {
        let network = Network::new();
        network.add_source("in", source)?;
        let seen = Seen::at(&network, "out")?;
        network.link("in", "out")?;
        Ok(Following(network.simulate(START)?, seen))
    }

    /// What has come so far.
    pub fn look(&mut self) -> Vec<String> {
        self.0.advance(Duration::from_secs(1));
        self.1.texts()
    }

    pub fn end(self) -> Tested<Vec<String>> {
        assert_eq!(self.0.finish()?.breaches(), [""; 0]);
        Ok(self.1.texts())
    }
}

#[test]
fn lines_that_a_writer_adds_to_a_renamed_file_arrive_beside_those_of_the_new_one() -> Tested {
    let place = Place::with("1\n")?;
    let mut following = place.follow()?;
    let mut late = place.open("log")?;
    place.rename("log", "log.1")?;
    following.look();
    place.add("log", "2\n")?;
    assert_eq!(following.look(), ["1", "2"]);
    late.write_all(b"3\n")?;
    assert_eq!(following.look(), ["1", "2", "3"]);
    place.add("log", "4\n")?;
    late.write_all(b"half of ")?;
    for _ in 0..4 {
        following.look();
    }
    late.write_all(b"5\n")?;
    place.rename("log.1", "log.2")?;
    assert_eq!(
        following.look().len(),
        4,
        "not before the line has ended, and it is no JSON"
    );
    late.write_all(b"6")?;
    for _ in 0..6 {
        following.look();
    }
    assert_eq!(
        following.look()[4..],
        ["6"],
        "the last line of a file that is silent needs no end"
    );
    following.end()?;
    place.add("log", "7\n")?;
    assert_eq!(place.read()?, ["7"]);
    Ok(())
}

#[test]
fn files_that_came_between_two_looks_are_read_in_the_order_in_which_they_were_made() -> Tested {
    let place = Place::with("1\n")?;
    let mut following = place.follow()?;
    for n in 2..6 {
        place.rename("log", "aside")?;
        for from in (1..n).rev() {
            if place.at(&format!("log.{from}")).exists() {
                place.rename(&format!("log.{from}"), &format!("log.{}", from + 1))?;
            }
        }
        place.rename("aside", "log.1")?;
        place.add("log", &format!("{n}\n"))?;
    }
    // None of these is what the log was.
    for other in ["log.place", "logs.1", "log.tmp"] {
        place.add(other, "\"other\"\n")?;
    }
    assert_eq!(following.look(), ["1", "2", "3", "4", "5"]);
    assert_eq!(following.end()?.len(), 5);
    assert_eq!(place.read()?, [""; 0], "none of them is read again");
    Ok(())
}

#[test]
fn files_that_came_while_nothing_ran_are_read_in_the_order_in_which_they_were_made() -> Tested {
    let place = Place::with("0\n")?;
    place.rename("log", "log-20260101")?;
    place.add("log", "1\n")?;
    assert_eq!(place.read()?, ["1"], "what was there before is not read");
    place.add("log", "2\n")?;
    for (day, n) in [(2, 3), (3, 4), (4, 5)] {
        place.rename("log", &format!("log-2026010{day}"))?;
        place.add("log", &format!("{n}\n"))?;
    }
    assert_eq!(place.read()?, ["2", "3", "4", "5"]);
    place.add("log-20260104", "6\n")?;
    assert_eq!(place.read()?, ["6"], "it may still be written to");
    // The log was renamed, and nothing was written since.
    place.add("log", "7\n")?;
    place.rename("log", "log-20260105")?;
    assert_eq!(place.read()?, ["7"]);
    place.add("log", "8\n")?;
    assert_eq!(place.read()?, ["8"]);
    Ok(())
}

#[test]
fn the_place_in_each_file_waits_for_its_lines() -> Tested {
    let place = Place::with("1\n2\n")?;
    let source = LineSource::file(place.at("log"), Follow::Yes).checkpoint(place.at("place"));
    let network = Network::new();
    network.add_source("in", source)?;
    let kept: std::sync::Arc<std::sync::Mutex<Vec<tributary::Event>>> = Default::default();
    let keep = kept.clone();
    let keeper = tributary::sink::handler(move |event| {
        keep.lock().expect("nobody panics").push(event.clone());
        Ok(())
    });
    network.add_sink("out", keeper)?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    place.rename("log", "log.1")?;
    place.add("log", "3\n4\n")?;
    simulation.advance(Duration::from_secs(10));
    let mut events = std::mem::take(&mut *kept.lock().expect("nobody panics"));
    assert_eq!(events.len(), 4);
    for at in [2, 0] {
        events.remove(at).settle(tributary::Outcome::Delivered);
    }
    simulation.advance(Duration::from_secs(1));
    let saved: Value = serde_json::from_slice(&fs::read(place.at("place"))?)?;
    let offsets: Vec<_> = saved["files"]
        .as_array()
        .ok_or("files")?
        .iter()
        .map(|f| f["offset"].clone())
        .collect();
    assert_eq!(offsets, [json!(2), json!(0)]);
    drop(simulation);
    drop(events);
    assert_eq!(place.read()?, ["2", "3", "4"]);
    Ok(())
}

#[test]
fn a_file_that_was_cut_and_has_grown_beyond_its_place_is_never_read_from_the_middle() -> Tested {
    let place = Place::with("1\n2\n3\n")?;
    let mut following = place.follow()?;
    fs::write(place.at("log"), "10\n20\n30\n40\n")?;
    assert_eq!(following.look()[3..], ["10", "20", "30", "40"]);
    following.end()?;
    fs::write(place.at("log"), "10\n200\n300\n400\n500\n600\n")?;
    assert_eq!(place.read()?, ["10", "200", "300", "400", "500", "600"]);
    // Where the first 4 KiB are the same.
    let same = format!("\"{}\"\n", "x".repeat(5_000));
    fs::write(place.at("log"), format!("{same}\"a\"\n"))?;
    place.read()?;
    fs::write(place.at("log"), format!("{same}\"b\"\n\"c\"\n"))?;
    assert_eq!(place.read()?.len(), 3);
    Ok(())
}

#[test]
fn the_rest_of_a_file_that_was_cut_is_read_from_its_copy() -> Tested {
    let place = Place::with("1\n")?;
    let mut following = place.follow()?;
    place.add("log", "2\n")?;
    place.copy_and_cut("log", "log.1")?;
    place.add("log", "3\n4\n5\n")?;
    assert_eq!(following.look(), ["1", "2", "3", "4", "5"]);
    place.add("log", "half ")?;
    assert_eq!(following.look().len(), 5);
    place.add("log", "a line\n6\n")?;
    place.rename("log.1", "log.2")?;
    place.copy_and_cut("log", "log.1")?;
    place.add("log", "7\n")?;
    assert_eq!(following.look()[5..], ["6", "7"]);
    following.end()?;
    // Several times while nothing runs.
    place.add("log", "8\n")?;
    for n in 9..12 {
        // Times of files go by ticks of 4 ms.
        std::thread::sleep(Duration::from_millis(5));
        place.copy_and_cut("log", &format!("log.2026010{n}"))?;
        place.add("log", &format!("{n}\n"))?;
    }
    assert_eq!(place.read()?, ["8", "9", "10", "11"]);
    assert_eq!(place.read()?, [""; 0]);
    Ok(())
}

#[test]
fn a_copy_is_read_also_when_it_was_seen_before_the_cut() -> Tested {
    let line = |name: &str| format!("\"{name}{}\"\n", "x".repeat(300));
    let place = Place::with(&line("a"))?;
    let source = LineSource::file(place.at("log"), Follow::Yes).checkpoint(place.at("place"));
    let network = Network::new();
    network.add_source("in", source.in_flight(1))?;
    let kept: std::sync::Arc<std::sync::Mutex<Vec<tributary::Event>>> = Default::default();
    let keep = kept.clone();
    let keeper = tributary::sink::handler(move |event| {
        keep.lock().expect("nobody panics").push(event.clone());
        Ok(())
    });
    network.add_sink("out", keeper)?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    let mut look = || simulation.advance(Duration::from_secs(1));
    // Nothing more is read while one line is under way.
    place.copy_and_cut("log", "log.1")?;
    look();
    // Times of files go by ticks of 4 ms.
    std::thread::sleep(Duration::from_millis(5));
    place.add("log", &line("b"))?;
    fs::copy(place.at("log"), place.at("log.2"))?;
    look();
    OpenOptions::new()
        .write(true)
        .open(place.at("log"))?
        .set_len(0)?;
    place.add("log", &line("c"))?;
    let mut names = String::new();
    for _ in 0..10 {
        look();
        for event in std::mem::take(&mut *kept.lock().expect("nobody panics")) {
            names.push(char::from(event.payload().bytes()[1]));
            event.settle(tributary::Outcome::Delivered);
        }
    }
    assert_eq!(names, "abc");
    Ok(())
}

#[test]
fn a_copy_that_was_made_of_the_log_is_not_read_as_what_it_was() -> Tested {
    let line = format!("\"{}\"\n", "x".repeat(300));
    let place = Place::with(&line)?;
    let mut following = place.follow()?;
    fs::copy(place.at("log"), place.at("log.bak"))?;
    place.add("log", "1\n")?;
    place.rename("log", "log.1")?;
    place.add("log", "2\n")?;
    assert_eq!(following.look()[1..], ["1", "2"]);
    Ok(())
}

#[test]
fn a_link_that_leads_elsewhere_is_followed_after_the_rest_of_the_old_file() -> Tested {
    let place = Place(TempDir::new()?);
    let link = |to: &str| -> Tested {
        let new = place.at("new");
        std::os::unix::fs::symlink(place.at(to), &new)?;
        Ok(fs::rename(new, place.at("log"))?)
    };
    fs::create_dir(place.at("other"))?;
    place.add("app-20260101", "1\n")?;
    link("app-20260101")?;
    let mut following = place.follow()?;
    place.add("app-20260101", "2\n")?;
    place.add("other/b", "3\n")?;
    link("other/b")?;
    assert_eq!(following.look(), ["1", "2", "3"]);
    place.add("app-20260101", "4\n")?;
    assert_eq!(following.look()[3..], ["4"]);
    following.end()?;
    place.add("other/b", "5\n")?;
    place.add("c", "6\n")?;
    link("c")?;
    assert_eq!(place.read()?, ["5", "6"]);
    // Names that differ by their date alone are one log.
    // Times of files go by ticks of 4 ms.
    std::thread::sleep(Duration::from_millis(5));
    place.add("app-20260102", "7\n")?;
    link("app-20260102")?;
    assert_eq!(place.read()?, ["7"]);
    for day in [3, 4] {
        // Times of files go by ticks of 4 ms.
        std::thread::sleep(Duration::from_millis(5));
        place.add(&format!("app-2026010{day}"), &format!("{}\n", day + 5))?;
    }
    link("app-20260104")?;
    assert_eq!(place.read()?, ["8", "9"]);
    Ok(())
}

#[test]
fn a_checkpoint_of_the_version_before_is_read() -> Tested {
    let place = Place::with("1\n2\n")?;
    let meta = fs::metadata(place.at("log"))?;
    use std::os::unix::fs::MetadataExt;
    let hash = |bytes: &[u8]| format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes));
    let mut old = json!({
        "tributary_checkpoint": 1,
        "path": place.at("log").canonicalize()?,
        "dev": meta.dev(),
        "ino": meta.ino(),
        "offset": 2,
        "line": 1,
        "head": 2,
        "hash": hash(b"1\n"),
    });
    old["check"] = hash(old.to_string().as_bytes()).into();
    let write = || fs::write(place.at("place"), old.to_string());
    write()?;
    assert_eq!(place.read()?, ["2"]);
    assert_eq!(place.read()?, [""; 0]);
    write()?;
    for n in [3, 4] {
        place.rename("log", &format!("log.{n}"))?;
        place.add("log", &format!("{n}\n"))?;
    }
    assert_eq!(place.read()?, ["2", "3", "4"]);
    Ok(())
}

fn fifo(path: &Path) -> Tested {
    assert!(Command::new("mkfifo").arg(path).status()?.success());
    Ok(())
}

#[test]
fn a_named_pipe_waits_for_one_writer_after_the_other_and_ends_with_the_network() -> Tested {
    let place = Place(TempDir::new()?);
    fifo(&place.at("pipe"))?;
    let network = Network::new();
    network.add_source("in", LineSource::file(place.at("pipe"), Follow::Yes))?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    for n in 0..3 {
        // The last line of a writer needs no end, and is not joined to the next one's first.
        OpenOptions::new()
            .write(true)
            .open(place.at("pipe"))?
            .write_all(format!("{n}").as_bytes())?;
        assert!(soon(|| seen.len() == n + 1));
    }
    network.stop()?;
    assert_eq!(seen.texts(), ["0", "1", "2"]);
    Ok(())
}

#[test]
fn a_named_pipe_without_a_writer_ends_by_a_signal_and_by_the_end_of_its_time() -> Tested {
    for follow in ["true", "false"] {
        let script = format!(
            "local tb = require('tributary')
            tb.create_file_source('in', 'pipe', {{ follow = {follow} }})
            tb.create_stdout('out') tb.link('in', 'out')"
        );
        let site = Site::with(&[("net.lua", &script)])?;
        fifo(&site.path("pipe"))?;
        site.call(&["run", "net.lua", "--for", "300ms"])?
            .expect(0, "", "");
        let mut running = site.start(&["run", "net.lua"])?;
        // Far longer than a network of two nodes takes to start.
        std::thread::sleep(Duration::from_millis(500));
        assert!(running.status().is_none(), "it waits for a writer");
        assert_eq!(running.stop()?.code, Some(0));
    }
    Ok(())
}

#[test]
fn a_named_pipe_that_is_not_followed_ends_with_its_writer() -> Tested {
    let place = Place(TempDir::new()?);
    fifo(&place.at("pipe"))?;
    let network = Network::new();
    network.add_source("in", LineSource::file(place.at("pipe"), Follow::No))?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    fs::write(place.at("pipe"), "1\n2")?;
    network.wait()?;
    assert_eq!(seen.texts(), ["1", "2"]);
    Ok(())
}

#[test]
fn what_cannot_be_read_any_more_is_named_in_a_warning() -> Tested {
    let script = "local tb = require('tributary')
        tb.create_file_source('in', 'log', { follow = true, checkpoint = 'place' })
        tb.create_stdout('out') tb.link('in', 'out')";
    let site = Site::with(&[("net.lua", script), ("log", "1\n2\n")])?;
    let run = || site.call(&["run", "net.lua", "--for", "500ms"]);
    run()?.expect(0, "1\n2\n", "");
    fs::write(site.path("log"), "3\n")?;
    let done = run()?;
    assert_eq!(done.stdout, "3\n");
    let message =
        "\"log\" was cut: what it had behind byte 4 is lost, and it is read from its beginning";
    assert!(done.stderr.contains(message), "{}", done.stderr);
    // Times of files go by ticks of 4 ms.
    std::thread::sleep(Duration::from_millis(5));
    fs::write(site.path("log.1.xz"), "compressed by another program")?;
    fs::write(site.path("next"), "5\n")?;
    fs::rename(site.path("next"), site.path("log"))?;
    let done = run()?;
    assert_eq!(done.stdout, "5\n");
    let gone =
        "\"log\" was replaced and what it was before is gone: what that had behind byte 2 is lost";
    assert!(done.stderr.contains(gone), "{}", done.stderr);
    let packed = "log.1.xz\" was compressed before it was read, by another program than gzip: its lines are \
                  lost (29 bytes compressed)";
    assert!(done.stderr.contains(packed), "{}", done.stderr);
    Ok(())
}

#[test]
fn the_time_for_which_a_renamed_file_is_kept_is_an_option() -> Tested {
    let script = |options: &str| {
        format!(
            "local tb = require('tributary')
            tb.create_file_source('in', 'log', {options})
            tb.create_stdout('out') tb.link('in', 'out')"
        )
    };
    let good = script("{ follow = true, rotate_wait = '1s' }");
    let bad = script("{ rotate_wait = '1s' }");
    let site = Site::with(&[("good.lua", &good), ("bad.lua", &bad), ("log", "")])?;
    assert_eq!(site.call(&["check", "good.lua"])?.code, Some(0));
    let done = site.call(&["check", "bad.lua"])?;
    assert_eq!(done.code, Some(65));
    assert!(
        done.stderr
            .contains("rotate_wait of create_file_source is for one with follow"),
        "{}",
        done.stderr
    );
    let place = Place::with("1")?;
    let source = LineSource::file(place.at("log"), Follow::Yes);
    let mut following = Following::start(source.rotate_wait(Duration::from_secs(60)))?;
    place.rename("log", "log.1")?;
    place.add("log", "2\n")?;
    for _ in 0..30 {
        assert_eq!(following.look(), ["2"]);
    }
    place.add("log.1", "2\n")?;
    assert_eq!(following.look(), ["2", "12"]);
    Ok(())
}

#[test]
fn a_restart_without_news_forgets_no_file_that_was_seen() -> Tested {
    let place = Place::with("0\n")?;
    place.rename("log", "log.1")?;
    place.add("log", "1\n")?;
    assert_eq!(place.read()?, ["1"]);
    assert_eq!(place.read()?, [""; 0]);
    assert_eq!(place.read()?, [""; 0]);
    place.rename("log.1", "log.2")?;
    place.rename("log", "log.1")?;
    place.add("log", "2\n")?;
    assert_eq!(place.read()?, ["2"]);
    Ok(())
}
