//! The access log of a web server: a file source that parses its lines, with a sink behind it, and the bare
//! regular expression over the same lines, on one thread and with nothing made of what it finds.

use super::network::Drain;
use super::watch::Watch;
use regex::Regex;
use serde_json::json;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};
use tributary::format::Format;
use tributary::source::{Follow, LineSource};
use tributary::{Network, Result};

/// The pattern of the format `combined`.
const COMBINED: &str = concat!(
    r#"^(?<host>[^ ]+) [^ ]+ (?<user>[^ ]+) \[(?<time>[^\]]+)\] "#,
    r#""(?:(?<method>[A-Z]+) (?<path>[^ "]*)(?: (?<protocol>[^ "]*))?|(?<request>(?:[^"\\]|\\.)*))" "#,
    r#"(?<status>[0-9]{3}) (?<bytes>[0-9]+|-) "(?<referer>(?:[^"\\]|\\.)*)" "(?<agent>(?:[^"\\]|\\.)*)""#,
);

/// A log of so many lines.
fn log(lines: u64) -> Result<tempfile::NamedTempFile, std::io::Error> {
    let file = tempfile::NamedTempFile::new()?;
    let mut out = BufWriter::new(file.as_file());
    for n in 0..lines {
        let (second, status) = (n / 1_000 % 60, if n % 50 == 0 { 502 } else { 200 });
        writeln!(
            out,
            "10.0.{}.{} - - [01/Dec/2026:00:00:{second:02} +0000] \"GET /shop/item/{n}?from=list HTTP/1.1\" {status} \
             {} \"https://shop.example/list\" \"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0\"",
            n / 256 % 256,
            n % 256,
            n % 9_000,
        )?;
    }
    out.flush()?;
    drop(out);
    Ok(file)
}

fn run(events: u64) -> Result<Duration> {
    let log = log(events).map_err(|error| tributary::Error::io("the log", &error))?;
    let watch = Watch::new(1);
    let network = Network::new();
    let format = Format::new(&json!({"format": "combined"}))?;
    network.add_source(
        "log",
        LineSource::file(log.path(), Follow::No).format(format),
    )?;
    network.add_sink("drain", Drain::new(&watch, events))?;
    network.link("log", "drain")?;
    watch.begin();
    network.start()?;
    let took = watch.wait();
    network.stop()?;
    Ok(took)
}

/// The format of the library.
pub fn network(events: u64) -> Duration {
    run(events).expect("a log is read")
}

/// The regular expression alone.
pub fn bare(events: u64) -> Duration {
    let log = log(events).expect("a log is written");
    let regex = Regex::new(COMBINED).expect("a pattern");
    let mut places = regex.capture_locations();
    let begun = Instant::now();
    let bytes = std::fs::read(log.path()).expect("a log is read");
    let text = std::str::from_utf8(&bytes).expect("it is text");
    for line in text.lines() {
        let found = regex.captures_read(&mut places, line);
        assert!(found.is_some());
        black_box(&places);
    }
    begun.elapsed()
}
