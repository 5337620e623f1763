//! A sink: to an exchange, which confirms each message.
//!
//! The invariant: a message that the server has answered is not sent again, whatever became of the rest
//! of its batch: a batch that is fed again, whole or event by event, meets what is known of it.

use super::connection::{ConnectConfig, Connection, pipelined};
use super::declare::Exchange;
use super::short;
use crate::connect::{Progress, Settings, Template};
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::format::{Encoder, Framing};
use crate::node::{Context, Node, Sink};
use crate::time::Timestamp;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Confirmation};
use std::time::Duration;

/// How often an idle sink lets the client send a heartbeat.
const PUMP: Duration = Duration::from_secs(5);

pub(super) struct ExchangeSink {
    config: ConnectConfig,
    exchange: Exchange,
    key: Template,
    /// The routing key, where it is the same for every event.
    fixed: Option<ShortString>,
    id: Option<Template>,
    headers: Vec<(ShortString, Template)>,
    /// What all messages have.
    properties: BasicProperties,
    mandatory: bool,
    open: Option<Connection>,
    encoder: Encoder,
    batch: Vec<Out>,
    progress: Progress,
    pump_at: Timestamp,
}

/// A message to send.
struct Out {
    /// The number of its event.
    number: u64,
    key: ShortString,
    properties: BasicProperties,
    payload: Vec<u8>,
}

impl Out {
    /// Whether it was returned; of two that are the same each is returned by itself.
    fn take_from(&self, returned: &mut Vec<BasicReturnMessage>) -> bool {
        let is_this = |message: &BasicReturnMessage| {
            message.routing_key == self.key
                && message.data == self.payload
                && message.properties == self.properties
        };
        let at = returned.iter().position(is_this);
        at.map(|at| returned.swap_remove(at)).is_some()
    }
}

/// The messages that no queue takes. The client hands each to the first answer that comes after it,
/// which need not be its own.
fn returned(answers: &mut [lapin::Result<Confirmation>]) -> Vec<BasicReturnMessage> {
    let returned = answers.iter_mut().filter_map(|answer| match answer {
        Ok(Confirmation::Ack(message) | Confirmation::Nack(message)) => message.take(),
        _ => None,
    });
    returned.collect()
}

impl ExchangeSink {
    pub fn new(config: ConnectConfig, exchange: Exchange, settings: &Settings) -> Result<Self> {
        let key = settings.template("key")?;
        let key = key.ok_or_else(|| settings.wrong("key", "a template"))?;
        let content_type = settings.string("content_type")?;
        let content_type = short(content_type.unwrap_or("application/json"))?;
        let mode = if settings.boolean("persistent", true)? {
            2
        } else {
            1
        };
        let mut headers = Vec::new();
        for (name, template) in settings.template_pairs("headers")? {
            headers.push((short(&name)?, template));
        }
        Ok(ExchangeSink {
            config,
            exchange,
            fixed: key.constant().map(short).transpose()?,
            key,
            id: settings.template("id")?,
            headers,
            properties: BasicProperties::default()
                .with_content_type(content_type)
                .with_delivery_mode(mode),
            mandatory: settings.boolean("mandatory", true)?,
            open: None,
            encoder: settings.encoder(Framing::Message)?,
            batch: Vec::new(),
            progress: Progress::default(),
            pump_at: Timestamp::from_secs(0),
        })
    }

    fn key(&self, event: &Event) -> Result<ShortString> {
        match &self.fixed {
            Some(fixed) => Ok(fixed.clone()),
            None => short(&self.key.render(event)?),
        }
    }

    fn properties(&self, event: &Event) -> Result<BasicProperties> {
        let mut properties = self.properties.clone();
        if let Some(id) = &self.id {
            properties = properties.with_message_id(short(&id.render(event)?)?);
        }
        if !self.headers.is_empty() {
            let mut headers = FieldTable::default();
            for (name, template) in &self.headers {
                let value = LongString::from(template.render(event)?);
                headers.insert(name.clone(), AMQPValue::LongString(value));
            }
            properties = properties.with_headers(headers);
        }
        Ok(properties)
    }

    /// Sends the batch and notes the answers.
    fn send(&mut self) -> Result<()> {
        let connection = self
            .open
            .as_ref()
            .ok_or_else(|| self.config.address.unavailable("the sink is not open"))?;
        let options = BasicPublishOptions {
            mandatory: self.mandatory,
            ..BasicPublishOptions::default()
        };
        let (channel, exchange) = (&connection.channel, &self.exchange.name);
        let publish = |out| async move {
            let Out {
                key,
                properties,
                payload,
                ..
            }: &Out = out;
            let (key, properties) = (key.clone(), properties.clone());
            let sent = channel.basic_publish(exchange.clone(), key, options, payload, properties);
            sent.await?.await
        };
        let sizes = self.batch.iter().map(|out| out.payload.len());
        connection.intake.allow(sizes.sum());
        let sent = pipelined(self.batch.iter().map(publish));
        let mut answers = connection.done(async { Ok(sent.await) })?;
        // What was returned came with the answers.
        connection.intake.clear();
        let mut returned = returned(&mut answers);
        for (out, answer) in self.batch.iter().zip(answers) {
            let outcome = match answer {
                _ if out.take_from(&mut returned) => {
                    let key = quote(out.key.as_str());
                    Err(Error::data(format!("no queue is bound for the key {key}")))
                }
                Ok(Confirmation::Ack(_) | Confirmation::NotRequested) => Ok(()),
                Ok(Confirmation::Nack(_)) => {
                    let error = "the server rejects a message: a queue is full or unavailable";
                    Err(self.config.address.unavailable(error))
                }
                Err(error) => Err(connection.error(&error)),
            };
            self.progress.add(out.number, outcome);
        }
        Ok(())
    }
}

impl Node for ExchangeSink {
    fn open(&mut self) -> Result<()> {
        self.open = None;
        let connection = self.config.connect()?;
        self.exchange.open(&connection)?;
        let confirms = ConfirmSelectOptions::default();
        connection.done(connection.channel.confirm_select(confirms))?;
        self.open = Some(connection);
        Ok(())
    }

    /// A confirm comes when the server has written to its disk.
    fn batch_size(&self) -> usize {
        1024
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.pump_at = cx.now().saturating_add(PUMP);
        match (self.batch.is_empty(), &self.open) {
            (true, None) => {}
            (true, Some(connection)) => connection.pump()?,
            (false, _) => {
                self.send()?;
                self.batch.clear();
            }
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

impl Sink for ExchangeSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if let Some(known) = self.progress.known(cx) {
            return known;
        }
        self.batch.push(Out {
            number: self.progress.number(),
            key: self.key(event)?,
            properties: self.properties(event)?,
            payload: self.encoder.message(event)?.bytes().to_vec(),
        });
        Ok(())
    }
}
