//! A source that listens to a subject: what comes while it does not is lost.

use super::BATCH;
use super::connection::{ConnectConfig, Connection};
use crate::ack::{Outcome, Token};
use crate::connect::Inbox;
use crate::error::Result;
use crate::event::Event;
use crate::format::Format;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use async_nats::header::HeaderMap;
use async_nats::{Message, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Map, Value};
use std::time::Duration;

pub(super) struct SubjectSource {
    config: ConnectConfig,
    subject: String,
    group: Option<String>,
    open: Option<(Subscriber, Connection)>,
    /// Whether the connection is that of a node that is replaced, and was not used yet.
    is_taken: bool,
    inbox: Inbox<()>,
}

impl SubjectSource {
    pub fn new(
        config: ConnectConfig,
        subject: String,
        group: Option<String>,
        in_flight: usize,
        format: &Format,
    ) -> Self {
        SubjectSource {
            config,
            subject,
            group,
            open: None,
            is_taken: false,
            inbox: Inbox::new(in_flight).format(format),
        }
    }
}

/// The event with the headers that came with it.
pub(super) fn with_headers(event: Event, headers: &HeaderMap) -> Event {
    let (mut id, mut others) = (None, Map::new());
    for (name, values) in headers.iter() {
        let name: &str = name.as_ref();
        let Some(value) = values.last() else { continue };
        match name {
            "Nats-Msg-Id" => id = Some(value.as_str()),
            name if name.starts_with("Nats-") => {}
            name => {
                others.insert(name.to_owned(), value.as_str().into());
            }
        }
    }
    let event = match id {
        Some(id) => event.with_meta("id", id),
        None => event,
    };
    if others.is_empty() {
        event
    } else {
        event.with_meta("headers", Value::Object(others))
    }
}

impl Node for SubjectSource {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let shell = SubjectSource {
            config: self.config.clone(),
            subject: self.subject.clone(),
            group: self.group.clone(),
            open: None,
            is_taken: false,
            inbox: Inbox::new(1).with_options_of(&self.inbox),
        };
        Some(Box::new(std::mem::replace(self, shell)))
    }

    /// The subscription goes on.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<Self>()?;
        let same = old.subject == self.subject && old.group == self.group;
        if old.config != self.config || !same {
            return Err(old);
        }
        self.open = old.open;
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
        let messages = connection.done(async {
            let client = &connection.client;
            let unavailable = |error| connection.address().unavailable(error);
            let messages = match &self.group {
                Some(group) => {
                    let group = group.clone();
                    client.queue_subscribe(self.subject.clone(), group).await
                }
                None => client.subscribe(self.subject.clone()).await,
            };
            let messages = messages.map_err(unavailable)?;
            // Messages that are sent from now on are received.
            connection.await_echo().await?;
            Ok(messages)
        })?;
        connection.pump()?;
        self.open = Some((messages, connection));
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        self.inbox.settle(token, outcome);
        Ok(())
    }
}

impl Source for SubjectSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        self.is_taken = false;
        let Some((messages, connection)) = &mut self.open else {
            return Err(self.config.address.unavailable("the source is not open"));
        };
        let room = self.inbox.room().min(BATCH);
        if room == 0 {
            connection.pump()?;
            return Ok(ReadStatus::Idle);
        }
        let mut next = connection.wait(wait, messages.next())?;
        let mut taken = 0;
        while let Some(message) = next {
            let Some(message) = message else {
                return Err(connection
                    .address()
                    .unavailable("the subscription has ended"));
            };
            connection.take(&message);
            let Message {
                subject,
                payload,
                headers,
                ..
            } = message;
            let mut event =
                Event::new(&payload[..], cx.now()).with_meta("subject", subject.as_str());
            if let Some(headers) = &headers {
                event = with_headers(event, headers);
            }
            self.inbox.emit(event, (), cx);
            taken += 1;
            next = if taken < room {
                messages.next().now_or_never()
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
