//! `mqtt:`, with QoS 1 and with QoS 2.

use super::{At, Connector, Promises, Refusal, conforms};
use crate::support::process::{Process, free_port};
use rustix::process::Signal;
use std::cell::Cell;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tributary::connect::{self, Options};
use tributary::sink::{self, Receiver};
use tributary::{Error, Event, Network, Outcome, Result, source};

const PASSWORD: &str = "canary-of-mqtt";
const RIGHTS: &str = "user user\ntopic #\ntopic deny closed/#\n";
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker that writes its sessions to the disk.
struct Broker {
    place: TempDir,
    port: u16,
    process: Option<Process>,
    /// How many sources have shared the work.
    members: Cell<usize>,
}

fn io(what: &str) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::io(what, &error)
}

impl Broker {
    fn start() -> Result<Self> {
        // Whoever reads or writes below "closed" must not.
        let place = tempfile::tempdir().map_err(io("a directory"))?;
        let port = free_port();
        let path = |name: &str| place.path().join(name).display().to_string();
        let config = format!(
            "listener {port} 127.0.0.1\nuser root\nallow_anonymous false\npassword_file {}\n\
             acl_file {}\npersistence true\npersistence_location {}/\nmax_queued_messages 1000000\n",
            path("passwords"),
            path("rights"),
            place.path().display()
        );
        std::fs::write(path("config"), config).map_err(io("a file"))?;
        std::fs::write(path("rights"), RIGHTS).map_err(io("a file"))?;
        std::fs::write(path("passwords"), "").map_err(io("a file"))?;
        let mut command = Command::new("mosquitto_passwd");
        command.args(["-b", &path("passwords"), "user", PASSWORD]);
        command.output().map_err(io("mosquitto_passwd"))?;
        let mut broker = Broker {
            place,
            port,
            process: None,
            members: Cell::new(0),
        };
        broker.resume()?;
        Ok(broker)
    }

    fn resume(&mut self) -> Result<()> {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(self.place.path().join("config"));
        self.process = Some(Process::start(&mut command, self.port));
        Ok(())
    }

    /// Changes the rights of the user: this line is added.
    fn allow(&self, right: &str) -> Result<()> {
        let path = self.place.path().join("rights");
        std::fs::write(path, format!("{RIGHTS}{right}\n")).map_err(io("a file"))?;
        if let Some(process) = &self.process {
            process.signal(Signal::HUP);
        }
        // The broker reads them some time after the signal.
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    }

    /// It writes its sessions when it ends.
    fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.end();
        }
        Ok(())
    }

    fn url(&self) -> String {
        format!("mqtt://user:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    fn source(&self, name: &str, qos: u8) -> At {
        let options = Options::new();
        // This broker forgets who shares what when it is restarted.
        let options = match name {
            "shared" => {
                let member = self.members.replace(self.members.get() + 1);
                let id = format!("member-{member}");
                options.with("group", "all").with("client_id", id)
            }
            name => options.with("client_id", format!("source-of-{name}")),
        };
        let options = options
            .with("topic", format!("{name}/+"))
            .with("qos", qos)
            .with("redeliver_after", "200ms")
            .with("in_flight", 256);
        (self.url(), options)
    }

    fn sink(&self, name: &str, qos: u8) -> At {
        let topic = format!("{name}/{{data.customer}}");
        let options = Options::new().with("topic", topic).with("qos", qos);
        (self.url(), options)
    }
}

/// The suite with one QoS.
struct With<const QOS: u8>(Broker);

impl<const QOS: u8> Connector for With<QOS> {
    const PROMISES: Promises = Promises::ALL;

    fn start() -> Result<Self> {
        Broker::start().map(With)
    }

    fn stop(&mut self) -> Result<()> {
        self.0.stop()
    }

    fn resume(&mut self) -> Result<()> {
        self.0.resume()
    }

    fn prepare(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }

    fn source(&self, name: &str) -> At {
        self.0.source(name, QOS)
    }

    fn sink(&self, name: &str) -> At {
        self.0.sink(name, QOS)
    }

    fn picky_sink(&self, name: &str) -> At {
        let topic = format!("{name}/{{data.to}}");
        let options = Options::new().with("topic", topic).with("qos", QOS);
        (self.0.url(), options)
    }

    fn refuse(&mut self, name: &str, _: Refusal) -> Result<Option<usize>> {
        self.0.allow(&format!("topic deny {name}/bad"))?;
        Ok(Some(0))
    }

    fn relent(&mut self, _name: &str) -> Result<()> {
        self.0.allow("")
    }

    fn elsewhere(port: u16) -> Option<(At, At)> {
        let url = format!("mqtt://127.0.0.1:{port}");
        let options = Options::new().with("topic", "x").with("timeout", "1s");
        Some(((url.clone(), options.clone()), (url, options)))
    }

    fn with_wrong_password(&self) -> Option<(At, &'static str)> {
        let url = self.0.url().replace(PASSWORD, "canary-that-is-wrong");
        let options = Options::new().with("topic", "x");
        Some(((url, options), "canary-that-is-wrong"))
    }
}

