//! Feeding one batch to one node: the only place that settles acks.
//!
//! A stage owns a node and its [`Frame`]. It calls the node event by event, commits, and only then
//! moves what was noted down into the [`Outbox`]. It knows no thread and no channel; workers and
//! simulations drive the same stages.

use super::stats::{Account, add, add_nanos};
use crate::ack::{Group, Home, Outcome};
use crate::error::{Error, Result};
use crate::event::{Batch, Event};
use crate::name::{Name, Port};
use crate::node::{Context, Frame, Node, Output, Pipeline, Read, Sink, Source, Tracker};
use crate::time::{Clock, Timestamp, monotonic};
use serde_json::Value;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// What a node is: it decides which links make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sends only.
    Source,
    /// Receives and sends.
    Pipeline,
    /// Receives only; its ports `errors` and `dropped` still send.
    Sink,
}

/// A node of any kind. One implementation for each kind, generic over the node, so that the loop
/// over a batch is compiled together with the node's code.
pub(crate) trait Runner: Send {
    fn kind(&self) -> Kind;
    fn node(&mut self) -> &mut dyn Node;
    /// Feeds `events` from `*at` on; on return `*at` is the event that failed.
    fn feed<'a>(&mut self, events: &'a [Event], at: &mut usize, cx: &mut Context<'a>)
    -> Result<()>;
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<Read>;
}

pub(crate) struct Reads<S>(pub S);
pub(crate) struct Processes<P>(pub P);
pub(crate) struct Writes<S>(pub S);

impl<S: Source> Runner for Reads<S> {
    fn kind(&self) -> Kind {
        Kind::Source
    }
    fn node(&mut self) -> &mut dyn Node {
        &mut self.0
    }
    fn feed<'a>(&mut self, _: &'a [Event], _: &mut usize, _: &mut Context<'a>) -> Result<()> {
        Err(Error::data("a source takes no events"))
    }
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<Read> {
        self.0.read(cx, wait)
    }
}

impl<P: Pipeline> Runner for Processes<P> {
    fn kind(&self) -> Kind {
        Kind::Pipeline
    }
    fn node(&mut self) -> &mut dyn Node {
        &mut self.0
    }
    fn feed<'a>(
        &mut self,
        events: &'a [Event],
        at: &mut usize,
        cx: &mut Context<'a>,
    ) -> Result<()> {
        while let Some(event) = events.get(*at) {
            cx.begin(event, *at);
            self.0.process(event, cx)?;
            cx.end()?;
            *at += 1;
        }
        Ok(())
    }
    fn read(&mut self, _: &mut Context<'_>, _: Duration) -> Result<Read> {
        Ok(Read::End)
    }
}

impl<S: Sink> Runner for Writes<S> {
    fn kind(&self) -> Kind {
        Kind::Sink
    }
    fn node(&mut self) -> &mut dyn Node {
        &mut self.0
    }
    fn feed<'a>(
        &mut self,
        events: &'a [Event],
        at: &mut usize,
        cx: &mut Context<'a>,
    ) -> Result<()> {
        while let Some(event) = events.get(*at) {
            cx.begin(event, *at);
            self.0.write(event, cx)?;
            cx.end()?;
            *at += 1;
        }
        Ok(())
    }
    fn read(&mut self, _: &mut Context<'_>, _: Duration) -> Result<Read> {
        Ok(Read::End)
    }
}

/// What leaves a node, by port.
pub(crate) type Outbox = Vec<Batch>;

/// Why a batch was not taken: the rest of it is to be fed again once the node is open again.
pub(crate) struct Retry {
    pub batch: Batch,
    pub error: Error,
}

pub(crate) struct Stage {
    pub name: Name,
    pub kind: Kind,
    pub account: Arc<Account>,
    pub outbox: Outbox,
    runner: Box<dyn Runner>,
    frame: Frame,
    clock: Arc<dyn Clock>,
    /// Which ports lead somewhere.
    linked: Vec<bool>,
    warned: Warned,
    /// An error after which the node cannot go on.
    failed: Option<Error>,
}

