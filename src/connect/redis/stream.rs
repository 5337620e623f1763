//! A source that takes the entries of a stream as one of a consumer group.
//!
//! The invariant: an entry that is under way, or waits to be tried again, is this source's in the
//! group's list: it is claimed again, which resets its idle time, well before another one
//! may claim it. It is emitted once at a time, though it be claimed by ourselves.
//!
//! While entries come as fast as they are taken, the next ones are asked for before these are emitted,
//! so that the server has work meanwhile. What has come so and is not emitted before the end is made
//! to look as if it had been idle for long: the next one to look takes it over.

use super::BATCH;
use super::config::ConnectConfig;
use super::connection::Connection;
use super::entry::{self, Entry};
use crate::ack::{Outcome, Token};
use crate::connect::Inbox;
use crate::connect::support::redelivery::Redelivery;
use crate::error::Result;
use crate::event::Event;
use crate::format::Format;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use crate::time::Timestamp;
use redis::{Cmd, Value, cmd};
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// How many entries one command names at most.
const NAMED: usize = 1000;

#[derive(Clone)]
pub(super) struct Options {
    pub stream: String,
    pub group: String,
    pub consumer: String,
    pub only_new: bool,
    pub field: String,
    pub claim_after: Duration,
    pub redeliver_after: Duration,
    pub in_flight: usize,
    pub format: Format,
}

pub(super) struct StreamSource {
    config: ConnectConfig,
    options: Options,
    open: Option<Connection>,
    /// Whether the connection is that of a node that is replaced, and was not used yet.
    is_taken: bool,
    /// How many entries one reply may have: fewer after one that was too large.
    most: usize,
    /// Whether entries were requested and the answer is not read yet.
    ahead: bool,
    /// Entries that came and are not emitted yet.
    arrived: VecDeque<Entry>,
    /// Each entry by its id.
    inbox: Inbox<String>,
    failed: Redelivery<String>,
    acks: Vec<String>,
    touch_at: Timestamp,
    claim_at: Timestamp,
    /// Up to where the group's list was gone through.
    claimed: String,
}

impl StreamSource {
    pub fn new(config: ConnectConfig, options: Options) -> Self {
        StreamSource {
            config,
            open: None,
            is_taken: false,
            most: BATCH,
            ahead: false,
            arrived: VecDeque::new(),
            inbox: Inbox::new(options.in_flight).format(&options.format),
            failed: Redelivery::after(options.redeliver_after),
            acks: Vec::new(),
            touch_at: Timestamp::from_secs(0),
            claim_at: Timestamp::from_secs(0),
            claimed: "0-0".to_owned(),
            options,
        }
    }

    fn ask(&mut self, command: &Cmd) -> Result<Value> {
        self.hear_ahead()?;
        let open = self.open.as_mut().ok_or_else(|| self.config.closed())?;
        let answer = self.config.ask(open, command);
        self.sized(answer)
    }

    /// After a reply that was too large, entries are asked for in smaller numbers.
    fn sized(&mut self, answer: Result<Value>) -> Result<Value> {
        if answer.is_err() && self.open.as_ref().is_some_and(Connection::is_too_large) {
            self.most = (self.most / 2).max(1);
        }
        answer
    }

    /// Hears what was asked for ahead.
    fn hear_ahead(&mut self) -> Result<()> {
        if std::mem::take(&mut self.ahead)
            && let Some(open) = &mut self.open
        {
            let answer = self.config.receive(open);
            let entries = entry::read(self.sized(answer)?);
            self.arrived.extend(entries);
        }
        Ok(())
    }

    /// The command for this many entries without a consumer.
    fn next(&self, count: usize, wait: Option<Duration>) -> Cmd {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(&self.options.group);
        command.arg(&self.options.consumer);
        command.arg("COUNT").arg(count);
        if let Some(wait) = wait {
            command.arg("BLOCK").arg(millis(wait));
        }
        command.arg("STREAMS").arg(&self.options.stream).arg(">");
        command
    }

    /// A command on the stream and its group.
    fn of_group(&self, name: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(&self.options.stream).arg(&self.options.group);
        command
    }

    fn emit(&mut self, entry: Entry, cx: &mut Context<'_>) {
        if self.inbox.is_empty() && self.failed.len() == 0 {
            self.touch_at = cx.now().saturating_add(self.options.claim_after / 3);
        }
        let id = entry.id.clone();
        let event = Event::new(entry.payload(&self.options.field), cx.now())
            .with_meta("stream", self.options.stream.as_str())
            .with_meta("id", id.as_str());
        self.inbox.emit(event, id, cx);
    }

    /// Claims the entries that failed and whose pause is over. Returns their number.
    fn again(&mut self, cx: &mut Context<'_>) -> Result<usize> {
        let due = self.failed.due(cx.now());
        if due == 0 {
            return Ok(0);
        }
        let due = due.min(self.most);
        let mut command = self.of_group("XCLAIM");
        command.arg(&self.options.consumer).arg(0);
        for id in self.failed.messages().take(due) {
            command.arg(id);
        }
        let answer = self.ask(&command)?;
        // An entry that is missing was deleted, or another consumer has delivered it.
        drop(self.failed.take(due));
        entry::entries(answer).for_each(|entry| self.emit(entry, cx));
        Ok(due)
    }

