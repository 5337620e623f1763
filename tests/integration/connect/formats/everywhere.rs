//! Every source and every sink of bytes, in every format.
//!
//! The lists of connectors are those of the registry: a new one fails here until its line is in the tables.
//! Brokers pass the same samples in `connect/claims`.

use super::{Made, Value, json};
use crate::support::binary::{Done, Site};
use crate::support::probe::{Seen, soon};
use crate::support::process::free_port;
use std::collections::BTreeSet;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use tributary::connect::{self, Options};
use tributary::format::FORMATS;
use tributary::{Network, pipeline};

type Tested<T = ()> = Result<T, Box<dyn Error>>;

/// A stream in a format, by its options; what each of its records becomes.
pub struct Sample {
    pub options: Value,
    pub stream: &'static str,
    pub events: Vec<Value>,
}

/// One for each format.
pub fn samples() -> Vec<Sample> {
    let sample = |options: Value, stream, events: &[Value]| Sample {
        options,
        stream,
        events: events.to_vec(),
    };
    let of_syslog = |host: &str| {
        json!({
            "facility": 4, "severity": 2, "time": 1_764_000_000, "host": host, "app": "su", "pid": null,
            "msgid": null, "data": null, "message": "a text",
        })
    };
    let of_access = |host: &str| {
        json!({
            "host": host, "user": null, "time": 971_211_336, "method": "GET", "path": "/", "protocol":
            "HTTP/1.1", "status": 200, "bytes": 7,
        })
    };
    let mut of_combined = [of_access("a"), of_access("b")];
    for event in &mut of_combined {
        event["referer"] = Value::Null;
        event["agent"] = json!("x");
    }
    let of_error = |level: &str| {
        json!({
            "time": 1_796_083_200, "level": level, "pid": 1, "tid": 2, "connection": null, "message": "m",
            "client": null, "server": null, "request": null, "upstream": null, "host": null, "referrer": null,
        })
    };
    vec![
        sample(
            json!({"format": "json"}),
            "{\"n\":1}\n{\"n\":2}\n",
            &[json!({"n": 1}), json!({"n": 2})],
        ),
        sample(
            json!({"format": "text"}),
            "one \"1\"\ntwo\n",
            &[json!({"message": "one \"1\""}), json!({"message": "two"})],
        ),
        sample(
            json!({"format": "bytes"}),
            "[1]\n2\n",
            &[json!([1]), json!(2)],
        ),
        sample(
            json!({"format": "csv", "columns": ["a", "b"], "types": {"a": "integer"}, "delimiter": ";"}),
            "1;x\n2;\"y;\"\n",
            &[json!({"a": 1, "b": "x"}), json!({"a": 2, "b": "y;"})],
        ),
        sample(
            json!({"format": "logfmt"}),
            "a=1 b=\"x y\"\na=2\n",
            &[json!({"a": 1, "b": "x y"}), json!({"a": 2})],
        ),
        sample(
            json!({"format": "syslog"}),
            "<34>1 2025-11-24T16:00:00Z a su - - - a text\n<34>1 2025-11-24T16:00:00Z b su - - - a text\n",
            &[of_syslog("a"), of_syslog("b")],
        ),
        sample(
            json!({"format": "combined"}),
            "a - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 7 \"-\" \"x\"\n\
             b - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 7 \"-\" \"x\"\n",
            &of_combined,
        ),
        sample(
            json!({"format": "common"}),
            "a - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 7\n\
             b - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 7\n",
            &[of_access("a"), of_access("b")],
        ),
        sample(
            json!({"format": "nginx_error"}),
            "2026/12/01 00:00:00 [warn] 1#2: m\n2026/12/01 00:00:00 [error] 1#2: m\n",
            &[of_error("warn"), of_error("error")],
        ),
        sample(
            json!({"format": {"pattern": "^(?<a>\\w+) (?<b>\\d+)$"}, "types": {"b": "integer"}}),
            "x 1\ny 2\n",
            &[json!({"a": "x", "b": 1}), json!({"a": "y", "b": 2})],
        ),
    ]
}

