//! A source: subscribes to topics.
//!
//! The invariants: acks are sent as [`Order`] gives them; messages that failed are kept here and
//! emitted again, and hold the acks of those behind them meanwhile. What comes while there is no room
//! waits in `arrived`: of QoS 1 and 2 at most the receive maximum, of QoS 0 up to a limit.

use super::connection::{ConnectConfig, Connection, PUMP, Role};
use super::order::{Answer, Order};
use crate::ack::{Outcome, Token};
use crate::connect::Inbox;
use crate::connect::support::redelivery::Redelivery;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::event::Event;
use crate::format::Format;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use crate::time::{Timestamp, monotonic};
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, Publish, RetainForwardRule, SubAck, SubscribeReasonCode as Code,
};
use rumqttc::v5::{Event as Happened, Incoming};
use std::collections::VecDeque;
use std::time::Duration;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// How many events a read emits at most.
const BATCH: usize = 512;
/// The shortest wait in which the client sees what has come.
const GLANCE: Duration = Duration::from_millis(1);
/// How many acks the client takes before it is polled.
const REQUESTS: usize = 256;
/// The most events of the client per call while there is no room for messages.
const HEAR: usize = 64;

#[derive(Clone)]
pub(super) struct Options {
    pub topics: Vec<String>,
    pub qos: QoS,
    pub redeliver_after: Duration,
    pub in_flight: u16,
    pub format: Format,
}

pub(super) struct MqttSource {
    config: ConnectConfig,
    options: Options,
    open: Option<Connection>,
    /// Whether the connection is that of a node that is replaced, and was not used yet.
    is_taken: bool,
    /// Messages that came and are not emitted yet.
    arrived: VecDeque<Publish>,
    /// Whether a warning about lost messages was logged.
    is_warned: bool,
    inbox: Inbox<Held>,
    order: Order,
    failed: Redelivery<Held>,
    /// When the client sends the next ping.
    pump_at: Timestamp,
}

/// A message under way, to be emitted again if need be.
struct Held {
    /// What it is called in the order; with QoS 0 it has no place there.
    number: Option<u64>,
    event: Event,
}

impl MqttSource {
    pub fn new(config: ConnectConfig, options: Options) -> Self {
        MqttSource {
            config,
            open: None,
            is_taken: false,
            arrived: VecDeque::new(),
            is_warned: false,
            inbox: Inbox::new(options.in_flight.into()).format(&options.format),
            order: Order::default(),
            failed: Redelivery::after(options.redeliver_after),
            pump_at: Timestamp::from_secs(0),
            options,
        }
    }

    fn closed(&self) -> Error {
        self.config.address.unavailable("the source is not open")
    }

    fn room(&self) -> usize {
        self.inbox.room().saturating_sub(self.failed.len())
    }

    /// Emits the messages again that failed and whose pause is over. Returns their number.
    fn again(&mut self, cx: &mut Context<'_>) -> usize {
        let due = self.failed.due(cx.now());
        for held in self.failed.take(due.min(BATCH)) {
            self.inbox.emit(held.event.clone(), held, cx);
        }
        due
    }

    fn emit(&mut self, publish: &Publish, cx: &mut Context<'_>) {
        let number = match publish.qos {
            QoS::AtMostOnce => None,
            qos => {
                let answer = Answer {
                    packet: publish.pkid,
                    exactly_once: qos == QoS::ExactlyOnce,
                };
                let mark = xxh3_64_with_seed(&publish.payload, xxh3_64(&publish.topic));
                let Some(number) = self.order.came(answer, mark) else {
                    // It may be delivered already, and is acked soon then.
                    self.pump_at = cx.now();
                    return;
                };
                Some(number)
            }
        };
        let event = Event::new(&publish.payload[..], cx.now())
            .with_meta("topic", String::from_utf8_lossy(&publish.topic))
            .with_meta("retain", publish.retain)
            .with_meta("qos", publish.qos as u8)
            .with_meta("duplicate", publish.dup);
        let held = Held {
            number,
            event: event.clone(),
        };
        self.inbox.emit(event, held, cx);
    }

    /// Keeps a message until there is room for it.
    fn keep(&mut self, publish: Publish) {
        let most = 2 * usize::from(self.options.in_flight);
        if publish.qos == QoS::AtMostOnce && self.arrived.len() >= most {
            if !std::mem::replace(&mut self.is_warned, true) {
                let address = &self.config.address;
                log::warn!(
                    "{address}: messages with QoS 0 arrive faster than they are read: some are lost"
                );
            }
            return;
        }
        self.arrived.push_back(publish);
    }

    fn handle(&mut self, happened: Happened) {
        match happened {
            Happened::Incoming(Incoming::Publish(publish)) => self.keep(publish),
            Happened::Incoming(Incoming::PubRel(release)) => self.order.released(release.pkid),
            _ => {}
        }
    }

    /// Acks what may be acked. A message counts as acked when that is written to the connection.
    fn ack(&mut self) -> Result<()> {
        let Some(mut connection) = self.open.take() else {
            return Ok(());
        };
        let acked = self.ack_by(&mut connection);
        self.open = Some(connection);
        acked
    }

