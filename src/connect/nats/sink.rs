//! A sink: to a stream, which acks each message, or to a plain subject.
//!
//! The invariants: what the stream has answered to is not sent again, whatever became of the rest of
//! its batch: a batch that is fed again, whole or event by event, meets what is known of it. And an
//! event that is sent again has the id that it had, and no other event ever has it, so that the stream
//! keeps it once. A batch that is fed again after the connection was lost is
//! numbered as before; after any other failure nothing that was numbered is numbered so again.

use super::id::{ID, Id, Mark, header};
use super::link::{Link, Place};
use super::{api, bad_subject, is_subject};
use crate::connect::progress::Refused;
use crate::connect::{Settings, Template};
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use crate::payload::Payload;
use crate::time::Timestamp;
use async_nats::header::{HeaderMap, HeaderName};
use async_nats::{Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::time::Duration;

/// How often pings are answered where there is nothing to do.
const PUMP: Duration = Duration::from_secs(5);
/// After so many messages sent it is seen what the server has answered.
const LISTEN: usize = 256;

pub(super) struct NatsSink {
    place: Place,
    subject: Template,
    /// The subject, where it is the same for every event.
    fixed: Option<Subject>,
    stream: Option<String>,
    headers: Vec<(HeaderName, Template)>,
    id: Id,
    open: Option<Open>,
    batch: Vec<Out>,
    /// What the stream has answered to each event that is fed now or will be again.
    known: VecDeque<Option<Result<()>>>,
    refused: Refused,
    /// How many of these have been fed now, and how many events in all.
    told: usize,
    events: usize,
    pump_at: Timestamp,
}

struct Open {
    answers: Subscriber,
    reply: Subject,
    /// The subjects of the stream.
    subjects: Vec<String>,
    most: usize,
    link: Link,
}

/// A message to send.
struct Out {
    /// Its place among what is known.
    at: usize,
    subject: Subject,
    id: Option<Mark>,
    headers: Option<HeaderMap>,
    payload: Payload,
}

impl NatsSink {
    pub fn new(
        place: Place,
        subject: Template,
        stream: Option<String>,
        settings: &Settings,
    ) -> Result<Self> {
        let mut headers = Vec::new();
        for (name, template) in settings.template_pairs("headers")? {
            let parsed: Result<HeaderName, _> = name.parse();
            let parsed = parsed
                .map_err(|_| settings.refuse(format!("{} is no header's name", quote(&name))))?;
            headers.push((parsed, template));
        }
        Ok(NatsSink {
            place,
            fixed: subject.constant().map(Subject::from),
            subject,
            id: Id::parse(stream.is_some(), settings)?,
            stream,
            headers,
            open: None,
            batch: Vec::new(),
            known: VecDeque::new(),
            refused: Refused::default(),
            told: 0,
            events: 0,
            pump_at: Timestamp::from_secs(0),
        })
    }

    fn subject(&self, event: &Event) -> Result<Subject> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let subject = self.subject.render(event)?;
        match is_subject(&subject, false) {
            true => Ok(subject.into()),
            false => Err(bad_subject(&self.place.address, &subject)),
        }
    }

    /// What was fed does not come again.
    fn done(&mut self) {
        self.refused.commit();
        self.known.drain(..self.told);
        self.told = 0;
        self.events = 0;
        self.batch.clear();
        self.id.go_on();
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
    link: &'a Link,
    reply: &'a Subject,
    subjects: &'a [String],
    /// What stands before the numbers in message ids.
    name: &'a str,
    batch: &'a [Out],
    known: &'a mut VecDeque<Option<Result<()>>>,
    answered: usize,
    refused: Result<()>,
}

impl Sending<'_> {
    async fn run(mut self, answers: &mut Subscriber, to_stream: bool) -> Result<()> {
        for (at, out) in self.batch.iter().enumerate() {
            self.send(out, to_stream).await?;
            if at % LISTEN == LISTEN - 1 {
                while let Some(Some(answer)) = answers.next().now_or_never() {
                    self.hear(&answer);
                }
            }
        }
        if !to_stream {
            return self.link.heard().await;
        }
        while self.answered < self.batch.len() {
            let answer = answers.next().await;
            let lost = || self.link.address().unavailable("the connection is lost");
            self.hear(&answer.ok_or_else(lost)?);
        }
        self.refused
    }

    /// The message is made here and not before: the server has work meanwhile.
    async fn send(&self, out: &Out, to_stream: bool) -> Result<()> {
        let client = &self.link.client;
        let payload = Bytes::copy_from_slice(out.payload.bytes());
        let subject = out.subject.clone();
        let reply = || format!("{}.{}", self.reply, out.at);
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
        sent.map_err(|error| self.link.address().unavailable(error))
    }

    fn headers(&self, out: &Out) -> Result<Option<HeaderMap>> {
        let id = match &out.id {
            None => return Ok(out.headers.clone()),
            Some(Mark::Number(number)) => header(&format!("{}.{number}", self.name))?,
            Some(Mark::Text(text)) => text.clone(),
        };
        let mut headers = out.headers.clone().unwrap_or_default();
        // One that was asked for by name stays.
        if headers.get(ID).is_none() {
            headers.insert(ID, id);
        }
        Ok(Some(headers))
    }

    /// Keeps the worst that the stream has answered: what can be tried again comes first, since then
    /// the whole batch is.
    fn hear(&mut self, answer: &Message) {
        let at = answer.subject.rsplit('.').next();
        let at = at.and_then(|at| at.parse::<usize>().ok());
        // An answer that belongs to nothing here is let be.
        let Some(slot @ None) = at.and_then(|at| self.known.get_mut(at)) else {
            return;
        };
        self.answered += 1;
        let heard = match answer.status {
            Some(StatusCode::NO_RESPONDERS) => {
                let mut batch = self.batch.iter();
                let out = batch.find(|out| Some(out.at) == at);
                let subject = out.map_or("", |out| out.subject.as_str());
                Err(nobody(self.link, self.subjects, subject))
            }
            _ => api::stored(self.link, &answer.payload),
        };
        if !heard.as_ref().is_err_and(Error::is_retryable) {
            *slot = Some(heard.clone());
        }
        if let Err(error) = heard {
            let is_worse = match &self.refused {
                Ok(()) => true,
                Err(known) => error.is_retryable() && !known.is_retryable(),
            };
            if is_worse {
                self.refused = Err(error);
            }
        }
    }
}

