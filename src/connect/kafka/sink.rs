//! A sink: an idempotent producer.
//!
//! The invariants: a message that the cluster has confirmed or refused is not sent again, whatever
//! became of the rest of its batch, nor is one that waits for its confirmation: a batch that is fed
//! again, whole or event by event, meets what is known of it. The client keeps trying meanwhile, and
//! the cluster drops what it has already.

use super::is_topic;
use super::link::{self, Place, Said};
use crate::connect::progress::Refused;
use crate::connect::{Settings, Template};
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use crate::payload::Payload;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use std::collections::VecDeque;
use std::time::Duration;

/// How many events go into one batch: a batch waits for the cluster once.
const BATCH: usize = 1024;
/// How long the client is asked at once; the time limit is counted in these.
const TURN: Duration = Duration::from_millis(1);

pub(super) struct KafkaSink {
    place: Place,
    topic: Template,
    key: Option<Template>,
    headers: Vec<(String, Template)>,
    compression: &'static str,
    producer: Option<BaseProducer<Callbacks>>,
    /// What is to be sent of the batch.
    batch: Vec<Out>,
    /// What is known of each event that is fed now or will be again.
    known: VecDeque<State>,
    refused: Refused,
    /// The number of the first of these; each has one of its own.
    first: usize,
    /// How many of these have been fed now, and how many events in all.
    told: usize,
    events: usize,
    /// Those of them that the batch waits for.
    awaited: Vec<usize>,
}

/// What is known of an event.
enum State {
    New,
    /// It is the client's.
    Sent,
    Known(Result<()>),
}

/// A message to send.
struct Out {
    /// Its place among what is known.
    at: usize,
    topic: String,
    key: Option<String>,
    headers: Vec<String>,
    payload: Payload,
}

/// What the client calls back.
#[derive(Default)]
struct Callbacks {
    /// Numbers of events, and what became of each.
    reports: Mutex<Vec<(usize, Option<Code>)>>,
    said: Said,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, what: &str, message: &str) {
        link::log(level, what, message);
    }

    fn error(&self, error: KafkaError, _why: &str) {
        self.said.note(&error);
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let code = match result {
            Ok(_) => None,
            Err((error, _)) => Some(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        self.reports.lock().push((number, code));
    }
}

impl KafkaSink {
    pub fn new(place: Place, topic: Template, settings: &Settings) -> Result<Self> {
        let compression = settings.choice("compression", &["none", "lz4", "snappy"])?;
        Ok(KafkaSink {
            place,
            topic,
            key: settings.template("key")?,
            headers: settings.template_pairs("headers")?,
            compression: compression.unwrap_or("none"),
            producer: None,
            batch: Vec::new(),
            known: VecDeque::new(),
            refused: Refused::default(),
            first: 0,
            told: 0,
            events: 0,
            awaited: Vec::new(),
        })
    }

    fn create(&self) -> Result<BaseProducer<Callbacks>> {
        let mut config = self.place.config();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            // The server says what is too long for it.
            .set("message.max.bytes", "2097152")
            // The client goes on trying: who waits for it has a limit.
            .set("message.timeout.ms", "0")
            .set("partitioner", "murmur2_random")
            .set("compression.type", self.compression);
        let producer = config.create_with_context(Callbacks::default());
        producer.map_err(|error| self.place.error(&error, None))
    }

    /// What was fed does not come again.
    fn done(&mut self) {
        self.refused.commit();
        self.known.drain(..self.told);
        self.first += self.told;
        self.rollback();
    }

    /// Hands the batch to the client, as far as it has room.
    fn send(&mut self, producer: &BaseProducer<Callbacks>, turns: &mut u128) {
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
            let mut record = BaseRecord::with_opaque_to(&out.topic, self.first + out.at);
            record.payload = Some(out.payload.bytes());
            record.key = out.key.as_deref();
            record.headers = headers;
            loop {
                let (error, back) = match producer.send(record) {
                    Ok(()) => {
                        self.known[out.at] = State::Sent;
                        break;
                    }
                    Err(refused) => refused,
                };
                record = back;
                if error.rdkafka_error_code() != Some(Code::QueueFull) {
                    self.note(out.at, &self.place.error(&error, Some(&out.topic)));
                    break;
                }
                if *turns == 0 {
                    break;
                }
                *turns -= 1;
                producer.poll(TURN);
                self.hear(producer);
            }
        }
    }

    fn note(&mut self, at: usize, error: &Error) {
        self.known[at] = match error.is_retryable() {
            true => State::New,
            false => State::Known(Err(error.clone())),
        };
    }

    /// Takes the reports that have come.
    fn hear(&mut self, producer: &BaseProducer<Callbacks>) {
        let reports = std::mem::take(&mut *producer.context().reports.lock());
        for (number, code) in reports {
            let at = number.wrapping_sub(self.first);
            if at >= self.known.len() {
                continue;
            }
            match code {
                None => self.known[at] = State::Known(Ok(())),
                Some(code) => self.note(at, &self.place.coded(code, self.topic.constant())),
            }
        }
    }

    /// The worst that became of what the batch waits for: what can be tried again comes first, since
    /// then the whole batch is.
    fn outcome(&self) -> Result<()> {
        let mut worst = Ok(());
        for at in &self.awaited {
            match &self.known[*at] {
                State::New | State::Sent => {
                    let error = "the cluster does not confirm what was sent";
                    return Err(self.place.address.unavailable(error));
                }
                State::Known(Err(error)) if worst.is_ok() => worst = Err(error.clone()),
                State::Known(_) => {}
            }
        }
        worst
    }

    fn is_waiting(&self) -> bool {
        let mut awaited = self.awaited.iter();
        awaited.any(|at| matches!(self.known[*at], State::Sent))
    }
}

