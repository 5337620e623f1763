//! A sink: XADD to a stream, or PUBLISH to a channel.
//!
//! The invariant: a command that the server has answered to is not sent again, whatever became of the
//! rest of its batch: a batch that is fed again, whole or event by event, meets what is known of it.

use super::link::Place;
use crate::connect::Template;
use crate::connect::progress::Refused;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use redis::{Connection, Value, cmd};
use std::collections::VecDeque;

pub(super) struct RedisSink {
    place: Place,
    to: To,
    open: Option<Connection>,
    /// The commands of the batch as they are sent, and the place of each among what is known.
    batch: Vec<u8>,
    commands: Vec<usize>,
    /// What the server has answered to each event that is fed now or will be again.
    known: VecDeque<Option<Result<()>>>,
    refused: Refused,
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
            commands: Vec::new(),
            known: VecDeque::new(),
            refused: Refused::default(),
            told: 0,
            events: 0,
        }
    }

    /// What was fed does not come again.
    fn done(&mut self) {
        self.refused.commit();
        self.known.drain(..self.told);
        self.told = 0;
        self.events = 0;
        self.batch.clear();
        self.commands.clear();
    }

    /// Sends the batch and hears the answers; what it is worst comes out.
    fn send(&mut self) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(|| self.place.closed())?;
        let sent = open.send_packed_command(&self.batch);
        sent.map_err(|error| self.place.error(&error))?;
        let mut worst = Ok(());
        for at in &self.commands {
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
                    if let Some(slot) = self.known.get_mut(*at) {
                        *slot = Some(answer);
                    }
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
        let sent = match self.commands.is_empty() {
            true => Ok(()),
            false => self.send(),
        };
        // A batch of one event that was refused does not come again.
        let is_over = match &sent {
            Ok(()) => true,
            Err(error) => self.events == 1 && !error.is_retryable(),
        };
        if is_over {
            self.done();
        }
        sent
    }

    fn rollback(&mut self) {
        self.refused.rollback();
        self.batch.clear();
        self.commands.clear();
        self.told = 0;
        self.events = 0;
    }
}

impl Sink for RedisSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.events += 1;
        if self.refused.comes_again(cx) {
            self.known.push_front(None);
        }
        // First of all: what is known is known of events that a command was made of.
        let command = self.to.command(event)?;
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
        self.batch.extend_from_slice(&command);
        self.commands.push(at);
        Ok(())
    }
}
