//! The worker: drives one stage, from its links and its control channel.
//!
//! `step` does whatever can be done without waiting; `run`, the loop of a node's thread, is steps
//! with a blocking select between them. A simulation takes the same steps without the thread.
//!
//! A worker is in one of three phases: it works; it drains (no more input will come, its own links
//! are closed, and it waits for the outcomes of what it tracks); it is done.

mod batch;
mod change;
mod ending;
mod input;
mod retry;
mod sending;

use super::control::Control;
use super::id::{LinkId, NodeId};
use super::link::LinkReceiver;
use super::members::Shared;
use super::routes::{Route, Routes};
use super::runner::NodeKind;
use super::stage::Stage;
use super::timer::Timer;
use crate::ack::Settled;
use crate::name::Port;
use crate::time::Timestamp;
pub(crate) use batch::InputBatch;
use batch::Stalled;
use change::Change;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a step has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was done: step again.
    Busy,
    /// Nothing is to be done until a batch, a message or an alarm comes.
    Idle,
    /// The node has ended.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Work,
    Drain,
    Done,
}

/// How long a source may block in one call: short while outcomes are outstanding.
const SOURCE_WAIT: Duration = Duration::from_millis(100);
const SOURCE_WAIT_TRACKING: Duration = Duration::from_millis(5);

pub(crate) struct Worker {
    id: NodeId,
    pub stage: Stage,
    control: flume::Receiver<Control>,
    /// Outcomes have their own channel: a worker that waits for room cannot handle them, and would be
    /// woken by each.
    outcomes: flume::Receiver<Settled>,
    /// The sender of `control`, for alarms.
    own: flume::Sender<Control>,
    pending: VecDeque<Control>,
    inputs: Vec<LinkReceiver>,
    /// Links that take the place of others, by the ids of those: read when those have ended.
    followers: Vec<(LinkId, LinkReceiver)>,
    next_input: usize,
    /// The number of links attached so far: the number of the next one.
    attached: usize,
    /// Whether links were added or have ended since the node was last ticked.
    relinked: bool,
    /// By port.
    routes: Vec<Routes>,
    port_names: Vec<Port>,
    /// Routes of ports that the node gets with its successor.
    later_routes: Vec<(Port, Route)>,
    timer: Option<Timer>,
    alarm: Option<Timestamp>,
    phase: Phase,
    stopping: bool,
    sourceless: bool,
    /// Whether a link was attached: the node then ends with its last link.
    fed: bool,
    /// Whether the node was removed from the network.
    removed: bool,
    change: Option<Change>,
    exhausted: bool,
    /// The last instant of the clock.
    seen: Timestamp,
    stalled: Option<Stalled>,
    /// Whether the node takes no event at present; that was logged.
    waits: bool,
    /// How often the node was opened again since something last succeeded.
    attempts: u32,
    /// Whether outcomes that were passed to the node are not committed yet: that is done when the
    /// node is open again, since nothing else may ever come.
    unsettled: bool,
    /// When a source that found nothing is read again.
    read_again: Option<Instant>,
    shared: Arc<Shared>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Outcomes without a receiver must not hold back other nodes that track the same events: a
        // group that is dropped fails them.
        while let Ok(message) = self.control.try_recv() {
            drop(message);
        }
        while let Ok(settled) = self.outcomes.try_recv() {
            drop(settled);
        }
    }
}

impl Worker {
    pub fn new(
        id: NodeId,
        stage: Stage,
        control: (flume::Sender<Control>, flume::Receiver<Control>),
        outcomes: flume::Receiver<Settled>,
        timer: Option<Timer>,
        shared: Arc<Shared>,
    ) -> Self {
        let port_names = stage.ports().to_vec();
        Worker {
            id,
            stage,
            own: control.0,
            control: control.1,
            outcomes,
            pending: VecDeque::new(),
            inputs: Vec::new(),
            followers: Vec::new(),
            next_input: 0,
            attached: 0,
            relinked: false,
            routes: port_names.iter().map(|_| Routes::default()).collect(),
            port_names,
            later_routes: Vec::new(),
            timer,
            alarm: None,
            phase: Phase::Work,
            stopping: false,
            sourceless: false,
            fed: false,
            removed: false,
            change: None,
            exhausted: false,
            seen: Timestamp::EPOCH,
            stalled: None,
            attempts: 0,
            waits: false,
            unsettled: false,
            read_again: None,
            shared,
        }
    }

    /// The life of a node's thread, from the moment that its node is open.
    pub fn run(mut self) {
        loop {
            match self.step(self.source_wait()) {
                Step::Busy => {}
                Step::Idle => self.sleep(),
                Step::Done => return,
            }
        }
    }

    /// Waits until the network begins; false if it never will.
    pub fn await_go(&mut self) -> bool {
        loop {
            match self.control.recv() {
                Ok(Control::Go) => return true,
                Ok(Control::Abort) | Err(_) => return false,
                Ok(other) => self.pending.push_back(other),
            }
        }
    }

    /// Whether a step may find work that the one before did not, apart from batches and messages to all
    /// nodes: outcomes, or, at a source, new input.
    pub fn has_news(&self) -> bool {
        let waits = || !(self.control.is_empty() && self.outcomes.is_empty());
        let has_outcomes = || self.stage.outstanding() > 0 && waits();
        self.is_source() || !self.pending.is_empty() || has_outcomes()
    }

    /// Whether the node still takes or reads events.
    pub fn works(&self) -> bool {
        self.phase == Phase::Work
    }

    /// Ends a source as if it had read to its end.
    pub fn exhaust(&mut self) {
        self.exhausted = true;
    }