mod at_least_once {
    use super::{With, conforms};
    conforms!(With<1>, "needs mosquitto");
}

mod exactly_once {
    use super::{With, conforms};
    conforms!(With<2>, "needs mosquitto");
}

/// A source whose events whoever takes them settles.
pub fn reading(at: &At) -> Result<(Network, Receiver)> {
    let network = Network::new();
    let (events, out) = sink::channel();
    network.add_source("in", connect::source(&at.0, &at.1)?)?;
    network.add_sink("out", out.settled_by_host())?;
    network.link("in", "out")?;
    network.start()?;
    Ok((network, events))
}

/// Writes the payloads; how many were consumed and rejected comes out.
fn write(url: &str, options: &Options, payloads: Vec<String>) -> Result<(u64, u64)> {
    let network = Network::new();
    network.add_source("in", source::from_iter(payloads))?;
    network.add_sink("out", connect::sink(url, options)?)?;
    network.link("in", "out")?;
    network.start()?;
    let ended = network.wait_timeout(PATIENCE);
    ended.unwrap_or_else(|| Err(Error::data("writing takes too long")))?;
    let stats = network.stats();
    let out = stats.node("out").expect("a node");
    Ok((out.consumed, out.rejected))
}

fn next(events: &Receiver) -> Event {
    events.recv_timeout(PATIENCE).expect("an event")
}

