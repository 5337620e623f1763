//! A sink: an idempotent producer.
//!
//! The invariants: a message that the cluster has confirmed or refused is not sent again, whatever
//! became of the rest of its batch, nor is one that waits for its confirmation: a batch that is fed
//! again, whole or event by event, meets what is known of it. The client keeps trying meanwhile, and
//! the cluster drops what it has already.

use super::config::{self, ConnectConfig, LastError};
use super::is_topic;
use crate::connect::{Progress, Settings, Template};
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::format::{Encoder, Framing};
use crate::node::{Context, Node, Sink};
use crate::payload::Payload;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use std::collections::HashSet;
use std::time::Duration;

/// How many events go into one batch: a batch waits for the cluster once.
const BATCH: usize = 1024;
/// How long the client is asked at once; the time limit is counted in these.
const TURN: Duration = Duration::from_millis(1);

pub(super) struct KafkaSink {
    config: ConnectConfig,
    topic: Template,
    key: Option<Template>,
    headers: Vec<(String, Template)>,
    compression: &'static str,
    producer: Option<BaseProducer<Callbacks>>,
    encoder: Encoder,
    /// What is to be sent of the batch.
    batch: Vec<Out>,
    progress: Progress,
    /// The numbers of the events that the client has and has not reported on.
    sent: HashSet<u64>,
    /// Those that the batch waits for.
    awaited: Vec<u64>,
}

/// A message to send.
struct Out {
    /// The number of its event.
    number: u64,
    topic: String,
    key: Option<String>,
    headers: Vec<String>,
    payload: Payload,
}

/// What the client calls back.
#[derive(Default)]
struct Callbacks {
    /// Numbers of events, and the outcome of each.
    reports: Mutex<Vec<(u64, Option<Code>)>>,
    last_error: LastError,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, what: &str, message: &str) {
        config::log(level, what, message);
    }

    fn error(&self, error: KafkaError, _why: &str) {
        self.last_error.note(&error);
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let code = match result {
            Ok(_) => None,
            Err((error, _)) => Some(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        self.reports.lock().push((number as u64, code));
    }
}

impl KafkaSink {
    pub fn new(config: ConnectConfig, topic: Template, settings: &Settings) -> Result<Self> {
        let compression = settings.choice("compression", &["none", "lz4", "snappy"])?;
        Ok(KafkaSink {
            config,
            topic,
            key: settings.template("key")?,
            headers: settings.template_pairs("headers")?,
            compression: compression.unwrap_or("none"),
            producer: None,
            encoder: settings.encoder(Framing::Message)?,
            batch: Vec::new(),
            progress: Progress::default(),
            sent: HashSet::new(),
            awaited: Vec::new(),
        })
    }

    fn create(&self) -> Result<BaseProducer<Callbacks>> {
        let mut config = self.config.client_config();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            // The server rejects messages that are too long.
            .set("message.max.bytes", "2097152")
            // The client goes on trying: who waits for it has a limit.
            .set("message.timeout.ms", "0")
            .set("partitioner", "murmur2_random")
            .set("compression.type", self.compression);
        let producer = config.create_with_context(Callbacks::default());
        producer.map_err(|error| self.config.error(&error, None))
    }

    /// Hands the batch to the client, as far as it has room.
    fn send(&mut self, producer: &BaseProducer<Callbacks>, turns: &mut u128) -> Result<()> {
        for out in std::mem::take(&mut self.batch) {
            let mut headers = (!self.headers.is_empty())
                .then(|| OwnedHeaders::new_with_capacity(self.headers.len()));
            for ((name, _), value) in self.headers.iter().zip(&out.headers) {
                let header = Header {
                    key: name,
                    value: Some(value),
                };
                headers = headers.map(|headers| headers.insert(header));
            }
            let mut record = BaseRecord::with_opaque_to(&out.topic, out.number as usize);
            record.payload = Some(out.payload.bytes());
            record.key = out.key.as_deref();
            record.headers = headers;
            loop {
                let (error, back) = match producer.send(record) {
                    Ok(()) => {
                        self.sent.insert(out.number);
                        break;
                    }
                    Err(refused) => refused,
                };
                record = back;
                if error.rdkafka_error_code() != Some(Code::QueueFull) {
                    let error = self.config.error(&error, Some(&out.topic));
                    self.progress.add(out.number, Err(error));
                    break;
                }
                if *turns == 0 {
                    return Err(self.unconfirmed());
                }
                *turns -= 1;
                producer.poll(TURN);
                self.take_reports(producer);
            }
        }
        Ok(())
    }

    /// Notes the outcomes that the client has reported.
    fn take_reports(&mut self, producer: &BaseProducer<Callbacks>) {
        let reports = std::mem::take(&mut *producer.context().reports.lock());
        for (number, code) in reports {
            if self.sent.remove(&number) {
                let topic = self.topic.constant();
                let outcome = code.map_or(Ok(()), |code| Err(self.config.coded(code, topic)));
                self.progress.add(number, outcome);
            }
        }
    }

    fn is_waiting(&self) -> bool {
        let mut awaited = self.awaited.iter();
        awaited.any(|number| self.sent.contains(number))
    }

    fn unconfirmed(&self) -> Error {
        let error = "the cluster does not confirm the messages";
        self.config.address.unavailable(error)
    }

    /// Sends what is to be sent, and waits for the outcome of the batch.
    fn deliver(&mut self, producer: &BaseProducer<Callbacks>) -> Result<()> {
        let mut turns = self.config.timeout.as_millis();
        self.send(producer, &mut turns)?;
        // Some may have been reported on since an earlier attempt.
        self.take_reports(producer);
        while self.is_waiting() {
            if turns == 0 {
                return Err(self.unconfirmed());
            }
            turns -= 1;
            producer.poll(TURN);
            self.take_reports(producer);
        }
        self.awaited.clear();
        Ok(())
    }
}

impl Node for KafkaSink {
    fn open(&mut self) -> Result<()> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                self.sent.clear();
                self.create()?
            }
        };
        let topic = self.topic.constant();
        let checked = self.config.check(producer.client(), topic);
        producer.poll(Duration::ZERO);
        let last_error = producer.context().last_error.take();
        if last_error != Some(Code::Fatal) {
            self.producer = Some(producer);
        }
        match (last_error, checked) {
            (Some(code), _) => Err(self.config.coded(code, topic)),
            (None, Err(error)) => Err(self.config.error(&error, topic)),
            (None, Ok(())) => Ok(()),
        }
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if !self.awaited.is_empty() {
            let Some(producer) = self.producer.take() else {
                return Err(self.config.address.unavailable("the sink is not open"));
            };
            let delivered = self.deliver(&producer);
            self.producer = Some(producer);
            delivered?;
        }
        self.progress.commit()
    }

    fn rollback(&mut self) {
        self.progress.rollback();
        self.batch.clear();
        self.awaited.clear();
    }
}

impl Sink for KafkaSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if let Some(known) = self.progress.known(cx) {
            return known;
        }
        let number = self.progress.number();
        if !self.sent.contains(&number) {
            let topic = self.topic.render(event)?;
            if self.topic.constant().is_none() && !is_topic(&topic) {
                let error = format!("{} is not a topic name", quote(&topic));
                return Err(Error::data(error));
            }
            let key = self.key.as_ref().map(|key| key.render(event)).transpose()?;
            let headers = self.headers.iter().map(|(_, value)| value.render(event));
            self.batch.push(Out {
                number,
                topic,
                key,
                headers: headers.collect::<Result<_>>()?,
                payload: self.encoder.message(event)?,
            });
        }
        self.awaited.push(number);
        Ok(())
    }
}
