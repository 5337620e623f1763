//! `amqp:`, with queues of RabbitMQ.

use super::{At, Connector, Promises, Refusal, conforms};
use crate::support::probe::Seen;
use crate::support::rabbitmq;
use lapin::options::{
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use parking_lot::{ArcMutexGuard, RawMutex};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tributary::connect::{self, Options};
use tributary::{ErrorKind, Network, OnError, Outcome, Result, sink, source};

pub const PASSWORD: &str = "canary-of-amqp";

/// A server with a password.
pub struct Server(rabbitmq::Server);

impl Server {
    fn start() -> Self {
        let config = format!("default_user = guest\ndefault_pass = {PASSWORD}\n");
        // One scheduler is enough.
        Server(rabbitmq::Server::start(&config, "+S 1:1"))
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    fn url(&self) -> String {
        format!("amqp://guest:{PASSWORD}@127.0.0.1:{}/%2f", self.port())
    }

    /// Asks the server over a connection of its own.
    pub fn ask<T, W: Future<Output = lapin::Result<T>>>(
        &self,
        work: impl FnOnce(Channel) -> W,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let properties = ConnectionProperties::default();
            let connection = Connection::connect(&self.url(), properties).await;
            let connection = connection.expect("a server");
            let channel = connection.create_channel().await.expect("a channel");
            let done = work(channel).await.expect("an answer");
            // Its channel may be closing by itself.
            let _ = connection.close(200, "".into()).await;
            done
        })
    }

    /// Makes a queue that takes what the exchange of the same name gets.
    fn make(&self, name: &str) {
        self.make_bound(name, "#");
    }

    /// The same, of what has this routing key.
    fn make_bound(&self, name: &str, key: &str) {
        self.ask(|channel| async move {
            let durable = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            let none = FieldTable::default;
            let topic = ExchangeKind::Topic;
            channel
                .exchange_declare(name.into(), topic, durable, none())
                .await?;
            let durable = QueueDeclareOptions {
                durable: true,
                ..QueueDeclareOptions::default()
            };
            channel.queue_declare(name.into(), durable, none()).await?;
            let bind = QueueBindOptions::default();
            channel
                .queue_bind(name.into(), name.into(), key.into(), bind, none())
                .await
        });
    }

    /// How many messages a queue has; it is empty then.
    fn purge(&self, name: &str) -> u32 {
        self.ask(|channel| async move {
            let options = QueuePurgeOptions::default();
            channel.queue_purge(name.into(), options).await
        })
    }
}

/// The server that those share who run at about the same time: it takes long to start.
static SHARED: Mutex<Weak<parking_lot::Mutex<Server>>> = Mutex::new(Weak::new());

/// The shared server, for one at a time; it ends with the last one who waits for it.
struct Queues(ArcMutexGuard<RawMutex, Server>);

pub fn shared() -> ArcMutexGuard<RawMutex, Server> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let server = match shared.upgrade() {
        Some(server) => server,
        None => Arc::new(parking_lot::Mutex::new(Server::start())),
    };
    *shared = Arc::downgrade(&server);
    drop(shared);
    let mut server = server.lock_arc();
    if !server.0.is_running() {
        server.0.restart();
    }
    server
}

impl Connector for Queues {
    const PROMISES: Promises = Promises::ALL;

    fn start() -> Result<Self> {
        Ok(Queues(shared()))
    }

    fn stop(&mut self) -> Result<()> {
        self.0.0.kill();
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        self.0.0.restart();
        Ok(())
    }

    fn prepare(&mut self, name: &str) -> Result<()> {
        self.0.make(name);
        Ok(())
    }

    fn source(&self, name: &str) -> At {
        let options = Options::new()
            .with("queue", name)
            .with("redeliver_after", "200ms")
            .with("prefetch", 256);
        (self.0.url(), options)
    }

    fn sink(&self, name: &str) -> At {
        let options = Options::new()
            .with("exchange", name)
            .with("key", "{data.customer}");
        (self.0.url(), options)
    }

    fn picky_sink(&self, name: &str) -> At {
        let options = Options::new()
            .with("exchange", name)
            .with("key", "{data.to}");
        (self.0.url(), options)
    }

    /// No queue takes the bad event.
    fn refuse(&mut self, name: &str, _: Refusal) -> Result<Option<usize>> {
        // The server may be shared with a test that has ended.
        let unbound = |channel: Channel| async move {
            let none = FieldTable::default();
            channel
                .queue_unbind(name.into(), name.into(), "bad".into(), none)
                .await
        };
        self.0.make_bound(name, "good");
        self.0.ask(unbound);
        self.0.purge(name);
        Ok(Some(0))
    }

    fn relent(&mut self, name: &str) -> Result<()> {
        self.0.make_bound(name, "bad");
        Ok(())
    }

