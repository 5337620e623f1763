//! A sink: to a stream, which acks each message, or to a plain subject.
//!
//! The invariants: what the stream has answered to is not sent again, whatever became of the rest of
//! its batch: a batch that is fed again, whole or event by event, meets what is known of it. And an
//! event that is sent again has the id that it had, and no other event ever has it, so that the stream
//! keeps it once. A batch that is fed again after the connection was lost is
//! numbered as before; after any other failure nothing that was numbered is numbered so again.

use super::connection::{ConnectConfig, Connection};
use super::id::{ID, MessageId, MessageIds, header};
use super::{api, bad_subject, is_subject};
use crate::connect::{Progress, Settings, Template};
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::format::{Encoder, Framing};
use crate::node::{Context, Node, Sink};
use crate::payload::Payload;
use crate::time::Timestamp;
use async_nats::header::{HeaderMap, HeaderName};
use async_nats::{Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use std::time::Duration;

/// How often pings are answered where there is nothing to do.
const PUMP: Duration = Duration::from_secs(5);
/// After so many messages sent it is seen what the server has answered.
const LISTEN: usize = 256;

pub(super) struct NatsSink {
    config: ConnectConfig,
    subject: Template,
    /// The subject, where it is the same for every event.
    fixed: Option<Subject>,
    stream: Option<String>,
    headers: Vec<(HeaderName, Template)>,
    id: MessageIds,
    open: Option<Open>,
    encoder: Encoder,
    batch: Vec<Out>,
    progress: Progress,
    pump_at: Timestamp,
}

struct Open {
    answers: Subscriber,
    reply: Subject,
    /// The subjects of the stream.
    subjects: Vec<String>,
    most: usize,
    connection: Connection,
}

/// A message to send.
struct Out {
    /// The number of its event.
    number: u64,
    subject: Subject,
    id: Option<MessageId>,
    headers: Option<HeaderMap>,
    payload: Payload,
}

impl NatsSink {
    pub fn new(
        config: ConnectConfig,
        subject: Template,
        stream: Option<String>,
        settings: &Settings,
    ) -> Result<Self> {
        let mut headers = Vec::new();
        for (name, template) in settings.template_pairs("headers")? {
            let parsed: Result<HeaderName, _> = name.parse();
            let parsed = parsed
                .map_err(|_| settings.refuse(format!("{} is not a header name", quote(&name))))?;
            headers.push((parsed, template));
        }
        Ok(NatsSink {
            config,
            fixed: subject.constant().map(Subject::from),
            subject,
            id: MessageIds::parse(stream.is_some(), settings)?,
            stream,
            headers,
            open: None,
            encoder: settings.encoder(Framing::Message)?,
            batch: Vec::new(),
            progress: Progress::default(),
            pump_at: Timestamp::from_secs(0),
        })
    }

    fn subject(&self, event: &Event) -> Result<Subject> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let subject = self.subject.render(event)?;
        if is_subject(&subject, false) {
            Ok(subject.into())
        } else {
            Err(bad_subject(&self.config.address, &subject))
        }
    }

    fn headers(&self, event: &Event) -> Result<Option<HeaderMap>> {
        if self.headers.is_empty() {
            return Ok(None);
        }
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            headers.insert(name.clone(), header(&template.render(event)?)?);
        }
        Ok(Some(headers))
    }
}

/// A batch on its way.
struct Sending<'a> {
    connection: &'a Connection,
    reply: &'a Subject,
    subjects: &'a [String],
    /// What stands before the numbers in message ids.
    name: &'a str,
    batch: &'a [Out],
    progress: &'a mut Progress,
    /// Which messages of the batch the stream has answered to, and how many are left.
    answered: Vec<bool>,
    left: usize,
}