    /// Claims entries of consumers that are gone. Returns their number.
    fn claim(&mut self, room: usize, cx: &mut Context<'_>) -> Result<usize> {
        let idle = millis(self.options.claim_after);
        let mut command = self.of_group("XAUTOCLAIM");
        command.arg(&self.options.consumer).arg(idle);
        command.arg(&self.claimed).arg("COUNT").arg(room);
        let (next, entries) = entry::claimed(self.ask(&command)?);
        if next == "0-0" || next.is_empty() {
            self.claim_at = cx.now().saturating_add(self.options.claim_after / 2);
        }
        self.claimed = next;
        let entries: Vec<Entry> = entries.collect();
        let ours: HashSet<String> = if entries.is_empty() {
            HashSet::new()
        } else {
            self.held().cloned().collect()
        };
        let others = entries
            .into_iter()
            .filter(|entry| !ours.contains(&entry.id));
        let mut taken = 0;
        for entry in others {
            self.emit(entry, cx);
            taken += 1;
        }
        Ok(taken)
    }

    fn held(&self) -> impl Iterator<Item = &String> {
        let failed = self.failed.messages();
        let arrived = self.arrived.iter().map(|entry| &entry.id);
        self.inbox.messages().chain(failed).chain(arrived)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Node for StreamSource {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let shell = Self::new(self.config.clone(), self.options.clone());
        Some(Box::new(std::mem::replace(self, shell)))
    }

    /// The connection goes on, and with it what the group has given to this consumer.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let mut old = state.downcast::<Self>()?;
        let name = |options: &Options| {
            let Options {
                stream,
                group,
                consumer,
                ..
            } = options;
            [stream, group, consumer].map(String::clone)
        };
        if old.config != self.config || name(&old.options) != name(&self.options) {
            return Err(old);
        }
        old.options = self.options.clone();
        old.inbox = old.inbox.with_options_of(&self.inbox);
        old.failed = old.failed.with_pause_of(&self.failed);
        *self = *old;
        self.is_taken = true;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_taken) && self.open.is_some() {
            return Ok(());
        }
        self.open = None;
        self.ahead = false;
        self.open = Some(Connection::open(&self.config)?);
        let mut command = cmd("XGROUP");
        command.arg("CREATE").arg(&self.options.stream);
        command.arg(&self.options.group);
        command.arg(if self.options.only_new { "$" } else { "0" });
        let Err(error) = self.ask(&command) else {
            return Ok(());
        };
        let text = error.message();
        if text.contains("BUSYGROUP") {
            return Ok(());
        }
        if text.contains("requires the key to exist") {
            let Options { stream, group, .. } = &self.options;
            let why = format!("no stream {}", crate::error::quote(stream));
            let hint = format!("create it: redis-cli XGROUP CREATE {stream} {group} 0 MKSTREAM");
            return Err(self.config.address.wrong(why).with_hint(hint));
        }
        Err(error)
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        match self.inbox.settle(token, outcome) {
            Some((id, Outcome::Delivered)) => self.acks.push(id),
            Some((id, Outcome::Failed)) => {
                self.failed.push(id, cx.now());
            }
            None => {}
        }
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        while !self.acks.is_empty() && self.open.is_some() {
            let some = self.acks.len().min(NAMED);
            let mut command = self.of_group("XACK");
            command.arg(&self.acks[..some]);
            self.ask(&command)?;
            self.acks.drain(..some);
        }
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        let idle = self.held().next().is_none();
        (self.open.is_some() && !idle).then_some(self.touch_at)
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.open.is_none() || cx.now() < self.touch_at {
            return Ok(());
        }
        self.touch_at = cx.now().saturating_add(self.options.claim_after / 3);
        let held: Vec<String> = self.held().cloned().collect();
        for some in held.chunks(NAMED) {
            let mut command = self.of_group("XCLAIM");
            command.arg(&self.options.consumer).arg(0);
            command.arg(some).arg("JUSTID");
            self.ask(&command)?;
        }
        Ok(())
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.hear_ahead()?;
        let ids: Vec<String> = self.arrived.drain(..).map(|entry| entry.id).collect();
        for some in ids.chunks(NAMED) {
            let mut command = self.of_group("XCLAIM");
            command.arg(&self.options.consumer).arg(0).arg(some);
            command.arg("IDLE").arg(millis(self.options.claim_after));
            command.arg("JUSTID");
            self.ask(&command)?;
        }
        Ok(())
    }
}

impl Source for StreamSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        self.is_taken = false;
        if self.again(cx)? > 0 {
            return Ok(ReadStatus::More);
        }
        let room = self.inbox.room().saturating_sub(self.failed.len());
        let count = room.min(self.most);
        if count == 0 {
            return Ok(ReadStatus::Idle);
        }
        self.hear_ahead()?;
        if self.arrived.is_empty() {
            if cx.now() >= self.claim_at && self.claim(count, cx)? > 0 {
                return Ok(ReadStatus::More);
            }
            let wait = wait.min(self.config.timeout / 2);
            let answer = self.ask(&self.next(count, Some(wait)))?;
            self.arrived.extend(entry::read(answer));
        }
        let taken = self.arrived.len().min(count);
        let is_all = taken == self.arrived.len();
        if taken == BATCH && is_all && room >= 2 * BATCH && self.most == BATCH {
            let next = self.next(BATCH, None);
            // If this cannot be sent, the next command fails.
            let open = self.open.as_mut();
            self.ahead = open.is_some_and(|open| self.config.ask_ahead(open, &next).is_ok());
        }
        for _ in 0..taken {
            if let Some(entry) = self.arrived.pop_front() {
                self.emit(entry, cx);
            }
        }
        Ok(match taken {
            0 => ReadStatus::Idle,
            _ => ReadStatus::More,
        })
    }
}