    fn is_source(&self) -> bool {
        self.stage.kind == NodeKind::Source
    }

    fn source_wait(&self) -> Duration {
        match self.stage.outstanding() {
            0 => SOURCE_WAIT,
            _ => SOURCE_WAIT_TRACKING,
        }
    }

    /// Does what can be done now. A source may block for `wait`; otherwise a step waits only for room on
    /// a link.
    pub fn step(&mut self, wait: Duration) -> Step {
        let step = self.take_step(wait);
        match self.stage.take_failure() {
            None => step,
            Some(error) => {
                self.shared.fail(self.id, error);
                if step == Step::Done { step } else { Step::Busy }
            }
        }
    }

    /// Handles all messages that have come; returns whether any may have made work, or `None` once the
    /// node has ended.
    fn handle_messages(&mut self) -> Option<bool> {
        let mut busy = false;
        while let Some(message) = self
            .pending
            .pop_front()
            .or_else(|| self.control.try_recv().ok())
            .or_else(|| self.outcomes.try_recv().ok().map(Control::Settled))
        {
            busy |= self.handle(message);
            if self.phase == Phase::Done {
                return None;
            }
        }
        Some(busy)
    }

    fn take_step(&mut self, wait: Duration) -> Step {
        let Some(mut busy) = self.handle_messages() else {
            return Step::Done;
        };
        if self.change.is_some()
            && let Some(step) = self.take_part(busy)
        {
            return step;
        }
        if let Some(stalled) = &self.stalled {
            let (is_over, lost) = (stalled.is_over(self.stage.now()), stalled.lost);
            return self.step_stalled(is_over, lost, busy);
        }
        if self.phase == Phase::Drain {
            return self.drain(busy);
        }
        let due = self.is_due();
        if due || self.relinked {
            let ticked = self.stage.tick();
            self.relinked = ticked.is_err();
            match ticked {
                Ok(()) if !self.is_source() => self.is_back(),
                ticked => self.stall_on(ticked),
            }
            busy = true;
            if self.deliver().is_err() || self.stalled.is_some() {
                return Step::Busy;
            }
        }
        busy |= match self.stage.kind {
            NodeKind::Source => self.read(wait),
            NodeKind::Pipeline | NodeKind::Sink => self.work(),
        };
        self.set_alarm();
        if busy { Step::Busy } else { Step::Idle }
    }

    /// A step of a node that is stalled; `is_over` is true once its pause is over.
    fn step_stalled(&mut self, is_over: bool, lost: bool, busy: bool) -> Step {
        let works = self.phase == Phase::Work;
        if (self.stopping || self.removed) && works && self.is_source() {
            // A source that reads no more need not be opened again.
            self.stalled = None;
            self.end_input();
            return Step::Busy;
        }
        if is_over {
            self.resume();
            return Step::Busy;
        }
        // A node that is not lost goes on while an event waits.
        if !lost && works && self.is_due() {
            let ticked = self.stage.tick();
            self.stall_on(ticked);
            // An abort that comes meanwhile is handled next.
            let _ = self.deliver();
            return Step::Busy;
        }
        self.set_alarm();
        if busy { Step::Busy } else { Step::Idle }
    }

    /// Whether the node is to be ticked: its instant has come, or the clock was set back, so that
    /// it would wait for longer than intended.
    fn is_due(&mut self) -> bool {
        let Some(at) = self.stage.wake() else {
            return false;
        };
        let now = self.stage.now();
        let set_back = now < self.seen;
        self.seen = now;
        set_back || at <= now
    }

    /// Handles a control message; returns whether that may have made work.
    fn handle(&mut self, message: Control) -> bool {
        match message {
            Control::Go | Control::Room => {}
            Control::Wake => self.alarm = None,
            Control::Settled(settled) => {
                let settled = self.stage.settle(settled);
                self.unsettled |= settled.is_err();
                self.stall_on(settled);
                // An abort that comes meanwhile is handled next.
                let _ = self.deliver();
                self.read_again = None;
                return true;
            }
            Control::Attach(attachment) => {
                self.attach_more(attachment);
                return true;
            }
            Control::Pause(pause) => {
                self.request_pause(pause);
                return true;
            }
            Control::Resume(made) => {
                self.resume_from_change(made);
                return true;
            }
            Control::Remove => {
                self.removed = true;
                return true;
            }
            Control::Tap(tap) => self.stage.add_tap(tap),
            Control::Stop => self.stopping = true,
            Control::Sourceless => self.sourceless = true,
            Control::Abort => {
                self.phase = Phase::Done;
                self.close();
            }
        }
        false
    }

    /// When there is something to do without input.
    pub fn next_wake(&mut self) -> Option<Timestamp> {
        match (&self.stalled, self.phase) {
            (_, Phase::Done) => None,
            (None, _) if self.is_held() => None,
            _ if self.is_paused() => None,
            (Some(stalled), Phase::Work) if !stalled.lost => {
                let until = stalled.until;
                self.stage.wake().into_iter().chain([until]).min()
            }
            (Some(stalled), _) => Some(stalled.until),
            (None, Phase::Drain) => None,
            (None, Phase::Work) => self.stage.wake(),
        }
    }

    fn set_alarm(&mut self) {
        if self.timer.is_none() {
            return;
        }
        let wake = self.next_wake();
        let Some(timer) = &self.timer else { return };
        if let Some(at) = wake
            && self.alarm.is_none_or(|set| at < set)
        {
            timer.set(at, self.own.clone());
            self.alarm = Some(at);
        }
    }
}
