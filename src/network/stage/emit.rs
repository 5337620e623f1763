//! Emits what a committed batch has made, and settles the acks of events that end here.

use super::Stage;
use crate::ack::Outcome;
use crate::error::{Error, ErrorKind};
use crate::event::{Batch, Event};
use crate::network::losses::Loss;
use crate::network::runner::NodeKind;
use crate::network::stats::add;
use crate::network::tap_sender::TapPoint;
use crate::node::{Frame, Output};
use crate::time::monotonic;
use serde_json::Value;
use std::sync::atomic::Ordering;

impl Stage {
    /// The batch is committed: its outputs leave, and events that end here are settled.
    pub(super) fn resolve(&mut self, mut batch: Batch) {
        self.frame.tracker.end_batch();
        let given = self.frame.tracker.given();
        self.account.tracked.store(given, Ordering::Relaxed);
        self.count(batch.len());
        self.note_latency(batch.events());
        self.frame.resolved += batch.len() as u64;
        let uniform = self.frame.uniform;
        let fresh = self.frame.take_fresh();
        let mut outputs = std::mem::take(&mut self.frame.outputs);
        self.frame.clear();
        let rest = batch.split_off(uniform as usize);
        self.emit_batch(Frame::OUT, batch);
        self.emit_batch(Frame::OUT, fresh);
        if outputs.is_empty() {
            rest.settle(Outcome::Delivered);
        } else {
            self.resolve_each(uniform, rest, outputs.drain(..));
        }
        // The allocation serves the next batch.
        self.frame.outputs = outputs;
    }

    /// Emits the outputs of these events, of which the first has the index `first`.
    fn resolve_each(&mut self, first: u32, events: Batch, outputs: impl Iterator<Item = Output>) {
        let mut noted = outputs.peekable();
        for (index, event) in (first..).zip(events) {
            let mut event = Some(event);
            while let Some(output) = noted.next_if(|output| output.index() <= index) {
                self.output(output, &mut event);
            }
            if let Some(event) = event {
                event.settle(Outcome::Delivered);
            }
        }
        for output in noted {
            self.output(output, &mut None);
        }
    }

    fn output(&mut self, output: Output, in_hand: &mut Option<Event>) {
        match output {
            Output::New { port, event, .. } => self.emit(port, event),
            Output::Pass { port, .. } => {
                if let Some(event) = in_hand.take() {
                    self.emit(port, event);
                }
            }
            Output::Drop { port, reason, .. } => {
                if let Some(event) = in_hand.take() {
                    if self.linked[usize::from(port)] {
                        let event = event.with_meta("node", self.name.as_str());
                        self.emit(port, event.with_meta("reason", reason));
                    } else {
                        self.tap_all(TapPoint::Port(port), std::slice::from_ref(&event));
                        self.drop_unseen(port, reason);
                        event.settle(Outcome::Delivered);
                    }
                }
            }
            Output::Reject { error, tried, .. } => {
                if let Some(event) = in_hand.take() {
                    self.reject(event, &error, tried);
                }
            }
            Output::Refuse { event, error, .. } => self.refuse(event, &error),
        }
    }

    /// An event is dropped by a port that is not linked. By `dropped` that is the purpose of the node; a
    /// named port is there to be linked.
    fn drop_unseen(&mut self, port: u16, reason: &'static str) {
        if port == Frame::DROPPED {
            return;
        }
        self.account.losses.add(Loss::Dropped, reason, 1);
        if !std::mem::replace(&mut self.warned.of_drop, true) {
            let (node, port) = (&self.name, &self.frame.ports[usize::from(port)]);
            log::warn!(
                "node {node}: event dropped: {reason}; port {node}.{port} is not linked, so it and \
                 others like it are only counted"
            );
        }
    }

    /// Rejects an event that was not received.
    pub fn refuse(&mut self, event: Event, error: &Error) {
        add(&self.account.refused, 1);
        self.reject(event, error, 1);
    }