impl Sending<'_> {
    async fn run(mut self, answers: &mut Subscriber, to_stream: bool) -> Result<()> {
        for (sent, out) in self.batch.iter().enumerate() {
            self.send(out, to_stream).await?;
            if sent % LISTEN == LISTEN - 1 {
                while let Some(Some(answer)) = answers.next().now_or_never() {
                    self.handle(&answer);
                }
            }
        }
        if !to_stream {
            return self.connection.await_echo().await;
        }
        while self.left > 0 {
            let answer = answers.next().await;
            let lost = || {
                self.connection
                    .address()
                    .unavailable("the connection is lost")
            };
            self.handle(&answer.ok_or_else(lost)?);
        }
        Ok(())
    }

    /// The message is made here and not before: the server has work meanwhile.
    async fn send(&self, out: &Out, to_stream: bool) -> Result<()> {
        let client = &self.connection.client;
        let payload = Bytes::copy_from_slice(out.payload.bytes());
        let subject = out.subject.clone();
        let reply = || format!("{}.{}", self.reply, out.number);
        let sent = match (to_stream, self.headers(out)?) {
            (true, Some(headers)) => {
                let sent =
                    client.publish_with_reply_and_headers(subject, reply(), headers, payload);
                sent.await
            }
            (true, None) => client.publish_with_reply(subject, reply(), payload).await,
            (false, Some(headers)) => client.publish_with_headers(subject, headers, payload).await,
            (false, None) => client.publish(subject, payload).await,
        };
        sent.map_err(|error| self.connection.address().unavailable(error))
    }

    fn headers(&self, out: &Out) -> Result<Option<HeaderMap>> {
        let id = match &out.id {
            None => return Ok(out.headers.clone()),
            Some(MessageId::Number(number)) => header(&format!("{}.{number}", self.name))?,
            Some(MessageId::Text(text)) => text.clone(),
        };
        let mut headers = out.headers.clone().unwrap_or_default();
        // One that was asked for by name stays.
        if headers.get(ID).is_none() {
            headers.insert(ID, id);
        }
        Ok(Some(headers))
    }

    /// Notes an answer of the stream; one that belongs to nothing here is ignored.
    fn handle(&mut self, answer: &Message) {
        self.connection.take(answer);
        let number = answer.subject.rsplit('.').next();
        let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) else {
            return;
        };
        let index = self.batch.binary_search_by_key(&number, |out| out.number);
        let Ok(index) = index else { return };
        if std::mem::replace(&mut self.answered[index], true) {
            return;
        }
        self.left -= 1;
        let stored = match answer.status {
            Some(StatusCode::NO_RESPONDERS) => {
                let subject = self.batch[index].subject.as_str();
                Err(no_responder(self.connection, self.subjects, subject))
            }
            _ => api::stored(self.connection, &answer.payload),
        };
        self.progress.add(number, stored);
    }
}

/// No stream takes a message: because of its subject, or for now.
fn no_responder(connection: &Connection, subjects: &[String], subject: &str) -> Error {
    if subjects.iter().any(|pattern| api::takes(pattern, subject)) {
        connection
            .address()
            .unavailable("the stream does not answer")
    } else {
        let subject = quote(subject);
        Error::data(format!("the stream does not cover the subject {subject}"))
    }
}

impl Node for NatsSink {
    fn open(&mut self) -> Result<()> {
        self.open = None;
        let connection = self.config.connect()?;
        let subjects = match &self.stream {
            None => Vec::new(),
            Some(stream) => {
                let subject = self.subject.constant().unwrap_or_default();
                api::stream(&connection, stream, subject)?
            }
        };
        let inbox = connection.client.new_inbox();
        self.id.begin(|| connection.client.new_inbox());
        let answers = connection.done(async {
            let answers = connection.client.subscribe(format!("{inbox}.*")).await;
            answers.map_err(|error| connection.address().unavailable(error))
        })?;
        self.open = Some(Open {
            answers,
            reply: inbox.into(),
            subjects,
            most: connection.client.max_payload(),
            connection,
        });
        Ok(())
    }

    /// An ack comes when the stream has stored the message.
    fn batch_size(&self) -> usize {
        2048
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.pump_at = cx.now().saturating_add(PUMP);
        if self.batch.is_empty() {
            if let Some(open) = &self.open {
                open.connection.pump()?;
            }
        } else {
            let Some(open) = &mut self.open else {
                return Err(self.config.address.unavailable("the sink is not open"));
            };
            let sending = Sending {
                connection: &open.connection,
                reply: &open.reply,
                subjects: &open.subjects,
                name: self.id.name(),
                batch: &self.batch,
                progress: &mut self.progress,
                answered: vec![false; self.batch.len()],
                left: self.batch.len(),
            };
            let work = sending.run(&mut open.answers, self.stream.is_some());
            open.connection.done(work)?;
            self.batch.clear();
        }
        let done = self.progress.commit();
        if !done.as_ref().is_err_and(Error::is_retryable) {
            self.id.go_on();
        }
        done
    }

    fn rollback(&mut self) {
        self.progress.rollback();
        self.batch.clear();
        self.id.go_back();
    }

    fn wake(&self) -> Option<Timestamp> {
        self.open.is_some().then_some(self.pump_at)
    }
}

impl Sink for NatsSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let known = self.progress.known(cx);
        // Every event takes an id, so that those of the others stay the same when a batch is fed again.
        let id = self.id.next(event);
        if let Some(known) = known {
            return known;
        }
        let (id, headers, subject) = (id?, self.headers(event)?, self.subject(event)?);
        let payload = self.encoder.message(event)?;
        let size = payload.bytes().len();
        let most = self.open.as_ref().map_or(usize::MAX, |open| open.most);
        if size > most {
            let error = format!("payload of {size} bytes > {most} bytes, the server's limit");
            return Err(Error::data(error));
        }
        self.batch.push(Out {
            number: self.progress.number(),
            subject,
            id,
            headers,
            payload,
        });
        Ok(())
    }
}
