//! A source: one of a consumer group.
//!
//! The invariants: the position that is committed for a partition is the one that
//! [`Positions`](super::positions::Positions) gives; messages that failed are kept here and sent again as long as their partition
//! is ours, and hold its position meanwhile. The client is asked often enough to stay in the group,
//! also when there is no room: the partitions are paused then.

use super::config::ConnectConfig;
use super::member::{Callbacks, Member};
use super::positions::Spot;
use crate::ack::{Outcome, Token};
use crate::connect::Inbox;
use crate::connect::support::redelivery::Redelivery;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::format::Format;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use crate::time::Timestamp;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::Duration;

/// How many events a read emits at most.
const BATCH: usize = 512;
/// How many messages are taken ahead of one that is not delivered, for each that may be under way.
const AHEAD: usize = 8;
/// The most bytes of a reply with messages, if it has several batches. lz4 makes up to 255 times as many of
/// them, and librdkafka has no limit of that.
const FETCHED: &str = "4194304";
/// The most bytes of any reply, as with a single batch that is larger.
const RECEIVED: &str = "67108864";
/// After how long without room the partitions are paused.
const FULL: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Options {
    pub topic: String,
    pub group: String,
    pub only_new: bool,
    pub redeliver_after: Duration,
    pub in_flight: usize,
    pub commit_every: Duration,
    pub session: Duration,
    pub format: Format,
}

pub(super) struct KafkaSource {
    config: ConnectConfig,
    options: Options,
    member: Option<Member>,
    inbox: Inbox<Held>,
    failed: Redelivery<Held>,
    /// The positions that have moved since the last commit.
    moved: HashMap<i32, i64>,
    /// An error that came when something had been emitted already.
    error: Option<Error>,
    /// Since when there is no room.
    full_since: Option<Timestamp>,
}

/// A message under way, to be sent again if need be.
struct Held {
    spot: Spot,
    event: Event,
}

impl KafkaSource {
    pub fn new(config: ConnectConfig, options: Options) -> Self {
        KafkaSource {
            config,
            member: None,
            inbox: Inbox::new(options.in_flight).format(&options.format),
            failed: Redelivery::after(options.redeliver_after),
            moved: HashMap::new(),
            error: None,
            full_since: None,
            options,
        }
    }

    fn closed(&self) -> Error {
        self.config.address.unavailable("the client is not open")
    }

    fn wrong(&self, error: &KafkaError) -> Error {
        self.config.error(error, Some(&self.options.topic))
    }

    fn create(&self) -> Result<Member> {
        let millis = |time: Duration| time.as_millis().max(1).to_string();
        let mut config = self.config.client_config();
        config
            .set("group.id", &self.options.group)
            .set("fetch.max.bytes", FETCHED)
            .set("receive.message.max.bytes", RECEIVED)
            .set("session.timeout.ms", millis(self.options.session))
            .set("heartbeat.interval.ms", millis(self.heartbeat()))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.offset.store", "false")
            .set("auto.commit.interval.ms", millis(self.options.commit_every))
            .set(
                "auto.offset.reset",
                if self.options.only_new {
                    "latest"
                } else {
                    "earliest"
                },
            );
        let consumer = config.create_with_context(Callbacks::default());
        let consumer = consumer.map_err(|error| self.wrong(&error))?;
        Ok(Member::new(consumer, self.config.timeout))
    }

    fn heartbeat(&self) -> Duration {
        (self.options.session / 4).min(Duration::from_secs(3))
    }

    /// Emits the messages again that failed and whose pause is over. Returns their number.
    fn again(&mut self, cx: &mut Context<'_>) -> usize {
        let due = self.failed.due(cx.now());
        for held in self.failed.take(due.min(BATCH)) {
            let member = self.member.as_ref();
            if member.is_some_and(|member| member.positions().lock().is_ours(held.spot)) {
                self.inbox.emit(held.event.clone(), held, cx);
            }
        }
        due
    }

    fn room(&self, member: &Member) -> usize {
        let under_way = self.inbox.room().saturating_sub(self.failed.len());
        let ahead = self.options.in_flight.saturating_mul(AHEAD);
        under_way.min(ahead.saturating_sub(member.positions().lock().ahead()))
    }

    /// Whether there is room; where there is none for long, the partitions are paused, and the
    /// client is asked all the same.
    fn ready(&mut self, room: usize, now: Timestamp) -> Result<bool, KafkaError> {
        let Some(member) = &mut self.member else {
            return Ok(false);
        };
        if room > 0 {
            self.full_since = None;
            if member.is_paused {
                member.pause(false)?;
            }
            return Ok(true);
        }
        let since = *self.full_since.get_or_insert(now);
        if now.since(since) < FULL {
            return Ok(false);
        }
        self.full_since = Some(now);
        member.pause(true)?;
        Ok(true)
    }

    /// An event of the message, unless it is of a partition that is not ours.
    fn emit(&self, member: &Member, message: &BorrowedMessage<'_>, now: Timestamp) -> Option<Held> {
        let (partition, offset) = (message.partition(), message.offset());
        let spot = member.positions().lock().came(partition, offset)?;
        let payload = message.payload().unwrap_or(b"null");
        let mut event = Event::new(payload, now)
            .with_meta("topic", self.options.topic.as_str())
            .with_meta("partition", partition)
            .with_meta("offset", offset);
        if let Some(key) = message.key() {
            event = event.with_meta("key", String::from_utf8_lossy(key));
        }
        if let Some(headers) = message.headers() {
            let headers: Map<String, Value> = headers
                .iter()
                .map(|header| {
                    let value = header.value.map(String::from_utf8_lossy);
                    (header.key.to_owned(), value.into())
                })
                .collect();
            event = event.with_meta("headers", headers);
        }
        Some(Held { spot, event })
    }