/// Events, the options of a sink, and what it writes for each, without line ends.
pub struct Written {
    pub options: Value,
    pub events: Vec<Value>,
    pub records: [&'static str; 2],
}

/// One for each format that can be written.
pub fn writings() -> Vec<Written> {
    let events = vec![
        json!({"n": 1, "customer": "customer-1", "b": "x y", "message": "m"}),
        json!({"n": 2, "customer": "customer-1", "b": "\"", "message": "n"}),
    ];
    let written = |options: Value, records| Written {
        options,
        events: events.clone(),
        records,
    };
    let json = [
        "{\"n\":1,\"customer\":\"customer-1\",\"b\":\"x y\",\"message\":\"m\"}",
        "{\"n\":2,\"customer\":\"customer-1\",\"b\":\"\\\"\",\"message\":\"n\"}",
    ];
    vec![
        written(json!({"format": "json"}), json),
        written(json!({"format": "bytes"}), json),
        written(json!({"format": "text"}), ["m", "n"]),
        written(
            json!({"format": "text", "template": "{data.b}: {data.n}"}),
            ["x y: 1", "\": 2"],
        ),
        written(
            json!({"format": "csv", "columns": ["b", "n"], "delimiter": ";"}),
            ["x y;1", "\"\"\"\";2"],
        ),
        written(
            json!({"format": "logfmt"}),
            [
                "n=1 customer=customer-1 b=\"x y\" message=m",
                "n=2 customer=customer-1 b=\"\\\"\" message=n",
            ],
        ),
    ]
}

pub fn options(base: Options, more: &Value) -> Options {
    let more = more.as_object().into_iter().flatten();
    more.fold(base, |options, (name, value)| {
        options.with(name, value.clone())
    })
}

/// Brings a source a stream of bytes that is so many events.
type Bring = fn(&Path, &Value, &str, usize) -> Tested<Made>;

const SOURCES: [(&str, Bring); 6] = [
    ("exec", program),
    ("file", file),
    ("http", posted),
    ("stdin", standard_input),
    ("tcp", tcp),
    ("unix", unix),
];

/// Has a sink write events. Returns all that it wrote, with a line end behind each record.
type Take = fn(&Path, &Value, &[Value]) -> Tested<String>;

const SINKS: [(&str, Take); 6] = [
    ("exec", to_program),
    ("file", to_file),
    ("http", to_http),
    ("stdout", to_standard_output),
    ("tcp", to_tcp),
    ("unix", to_unix),
];

/// Those whose bytes are messages: they pass in `connect/claims`. The others are the same connector by
/// another scheme.
const BROKERS: [&str; 6] = ["amqp", "kafka", "mqtt", "nats", "redis", "tls"];
const ALIASES: [&str; 1] = ["https"];

#[test]
fn every_source_and_sink_of_bytes_and_every_format_is_in_the_tables() {
    let (sources, sinks) = connect::byte_schemes();
    let known = |names: &mut dyn Iterator<Item = &'static str>| {
        names.chain(BROKERS).chain(ALIASES).collect::<BTreeSet<_>>()
    };
    let readers = known(&mut SOURCES.iter().map(|(name, _)| *name));
    let missing: Vec<_> = sources
        .iter()
        .filter(|name| !readers.contains(*name))
        .collect();
    assert!(missing.is_empty(), "sources: {missing:?}");
    let writers = known(&mut SINKS.iter().map(|(name, _)| *name));
    let missing: Vec<_> = sinks
        .iter()
        .filter(|name| !writers.contains(*name))
        .collect();
    assert!(missing.is_empty(), "sinks: {missing:?}");
    for (name, _) in SOURCES {
        assert!(sources.contains(&name), "{name} has no formats");
    }
    for (name, _) in SINKS {
        assert!(sinks.contains(&name), "{name} has no formats");
    }
    let samples = samples();
    let read = |name: &&str| {
        samples
            .iter()
            .any(|sample| sample.options["format"] == **name)
    };
    let missing: Vec<_> = FORMATS.iter().filter(|name| !read(name)).collect();
    assert!(missing.is_empty(), "formats: {missing:?}");
}

