//! What every verb that takes scripts does first: open the database, add what was asked for on the
//! command line, execute the scripts in order.

use super::endpoint::Endpoint;
use std::path::PathBuf;
use std::time::Duration;
use tributary::network::Fed;
use tributary::store::Limits;
use tributary::{Capacity, Database, Error, Network, Result, Runtime};

/// The scripts and what they run against.
#[derive(clap::Args, Clone)]
pub struct Scripts {
    /// Lua scripts, executed in this order; a later one builds on the nodes of an earlier one
    #[arg(value_name = "SCRIPT", required = true)]
    pub scripts: Vec<PathBuf>,

    /// The database: sqlite::memory:, sqlite:PATH or mysql://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(
        long,
        value_name = "URL",
        default_value = "sqlite::memory:",
        hide_default_value = false
    )]
    pub db: String,

    /// The longest time that one query runs, as in 5s, 500ms
    #[arg(long, value_name = "TIME", default_value = "5s",
          value_parser = tributary::time::parse_positive_duration, allow_hyphen_values = true)]
    pub query_time: Duration,

    /// The most rows that the answer to one query has
    #[arg(long, value_name = "ROWS", default_value_t = 100_000, value_parser = rows,
          allow_hyphen_values = true)]
    pub query_rows: usize,

    /// Add a source that reads JSON lines from a file (- is standard input) before the scripts are
    /// loaded
    #[arg(long, value_name = "NODE=FILE", value_parser = Endpoint::parse)]
    pub input: Vec<Endpoint>,

    /// Add a sink that writes JSON lines to a file, overwriting it (- is standard output), before the
    /// scripts are loaded
    #[arg(long, value_name = "NODE=FILE", value_parser = Endpoint::parse)]
    pub output: Vec<Endpoint>,

    /// How many events may wait in a link (1 to 1000000)
    #[arg(long, value_name = "EVENTS", default_value_t = 4096, value_parser = events,
          allow_hyphen_values = true)]
    pub buffer: usize,
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

/// Builds the network; nothing runs yet.
pub fn load(options: &Scripts) -> Result<Network> {
    load_with(options, Inputs::Read)
}

/// The same with such inputs.
pub fn load_with(options: &Scripts, inputs: Inputs) -> Result<Network> {
    runtime(options, inputs).map(|runtime| runtime.network().clone())
}

/// The same, and gives what has executed the scripts.
pub fn runtime(options: &Scripts, inputs: Inputs) -> Result<Runtime> {
    let capacity = Capacity {
        events: options.buffer,
        ..Capacity::default()
    };
    let network = Network::with_capacity(capacity)?;
    let database = Database::open(&options.db)?.with_limits(Limits {
        rows: options.query_rows,
        time: options.query_time,
    });
    network.extend(|draft| {
        for input in &options.input {
            let place = format!("--input {input}");
            draft.set_place(Some(place.clone()));
            let added = match inputs {
                Inputs::Read => draft.add_source(&input.node, input.source()),
                Inputs::Fed => draft.add_source(&input.node, Fed),
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
    let runtime = Runtime::with_database(&network, &database)?;
    options
        .scripts
        .iter()
        .try_for_each(|script| runtime.run(script).map_err(with_way_to_add))?;
    Ok(runtime)
}

/// A node that a script takes for granted is one that a host program adds; here the command line
/// does.
fn with_way_to_add(error: Error) -> Error {
    let flag = match error.message() {
        _ if error.hint().is_some() => return error,
        text if text.starts_with("no source node") => "--input",
        text if text.starts_with("no target node") => "--output",
        _ => return error,
    };
    error.with_hint(format!(
        "{flag} NODE=FILE adds a node from outside the scripts"
    ))
}
