//! JetStream's own subjects: what a stream is, and the durable consumer of a source.
//!
//! Requests and answers are JSON; what an answer has beyond what is asked for here is let be, so that
//! servers of all versions do.

use super::connection::Connection;
use crate::error::{Error, Result, quote};
use async_nats::RequestErrorKind;
use serde_json::{Value, json};
use std::time::Duration;

const STREAM_NOT_FOUND: u64 = 10059;
const CONSUMER_NOT_FOUND: u64 = 10014;
const CONSUMER_EXISTS: [u64; 2] = [10013, 10148];

/// The durable pull consumer that a source needs.
#[derive(Clone, PartialEq)]
pub(super) struct Consumer {
    pub stream: String,
    pub durable: String,
    pub filter: String,
    pub ack_wait: Option<Duration>,
    pub max_deliver: Option<i64>,
    pub only_new: bool,
}

/// What JetStream has against a request.
struct Refused {
    number: u64,
    error: Error,
}

/// Finds the stream; the subjects that it takes come out.
pub(super) fn stream(connection: &Connection, name: &str, subject: &str) -> Result<Vec<String>> {
    let answer = ask(connection, &format!("STREAM.INFO.{name}"), &json!({}))?;
    let info = answer.map_err(|refused| missing(refused, name, subject))?;
    let subjects = info["config"]["subjects"].as_array().into_iter().flatten();
    let subjects = subjects.filter_map(|subject| subject.as_str().map(str::to_owned));
    Ok(subjects.collect())
}

fn missing(refused: Refused, stream: &str, subject: &str) -> Error {
    match refused.number {
        STREAM_NOT_FOUND => {
            let subject = match subject {
                "" => "subject",
                subject => subject,
            };
            let hint = format!("create it: nats stream add {stream} --subjects \"{subject}\"");
            let error = refused.error;
            error
                .within(format!("no stream {}", quote(stream)))
                .with_hint(hint)
        }
        _ => refused.error,
    }
}

impl Consumer {
    /// Finds the consumer, or makes it; the time after which it gives a message out again comes out.
    pub fn open(&self, connection: &Connection) -> Result<Duration> {
        stream(connection, &self.stream, &self.filter)?;
        let info = format!("CONSUMER.INFO.{}.{}", self.stream, self.durable);
        let found = match ask(connection, &info, &json!({}))? {
            Err(refused) if refused.number == CONSUMER_NOT_FOUND => match self.make(connection)? {
                // Another one has just made it.
                Err(refused) if CONSUMER_EXISTS.contains(&refused.number) => {
                    ask(connection, &info, &json!({}))?
                }
                made => made,
            },
            found => found,
        };
        let found = found.map_err(|refused| missing(refused, &self.stream, &self.filter))?;
        self.fits(connection, &found["config"])
    }

    fn make(&self, connection: &Connection) -> Result<Result<Value, Refused>> {
        let ack_wait = self.ack_wait.unwrap_or(Duration::from_secs(30));
        let mut config = json!({
            "durable_name": self.durable,
            "deliver_policy": if self.only_new { "new" } else { "all" },
            "ack_policy": "explicit",
            "ack_wait": nanos(ack_wait),
            "max_deliver": self.max_deliver.unwrap_or(-1),
            "max_ack_pending": -1,
            "replay_policy": "instant",
        });
        if !self.filter.is_empty() {
            config["filter_subject"] = self.filter.as_str().into();
        }
        let subject = format!("CONSUMER.DURABLE.CREATE.{}.{}", self.stream, self.durable);
        let request = json!({"stream_name": self.stream, "config": config});
        ask(connection, &subject, &request)
    }

    /// Whether the consumer that is there is what is wanted.
    fn fits(&self, connection: &Connection, config: &Value) -> Result<Duration> {
        let durable = quote(&self.durable);
        let wrong = |why: String| {
            let hint = format!(
                "change it: nats consumer edit {} {durable}, or use another durable",
                self.stream
            );
            let error = format!("the consumer {durable} {why}");
            Err(connection.address().wrong(error).with_hint(hint))
        };
        if config["deliver_subject"].is_string() {
            return wrong("is a push consumer; a pull consumer is needed".to_owned());
        }
        if config["ack_policy"].as_str() != Some("explicit") {
            return wrong("does not use an ack for each message".to_owned());
        }
        let filter = config["filter_subject"].as_str().unwrap_or_default();
        if filter != self.filter && !self.filter.is_empty() {
            return wrong(format!(
                "has the subject {}, not {}",
                quote(filter),
                quote(&self.filter)
            ));
        }
        let bound = config["max_deliver"].as_i64().unwrap_or(-1);
        if let Some(wanted) = self.max_deliver
            && wanted != bound
        {
            return wrong(format!("has max_deliver {bound}, not {wanted}"));
        }
        let ack_wait = Duration::from_nanos(config["ack_wait"].as_u64().unwrap_or_default());
        match self.ack_wait {
            Some(wanted) if wanted != ack_wait => {
                wrong(format!("has ack_wait {ack_wait:?}, not {wanted:?}"))
            }
            _ => Ok(ack_wait),
        }
    }
}

/// A time as JetStream writes it.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Sends a request to JetStream. A refusal is distinguished from a missing answer.
fn ask(connection: &Connection, subject: &str, request: &Value) -> Result<Result<Value, Refused>> {
    let subject = format!("$JS.API.{subject}");
    let answer = connection.done(async {
        let answer = connection
            .client
            .request(subject, request.to_string().into());
        answer.await.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => {
                let error = connection
                    .address()
                    .unavailable("JetStream does not answer");
                error.with_hint("enable it: nats-server -js")
            }
            _ => connection.address().unavailable(error),
        })
    })?;
    let answer: Value = serde_json::from_slice(&answer.payload)
        .map_err(|error| connection.address().unavailable(error))?;
    match refusal(connection, &answer) {
        Some(refused) if refused.error.is_retryable() => Err(refused.error),
        Some(refused) => Ok(Err(refused)),
        None => Ok(Ok(answer)),
    }
}

fn refusal(connection: &Connection, answer: &Value) -> Option<Refused> {
    let error = answer.get("error")?;
    let text = error["description"].as_str().unwrap_or("it is refused");
    let error_of = match error["code"].as_u64() {
        Some(500..) => connection.address().unavailable(text),
        _ => connection.address().wrong(text),
    };
    Some(Refused {
        number: error["err_code"].as_u64().unwrap_or_default(),
        error: error_of,
    })
}

/// The answer of JetStream to a message that was sent to a stream.
pub(super) fn stored(connection: &Connection, answer: &[u8]) -> Result<()> {
    let answer: Value =
        serde_json::from_slice(answer).map_err(|error| connection.address().unavailable(error))?;
    refusal(connection, &answer).map_or(Ok(()), |refused| Err(refused.error))
}

/// Whether a subject is one of those that a pattern stands for.
pub(super) fn takes(pattern: &str, subject: &str) -> bool {
    let mut words = subject.split('.');
    for part in pattern.split('.') {
        match (part, words.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(word)) if part == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}