    fn ack_by(&mut self, connection: &mut Connection) -> Result<()> {
        let due: Vec<Answer> = self.order.due().collect();
        let since = monotonic();
        for part in due.chunks(REQUESTS) {
            for answer in part {
                let message = Publish {
                    pkid: answer.packet,
                    qos: if answer.exactly_once {
                        QoS::ExactlyOnce
                    } else {
                        QoS::AtLeastOnce
                    },
                    ..Publish::default()
                };
                let asked = connection.client.try_ack(&message);
                asked.map_err(|error| connection.address().unavailable(error))?;
            }
            for _ in part {
                loop {
                    match connection.awaited(since)? {
                        Happened::Outgoing(Outgoing::PubAck(_) | Outgoing::PubRec(_)) => break,
                        other => self.handle(other),
                    }
                }
                self.order.acked(1);
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, connection: &mut Connection) -> Result<()> {
        let filters = self.options.topics.iter().map(|topic| {
            let mut filter = Filter::new(topic, self.options.qos);
            // A session that is resumed has received the retained messages.
            filter.retain_forward_rule = RetainForwardRule::OnNewSubscribe;
            filter
        });
        let asked = connection.client.try_subscribe_many(filters);
        asked.map_err(|error| self.config.address.unavailable(error))?;
        let since = monotonic();
        loop {
            match connection.awaited(since)? {
                Happened::Incoming(Incoming::SubAck(ack)) => return self.subscribed(&ack),
                other => self.handle(other),
            }
        }
    }

    fn subscribed(&self, ack: &SubAck) -> Result<()> {
        let address = &self.config.address;
        for (topic, code) in self.options.topics.iter().zip(&ack.return_codes) {
            let topic = quote(topic);
            match code {
                Code::Success(qos) if *qos as u8 >= self.options.qos as u8 => {}
                Code::Success(qos) => {
                    let qos = *qos as u8;
                    log::warn!("{address}: the broker grants QoS {qos} only for {topic}");
                }
                Code::NotAuthorized => {
                    let error = address.wrong(format!("{topic} may not be subscribed to"));
                    return Err(error.with_kind(ErrorKind::NoPermission));
                }
                Code::QuotaExceeded | Code::PkidInUse => {
                    let error = format!("the broker rejects the subscription to {topic}: {code:?}");
                    return Err(address.unavailable(error));
                }
                code => {
                    let error = format!("the broker rejects the subscription to {topic}: {code:?}");
                    return Err(address.wrong(error));
                }
            }
        }
        Ok(())
    }
}

impl Node for MqttSource {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let shell = Self::new(self.config.clone(), self.options.clone());
        Some(Box::new(std::mem::replace(self, shell)))
    }

    /// The session goes on. A client has one connection at a time: a second one would end it.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let mut old = state.downcast::<Self>()?;
        let same = old.options.topics == self.options.topics && old.options.qos == self.options.qos;
        if old.config != self.config || !same {
            return Err(old);
        }
        old.options = self.options.clone();
        old.inbox = old.inbox.with_options_of(&self.inbox);
        old.failed = old.failed.with_pause_of(&self.failed);
        *self = *old;
        self.is_taken = true;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_taken) && self.open.is_some() {
            return Ok(());
        }
        self.open = None;
        let mut connection = self.config.connect(&Role {
            sends: 1,
            receives: self.options.in_flight,
            requests: REQUESTS + 8,
        })?;
        if !connection.granted.shared
            && self.options.topics.iter().any(|t| t.starts_with("$share/"))
        {
            let error = self
                .config
                .address
                .wrong("the broker does not support shared subscriptions");
            return Err(error.with_hint("remove the option group"));
        }
        // What is here unseen comes again, except for QoS 0.
        self.arrived
            .retain(|publish| publish.qos == QoS::AtMostOnce);
        self.is_warned = false;
        self.order.connected(connection.granted.is_resumed);
        if connection.granted.is_resumed {
            connection.expect_releases()?;
        }
        self.subscribe(&mut connection)?;
        self.open = Some(connection);
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        match self.inbox.settle(token, outcome) {
            None => {}
            Some((held, Outcome::Delivered)) => {
                if let Some(number) = held.number {
                    self.order.delivered(number);
                }
            }
            Some((held, Outcome::Failed)) => {
                self.failed.push(held, cx.now());
            }
        }
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.ack()
    }

    fn wake(&self) -> Option<Timestamp> {
        self.open.is_some().then_some(self.pump_at)
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if cx.now() < self.pump_at {
            return Ok(());
        }
        self.pump_at = cx.now().saturating_add(PUMP);
        for _ in 0..HEAR {
            let Some(connection) = &mut self.open else {
                break;
            };
            match connection.next(GLANCE)? {
                Some(happened) => self.handle(happened),
                None => break,
            }
        }
        Ok(())
    }
}

impl Source for MqttSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        self.is_taken = false;
        if self.again(cx) > 0 {
            return Ok(ReadStatus::More);
        }
        let room = self.room().min(BATCH);
        if room == 0 {
            return Ok(ReadStatus::Idle);
        }
        let due = self.failed.next_due();
        let limit = due.map_or(wait, |due| wait.min(due.since(cx.now())));
        let mut limit = limit.max(GLANCE);
        let mut taken = 0;
        while taken < room {
            if let Some(publish) = self.arrived.pop_front() {
                self.emit(&publish, cx);
                taken += 1;
                limit = Duration::ZERO;
                continue;
            }
            let connection = match &mut self.open {
                Some(connection) => connection,
                None => return Err(self.closed()),
            };
            match connection.next(limit)? {
                Some(happened) => self.handle(happened),
                None => break,
            }
            limit = Duration::ZERO;
        }
        Ok(match taken {
            0 => ReadStatus::Idle,
            _ => ReadStatus::More,
        })
    }
}
