//! A source that listens to a channel: what is published while it does not is lost.

use super::BATCH;
use super::link::Place;
use crate::ack::{Outcome, Token};
use crate::connect::Inbox;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Read, Source};
use redis::Connection;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// How long more is waited for when something has come: so much is a lone event held back.
const MORE: Duration = Duration::from_millis(1);

pub(super) struct ChannelSource {
    place: Place,
    channel: String,
    is_pattern: bool,
    open: Option<Connection>,
    inbox: Inbox<()>,
}

impl ChannelSource {
    pub fn new(place: Place, channel: String, is_pattern: bool, in_flight: usize) -> Self {
        ChannelSource {
            place,
            channel,
            is_pattern,
            open: None,
            inbox: Inbox::new(in_flight),
        }
    }
}

impl Node for ChannelSource {
    fn open(&mut self) -> Result<()> {
        self.open = None;
        let mut connection = self.place.connect()?;
        // Its end would end the subscription, which is to last as long as the connection.
        let mut listener = ManuallyDrop::new(connection.as_pubsub());
        let subscribed = match self.is_pattern {
            true => listener.psubscribe(&self.channel),
            false => listener.subscribe(&self.channel),
        };
        subscribed.map_err(|error| self.place.error(&error))?;
        self.open = Some(connection);
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        self.inbox.settle(token, outcome);
        Ok(())
    }
}

impl Source for ChannelSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<Read> {
        let place = &self.place;
        let open = self.open.as_mut().ok_or_else(|| place.closed())?;
        let room = self.inbox.room().min(BATCH);
        if room == 0 {
            return Ok(Read::Idle);
        }
        let mut listener = ManuallyDrop::new(open.as_pubsub());
        let mut taken = 0;
        for limit in [wait.max(MORE), MORE] {
            let limited = listener.set_read_timeout(Some(limit));
            limited.map_err(|error| place.error(&error))?;
            while taken < room {
                let message = match listener.get_message() {
                    Ok(message) => message,
                    Err(error) if error.is_timeout() => break,
                    Err(error) => return Err(place.error(&error)),
                };
                let event = Event::new(message.get_payload_bytes(), cx.now())
                    .with_meta("channel", message.get_channel_name());
                self.inbox.emit(event, (), cx);
                taken += 1;
                if taken == 1 {
                    break;
                }
            }
            if taken == 0 {
                return Ok(Read::Idle);
            }
        }
        Ok(Read::More)
    }
}
