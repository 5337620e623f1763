//! A sink: publishes.
//!
//! The invariants: a batch is committed when the broker has answered to each of its messages; what it
//! has answered to is not sent again, whatever became of the rest: a batch that is fed again, whole or
//! event by event, meets what is known of it.

use super::connection::{ConnectConfig, Connection, PUMP, Role};
use super::topic;
use crate::connect::{Progress, Template};
use crate::error::{Error, ErrorKind, Result, quote};
use crate::event::Event;
use crate::format::Encoder;
use crate::node::{Context, Handover, Node, Sink};
use crate::time::{Timestamp, monotonic};
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, PubRecReason};
use rumqttc::v5::{Event as Happened, Incoming};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// How many messages are under way at most; the broker may want fewer.
const WINDOW: u16 = 1024;
/// How many the client takes before it is polled.
const REQUESTS: usize = 256;

const ROLE: Role = Role {
    sends: WINDOW,
    // Nothing is listened to.
    receives: 1,
    requests: REQUESTS + 8,
};

pub(super) struct MqttSink {
    config: ConnectConfig,
    topic: Template,
    qos: QoS,
    retain: bool,
    open: Option<Connection>,
    /// Whether the connection is that of a node that is replaced, and was not used yet.
    is_taken: bool,
    /// How many messages the client counts as under way for as long as the connection lasts: with
    /// QoS 2 those that were refused.
    lost_room: usize,
    encoder: Encoder,
    batch: Vec<Out>,
    progress: Progress,
    pump_at: Timestamp,
}

/// A message to be sent.
struct Out {
    /// The number of its event.
    number: u64,
    topic: String,
    payload: Vec<u8>,
}

impl MqttSink {
    pub fn new(
        config: ConnectConfig,
        topic: Template,
        qos: QoS,
        retain: bool,
        encoder: Encoder,
    ) -> Self {
        MqttSink {
            config,
            topic,
            qos,
            retain,
            open: None,
            is_taken: false,
            lost_room: 0,
            encoder,
            batch: Vec::new(),
            progress: Progress::default(),
            pump_at: Timestamp::from_secs(0),
        }
    }

    fn connect(&mut self) -> Result<()> {
        self.open = None;
        self.lost_room = 0;
        let connection = self.config.connect(&ROLE)?;
        self.check(&connection)?;
        self.open = Some(connection);
        Ok(())
    }

    /// Whether the broker supports what is sent.
    fn check(&self, connection: &Connection) -> Result<()> {
        let most = connection.granted.max_qos;
        if (self.qos as u8) > most {
            let error = format!("the broker supports no QoS above {most}");
            let error = self.config.address.wrong(error);
            return Err(error.with_hint(format!("set the option qos to {most}")));
        }
        if self.retain && !connection.granted.retain {
            let error = self
                .config
                .address
                .wrong("the broker does not support retained messages");
            return Err(error.with_hint("remove the option retain"));
        }
        Ok(())
    }

    /// Sends the batch and notes the answers.
    fn send(&mut self) -> Result<()> {
        let mut sending = Sending {
            progress: std::mem::take(&mut self.progress),
            left: self.batch.len(),
            waiting: VecDeque::new(),
            held_up: None,
            sent: HashMap::new(),
        };
        let sent = self.send_all(&mut sending);
        self.progress = sending.progress;
        sent
    }

