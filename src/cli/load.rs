//! What every verb that takes scripts does first: open the database, add what was asked for on the
//! command line, execute the scripts in order.

use super::endpoint::Endpoint;
use crate::network::InjectedSource;
use crate::script::ScriptLimits;
use crate::sink::Recorder;
use crate::store;
use crate::{Capacity, Database, Error, Network, Result, Runtime};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The scripts and what they run against.
#[derive(clap::Args)]
pub struct Scripts {
    /// Lua scripts, executed in this order; a later one builds on the nodes of an earlier one
    #[arg(value_name = "SCRIPT", required = true)]
    pub scripts: Vec<PathBuf>,

    #[command(flatten)]
    pub setup: Setup,
}

/// What scripts run against.
#[derive(clap::Args)]
pub struct Setup {
    /// The database: sqlite::memory:, sqlite:PATH or mysql://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(
        long,
        value_name = "URL",
        default_value = "sqlite::memory:",
        hide_default_value = false
    )]
    pub db: String,

    /// The time limit of a query, such as 5s or 500ms
    #[arg(long, value_name = "TIME", default_value = "5s",
          value_parser = crate::time::parse_positive_duration, allow_hyphen_values = true)]
    pub query_time: Duration,

    /// The most rows of a result
    #[arg(long, value_name = "ROWS", default_value_t = 100_000, value_parser = rows,
          allow_hyphen_values = true)]
    pub query_rows: usize,

    /// The most bytes of a result, and of each value while it is computed
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = query_bytes,
          allow_hyphen_values = true)]
    pub query_bytes: usize,

    /// Add a source that reads JSON lines from a file (- is standard input) before the scripts are
    /// loaded
    #[arg(long, value_name = "NODE=FILE", value_parser = Endpoint::parse)]
    pub input: Vec<Endpoint>,

    /// Add a sink that writes JSON lines to a file, overwriting it (- is standard output), before the
    /// scripts are loaded
    #[arg(long, value_name = "NODE=FILE", value_parser = Endpoint::parse)]
    pub output: Vec<Endpoint>,

    /// The capacity of a link in events (1 to 1000000)
    #[arg(long, value_name = "EVENTS", default_value_t = 4096, value_parser = events,
          allow_hyphen_values = true)]
    pub buffer: usize,

    /// The largest event of a source (1KiB to 1MiB); the head of a larger one leaves by `errors`
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = event_bytes,
          allow_hyphen_values = true)]
    pub max_event_bytes: usize,

    #[command(flatten)]
    pub scripted: Scripted,
}

/// What scripts may use.
#[derive(clap::Args)]
pub struct Scripted {
    /// The memory limit of the scripts, and of each node written in Lua
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size,
          allow_hyphen_values = true)]
    pub lua_memory: usize,

    /// The time limit of a call of a Lua function
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration,
          allow_hyphen_values = true)]
    pub lua_call_time: Duration,

    /// Give scripts the libraries os, io and debug, and with those all your permissions
    #[arg(long)]
    pub allow_os: bool,

    /// A directory with your own Lua helpers, which add functions to the module (overrides
    /// TRIBUTARY_PRELUDE)
    #[arg(long, value_name = "DIR")]
    pub prelude: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, Error> {
    crate::time::parse_positive_duration(text)
}

fn size(text: &str) -> Result<usize, &'static str> {
    const GRAMMAR: &str = "a size is expected, as in 64MiB, 1GiB; the least is 4MiB";
    bytes(text).filter(|size| *size >= 4 << 20).ok_or(GRAMMAR)
}

fn event_bytes(text: &str) -> Result<usize, &'static str> {
    const GRAMMAR: &str = "a size from 1KiB to 1MiB is expected, as in 64KiB";
    let fits = |size: &usize| (1 << 10..=1 << 20).contains(size);
    bytes(text).filter(fits).ok_or(GRAMMAR)
}

fn query_bytes(text: &str) -> Result<usize, &'static str> {
    const GRAMMAR: &str = "a size from 1KiB is expected, as in 64MiB";
    bytes(text).filter(|size| *size >= 1 << 10).ok_or(GRAMMAR)
}

fn bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    let number: usize = digits.parse().ok()?;
    number.checked_mul(1 << shift)
}

fn events(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(events @ 1..=1_000_000) => Ok(events),
        _ => Err("a whole number from 1 to 1000000 is expected"),
    }
}

fn rows(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(rows) if rows > 0 => Ok(rows),
        _ => Err("a whole number from 1 is expected"),
    }
}