impl Node for KafkaSink {
    fn open(&mut self) -> Result<()> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                for state in &mut self.known {
                    if let State::Sent = state {
                        *state = State::New;
                    }
                }
                self.create()?
            }
        };
        let topic = self.topic.constant();
        let checked = self.place.check(producer.client(), topic);
        producer.poll(Duration::ZERO);
        let said = producer.context().said.take();
        if said != Some(Code::Fatal) {
            self.producer = Some(producer);
        }
        match (said, checked) {
            (Some(code), _) => Err(self.place.coded(code, topic)),
            (None, Err(error)) => Err(self.place.error(&error, topic)),
            (None, Ok(())) => Ok(()),
        }
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if self.awaited.is_empty() {
            self.done();
            return Ok(());
        }
        let Some(producer) = self.producer.take() else {
            return Err(self.place.address.unavailable("the sink is not open"));
        };
        let mut turns = self.place.timeout.as_millis();
        self.send(&producer, &mut turns);
        while self.is_waiting() && turns > 0 {
            turns -= 1;
            producer.poll(TURN);
            self.hear(&producer);
        }
        self.producer = Some(producer);
        let outcome = self.outcome();
        match &outcome {
            Ok(()) => self.done(),
            // A batch of one event that was refused does not come again.
            Err(error) if self.events == 1 && !error.is_retryable() => self.done(),
            Err(_) => {}
        }
        outcome
    }

    fn rollback(&mut self) {
        self.refused.rollback();
        self.batch.clear();
        self.awaited.clear();
        self.told = 0;
        self.events = 0;
    }
}

impl Sink for KafkaSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.events += 1;
        if self.refused.comes_again(cx) {
            self.known.push_front(State::New);
            self.first = self.first.wrapping_sub(1);
        }
        // First of all: what is known is known of events that a message was made of.
        let topic = self.topic.render(event)?;
        if self.topic.constant().is_none() && !is_topic(&topic) {
            let error = format!("{} is no name of a topic", quote(&topic));
            return Err(Error::data(error));
        }
        let key = self.key.as_ref().map(|key| key.render(event)).transpose()?;
        let headers = self.headers.iter().map(|(_, value)| value.render(event));
        let headers = headers.collect::<Result<_>>()?;
        let at = self.told;
        self.told += 1;
        match self.known.get(at) {
            Some(State::Known(known)) => {
                if known.is_err() {
                    self.refused.returned(cx);
                }
                return known.clone();
            }
            Some(State::Sent) => {}
            Some(State::New) | None => self.batch.push(Out {
                at,
                topic,
                key,
                headers,
                payload: event.payload().clone(),
            }),
        }
        if at == self.known.len() {
            self.known.push_back(State::New);
        }
        self.awaited.push(at);
        Ok(())
    }
}
