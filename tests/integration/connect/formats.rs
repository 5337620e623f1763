//! Formats: what bytes become, and what events become as bytes.
//!
//! A subject for each file: `text`, `csv`, `logfmt`, `syslog`, `patterns` (`nginx` has a real log), `multiline`; `both_ways`
//! writes random events and reads them again; `positions` are those of checkpoints, also of a process that is `killed`; `everywhere` has the list
//! of all sources and sinks of bytes.

mod both_ways;
mod csv;
pub mod everywhere;
mod killed;
mod logfmt;
mod multiline;
mod nginx;
mod options;
mod patterns;
mod positions;
mod syslog;
mod text;

use crate::support::probe::Seen;
use serde_json::{Value, json};
use std::path::Path;
use tributary::format::{Encoder, Format};
use tributary::sink::LineSink;
use tributary::source::{Follow, LineSource};
use tributary::time::Timestamp;
use tributary::{Event, Network, Result};

/// When these networks run: 2026-12-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_secs(1_796_083_200);

/// What a source made of a stream.
#[derive(Debug, Default)]
struct Made {
    /// The payloads of the events.
    events: Vec<Value>,
    /// The payloads of what was refused, and why, with the place.
    refused: Vec<(String, String)>,
}

impl Made {
    /// The events, where nothing was refused.
    fn all(self) -> Vec<Value> {
        assert!(self.refused.is_empty(), "{:?}", self.refused);
        self.events
    }

    fn of(out: &Seen, bad: &Seen) -> Self {
        let json = |event: &Event| event.payload().json().expect("JSON").clone();
        let refused = |event: &Event| {
            let meta = |key: &str| {
                let value = event.meta().get(key);
                value.and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let place = meta("place");
            let line = place.rsplit(':').next().unwrap_or_default().to_owned();
            let payload = String::from_utf8_lossy(event.payload().bytes());
            (payload.into_owned(), format!("{line}: {}", meta("reason")))
        };
        Made {
            events: out.events().iter().map(json).collect(),
            refused: bad.events().iter().map(refused).collect(),
        }
    }
}

/// What a file of this format becomes.
fn read(options: &Value, stream: impl AsRef<[u8]>) -> Made {
    read_within(options, stream, 1 << 20)
}

/// The same with a bound for the size of an event.
fn read_within(options: &Value, stream: impl AsRef<[u8]>, limit: usize) -> Made {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut file, stream.as_ref()).expect("written");
    let format = Format::new(options).expect("a format");
    let network = Network::new();
    network.set_max_event_bytes(limit);
    let source = LineSource::file(file.path(), Follow::No).format(format);
    let made = (|| {
        network.add_source("in", source)?;
        let (out, bad) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
        network.link("in", "out")?;
        network.link("in.errors", "bad")?;
        network.simulate(NOW)?.finish()?;
        Ok::<_, tributary::Error>(Made::of(&out, &bad))
    })();
    made.expect("it runs")
}

/// Why options are refused.
fn refused(options: &Value) -> String {
    Format::new(options).expect_err("refused").to_string()
}

/// Writes events into a file, in this format. Returns why the others were refused.
fn write(path: &Path, options: &Value, events: &[Value]) -> Result<Vec<String>> {
    let network = Network::new();
    network.add_pipeline("in", tributary::pipeline::Forwarder)?;
    let sink = LineSink::file(path, true).format(Encoder::new(options)?);
    network.add_sink("out", sink)?;
    let bad = Seen::at(&network, "bad")?;
    network.link("in", "out")?;
    network.link("out.errors", "bad")?;
    let mut simulation = network.simulate(NOW)?;
    for event in events {
        simulation.inject("in", event.clone())?;
        simulation.advance(std::time::Duration::from_millis(1));
    }
    simulation.finish()?;
    let reason = |event: &Event| {
        event
            .meta()
            .get("reason")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Ok(bad.events().iter().filter_map(reason).collect())
}

/// What these events are as text.
fn written(options: &Value, events: &[Value]) -> String {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("out");
    let refused = write(&path, options, events).expect("it runs");
    assert!(refused.is_empty(), "{refused:?}");
    std::fs::read_to_string(path).expect("it is there")
}
