//! A model of the protocol by which workers pause, hand over and go on, over links and routes as they are
//! shipped.

use super::ends::{batches, event, numbers};
use super::id::LinkId;
use super::link::{Aborted, LinkReceiver, LinkTimeout, SendContext, WakeSender, Woken, wait};
use super::routes::{Route, Routes};
use super::stats::Stopwatch;
use crate::event::Batch;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// What the control channel of a worker carries.
pub enum Control {
    Room,
    Pause(Pause),
    /// The change is made, or undone.
    Resume(bool),
    Attach(Attachment),
    /// The node was removed from the network.
    Remove,
    /// There is no source any more.
    Sourceless,
}

/// A worker is to pause as soon as these links are empty.
pub struct Pause {
    pub drain: Vec<LinkId>,
    pub successor: Option<Successor>,
    pub report: flume::Sender<()>,
}

pub struct Successor {
    pub node: Node,
    /// Whether it takes the state of the node; otherwise the node finishes first.
    pub takes: bool,
}

#[derive(Default)]
pub struct Attachment {
    /// Links, and those whose place they take.
    pub inputs: Vec<(LinkReceiver, Option<LinkId>)>,
    pub routes: Vec<Route>,
    pub removed: Vec<LinkId>,
}

impl WakeSender for flume::Sender<Control> {
    fn wake(&self) {
        let _ = self.send(Control::Room);
    }
}

/// A node that holds events back until more come, or it finishes.
#[derive(Default)]
pub struct Node {
    generation: usize,
    /// How many it holds back.
    keeps: usize,
    held: Vec<u64>,
}

impl Node {
    pub fn of(generation: usize, keeps: usize) -> Self {
        Node {
            generation,
            keeps,
            held: Vec::new(),
        }
    }

    fn process(&mut self, taken: Vec<u64>) -> Vec<u64> {
        self.held.extend(taken);
        let leave = self.held.len().saturating_sub(self.keeps);
        self.held.drain(..leave).collect()
    }

    fn finish(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.held)
    }
}

enum Change {
    Requested(Pause),
    /// Paused, with the node that has left its place and may get it back, or that is to begin.
    Paused(Option<Successor>),
}

/// A worker, as far as a change needs it.
pub struct Worker {
    pub own: flume::Sender<Control>,
    control: flume::Receiver<Control>,
    pending: VecDeque<Control>,
    source: Option<VecDeque<Batch>>,
    inputs: Vec<LinkReceiver>,
    followers: Vec<(LinkId, LinkReceiver)>,
    fed: bool,
    removed: bool,
    sourceless: bool,
    pub routes: Routes,
    /// A sink has none.
    node: Option<Node>,
    change: Option<Change>,
    done: Done,
    pub ended: Arc<AtomicBool>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// What a worker has done.
#[derive(Default)]
pub struct Done {
    pub taken: Vec<u64>,
    /// Which nodes have processed a batch.
    pub generations: Vec<usize>,
}

/// A wait for room that keeps other messages for later.
struct Waiting<'a> {
    control: &'a flume::Receiver<Control>,
    pending: &'a mut VecDeque<Control>,
    blocked: Stopwatch,
}

impl SendContext for Waiting<'_> {
    fn is_aborted(&self) -> bool {
        false
    }

    fn wait(&mut self, _: Option<Instant>) -> Woken {
        loop {
            match self.control.recv() {
                Ok(Control::Room) => return Woken::Room,
                Ok(other) => self.pending.push_back(other),
                Err(_) => return Woken::Abort,
            }
        }
    }

    fn blocked(&self) -> &Stopwatch {
        &self.blocked
    }

    fn timed_out(&mut self, _: LinkTimeout) {}
}

impl Worker {
    pub fn new(node: Option<Node>) -> Self {
        let (own, control) = flume::unbounded();
        Worker {
            own,
            control,
            pending: VecDeque::new(),
            source: None,
            inputs: Vec::new(),
            followers: Vec::new(),
            fed: false,
            removed: false,
            sourceless: false,
            routes: Routes::default(),
            node,
            change: None,
            done: Done::default(),
            ended: Arc::default(),
        }
    }

    pub fn source(events: u64) -> Self {
        let mut source = Worker::new(None);
        source.source = Some(batches(events).into());
        source
    }

    pub fn spawn(self) -> thread::JoinHandle<Done> {
        thread::spawn(move || self.run())
    }

    fn run(mut self) -> Done {
        loop {
            while let Some(message) = self.pending.pop_front().or_else(|| self.control.try_recv().ok()) {
                self.handle(message);
            }
            if self.take_part() {
                continue;
            }
            match self.next() {
                Some(Some(batch)) => self.process(batch),
                Some(None) => thread::yield_now(),
                None => break,
            }
        }
        if let Some(node) = &mut self.node {
            let rest = node.finish();
            self.send(rest.into_iter().map(event).collect());
        }
        std::mem::take(&mut self.done)
    }

