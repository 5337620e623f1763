//! The context of a call: what becomes of the event in hand.

use super::frame::{Fate, Frame, Output};
use crate::ack::Token;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::time::{Clock, Timestamp};

/// Lent to a node for one call: with it the node decides what becomes of the event in hand.
pub struct Context<'a> {
    frame: &'a mut Frame,
    clock: &'a dyn Clock,
    event: Option<&'a Event>,
}

opaque_debug!(Context<'a>, event);

impl<'a> Context<'a> {
    pub(crate) fn new(frame: &'a mut Frame, clock: &'a dyn Clock) -> Self {
        Context {
            frame,
            clock,
            event: None,
        }
    }

    /// Lends this event to the node next.
    #[inline]
    pub(crate) fn begin(&mut self, event: &'a Event, index: usize) {
        self.event = Some(event);
        self.frame
            .begin(u32::try_from(index).expect("a batch has fewer than 2^32 events"));
    }

    /// The node has returned from the event; an error of its own use of the context comes out. Returns
    /// whether so much was emitted that it is to leave before the next event.
    #[inline]
    pub(crate) fn end(&mut self) -> Result<bool> {
        self.frame.end()
    }

    /// The network's instant, at this moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The greatest payload that a source may emit, in bytes. A larger one is refused by the engine: its
    /// head leaves by `errors`. A source that counts what it emits needs the limit for that.
    pub fn max_event_bytes(&self) -> usize {
        self.frame.event_bytes
    }

    /// The number of the link by which the event in hand came: the first link of the node is 0, and
    /// no number is used again in its life. `None` for an event that came from outside, as what a
    /// simulation injects, and in calls that have no event in hand.
    #[inline]
    pub fn input(&self) -> Option<usize> {
        self.event.and(self.frame.input)
    }

    /// The number of the event in hand among all that the node received: the first is 0. It stays the same
    /// when the event is fed again, after a failed batch or for another attempt, so a node can keep under
    /// it the progress of an event ([`Progress`](crate::connect::Progress)). `None` in calls that
    /// have no event in hand.
    #[inline]
    pub fn sequence(&self) -> Option<u64> {
        let index = u64::from(self.frame.index);
        self.event.map(|_| self.frame.resolved + index)
    }

    /// The numbers of the links that are open, ascending. A link is open from the moment that it
    /// was made until it has ended and its last event was taken.
    ///
    /// ```
    /// use tributary::{Context, Event, Node, Pipeline, Result};
    ///
    /// /// Lets events pass once every open link has brought one.
    /// #[derive(Default)]
    /// struct Together(Vec<usize>);
    ///
    /// impl Node for Together {}
    ///
    /// impl Pipeline for Together {
    ///     fn process(&mut self, _event: &Event, cx: &mut Context<'_>) -> Result<()> {
    ///         self.0.extend(cx.input());
    ///         if cx.inputs().iter().all(|input| self.0.contains(input)) {
    ///             cx.pass();
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn inputs(&self) -> &[usize] {
        &self.frame.inputs
    }

    /// Sends an event on the port `out`.
    #[inline]
    pub fn emit(&mut self, event: Event) {
        self.frame.emit(Frame::OUT, event);
    }

    /// Sends an event on the port `out`, and tracks it: a faster form of [`track`](Context::track). What has no output gets a token
    /// too: its outcome is a failure.
    #[inline]
    pub fn emit_tracked(&mut self, event: Event) -> Token {
        self.frame.emit_tracked(event)
    }

    /// Sends an event on a named port.
    ///
    /// # Errors
    /// A port that the node has not declared in [`Node::ports`](crate::Node::ports).
    pub fn emit_to(&mut self, port: &str, event: Event) -> Result<()> {
        let port = self.frame.port(port)?;
        self.frame.emit(port, event);
        Ok(())
    }

    /// Lets the event in hand go on as it is, on the port `out`. It is marked, not cloned; in a
    /// call that has no event in hand this does nothing.
    #[inline]
    pub fn pass(&mut self) {
        if !self.frame.pass_simply() {
            self.pass_on(Frame::OUT);
        }
    }

    /// Lets the event in hand go on as it is, on a named port.
    ///
    /// # Errors
    /// A port that the node has not declared.
    pub fn pass_to(&mut self, port: &str) -> Result<()> {
        let port = self.frame.port(port)?;
        self.pass_on(port);
        Ok(())
    }

    fn pass_on(&mut self, port: u16) {
        let Some(event) = self.event else { return };
        if self.frame.is_marked() {
            // The mark moves the event itself; a second way is a clone's.
            self.frame.emit(port, event.clone());
        } else {
            self.frame.pass(port);
        }
    }

    /// Lets the event in hand go, on purpose; it is counted under this reason, and leaves by the
    /// port `dropped` where that is linked.
    pub fn drop_event(&mut self, reason: &'static str) {
        self.drop_by(Frame::DROPPED, reason);
    }

    /// The same by a named port.
    ///
    /// # Errors
    /// A port that the node has not declared.
    pub fn drop_event_to(&mut self, port: &str, reason: &'static str) -> Result<()> {
        let port = self.frame.port(port)?;
        self.drop_by(port, reason);
        Ok(())
    }

    fn drop_by(&mut self, port: u16, reason: &'static str) {
        if self.event.is_some() && !self.frame.is_marked() {
            let index = self.frame.index;
            let output = Output::Drop {
                index,
                port,
                reason,
            };
            self.frame.mark(output, Fate::Dropped(reason));
        }
    }

    /// Rejects an event of the node's own making, or one that a source could not read: it leaves
    /// by the port `errors`, or is logged and counted where that is not linked.
    pub fn reject(&mut self, event: Event, error: Error) {
        self.frame.refuse(event, error);
    }

    /// Counts what the node lets go before its time since a bound of its own is reached: keys that it
    /// forgets, events that leave early. The first one is logged with the reason, and all of them are
    /// counted in a line at the end of the run.
    pub fn let_go(&mut self, reason: &'static str, count: u64) {
        self.frame.let_go(reason, count);
    }

    /// Has [`finish`](crate::Node::finish) called once more, when what was emitted has left: so a node
    /// that holds much lets go a part of it at a time.
    pub fn call_again(&mut self) {
        self.frame.again = true;
    }

    /// A line was skipped that is no event; a replay that numbers lines counts it.
    pub(crate) fn skip_line(&mut self) {
        let emitted = self.frame.fresh.len() + self.frame.outputs.len();
        if let Some(skipped) = &mut self.frame.skipped {
            skipped.push(emitted);
        }
    }

    /// Tracks an event that is about to be emitted: [`Node::settle`](crate::Node::settle) is called with
    /// the token and the outcome. Other nodes that track the event get the outcome after this one. To track the event in hand, track a clone and emit that.
    #[inline]
    pub fn track(&mut self, event: &mut Event) -> Token {
        self.frame.tracker.track(event)
    }
}
