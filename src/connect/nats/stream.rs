//! A source that takes messages of a stream from a durable pull consumer.
//!
//! The invariant: `asked` is how many messages the server may still send, and with those under way it
//! is never more than `in_flight`. When the server ends a request early, it reports how many are left.

use super::connection::{ConnectConfig, Connection};
use super::{BATCH, api, plain};
use crate::ack::{Outcome, Token};
use crate::connect::Inbox;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::format::Format;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use crate::time::{Timestamp, monotonic};
use async_nats::{Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a request for messages stands.
const STANDING: Duration = Duration::from_secs(30);
/// The server reports the end of a request at most this much later.
const GRACE: Duration = Duration::from_secs(5);

pub(super) struct StreamSource {
    config: ConnectConfig,
    consumer: api::Consumer,
    in_flight: usize,
    /// The answer for a message that failed.
    nak: Bytes,
    open: Option<Open>,
    /// Whether the connection is that of a node that is replaced, and was not used yet.
    is_taken: bool,
    /// Each message is known by the subject to which it is answered for.
    inbox: Inbox<Subject>,
    answers: Vec<(Subject, Bytes)>,
    /// When the ack wait of the messages under way is extended next.
    touch_at: Timestamp,
}

struct Open {
    messages: Subscriber,
    reply: Subject,
    asked: usize,
    asked_until: Instant,
    touch_every: Duration,
    connection: Connection,
}

impl StreamSource {
    pub fn new(
        config: ConnectConfig,
        consumer: api::Consumer,
        redeliver_after: Duration,
        in_flight: usize,
        format: &Format,
    ) -> Self {
        let nak = if redeliver_after.is_zero() {
            "-NAK".to_owned()
        } else {
            format!("-NAK {}", json!({"delay": api::nanos(redeliver_after)}))
        };
        StreamSource {
            config,
            consumer,
            in_flight,
            nak: nak.into(),
            open: None,
            is_taken: false,
            inbox: Inbox::new(in_flight).format(format),
            answers: Vec::new(),
            touch_at: Timestamp::from_secs(0),
        }
    }

    fn emit(&mut self, message: Message, cx: &mut Context<'_>) {
        let Some(reply) = message.reply else { return };
        if self.inbox.is_empty()
            && let Some(open) = &self.open
        {
            self.touch_at = cx.now().saturating_add(open.touch_every);
        }
        let mut event = Event::new(&message.payload[..], cx.now())
            .with_meta("subject", message.subject.as_str());
        if let Some((deliveries, sequence)) = place_in_stream(&reply) {
            event = event
                .with_meta("sequence", sequence)
                .with_meta("deliveries", deliveries);
        }
        if let Some(headers) = &message.headers {
            event = plain::with_headers(event, headers);
        }
        self.inbox.emit(event, reply, cx);
    }
}

impl Open {
    /// Asks for as many more messages as there is room for, where that is worth it.
    fn ask(&mut self, consumer: &api::Consumer, room: usize, in_flight: usize) -> Result<()> {
        if self.asked > 0 && monotonic() > self.asked_until {
            self.asked = 0;
        }
        let more = room.saturating_sub(self.asked);
        if more == 0 || self.asked > 0 && more < in_flight.div_ceil(4) {
            return Ok(());
        }
        let subject = format!(
            "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
            consumer.stream, consumer.durable
        );
        let request = json!({"batch": more, "expires": api::nanos(STANDING)}).to_string();
        let client = &self.connection.client;
        let reply = self.reply.clone();
        self.connection.done(async {
            let sent = client.publish_with_reply(subject, reply, request.into());
            sent.await
                .map_err(|error| self.connection.address().unavailable(error))
        })?;
        self.asked += more;
        self.asked_until = monotonic() + STANDING + GRACE;
        Ok(())
    }

    /// Handles a status that the server sends in place of a message.
    fn handle(&mut self, status: StatusCode, message: &Message) -> Result<()> {
        let why = message.description.as_deref().unwrap_or("it is refused");
        match status {
            StatusCode::IDLE_HEARTBEAT => Ok(()),
            StatusCode::TIMEOUT | StatusCode::NOT_FOUND => {
                let headers = message.headers.as_ref();
                let left = headers.and_then(|headers| headers.get("Nats-Pending-Messages"));
                let left = left.and_then(|left| left.as_str().parse().ok());
                self.asked = self.asked.saturating_sub(left.unwrap_or(self.asked));
                Ok(())
            }
            status => {
                let error = format!("the consumer delivers no messages: {status} {why}");
                Err(self.connection.address().unavailable(error))
            }
        }
    }
}

/// How often a message was given out, and its number in the stream.
fn place_in_stream(reply: &str) -> Option<(u64, u64)> {
    // Servers write a domain and an account before the stream's name, or nothing.
    let words: Vec<&str> = reply.split('.').collect();
    let at = match words.len() {
        9 => 4,
        11.. => 6,
        _ => return None,
    };
    Some((words[at].parse().ok()?, words[at + 1].parse().ok()?))
}

impl Node for StreamSource {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let (config, consumer) = (self.config.clone(), self.consumer.clone());
        let format = self.inbox.message_format();
        let mut shell = Self::new(config, consumer, Duration::ZERO, self.in_flight, format);
        shell.nak = self.nak.clone();
        Some(Box::new(std::mem::replace(self, shell)))
    }

    /// The connection goes on: what was received and is not settled stays so.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<Self>()?;
        if old.config != self.config || old.consumer != self.consumer {
            return Err(old);
        }
        self.open = old.open;
        self.answers = old.answers;
        self.touch_at = old.touch_at;
        self.inbox = old.inbox.with_options_of(&self.inbox);
        self.is_taken = true;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_taken) && self.open.is_some() {
            return Ok(());
        }
        self.open = None;
        let connection = self.config.connect()?;
        let ack_wait = self.consumer.open(&connection)?;
        let inbox = connection.client.new_inbox();
        let messages = connection.done(async {
            let messages = connection.client.subscribe(inbox.clone()).await;
            messages.map_err(|error| connection.address().unavailable(error))
        })?;
        self.open = Some(Open {
            messages,
            reply: inbox.into(),
            asked: 0,
            asked_until: monotonic(),
            touch_every: (ack_wait / 3).max(Duration::from_millis(50)),
            connection,
        });
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        if let Some((reply, outcome)) = self.inbox.settle(token, outcome) {
            let answer = match outcome {
                Outcome::Delivered => Bytes::from_static(b"+ACK"),
                Outcome::Failed => self.nak.clone(),
            };
            self.answers.push((reply, answer));
        }
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        if self.answers.is_empty() {
            return Ok(());
        }
        let connection = &open.connection;
        let answers = &self.answers;
        connection.done(async {
            for (reply, answer) in answers {
                let sent = connection.client.publish(reply.clone(), answer.clone());
                sent.await
                    .map_err(|error| connection.address().unavailable(error))?;
            }
            connection.flushed().await
        })?;
        self.answers.clear();
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        let busy = self.open.is_some() && !self.inbox.is_empty();
        busy.then_some(self.touch_at)
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        if cx.now() >= self.touch_at {
            self.touch_at = cx.now().saturating_add(open.touch_every);
            let progress = Bytes::from_static(b"+WPI");
            let under_way = self.inbox.messages();
            self.answers
                .extend(under_way.map(|reply| (reply.clone(), progress.clone())));
        }
        Ok(())
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        // Messages that arrived and will not be read are returned, so that another consumer gets them at once.
        if let Some(open) = &mut self.open {
            while let Some(Some(message)) = open.messages.next().now_or_never() {
                if let (None, Some(reply)) = (message.status, message.reply) {
                    self.answers.push((reply, Bytes::from_static(b"-NAK")));
                }
            }
            let Open {
                connection,
                messages,
                ..
            } = open;
            connection.done(async {
                let ended = messages.unsubscribe().await;
                ended.map_err(|error| connection.address().unavailable(error))
            })?;
        }
        Ok(())
    }
}

impl Source for StreamSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        self.is_taken = false;
        let room = self.inbox.room();
        let Some(open) = &mut self.open else {
            let error = Error::new(ErrorKind::Unavailable, "the source is not open");
            return Err(error.retryable());
        };
        open.ask(&self.consumer, room, self.in_flight)?;
        if open.asked == 0 {
            // Only an outcome makes room.
            return Ok(ReadStatus::Idle);
        }
        let mut next = open.connection.wait(wait, open.messages.next())?;
        let mut taken = 0;
        while let Some(message) = next {
            let Some(message) = message else {
                let error = self
                    .config
                    .address
                    .unavailable("the subscription has ended");
                return Err(error);
            };
            let Some(open) = &mut self.open else { break };
            open.connection.take(&message);
            match message.status {
                None | Some(StatusCode::OK) => {
                    open.asked = open.asked.saturating_sub(1);
                    taken += 1;
                    self.emit(message, cx);
                }
                Some(status) => open.handle(status, &message)?,
            }
            let Some(open) = &mut self.open else { break };
            next = if taken < BATCH {
                open.messages.next().now_or_never()
            } else {
                None
            };
        }
        Ok(match taken {
            0 => ReadStatus::Idle,
            _ => ReadStatus::More,
        })
    }
}
