//! A durable queue of RabbitMQ: published to with confirms, and read and acked.

use super::{Run, payload, rabbitmq};
use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tributary::connect::Options;

const QUEUE: &str = "bench";
/// How many messages are under way at most, here as in the network.
const IN_FLIGHT: u16 = 1024;
/// How many messages one ack answers for, here as in the network.
const READ: u64 = 512;

struct Rabbit {
    server: rabbitmq::Server,
    runtime: Runtime,
}

impl Rabbit {
    fn start() -> Rc<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Rc::new(Rabbit {
            server: rabbitmq::Server::start("", ""),
            runtime: runtime.expect("a runtime"),
        })
    }

    fn url(&self) -> String {
        format!("amqp://127.0.0.1:{}/%2f", self.server.port)
    }

    async fn connect(&self) -> (Connection, Channel) {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&self.url(), properties).await;
        let connection = connection.expect("a server");
        let channel = connection.create_channel().await.expect("a channel");
        (connection, channel)
    }

    /// Makes a new queue, with so many messages.
    fn fill(&self, events: u64) {
        self.timed(|channel| async move {
            let delete = QueueDeleteOptions::default();
            let gone = channel.queue_delete(QUEUE.into(), delete).await;
            gone.expect("it is gone");
            let durable = QueueDeclareOptions {
                durable: true,
                ..QueueDeclareOptions::default()
            };
            let made = channel.queue_declare(QUEUE.into(), durable, FieldTable::default());
            made.await.expect("a queue");
            publish(channel, events).await;
        });
    }

    /// The time of a bare client, from before it connects.
    fn timed<F: Future<Output = ()>>(&self, work: impl FnOnce(Channel) -> F) -> Duration {
        let begun = Instant::now();
        let connection = self.runtime.block_on(async {
            let (connection, channel) = self.connect().await;
            work(channel).await;
            connection
        });
        let taken = begun.elapsed();
        // Its channel may be closing by itself.
        let _ = self.runtime.block_on(connection.close(200, "".into()));
        taken
    }
}

pub fn write() -> (Run, Run) {
    let rabbit = Rabbit::start();
    let ours = rabbit.clone();
    let options = Options::new().with("key", QUEUE);
    (
        Box::new(move |events| {
            ours.fill(0);
            super::written(&ours.url(), &options, events).expect("it writes")
        }),
        Box::new(move |events| {
            rabbit.fill(0);
            rabbit.timed(|channel| publish(channel, events))
        }),
    )
}

pub fn read() -> (Run, Run) {
    let rabbit = Rabbit::start();
    let ours = rabbit.clone();
    let options = Options::new().with("queue", QUEUE);
    (
        Box::new(move |events| {
            ours.fill(events);
            super::read(&ours.url(), &options, events).expect("it reads")
        }),
        Box::new(move |events| {
            rabbit.fill(events);
            rabbit.timed(|channel| take(channel, events))
        }),
    )
}

async fn publish(channel: Channel, events: u64) {
    let confirm = channel.confirm_select(ConfirmSelectOptions::default());
    confirm.await.expect("confirms");
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2);
    let mut waiting = VecDeque::new();
    for number in 0..events {
        let payload = payload(number);
        let sent = channel.basic_publish(
            "".into(),
            QUEUE.into(),
            options,
            payload.as_bytes(),
            properties.clone(),
        );
        waiting.push_back(sent.await.expect("it is sent"));
        if waiting.len() >= IN_FLIGHT.into() {
            let first = waiting.pop_front().expect("there are some");
            assert!(first.await.expect("an answer").is_ack());
        }
    }
    for confirm in waiting {
        assert!(confirm.await.expect("an answer").is_ack());
    }
}

async fn take(channel: Channel, events: u64) {
    let qos = channel.basic_qos(IN_FLIGHT, BasicQosOptions::default());
    qos.await.expect("a limit");
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default());
    let mut consumer = consumer.await.expect("a consumer");
    for number in 1..=events {
        let message = consumer
            .next()
            .await
            .expect("a message")
            .expect("a message");
        std::hint::black_box(&message.data);
        if number.is_multiple_of(READ) || number == events {
            let multiple = BasicAckOptions { multiple: true };
            message.ack(multiple).await.expect("it is acked");
        }
    }
}
