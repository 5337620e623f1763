//! One suite over every pipeline and every sink behind a file source with a checkpoint: the network ends
//! by itself with its place at the end of the file, an event that failed is delivered at another attempt,
//! one that always fails goes to the dead letters, and a stop in the middle loses nothing.
//!
//! The tables in `pipelines` and `sinks` name what is tested. `listed` compares them with the functions
//! of Lua, the schemes of the connectors and the types that `src/pipeline.rs` and `src/sink.rs` export:
//! a new one that is in no table fails there. Brokers pass the same claims in `connectors/claims`: the
//! comparison fails for a scheme that has neither a table's line nor these claims.

mod listed;
mod pipelines;
mod services;
mod sinks;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tributary::store::{DeadLetters, LetterFilter};
use tributary::{Database, Error, Event, Network, Result, Runtime, sink};

/// How long a network may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// The event that fails once, or each time.
const REFUSED: i64 = 13;

/// How many events go through.
const MANY: i64 = 60;

/// A directory with the input, the checkpoint, the database, and whatever the node writes.
struct Place {
    directory: tempfile::TempDir,
    ids: BTreeSet<i64>,
    size: u64,
}

impl Place {
    /// An input of so many events, and these lines after them.
    fn with(many: i64, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs();
        let mut lines: String = (0..many)
            .map(|n| format!("{{\"n\":{n},\"t\":{now},\"text\":\"k={n}\"}}\n"))
            .collect();
        more.iter().for_each(|line| lines += &format!("{line}\n"));
        std::fs::write(directory.path().join("in"), &lines).expect("written");
        Place {
            directory,
            ids: (0..many).collect(),
            size: lines.len() as u64,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A network that a script builds, in which `%` stands for this directory, over a database of its own.
    fn build(&self, script: &str, prepare: impl FnOnce(&Network) -> Result<()>) -> Result<Network> {
        let network = Network::new();
        prepare(&network)?;
        let database = Database::open(&format!("sqlite:{}", self.at("db").display()))?;
        let limits = tributary::script::ScriptLimits::new().allow_os(true);
        let script = format!(
            "local tb = require('tributary')\n\
             tb.create_file_source('in', '%/in', {{ checkpoint = '%/place' }})\n{script}"
        );
        let script = script.replace('%', &self.directory.path().display().to_string());
        Runtime::with_limits(&network, &database, limits)?.run_text("net.lua", script)?;
        Ok(network)
    }

    /// Whether the checkpoint is at the end of the input.
    fn is_at_the_end(&self) -> bool {
        let text = std::fs::read_to_string(self.at("place")).unwrap_or_default();
        let place: Value = serde_json::from_str(&text).unwrap_or_default();
        place["files"][0]["offset"] == self.size
    }

    /// The numbers of the events among the dead letters.
    fn letters(&self) -> Result<Vec<i64>> {
        let letters = DeadLetters::file(self.at("letters"));
        let listed = letters.list(&LetterFilter::default(), 1)?;
        let mut ids = Vec::new();
        for letter in listed {
            ids.extend(ids_in(&letters.get(letter.id)?.payload));
        }
        Ok(ids)
    }
}

/// Starts a network and waits until it ends by itself.
fn ends(network: &Network) -> Result<()> {
    network.start()?;
    let ended = network.wait_timeout(PATIENCE);
    ended.unwrap_or_else(|| {
        let stats = network.stats();
        network.abort();
        Err(Error::data(format!("it does not end:\n{stats}")))
    })
}

/// The numbers `n` in a payload: of one event, or of a list of events.
fn ids_in(payload: &[u8]) -> Vec<i64> {
    let json: Value = serde_json::from_slice(payload).unwrap_or_default();
    let many = match json {
        Value::Array(items) => items,
        one => vec![one],
    };
    many.iter().filter_map(|one| one["n"].as_i64()).collect()
}

/// How often each number was delivered.
type Counts = BTreeMap<i64, usize>;

fn counts(ids: impl IntoIterator<Item = i64>) -> Counts {
    let mut counts = Counts::new();
    ids.into_iter()
        .for_each(|id| *counts.entry(id).or_default() += 1);
    counts
}

/// The end of a pipeline: notes what arrives, and fails an event as often as the test says.
#[derive(Clone, Default)]
struct Arrived {
    ids: Arc<Mutex<Vec<i64>>>,
    /// How often [`REFUSED`] is still refused.
    refusals: Arc<AtomicUsize>,
    /// How long each event takes.
    pause: Duration,
}

impl Arrived {
    fn refusing(times: usize) -> Self {
        let arrived = Arrived::default();
        arrived.refusals.store(times, Ordering::Relaxed);
        arrived
    }

    fn add_to(&self, network: &Network) -> Result<()> {
        let this = self.clone();
        let take = move |event: &Event| {
            // A slow sink.
            std::thread::sleep(this.pause);
            let ids = ids_in(event.payload().bytes());
            let left = this.refusals.load(Ordering::Relaxed);
            if ids.contains(&REFUSED) && left > 0 {
                this.refusals.store(left - 1, Ordering::Relaxed);
                return Err(Error::data("not now"));
            }
            this.ids.lock().expect("no panic").extend(ids);
            Ok(())
        };
        network.add_sink("seen", sink::handler(take)).map(drop)
    }

    fn ids(&self) -> Vec<i64> {
        self.ids.lock().expect("no panic").clone()
    }

    fn counts(&self) -> Counts {
        counts(self.ids())
    }
}
