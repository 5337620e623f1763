//! `redis:`, with a stream and with a channel.

use super::{At, Connector, Promises, Refusal, conforms};
use crate::support::probe::Seen;
use crate::support::process::{Process, free_port};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tributary::connect::{self, Options};
use tributary::{Error, Network, OnError, Outcome, Result, sink, source};

const PASSWORD: &str = "canary-of-redis";

/// A server that writes through to the disk.
struct Server {
    place: TempDir,
    port: u16,
    process: Option<Process>,
}

impl Server {
    fn start() -> Result<Self> {
        let place = tempfile::tempdir().map_err(|error| Error::io("a directory", &error))?;
        let mut server = Server {
            place,
            port: free_port(),
            process: None,
        };
        server.resume()?;
        Ok(server)
    }

    fn resume(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--requirepass", PASSWORD, "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        command.arg("--dir").arg(self.place.path());
        self.process = Some(Process::start(&mut command, self.port));
        Ok(())
    }

    fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}/0", self.port)
    }

    /// The address for a user whose rights are those of [`allow_picky`](Self::allow_picky).
    fn url_of_picky(&self) -> String {
        self.url().replace("://:", "://picky:")
    }

    fn allow_picky(&self, keys_or_channels: &str) {
        let password = format!(">{PASSWORD}");
        let rights = ["ACL", "SETUSER", "picky", "reset", "on", &password, "+@all"];
        self.ask::<String>(&[&rights[..], &[keys_or_channels]].concat());
    }

    fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.url()).expect("an address");
        let mut connection = client.get_connection().expect("a connection");
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(word);
        });
        command.query(&mut connection).expect("an answer")
    }
}

struct Streams(Server);

impl Connector for Streams {
    const PROMISES: Promises = Promises::ALL;

    fn start() -> Result<Self> {
        Server::start().map(Streams)
    }

    fn stop(&mut self) -> Result<()> {
        self.0.process = None;
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        self.0.resume()
    }

    fn prepare(&mut self, name: &str) -> Result<()> {
        let create = ["XGROUP", "CREATE", name, "all", "0", "MKSTREAM"];
        self.0.ask::<String>(&create);
        Ok(())
    }

    fn source(&self, name: &str) -> At {
        let options = Options::new()
            .with("stream", name)
            .with("group", "all")
            .with("claim_after", "1s")
            .with("redeliver_after", "200ms")
            .with("in_flight", 256);
        (self.0.url(), options)
    }

    fn sink(&self, name: &str) -> At {
        (self.0.url(), Options::new().with("stream", name))
    }

    /// The sink is a user who may not write to the stream of bad events.
    fn picky_sink(&self, name: &str) -> At {
        let options = Options::new().with("stream", format!("{name}-{{data.to}}"));
        (self.0.url_of_picky(), options)
    }

    fn picky_sources(&self, name: &str) -> Vec<At> {
        let source = |to| self.source(&format!("{name}-{to}"));
        ["good", "bad"].map(source).into()
    }

    fn refuse(&mut self, name: &str, _: Refusal) -> Result<Option<usize>> {
        for to in ["good", "bad"] {
            self.prepare(&format!("{name}-{to}"))?;
        }
        self.0.allow_picky(&format!("~{name}-good"));
        Ok(Some(0))
    }

    fn relent(&mut self, _name: &str) -> Result<()> {
        self.0.allow_picky("allkeys");
        Ok(())
    }

    fn elsewhere(port: u16) -> Option<(At, At)> {
        let url = format!("redis://127.0.0.1:{port}");
        let options = Options::new().with("stream", "x").with("timeout", "1s");
        let source = options.clone().with("group", "all");
        Some(((url.clone(), source), (url, options)))
    }

    fn with_wrong_password(&self) -> Option<(At, &'static str)> {
        let url = self.0.url().replace(PASSWORD, "canary-that-is-wrong");
        let options = Options::new().with("channel", "x");
        Some(((url, options), "canary-that-is-wrong"))
    }

    fn missing(&self) -> Option<(At, &'static str)> {
        let advice = "create it: redis-cli XGROUP CREATE bets all 0 MKSTREAM";
        let options = Options::new().with("stream", "bets").with("group", "all");
        Some(((self.0.url(), options), advice))
    }
}

/// Pub/sub: who is not there gets nothing, and who is gets all.
struct Channels(Server);

impl Connector for Channels {
    const PROMISES: Promises = Promises {
        order: true,
        redelivery: false,
        acks: false,
        groups: false,
        durable: false,
    };

    fn start() -> Result<Self> {
        Server::start().map(Channels)
    }

    fn stop(&mut self) -> Result<()> {
        self.0.process = None;
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        self.0.resume()
    }

    fn prepare(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }

    fn source(&self, name: &str) -> At {
        let options = Options::new().with("pattern", format!("{name}.*"));
        (self.0.url(), options)
    }

