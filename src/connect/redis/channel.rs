//! A source that listens to a channel: what is published while it does not is lost.

use super::BATCH;
use super::config::ConnectConfig;
use super::connection::Connection;
use crate::ack::{Outcome, Token};
use crate::connect::Inbox;
use crate::error::Result;
use crate::event::Event;
use crate::format::Format;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use redis::{Msg, cmd};
use std::time::Duration;

/// How long more is waited for when something has come: so much is a lone event held back.
const MORE: Duration = Duration::from_millis(1);

/// After so many bytes no more messages are taken in one read.
const MOST_BYTES: usize = 16 << 20;

pub(super) struct ChannelSource {
    config: ConnectConfig,
    channel: String,
    is_pattern: bool,
    open: Option<Connection>,
    /// Whether the connection is that of a node that is replaced, and was not used yet.
    is_taken: bool,
    inbox: Inbox<()>,
}

impl ChannelSource {
    pub fn new(
        config: ConnectConfig,
        channel: String,
        is_pattern: bool,
        in_flight: usize,
        format: &Format,
    ) -> Self {
        ChannelSource {
            config,
            channel,
            is_pattern,
            open: None,
            is_taken: false,
            inbox: Inbox::new(in_flight).format(format),
        }
    }
}

impl Node for ChannelSource {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let (config, channel) = (self.config.clone(), self.channel.clone());
        let mut shell = Self::new(config, channel, self.is_pattern, 1, &Format::default());
        shell.inbox = shell.inbox.with_options_of(&self.inbox);
        Some(Box::new(std::mem::replace(self, shell)))
    }

    /// The subscription goes on.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<Self>()?;
        let same = old.channel == self.channel && old.is_pattern == self.is_pattern;
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
        let mut connection = Connection::open(&self.config)?;
        let mut subscribe = cmd(if self.is_pattern {
            "PSUBSCRIBE"
        } else {
            "SUBSCRIBE"
        });
        self.config
            .ask(&mut connection, subscribe.arg(&self.channel))?;
        self.open = Some(connection);
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        self.inbox.settle(token, outcome);
        Ok(())
    }
}

/// The next message, or `None` where there is none within the limit of the connection.
fn next(config: &ConnectConfig, open: &mut Connection) -> Result<Option<Msg>> {
    loop {
        match open.receive().and_then(redis::Value::extract_error) {
            // What is no message, as the answer to a command, is passed over.
            Ok(value) => match Msg::from_owned_value(value) {
                Some(message) => return Ok(Some(message)),
                None => continue,
            },
            Err(error) if error.is_timeout() => return Ok(None),
            Err(error) => return Err(config.error(&error)),
        }
    }
}

impl Source for ChannelSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        self.is_taken = false;
        let config = &self.config;
        let open = self.open.as_mut().ok_or_else(|| config.closed())?;
        let room = self.inbox.room().min(BATCH);
        if room == 0 {
            return Ok(ReadStatus::Idle);
        }
        let (mut taken, mut bytes) = (0, 0);
        for limit in [wait.max(MORE), MORE] {
            let limited = open.set_limit(limit);
            limited.map_err(|error| config.error(&error.into()))?;
            while taken < room && bytes < MOST_BYTES {
                let Some(message) = next(config, open)? else {
                    break;
                };
                let event = Event::new(message.get_payload_bytes(), cx.now())
                    .with_meta("channel", message.get_channel_name());
                bytes += event.size();
                self.inbox.emit(event, (), cx);
                taken += 1;
                if taken == 1 {
                    break;
                }
            }
            if taken == 0 {
                return Ok(ReadStatus::Idle);
            }
        }
        Ok(ReadStatus::More)
    }
}