    fn send_all(&mut self, sending: &mut Sending) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch).into_iter();
        let since = monotonic();
        // Whether something has come that may not be acknowledged yet.
        let mut is_heard = true;
        while sending.left > 0 {
            let Some(connection) = &mut self.open else {
                return Err(self.config.address.unavailable("the sink is not open"));
            };
            let window = usize::from(connection.granted.receives.min(WINDOW));
            let is_worn = self.lost_room >= window.div_ceil(2);
            if is_worn && sending.under_way() == 0 {
                self.connect()?;
                continue;
            }
            let most = match self.qos {
                QoS::AtMostOnce => REQUESTS,
                _ => window.min(REQUESTS),
            };
            while !is_worn
                && sending.under_way() < most
                && let Some(out) = batch.next()
            {
                let (qos, retain) = (self.qos, self.retain);
                let asked = connection
                    .client
                    .try_publish(out.topic, qos, retain, out.payload);
                asked.map_err(|error| connection.address().unavailable(error))?;
                sending.waiting.push_back(out.number);
            }
            let happened = match connection.next(Duration::ZERO)? {
                Some(happened) => happened,
                None => {
                    // Nothing else is sent now.
                    if is_heard && sending.waiting.is_empty() {
                        connection.nudge();
                        is_heard = false;
                    }
                    connection.awaited(since)?
                }
            };
            is_heard |= matches!(
                happened,
                Happened::Incoming(
                    Incoming::PubAck(_) | Incoming::PubRec(_) | Incoming::PubComp(_)
                )
            );
            self.lost_room += usize::from(sending.handle(happened));
        }
        if let Some(connection) = &mut self.open {
            connection.do_not_nudge();
        }
        Ok(())
    }

    /// Lets the client ask whether the broker is there.
    fn pump(&mut self, now: Timestamp) -> Result<()> {
        if now < self.pump_at {
            return Ok(());
        }
        self.pump_at = now.saturating_add(PUMP);
        while let Some(connection) = &mut self.open {
            if connection.next(Duration::from_millis(1))?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// A client, on its way to a successor.
struct GivenClient {
    config: ConnectConfig,
    open: Option<Connection>,
    lost_room: usize,
    progress: Progress,
}

/// A batch on its way.
struct Sending {
    progress: Progress,
    /// How many messages are not answered yet.
    left: usize,
    /// The numbers of those that the client has not sent yet, in order.
    waiting: VecDeque<u64>,
    /// A packet id, and the message that waits until another one with that id is answered.
    held_up: Option<(u16, u64)>,
    sent: HashMap<u16, u64>,
}

impl Sending {
    fn under_way(&self) -> usize {
        self.waiting.len() + usize::from(self.held_up.is_some()) + self.sent.len()
    }

    /// Returns whether the client counts a message as under way from now on that is not.
    fn handle(&mut self, happened: Happened) -> bool {
        match happened {
            // QoS 0 has no confirmation: written to the connection counts as delivered.
            Happened::Outgoing(Outgoing::Publish(0)) => {
                let number = self.waiting.pop_front();
                self.answered(number, Ok(()));
            }
            Happened::Outgoing(Outgoing::Publish(packet)) => {
                let held_up = self.held_up.take_if(|(known, _)| *known == packet);
                let number = held_up.map(|(_, number)| number);
                if let Some(number) = number.or_else(|| self.waiting.pop_front()) {
                    self.sent.insert(packet, number);
                }
            }
            Happened::Outgoing(Outgoing::AwaitAck(packet)) => {
                self.held_up = self.waiting.pop_front().map(|number| (packet, number));
            }
            Happened::Incoming(Incoming::PubAck(ack)) => {
                let number = self.sent.remove(&ack.pkid);
                self.answered(number, of_ack(ack.reason));
            }
            Happened::Incoming(Incoming::PubRec(ack)) => {
                let taken = of_receipt(ack.reason);
                if taken.is_err() {
                    let number = self.sent.remove(&ack.pkid);
                    self.answered(number, taken);
                    return true;
                }
            }
            Happened::Incoming(Incoming::PubComp(end)) => {
                let number = self.sent.remove(&end.pkid);
                self.answered(number, Ok(()));
            }
            _ => {}
        }
        false
    }

    /// An answer that belongs to nothing here is ignored.
    fn answered(&mut self, number: Option<u64>, answer: Result<()>) {
        if let Some(number) = number {
            self.left -= 1;
            self.progress.add(number, answer);
        }
    }
}

fn of_ack(reason: PubAckReason) -> Result<()> {
    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
        PubAckReason::NotAuthorized => Err(forbidden()),
        PubAckReason::QuotaExceeded => Err(full()),
        reason => Err(refused(&format!("{reason:?}"))),
    }
}

fn of_receipt(reason: PubRecReason) -> Result<()> {
    match reason {
        PubRecReason::Success | PubRecReason::NoMatchingSubscribers => Ok(()),
        PubRecReason::NotAuthorized => Err(forbidden()),
        PubRecReason::QuotaExceeded => Err(full()),
        reason => Err(refused(&format!("{reason:?}"))),
    }
}

fn forbidden() -> Error {
    refused("not authorized").with_kind(ErrorKind::NoPermission)
}

fn full() -> Error {
    let error = "the broker has no room for the message";
    Error::new(ErrorKind::Unavailable, error).retryable()
}

fn refused(why: &str) -> Error {
    Error::data(format!("the broker refuses the message: {why}"))
}

impl Node for MqttSink {
    fn batch_size(&self) -> usize {
        WINDOW.into()
    }

    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(GivenClient {
            config: self.config.clone(),
            open: self.open.take(),
            lost_room: self.lost_room,
            progress: std::mem::take(&mut self.progress),
        }))
    }

    /// A client has one connection at a time: a second one would end it.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<GivenClient>()?;
        if old.config != self.config {
            return Err(old);
        }
        (self.open, self.lost_room) = (old.open, old.lost_room);
        self.progress = old.progress;
        self.is_taken = true;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        match &self.open {
            Some(connection) if std::mem::take(&mut self.is_taken) => self.check(connection),
            _ => self.connect(),
        }
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.is_taken = false;
        // Whatever has become of the connection, a new one may mend it.
        if self.batch.is_empty() {
            self.pump(cx.now()).map_err(Error::retryable)?;
        } else {
            self.pump_at = cx.now().saturating_add(PUMP);
            self.send().map_err(Error::retryable)?;
        }
        self.progress.commit()
    }

    fn rollback(&mut self) {
        self.progress.rollback();
        self.batch.clear();
    }

    fn wake(&self) -> Option<Timestamp> {
        self.open.is_some().then_some(self.pump_at)
    }
}

impl Sink for MqttSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if let Some(known) = self.progress.known(cx) {
            return known;
        }
        let topic = match self.topic.constant() {
            Some(fixed) => fixed.to_owned(),
            None => self.topic.render(event)?,
        };
        if !topic::is_name(&topic) {
            return Err(topic::bad_name(&topic));
        }
        let payload = self.encoder.message(event)?;
        let payload = payload.bytes();
        // What surrounds the two: header, lengths, packet id, no properties.
        let size = payload.len() + topic.len() + 10;
        let most = self
            .open
            .as_ref()
            .map_or(usize::MAX, |connection| connection.granted.largest);
        if size > most {
            let error = format!("message of {size} bytes > {most} bytes, the broker's limit");
            return Err(Error::data(error).with_hint(format!("its topic is {}", quote(&topic))));
        }
        self.batch.push(Out {
            number: self.progress.number(),
            topic,
            payload: payload.to_vec(),
        });
        Ok(())
    }
}