impl Stage {
    pub fn new(
        name: Name,
        ports: Vec<Port>,
        runner: Box<dyn Runner>,
        clock: Arc<dyn Clock>,
        home: Arc<dyn Home>,
        account: Arc<Account>,
    ) -> Self {
        let kind = runner.kind();
        let count = ports.len();
        Stage {
            name,
            kind,
            account,
            outbox: (0..count).map(|_| Batch::default()).collect(),
            runner,
            frame: Frame::new(ports, kind != Kind::Sink, Tracker::new(home)),
            clock,
            linked: vec![false; count],
            warned: Warned::default(),
            failed: None,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn set_linked(&mut self, port: u16) {
        self.linked[usize::from(port)] = true;
    }

    /// How many tracked events have no outcome yet.
    pub fn outstanding(&self) -> u64 {
        self.frame.tracker.outstanding
    }

    pub fn wake(&mut self) -> Option<Timestamp> {
        self.runner.node().wake()
    }

    pub fn open(&mut self) -> Result<()> {
        let name = &self.name;
        catch(|| self.runner.node().open()).map_err(|error| error.within(format!("node {name}")))
    }

    /// Asks a source for events.
    pub fn read(&mut self, wait: Duration) -> Result<Read> {
        let begun = monotonic();
        self.frame.begin_no_event();
        let mut cx = Context::new(&mut self.frame, &*self.clock);
        let read = catch(|| self.runner.read(&mut cx, wait));
        let empty = self.frame.outputs.is_empty();
        // Events read before an error are good, and a source cannot take them back.
        self.resolve(Batch::default());
        if !empty {
            add_nanos(&self.account.busy, begun.elapsed());
        }
        read
    }

    /// Feeds a batch and commits it.
    pub fn feed(&mut self, batch: Batch) -> Result<(), Retry> {
        let begun = monotonic();
        let fed = self.feed_all(batch);
        add_nanos(&self.account.busy, begun.elapsed());
        fed
    }

    fn feed_all(&mut self, batch: Batch) -> Result<(), Retry> {
        let fed = self.attempt(batch.events());
        let Err(error) = fed else {
            self.resolve(batch);
            return Ok(());
        };
        self.frame.clear();
        self.rollback();
        if error.is_retryable() {
            return Err(Retry { batch, error });
        }
        if error.is_fatal() {
            for (index, _) in (0u32..).zip(batch.events()) {
                self.frame.begin(index);
                self.frame.reject_in_hand(error.clone());
            }
            self.resolve(batch);
            self.failed = Some(error);
            return Ok(());
        }
        self.feed_singly(batch, error)
    }

    /// The error after which the node cannot go on, once.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failed.take()
    }

    /// The commit of a whole batch has failed: finds out whose fault it is.
    fn feed_singly(&mut self, batch: Batch, failed: Error) -> Result<(), Retry> {
        let lone = batch.len() == 1;
        let mut events = batch.into_iter();
        while let Some(event) = events.next() {
            let one = Batch::from_iter([event]);
            let fed = match lone {
                true => Err(failed.clone()),
                false => self.attempt(one.events()),
            };
            match fed {
                Ok(()) => self.resolve(one),
                Err(error) if error.is_retryable() => {
                    self.frame.clear();
                    self.rollback();
                    return Err(Retry {
                        batch: one.into_iter().chain(events).collect(),
                        error,
                    });
                }
                Err(error) => {
                    self.frame.clear();
                    if !lone {
                        self.rollback();
                    }
                    self.frame.begin(0);
                    self.frame.reject_in_hand(error);
                    self.resolve(one);
                }
            }
        }
        Ok(())
    }

    /// Feeds the events and commits. An error that comes out concerns all of them.
    fn attempt(&mut self, events: &[Event]) -> Result<()> {
        let mut at = 0;
        while at < events.len() {
            let mut cx = Context::new(&mut self.frame, &*self.clock);
            let fed = catch(|| self.runner.feed(events, &mut at, &mut cx));
            if let Err(error) = fed {
                if error.is_retryable() {
                    return Err(error);
                }
                if error.is_fatal() {
                    self.failed = Some(error.clone());
                }
                self.frame.reject_in_hand(error);
                at += 1;
            }
        }
        self.commit()
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
            self.complain("rollback", &error);
        }
    }

