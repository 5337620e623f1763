//! The calls of the context that emit and pass events.

use super::{Fate, Frame, Output};
use crate::ack::{Ack, Token};
use crate::error::Error;
use crate::event::{Batch, Event, Meta};
use crate::payload::Payload;
use crate::time::Timestamp;

impl Frame {
    /// Only the other function can panic, and it gets the event in parts: so the compiler builds the event
    /// in the batch instead of copying it there.
    #[inline]
    pub(in crate::node) fn emit(&mut self, port: u16, event: Event) {
        let room = self.can_emit && self.outputs.is_empty() && self.fresh.has_room();
        if port == Self::OUT && room {
            self.stir().fate = Fate::Passed;
            self.fresh.push(event);
        } else {
            let (payload, time, meta, ack) = event.into_parts();
            self.emit_otherwise(port, payload, time, meta, ack);
        }
    }

    /// The same with an event that is tracked once it is in the batch: an event that is tracked before is
    /// copied there, for which the processor waits until its payload is written (measured: a third of
    /// the hop).
    #[inline]
    pub(in crate::node) fn emit_tracked(&mut self, event: Event) -> Token {
        let room = self.can_emit && self.outputs.is_empty() && self.fresh.has_room();
        if room {
            self.stir().fate = Fate::Passed;
            self.tracker.track(self.fresh.push_in_place(event))
        } else {
            let (payload, time, meta, ack) = event.into_parts();
            self.emit_tracked_otherwise(payload, time, meta, ack)
        }
    }

    #[cold]
    #[inline(never)]
    fn emit_tracked_otherwise(
        &mut self,
        payload: Payload,
        time: Timestamp,
        meta: Meta,
        ack: Ack,
    ) -> Token {
        let mut event = Event::from_parts(payload, time, meta, ack);
        let token = self.tracker.track(&mut event);
        self.emit(Self::OUT, event);
        token
    }

    #[cold]
    #[inline(never)]
    fn emit_otherwise(
        &mut self,
        port: u16,
        payload: Payload,
        time: Timestamp,
        meta: Meta,
        ack: Ack,
    ) {
        let event = Event::from_parts(payload, time, meta, ack);
        if !self.can_emit {
            self.stir().fault = Some(Error::data("a sink has no output to emit to"));
            return;
        }
        self.stir().fate = Fate::Passed;
        if port == Self::OUT && self.outputs.is_empty() {
            if self.fresh.is_empty() {
                self.fresh = Batch::with_capacity(self.expected);
            }
            self.fresh.push(event);
        } else {
            self.bytes += event.size();
            self.outputs.push(Output::New {
                index: self.index,
                port,
                event,
            });
        }
    }

    /// Passes the event in hand like all before it; false if another way is needed.
    #[inline]
    pub(in crate::node) fn pass_simply(&mut self) -> bool {
        let simply = self.uniform == self.index && self.can_emit && self.is_empty();
        if simply {
            self.uniform = self.index + 1;
        }
        simply
    }

    pub(in crate::node) fn pass(&mut self, port: u16) {
        if !self.can_emit {
            self.stir().fault = Some(Error::data("a sink has no output to pass to"));
        } else if port != Self::OUT || !self.pass_simply() {
            let index = self.index;
            self.mark(Output::Pass { index, port }, Fate::Passed);
        }
    }

    pub(in crate::node) fn mark(&mut self, output: Output, fate: Fate) {
        let hand = self.stir();
        hand.marked = true;
        hand.fate = fate;
        self.outputs.push(output);
    }
}