/// What the sources are that are asked for on the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// They read their files.
    Read,
    /// They send what a replay hands to them.
    Fed,
}

impl Scripted {
    /// The limits of each VM.
    pub fn limits(&self) -> ScriptLimits {
        ScriptLimits {
            memory: self.lua_memory,
            call_time: self.lua_call_time,
            allow_os: self.allow_os,
            ..ScriptLimits::default()
        }
    }
}

/// The directory of the user's own helpers.
pub fn prelude(given: Option<&Path>) -> Option<PathBuf> {
    let set = std::env::var_os("TRIBUTARY_PRELUDE").filter(|set| !set.is_empty());
    given.map(Path::to_owned).or_else(|| set.map(PathBuf::from))
}

/// Builds the network; nothing runs yet.
pub fn load(options: &Scripts) -> Result<Network> {
    open(&options.scripts, &options.setup).map(|(network, _)| network)
}

/// The same, where a database server may take at most this time for each of its answers.
pub fn load_within(options: &Scripts, patience: Duration) -> Result<(Network, Runtime)> {
    open_with(
        &options.scripts,
        &options.setup,
        Inputs::Read,
        None,
        patience,
    )
}

/// The same with inputs that a replay feeds, and with sinks that are recorded where there is a recorder.
pub fn load_fed(options: &Scripts, recorder: Option<&Recorder>) -> Result<(Network, Runtime)> {
    open_with(
        &options.scripts,
        &options.setup,
        Inputs::Fed,
        recorder,
        Duration::MAX,
    )
}

/// Builds the network, to which more can be added.
pub fn open(scripts: &[PathBuf], options: &Setup) -> Result<(Network, Runtime)> {
    open_with(scripts, options, Inputs::Read, None, Duration::MAX)
}

fn open_with(
    scripts: &[PathBuf],
    options: &Setup,
    inputs: Inputs,
    recorder: Option<&Recorder>,
    patience: Duration,
) -> Result<(Network, Runtime)> {
    let capacity = Capacity {
        events: options.buffer,
        ..Capacity::default()
    };
    let network = Network::with_capacity(capacity)?;
    network.set_max_event_bytes(options.max_event_bytes);
    let database = Database::open_within(&options.db, patience)
        .map_err(with_schema)?
        .with_limits(store::QueryLimits {
            rows: options.query_rows,
            time: options.query_time,
            bytes: options.query_bytes,
        });
    network.change(|draft| {
        for input in &options.input {
            let place = format!("--input {input}");
            draft.set_place(Some(place.clone()));
            let added = match inputs {
                Inputs::Read => draft.add_source(&input.node, input.source()),
                Inputs::Fed => draft.add_source(&input.node, InjectedSource),
            };
            added.map_err(|error| error.at(place))?;
        }
        for output in &options.output {
            let place = format!("--output {output}");
            draft.set_place(Some(place.clone()));
            let added = draft.add_sink(&output.node, output.sink());
            added.map_err(|error| error.at(place))?;
        }
        Ok(())
    })?;
    let runtime = Runtime::with_limits(&network, &database, options.scripted.limits())?;
    if let Some(recorder) = recorder {
        runtime.record_sinks(recorder);
    }
    if let Some(directory) = prelude(options.scripted.prelude.as_deref()) {
        runtime.add_prelude(directory)?;
    }
    scripts
        .iter()
        .try_for_each(|script| runtime.run(script).map_err(with_way_to_add))?;
    Ok((network, runtime))
}

/// Why nothing runs without the database.
pub const SCHEMA: &str =
    "tables and queries are checked against the schema of the database before the network starts";

/// A server that is not available ends the load, where a broker would be waited for.
fn with_schema(error: Error) -> Error {
    if error.is_retryable() && error.hint().is_none() {
        error.with_hint(SCHEMA)
    } else {
        error
    }
}

/// A node that a script takes for granted is one that a host program adds; here the command line
/// does.
pub fn with_way_to_add(error: Error) -> Error {
    let flag = match error.message() {
        _ if error.hint().is_some() => return error,
        text if text.ends_with("is not available to this script") => {
            let hint = "--allow-os gives it, to scripts that may do what you may";
            return if text.starts_with("package.") {
                error
            } else {
                error.with_hint(hint)
            };
        }
        text if text.starts_with("no source node") => "--input",
        text if text.starts_with("no target node") => "--output",
        _ => return error,
    };
    error.with_hint(format!(
        "{flag} NODE=FILE adds a node from outside the scripts"
    ))
}
