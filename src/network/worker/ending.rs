//! How a worker ends: no more input comes, its links are closed, the outcomes of tracked events are awaited.

use super::{Phase, Step, Worker};
use crate::network::routes::Routes;
use crate::network::runner::NodeKind;

impl Worker {
    /// No more input will come: what the node holds back leaves, and its links are closed, so that
    /// the end runs downstream while outcomes are sent back.
    pub(super) fn end_input(&mut self) {
        if !self.shared.close(self.id, &self.control, &mut self.pending) {
            // More input may come after all: the message is handled next.
            return;
        }
        loop {
            match self.stage.finish() {
                Ok(true) if self.deliver().is_ok() => {}
                Ok(_) => break,
                Err(error) if self.stopping && self.is_source() => {
                    self.stage.log_error("finish", &error);
                    break;
                }
                Err(error) => return self.stall(Vec::new(), &error),
            }
        }
        // An abort that comes meanwhile is handled next.
        let _ = self.deliver();
        self.close();
        self.phase = Phase::Drain;
        if self.stage.kind == NodeKind::Source {
            self.shared.source_ended();
        }
    }

    pub(super) fn close(&mut self) {
        self.inputs.clear();
        self.followers.clear();
        self.stage.close_inputs();
        self.routes
            .iter_mut()
            .for_each(|routes| *routes = Routes::default());
    }

    pub(super) fn drain(&mut self, busy: bool) -> Step {
        if self.stage.outstanding() == 0 {
            self.phase = Phase::Done;
            return Step::Done;
        }
        if busy { Step::Busy } else { Step::Idle }
    }
}
