//! `kafka:`, with the cluster that its client brings for tests.

use super::{At, Connector, Promises, Refusal, conforms};
use crate::support::wait::eventually_within;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tributary::connect::{self, Options};
use tributary::sink::{self, Receiver};
use tributary::{Error, ErrorKind, Event, Network, Outcome, Result, source};

const PATIENCE: Duration = Duration::from_secs(30);

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, error.to_string())
}

/// A cluster of one broker, in this process.
struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    fn url(&self, topic: &str) -> String {
        format!("kafka://{}/{topic}", self.0.bootstrap_servers())
    }

    fn topic(&self, name: &str, partitions: i32) -> Result<()> {
        self.0.create_topic(name, partitions, 1).map_err(wrong)
    }

    fn client(&self) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.0.bootstrap_servers());
        config.set("group.id", "all");
        config.create().expect("a client")
    }

    /// The position of the group, as the cluster knows it.
    fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let known = self.client().committed_offsets(list, PATIENCE).ok()?;
        match known.elements()[0].offset() {
            Offset::Offset(position) => Some(position),
            _ => None,
        }
    }
}

impl Connector for Cluster {
    const PROMISES: Promises = Promises::ALL;

    fn start() -> Result<Self> {
        MockCluster::new(1).map(Cluster).map_err(wrong)
    }

    fn stop(&mut self) -> Result<()> {
        self.0.broker_down(-1).map_err(wrong)
    }

    fn resume(&mut self) -> Result<()> {
        self.0.broker_up(-1).map_err(wrong)
    }

    fn prepare(&mut self, name: &str) -> Result<()> {
        // Order is that of a partition, and work is shared by partitions.
        self.topic(name, if name == "shared" { 4 } else { 1 })
    }

    fn source(&self, name: &str) -> At {
        let options = Options::new()
            .with("group", "all")
            .with("redeliver_after", "200ms")
            .with("commit_every", "100ms")
            .with("session", "6s")
            .with("in_flight", 256);
        (self.url(name), options)
    }

    fn sink(&self, name: &str) -> At {
        (self.url(name), Options::new())
    }

    fn picky_sink(&self, name: &str) -> At {
        (self.url(&format!("{name}-{{data.to}}")), Options::new())
    }

    fn picky_sources(&self, name: &str) -> Vec<At> {
        let source = |to| self.source(&format!("{name}-{to}"));
        ["good", "bad"].map(source).into()
    }

    /// The bad event is too large, or its topic may not be used.
    fn refuse(&mut self, name: &str, refusal: Refusal) -> Result<Option<usize>> {
        for to in ["good", "bad"] {
            self.topic(&format!("{name}-{to}"), 1)?;
        }
        if refusal == Refusal::Always {
            return Ok(Some(3 << 20));
        }
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        let refused = self.0.topic_error(&format!("{name}-bad"), error);
        refused.map_err(wrong)?;
        Ok(Some(0))
    }

    fn relent(&mut self, name: &str) -> Result<()> {
        let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        self.0
            .topic_error(&format!("{name}-bad"), none)
            .map_err(wrong)
    }

    fn elsewhere(port: u16) -> Option<(At, At)> {
        let url = format!("kafka://127.0.0.1:{port}/x");
        let options = Options::new().with("timeout", "1s");
        let source = options.clone().with("group", "all");
        Some(((url.clone(), source), (url, options)))
    }

    fn with_wrong_password(&self) -> Option<(At, &'static str)> {
        // The cluster takes none at all.
        let password = "canary-that-is-wrong";
        let url = self.url("x");
        let url = url.replace("://", &format!("://user:{password}@"));
        let options = Options::new().with("group", "all").with("timeout", "2s");
        Some(((url, options), password))
    }

    fn missing(&self) -> Option<(At, &'static str)> {
        let options = Options::new().with("group", "all");
        Some(((self.url("bets"), options), "--create --topic bets"))
    }
}

conforms!(Cluster, "takes its time: a group waits for its members");

