//! `nats:`, with a stream and with a plain subject.

use super::{At, Connector, Promises, Refusal, conforms};
use crate::support::process::{Process, free_port};
use std::process::Command;
use tempfile::TempDir;
use tributary::connect::{self, Options};
use tributary::{Error, Network, Result, sink, source};

pub const PASSWORD: &str = "canary-of-nats";

/// A server with JetStream.
pub struct Server {
    place: TempDir,
    pub port: u16,
    process: Option<Process>,
}

impl Server {
    pub fn start() -> Result<Self> {
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
        let mut command = Command::new("nats-server");
        command.args(["--jetstream", "--addr", "127.0.0.1", "--user", "me"]);
        command.args(["--pass", PASSWORD, "--port", &self.port.to_string()]);
        command.arg("--store_dir").arg(self.place.path());
        self.process = Some(Process::start(&mut command, self.port));
        Ok(())
    }

    pub fn url(&self, subject: &str) -> String {
        format!("nats://me:{PASSWORD}@127.0.0.1:{}/{subject}", self.port)
    }

    /// Asks JetStream.
    pub fn ask(&self, subject: &str, request: String) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let options = async_nats::ConnectOptions::new();
            let options = options.user_and_password("me".to_owned(), PASSWORD.to_owned());
            let client = options.connect(format!("nats://127.0.0.1:{}", self.port));
            let client = client.await.expect("a server");
            let answer = client
                .request(format!("$JS.API.{subject}"), request.into())
                .await;
            let answer = answer.expect("an answer").payload;
            String::from_utf8_lossy(&answer).into_owned()
        })
    }

    fn make(&self, stream: &str) {
        let request = format!(r#"{{"name":"{stream}","subjects":["{stream}.>"]}}"#);
        let answer = self.ask(&format!("STREAM.CREATE.{stream}"), request);
        assert!(!answer.contains("\"error\""), "{answer}");
    }

    /// Sets the largest message that the stream takes, in bytes.
    fn set_largest(&self, stream: &str, bytes: i64) {
        let request =
            format!(r#"{{"name":"{stream}","subjects":["{stream}.>"],"max_msg_size":{bytes}}}"#);
        let answer = self.ask(&format!("STREAM.UPDATE.{stream}"), request);
        assert!(!answer.contains("\"error\""), "{answer}");
    }

    fn elsewhere(port: u16, options: Options) -> (At, At) {
        let options = options.with("timeout", "1s");
        let url = format!("nats://127.0.0.1:{port}/there.x");
        let source = match options.clone() {
            options if format!("{options:?}").contains("stream") => options.with("durable", "d"),
            options => options,
        };
        ((url.clone(), source), (url, options))
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
        self.0.make(name);
        Ok(())
    }

    fn source(&self, name: &str) -> At {
        let options = Options::new()
            .with("stream", name)
            .with("durable", "all")
            .with("ack_wait", "2s")
            .with("redeliver_after", "200ms")
            .with("in_flight", 256);
        (self.0.url(&format!("{name}.>")), options)
    }

    fn sink(&self, name: &str) -> At {
        let subject = format!("{name}.{{data.customer}}");
        (self.0.url(&subject), Options::new().with("stream", name))
    }

    fn picky_sink(&self, name: &str) -> At {
        let subject = format!("{name}.{{data.to}}");
        (self.0.url(&subject), Options::new().with("stream", name))
    }

    /// The bad event is too large for the stream.
    fn refuse(&mut self, name: &str, _: Refusal) -> Result<Option<usize>> {
        self.0.make(name);
        self.0.set_largest(name, 1_000);
        Ok(Some(2_000))
    }

    fn relent(&mut self, name: &str) -> Result<()> {
        self.0.set_largest(name, -1);
        Ok(())
    }

    fn elsewhere(port: u16) -> Option<(At, At)> {
        Some(Server::elsewhere(
            port,
            Options::new().with("stream", "there"),
        ))
    }

    fn with_wrong_password(&self) -> Option<(At, &'static str)> {
        let url = self.0.url("x").replace(PASSWORD, "canary-that-is-wrong");
        Some(((url, Options::new()), "canary-that-is-wrong"))
    }

    fn missing(&self) -> Option<(At, &'static str)> {
        let advice = "create it: nats stream add BETS --subjects \"bets.>\"";
        let options = Options::new().with("stream", "BETS").with("durable", "d");
        Some(((self.0.url("bets.>"), options), advice))
    }
}

/// Without a stream: who is not there gets nothing.
struct Subjects(Server);

impl Connector for Subjects {
    const PROMISES: Promises = Promises {
        order: true,
        redelivery: false,
        acks: false,
        groups: true,
        durable: false,
    };

    fn start() -> Result<Self> {
        Server::start().map(Subjects)
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
        let options = Options::new().with("group", "all");
        (self.0.url(&format!("{name}.*")), options)
    }

    fn sink(&self, name: &str) -> At {
        (self.0.url(&format!("{name}.x")), Options::new())
    }

    fn picky_sink(&self, name: &str) -> At {
        (self.0.url(&format!("{name}.{{data.to}}")), Options::new())
    }

    /// The server takes each message of a plain subject that is no larger than its limit.
    fn refuse(&mut self, _name: &str, refusal: Refusal) -> Result<Option<usize>> {
        Ok((refusal == Refusal::Always).then_some(1 << 20))
    }

    fn relent(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }

    fn elsewhere(port: u16) -> Option<(At, At)> {
        Some(Server::elsewhere(port, Options::new()))
    }
}

mod streams {
    use super::{Streams, conforms};
    conforms!(Streams, "needs nats-server");
}

mod subjects {
    use super::{Subjects, conforms};
    conforms!(Subjects, "needs nats-server");
}

/// Writes the payloads; how many were consumed and rejected comes out.
pub fn write(at: At, payloads: &[&str]) -> Result<(u64, u64)> {
    let network = Network::new();
    let payloads: Vec<String> = payloads.iter().map(|text| (*text).to_owned()).collect();
    network.add_source("in", source::from_iter(payloads))?;
    network.add_sink("out", connect::sink(&at.0, &at.1)?)?;
    network.link("in", "out")?;
    network.start()?;
    network.wait()?;
    let stats = network.stats();
    let out = stats.node("out").expect("a node");
    Ok((out.consumed, out.rejected))
}

#[test]
#[ignore = "needs nats-server"]
fn a_stream_keeps_what_has_one_id_once() -> Result<()> {
    let server = Server::start()?;
    server.make("once");
    let options = Options::new()
        .with("stream", "once")
        .with("id", "{data.id}");
    let twice = [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":1,"again":true}"#];
    assert_eq!(write((server.url("once.x"), options), &twice)?, (3, 0));
    let info = server.ask("STREAM.INFO.once", "{}".to_owned());
    assert!(info.contains("\"messages\":2,"), "{info}");
    Ok(())
}

#[test]
#[ignore = "needs nats-server"]
fn what_the_server_refuses_rejects_its_event_only() -> Result<()> {
    let server = Server::start()?;
    server.make("here");
    let options = Options::new().with("stream", "here");
    let url = server.url("{data.to}");
    let events = [
        r#"{"to":"here.a"}"#,
        r#"{"to":"nowhere"}"#,
        r#"{"to":"bad subject"}"#,
        r#"{"no":"subject"}"#,
        r#"{"to":"here.b"}"#,
    ];
    assert_eq!(write((url, options), &events)?, (2, 3));
    let info = server.ask("STREAM.INFO.here", "{}".to_owned());
    assert!(info.contains("\"messages\":2,"), "one came twice: {info}");
    Ok(())
}

#[test]
#[ignore = "needs nats-server"]
fn a_message_is_delivered_this_often_and_has_its_origin_in_its_meta() -> Result<()> {
    let server = Server::start()?;
    server.make("often");
    let headers = serde_json::json!({"Game": "{data.game}"});
    let options = Options::new()
        .with("stream", "often")
        .with("headers", headers)
        .with("id", "bet-{data.game}");
    assert_eq!(
        write((server.url("often.x"), options), &[r#"{"game":"A"}"#])?,
        (1, 0)
    );
    let options = Options::new()
        .with("stream", "often")
        .with("durable", "d")
        .with("max_deliver", 3)
        .with("redeliver_after", "0s");
    let network = Network::new();
    let (events, out) = sink::channel();
    network.add_source("in", connect::source(&server.url("often.>"), &options)?)?;
    network.add_sink("out", out.settled_by_host())?;
    network.link("in", "out")?;
    network.start()?;
    for delivery in 1..=3 {
        let event = events
            .recv_timeout(std::time::Duration::from_secs(10))
            .expect("an event");
        let meta = |name| event.meta().get(name).cloned().unwrap_or_default();
        assert_eq!(meta("deliveries"), delivery);
        assert_eq!(meta("subject"), "often.x");
        assert_eq!(meta("sequence"), 1);
        assert_eq!(meta("id"), "bet-A");
        assert_eq!(meta("headers"), serde_json::json!({"Game": "A"}));
        event.settle(tributary::Outcome::Failed);
    }
    let more = events.recv_timeout(std::time::Duration::from_millis(700));
    assert!(more.is_none(), "a fourth time");
    network.stop()
}

#[test]
#[ignore = "needs nats-server"]
fn what_takes_longer_than_the_ack_wait_does_not_come_again() -> Result<()> {
    let server = Server::start()?;
    server.make("slow");
    let sink = (server.url("slow.x"), Options::new().with("stream", "slow"));
    write(sink, &["1"])?;
    let options = Options::new()
        .with("stream", "slow")
        .with("durable", "d")
        .with("ack_wait", "600ms");
    let network = Network::new();
    let (events, out) = sink::channel();
    network.add_source("in", connect::source(&server.url("slow.>"), &options)?)?;
    network.add_sink("out", out.settled_by_host())?;
    network.link("in", "out")?;
    network.start()?;
    let event = events
        .recv_timeout(std::time::Duration::from_secs(10))
        .expect("an event");
    let again = events.recv_timeout(std::time::Duration::from_millis(2_000));
    assert!(again.is_none(), "it came again");
    event.settle(tributary::Outcome::Delivered);
    network.stop()
}

#[test]
#[ignore = "needs nats-server"]
fn a_consumer_with_other_settings_is_an_error() -> Result<()> {
    let server = Server::start()?;
    server.make("bets");
    let options = Options::new().with("stream", "bets").with("durable", "d");
    let start = |options: &Options| {
        let network = Network::new();
        network.add_source("in", connect::source(&server.url("bets.>"), options)?)?;
        network.add_sink("out", sink::Discarder)?;
        network.link("in", "out")?;
        network.start()?;
        network.stop()
    };
    start(&options.clone().with("max_deliver", 3))?;
    start(&options)?;
    let error = start(&options.with("max_deliver", 5))
        .expect_err("it has 3")
        .to_string();
    assert!(
        error.contains("has max_deliver 3, not 5; change it: nats consumer edit bets"),
        "{error}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let source = |url: &str, options: Options| {
        let made = connect::source(url, &options);
        made.err().expect("it is refused").to_string()
    };
    let stream = Options::new().with("stream", "BETS");
    let told = source("nats://h/bets.>", stream.clone());
    assert_eq!(told, "nats sources needs the option durable");
    let told = source("nats://h/bets..x", Options::new());
    assert_eq!(told, "nats://h/bets..x: \"bets..x\" is not a subject");
    let told = source("nats://h/x", Options::new().with("max_deliver", 3));
    assert_eq!(
        told,
        "nats sources: option max_deliver needs the option stream"
    );
    let told = source("nats://h/x", stream.with("durable", "d").with("group", "g"));
    assert!(
        told.ends_with("sources with one durable share its messages"),
        "{told}"
    );
    let told = source(
        "nats://h/x",
        Options::new().with("stream", "a.b").with("durable", "d"),
    );
    assert!(told.contains("a name without spaces, dots"), "{told}");
    let sink = |url: &str, options: Options| {
        let made = connect::sink(url, &options);
        made.err().expect("it is refused").to_string()
    };
    let told = sink("nats://h/a.*", Options::new());
    assert_eq!(told, "nats://h/a.*: \"a.*\" is not a subject");
    let told = sink("nats://h/a", Options::new().with("id", "same"));
    assert!(
        told.contains("a template with a placeholder expected, got \"same\""),
        "{told}"
    );
}