fn text(event: &Event) -> String {
    event.payload().text().unwrap_or("?").to_owned()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn what_comes_again_by_a_new_connection_is_known(qos: u8) -> Result<()> {
    let mut broker = Broker::start()?;
    let at = broker.source("t", qos);
    let (network, events) = reading(&at)?;
    let to = Options::new().with("topic", "t/x").with("qos", qos);
    write(&broker.url(), &to, numbers(0..30))?;
    let mut held: Vec<Event> = (0..30).map(|_| next(&events)).collect();
    assert_eq!(held.iter().map(text).collect::<Vec<_>>(), numbers(0..30));
    // Some are delivered before the connection is lost, some while there is none; the second one of
    // all comes late, so that no ack gets home but the first.
    let late = held.remove(1);
    let rest = held.split_off(10);
    for event in held {
        event.settle(Outcome::Delivered);
    }
    // The acks get home.
    std::thread::sleep(Duration::from_millis(300));
    broker.stop()?;
    for event in rest {
        event.settle(Outcome::Delivered);
    }
    // They are settled while there is no broker.
    std::thread::sleep(Duration::from_millis(300));
    broker.resume()?;
    write(&broker.url(), &to, numbers(30..31))?;
    // Nothing comes twice.
    let new = next(&events);
    assert_eq!(text(&new), "30");
    new.settle(Outcome::Delivered);
    late.settle(Outcome::Failed);
    let again = next(&events);
    assert_eq!(text(&again), "1");
    again.settle(Outcome::Delivered);
    // The acks get home.
    std::thread::sleep(Duration::from_millis(500));
    network.stop()?;
    // And all is acked.
    let (network, events) = reading(&at)?;
    let more = events.recv_timeout(Duration::from_secs(1));
    assert!(more.is_none(), "{more:?}");
    network.stop()
}

#[test]
#[ignore = "needs mosquitto"]
fn what_comes_again_is_known_and_not_emitted_twice() -> Result<()> {
    what_comes_again_by_a_new_connection_is_known(1)
}

#[test]
#[ignore = "needs mosquitto"]
fn what_comes_again_is_known_and_not_emitted_twice_with_qos_2() -> Result<()> {
    what_comes_again_by_a_new_connection_is_known(2)
}

#[test]
#[ignore = "needs mosquitto"]
fn one_that_fails_again_and_again_holds_up_no_more_than_may_be_under_way() -> Result<()> {
    let broker = Broker::start()?;
    let (url, options) = broker.source("t", 1);
    let at = (url, options.with("in_flight", 10));
    let (network, events) = reading(&at)?;
    let to = Options::new().with("topic", "t/x");
    write(&broker.url(), &to, numbers(0..30))?;
    let mut tries = 0;
    let mut others = Vec::new();
    while tries < 5 {
        let event = next(&events);
        match text(&event).as_str() {
            "0" => {
                tries += 1;
                event.settle(Outcome::Failed);
            }
            _ => {
                others.push(text(&event));
                event.settle(Outcome::Delivered);
            }
        }
    }
    assert_eq!(others, numbers(1..10));
    // When it succeeds the rest comes.
    for expected in [0].into_iter().chain(10..30) {
        let event = next(&events);
        assert_eq!(text(&event), expected.to_string());
        event.settle(Outcome::Delivered);
    }
    network.stop()
}

#[test]
#[ignore = "needs mosquitto"]
fn topics_are_subscribed_by_wildcards_and_retained_messages_are_marked() -> Result<()> {
    let broker = Broker::start()?;
    let kept = Options::new()
        .with("topic", "games/{data.game}/odds")
        .with("retain", true)
        .with("qos", 2);
    let payload = |game: &str, odds: f64| format!(r#"{{"game":"{game}","odds":{odds}}}"#);
    let payloads = vec![payload("a", 1.5), payload("b", 2.5), payload("a", 3.5)];
    assert_eq!(write(&broker.url(), &kept, payloads)?, (3, 0));
    let options = Options::new()
        .with("topic", serde_json::json!(["games/+/odds", "news/#"]))
        .with("qos", 1);
    let (network, events) = reading(&(broker.url(), options))?;
    let meta = |event: &Event| {
        let meta = ["topic", "retain", "qos", "duplicate"].map(|name| event.meta().get(name));
        serde_json::json!(meta)
    };
    let mut seen: Vec<(String, serde_json::Value)> = (0..2)
        .map(|_| next(&events))
        .map(|event| (text(&event), meta(&event)))
        .collect();
    seen.sort_by_key(|(_, meta)| meta.to_string());
    let expected = [
        (
            payload("a", 3.5),
            serde_json::json!(["games/a/odds", true, 1, false]),
        ),
        (
            payload("b", 2.5),
            serde_json::json!(["games/b/odds", true, 1, false]),
        ),
    ];
    assert_eq!(seen, expected);
    let plain = Options::new().with("topic", "news/{data}").with("qos", 0);
    let payloads = vec!["1".to_owned(), r#""a+b""#.to_owned(), "2".to_owned()];
    // What is no topic rejects its event only.
    assert_eq!(write(&broker.url(), &plain, payloads)?, (2, 1));
    for number in ["1", "2"] {
        let event = next(&events);
        let topic = format!("news/{number}");
        assert_eq!(meta(&event), serde_json::json!([topic, false, 0, false]));
        event.settle(Outcome::Delivered);
    }
    drop(events);
    network.stop()
}

#[test]
#[ignore = "needs mosquitto"]
fn what_is_forbidden_rejects_its_event_only_and_nothing_comes_twice() -> Result<()> {
    let broker = Broker::start()?;
    let (network, events) = reading(&(broker.url(), Options::new().with("topic", "#")))?;
    for qos in 1..=2 {
        let options = Options::new().with("topic", "{data.to}").with("qos", qos);
        let to = |n: usize| match n % 3 {
            2 => format!(r#"{{"to":"closed/x","n":{n}}}"#),
            _ => format!(r#"{{"to":"open","n":{n}}}"#),
        };
        // More are refused than may be under way.
        let payloads: Vec<String> = (0..300).map(to).collect();
        assert_eq!(write(&broker.url(), &options, payloads)?, (200, 100));
        for n in (0..300).filter(|n| n % 3 != 2) {
            let event = next(&events);
            assert_eq!(text(&event), to(n));
            event.settle(Outcome::Delivered);
        }
    }
    network.stop()
}

#[test]
#[ignore = "needs mosquitto"]
fn a_broker_that_has_gone_does_not_hold_up_the_stop() -> Result<()> {
    let mut broker = Broker::start()?;
    let (network, events) = reading(&broker.source("t", 1))?;
    let to = Options::new().with("topic", "t/x");
    write(&broker.url(), &to, numbers(0..10))?;
    let event = next(&events);
    broker.stop()?;
    event.settle(Outcome::Delivered);
    drop(events);
    let begun = Instant::now();
    let _ = network.stop_within(Duration::from_secs(10));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let told = |made: Result<()>| made.expect_err("it is refused").to_string();
    let source = |url: &str, options: Options| told(connect::source(url, &options).map(drop));
    let sink = |url: &str, options: Options| told(connect::sink(url, &options).map(drop));
    let topic = |topic: &str| Options::new().with("topic", topic);
    assert_eq!(
        source("mqtt://h", Options::new()),
        "mqtt sources needs the option topic"
    );
    assert_eq!(
        sink("mqtt://h", Options::new()),
        "mqtt sinks needs the option topic"
    );
    let why = source("mqtt://h/bets", topic("bets"));
    assert!(why.contains("the topic is an option"), "{why}");
    let why = source("mqtt://h", topic("a/#/b"));
    assert_eq!(why, "mqtt sources: \"a/#/b\" is not a topic filter");
    let why = source("mqtt://h", topic("$share/g/a"));
    assert!(why.contains("set the option group"), "{why}");
    let why = source("mqtt://h", topic("a").with("group", "a/b"));
    assert!(why.contains("a name without /, + and #"), "{why}");
    let why = source("mqtt://h", topic("a").with("session", "1h"));
    assert_eq!(why, "mqtt sources: a session needs the option client_id");
    let why = source("mqtt://h", topic("a").with("qos", 3));
    assert!(why.contains("a whole number from 0 to 2"), "{why}");
    let why = source("mqtt://h", topic("a").with("in_flight", 70_000));
    assert!(why.contains("a whole number from 1 to 65535"), "{why}");
    let why = sink("mqtt://h", topic("a/+"));
    assert!(why.contains("\"a/+\" is not a topic name"), "{why}");
    let why = sink("mqtt://h?qos=1", topic("a"));
    assert!(why.contains("set options in the table of options"), "{why}");
}
