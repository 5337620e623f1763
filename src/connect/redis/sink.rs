//! A sink: XADD to a stream, or PUBLISH to a channel.
//!
//! The invariant: a command that the server has answered to is not sent again, whatever became of the
//! rest of its batch: a batch that is fed again, whole or event by event, begins with what is known.

use super::link::Place;
use crate::connect::Template;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use redis::{Connection, Value, cmd};
use std::collections::VecDeque;

pub(super) struct RedisSink {
    place: Place,
    to: To,
    open: Option<Connection>,
    /// The commands of the batch as they are sent, and how many there are.
    batch: Vec<u8>,
    commands: usize,
    /// What the server has answered to the first events of a batch that comes again.
    known: VecDeque<Result<()>>,
    /// How many of these were told.
    told: usize,
    /// How many events the batch has so far.
    events: usize,
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
    pub fn new(place: Place, to: To) -> Self {
        RedisSink {
            place,
            to,
            open: None,
            batch: Vec::new(),
            commands: 0,
            known: VecDeque::new(),
            told: 0,
            events: 0,
        }
    }

    /// Sends the batch and hears the answers; what it is worst comes out.
    fn send(&mut self) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(|| self.place.closed())?;
        let sent = open.send_packed_command(&self.batch);
        sent.map_err(|error| self.place.error(&error))?;
        let mut worst = Ok(());
        for _ in 0..self.commands {
            let answer = match open.recv_response() {
                Ok(Value::ServerError(error)) => Err(self.place.error(&error.into())),
                Ok(_) => Ok(()),
                Err(error) => Err(self.place.error(&error)),
            };
            match answer {
                // Nothing is known of this one and those that follow.
                Err(error) if error.is_retryable() => return Err(error),
                answer => {
                    if worst.is_ok() {
                        worst.clone_from(&answer);
                    }
                    self.known.push_back(answer);
                }
            }
        }
        worst
    }
}

impl To {
    fn command(&self, event: &Event) -> Result<Vec<u8>> {
        let payload = event.payload().bytes();
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
        self.open = Some(self.place.connect()?);
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if self.commands > 0 {
            let sent = self.send();
            // A batch of one event that was refused does not come again.
            let is_over = match &sent {
                Ok(()) => true,
                Err(error) => self.events == 1 && !error.is_retryable(),
            };
            if is_over {
                self.known.clear();
            }
            sent?;
        }
        self.known.drain(..self.told.min(self.known.len()));
        self.told = 0;
        self.events = 0;
        self.batch.clear();
        self.commands = 0;
        Ok(())
    }

    fn rollback(&mut self) {
        self.batch.clear();
        self.commands = 0;
        self.told = 0;
        self.events = 0;
    }
}

impl Sink for RedisSink {
    fn write(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.events += 1;
        // First of all: what is known is known of events that a command was made of.
        let command = self.to.command(event)?;
        if let Some(known) = self.known.get(self.told) {
            self.told += 1;
            return known.clone();
        }
        self.batch.extend_from_slice(&command);
        self.commands += 1;
        Ok(())
    }
}
