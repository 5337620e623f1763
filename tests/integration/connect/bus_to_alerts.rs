//! The example that leads bets of NATS to alerts in Slack and RabbitMQ, through its script.

use super::web::Web;
use super::{amqp, nats};
use crate::support::binary::{Running, Site};
use crate::support::probe::soon;
use lapin::options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use serde_json::Value;
use std::error::Error;
use tributary::connect::Options;
use tributary::time::{Clock, SystemClock};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/bus_to_alerts/network.lua"
);
const QUEUE: &str = "example";

/// The brokers and the fake of Slack.
struct Around {
    nats: nats::Server,
    amqp: parking_lot::ArcMutexGuard<parking_lot::RawMutex, amqp::Server>,
    web: Web,
}

impl Around {
    /// Puts a bet on a game, at odds of 2, into the stream.
    fn bet(&self, uuid: &str, game: u64, stake: f64) -> tributary::Result<()> {
        let now = SystemClock.now().as_secs();
        self.publish(&format!(
            r#"{{"uuid":"{uuid}","create_time":{now},"game_id":{game},"stake":{stake},"odds":2}}"#
        ))
    }

    fn publish(&self, payload: &str) -> tributary::Result<()> {
        let to = Options::new().with("stream", "BETS");
        let written = nats::write((self.nats.url("bets.new"), to), &[payload])?;
        assert_eq!(written, (1, 0));
        Ok(())
    }

    /// Up to which bet all are acked, and how many were given out and are not.
    fn acked(&self) -> (u64, u64) {
        let told = self.nats.ask("CONSUMER.INFO.BETS.liability", String::new());
        let told: Value = serde_json::from_str(&told).unwrap_or_default();
        let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
        (
            number(&told["ack_floor"]["stream_seq"]),
            number(&told["num_ack_pending"]),
        )
    }

    /// How often Slack was told of this game.
    fn slack(&self, text: &str) -> usize {
        let body = serde_json::json!({ "text": text }).to_string();
        self.web.bodies().iter().filter(|it| **it == body).count()
    }

    /// The next message of the queue: its routing key, and what it says.
    fn alert(&self) -> Option<(String, String)> {
        let options = BasicGetOptions { no_ack: true };
        let get =
            |channel: lapin::Channel| async move { channel.basic_get(QUEUE.into(), options).await };
        let message = self.amqp.ask(get)?.delivery;
        let text = String::from_utf8_lossy(&message.data).into_owned();
        Some((message.routing_key.to_string(), text))
    }

    /// Makes a queue that takes all alerts.
    fn bind(&self) {
        self.amqp.ask(|channel| async move {
            let none = FieldTable::default;
            let declare = QueueDeclareOptions::default();
            channel.queue_declare(QUEUE.into(), declare, none()).await?;
            let bind = QueueBindOptions::default();
            let key = "#".into();
            channel
                .queue_bind(QUEUE.into(), "alerts".into(), key, bind, none())
                .await
        });
    }
}

#[test]
#[ignore = "needs nats-server and rabbitmq-server"]
fn the_example_acks_a_bet_when_both_alerts_are_delivered() -> Result<(), Box<dyn Error>> {
    let around = Around {
        nats: nats::Server::start()?,
        amqp: amqp::shared(),
        web: Web::start(),
    };
    let stream = r#"{"name":"BETS","subjects":["bets.>"]}"#;
    around.nats.ask("STREAM.CREATE.BETS", stream.to_owned());
    let site = Site::new()?;
    let mut command = site.command(&["run", SCRIPT, "--db", "sqlite:bets.db"]);
    command
        .env(
            "NATS",
            format!("me:{}@127.0.0.1:{}", nats::PASSWORD, around.nats.port),
        )
        .env("AMQP", format!("127.0.0.1:{}", around.amqp.port()))
        .env("AMQP_PASSWORD", amqp::PASSWORD)
        .env("SLACK_WEBHOOK", around.web.url("/services/canary-of-slack"));
    let running = Running::of(command)?;

    // Nothing is made of the first, and two are no bets. Of the fourth, one alert arrives, and the other
    // is taken by no queue: it comes again.
    around.bet("1", 5, 50.0)?;
    around.publish("no bet")?;
    around.publish(r#"{"uuid":"3","stake":"all"}"#)?;
    around.bet("4", 654_321, 150.0)?;
    let text = "liability 150.0 on 654321";
    let told_again = soon(|| around.slack(text) >= 2);
    assert!(told_again, "{:?}", around.web.bodies());
    assert!(soon(|| around.acked() == (3, 1)), "{:?}", around.acked());

    around.bind();
    assert!(soon(|| around.acked() == (4, 0)), "{:?}", around.acked());
    let expected = (
        "654321".to_owned(),
        r#"{"game_id":654321,"liability":150.0}"#.to_owned(),
    );
    assert_eq!(around.alert(), Some(expected));
    while around.alert().is_some() {}

    // Of the fifth, Slack does not take its alert for a while.
    around.web.answer(&["503 Retry-After: 3"]);
    around.bet("5", 7, 140.5)?;
    assert!(soon(|| around.alert().is_some_and(|(key, _)| key == "7")));
    let text = "liability 140.5 on 7";
    assert!(soon(|| around.slack(text) == 1 && around.acked() == (4, 1)));
    assert!(soon(|| around.acked() == (5, 0)), "{:?}", around.acked());
    assert_eq!(around.slack(text), 2);
    assert_eq!(around.alert(), None, "it was delivered already");

    let done = running.stop()?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(!done.stderr.contains("canary"), "{}", done.stderr);
    let refused = site.call(&["dlq", "list", "refused.db"])?.stdout;
    let kept = ["no bet", "all"].map(|payload| refused.contains(payload));
    assert_eq!(kept, [true, true], "{refused}");
    Ok(())
}
