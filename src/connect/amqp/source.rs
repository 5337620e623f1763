//! A source that reads a queue.
//!
//! The invariant: the server gives out as many messages as may be under way, so none lies here unseen
//! while there is no room for it. Tags are those of one channel; a new channel counts from the beginning.

use super::connection::{ConnectConfig, Connection, pipelined};
use super::declare::Queue;
use super::ledger::Ledger;
use super::value::object;
use crate::ack::{Outcome, Token};
use crate::connect::Inbox;
use crate::connect::support::redelivery::Redelivery;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::format::Format;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use crate::time::Timestamp;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::FieldTable;
use std::time::Duration;

/// How many events a read emits at most.
const BATCH: usize = 512;

pub(super) struct QueueSource {
    config: ConnectConfig,
    queue: Queue,
    prefetch: u16,
    /// What the prefetch of the consumer is.
    received: u16,
    requeue: bool,
    open: Option<Open>,
    /// Whether the connection is that of a node that is replaced, and was not used yet.
    is_taken: bool,
    /// Each message is known by its tag.
    inbox: Inbox<u64>,
    ledger: Ledger,
    /// What failed, until it is returned to the server.
    failed: Redelivery<u64>,
}

struct Open {
    // Before the connection, which its drop still needs.
    consumer: Consumer,
    connection: Connection,
}

impl QueueSource {
    pub fn new(
        config: ConnectConfig,
        queue: Queue,
        prefetch: u16,
        redeliver_after: Duration,
        requeue: bool,
        format: &Format,
    ) -> Self {
        QueueSource {
            config,
            queue,
            prefetch,
            received: prefetch,
            requeue,
            open: None,
            is_taken: false,
            inbox: Inbox::new(prefetch.into()).format(format),
            ledger: Ledger::new(),
            // What is not delivered again need not wait.
            failed: Redelivery::after(if requeue {
                redeliver_after
            } else {
                Duration::ZERO
            }),
        }
    }

    fn emit(&mut self, delivery: Delivery, cx: &mut Context<'_>) -> Result<()> {
        let tag = delivery.delivery_tag;
        let mut event = Event::new(&delivery.data[..], cx.now())
            .with_meta("exchange", delivery.exchange.as_str())
            .with_meta("key", delivery.routing_key.as_str())
            .with_meta("redelivered", delivery.redelivered);
        if let Some(headers) = delivery.properties.headers() {
            event = event.with_meta("headers", object(headers));
        }
        if let Some(id) = delivery.properties.message_id() {
            event = event.with_meta("id", id.as_str());
        }
        if !self.ledger.add(tag) {
            let error = format!("the server sends the delivery tag {tag}");
            return Err(self.config.address.unavailable(error));
        }
        self.inbox.emit(event, tag, cx);
        Ok(())
    }
}

impl Open {
    /// Receives messages of the queue, as many as may be under way.
    fn consume(connection: &Connection, queue: &Queue, prefetch: u16) -> Result<Consumer> {
        let consumer = connection.answer(async {
            let channel = &connection.channel;
            let qos = BasicQosOptions::default();
            channel.basic_qos(prefetch, qos).await?;
            let options = BasicConsumeOptions::default();
            let name = queue.name.clone();
            channel
                .basic_consume(name, "".into(), options, FieldTable::default())
                .await
        });
        consumer.map_err(|error| queue.refused(connection, &error))
    }

    /// Receives no more messages. Those that arrived and were not read are returned, so that another consumer
    /// gets them at once.
    fn cancel(&mut self, ledger: &mut Ledger) -> Result<()> {
        let Open {
            consumer,
            connection,
        } = self;
        let mut unread = Vec::new();
        let mut take_unread = || {
            while let Some(Some(Ok(delivery))) = consumer.next().now_or_never() {
                connection.intake.take(delivery.data.len());
                unread.push(delivery.delivery_tag);
            }
            consumer.tag()
        };
        // First, so that there is room for the answer.
        let tag = take_unread();
        let options = BasicCancelOptions::default();
        connection.done(connection.channel.basic_cancel(tag, options))?;
        take_unread();
        for tag in &unread {
            // It counts as answered.
            if ledger.add(*tag) {
                ledger.answered(*tag);
            }
        }
        let nack = BasicNackOptions {
            multiple: false,
            requeue: true,
        };
        connection.done(async {
            let nacks = unread.iter();
            let nacks = nacks.map(|tag| connection.channel.basic_nack(*tag, nack));
            let nacked = pipelined(nacks).await;
            nacked.into_iter().collect::<lapin::Result<()>>()
        })
    }
}

