//! A sink: XADD to a stream, or PUBLISH to a channel.
//!
//! The invariant: a command that the server has answered to is not sent again, whatever became of the
//! rest of its batch: a batch that is fed again, whole or event by event, meets what is known of it.

use super::config::ConnectConfig;
use super::connection::Connection;
use crate::connect::{Progress, Template};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::format::Encoder;
use crate::node::{Context, Node, Sink};
use redis::{Value, cmd};

pub(super) struct RedisSink {
    config: ConnectConfig,
    to: To,
    encoder: Encoder,
    open: Option<Connection>,
    /// The commands of the batch as they are sent, and the number of the event of each.
    batch: Vec<u8>,
    numbers: Vec<u64>,
    progress: Progress,
}

pub(super) enum To {
    Stream {
        stream: Template,
        field: String,
        max_len: Option<i64>,
    },
    Channel(Template),
}

impl RedisSink {
    pub fn new(config: ConnectConfig, to: To, encoder: Encoder) -> Self {
        RedisSink {
            config,
            to,
            encoder,
            open: None,
            batch: Vec::new(),
            numbers: Vec::new(),
            progress: Progress::default(),
        }
    }

    /// Sends the batch and reads the answers.
    fn send(&mut self) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(|| self.config.closed())?;
        let sent = open.send(&self.batch);
        sent.map_err(|error| self.config.error(&error))?;
        for number in &self.numbers {
            let answer = match open.receive() {
                Ok(Value::ServerError(error)) => Err(self.config.error(&error.into())),
                Ok(_) => Ok(()),
                Err(error) => Err(self.config.error(&error)),
            };
            match answer {
                // Nothing is known of this one and those that follow.
                Err(error) if error.is_retryable() => return Err(error),
                answer => self.progress.add(*number, answer),
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.batch.clear();
        self.numbers.clear();
    }
}

impl To {
    fn command(&self, event: &Event, payload: &[u8]) -> Result<Vec<u8>> {
        let command = match self {
            To::Channel(channel) => {
                let mut command = cmd("PUBLISH");
                command.arg(channel.render(event)?).arg(payload);
                command
            }
            To::Stream {
                stream,
                field,
                max_len,
            } => {
                let stream = stream.render(event)?;
                if stream.is_empty() {
                    return Err(Error::data("the name of the stream is empty"));
                }
                let mut command = cmd("XADD");
                command.arg(stream);
                if let Some(max_len) = max_len {
                    command.arg("MAXLEN").arg("~").arg(max_len);
                }
                command.arg("*").arg(field).arg(payload);
                command
            }
        };
        Ok(command.get_packed_command())
    }
}

impl Node for RedisSink {
    fn open(&mut self) -> Result<()> {
        self.open = None;
        self.open = Some(Connection::open(&self.config)?);
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if !self.numbers.is_empty() {
            self.send()?;
            self.clear();
        }
        self.progress.commit()
    }

    fn rollback(&mut self) {
        self.progress.rollback();
        self.clear();
    }
}

impl Sink for RedisSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if let Some(known) = self.progress.known(cx) {
            return known;
        }
        let payload = self.encoder.message(event)?;
        let command = self.to.command(event, payload.bytes())?;
        self.batch.extend_from_slice(&command);
        self.numbers.push(self.progress.number());
        Ok(())
    }
}
