//! The formats of what is read and written.

use super::{Connector, Reading, sorted};
use crate::connect::formats::everywhere::{options, samples, writings};
use serde_json::{Value, json};
use tributary::{Network, Result, connect, source};

/// Writes these payloads, in a format.
fn write<C: Connector>(
    server: &C,
    name: &str,
    format: &Value,
    payloads: Vec<String>,
) -> Result<()> {
    let (url, base) = server.sink(name);
    let many = payloads.len() as u64;
    let network = Network::new();
    network.add_source("in", source::from_iter(payloads))?;
    network.add_sink("out", connect::sink(&url, &options(base, format))?)?;
    network.link("in", "out")?;
    network.start()?;
    network.wait()?;
    let stats = network.stats();
    let out = stats.node("out").expect("a node");
    assert_eq!((out.consumed, out.rejected), (many, 0), "{format}");
    Ok(())
}

fn read<C: Connector>(server: &C, name: &str, format: &Value) -> Result<Reading> {
    let (url, base) = server.source(name);
    Reading::start((url, options(base, format)))
}

pub fn every_format_is_read_and_written<C: Connector>() -> Result<()> {
    let mut server = C::start()?;
    for (at, sample) in samples().into_iter().enumerate() {
        let name = format!("read{at}");
        server.prepare(&name)?;
        let reading = read(&server, &name, &sample.options)?;
        // What a sink needs of an event beside its record.
        let event =
            |(n, record)| json!({"n": n, "customer": "customer-1", "record": record}).to_string();
        let records = sample.stream.lines().enumerate().map(event).collect();
        let raw = json!({"format": "text", "template": "{data.record}"});
        write(&server, &name, &raw, records)?;
        let events = reading.take(sample.events.len());
        let parsed: Vec<Value> = events
            .iter()
            .map(|text| serde_json::from_str(text).expect("JSON"))
            .collect();
        let same = parsed.iter().all(|event| sample.events.contains(event));
        assert!(same, "{}: {events:?}", sample.options);
        reading.stop()?;
    }
    for (at, mut sample) in writings().into_iter().enumerate() {
        let name = format!("written{at}");
        server.prepare(&name)?;
        let reading = read(&server, &name, &json!({"format": "bytes"}))?;
        let is_csv = sample.options["format"] == "csv";
        let (url, base) = server.sink(&name);
        // A stream begins with a header, messages have none.
        let without = json!({"format": "csv", "columns": ["a"], "header": false});
        if is_csv && connect::sink(&url, &options(base, &without)).is_ok() {
            sample.options["header"] = json!(false);
        }
        let events = sample.events.iter().map(Value::to_string).collect();
        write(&server, &name, &sample.options, events)?;
        let records = sample.records.map(str::to_owned).to_vec();
        assert_eq!(
            sorted(reading.take(2)),
            sorted(records),
            "{}",
            sample.options
        );
        reading.stop()?;
    }
    Ok(())
}