    fn sink(&self, name: &str) -> At {
        let options = Options::new().with("channel", format!("{name}.{{data.customer}}"));
        (self.0.url(), options)
    }

    /// The sink is a user who may not publish to the channel of bad events.
    fn picky_sink(&self, name: &str) -> At {
        let options = Options::new().with("channel", format!("{name}.{{data.to}}"));
        (self.0.url_of_picky(), options)
    }

    fn refuse(&mut self, name: &str, _: Refusal) -> Result<Option<usize>> {
        self.0.allow_picky(&format!("&{name}.good"));
        Ok(Some(0))
    }

    fn relent(&mut self, _name: &str) -> Result<()> {
        self.0.allow_picky("allchannels");
        Ok(())
    }

    fn elsewhere(port: u16) -> Option<(At, At)> {
        let url = format!("redis://127.0.0.1:{port}");
        let options = Options::new().with("channel", "x").with("timeout", "1s");
        Some(((url.clone(), options.clone()), (url, options)))
    }
}

mod streams {
    use super::{Streams, conforms};
    conforms!(Streams, "needs redis-server");
}

mod channels {
    use super::{Channels, conforms};
    conforms!(Channels, "needs redis-server");
}

/// Writes the payloads; how many were consumed and rejected comes out.
fn write(server: &Server, options: &Options, payloads: Vec<String>) -> Result<(u64, u64)> {
    let network = Network::new();
    network.add_source("in", source::from_iter(payloads))?;
    network.add_sink("out", connect::sink(&server.url(), options)?)?;
    network.link("in", "out")?;
    network.start()?;
    network.wait()?;
    let stats = network.stats();
    let out = stats.node("out").expect("a node");
    Ok((out.consumed, out.rejected))
}

#[test]
#[ignore = "needs redis-server"]
fn a_stream_keeps_about_so_many() -> Result<()> {
    let server = Server::start()?;
    let options = Options::new().with("stream", "s").with("max_len", 100);
    let payloads = (0..2_000).map(|n| n.to_string()).collect();
    assert_eq!(write(&server, &options, payloads)?, (2_000, 0));
    let kept: usize = server.ask(&["XLEN", "s"]);
    assert!((100..400).contains(&kept), "{kept}");
    Ok(())
}

