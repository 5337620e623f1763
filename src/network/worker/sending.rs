//! Sending: what left the stage goes into the links, and control messages are kept while it waits.

use super::{Phase, Worker};
use crate::error::Error;
use crate::event::Batch;
use crate::network::control::Control;
use crate::network::link::{Aborted, LinkTimeout, SendContext, Woken, wait};
use crate::network::stats::Stopwatch;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A worker that waits for room: control messages that it must not act on yet are kept.
struct WorkerContext<'a> {
    control: &'a flume::Receiver<Control>,
    kept: &'a mut VecDeque<Control>,
    blocked: &'a Stopwatch,
    timeouts: Vec<LinkTimeout>,
}

impl SendContext for WorkerContext<'_> {
    fn is_aborted(&self) -> bool {
        self.kept.iter().any(|m| matches!(m, Control::Abort))
    }

    fn wait(&mut self, until: Option<Instant>) -> Woken {
        loop {
            let message = match until {
                None => self.control.recv().unwrap_or(Control::Abort),
                Some(until) => match self.control.recv_deadline(until) {
                    Ok(message) => message,
                    Err(flume::RecvTimeoutError::Disconnected) => Control::Abort,
                    Err(flume::RecvTimeoutError::Timeout) => return Woken::Deadline,
                },
            };
            match message {
                Control::Room => return Woken::Room,
                Control::Abort => {
                    self.kept.push_back(Control::Abort);
                    return Woken::Abort;
                }
                other => self.kept.push_back(other),
            }
        }
    }

    fn blocked(&self) -> &Stopwatch {
        self.blocked
    }

    fn timed_out(&mut self, timeout: LinkTimeout) {
        self.timeouts.push(timeout);
    }
}

impl Worker {
    /// Sends what left the stage. Links attached up to this moment are part of it.
    pub fn deliver(&mut self) -> Result<(), Aborted> {
        if self.stage.outbox.iter().all(Batch::is_empty) {
            return Ok(());
        }
        self.pending.extend(self.control.try_iter());
        for message in std::mem::take(&mut self.pending) {
            match message {
                Control::Attach(attachment) => self.attach_more(attachment),
                other => self.pending.push_back(other),
            }
        }
        if self.phase == Phase::Drain {
            let lost = self.stage.outbox.iter_mut().map(std::mem::take);
            let lost: usize = lost.map(|batch| batch.len()).sum();
            let error = format!("{lost} events emitted after its links were closed are lost");
            self.stage.log_error("settle", &Error::data(error));
            return Ok(());
        }
        let mut context = WorkerContext {
            control: &self.control,
            kept: &mut self.pending,
            blocked: &self.stage.account.blocked,
            timeouts: Vec::new(),
        };
        let sending: usize = self.stage.outbox.iter().map(Batch::len).sum();
        let gauge = &self.stage.account.sending;
        gauge.store(sending as u64, Ordering::Relaxed);
        let mut pending = Vec::new();
        for (routes, batch) in self.routes.iter().zip(&mut self.stage.outbox) {
            if !batch.is_empty() {
                routes.begin(std::mem::take(batch), &mut pending);
            }
        }
        if !pending.is_empty() {
            wait(pending, &mut context)?;
        }
        gauge.store(0, Ordering::Relaxed);
        for timeout in context.timeouts {
            self.shared.link_timed_out(&timeout);
        }
        Ok(())
    }
}