    /// What an error of the client means; `None` where it is about to mend it.
    fn judge(&mut self, error: &KafkaError) -> Option<Error> {
        match error.rdkafka_error_code() {
            Some(
                Code::BrokerTransportFailure
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::PollExceeded
                | Code::AutoOffsetReset
                | Code::AssignmentLost,
            ) => {
                log::debug!("{}: {error}", self.config.address);
                None
            }
            _ => Some(self.wrong(error)),
        }
    }
}

impl Node for KafkaSource {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let shell = Self::new(self.config.clone(), self.options.clone());
        Some(Box::new(std::mem::replace(self, shell)))
    }

    /// The member of the group goes on, with its partitions.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let mut old = state.downcast::<Self>()?;
        let member = |options: &Options| {
            let Options {
                topic,
                group,
                commit_every,
                session,
                ..
            } = options;
            (topic.clone(), group.clone(), *commit_every, *session)
        };
        if old.config != self.config || member(&old.options) != member(&self.options) {
            return Err(old);
        }
        old.options = self.options.clone();
        old.inbox = old.inbox.with_options_of(&self.inbox);
        old.failed = old.failed.with_pause_of(&self.failed);
        *self = *old;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let member = match self.member.take() {
            Some(member) => member,
            None => {
                self.inbox.clear();
                self.failed.clear();
                self.moved.clear();
                self.create()?
            }
        };
        let member = self.member.insert(member);
        let topic = Some(self.options.topic.as_str());
        if let Err(error) = self.config.check(member.consumer().client(), topic) {
            let error = match member.last_error() {
                Some(code) => self.config.coded(code, topic),
                None => self.config.error(&error, topic),
            };
            return Err(error);
        }
        if !member.is_subscribed {
            let subscribed = member.consumer().subscribe(&[&self.options.topic]);
            subscribed.map_err(|error| self.config.error(&error, topic))?;
            member.is_subscribed = true;
        }
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        let Some((held, outcome)) = self.inbox.settle(token, outcome) else {
            return Ok(());
        };
        let Some(member) = &self.member else {
            return Ok(());
        };
        let mut positions = member.positions().lock();
        match outcome {
            Outcome::Delivered => {
                if let Some(position) = positions.delivered(held.spot) {
                    self.moved.insert(held.spot.partition, position);
                }
            }
            Outcome::Failed if positions.is_ours(held.spot) => {
                self.failed.push(held, cx.now());
            }
            Outcome::Failed => {}
        }
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if self.moved.is_empty() {
            return Ok(());
        }
        let Some(member) = &self.member else {
            return Ok(());
        };
        let topic = self.options.topic.as_str();
        for (partition, position) in self.moved.drain() {
            let mut list = TopicPartitionList::new();
            let added = list.add_partition_offset(topic, partition, Offset::Offset(position));
            let stored = added.and_then(|()| member.consumer().store_offsets(&list));
            // The partition was revoked: its next owner begins at the committed position.
            if let Err(error) = stored {
                log::debug!("{}: partition {partition}: {error}", self.config.address);
            }
        }
        Ok(())
    }
}

impl Source for KafkaSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.again(cx) > 0 {
            return Ok(ReadStatus::More);
        }
        let now = cx.now();
        let room = match &self.member {
            Some(member) => self.room(member).min(BATCH),
            None => return Err(self.closed()),
        };
        let ready = self.ready(room, now);
        if !ready.map_err(|error| self.wrong(&error))? {
            return Ok(ReadStatus::Idle);
        }
        let mut limit = match (room, self.failed.next_due()) {
            (0, _) => Duration::ZERO,
            (_, Some(due)) => wait.min(due.since(now)),
            (_, None) => wait,
        };
        let Some(member) = self.member.take() else {
            return Err(self.closed());
        };
        let (mut taken, mut error) = (0, None);
        while taken < room.max(1) {
            match member.consumer().poll(limit) {
                None => break,
                Some(Ok(message)) => {
                    if let Some(held) = self.emit(&member, &message, now) {
                        self.inbox.emit(held.event.clone(), held, cx);
                    }
                    taken += 1;
                    limit = Duration::ZERO;
                }
                Some(Err(reported)) => {
                    error = self.judge(&reported);
                    let is_over = matches!(reported, KafkaError::MessageConsumptionFatal(_));
                    if is_over || error.is_some() {
                        // A client that has failed for good is replaced by a new one.
                        self.member = (!is_over).then_some(member);
                        return match (taken, error) {
                            (0, Some(error)) => Err(error),
                            (0, None) => Err(self.closed()),
                            (_, error) => {
                                self.error = error;
                                Ok(ReadStatus::More)
                            }
                        };
                    }
                }
            }
        }
        self.member = Some(member);
        self.error = error;
        Ok(match taken {
            0 => ReadStatus::Idle,
            _ => ReadStatus::More,
        })
    }
}
