//! Input: what a source reads, batches from the links, and the blocking select.

use super::batch::InputBatch;
use super::{Phase, Worker};
use crate::ack::Settled;
use crate::event::Batch;
use crate::network::control::{Attachment, Control, Input};
use crate::network::link::Message;
use crate::network::runner::NodeKind;
use crate::network::stage::Retry;
use crate::network::stats::add;
use crate::network::tap_sender::TapPoint;
use crate::node::ReadStatus;
use crate::time::monotonic;
use std::time::Duration;

impl Worker {
    /// Adds and removes links.
    pub fn attach(&mut self, attachment: Attachment) {
        self.fed |= !attachment.inputs.is_empty();
        for Input { link, follows } in attachment.inputs {
            let waiting = self.followers.iter().map(|(_, link)| link.id);
            let mut open = self.inputs.iter().map(|link| link.id).chain(waiting);
            match follows.filter(|id| open.any(|link| link == *id)) {
                Some(id) => self.followers.push((id, link)),
                None => {
                    self.stage.open_input(self.attached);
                    self.attached += 1;
                    self.inputs.push(link);
                }
            }
        }
        for routes in &mut self.routes {
            routes.remove(&attachment.removed);
        }
        for (port, route) in attachment.routes {
            self.add_route(port, route);
        }
        self.relink();
        if let Some(retries) = attachment.retries {
            self.stage.set_retries(retries);
        }
    }

    /// Adds links to a running node, between two batches.
    pub(super) fn attach_more(&mut self, attachment: Attachment) {
        self.relinked |= !attachment.inputs.is_empty();
        self.attach(attachment);
    }

    /// A link has ended, and its last batch was fed.
    fn detach(&mut self, index: usize) {
        let id = self.inputs[index].id;
        if let Some(next) = self.followers.iter().position(|(old, _)| *old == id) {
            // The link that takes its place has its number, as if nothing had happened.
            self.inputs[index] = self.followers.remove(next).1;
            return;
        }
        let input = self.inputs.remove(index);
        self.stage.close_input(index);
        if self.inputs.is_empty() && input.is_removed() {
            // The node stays, and may be linked again.
            self.fed = false;
        }
        // Where it is the last one of a node that ends, `finish` is called instead.
        self.relinked = !self.inputs.is_empty() || !self.fed;
    }

    /// Counts a batch and feeds it.
    pub fn receive(&mut self, input: InputBatch) {
        add(&self.stage.account.received, input.batch.len() as u64);
        self.stage.tap_all(TapPoint::Input, input.batch.events());
        match &mut self.stalled {
            None => self.feed(input),
            // Injected by a simulation: the batch waits while the node is not open.
            Some(stalled) => stalled.batches.push(input),
        }
    }

    pub(super) fn feed(&mut self, input: InputBatch) {
        let InputBatch {
            batch,
            input,
            tried,
        } = input;
        let mut fed = self.stage.feed(batch, input, tried);
        let mut delivered = self.deliver();
        // An abort is acted on next, and what is left in hand has failed.
        while let (Ok(Some(rest)), Ok(())) = (&mut fed, &delivered) {
            let rest = std::mem::take(rest);
            fed = self.stage.feed(rest, input, 0);
            delivered = self.deliver();
        }
        match fed {
            Ok(_) => {
                self.waits = false;
                self.is_back();
            }
            Err(retry) if delivered.is_ok() => {
                let Retry {
                    batch,
                    error,
                    tried,
                    pause,
                } = retry;
                let input = InputBatch {
                    batch,
                    input,
                    tried,
                };
                match pause {
                    None => self.stall(vec![input], &error),
                    Some(pause) => {
                        self.is_back();
                        self.pause(input, pause, &error);
                    }
                }
            }
            Err(_) => {}
        }
    }

    /// Reads the source. Returns whether anything was done.
    pub(super) fn read(&mut self, wait: Duration) -> bool {
        if self.stopping || self.exhausted || self.removed {
            self.end_input();
            return true;
        }
        if self.read_again.is_some_and(|at| monotonic() < at) {
            return false;
        }
        let begun = monotonic();
        let read = self.stage.read(wait);
        let emitted = self.stage.outbox.iter().any(|batch| !batch.is_empty());
        if self.deliver().is_err() {
            return true;
        }
        if read.is_ok() {
            self.is_back();
        }
        match read {
            Ok(ReadStatus::More) => true,
            Ok(ReadStatus::Idle) => {
                self.read_again = Some(begun + wait);
                emitted
            }
            Ok(ReadStatus::End) => {
                self.exhausted = true;
                true
            }
            Err(error) if error.is_retryable() => {
                self.stall(Vec::new(), &error);
                true
            }
            Err(error) => {
                self.shared.fail(self.id, error);
                self.exhausted = true;
                true
            }
        }
    }

