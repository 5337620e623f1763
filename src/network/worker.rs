//! The worker: drives one stage, from its links and its control channel.
//!
//! `step` does whatever can be done without waiting; `run`, the loop of a node's thread, is steps
//! with a blocking select between them. A simulation takes the same steps without the thread.
//!
//! A worker is in one of three phases: it works; it drains (no more input will come, its own links
//! are closed, and it waits for the outcomes of what it tracks); it is done.

use super::link::{Aborted, Ear, LinkReceiver, Parcel, Way, Ways};
use super::running::Shared;
use super::stage::{Kind, Retry, Stage};
use super::stats::{add, add_nanos};
use super::timer::Timer;
use crate::ack::Group;
use crate::error::Error;
use crate::event::Batch;
use crate::network::link::Capacity;
use crate::node::Read;
use crate::time::{Timestamp, monotonic};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a worker is told; none of it is ever waited for.
pub(crate) enum Control {
    /// Every node of the network is open: begin.
    Go,
    /// An instant that the node asked for may have come.
    Wake,
    /// Outcomes of tracked events.
    Settled(Arc<Group>),
    /// More links, at the next boundary between batches.
    Attach(Attachment),
    /// No more input: a source stops reading, the others end with their links.
    Stop,
    /// Let everything go.
    Abort,
}

impl From<Arc<Group>> for Control {
    fn from(group: Arc<Group>) -> Self {
        Control::Settled(group)
    }
}

/// Links to add to a worker.
#[derive(Default)]
pub(crate) struct Attachment {
    pub inputs: Vec<LinkReceiver>,
    pub ways: Vec<(u16, Way)>,
}

/// What a step has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something: step again.
    Busy,
    /// Nothing: there is nothing to do until something comes.
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

/// A retryable error: the node is to be opened again, and the batch to be fed again.
struct Stalled {
    batch: Option<Batch>,
    attempt: u32,
    until: Timestamp,
}

/// The pause before a node is opened again: 100 ms, doubled at each attempt up to 3 s.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(100 << attempt.min(5)).min(Duration::from_secs(3))
}

/// How long a source may block in one call: short while it has outcomes to hear of.
const SOURCE_WAIT: Duration = Duration::from_millis(100);
const SOURCE_WAIT_TRACKING: Duration = Duration::from_millis(5);

pub(crate) struct Worker {
    pub stage: Stage,
    control: flume::Receiver<Control>,
    /// The sender of that channel, for alarms.
    own: flume::Sender<Control>,
    heard: VecDeque<Control>,
    inputs: Vec<LinkReceiver>,
    next_input: usize,
    ways: Vec<Ways>,
    timer: Option<Timer>,
    alarm: Option<Timestamp>,
    phase: Phase,
    stopping: bool,
    /// Whether a link has led here: a node whose links have all ended has ended.
    fed: bool,
    exhausted: bool,
    stalled: Option<Stalled>,
    /// When a source that found nothing is asked again.
    read_again: Option<Instant>,
    shared: Arc<Shared>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Outcomes that nobody will hear of any more must not keep those waiting who wait for the
        // same events: a group that is let go fails them.
        while let Ok(message) = self.control.try_recv() {
            drop(message);
        }
    }
}