#[test]
fn every_source_of_a_stream_reads_every_format() -> Tested {
    for (scheme, bring) in SOURCES {
        for sample in samples() {
            let place = tempfile::tempdir()?;
            let of = |error| format!("{scheme}, {}: {error}", sample.options);
            let made = bring(
                place.path(),
                &sample.options,
                sample.stream,
                sample.events.len(),
            );
            let made = made.map_err(of)?;
            assert!(made.refused.is_empty(), "{scheme}: {made:?}");
            assert_eq!(made.events, sample.events, "{scheme}: {}", sample.options);
        }
    }
    Ok(())
}

#[test]
fn every_sink_of_a_stream_writes_every_format() -> Tested {
    for (scheme, take) in SINKS {
        for sample in writings() {
            let place = tempfile::tempdir()?;
            let of = |error| format!("{scheme}, {}: {error}", sample.options);
            let text = take(place.path(), &sample.options, &sample.events).map_err(of)?;
            let mut expected: String = sample.records.map(|record| format!("{record}\n")).concat();
            if sample.options["format"] == "csv" {
                expected = match scheme {
                    // A program has one record.
                    "exec" => expected,
                    // A request is a document of its own.
                    "http" => sample
                        .records
                        .map(|record| format!("b;n\n{record}\n"))
                        .concat(),
                    _ => format!("b;n\n{expected}"),
                };
            }
            assert_eq!(text, expected, "{scheme}: {}", sample.options);
        }
    }
    Ok(())
}

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
        Made::of(&self.1, &self.2)
    }

    fn stop_after(self, events: usize) -> Tested<Made> {
        let all = || self.1.len() + self.2.len() >= events;
        assert!(soon(all), "{:?}", self.made());
        self.0.stop()?;
        Ok(self.made())
    }
}

fn program(place: &Path, more: &Value, stream: &str, _: usize) -> Tested<Made> {
    std::fs::write(place.join("stream"), stream)?;
    let args = vec![place.join("stream").display().to_string()];
    let reading = Reading::start(
        "exec:cat",
        &options(Options::new().with("args", args), more),
    )?;
    reading.0.wait()?;
    Ok(reading.made())
}

fn file(place: &Path, more: &Value, stream: &str, _: usize) -> Tested<Made> {
    std::fs::write(place.join("stream"), stream)?;
    let url = format!("file:{}", place.join("stream").display());
    let reading = Reading::start(&url, &options(Options::new(), more))?;
    reading.0.wait()?;
    Ok(reading.made())
}

fn posted(_: &Path, more: &Value, stream: &str, events: usize) -> Tested<Made> {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/");
    let reading = Reading::start(&url, &options(Options::new(), more))?;
    let mut client = TcpStream::connect(("127.0.0.1", port))?;
    let length = stream.len();
    let head =
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-type: application/jsonl\r\n";
    client.write_all(format!("{head}content-length: {length}\r\n\r\n{stream}").as_bytes())?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    assert_eq!(answer.split(' ').nth(1), Some("204"), "{answer}");
    reading.stop_after(events)
}