    /// Takes a batch from the links, feeds it, and sends what it emits.
    pub(super) fn work(&mut self) -> bool {
        if let Some(input) = self.gather() {
            self.receive(input);
            return true;
        }
        if self.inputs.is_empty()
            && (self.fed || self.sourceless || self.stopping || self.removed)
            && (self.stopping || !self.stage.holds())
        {
            self.end_input();
            return true;
        }
        // Where a link has ended, the node is ticked next.
        self.relinked
    }

    /// Takes a batch from the next link that has one. A link that has ended is detached here, when
    /// none of its events is in hand any more.
    fn gather(&mut self) -> Option<InputBatch> {
        let mut dry = 0;
        while dry < self.inputs.len() {
            let index = self.next_input % self.inputs.len();
            let input = &self.inputs[index];
            match input.rx.try_recv() {
                Ok(message) => {
                    if let Some(batch) = input.accept(message) {
                        return Some(self.fill(index, batch));
                    }
                }
                Err(flume::TryRecvError::Empty) if input.is_cut() => {
                    self.next_input = index;
                    self.detach(index);
                }
                Err(flume::TryRecvError::Empty) => {
                    dry += 1;
                    self.next_input = index + 1;
                }
                Err(flume::TryRecvError::Disconnected) => {
                    self.next_input = index;
                    self.detach(index);
                }
            }
        }
        None
    }

    /// Adds what else waits in the link of the batch, up to the size of a batch of the link or the
    /// batch size of the node: so the capacities of the links also bound what a node has in hand. The
    /// next link has its turn after that.
    fn fill(&mut self, index: usize, mut batch: Batch) -> InputBatch {
        let input = &self.inputs[index];
        while !input.fills(&batch, self.stage.batch_size)
            && let Ok(message) = input.rx.try_recv()
        {
            if let Some(more) = input.accept(message) {
                batch.append(more);
            }
        }
        self.next_input = index + 1;
        let input = Some(self.stage.input(index));
        InputBatch {
            batch,
            input,
            tried: 0,
        }
    }

    /// The blocking select: until a batch or a message comes.
    pub(super) fn sleep(&mut self) {
        enum Woken {
            Control(Control),
            Message(usize, Message),
            Ended,
        }
        let control =
            |message: Result<Control, _>| Woken::Control(message.unwrap_or(Control::Abort));
        // The sender belongs to the node itself, so the channel does not end before the node.
        let outcomes = |settled: Result<Settled, _>| {
            Woken::Control(settled.map_or(Control::Abort, Control::Settled))
        };
        let working = self.phase == Phase::Work && self.stalled.is_none() && !self.is_held();
        if let (true, Some(again)) = (
            working && self.stage.kind == NodeKind::Source,
            self.read_again,
        ) {
            let wait = again.saturating_duration_since(monotonic());
            let select = flume::Selector::new()
                .recv(&self.control, control)
                .recv(&self.outcomes, outcomes);
            if let Ok(Woken::Control(message)) = select.wait_timeout(wait) {
                self.pending.push_back(message);
            }
            return;
        }
        let mut select = flume::Selector::new()
            .recv(&self.control, control)
            .recv(&self.outcomes, outcomes);
        if working {
            for (index, input) in self.inputs.iter().enumerate() {
                select = select.recv(&input.rx, move |message| match message {
                    Ok(message) => Woken::Message(index, message),
                    Err(_) => Woken::Ended,
                });
            }
        }
        match select.wait() {
            Woken::Control(message) => self.pending.push_back(message),
            // The select may find that a channel is closed before it sees the message that entered it
            // last. The next step takes that one, or detaches the link.
            Woken::Ended => {}
            Woken::Message(index, message) => {
                if let Some(batch) = self.inputs[index].accept(message) {
                    let input = self.fill(index, batch);
                    self.receive(input);
                }
            }
        }
    }
}
