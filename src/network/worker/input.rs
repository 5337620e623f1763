//! What comes in: what a source reads, batches from the links, and the blocking select.

use super::{Control, Phase, Worker};
use crate::event::Batch;
use crate::network::link::Parcel;
use crate::network::runner::Kind;
use crate::node::Read;
use crate::time::monotonic;
use std::time::Duration;

impl Worker {
    /// Asks the source for more. Returns whether anything was done.
    pub(super) fn read(&mut self, wait: Duration) -> bool {
        if self.stopping || self.exhausted {
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
            self.attempts = 0;
        }
        match read {
            Ok(Read::More) => true,
            Ok(Read::Idle) => {
                self.read_again = Some(begun + wait);
                emitted
            }
            Ok(Read::End) => {
                self.exhausted = true;
                true
            }
            Err(error) if error.is_retryable() => {
                self.stall(None, &error);
                true
            }
            Err(error) => {
                self.shared.fail(&self.stage.name, error);
                self.exhausted = true;
                true
            }
        }
    }

    /// Takes what waits in the links, feeds it, sends on what came of it.
    pub(super) fn work(&mut self) -> bool {
        if let Some(batch) = self.gather(None) {
            self.receive(batch);
            return true;
        }
        if self.inputs.is_empty() && (self.fed || self.stopping) {
            self.end_input();
            return true;
        }
        false
    }

    /// Takes batches from the links in turn, small ones together, up to the size of a batch of
    /// the link: so what a node has in hand is bounded by its links' capacities too.
    pub(super) fn gather(&mut self, first: Option<Batch>) -> Option<Batch> {
        let mut gathered: Option<Batch> = first;
        let mut dry = 0;
        while dry < self.inputs.len() {
            self.next_input %= self.inputs.len();
            let input = &self.inputs[self.next_input];
            if gathered.as_ref().is_some_and(|batch| input.fills(batch)) {
                break;
            }
            match input.rx.try_recv() {
                Ok(parcel) => {
                    dry = 0;
                    if let Some(batch) = input.accept(parcel) {
                        match &mut gathered {
                            Some(all) => all.append(batch),
                            None => gathered = Some(batch),
                        }
                    }
                    self.next_input += 1;
                }
                Err(flume::TryRecvError::Empty) => {
                    dry += 1;
                    self.next_input += 1;
                }
                Err(flume::TryRecvError::Disconnected) => {
                    self.inputs.remove(self.next_input);
                }
            }
        }
        gathered
    }

    /// The blocking select: until a batch or a message comes.
    pub(super) fn sleep(&mut self) {
        enum Woken {
            Control(Control),
            Parcel(usize, Parcel),
            Ended(usize),
        }
        let heard = |message: Result<Control, _>| Woken::Control(message.unwrap_or(Control::Abort));
        let working = self.phase == Phase::Work && self.stalled.is_none();
        if let (true, Some(again)) = (working && self.stage.kind == Kind::Source, self.read_again) {
            let wait = again.saturating_duration_since(monotonic());
            if let Ok(message) = self.control.recv_timeout(wait) {
                self.heard.push_back(message);
            }
            return;
        }
        let mut select = flume::Selector::new().recv(&self.control, heard);
        if working {
            for (at, input) in self.inputs.iter().enumerate() {
                select = select.recv(&input.rx, move |parcel| match parcel {
                    Ok(parcel) => Woken::Parcel(at, parcel),
                    Err(_) => Woken::Ended(at),
                });
            }
        }
        match select.wait() {
            Woken::Control(message) => self.heard.push_back(message),
            Woken::Ended(at) => drop(self.inputs.remove(at)),
            Woken::Parcel(at, parcel) => {
                if let Some(batch) = self.inputs[at].accept(parcel)
                    && let Some(batch) = self.gather(Some(batch))
                {
                    self.receive(batch);
                }
            }
        }
    }
}