#[test]
#[ignore = "needs redis-server"]
fn what_the_server_refuses_rejects_its_event_only_and_nothing_comes_twice() -> Result<()> {
    let server = Server::start()?;
    server.ask::<String>(&["SET", "text", "no stream"]);
    let options = Options::new().with("stream", "{data.to}");
    let to = |to: &str| format!(r#"{{"to":"{to}"}}"#);
    let payloads = [
        to("a"),
        to("text"),
        "{}".to_owned(),
        to("a"),
        to("text"),
        to("a"),
    ];
    assert_eq!(write(&server, &options, payloads.into())?, (3, 3));
    assert_eq!(server.ask::<usize>(&["XLEN", "a"]), 3);
    // A batch of one, and what follows it.
    assert_eq!(write(&server, &options, vec![to("text")])?, (0, 1));
    assert_eq!(write(&server, &options, vec![to("a")])?, (1, 0));
    Ok(())
}

#[test]
#[ignore = "needs redis-server"]
fn an_entry_without_the_field_is_an_object_and_is_acked_once() -> Result<()> {
    let server = Server::start()?;
    server.ask::<String>(&["XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"]);
    let id: String = server.ask(&["XADD", "s", "*", "game", "A", "stake", "1.5"]);
    let options = Options::new()
        .with("stream", "s")
        .with("group", "g")
        .with("claim_after", "600ms");
    let network = Network::new();
    let (events, out) = sink::channel();
    network.add_source("in", connect::source(&server.url(), &options)?)?;
    network.add_sink("out", out.settled_by_host())?;
    network.link("in", "out")?;
    network.start()?;
    let event = events.recv_timeout(Duration::from_secs(10)).expect("one");
    assert_eq!(
        event.payload().text(),
        Some(r#"{"game":"A","stake":"1.5"}"#)
    );
    assert_eq!(event.meta().get("id"), Some(&id.into()));
    // Longer than others wait until they claim it.
    assert!(
        events.recv_timeout(Duration::from_secs(2)).is_none(),
        "it came again"
    );
    event.settle(Outcome::Delivered);
    network.stop()?;
    let pending: Vec<redis::Value> = server.ask(&["XPENDING", "s", "g"]);
    assert_eq!(pending.first(), Some(&redis::Value::Int(0)));
    Ok(())
}

#[test]
#[ignore = "needs redis-server"]
fn what_was_asked_for_ahead_is_there_for_the_next_one_after_a_stop() -> Result<()> {
    let server = Server::start()?;
    server.ask::<String>(&["XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"]);
    let payloads = (0..10_000).map(|number| number.to_string()).collect();
    write(&server, &Options::new().with("stream", "s"), payloads)?;
    let mut seen = std::collections::HashSet::new();
    for consumer in ["first", "second"] {
        // Nobody takes over what another one has as long as the test runs.
        let options = Options::new()
            .with("stream", "s")
            .with("group", "g")
            .with("consumer", consumer)
            .with("claim_after", "10m");
        let network = Network::new();
        let (events, out) = sink::channel();
        network.add_source("in", connect::source(&server.url(), &options)?)?;
        network.add_sink("out", out.settled_by_host())?;
        network.link("in", "out")?;
        network.start()?;
        let enough = if consumer == "first" { 600 } else { 10_000 };
        while seen.len() < enough {
            let event = events.recv_timeout(Duration::from_secs(10));
            let event = event.unwrap_or_else(|| panic!("{} came", seen.len()));
            seen.insert(event.payload().text().unwrap_or("?").to_owned());
            event.settle(Outcome::Delivered);
        }
        let rest = std::thread::spawn(move || {
            let rest = events.iter().map(|event| {
                let text = event.payload().text().unwrap_or("?").to_owned();
                event.settle(Outcome::Delivered);
                text
            });
            rest.collect::<Vec<String>>()
        });
        network.stop()?;
        seen.extend(rest.join().expect("a thread that ends"));
    }
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let told = |made: Result<()>| made.expect_err("it is refused").to_string();
    let source = |url: &str, options: Options| told(connect::source(url, &options).map(drop));
    let sink = |url: &str, options: Options| told(connect::sink(url, &options).map(drop));
    let stream = || Options::new().with("stream", "s");
    assert_eq!(
        source("redis://h", stream()),
        "redis sources needs the option group"
    );
    let why = source("redis://h", Options::new());
    assert_eq!(why, "redis sources: set one of stream, channel and pattern");
    let why = source("redis://h", stream().with("channel", "c"));
    assert_eq!(why, "redis sources: set one of stream, channel and pattern");
    let why = source(
        "redis://h",
        Options::new().with("channel", "c").with("group", "g"),
    );
    assert_eq!(why, "redis sources: option group needs the option stream");
    let why = source("redis://h/bets", stream());
    assert!(why.contains("\"bets\" is not a database number"), "{why}");
    let why = sink(
        "redis://h",
        Options::new().with("channel", "c").with("max_len", 5),
    );
    assert_eq!(why, "redis sinks: option max_len needs the option stream");
}

/// Writes ten events to streams by their names, two of which are to the key `taken`, and tries what is
/// refused again; gives what is left at last.
fn write_by_name(server: &Server) -> Result<(Network, Seen)> {
    let network = Network::new();
    let events = (0..10).map(|n| {
        let stream = if n % 5 == 0 { "taken" } else { "free" };
        format!("{{\"n\":{n},\"stream\":\"{stream}\"}}")
    });
    network.add_source("in", source::from_iter(events.collect::<Vec<_>>()))?;
    let options = Options::new().with("stream", "{data.stream}");
    network.add_sink("out", connect::sink(&server.url(), &options)?)?;
    let bad = Seen::at(&network, "bad")?;
    network.link("in", "out")?;
    let pause = Duration::from_millis(500);
    let again = OnError::retry(2).backoff(pause, pause).jitter(false);
    network.on_error("out", again.after("bad"))?;
    Ok((network, bad))
}

#[test]
#[ignore = "needs redis-server"]
fn an_event_that_is_tried_again_is_sent_again_and_the_others_are_not() -> Result<()> {
    // Refused each time: it is no stream.
    let server = Server::start()?;
    server.ask::<String>(&["SET", "taken", "x"]);
    let (network, bad) = write_by_name(&server)?;
    network.start()?;
    network.wait()?;
    assert_eq!(bad.len(), 2);
    for event in bad.events() {
        assert_eq!(event.meta().get("attempts").cloned(), Some(3.into()));
    }
    assert_eq!(server.ask::<u64>(&["XLEN", "free"]), 8);
    // Refused once.
    let server = Server::start()?;
    server.ask::<String>(&["SET", "taken", "x"]);
    let (network, bad) = write_by_name(&server)?;
    network.start()?;
    // Some were sent with it, and it waits for its next attempt.
    let sent = || server.ask::<u64>(&["XLEN", "free"]) > 0;
    assert!(crate::support::probe::soon(sent));
    server.ask::<u64>(&["DEL", "taken"]);
    network.wait()?;
    assert_eq!(bad.len(), 0);
    assert_eq!(server.ask::<u64>(&["XLEN", "taken"]), 2);
    assert_eq!(server.ask::<u64>(&["XLEN", "free"]), 8);
    Ok(())
}