    fn reject(&mut self, event: Event, error: &Error, tried: u32) {
        self.report("event rejected", error, Some(&event));
        if self.linked[usize::from(Frame::ERRORS)] {
            let event = event
                .with_meta("error", error.to_string())
                .with_meta("node", self.name.as_str())
                .with_meta("reason", error.message())
                .with_meta("place", error.place().map_or(Value::Null, Value::from))
                .with_meta("time", self.clock.now().to_string())
                .with_meta("attempts", tried);
            self.emit(Frame::ERRORS, event);
            return;
        }
        self.tap_all(TapPoint::Port(Frame::ERRORS), std::slice::from_ref(&event));
        // That the reader of the output has gone is logged once, where the network stops.
        if error.kind() != ErrorKind::Closed {
            let reason = match error.place() {
                Some(place) => format!("{place}: {}", error.message()),
                None => error.message().to_owned(),
            };
            self.account.losses.add(Loss::Rejected, &reason, 1);
            self.warn_of(&event, error);
        }
        event.settle(Outcome::Failed);
    }

    fn warn_of(&mut self, event: &Event, error: &Error) {
        if let Some(more) = self.warned.may_warn(monotonic()) {
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
    }

    /// Emits an event by a port.
    pub fn emit(&mut self, port: u16, event: Event) {
        let bad = port == Frame::ERRORS;
        let mut event = event;
        if self.kind == NodeKind::Source && !bad {
            event = match event.within(self.frame.event_bytes) {
                Ok(event) => event,
                Err((event, error)) => return self.refuse(event, &error),
            };
        }
        add(&self.account.emitted, 1);
        self.tap_all(TapPoint::Port(port), std::slice::from_ref(&event));
        if self.linked[usize::from(port)] {
            self.outbox[usize::from(port)].push(event);
        } else {
            // The port is not linked, as the network was built.
            event.settle(Outcome::Delivered);
        }
    }

    /// Emits a whole batch by a port.
    pub fn emit_batch(&mut self, port: u16, batch: Batch) {
        // Most batches are smaller than the largest event, and then no event is checked.
        if self.kind == NodeKind::Source && batch.bytes() > self.frame.event_bytes {
            let small = |event: &Event| event.payload().size() <= self.frame.event_bytes;
            if !batch.events().iter().all(small) {
                return batch.into_iter().for_each(|event| self.emit(port, event));
            }
        }
        add(&self.account.emitted, batch.len() as u64);
        self.tap_all(TapPoint::Port(port), batch.events());
        let slot = &mut self.outbox[usize::from(port)];
        if !self.linked[usize::from(port)] {
            batch.settle(Outcome::Delivered);
        } else if slot.is_empty() {
            *slot = batch;
        } else {
            slot.append(batch);
        }
    }

    /// Records how long events took to be processed. Those in between are taken to be as old as the first
    /// one or the last one. An event that is older than the network's run was kept in a file, or has the time
    /// of a window.
    fn note_latency(&self, events: &[Event]) {
        let (Some(since), Some(first), Some(last)) =
            (self.timed_since, events.first(), events.last())
        else {
            return;
        };
        let (now, half) = (self.clock.now(), events.len() / 2);
        for (event, count) in [(last, events.len() - half), (first, half)] {
            if count > 0 && event.time() >= since {
                let latency = now.since(event.time());
                self.account.latency.record(latency, count);
            }
        }
    }

    /// Counts the fates of so many events; those that were neither passed, dropped nor rejected were
    /// consumed.
    fn count(&mut self, events: usize) {
        for (reason, count) in std::mem::take(&mut self.frame.let_go) {
            self.account.losses.add(Loss::LetGo, reason, count);
            if !std::mem::replace(&mut self.warned.of_let_go, true) {
                log::warn!(
                    "node {}: {reason}; others like it are only counted",
                    self.name
                );
            }
        }
        let (account, frame) = (&self.account, &self.frame);
        let passed = u64::from(frame.uniform) + frame.passed;
        let dropped: u64 = frame.dropped.iter().map(|(_, count)| count).sum();
        add(&account.passed, passed);
        add(&account.rejected, frame.rejected);
        account.add_dropped(&frame.dropped);
        let consumed = events as u64 - passed - frame.rejected - dropped;
        add(&account.consumed, consumed);
    }
}

impl Drop for Stage {
    /// Logs how many lines were left out.
    fn drop(&mut self) {
        if self.warned.silent > 0 {
            log::warn!(
                "node {}: event rejected ({} more like it since the last line)",
                self.name,
                self.warned.silent
            );
        }
    }
}