impl Worker {
    pub fn new(
        stage: Stage,
        control: (flume::Sender<Control>, flume::Receiver<Control>),
        timer: Option<Timer>,
        shared: Arc<Shared>,
    ) -> Self {
        let ports = stage.outbox.len();
        Worker {
            stage,
            own: control.0,
            control: control.1,
            heard: VecDeque::new(),
            inputs: Vec::new(),
            next_input: 0,
            ways: (0..ports).map(|_| Ways::default()).collect(),
            timer,
            alarm: None,
            phase: Phase::Work,
            stopping: false,
            fed: false,
            exhausted: false,
            stalled: None,
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

    /// Waits until the network is told to begin; false when it never will.
    pub fn await_go(&mut self) -> bool {
        loop {
            match self.control.recv() {
                Ok(Control::Go) => return true,
                Ok(Control::Abort) | Err(_) => return false,
                Ok(other) => self.heard.push_back(other),
            }
        }
    }

    pub fn attach(&mut self, attachment: Attachment) {
        self.fed |= !attachment.inputs.is_empty();
        self.inputs.extend(attachment.inputs);
        for (port, way) in attachment.ways {
            self.stage.set_linked(port);
            self.ways[usize::from(port)].add(way);
        }
    }

    fn source_wait(&self) -> Duration {
        match self.stage.outstanding() {
            0 => SOURCE_WAIT,
            _ => SOURCE_WAIT_TRACKING,
        }
    }

    /// Does what can be done now. A source may block for `wait`; nothing else waits, but for room
    /// on a link.
    pub fn step(&mut self, wait: Duration) -> Step {
        let mut busy = false;
        if let Some(error) = self.stage.take_failure() {
            self.shared.fail(&self.stage.name, error);
        }
        while let Some(message) = self
            .heard
            .pop_front()
            .or_else(|| self.control.try_recv().ok())
        {
            busy |= self.hear(message);
            if self.phase == Phase::Done {
                return Step::Done;
            }
        }
        if let Some(stalled) = &self.stalled {
            if self.stage.now() < stalled.until && self.stage.now() >= self.stall_began() {
                self.set_alarm();
                return if busy { Step::Busy } else { Step::Idle };
            }
            self.reopen();
            return Step::Busy;
        }
        if self.phase == Phase::Drain {
            return self.drain(busy);
        }
        if self.stage.wake().is_some_and(|at| at <= self.stage.now()) {
            let ticked = self.stage.tick();
            self.stall_on(ticked);
            busy = true;
            if self.deliver().is_err() || self.stalled.is_some() {
                return Step::Busy;
            }
        }
        busy |= match self.stage.kind {
            Kind::Source => self.read(wait),
            Kind::Pipeline | Kind::Sink => self.work(),
        };
        self.set_alarm();
        if busy { Step::Busy } else { Step::Idle }
    }

    /// Acts on a message; says whether that may have made work.
    fn hear(&mut self, message: Control) -> bool {
        match message {
            Control::Go => {}
            Control::Wake => self.alarm = None,
            Control::Settled(group) => {
                let settled = self.stage.settle(&group);
                self.stall_on(settled);
                // An abort that this meets is heard next.
                let _ = self.deliver();
                self.read_again = None;
                return true;
            }
            Control::Attach(attachment) => {
                self.attach(attachment);
                return true;
            }
            Control::Stop => self.stopping = true,
            Control::Abort => {
                self.phase = Phase::Done;
                self.close();
            }
        }
        false
    }

    /// Asks the source for more. Returns whether anything was done.
    fn read(&mut self, wait: Duration) -> bool {
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
    fn work(&mut self) -> bool {
        if let Some(batch) = self.gather(None) {
            self.feed(batch);
            return true;
        }
        if self.inputs.is_empty() && (self.fed || self.stopping) {
            self.end_input();
            return true;
        }
        false
    }

    /// Takes batches from the links in turn, small ones together, up to the size of a batch.
    fn gather(&mut self, first: Option<Batch>) -> Option<Batch> {
        let mut gathered: Option<Batch> = first;
        let mut dry = 0;
        while dry < self.inputs.len() && gathered.as_ref().is_none_or(|b| b.len() < Capacity::BATCH)
        {
            self.next_input %= self.inputs.len();
            let input = &self.inputs[self.next_input];
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

    pub fn feed(&mut self, batch: Batch) {
        add(&self.stage.account.received, batch.len() as u64);
        self.feed_again(batch, 0);
    }

    fn feed_again(&mut self, batch: Batch, attempt: u32) {
        let fed = self.stage.feed(batch);
        let delivered = self.deliver();
        if let Err(Retry { batch, error }) = fed
            && delivered.is_ok()
        {
            self.stall_after(Some(batch), &error, attempt);
        }
    }

    /// Sends what left the stage. Links attached up to this moment are part of it.
    pub fn deliver(&mut self) -> Result<(), Aborted> {
        if self.stage.outbox.iter().all(Batch::is_empty) {
            return Ok(());
        }
        while let Ok(message) = self.control.try_recv() {
            match message {
                Control::Attach(attachment) => self.attach(attachment),
                other => self.heard.push_back(other),
            }
        }
        let begun = monotonic();
        let mut ear = Ear {
            control: &self.control,
            heard: &mut self.heard,
        };
        for (ways, batch) in self.ways.iter_mut().zip(&mut self.stage.outbox) {
            if !batch.is_empty() {
                ways.send(std::mem::take(batch), &mut ear)?;
            }
        }
        add_nanos(&self.stage.account.blocked, begun.elapsed());
        Ok(())
    }

    /// No more input will come: what the node holds back leaves, and its links are closed, so that
    /// the end runs downstream while outcomes run home.
    fn end_input(&mut self) {
        let finished = self.stage.finish();
        if let Err(error) = finished {
            if !self.stopping {
                return self.stall(None, &error);
            }
            self.stage.complain("finish", &error);
        }
        // An abort that this meets is heard next.
        let _ = self.deliver();
        self.close();
        self.phase = Phase::Drain;
        if self.stage.kind == Kind::Source {
            self.shared.source_ended();
        }
    }

    fn close(&mut self) {
        self.inputs.clear();
        self.ways
            .iter_mut()
            .for_each(|ways| *ways = Ways::default());
    }

    fn drain(&mut self, busy: bool) -> Step {
        if self.stage.outstanding() == 0 {
            self.phase = Phase::Done;
            return Step::Done;
        }
        if busy { Step::Busy } else { Step::Idle }
    }

    fn stall_on(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.stall(None, &error);
        }
    }

    fn stall(&mut self, batch: Option<Batch>, error: &Error) {
        self.stall_after(batch, error, 0);
    }

    fn stall_after(&mut self, batch: Option<Batch>, error: &Error, attempt: u32) {
        let pause = backoff(attempt);
        log::warn!(
            "node {}: {error}; it is opened again in {pause:?} (attempt {})",
            self.stage.name,
            attempt + 1
        );
        // A stalled batch is never displaced by a second error.
        let batch = batch.or_else(|| self.stalled.take().and_then(|stalled| stalled.batch));
        let until = self.stage.now().after(pause);
        self.stalled = Some(Stalled {
            batch,
            attempt: attempt + 1,
            until,
        });
    }

    /// When the present pause began; a clock that was set back since does not lengthen it.
    fn stall_began(&self) -> Timestamp {
        match &self.stalled {
            Some(stalled) => stalled.until.before(backoff(stalled.attempt - 1)),
            None => Timestamp::MAX,
        }
    }

    fn reopen(&mut self) {
        let Some(stalled) = self.stalled.take() else {
            return;
        };
        add(&self.stage.account.reopened, 1);
        match self.stage.open() {
            Ok(()) => {
                if let Some(batch) = stalled.batch {
                    self.feed_again(batch, stalled.attempt);
                }
                if self.stalled.is_none() {
                    log::info!("node {}: open again", self.stage.name);
                }
            }
            Err(error) if error.is_retryable() => {
                self.stall_after(stalled.batch, &error, stalled.attempt);
            }
            Err(error) => {
                self.shared.fail(&self.stage.name, error);
                self.close();
                self.phase = Phase::Done;
            }
        }
    }

    /// When something is to be done without anything coming in.
    pub fn next_wake(&mut self) -> Option<Timestamp> {
        match (&self.stalled, self.phase) {
            (_, Phase::Done) => None,
            (Some(stalled), _) => Some(stalled.until),
            (None, Phase::Drain) => None,
            (None, Phase::Work) => self.stage.wake(),
        }
    }

    fn set_alarm(&mut self) {
        let Some(timer) = &self.timer else { return };
        let wake = match &self.stalled {
            Some(stalled) => Some(stalled.until),
            None => self.stage.wake(),
        };
        if let Some(at) = wake
            && self.alarm.is_none_or(|set| at < set)
        {
            timer.set(at, self.own.clone());
            self.alarm = Some(at);
        }
    }

    /// The blocking select: until a batch or a message comes.
    fn sleep(&mut self) {
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
                    self.feed(batch);
                }
            }
        }
    }
}