/// The options as a table of Lua.
fn lua(options: &Value) -> String {
    match options {
        Value::Object(map) => {
            let fields = map
                .iter()
                .map(|(key, value)| format!("['{key}'] = {}", lua(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(lua).collect();
            format!("{{ {} }}", items.join(", "))
        }
        Value::String(text) => format!("[==[{text}]==]"),
        other => other.to_string(),
    }
}

fn standard_input(_: &Path, more: &Value, stream: &str, _: usize) -> Tested<Made> {
    let net = format!(
        "local tb = require('tributary')
        tb.create_stdin('in', {}) tb.create_stdout('out') tb.link('in', 'out')",
        lua(more)
    );
    let site = Site::with(&[("net.lua", &net)])?;
    let done = site.feed(&["run", "net.lua"], stream)?;
    assert_eq!((done.code, &*done.stderr), (Some(0), ""));
    let events = done.stdout.lines().map(serde_json::from_str);
    Ok(Made {
        events: events.collect::<Result<_, _>>()?,
        refused: Vec::new(),
    })
}

fn tcp(_: &Path, more: &Value, stream: &str, events: usize) -> Tested<Made> {
    let port = free_port();
    let url = format!("tcp://127.0.0.1:{port}");
    let reading = Reading::start(&url, &options(Options::new(), more))?;
    let mut writer = TcpStream::connect(("127.0.0.1", port))?;
    writer.write_all(stream.as_bytes())?;
    writer.shutdown(Shutdown::Write)?;
    reading.stop_after(events)
}

fn unix(place: &Path, more: &Value, stream: &str, events: usize) -> Tested<Made> {
    let path = place.join("socket");
    let url = format!("unix:{}", path.display());
    let reading = Reading::start(&url, &options(Options::new(), more))?;
    let mut writer = UnixStream::connect(path)?;
    writer.write_all(stream.as_bytes())?;
    writer.shutdown(Shutdown::Write)?;
    reading.stop_after(events)
}

/// Writes events to a sink, one after the other.
fn run(url: &str, options: &Options, events: &[Value]) -> Tested {
    let network = Network::new();
    network.add_source("in", tributary::source::from_iter(events.to_vec()))?;
    network.add_pipeline("between", pipeline::Forwarder)?;
    network.add_sink("out", connect::sink(url, options)?)?;
    let bad = Seen::at(&network, "bad")?;
    network.link("in", "between")?;
    network.link("between", "out")?;
    network.link("out.errors", "bad")?;
    network.start()?;
    network.wait()?;
    assert_eq!(bad.texts(), [""; 0]);
    Ok(())
}

fn to_program(place: &Path, more: &Value, events: &[Value]) -> Tested<String> {
    let path = place.join("out");
    let script = format!("cat >> '{0}'; echo >> '{0}'", path.display());
    let base = Options::new().with("args", vec!["-c".to_owned(), script]);
    run("exec:sh", &options(base, more), events)?;
    Ok(std::fs::read_to_string(path)?)
}

fn to_file(place: &Path, more: &Value, events: &[Value]) -> Tested<String> {
    let path = place.join("out");
    run(
        &format!("file:{}", path.display()),
        &options(Options::new(), more),
        events,
    )?;
    Ok(std::fs::read_to_string(path)?)
}

fn to_http(_: &Path, more: &Value, events: &[Value]) -> Tested<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://127.0.0.1:{}/", listener.local_addr()?.port());
    let many = events.len();
    let server = std::thread::spawn(move || {
        let mut bodies = String::new();
        for _ in 0..many {
            let (mut peer, _) = listener.accept()?;
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            let body = loop {
                let text = String::from_utf8_lossy(&request).into_owned();
                let length = text
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                if let (Some((_, body)), Some(length)) = (text.split_once("\r\n\r\n"), length)
                    && Ok(body.len()) == length.trim().parse()
                {
                    break body.to_owned();
                }
                let len = peer.read(&mut chunk)?;
                request.extend(&chunk[..len]);
            };
            bodies += &format!("{body}\n");
            peer.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")?;
        }
        Ok::<_, std::io::Error>(bodies)
    });
    run(&url, &options(Options::new(), more), events)?;
    Ok(server.join().map_err(|_| "the server panicked")??)
}

fn to_standard_output(_: &Path, more: &Value, events: &[Value]) -> Tested<String> {
    let net = format!(
        "local tb = require('tributary')
        tb.create_stdin('in') tb.create_stdout('out', {}) tb.link('in', 'out')",
        lua(more)
    );
    let site = Site::with(&[("net.lua", &net)])?;
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let done: Done = site.feed(&["run", "net.lua"], &lines)?;
    assert_eq!((done.code, &*done.stderr), (Some(0), ""));
    Ok(done.stdout)
}

fn to_tcp(_: &Path, more: &Value, events: &[Value]) -> Tested<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("tcp://{}", listener.local_addr()?);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept()?.0.read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    });
    run(&url, &options(Options::new(), more), events)?;
    Ok(reader.join().map_err(|_| "the reader panicked")??)
}

fn to_unix(place: &Path, more: &Value, events: &[Value]) -> Tested<String> {
    let path = place.join("socket");
    let listener = UnixListener::bind(&path)?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept()?.0.read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    });
    run(
        &format!("unix:{}", path.display()),
        &options(Options::new(), more),
        events,
    )?;
    Ok(reader.join().map_err(|_| "the reader panicked")??)
}
