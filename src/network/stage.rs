//! Feeding one batch to one node: the only place that settles acks.
//!
//! A stage owns a node and its frame. It calls the node event by event, commits, and only then
//! moves what was noted down into the outbox. It uses no thread and no channel; workers and
//! simulations drive the same stages.

mod emit;
mod feed;
mod log_throttle;
mod replace;
mod retry;
mod settle;

pub(crate) use replace::{Prepared, Standby};
pub(crate) use retry::Retry;

use super::limits::Limits;
use super::on_error::Retries;
use super::panics::catch;
use super::runner::{NodeKind, Runner};
use super::stats::{Account, ErrorReport, NodeState, add};
use super::tap_sender::{TapPoint, TapSender};
use crate::ack::{Outcome, OutcomeChannel, Token};
use crate::claim::Lock;
use crate::error::{Error, Result, quote_bytes};
use crate::event::{Batch, Event};
use crate::name::{Name, Port};
use crate::node::{Context, Frame, Node, Outline, Processed, ReadStatus, Tracker};
use crate::time::{Clock, Timestamp, monotonic};
use log_throttle::LogThrottle;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// How long a node is not ticked after a tick that failed for good.
const REST: Duration = Duration::from_secs(1);

/// The batches that leave a node, by port.
pub(crate) type Outbox = Vec<Batch>;

/// The outline of the node that is in a place at present.
pub(crate) type SharedOutline = Arc<Mutex<Option<Outline>>>;

pub(crate) struct Stage {
    pub name: Name,
    pub kind: NodeKind,
    pub account: Arc<Account>,
    pub outbox: Outbox,
    /// How many events the node takes in hand at once.
    pub batch_size: usize,
    runner: Box<dyn Runner>,
    frame: Frame,
    /// What a successor would have to know of the node; read from outside, too.
    outline: SharedOutline,
    /// The first token of the node; those before it were given out by one that it has replaced.
    first_token: Token,
    /// Outcomes of tracked events, while `settle` is called; the allocation is used again.
    outcomes: Vec<(Token, Outcome)>,
    clock: Arc<dyn Clock>,
    /// Which ports lead somewhere.
    linked: Vec<bool>,
    /// Who gets copies of events.
    taps: Vec<TapSender>,
    /// Since when latencies are measured; never in virtual time.
    timed_since: Option<Timestamp>,
    warned: LogThrottle,
    /// How often an event is tried again, if at all.
    retries: Option<Retries>,
    /// How often it has panicked in a row, and how often it may.
    panics: u32,
    panic_limit: u32,
    /// It has panicked too often: it is not called any more.
    dead: bool,
    /// An error after which the node cannot go on.
    failed: Option<Error>,
    /// Its `wake` has panicked: it is not called again.
    sleeps: bool,
    /// Until when it is not ticked again: its last tick has failed.
    rests: Option<Timestamp>,
    /// The locks of the files that the node claims: released after the node is dropped.
    locks: Vec<Lock>,
}

impl Stage {
    pub fn new(
        name: Name,
        ports: Vec<Port>,
        mut runner: Box<dyn Runner>,
        clock: Arc<dyn Clock>,
        channel: Arc<dyn OutcomeChannel>,
        account: Arc<Account>,
    ) -> Self {
        let kind = runner.kind();
        let count = ports.len();
        // A node that panics here gets the default.
        let batch_size = catch(|| Ok(runner.node().batch_size())).unwrap_or_default();
        let outline = catch(|| Ok(runner.node().outline())).unwrap_or_default();
        Stage {
            outline: Arc::new(Mutex::new(outline)),
            batch_size,
            name,
            kind,
            account,
            outbox: (0..count).map(|_| Batch::default()).collect(),
            runner,
            frame: Frame::new(ports, kind != NodeKind::Sink, Tracker::new(channel)),
            first_token: Token(0),
            outcomes: Vec::new(),
            clock,
            linked: vec![false; count],
            taps: Vec::new(),
            timed_since: None,
            warned: LogThrottle::default(),
            retries: None,
            panics: 0,
            panic_limit: Limits::default().panics,
            dead: false,
            failed: None,
            sleeps: false,
            rests: None,
            locks: Vec::new(),
        }
    }

    /// What a successor of the node would have to know of it.
    pub fn outline(&self) -> SharedOutline {
        self.outline.clone()
    }

    /// Holds these locks for the life of the node.
    pub fn keep(&mut self, locks: Vec<Lock>) {
        self.locks = locks;
    }

    /// Adds a link.
    pub fn open_input(&mut self, number: usize) {
        self.frame.inputs.push(number);
    }

    /// Removes the link at this index, whose last batch was fed.
    pub fn close_input(&mut self, index: usize) {
        self.frame.inputs.remove(index);
    }

    /// The number of the link at this index.
    pub fn input(&self, index: usize) -> usize {
        self.frame.inputs[index]
    }