impl Node for QueueSource {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let (queue, requeue) = (self.queue.clone(), self.requeue);
        let pause = self.failed.pause();
        let config = self.config.clone();
        let format = self.inbox.message_format();
        let shell = Self::new(config, queue, self.prefetch, pause, requeue, format);
        Some(Box::new(std::mem::replace(self, shell)))
    }

    /// The connection goes on: what was received and is not settled stays so.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<Self>()?;
        if old.config != self.config || old.queue != self.queue {
            return Err(old);
        }
        self.open = old.open;
        self.received = old.received;
        self.ledger = old.ledger;
        self.inbox = old.inbox.with_options_of(&self.inbox);
        self.failed = old.failed.with_pause_of(&self.failed);
        self.is_taken = true;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_taken)
            && let Some(open) = &mut self.open
        {
            if self.received != self.prefetch {
                open.cancel(&mut self.ledger)?;
                open.consumer = Open::consume(&open.connection, &self.queue, self.prefetch)?;
                self.received = self.prefetch;
            }
            return Ok(());
        }
        self.open = None;
        self.inbox.clear();
        self.ledger = Ledger::new();
        self.failed.clear();
        let connection = self.config.connect()?;
        self.queue.open(&connection)?;
        let consumer = Open::consume(&connection, &self.queue, self.prefetch)?;
        self.received = self.prefetch;
        self.open = Some(Open {
            consumer,
            connection,
        });
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        match self.inbox.settle(token, outcome) {
            Some((tag, Outcome::Delivered)) => self.ledger.delivered(tag),
            Some((tag, Outcome::Failed)) => {
                self.failed.push(tag, cx.now());
            }
            None => {}
        }
        Ok(())
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let Some(Open { connection, .. }) = &self.open else {
            return Ok(());
        };
        let count = self.failed.due(cx.now());
        let due: Vec<u64> = self.failed.take(count).collect();
        due.iter().for_each(|tag| self.ledger.answered(*tag));
        let acks = self.ledger.acks();
        if due.is_empty() && acks.is_empty() {
            return Ok(());
        }
        let channel = &connection.channel;
        let nack = BasicNackOptions {
            multiple: false,
            requeue: self.requeue,
        };
        connection.done(async {
            let nacks = due.iter().map(|tag| channel.basic_nack(*tag, nack));
            let nacked = pipelined(nacks).await;
            let acks = acks.iter().map(|ack| {
                let multiple = ack.multiple;
                channel.basic_ack(ack.tag, BasicAckOptions { multiple })
            });
            let acked = pipelined(acks).await;
            nacked.into_iter().chain(acked).collect()
        })
    }

    fn wake(&self) -> Option<Timestamp> {
        self.open.as_ref()?;
        self.failed.next_due()
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        match &mut self.open {
            Some(open) => open.cancel(&mut self.ledger),
            None => Ok(()),
        }
    }
}

impl Source for QueueSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        self.is_taken = false;
        let room = self.inbox.room();
        let Some(open) = &mut self.open else {
            let error = Error::new(ErrorKind::Unavailable, "the source is not open");
            return Err(error.retryable());
        };
        if room == 0 {
            // Only an outcome makes room.
            open.connection.pump()?;
            return Ok(ReadStatus::Idle);
        }
        let mut next = open.connection.wait(wait, open.consumer.next());
        let mut taken = 0;
        while let Some(delivery) = next {
            let Some(delivery) = delivery else {
                let error = "the queue delivers no more messages";
                return Err(self.config.address.unavailable(error));
            };
            let Some(open) = &self.open else { break };
            let delivery = delivery.map_err(|error| open.connection.error(&error))?;
            open.connection.intake.take(delivery.data.len());
            self.emit(delivery, cx)?;
            taken += 1;
            let Some(open) = &mut self.open else { break };
            next = if taken < BATCH {
                open.consumer.next().now_or_never()
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
