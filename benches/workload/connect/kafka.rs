//! Kafka: produced by an idempotent producer, and consumed as one of a group, whose positions are
//! stored. The server is the cluster that librdkafka brings for tests, in this process.

use super::{Run, payload};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::{ClientConfig, error::RDKafkaErrorCode};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tributary::connect::Options;

/// A cluster, and the number of the topic of the round. A partition of it keeps 5 MB.
struct Kafka(MockCluster<'static, DefaultProducerContext>, Cell<u32>);

const PARTITIONS: i32 = 16;
/// How long the cluster lets a new group wait for further members: taken off both.
const GATHERING: Duration = Duration::from_secs(3);

impl Kafka {
    fn start() -> Rc<Self> {
        let cluster = MockCluster::new(1).expect("a cluster");
        Rc::new(Kafka(cluster, Cell::new(0)))
    }

    /// A new topic with so many messages.
    fn fill(&self, events: u64) -> String {
        self.1.set(self.1.get() + 1);
        let topic = format!("bench{}", self.1.get());
        let made = self.0.create_topic(&topic, PARTITIONS, 1);
        made.expect("a topic");
        if events > 0 {
            produce(&self.producer(), &topic, events);
        }
        topic
    }

    fn url(&self, topic: &str) -> String {
        format!("kafka://{}/{topic}", self.0.bootstrap_servers())
    }

    fn producer(&self) -> BaseProducer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.0.bootstrap_servers())
            .set("enable.idempotence", "true");
        config.create().expect("a producer")
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.0.bootstrap_servers())
            .set("group.id", group)
            .set("enable.auto.offset.store", "false")
            .set("auto.commit.interval.ms", "1000")
            .set("auto.offset.reset", "earliest");
        config.create().expect("a consumer")
    }
}

pub fn write() -> (Run, Run) {
    let kafka = Kafka::start();
    let ours = kafka.clone();
    (
        Box::new(move |events| {
            let url = ours.url(&ours.fill(0));
            super::written(&url, &Options::new(), events).expect("it writes")
        }),
        Box::new(move |events| {
            let topic = kafka.fill(0);
            let begun = Instant::now();
            produce(&kafka.producer(), &topic, events);
            begun.elapsed()
        }),
    )
}

pub fn read() -> (Run, Run) {
    let kafka = Kafka::start();
    let ours = kafka.clone();
    (
        Box::new(move |events| {
            let topic = ours.fill(events);
            let options = Options::new().with("group", topic.as_str());
            let took = super::read(&ours.url(&topic), &options, events);
            took.expect("it reads").saturating_sub(GATHERING)
        }),
        Box::new(move |events| {
            let topic = kafka.fill(events);
            let begun = Instant::now();
            consume(kafka.consumer(&topic), &topic, events);
            begun.elapsed().saturating_sub(GATHERING)
        }),
    )
}

fn produce(producer: &BaseProducer, topic: &str, events: u64) {
    for number in 0..events {
        let payload = payload(number);
        let mut record = BaseRecord::<(), str>::to(topic).payload(&payload);
        while let Err((error, back)) = producer.send(record) {
            assert_eq!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::QueueFull)
            );
            record = back;
            producer.poll(Duration::from_millis(1));
        }
        if number % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
}

fn consume(consumer: BaseConsumer, topic: &str, events: u64) {
    consumer.subscribe(&[topic]).expect("a subscription");
    let mut taken = 0;
    while taken < events {
        let Some(message) = consumer.poll(Duration::from_secs(1)) else {
            continue;
        };
        let message = message.expect("a message");
        std::hint::black_box(message.payload().expect("a payload").to_vec());
        let stored = consumer.store_offset_from_message(&message);
        stored.expect("a position");
        taken += 1;
    }
}