    fn elsewhere(port: u16) -> Option<(At, At)> {
        let url = format!("amqp://127.0.0.1:{port}/%2f");
        let options = Options::new().with("timeout", "1s");
        let source = options.clone().with("queue", "x");
        Some(((url.clone(), source), (url, options.with("key", "x"))))
    }

    fn with_wrong_password(&self) -> Option<(At, &'static str)> {
        let url = self.0.url().replace(PASSWORD, "canary-that-is-wrong");
        let options = Options::new().with("queue", "x");
        Some(((url, options), "canary-that-is-wrong"))
    }

    fn missing(&self) -> Option<(At, &'static str)> {
        let advice = "create it: rabbitmqadmin declare queue name=\"bets\" durable=true";
        Some(((self.0.url(), Options::new().with("queue", "bets")), advice))
    }
}

conforms!(Queues, "needs rabbitmq-server");

/// Writes the payloads; how many were consumed and rejected comes out.
fn write(url: &str, options: &Options, payloads: &[&str]) -> Result<(u64, u64)> {
    let network = Network::new();
    let payloads: Vec<String> = payloads.iter().map(|text| (*text).to_owned()).collect();
    network.add_source("in", source::from_iter(payloads))?;
    network.add_sink("out", connect::sink(url, options)?)?;
    network.link("in", "out")?;
    network.start()?;
    network.wait()?;
    let stats = network.stats();
    let out = stats.node("out").expect("a node");
    Ok((out.consumed, out.rejected))
}

fn reading(url: &str, options: &Options) -> Result<(Network, sink::Receiver)> {
    let network = Network::new();
    let (events, out) = sink::channel();
    network.add_source("in", connect::source(url, options)?)?;
    network.add_sink("out", out.settled_by_host())?;
    network.link("in", "out")?;
    network.start()?;
    Ok((network, events))
}

#[test]
#[ignore = "needs rabbitmq-server"]
fn what_no_queue_takes_rejects_its_event_only_and_nothing_comes_twice() -> Result<()> {
    let server = shared();
    server.make("a");
    let options = Options::new().with("key", "{data.to}");
    let events = [
        r#"{"to":"a"}"#,
        r#"{"to":"nowhere"}"#,
        r#"{"no":"key"}"#,
        r#"{"to":"a"}"#,
    ];
    assert_eq!(write(&server.url(), &options, &events)?, (2, 2));
    assert_eq!(server.purge("a"), 2);
    let options = options.with("mandatory", false);
    assert_eq!(write(&server.url(), &options, &events)?, (3, 1));
    Ok(())
}