/// A source of the group, whose events whoever takes them settles.
fn reading(cluster: &Cluster, topic: &str) -> Result<(Network, Receiver)> {
    let at = cluster.source(topic);
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
    network.wait()?;
    let stats = network.stats();
    let out = stats.node("out").expect("a node");
    Ok((out.consumed, out.rejected))
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn text(event: &Event) -> String {
    event.payload().text().unwrap_or("?").to_owned()
}

fn meta(event: &Event, name: &str) -> serde_json::Value {
    event.meta().get(name).cloned().unwrap_or_default()
}

#[test]
#[ignore = "takes its time: a group waits for its members"]
fn an_outcome_that_comes_early_does_not_move_the_position_past_others() -> Result<()> {
    let cluster = Cluster::start()?;
    cluster.topic("t", 1)?;
    write(&cluster.url("t"), &Options::new(), numbers(0..20))?;
    let (network, events) = reading(&cluster, "t")?;
    let mut held: Vec<Event> = (0..20)
        .map(|_| events.recv_timeout(PATIENCE).expect("an event"))
        .collect();
    // The first three, and all but one of the others, from behind.
    let rest = held.split_off(3);
    held.into_iter()
        .for_each(|event| event.settle(Outcome::Delivered));
    let mut missing = None;
    for event in rest.into_iter().rev() {
        match text(&event).as_str() {
            "7" => missing = Some(event),
            _ => event.settle(Outcome::Delivered),
        }
    }
    eventually_within(PATIENCE, "position 7", || {
        cluster.position("t", 0) == Some(7)
    });
    // A position that moves on would do so meanwhile.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(cluster.position("t", 0), Some(7));
    // It comes again, and the position still waits.
    missing.expect("it came").settle(Outcome::Failed);
    let again = events.recv_timeout(PATIENCE).expect("it comes again");
    assert_eq!(
        (text(&again), meta(&again, "offset")),
        ("7".to_owned(), 7.into())
    );
    assert_eq!(cluster.position("t", 0), Some(7));
    again.settle(Outcome::Delivered);
    eventually_within(PATIENCE, "position 20", || {
        cluster.position("t", 0) == Some(20)
    });
    network.stop()
}

#[test]
#[ignore = "takes its time: a group waits for its members"]
fn who_gets_a_partition_begins_where_it_was_and_late_outcomes_move_nothing() -> Result<()> {
    let cluster = Cluster::start()?;
    cluster.topic("t", 2)?;
    let key = Options::new().with("key", "{data}");
    write(&cluster.url("t"), &key, numbers(0..100))?;
    let (first, events) = reading(&cluster, "t")?;
    let held: Vec<Event> = (0..100)
        .map(|_| events.recv_timeout(PATIENCE).expect("an event"))
        .collect();
    // The second gets one of the partitions, from its beginning: nothing is settled.
    let (second, others) = reading(&cluster, "t")?;
    let other = others.recv_timeout(PATIENCE).expect("an event");
    let moved = meta(&other, "partition");
    let expected: BTreeSet<String> = held
        .iter()
        .filter(|event| meta(event, "partition") == moved)
        .map(text)
        .collect();
    let mut seen = BTreeSet::from([text(&other)]);
    let mut theirs = vec![other];
    while seen.len() < expected.len() {
        let event = others.recv_timeout(PATIENCE).expect("an event");
        seen.insert(text(&event));
        theirs.push(event);
    }
    assert_eq!(seen, expected);
    // What the first has of it counts no more; what it has of the other does.
    let partition = i32::try_from(moved.as_i64().expect("a number")).expect("a small one");
    held.into_iter()
        .for_each(|event| event.settle(Outcome::Delivered));
    eventually_within(PATIENCE, "the position of the other", || {
        cluster.position("t", 1 - partition) == Some(100 - expected.len() as i64)
    });
    // A position that moves on would do so meanwhile.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(cluster.position("t", partition), None);
    theirs
        .into_iter()
        .for_each(|event| event.settle(Outcome::Delivered));
    eventually_within(PATIENCE, "the position of the moved one", || {
        cluster.position("t", partition) == Some(expected.len() as i64)
    });
    first.stop()?;
    second.stop()
}

#[test]
#[ignore = "takes its time: a group waits for its members"]
fn a_cluster_that_has_gone_does_not_hold_up_the_stop() -> Result<()> {
    let mut cluster = Cluster::start()?;
    cluster.topic("t", 1)?;
    write(&cluster.url("t"), &Options::new(), numbers(0..10))?;
    let (network, events) = reading(&cluster, "t")?;
    let event = events.recv_timeout(PATIENCE).expect("an event");
    cluster.stop()?;
    event.settle(Outcome::Delivered);
    drop(events);
    let begun = Instant::now();
    let _ = network.stop_within(Duration::from_secs(10));
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}

#[test]
#[ignore = "takes its time: a cluster that comes back is waited for"]
fn keys_headers_and_topics_are_made_for_each_event_and_each_is_there_once() -> Result<()> {
    let mut cluster = Cluster::start()?;
    cluster.topic("bets-a", 3)?;
    cluster.topic("bets-b", 3)?;
    let options = Options::new()
        .with("key", "{data.game}")
        .with("headers", serde_json::json!({"customer": "c-{data.n}"}))
        .with("compression", "lz4")
        .with("timeout", "500ms");
    let payload = |n: usize| {
        let to = ["a", "b", "no topic's name"][n % 3];
        format!(r#"{{"n":{n},"to":"{to}","game":"g{}"}}"#, n % 5)
    };
    let url = cluster.url("bets-{data.to}");
    let network = Network::new();
    network.add_source("in", source::from_iter((0..3_000).map(payload)))?;
    network.add_sink("out", connect::sink(&url, &options)?)?;
    network.link("in", "out")?;
    network.start()?;
    // Batches come again meanwhile, and yet nothing is there twice.
    std::thread::sleep(Duration::from_millis(20));
    cluster.stop()?;
    // Requests time out meanwhile, and come again.
    std::thread::sleep(Duration::from_secs(2));
    cluster.resume()?;
    network.wait_timeout(PATIENCE).expect("it ends")?;
    let stats = network.stats();
    let out = stats.node("out").expect("a node");
    assert_eq!((out.consumed, out.rejected), (2_000, 1_000));
    let consumer = cluster.client();
    let mut list = TopicPartitionList::new();
    for topic in ["bets-a", "bets-b"] {
        for partition in 0..3 {
            let added = list.add_partition_offset(topic, partition, Offset::Beginning);
            added.map_err(wrong)?;
        }
    }
    consumer.assign(&list).map_err(wrong)?;
    let (mut seen, mut places) = (Vec::new(), BTreeMap::new());
    while let Some(message) = consumer.poll(match seen.len() {
        2_000 => Duration::from_secs(1),
        _ => PATIENCE,
    }) {
        let message = message.map_err(wrong)?;
        let event: serde_json::Value =
            serde_json::from_slice(message.payload().unwrap_or_default()).expect("JSON");
        let key = String::from_utf8_lossy(message.key().expect("a key")).into_owned();
        assert_eq!(event["game"], key.as_str());
        assert_eq!(
            message.topic(),
            format!("bets-{}", event["to"].as_str().expect("a text"))
        );
        let header = message.headers().expect("headers").get(0);
        let value = format!("c-{}", event["n"]);
        assert_eq!(
            (header.key, header.value),
            ("customer", Some(value.as_bytes()))
        );
        let place = (message.topic().to_owned(), key);
        let known = *places.entry(place).or_insert(message.partition());
        assert_eq!(known, message.partition());
        seen.push(event["n"].as_u64().expect("a number"));
    }
    seen.sort_unstable();
    let expected: Vec<u64> = (0..3_000).filter(|n| n % 3 != 2).collect();
    assert!(seen == expected, "{} messages", seen.len());
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let told = |made: Result<()>| made.expect_err("it is refused").to_string();
    let source = |url: &str, options: Options| told(connect::source(url, &options).map(drop));
    let sink = |url: &str, options: Options| told(connect::sink(url, &options).map(drop));
    let group = || Options::new().with("group", "g");
    assert_eq!(
        source("kafka://h/t", Options::new()),
        "kafka sources needs the option group"
    );
    assert_eq!(
        source("kafka://h", group()),
        "kafka://h: no topic in the address"
    );
    let why = source("kafka://h/{data.x}", group());
    assert_eq!(why, "kafka://h/{data.x}: \"{data.x}\" is not a topic name");
    let why = source("kafka://h/t?group=g", group());
    assert!(
        why.contains("unknown parameter \"group\" after the ?"),
        "{why}"
    );
    let why = source("kafka://h:99999/t", group());
    assert!(
        why.contains("its port is not a number from 0 to 65535"),
        "{why}"
    );
    let why = sink("kafka://h/a%20b", Options::new());
    assert!(why.contains("\"a b\" is not a topic name"), "{why}");
    let why = sink("kafka://h/t", Options::new().with("compression", "lz5"));
    assert!(why.contains("did you mean \"lz4\""), "{why}");
    let why = sink("kafka://h/t", Options::new().with("servers", "a,b"));
    assert!(why.contains("\"host:port\" expected"), "{why}");
}
