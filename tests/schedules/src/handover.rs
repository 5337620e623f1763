//! Changes of a running network: nothing is lost, doubled or reordered, whether a change is made or undone.

use super::changing::{Attachment, Control, Node, Pause, Successor, Worker};
use super::ends::{Accounted, any, small};
use super::id::{Ids, LinkId};
use super::link::{LinkReceiver, LinkSender, link};
use super::routes::{Balance, Route};
use super::stats::LinkAccount;
use crate::name::{Endpoint, Name};
use crate::schedules;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Instant;

const EVENTS: u64 = 6;

fn tries(scenario: fn()) {
    shuttle::check_random(scenario, schedules());
    shuttle::check_pct(scenario, schedules(), 3);
}

fn all() -> Vec<u64> {
    (0..EVENTS).collect()
}

/// Changes a worker.
#[derive(Clone)]
struct Changer {
    control: flume::Sender<Control>,
    ended: Arc<AtomicBool>,
}

impl Changer {
    fn of(worker: &Worker) -> Self {
        Changer {
            control: worker.own.clone(),
            ended: worker.ended.clone(),
        }
    }

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
            let node = Node::of(generation, 1);
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
        let (mut a, mut b, mut c) = (Worker::source(EVENTS), Worker::new(Some(Node::of(0, 1))), Worker::new(None));
        net.link(&mut a, &mut b);
        net.link(&mut b, &mut c);
        let changer = Changer::of(&b);
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
        let (mut a, mut b, mut c) = (Worker::source(EVENTS), Worker::new(Some(Node::of(0, 1))), Worker::new(None));
        let first = net.link(&mut a, &mut b);
        let second = net.link(&mut b, &mut c);
        let (sender, receiver) = net.ends(&a.own);
        let removed = [net.accounts[0].0.clone(), net.accounts[1].0.clone()];
        let changers = [Changer::of(&a), Changer::of(&b), Changer::of(&c)];
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
        let (mut a, mut c) = (Worker::source(EVENTS), Worker::new(None));
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
        let mut order = vec![(Changer::of(&a), Vec::new())];
        order.extend(members.iter().zip(&first).map(|(member, link)| (Changer::of(member), vec![*link])));
        order.push((Changer::of(&c), second));
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