    pub fn close_inputs(&mut self) {
        self.frame.inputs.clear();
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sets which ports lead somewhere.
    pub fn set_linked(&mut self, linked: Vec<bool>) {
        self.linked = linked;
    }

    pub fn set_retries(&mut self, retries: Option<Retries>) {
        self.retries = retries;
    }

    /// Copies events for one more reader; those that have gone get none any more.
    pub fn add_tap(&mut self, tap: TapSender) {
        self.taps.retain(|tap| !tap.is_closed());
        self.taps.push(tap);
    }

    /// Copies these events, which are taken or sent there.
    #[inline]
    pub fn tap_all(&mut self, at: TapPoint, events: &[Event]) {
        if !self.taps.is_empty() {
            self.copy_for_taps(at, events);
        }
    }

    #[cold]
    fn copy_for_taps(&mut self, at: TapPoint, events: &[Event]) {
        self.taps.retain(|tap| !tap.is_closed());
        for tap in self.taps.iter().filter(|tap| tap.is_at(at)) {
            tap.offer(events);
        }
    }

    /// Has latencies measured.
    pub fn set_timed(&mut self, is_timed: bool) {
        self.timed_since = is_timed.then(|| self.now());
    }

    /// How many events its node has processed.
    pub fn processed(&self) -> Arc<Processed> {
        self.frame.processed.clone()
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.panic_limit = limits.panics;
        self.frame.event_bytes = limits.event_bytes;
    }

    /// How many tracked events have no outcome yet.
    pub fn outstanding(&self) -> u64 {
        self.frame.tracker.outstanding()
    }

    pub fn wake(&mut self) -> Option<Timestamp> {
        if self.sleeps || self.dead {
            return None;
        }
        let wake = catch(|| Ok(self.runner.node().wake())).unwrap_or_else(|error| {
            self.sleeps = true;
            self.failed = Some(error);
            None
        });
        wake.map(|at| self.rests.map_or(at, |rests| at.max(rests)))
    }

    pub fn holds(&mut self) -> bool {
        // A node that panics here holds nothing.
        catch(|| Ok(self.runner.node().holds())).unwrap_or(false)
    }

    pub fn open(&mut self) -> Result<()> {
        let opened = catch(|| self.runner.node().open());
        if opened.is_ok() {
            self.account.set_state(NodeState::Open);
        }
        opened
    }

    /// Reads a source.
    pub fn read(&mut self, wait: Duration) -> Result<ReadStatus> {
        let begun = monotonic();
        // A source that finds nothing waits: only what it takes beyond that is its own.
        self.account.busy.start(begun + wait);
        self.frame.begin_no_event();
        let mut cx = Context::new(&mut self.frame, &*self.clock);
        let read = catch(|| self.runner.read(&mut cx, wait));
        let empty = self.frame.is_empty();
        // Events read before an error are good, and a source cannot take them back.
        self.resolve(Batch::default());
        if empty {
            self.account.busy.stop(monotonic())
        } else {
            self.account.busy.stop_with(begun.elapsed())
        }
        read
    }

    /// The error after which the node cannot go on, once.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failed.take()
    }

    fn commit(&mut self) -> Result<()> {
        self.frame.begin_no_event();
        let mut cx = Context::new(&mut self.frame, &*self.clock);
        catch(|| self.runner.node().commit(&mut cx))?;
        self.frame.take_fault()
    }

    fn rollback(&mut self) {
        if let Err(error) = catch(|| {
            self.runner.node().rollback();
            Ok(())
        }) {
            self.log_error("rollback", &error);
        }
    }

    /// A call that belongs to no event, and its commit; returns whether both succeeded. A retryable error
    /// is returned; any other is logged and counted.
    fn call(
        &mut self,
        what: &str,
        call: impl FnOnce(&mut dyn Node, &mut Context<'_>) -> Result<()>,
    ) -> Result<bool> {
        if self.dead {
            return Ok(false);
        }
        self.account.busy.start(monotonic());
        self.frame.begin_no_event();
        let mut cx = Context::new(&mut self.frame, &*self.clock);
        let called = catch(|| call(self.runner.node(), &mut cx))
            .and_then(|()| self.frame.take_fault())
            .and_then(|()| self.commit());
        let result = match called {
            Ok(()) => {
                self.resolve(Batch::default());
                Ok(true)
            }
            Err(error) => {
                self.frame.clear();
                self.rollback();
                if error.is_retryable() {
                    Err(error)
                } else {
                    self.log_error(what, &error);
                    if error.is_fatal() {
                        self.failed = Some(error);
                    }
                    Ok(false)
                }
            }
        };
        self.account.busy.stop(monotonic());
        result
    }

    /// Ticks the node. A tick that fails for good is repeated after a rest, since the node may still be
    /// due.
    pub fn tick(&mut self) -> Result<()> {
        let done = self.call("tick", |node, cx| node.tick(cx))?;
        self.rests = (!done).then(|| self.now().saturating_add(REST));
        Ok(())
    }

    /// Calls `finish`; returns whether to call it again, since the node has let go a part of what it holds.
    pub fn finish(&mut self) -> Result<bool> {
        self.frame.again = false;
        let done = self.call("finish", |node, cx| node.finish(cx))?;
        Ok(done && self.frame.again)
    }

    /// Commits what an earlier call has left uncommitted.
    pub fn commit_again(&mut self) -> Result<()> {
        self.call("commit", |_, _| Ok(())).map(drop)
    }

    /// Keeps an error for those who ask for the last ones.
    pub fn report(&self, what: &str, error: &Error, event: Option<&Event>) {
        self.account.reports.add(monotonic(), || ErrorReport {
            time: self.clock.now(),
            what: what.to_owned(),
            error: error.to_string(),
            payload: event.map(shown_payload),
            more: 0,
        });
    }

    /// Logs and counts an error that belongs to no event.
    pub fn log_error(&self, what: &str, error: &Error) {
        add(&self.account.errors, 1);
        self.report(what, error, None);
        log::error!("node {}: {what}: {error}", self.name);
    }
}

/// The beginning of a payload, without secrets.
fn shown_payload(event: &Event) -> String {
    let quoted = quote_bytes(event.payload().bytes());
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.map_or(quoted.clone(), str::to_owned)
}