#[test]
#[ignore = "needs rabbitmq-server"]
fn of_many_messages_under_way_those_are_refused_that_no_queue_takes() -> Result<()> {
    let server = shared();
    server.make("many");
    let events: Vec<String> = (0..3_000)
        .map(|n| {
            let to = if n % 3 == 0 { "nowhere" } else { "many" };
            format!(r#"{{"to":"{to}","n":{n}}}"#)
        })
        .collect();
    let network = Network::new();
    let (letters, refused) = sink::channel();
    network.add_source("in", source::from_iter(events.clone()))?;
    let options = Options::new().with("key", "{data.to}");
    network.add_sink("out", connect::sink(&server.url(), &options)?)?;
    network.add_sink("letters", refused)?;
    network.link("in", "out")?;
    network.on_error("out", OnError::to("letters"))?;
    network.start()?;
    network.wait()?;
    let told: Vec<String> = letters
        .iter()
        .map(|letter| letter.payload().text().unwrap_or_default().to_owned())
        .collect();
    let expected = events.iter().filter(|event| event.contains("nowhere"));
    assert!(told.iter().eq(expected), "{} were refused", told.len());
    assert_eq!(server.purge("many"), 2_000);
    Ok(())
}

#[test]
#[ignore = "needs rabbitmq-server"]
fn what_is_declared_is_created_and_a_message_has_its_origin_in_its_meta() -> Result<()> {
    let server = shared();
    let headers = serde_json::json!({"Game": "{data.game_id}"});
    let to = Options::new()
        .with("exchange", "alerts")
        .with("key", "{data.game_id}")
        .with("headers", headers)
        .with("id", "alert-{data.game_id}")
        .with("mandatory", false)
        .with("declare", serde_json::json!({"type": "topic"}));
    write(&server.url(), &to, &[r#"{"game_id":"A.1"}"#])?;
    let bind = serde_json::json!({"exchange": "alerts", "key": "A.*"});
    let from = Options::new()
        .with("queue", "of-a")
        .with("redeliver_after", "0s")
        .with(
            "declare",
            serde_json::json!({"type": "quorum", "bind": bind}),
        );
    let (network, events) = reading(&server.url(), &from)?;
    let bets = [r#"{"game_id":"B.2"}"#, r#"{"game_id":"A.2"}"#];
    write(&server.url(), &to, &bets)?;
    for redelivered in [false, true] {
        let event = events.recv_timeout(Duration::from_secs(10)).expect("one");
        assert_eq!(event.payload().text(), Some(bets[1]));
        let meta = |name| event.meta().get(name).cloned().unwrap_or_default();
        assert_eq!(meta("exchange"), "alerts");
        assert_eq!(meta("key"), "A.2");
        assert_eq!(meta("id"), "alert-A.2");
        assert_eq!(meta("redelivered"), redelivered);
        assert_eq!(meta("headers")["Game"], "A.2");
        event.settle(if redelivered {
            Outcome::Delivered
        } else {
            Outcome::Failed
        });
    }
    network.stop()?;
    assert_eq!(server.purge("of-a"), 0);
    Ok(())
}

#[test]
#[ignore = "needs rabbitmq-server"]
fn what_cannot_be_used_is_an_error_with_a_hint() -> Result<()> {
    let server = shared();
    server.make("here");
    let told = |url: &str, options: &Options| {
        let error = reading(url, options).expect_err("it is refused");
        assert!(!error.is_retryable(), "{error}");
        error.to_string()
    };
    let queue = Options::new().with("queue", "here");
    let told_of = told(&server.url().replace("%2f", "other"), &queue);
    assert!(
        told_of.contains("there is no vhost \"other\"; create it: rabbitmqctl add_vhost"),
        "{told_of}"
    );
    let quorum = serde_json::json!({"type": "quorum"});
    let told_of = told(&server.url(), &queue.with("declare", quorum));
    assert!(told_of.contains("inequivalent arg"), "{told_of}");
    let options = Options::new().with("exchange", "gone").with("key", "x");
    let error = write(&server.url(), &options, &["1"]).expect_err("it is not there");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("there is no exchange \"gone\""),
        "{error}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let told = |made: Result<()>| made.expect_err("it is refused").to_string();
    let source = |options: Options| told(connect::source("amqp://h", &options).map(drop));
    let sink = |options: Options| told(connect::sink("amqp://h", &options).map(drop));
    assert_eq!(
        source(Options::new()),
        "amqp sources needs the option queue"
    );
    let queue = || Options::new().with("queue", "q");
    let told = source(queue().with("declare", serde_json::json!({"kind": "quorum"})));
    assert_eq!(told, "amqp sources: declare has no member \"kind\"");
    let told = source(queue().with("declare", serde_json::json!({"type": "stream"})));
    assert_eq!(
        told,
        "amqp sources: type of declare: one of classic, quorum expected, got \"stream\""
    );
    let told = source(queue().with("declare", serde_json::json!({"bind": "alerts"})));
    assert!(
        told.contains("an object with exchange and key expected"),
        "{told}"
    );
    let told = source(queue().with("prefetch", 70_000));
    assert!(
        told.contains("a whole number from 1 to 65535 expected"),
        "{told}"
    );
    let told = sink(Options::new().with("exchange", "e"));
    assert_eq!(
        told,
        "option key of amqp sinks: a template expected, got nothing"
    );
    let told = sink(Options::new().with("key", "k").with("declare", true));
    assert_eq!(told, "amqp sinks: option declare needs the option exchange");
}

#[test]
#[ignore = "needs rabbitmq-server"]
fn an_event_that_is_tried_again_is_sent_again_and_the_others_are_not() -> Result<()> {
    let server = shared();
    let name = "tried-again";
    server.ask(|channel| async move {
        let none = FieldTable::default;
        let exchange = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let direct = ExchangeKind::Direct;
        channel
            .exchange_declare(name.into(), direct, exchange, none())
            .await?;
        let queue = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        channel.queue_declare(name.into(), queue, none()).await?;
        let bind = QueueBindOptions::default();
        channel
            .queue_bind(name.into(), name.into(), "known".into(), bind, none())
            .await
    });
    let network = Network::new();
    let events = (0..10).map(|n| {
        let key = if n % 5 == 0 { "nobody" } else { "known" };
        format!("{{\"n\":{n},\"key\":\"{key}\"}}")
    });
    network.add_source("in", source::from_iter(events.collect::<Vec<_>>()))?;
    let options = Options::new()
        .with("exchange", name)
        .with("key", "{data.key}");
    network.add_sink("out", connect::sink(&server.url(), &options)?)?;
    let bad = Seen::at(&network, "bad")?;
    network.link("in", "out")?;
    let pause = Duration::from_millis(10);
    let again = OnError::retry(2).backoff(pause, pause).jitter(false);
    network.on_error("out", again.after("bad"))?;
    network.start()?;
    network.wait()?;
    assert_eq!(bad.len(), 2);
    for event in bad.events() {
        assert_eq!(event.meta().get("attempts").cloned(), Some(3.into()));
    }
    assert_eq!(server.purge(name), 8);
    Ok(())
}
