//! Files that sinks write: when they are changed, what happens when they are removed, and what a disk
//! that is full leaves in them.

use crate::support::binary::{Running, Site};
use crate::support::probe::START;
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tributary::network::InjectedSource;
use tributary::sink::{LineSink, Rotation};
use tributary::source::{Follow, LineSource};
use tributary::{Network, Simulation, source};

type Tested = Result<(), Box<dyn Error>>;

/// `in -> file`, where `in` sends what is injected.
fn fed(sink: LineSink) -> tributary::Result<Simulation> {
    let network = Network::new();
    network.add_source("in", InjectedSource)?;
    network.add_sink("file", sink)?;
    network.link("in", "file")?;
    network.simulate(START)
}

#[test]
fn a_start_that_fails_leaves_the_files_of_its_sinks_as_they_were() -> Tested {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    fs::write(path("overwritten"), "1\n")?;
    fs::write(path("added_to"), "1\n{\"half\":")?;
    let network = Network::new();
    network.add_source("in", LineSource::file(path("missing"), Follow::No))?;
    network.add_sink("overwritten", LineSink::file(path("overwritten"), false))?;
    network.add_sink("added_to", LineSink::file(path("added_to"), true))?;
    network.fanout("in", ["overwritten", "added_to"])?;
    assert!(network.start().is_err());
    assert_eq!(fs::read_to_string(path("overwritten"))?, "1\n");
    assert_eq!(fs::read_to_string(path("added_to"))?, "1\n{\"half\":");
    Ok(())
}

#[test]
fn a_file_that_is_overwritten_is_empty_at_the_end_also_where_nothing_came() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("out");
    fs::write(&path, "1\n")?;
    for simulated in [true, false] {
        fs::write(&path, "1\n")?;
        let network = Network::new();
        network.add_source("in", source::from_iter([""; 0]))?;
        network.add_sink("file", LineSink::file(&path, false))?;
        network.link("in", "file")?;
        if simulated {
            network.simulate(START)?.finish()?;
        } else {
            network.start()?;
            network.wait()?;
        }
        assert_eq!(fs::read_to_string(&path)?, "");
    }
    Ok(())
}

#[test]
fn sinks_on_one_file_empty_it_once_whichever_writes_first() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("out");
    fs::write(&path, "0\n")?;
    let network = Network::new();
    network.add_source("in", InjectedSource)?;
    for (name, append) in [("a", true), ("b", false), ("c", false)] {
        network.add_sink(name, LineSink::file(&path, append))?;
        network.link("in", name)?;
    }
    let mut simulation = network.simulate(START)?;
    simulation.inject("in", "1")?;
    simulation.inject("in", "2")?;
    simulation.finish()?;
    assert_eq!(fs::read_to_string(&path)?, "1\n1\n1\n2\n2\n2\n");
    Ok(())
}

#[test]
fn lines_go_to_what_is_under_the_path_after_the_file_was_removed_renamed_or_replaced() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("out");
    for append in [true, false] {
        let mut simulation = fed(LineSink::file(&path, append))?;
        simulation.inject("in", "1")?;
        fs::remove_file(&path)?;
        simulation.inject("in", "2")?;
        assert_eq!(fs::read_to_string(&path)?, "2\n");
        let aside = folder.path().join("out.1");
        fs::rename(&path, &aside)?;
        simulation.inject("in", "3")?;
        fs::write(folder.path().join("other"), "0\n")?;
        fs::rename(folder.path().join("other"), &path)?;
        simulation.inject("in", "4")?;
        simulation.inject("in", "5")?;
        simulation.finish()?;
        assert_eq!(fs::read_to_string(&aside)?, "2\n");
        assert_eq!(fs::read_to_string(&path)?, "0\n4\n5\n");
        fs::remove_file(&path)?;
    }
    Ok(())
}