    /// A call that belongs to no event, and its commit. Its error comes back where trying again
    /// can help, and is logged and counted otherwise.
    fn call(
        &mut self,
        what: &str,
        call: impl FnOnce(&mut dyn Node, &mut Context<'_>) -> Result<()>,
    ) -> Result<()> {
        let begun = monotonic();
        self.frame.begin_no_event();
        let mut cx = Context::new(&mut self.frame, &*self.clock);
        let called = catch(|| call(self.runner.node(), &mut cx))
            .and_then(|()| self.frame.take_fault())
            .and_then(|()| self.commit());
        let result = match called {
            Ok(()) => {
                self.resolve(Batch::default());
                Ok(())
            }
            Err(error) => {
                self.frame.clear();
                self.rollback();
                if error.is_retryable() {
                    Err(error)
                } else {
                    self.complain(what, &error);
                    if error.is_fatal() {
                        self.failed = Some(error);
                    }
                    Ok(())
                }
            }
        };
        add_nanos(&self.account.busy, begun.elapsed());
        result
    }

    pub fn tick(&mut self) -> Result<()> {
        self.call("tick", |node, cx| node.tick(cx))
    }

    pub fn finish(&mut self) -> Result<()> {
        self.call("finish", |node, cx| node.finish(cx))
    }

    /// Tells the node what became of tracked events, each of them once, whatever it answers; then
    /// whoever waited for them before it did. So a node hears of a failed event before the event
    /// can come again.
    pub fn settle(&mut self, group: &Group) -> Result<()> {
        let mut outcomes = Vec::new();
        group.collect(|token, outcome, outer| outcomes.push((token, outcome, outer)));
        self.frame.tracker.outstanding -= outcomes.len() as u64;
        if outcomes.is_empty() {
            return Ok(());
        }
        let mut errors = Vec::new();
        let told = self.call("settle", |node, cx| {
            for (token, outcome, _) in &outcomes {
                errors.extend(catch(|| node.settle(*token, *outcome, cx)).err());
            }
            let worst = errors.iter().position(Error::is_retryable).unwrap_or(0);
            match errors.is_empty() {
                true => Ok(()),
                false => Err(errors.swap_remove(worst)),
            }
        });
        for error in errors {
            self.complain("settle", &error);
        }
        for (_, outcome, outer) in outcomes {
            outer.settle(outcome);
        }
        told
    }

    /// Logs an error that is no event's and counts it.
    pub fn complain(&self, what: &str, error: &Error) {
        add(&self.account.errors, 1);
        log::error!("node {}: {what}: {error}", self.name);
    }

    /// The batch is committed: what was noted down leaves, what ended here is settled.
    fn resolve(&mut self, batch: Batch) {
        self.frame.tracker.end_batch();
        self.count();
        if self.frame.outputs.is_empty() {
            let uniform = self.frame.uniform as usize;
            self.frame.clear();
            if uniform == batch.len() {
                add(&self.account.emitted, uniform as u64);
                self.ship(Frame::OUT, batch);
            } else {
                for (at, event) in batch.into_iter().enumerate() {
                    if at < uniform {
                        self.leave(Frame::OUT, event);
                    } else {
                        event.settle(Outcome::Delivered);
                    }
                }
            }
            return;
        }
        let uniform = self.frame.uniform;
        let mut outputs = std::mem::take(&mut self.frame.outputs);
        self.frame.clear();
        let mut noted = outputs.drain(..).peekable();
        for (at, event) in (0u32..).zip(batch) {
            let mut event = Some(event);
            if at < uniform
                && let Some(event) = event.take()
            {
                self.leave(Frame::OUT, event);
            }
            while let Some(output) = noted.next_if(|output| output.index() == at) {
                self.output(output, &mut event);
            }
            if let Some(event) = event {
                event.settle(Outcome::Delivered);
            }
        }
        for output in noted {
            self.output(output, &mut None);
        }
        // The allocation serves the next batch.
        self.frame.outputs = outputs;
    }

    fn output(&mut self, output: Output, in_hand: &mut Option<Event>) {
        match output {
            Output::New { port, event, .. } => self.leave(port, event),
            Output::Pass { port, .. } => {
                if let Some(event) = in_hand.take() {
                    self.leave(port, event);
                }
            }
            Output::Drop { reason, .. } => {
                if let Some(event) = in_hand.take() {
                    if self.linked[usize::from(Frame::DROPPED)] {
                        let event = event.with_meta("node", self.name.as_str());
                        self.leave(Frame::DROPPED, event.with_meta("reason", reason));
                    } else {
                        event.settle(Outcome::Delivered);
                    }
                }
            }
            Output::Reject { error, .. } => {
                if let Some(event) = in_hand.take() {
                    self.reject(event, &error);
                }
            }
            Output::Refuse { event, error, .. } => {
                add(&self.account.refused, 1);
                self.reject(event, &error);
            }
        }
    }

    fn reject(&mut self, event: Event, error: &Error) {
        if self.linked[usize::from(Frame::ERRORS)] {
            let event = event
                .with_meta("error", error.to_string())
                .with_meta("node", self.name.as_str())
                .with_meta("reason", error.message())
                .with_meta("place", error.place().map_or(Value::Null, Value::from));
            self.leave(Frame::ERRORS, event);
            return;
        }
        if let Some(more) = self.warned.may_warn(self.clock.now()) {
            let payload = crate::error::quote_bytes(event.payload().bytes());
            let more = match more {
                0 => String::new(),
                n => format!(" ({n} more like it since the last line)"),
            };
            log::warn!(
                "node {}: event rejected: {error}: {payload}{more}",
                self.name
            );
        }
        event.settle(Outcome::Failed);
    }

    fn leave(&mut self, port: u16, event: Event) {
        add(&self.account.emitted, 1);
        if self.linked[usize::from(port)] {
            self.outbox[usize::from(port)].push(event);
        } else {
            // Nobody listens there: that is how the network was built.
            event.settle(Outcome::Delivered);
        }
    }

    fn ship(&mut self, port: u16, batch: Batch) {
        let slot = &mut self.outbox[usize::from(port)];
        if !self.linked[usize::from(port)] {
            batch
                .into_iter()
                .for_each(|event| event.settle(Outcome::Delivered));
        } else if slot.is_empty() {
            *slot = batch;
        } else {
            slot.append(batch);
        }
    }

    fn count(&mut self) {
        let account = &self.account;
        add(&account.passed, self.frame.passed);
        add(&account.consumed, self.frame.consumed);
        add(&account.rejected, self.frame.rejected);
        account.add_dropped(&self.frame.dropped);
    }
}

/// Runs node code; a panic in it becomes an error.
fn catch<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    let kind = crate::error::ErrorKind::Failed;
    match text {
        Some(text) => Error::new(kind, format!("panicked: {text}")),
        None => Error::new(kind, "panicked"),
    }
}

/// Keeps the log of rejected events to a line a second.
#[derive(Default)]
struct Warned {
    last: Option<Timestamp>,
    silent: u64,
}

impl Warned {
    /// Whether a line may be written now, and how many were not written before it.
    fn may_warn(&mut self, now: Timestamp) -> Option<u64> {
        let soon = |last: Timestamp| now >= last && now.since(last) < Duration::from_secs(1);
        if self.last.is_some_and(soon) {
            self.silent += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.silent))
    }
}
