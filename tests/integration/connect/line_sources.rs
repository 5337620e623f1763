//! One decoder of lines: what holds for one source of lines holds for all of them.

use crate::support::binary::{Done, Site};
use crate::support::probe::{Seen, soon};
use crate::support::process::free_port;
use serde_json::json;
use std::collections::BTreeSet;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tributary::connect::{self, Options};
use tributary::payload::MAX_EVENT_BYTES;
use tributary::source::{Follow, LineSource};
use tributary::{Network, Replay};

type Tested<T = ()> = Result<T, Box<dyn Error>>;

/// What a source made of a stream: the payloads that passed, and the events that were refused.
type Made = (Vec<String>, Vec<tributary::Event>);

/// Brings a source a stream of bytes.
type Bring = fn(&Path, &[u8]) -> Tested<Made>;

/// The sources of lines: each with a way to bring it a stream of bytes.
const LINES: [(&str, Bring); 6] = [
    ("exec", program),
    ("file", file),
    ("http", posted),
    ("stdin", standard_input),
    ("tcp", tcp),
    ("unix", unix),
];

/// The readers of lines that have no scheme: an input of a replay.
const OTHERS: [(&str, Bring); 1] = [("replay", replayed)];

/// Every reader of lines.
fn readers() -> impl Iterator<Item = (&'static str, Bring)> {
    LINES.into_iter().chain(OTHERS)
}

/// Sources whose server says where an event ends.
const MESSAGES: [&str; 7] = ["amqp", "kafka", "mqtt", "nats", "redis", "sql", "tls"];

struct Reading(Network, Seen, Seen);

impl Reading {
    fn start(url: &str, options: &Options) -> Tested<Self> {
        let network = Network::new();
        network.add_source("in", connect::source(url, options)?)?;
        let (out, bad) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
        network.link("in", "out")?;
        network.link("in.errors", "bad")?;
        network.start()?;
        Ok(Reading(network, out, bad))
    }

    fn made(&self) -> Made {
        (self.1.texts(), self.2.events())
    }
}

fn program(place: &Path, stream: &[u8]) -> Tested<Made> {
    std::fs::write(place.join("stream"), stream)?;
    let stream = place.join("stream").display().to_string();
    let reading = Reading::start("exec:cat", &Options::new().with("args", vec![stream]))?;
    reading.0.wait()?;
    Ok(reading.made())
}

fn file(place: &Path, stream: &[u8]) -> Tested<Made> {
    std::fs::write(place.join("stream"), stream)?;
    let url = format!("file:{}", place.join("stream").display());
    let reading = Reading::start(&url, &Options::new())?;
    reading.0.wait()?;
    Ok(reading.made())
}

fn standard_input(_: &Path, stream: &[u8]) -> Tested<Made> {
    let net = "local tb = require('tributary')
        tb.create_stdin('in') tb.create_stdout('out') tb.link('in', 'out')
        tb.create_map('meta', function(e) return { meta = e.meta, head = e.payload } end)
        tb.create_file_sink('bad', 'bad') tb.link('in.errors', 'meta') tb.link('meta', 'bad')";
    let site = Site::with(&[("net.lua", net), ("stream", "")])?;
    std::fs::write(site.path("stream"), stream)?;
    let mut command = site.command(&["run", "net.lua"]);
    command.stdin(std::fs::File::open(site.path("stream"))?);
    let done = Done::of(command)?;
    assert_eq!((done.code, &*done.stderr), (Some(0), ""));
    let mut refused = Vec::new();
    for line in site.read("bad")?.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let head = record["head"].as_str().ok_or("a head")?;
        let mut event = tributary::Event::new(head, tributary::time::Timestamp::from_secs(0));
        for (key, value) in record["meta"].as_object().ok_or("meta")? {
            event = event.with_meta(key, value.clone());
        }
        refused.push(event);
    }
    Ok((done.stdout.lines().map(str::to_owned).collect(), refused))
}

fn tcp(_: &Path, stream: &[u8]) -> Tested<Made> {
    let port = free_port();
    let reading = Reading::start(&format!("tcp://127.0.0.1:{port}"), &Options::new())?;
    let mut writer = TcpStream::connect(("127.0.0.1", port))?;
    writer.write_all(stream)?;
    writer.shutdown(Shutdown::Write)?;
    wait_for_last(&reading);
    reading.0.stop()?;
    Ok(reading.made())
}

fn unix(place: &Path, stream: &[u8]) -> Tested<Made> {
    let path = place.join("socket");
    let reading = Reading::start(&format!("unix:{}", path.display()), &Options::new())?;
    let mut writer = UnixStream::connect(path)?;
    writer.write_all(stream)?;
    writer.shutdown(Shutdown::Write)?;
    wait_for_last(&reading);
    reading.0.stop()?;
    Ok(reading.made())
}

fn wait_for_last(reading: &Reading) {
    assert!(soon(|| reading
        .1
        .texts()
        .last()
        .is_some_and(|text| text.contains("last"))));
}

fn posted(_: &Path, stream: &[u8]) -> Tested<Made> {
    let port = free_port();
    let options = Options::new().with("body_limit", 4 << 20);
    let reading = Reading::start(&format!("http://127.0.0.1:{port}/"), &options)?;
    let mut client = TcpStream::connect(("127.0.0.1", port))?;
    let length = stream.len();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-type: application/jsonl\r\n\
         content-length: {length}\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    client.write_all(stream)?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    reading.0.stop()?;
    let (out, bad) = reading.made();
    let expected = if bad.is_empty() { "204" } else { "413" };
    assert_eq!(answer.split(' ').nth(1), Some(expected), "{answer}");
    Ok((out, bad))
}

