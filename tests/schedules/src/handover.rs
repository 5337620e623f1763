//! Changes of a running network: links and routes as they are shipped, and a model of the protocol by which
//! workers pause, hand over and go on. Nothing is lost, doubled or reordered, whether a change is made or
//! undone.

use super::ends::{Accounted, any, batches, event, numbers, small};
use super::id::{Ids, LinkId};
use super::link::{Aborted, LinkReceiver, LinkSender, LinkTimeout, SendContext, WakeSender, Woken, link, wait};
use super::routes::{Balance, Route, Routes};
use super::stats::{LinkAccount, Stopwatch};
use crate::event::Batch;
use crate::name::{Endpoint, Name};
use crate::schedules;
use std::collections::VecDeque;
use std::sync::Arc;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;
use std::time::Instant;

const EVENTS: u64 = 6;

fn tries(scenario: fn()) {
    shuttle::check_random(scenario, schedules());
    shuttle::check_pct(scenario, schedules(), 3);
}

fn all() -> Vec<u64> {
    (0..EVENTS).collect()
}

/// What the control channel of a worker carries.
enum Control {
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
struct Pause {
    drain: Vec<LinkId>,
    successor: Option<Successor>,
    report: flume::Sender<()>,
}

struct Successor {
    node: Node,
    /// Whether it takes the state of the node; otherwise the node finishes first.
    takes: bool,
}

#[derive(Default)]
struct Attachment {
    /// Links, and those whose place they take.
    inputs: Vec<(LinkReceiver, Option<LinkId>)>,
    routes: Vec<Route>,
    removed: Vec<LinkId>,
}

impl WakeSender for flume::Sender<Control> {
    fn wake(&self) {
        let _ = self.send(Control::Room);
    }
}

/// A node that holds events back until more come, or it finishes.
#[derive(Default)]
struct Node {
    generation: usize,
    /// How many it holds back.
    keeps: usize,
    held: Vec<u64>,
}

impl Node {
    fn keeping(keeps: usize) -> Self {
        Node {
            keeps,
            ..Node::default()
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
struct Worker {
    own: flume::Sender<Control>,
    control: flume::Receiver<Control>,
    pending: VecDeque<Control>,
    source: Option<VecDeque<Batch>>,
    inputs: Vec<LinkReceiver>,
    followers: Vec<(LinkId, LinkReceiver)>,
    fed: bool,
    removed: bool,
    sourceless: bool,
    routes: Routes,
    /// A sink has none.
    node: Option<Node>,
    change: Option<Change>,
    done: Done,
    ended: Arc<AtomicBool>,
}

/// Changes a worker.
#[derive(Clone)]
struct Changer {
    control: flume::Sender<Control>,
    ended: Arc<AtomicBool>,
}

impl Changer {
    fn send(&self, message: Control) {
        // One that has ended takes part no more.
        let _ = self.control.send(message);
    }

    /// Pauses the worker; `None` where it has ended.
    fn pause(&self, drain: Vec<LinkId>, successor: Option<Successor>) -> Option<()> {
        let (report, paused) = flume::unbounded();
        self.send(Control::Pause(Pause {
            drain,
            successor,
            report,
        }));
        loop {
            // What is sent to a worker that ends may never be seen.
            let has_ended = self.ended.load(Ordering::SeqCst);
            match paused.recv_deadline(Instant::now()) {
                Ok(()) => return Some(()),
                Err(flume::RecvTimeoutError::Timeout) if !has_ended => {}
                Err(_) => return None,
            }
        }
    }

    /// Replaces the node by those of these generations; returns those that were to stay.
    fn replace(&self, generations: std::ops::RangeInclusive<usize>) -> Vec<usize> {
        let mut made = Vec::new();
        for generation in generations {
            let node = Node {
                generation,
                ..Node::keeping(1)
            };
            let takes = any(0..=1) == 1;
            if self.pause(Vec::new(), Some(Successor { node, takes })).is_none() {
                break;
            }
            let is_made = any(0..=1) == 1;
            if is_made {
                made.push(generation);
            }
            self.send(Control::Resume(is_made));
        }
        made
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// What a worker has done.
#[derive(Default)]
struct Done {
    taken: Vec<u64>,
    /// Which nodes have processed a batch.
    generations: Vec<usize>,
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
    fn new(node: Option<Node>) -> Self {
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

    fn changer(&self) -> Changer {
        Changer {
            control: self.own.clone(),
            ended: self.ended.clone(),
        }
    }

    fn source() -> Self {
        let mut source = Worker::new(None);
        source.source = Some(batches(EVENTS).into());
        source
    }

    fn spawn(self) -> thread::JoinHandle<Done> {
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

    fn attach(&mut self, attachment: Attachment) {
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

/// A network whose workers do not run yet.
#[derive(Default)]
struct Net {
    ids: Ids,
    accounts: Vec<Accounted>,
}

impl Net {
    fn ends(&mut self, from: &flume::Sender<Control>) -> (LinkSender, LinkReceiver) {
        let account = Arc::<LinkAccount>::default();
        let (a, b) = (Endpoint::new("a").unwrap(), Name::new("b").unwrap());
        let id = self.ids.link();
        let ends = link(id, &a, &b, &small(), true, account.clone(), from.clone());
        self.accounts.push(Accounted(account));
        ends
    }

    fn link(&mut self, from: &mut Worker, to: &mut Worker) -> LinkId {
        let (sender, receiver) = self.ends(&from.own);
        let id = sender.id();
        from.routes.add(Route::Link(sender));
        Self::feed(to, receiver);
        id
    }

    fn feed(to: &mut Worker, link: LinkReceiver) {
        to.attach(Attachment {
            inputs: vec![(link, None)],
            ..Attachment::default()
        });
    }

    fn assert_nothing_is_lost(&self) {
        for account in &self.accounts {
            account.assert_balanced();
            assert_eq!(account.lost(), 0);
        }
    }
}

#[test]
fn a_node_that_is_replaced_loses_doubles_and_reorders_nothing() {
    tries(|| {
        let mut net = Net::default();
        let (mut a, mut b, mut c) = (Worker::source(), Worker::new(Some(Node::keeping(1))), Worker::new(None));
        net.link(&mut a, &mut b);
        net.link(&mut b, &mut c);
        let changer = b.changer();
        let (a, b, c) = (a.spawn(), b.spawn(), c.spawn());
        let made = changer.replace(1..=2);
        a.join().unwrap();
        let generations = b.join().unwrap().generations;
        assert_eq!(c.join().unwrap().taken, all());
        assert!(generations.is_sorted(), "{generations:?}");
        let strange = generations.iter().find(|one| **one != 0 && !made.contains(one));
        assert_eq!(strange, None, "a successor that did not stay has processed something");
        net.assert_nothing_is_lost();
    });
}

#[test]
fn events_of_a_new_link_arrive_behind_those_of_the_links_that_it_replaces() {
    tries(|| {
        let mut net = Net::default();
        let (mut a, mut b, mut c) = (Worker::source(), Worker::new(Some(Node::keeping(1))), Worker::new(None));
        let first = net.link(&mut a, &mut b);
        let second = net.link(&mut b, &mut c);
        let (sender, receiver) = net.ends(&a.own);
        let removed = [net.accounts[0].0.clone(), net.accounts[1].0.clone()];
        let changers = [a.changer(), b.changer(), c.changer()];
        let (a, b, c) = (a.spawn(), b.spawn(), c.spawn());
        // The first may have ended: then nothing is attached to it.
        if changers[0].pause(Vec::new(), None).is_some() {
            removed.iter().for_each(|link| link.removed.store(true, Ordering::Release));
            changers[2].send(Control::Attach(Attachment {
                inputs: vec![(receiver, Some(second))],
                ..Attachment::default()
            }));
            changers[0].send(Control::Attach(Attachment {
                routes: vec![Route::Link(sender)],
                removed: vec![first],
                ..Attachment::default()
            }));
            changers[0].send(Control::Resume(true));
            changers[1].send(Control::Remove);
        } else {
            drop((sender, receiver));
        }
        a.join().unwrap();
        changers.iter().for_each(|worker| worker.send(Control::Sourceless));
        b.join().unwrap();
        assert_eq!(c.join().unwrap().taken, all());
        net.assert_nothing_is_lost();
    });
}

#[test]
fn a_key_keeps_its_order_when_its_balance_loses_a_member() {
    tries(|| {
        let mut net = Net::default();
        let (mut a, mut c) = (Worker::source(), Worker::new(None));
        let mut members = [(); 2].map(|()| Worker::new(Some(Node::default())));
        // No event has the key, so all of them belong together.
        let (senders, receivers): (Vec<_>, Vec<_>) = members.iter().map(|_| net.ends(&a.own)).unzip();
        let first: Vec<LinkId> = senders.iter().map(LinkSender::id).collect();
        a.routes.add(Route::Balance(Balance::new(senders, Some("k".to_owned()))));
        let mut second = Vec::new();
        for (member, receiver) in members.iter_mut().zip(receivers) {
            Net::feed(member, receiver);
            second.push(net.link(member, &mut c));
        }
        let leaving = any(0..=1);
        let removed = [leaving, 2 + leaving].map(|at| net.accounts[at].0.clone());
        let mut order = vec![(a.changer(), Vec::new())];
        order.extend(members.iter().zip(&first).map(|(member, link)| (member.changer(), vec![*link])));
        order.push((c.changer(), second));
        let a = a.spawn();
        let members = members.map(Worker::spawn);
        let c = c.spawn();
        let is_paused = order.iter().try_for_each(|(worker, drain)| worker.pause(drain.clone(), None));
        let made = is_paused.is_some() && any(0..=1) == 1;
        if made {
            removed.iter().for_each(|link| link.removed.store(true, Ordering::Release));
            order[0].0.send(Control::Attach(Attachment {
                removed: vec![first[leaving]],
                ..Attachment::default()
            }));
        }
        for (worker, _) in &order {
            worker.send(Control::Resume(made));
        }
        if made {
            order[1 + leaving].0.send(Control::Remove);
        }
        a.join().unwrap();
        order.iter().for_each(|(worker, _)| worker.send(Control::Sourceless));
        for member in members {
            member.join().unwrap();
        }
        assert_eq!(c.join().unwrap().taken, all());
        net.assert_nothing_is_lost();
    });
}