#[test]
fn a_directory_that_was_removed_is_waited_for() -> Tested {
    let folder = TempDir::new()?;
    let place = folder.path().join("logs");
    fs::create_dir(&place)?;
    let mut simulation = fed(LineSink::file(place.join("out"), true))?;
    simulation.inject("in", "1")?;
    fs::remove_dir_all(&place)?;
    simulation.inject("in", "2")?;
    simulation.advance(Duration::from_secs(5));
    fs::create_dir(&place)?;
    simulation.advance(Duration::from_secs(5));
    simulation.finish()?;
    assert_eq!(fs::read_to_string(place.join("out"))?, "2\n");
    Ok(())
}

#[test]
fn what_a_rotation_that_was_killed_has_left_is_removed_and_nothing_else() -> Tested {
    let folder = TempDir::new()?;
    let path = |end: &str| folder.path().join(format!("out{end}"));
    let aside = ".2025-11-24T16:00:00Z-0000";
    let left = [
        format!("{aside}.gz.new"),
        ".2025-11-24T17:00:00Z-0000".into(),
    ];
    let stays = [
        ".2025-11-24T17:00:00Z-0000.gz".to_owned(),
        aside.to_owned(),
        ".mine.gz.new".to_owned(),
        "2.2025-11-24T16:00:00Z-0000.gz.new".to_owned(),
    ];
    for end in left.iter().chain(&stays) {
        fs::write(path(end), "1\n")?;
    }
    let rotation = Rotation::new().bytes(10).gzip(true).keep(9);
    let mut simulation = fed(LineSink::file(path(""), true).rotated(rotation))?;
    simulation.inject("in", "1")?;
    for end in &left {
        assert!(!path(end).exists(), "{end}");
    }
    for end in &stays {
        assert!(path(end).exists(), "{end}");
    }
    Ok(())
}

/// Runs the script with a limit on the size of files, which is lifted once it is met.
fn limited(script: &str, limit: u32, out: &str) -> Result<String, Box<dyn Error>> {
    let text: String = (0..3_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let site = Site::with(&[("net.lua", script), ("in", &text)])?;
    let limits = format!("ulimit -S -f {limit}");
    let mut command = site.command_after(&limits, &["run", "net.lua", "-v"]);
    command
        .stdin(Stdio::null())
        .stdout(File::create(site.path("stdout"))?);
    let mut running = Running::of(command)?;
    running.until_log("file too large")?;
    let part = site.read(out)?;
    assert!(
        part.is_empty() || part.ends_with('\n'),
        "half a line is left"
    );
    assert!(text.starts_with(&part));
    let id = running.id().to_string();
    let lift = ["--pid", &id, "--fsize=unlimited:unlimited"];
    assert!(Command::new("prlimit").args(lift).status()?.success());
    let done = running.wait()?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(site.read(out)?, text);
    Ok(done.stderr)
}

#[test]
fn a_limit_on_the_size_of_files_is_waited_for_and_leaves_no_half_line() -> Tested {
    let script = |sink: &str| {
        format!(
            "local tb = require('tributary') tb.create_file_source('in', 'in') \
             {sink} tb.chain('in', 'out')"
        )
    };
    for sink in [
        "tb.create_file_sink('out', 'out')",
        "tb.create_file_sink('out', 'out', { sync = true, append = false })",
    ] {
        limited(&script(sink), 8, "out")?;
    }
    limited(&script("tb.create_stdout('out')"), 8, "stdout")?;
    Ok(())
}

#[test]
fn a_file_that_cannot_be_compressed_is_kept_as_it_is() -> Tested {
    // A directory in the way stands for the disk that refuses.
    let folder = TempDir::new()?;
    let path = folder.path().join("out");
    let rotation = Rotation::new().bytes(4).gzip(true);
    let mut simulation = fed(LineSink::file(&path, true).rotated(rotation))?;
    simulation.inject("in", "1")?;
    let copy = format!("out.{START}-0000.gz.new");
    fs::create_dir_all(folder.path().join(copy).join("full"))?;
    simulation.inject("in", "234")?;
    simulation.finish()?;
    let names = names(folder.path())?;
    let whole: String = names
        .iter()
        .filter_map(|name| fs::read_to_string(folder.path().join(name)).ok())
        .collect();
    assert_eq!(whole, "234\n1\n", "{names:?}");
    Ok(())
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
