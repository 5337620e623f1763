//! Brokers: what a network writes and reads, beside a bare client doing the same.
//!
//! Each group has a server of its own, started when the group is asked for and ended with it. What is
//! timed goes from the start of the network, or of the client, to the last answer of the server. To
//! add a broker: a file here that gives its groups, and its line in [`groups`].

mod amqp;
mod http;
mod kafka;
mod mqtt;
mod nats;
#[path = "../../tests/integration/support/process.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod process;
#[path = "../../tests/integration/support/rabbitmq.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod rabbitmq;
mod redis;

use super::{Function, Group, Run};
use process::{Process, free_port};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tributary::connect::{self, Options};
use tributary::{Network, Result, source};

const ROUNDS: usize = 7;
/// The events of a round, so many that the beginning and the end do not count.
const MANY: u64 = 300_000;
/// The same where each takes longer.
const SOME: u64 = 100_000;

/// Starts a server; gives what is ours and the bare client.
type Make = fn() -> (Run, Run);

/// The groups whose names start so.
pub fn groups(start: &str) -> Vec<Group> {
    let all: Vec<(&'static str, u64, Make)> = vec![
        ("connect-amqp-write", SOME, amqp::write),
        ("connect-amqp-read", SOME, amqp::read),
        ("connect-http-ingest", MANY, http::ingest),
        ("connect-kafka-write", SOME, kafka::write),
        ("connect-kafka-read", SOME, kafka::read),
        ("connect-mqtt-write", SOME, mqtt::write),
        ("connect-mqtt-read", SOME, mqtt::read),
        ("connect-nats-write", MANY, nats::write),
        ("connect-nats-read", MANY, nats::read),
        ("connect-redis-write", MANY, redis::write),
        ("connect-redis-read", MANY, redis::read),
    ];
    let wanted = all.into_iter().filter(|(name, ..)| name.starts_with(start));
    let groups = wanted.map(|(name, events, make)| {
        let (ours, bare) = make();
        Group {
            name,
            latency: false,
            rounds: ROUNDS,
            functions: vec![
                Function::new("tributary", events, ours).against(&["bare"]),
                Function::new("bare", events, bare),
            ],
        }
    });
    groups.collect()
}

/// A server of its own, on a free port of the loopback, in a directory of its own.
struct Server {
    port: u16,
    // Before its directory: it is ended first.
    _process: Process,
    _place: TempDir,
}

impl Server {
    fn start(program: &str, arguments: impl Fn(u16, &str) -> Vec<String>) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let mut command = Command::new(program);
        command.args(arguments(port, &place.path().display().to_string()));
        Server {
            port,
            _process: Process::start(&mut command, port),
            _place: place,
        }
    }
}

/// 250 bytes of JSON.
fn payload(number: u64) -> String {
    let head = format!(r#"{{"n":{number},"text":""#);
    let rest = 250 - head.len() - 2;
    format!("{head}{}\"}}", "x".repeat(rest))
}

/// A network that writes so many events.
fn written(url: &str, options: &Options, events: u64) -> Result<Duration> {
    let network = Network::new();
    network.add_source("in", source::from_iter((0..events).map(payload)))?;
    network.add_sink("out", connect::sink(url, options)?)?;
    network.link("in", "out")?;
    let begun = Instant::now();
    network.start()?;
    network.wait()?;
    Ok(begun.elapsed())
}

/// A network that reads so many events.
fn read(url: &str, options: &Options, events: u64) -> Result<Duration> {
    let watch = super::watch::Watch::new(1);
    let network = Network::new();
    network.add_source("in", connect::source(url, options)?)?;
    network.add_sink("out", super::network::Drain::new(&watch, events))?;
    network.link("in", "out")?;
    let begun = Instant::now();
    watch.begin();
    network.start()?;
    watch.wait();
    network.stop()?;
    Ok(begun.elapsed())
}