fn replayed(place: &Path, stream: &[u8]) -> Tested<Made> {
    let path = place.join("stream");
    std::fs::write(&path, stream)?;
    let network = Network::new();
    network.add_source("in", LineSource::file(&path, Follow::No))?;
    let (out, bad) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
    network.link("in", "out")?;
    network.link("in.errors", "bad")?;
    let mut replay = Replay::new("n");
    replay.input("in", "stream", LineSource::file(&path, Follow::No));
    replay.run(&network)?;
    Ok((out.texts(), bad.events()))
}

/// The schemes of all sources that are built in.
fn schemes() -> Tested<BTreeSet<String>> {
    let error = connect::source("no-such-scheme:", &Options::new()).err();
    let error = error.ok_or("there is none")?.to_string();
    let all = error
        .split("there are ")
        .nth(1)
        .ok_or("a list of schemes")?;
    let is_source = |scheme: &&str| {
        let made = connect::source(&format!("{scheme}:"), &Options::new());
        !made.is_err_and(|error| error.to_string().contains("can be a sink only"))
    };
    Ok(all
        .split(", ")
        .filter(is_source)
        .map(str::to_owned)
        .collect())
}

#[test]
fn every_source_is_one_of_lines_or_of_messages() -> Tested {
    let known = LINES.iter().map(|(scheme, _)| *scheme).chain(MESSAGES);
    let known: BTreeSet<String> = known.map(str::to_owned).collect();
    let built: BTreeSet<String> = schemes()?;
    let missing: Vec<_> = built.difference(&known).collect();
    assert!(
        missing.is_empty(),
        "{missing:?} belong into one of the lists here"
    );
    assert!(LINES.iter().all(|(scheme, _)| built.contains(*scheme)));
    Ok(())
}

#[test]
fn blank_lines_are_skipped_and_a_byte_order_mark_begins_no_line_in_every_source_of_lines() -> Tested
{
    let stream = b"\xef\xbb\xbf{\"n\":1}\r\n\n \t\r\n{\"n\":2}\n\r\n  \n{\"n\":3,\"is\":\"last\"}";
    for (scheme, bring) in readers() {
        let place = tempfile::tempdir()?;
        let (out, bad) =
            bring(place.path(), stream).map_err(|error| format!("{scheme}: {error}"))?;
        assert_eq!(
            out,
            ["{\"n\":1}", "{\"n\":2}", "{\"n\":3,\"is\":\"last\"}"],
            "{scheme}"
        );
        assert!(bad.is_empty(), "{scheme}: {bad:?}");
    }
    Ok(())
}

#[test]
fn a_line_that_is_too_long_leaves_its_head_its_size_and_its_hash_in_every_source_of_lines() -> Tested
{
    let long = format!("\"{}\"", "x".repeat(MAX_EVENT_BYTES));
    let (first, last) = (r#"{"n":1}"#, r#"{"n":3,"is":"last"}"#);
    let stream = format!("{first}\n{long}\r\n{last}\n");
    for (scheme, bring) in readers() {
        let place = tempfile::tempdir()?;
        let (out, bad) = bring(place.path(), stream.as_bytes())?;
        // A body is taken as a whole or not at all.
        let expected: &[&str] = if scheme == "http" {
            &[]
        } else {
            &[first, last]
        };
        assert_eq!(out, expected, "{scheme}");
        assert_eq!(bad.len(), 1, "{scheme}");
        assert_eq!(
            bad[0].payload().bytes(),
            &long.as_bytes()[..4_096],
            "{scheme}"
        );
        let meta = |key: &str| bad[0].meta().get(key).cloned().unwrap_or_default();
        let hash = xxhash_rust::xxh3::xxh3_128(long.as_bytes());
        assert_eq!(meta("size"), json!(long.len()), "{scheme}");
        assert_eq!(meta("xxh3"), json!(format!("{hash:032x}")), "{scheme}");
        let reason = format!("payload of {} bytes > max_event_bytes (1 MiB)", long.len());
        let message = meta("reason");
        assert!(
            message
                .as_str()
                .is_some_and(|message| message.ends_with(&reason)),
            "{scheme}: {message}"
        );
    }
    Ok(())
}

#[test]
fn the_limit_of_a_network_holds_in_its_sources_and_the_place_moves_over_what_it_refuses() -> Tested
{
    let place = tempfile::tempdir()?;
    let (log, checkpoint) = (place.path().join("log"), place.path().join("place"));
    std::fs::write(&log, format!("1\n\"{}\"\n2\n", "x".repeat(2_000)))?;
    for expected in [&["1", "2"][..], &[]] {
        let network = Network::new();
        network.set_max_event_bytes(1_024);
        let options = Options::new().with("checkpoint", checkpoint.display().to_string());
        network.add_source(
            "in",
            connect::source(&format!("file:{}", log.display()), &options)?,
        )?;
        let out = Seen::at(&network, "out")?;
        network.link("in", "out")?;
        network.start()?;
        network.wait()?;
        assert_eq!(out.texts(), expected);
    }
    Ok(())
}
