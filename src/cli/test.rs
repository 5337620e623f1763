//! `tributary test`: runs the tests of networks, in virtual time.

use super::load::Scripted;
use super::print;
use crate::script::Tests;
use crate::time::{Clock, SystemClock, Timestamp};
use crate::{Error, ErrorKind, Result, Runtime};
use std::path::{Path, PathBuf};

/// Run tests of networks that are written in Lua, in virtual time.
///
/// A file calls tb.test(name, function(t) ... end) for each test; t loads scripts, injects events,
/// advances the clock and compares the output.
#[derive(clap::Args)]
pub struct Options {
    /// Files of tests, and directories: all files in them that end in test.lua or tests.lua
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// Run the tests whose names contain this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    #[command(flatten)]
    scripted: Scripted,
}

/// What became of the tests so far.
#[derive(Default)]
struct Outcome {
    passed: usize,
    filtered: usize,
    failures: Vec<(String, Error)>,
    recorded: Vec<(String, String, u64)>,
}

pub fn run(options: &Options) -> Result<()> {
    let begun = SystemClock.now();
    let mut outcome = Outcome::default();
    for path in files(&options.paths)? {
        run_file(&path, options, &mut outcome)?;
    }
    summary(&outcome, begun)
}

fn run_file(path: &Path, options: &Options, outcome: &mut Outcome) -> Result<()> {
    let prelude = super::load::prelude(options.scripted.prelude.as_deref());
    let prepare = move |runtime: &Runtime| match &prelude {
        Some(directory) => runtime.add_prelude(directory),
        None => Ok(()),
    };
    let tests = Tests::load(path, options.scripted.limits(), prepare)
        .map_err(super::load::with_way_to_add)?;
    let wanted = |name: &String| {
        options
            .filter
            .as_ref()
            .is_none_or(|text| name.contains(text))
    };
    let (names, others): (Vec<_>, Vec<_>) = tests.names().into_iter().partition(wanted);
    outcome.filtered += others.len();
    let count = super::check::counted(names.len(), "test");
    print(&format!("\nrunning {count} of {}\n", path.display()))?;
    for name in names {
        let result = tests.run(&name);
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        print(&format!("test {name} ... {word}\n"))?;
        match result {
            Ok(()) => outcome.passed += 1,
            Err(error) => outcome.failures.push((name, error)),
        }
    }
    outcome.recorded.extend(tests.recorder().recorded());
    Ok(())
}

fn summary(outcome: &Outcome, begun: Timestamp) -> Result<()> {
    let mut text = String::new();
    if !outcome.failures.is_empty() {
        text.push_str("\nfailures:\n");
    }
    for (name, error) in &outcome.failures {
        text.push_str(&format!("\n---- {name} ----\n"));
        if let Some(place) = error.place() {
            text.push_str(&format!("{place}: "));
        }
        text.push_str(&format!("{}\n", error.message()));
        if let Some(hint) = error.hint() {
            text.push_str(&format!("  hint: {hint}\n"));
        }
    }
    if let Some(recorded) = super::replay::recorded(&outcome.recorded) {
        text.push_str(&format!("\nsinks recorded, not run: {recorded}\n"));
    }
    let failed = outcome.failures.len();
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let took = SystemClock.now().since(begun).as_secs_f64();
    text.push_str(&format!(
        "\ntest result: {word}. {} passed; {failed} failed; {} filtered out; finished in {took:.2}s\n",
        outcome.passed, outcome.filtered
    ));
    print(&text)?;
    match failed {
        0 => Ok(()),
        _ => {
            let failed = super::check::counted(failed, "test");
            Err(Error::new(ErrorKind::Failed, format!("{failed} failed")))
        }
    }
}

/// All files of tests, those of a directory by name.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        search(path, &mut found)?;
        found.sort();
        if found.is_empty() {
            let shown = crate::error::quote(path.to_string_lossy());
            let error = format!("no tests in {shown}");
            return Err(Error::new(ErrorKind::NoInput, error)
                .with_hint("files of tests end in test.lua or tests.lua"));
        }
        files.append(&mut found);
    }
    Ok(files)
}

fn search(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let shown = || crate::error::quote(directory.to_string_lossy());
    let entries = std::fs::read_dir(directory).map_err(|error| Error::io(shown(), &error))?;
    for entry in entries {
        let path = entry.map_err(|error| Error::io(shown(), &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let linked = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        if path.is_dir() && !linked {
            search(&path, found)?;
        } else if name.ends_with("test.lua") || name.ends_with("tests.lua") {
            found.push(path);
        }
    }
    Ok(())
}
