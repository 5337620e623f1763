//! A client as a member of its group, and what it calls back.

use super::config::{self, LastError};
use super::positions::Positions;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::time::Duration;

/// How long the client is asked at once for what it has met.
const TURN: Duration = Duration::from_millis(5);
/// How long the group is given to see that a source leaves.
const LEAVE: Duration = Duration::from_secs(2);

/// What the client calls back.
#[derive(Default)]
pub(super) struct Callbacks {
    positions: Mutex<Positions>,
    last_error: LastError,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, what: &str, message: &str) {
        config::log(level, what, message);
    }

    fn error(&self, error: KafkaError, _why: &str) {
        self.last_error.note(&error);
    }
}

impl ConsumerContext for Callbacks {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, change: &Rebalance<'_>) {
        let mut positions = self.positions.lock();
        match change {
            Rebalance::Assign(list) => {
                let given = list.elements();
                given.iter().for_each(|one| positions.give(one.partition()));
            }
            Rebalance::Revoke(list) => {
                let gone = list.elements();
                gone.iter()
                    .for_each(|one| positions.take_away(one.partition()));
            }
            Rebalance::Error(_) => positions.take_all(),
        }
    }
}

/// A client, and the state of its partitions.
pub(super) struct Member {
    consumer: Option<BaseConsumer<Callbacks>>,
    pub is_subscribed: bool,
    pub is_paused: bool,
    timeout: Duration,
}

impl Member {
    pub fn new(consumer: BaseConsumer<Callbacks>, timeout: Duration) -> Self {
        Member {
            consumer: Some(consumer),
            is_subscribed: false,
            is_paused: false,
            timeout,
        }
    }

    pub fn consumer(&self) -> &BaseConsumer<Callbacks> {
        self.consumer.as_ref().expect("it is there until the end")
    }

    pub fn positions(&self) -> &Mutex<Positions> {
        &self.consumer().context().positions
    }

    /// What the client has met beside what it was asked. That comes with its messages; there are
    /// none before it subscribes.
    pub fn last_error(&self) -> Option<Code> {
        let last_error = &self.consumer().context().last_error;
        for _ in 0..20 {
            let known = last_error.take();
            if known.is_some() || self.is_subscribed {
                return known;
            }
            let _ = self.consumer().poll(TURN);
        }
        last_error.take()
    }

    /// Holds all partitions, or lets them go on.
    pub fn pause(&mut self, pause: bool) -> Result<(), KafkaError> {
        let all = self.consumer().assignment()?;
        if pause {
            self.consumer().pause(&all)?
        } else {
            self.consumer().resume(&all)?
        }
        self.is_paused = pause;
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Some(consumer) = self.consumer.take() else {
            return;
        };
        let limit = self.timeout.min(LEAVE);
        if !self.is_subscribed || consumer.client().fetch_metadata(None, limit).is_ok() {
            return;
        }
        // The end of a client waits for its group, for as long as a session lasts. Without an
        // answer it is not dropped: what is left ends with the process.
        std::mem::forget(consumer);
    }
}