/// No stream takes a message: because of its subject, or for now.
fn nobody(link: &Link, subjects: &[String], subject: &str) -> Error {
    match subjects.iter().any(|pattern| api::takes(pattern, subject)) {
        false => {
            let subject = quote(subject);
            Error::data(format!("the stream does not take the subject {subject}"))
        }
        true => link.address().unavailable("the stream does not answer"),
    }
}

impl Node for NatsSink {
    fn open(&mut self) -> Result<()> {
        self.open = None;
        let link = self.place.connect()?;
        let subjects = match &self.stream {
            None => Vec::new(),
            Some(stream) => {
                let subject = self.subject.constant().unwrap_or_default();
                api::stream(&link, stream, subject)?
            }
        };
        let inbox = link.client.new_inbox();
        self.id.begin(|| link.client.new_inbox());
        let answers = link.done(async {
            let answers = link.client.subscribe(format!("{inbox}.*")).await;
            answers.map_err(|error| link.address().unavailable(error))
        })?;
        self.open = Some(Open {
            answers,
            reply: inbox.into(),
            subjects,
            most: link.client.max_payload(),
            link,
        });
        Ok(())
    }

    /// An ack comes when the stream has stored the message.
    fn batch_size(&self) -> usize {
        2048
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.pump_at = cx.now().after(PUMP);
        let Some(open) = &mut self.open else {
            return match self.batch.is_empty() {
                true => Ok(()),
                false => Err(self.place.address.unavailable("the sink is not open")),
            };
        };
        if self.batch.is_empty() {
            let pumped = open.link.pump();
            if pumped.is_ok() {
                self.done();
            }
            return pumped;
        }
        let sending = Sending {
            link: &open.link,
            reply: &open.reply,
            subjects: &open.subjects,
            name: self.id.name(),
            batch: &self.batch,
            known: &mut self.known,
            answered: 0,
            refused: Ok(()),
        };
        let work = sending.run(&mut open.answers, self.stream.is_some());
        let sent = open.link.done(work);
        match &sent {
            Err(error) if error.is_retryable() => {}
            Ok(()) => self.done(),
            // A batch of one event that was refused does not come again.
            Err(_) if self.events == 1 => self.done(),
            Err(_) => self.id.go_on(),
        }
        sent
    }

    fn rollback(&mut self) {
        self.refused.rollback();
        self.batch.clear();
        self.told = 0;
        self.events = 0;
        self.id.go_back();
    }

    fn wake(&self) -> Option<Timestamp> {
        self.open.is_some().then_some(self.pump_at)
    }
}

impl Sink for NatsSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.events += 1;
        if self.refused.comes_again(cx) {
            self.known.push_front(None);
        }
        // First of all: every event takes a number, also one that is refused.
        let id = self.id.next(event)?;
        let headers = self.headers(event)?;
        let subject = self.subject(event)?;
        let at = self.told;
        self.told += 1;
        match self.known.get(at) {
            Some(Some(known)) => {
                if known.is_err() {
                    self.refused.returned(cx);
                }
                return known.clone();
            }
            Some(None) => {}
            None => self.known.push_back(None),
        }
        let payload = event.payload().bytes();
        let most = self.open.as_ref().map_or(usize::MAX, |open| open.most);
        if payload.len() > most {
            let error = format!(
                "payload of {} bytes > {most} bytes, the server's limit",
                payload.len()
            );
            return Err(Error::data(error));
        }
        self.batch.push(Out {
            at,
            subject,
            id,
            headers,
            payload: event.payload().clone(),
        });
        Ok(())
    }
}