    fn handle(&mut self, message: Control) {
        match message {
            Control::Room => {}
            Control::Pause(pause) => self.change = Some(Change::Requested(pause)),
            Control::Resume(made) => self.resume(made),
            Control::Attach(attachment) => self.attach(attachment),
            Control::Remove => self.removed = true,
            Control::Sourceless => self.sourceless = true,
        }
    }

    pub fn attach(&mut self, attachment: Attachment) {
        self.fed |= !attachment.inputs.is_empty();
        for (link, follows) in attachment.inputs {
            let waiting = self.followers.iter().map(|(_, link)| link.id);
            let mut open = self.inputs.iter().map(|link| link.id).chain(waiting);
            match follows.filter(|id| open.any(|link| link == *id)) {
                Some(id) => self.followers.push((id, link)),
                None => self.inputs.push(link),
            }
        }
        self.routes.remove(&attachment.removed);
        attachment.routes.into_iter().for_each(|route| self.routes.add(route));
    }

    /// Takes part in a change; returns whether the worker takes no events meanwhile.
    fn take_part(&mut self) -> bool {
        match self.change.take() {
            None => false,
            Some(Change::Requested(pause)) => {
                let waits = |link: &LinkReceiver| {
                    pause.drain.contains(&link.id) && link.rx.look(|queue| !queue.is_empty())
                };
                if self.inputs.iter().any(waits) {
                    self.change = Some(Change::Requested(pause));
                    return false;
                }
                let Pause { successor, report, .. } = pause;
                let successor = successor.map(|successor| self.prepare(successor));
                self.change = Some(Change::Paused(successor));
                let _ = report.send(());
                true
            }
            Some(Change::Paused(successor)) => {
                self.change = Some(Change::Paused(successor));
                match self.control.recv() {
                    Ok(message) => self.pending.push_back(message),
                    Err(_) => unreachable!("a worker has a sender of its own"),
                }
                true
            }
        }
    }

    /// A successor that takes the state is in place from now on.
    fn prepare(&mut self, mut successor: Successor) -> Successor {
        if let (true, Some(node)) = (successor.takes, &mut self.node) {
            successor.node.held = std::mem::take(&mut node.held);
            std::mem::swap(node, &mut successor.node);
        }
        successor
    }

    fn resume(&mut self, made: bool) {
        let Some(Change::Paused(Some(Successor { node: mut other, takes }))) = self.change.take() else {
            return;
        };
        match (made, takes, &mut self.node) {
            (true, false, Some(node)) => {
                let rest = std::mem::replace(node, other).finish();
                self.send(rest.into_iter().map(event).collect());
            }
            (false, true, Some(node)) => {
                other.held = std::mem::take(&mut node.held);
                *node = other;
            }
            _ => {}
        }
    }

    /// The next batch; `Some(None)` where none is there at present, `None` at the end.
    fn next(&mut self) -> Option<Option<Batch>> {
        if let Some(source) = &mut self.source {
            return source.pop_front().map(Some);
        }
        let mut at = 0;
        while let Some(link) = self.inputs.get(at) {
            match link.rx.try_recv() {
                Ok(message) => {
                    if let Some(batch) = link.accept(message) {
                        return Some(Some(batch));
                    }
                }
                Err(flume::TryRecvError::Empty) => at += 1,
                Err(flume::TryRecvError::Disconnected) => self.detach(at),
            }
        }
        let has_ended = self.inputs.is_empty() && (self.fed || self.removed || self.sourceless);
        (!has_ended).then_some(None)
    }

    fn detach(&mut self, at: usize) {
        let id = self.inputs[at].id;
        if let Some(next) = self.followers.iter().position(|(old, _)| *old == id) {
            self.inputs[at] = self.followers.remove(next).1;
            return;
        }
        let link = self.inputs.remove(at);
        if self.inputs.is_empty() && link.is_removed() {
            self.fed = false;
        }
    }

    fn process(&mut self, batch: Batch) {
        if self.source.is_some() {
            return self.send(batch);
        }
        match &mut self.node {
            None => self.done.taken.extend(numbers(&batch)),
            Some(node) => {
                self.done.generations.push(node.generation);
                let emitted = node.process(numbers(&batch));
                self.send(emitted.into_iter().map(event).collect());
            }
        }
    }

    fn send(&mut self, batch: Batch) {
        let mut pending = Vec::new();
        self.routes.begin(batch, &mut pending);
        let mut context = Waiting {
            control: &self.control,
            pending: &mut self.pending,
            blocked: Stopwatch::default(),
        };
        if !pending.is_empty() {
            let sent: Result<(), Aborted> = wait(pending, &mut context);
            assert!(sent.is_ok(), "nothing is aborted");
        }
    }
}
