//! Every event has one outcome, and whoever tracks it is told of it, in every schedule.

use crate::ack::{Ack, Group, Home, Outcome, Settled};
use crate::schedules;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Where groups come home: a queue that can be waited for.
#[derive(Default)]
struct Letterbox {
    groups: Mutex<VecDeque<Settled>>,
    came: Condvar,
}

impl Home for Letterbox {
    fn settled(&self, settled: Settled) {
        self.groups.lock().unwrap().push_back(settled);
        self.came.notify_all();
    }
}

impl Letterbox {
    fn wait(&self) -> Settled {
        let mut groups = self.groups.lock().unwrap();
        loop {
            match groups.pop_front() {
                Some(group) => return group,
                None => groups = self.came.wait(groups).unwrap(),
            }
        }
    }
}

/// Tracks so many events as one group; what they held before is settled with them.
fn track(first: u64, held: Vec<Ack>, home: &Arc<Letterbox>) -> (Arc<Group>, Vec<Ack>) {
    let group = Group::new(first, held.len(), home.clone());
    let track = |(at, mut ack)| {
        group.clone().track(at, &mut ack);
        ack
    };
    let acks = held.into_iter().enumerate().map(track).collect();
    (group, acks)
}

/// Takes groups in until so many outcomes are known.
fn collect(home: &Letterbox, count: usize) -> HashMap<u64, Outcome> {
    let mut told = HashMap::new();
    while told.len() < count {
        home.wait().collect(|token, outcome, outer| {
            let before = told.insert(token.0, outcome);
            assert!(before.is_none(), "{token:?} was settled twice");
            outer.settle(outcome);
        });
    }
    told
}

/// Ends a part in one of the ways there are; says whether it was a good one.
fn end(ack: Ack) -> bool {
    match thread_rng().gen_range(0..3) {
        0 => ack.settle(Outcome::Delivered),
        1 => {
            // A branch more, which this one outlives.
            ack.clone().settle(Outcome::Delivered);
            ack.settle(Outcome::Delivered);
        }
        _ => {
            drop(ack);
            return false;
        }
    }
    true
}

fn settles(events: usize, branches: usize) {
    let home = Arc::new(Letterbox::default());
    let (group, acks) = track(0, (0..events).map(|_| Ack::none()).collect(), &home);
    drop(group);
    let branch = |_| {
        let acks = acks.clone();
        thread::spawn(move || acks.into_iter().map(end).collect::<Vec<bool>>())
    };
    let threads: Vec<_> = (0..branches).map(branch).collect();
    for ack in acks {
        ack.settle(Outcome::Delivered);
    }
    let told = collect(&home, events);
    let good: Vec<Vec<bool>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    for at in 0..events {
        let wanted = match good.iter().all(|branch| branch[at]) {
            true => Outcome::Delivered,
            false => Outcome::Failed,
        };
        assert_eq!(told[&(at as u64)], wanted);
    }
    // What is on its way by now has nothing new.
    while let Some(settled) = { home.groups.lock().unwrap().pop_front() } {
        settled.collect(|token, _, _| panic!("{token:?} was settled twice"));
    }
}

#[test]
fn every_event_of_a_group_has_one_outcome() {
    shuttle::check_random(|| settles(3, 2), schedules());
    shuttle::check_pct(|| settles(2, 3), schedules(), 3);
}

/// Ends parts together or one by one; says which of them was a good one.
fn end_all(mut acks: Vec<Ack>) -> Vec<bool> {
    match thread_rng().gen_range(0..3) {
        0 => acks.into_iter().map(end).collect(),
        way => {
            let outcome = [Outcome::Delivered, Outcome::Failed][way - 1];
            Ack::settle_all(acks.iter_mut(), outcome);
            vec![way == 1; acks.len()]
        }
    }
}

/// Groups whose handles have all come home are used again, while messages of their lives before
/// may still be on their way.
fn lives(events: usize, branches: usize, lives: u64) {
    let home = Arc::new(Letterbox::default());
    let to: Arc<dyn Home> = home.clone();
    let mut spare = None;
    for life in 0..lives {
        let first = life * events as u64;
        let handles = Group::again(spare.take(), first, events, &to);
        let track = |(at, group): (usize, Arc<Group>)| {
            let mut ack = Ack::none();
            group.track(at, &mut ack);
            ack
        };
        let acks: Vec<Ack> = handles.into_iter().enumerate().map(track).collect();
        let branch = |_| {
            let acks = acks.clone();
            thread::spawn(move || end_all(acks))
        };
        let threads: Vec<_> = (0..branches).map(branch).collect();
        let mut good = vec![end_all(acks)];
        let mut told = HashMap::new();
        while told.len() < events {
            let settled = home.wait();
            settled.collect(|token, outcome, _| {
                assert!(token.0 >= first, "{token:?} is of a life before");
                let before = told.insert(token.0, outcome);
                assert!(before.is_none(), "{token:?} was settled twice");
            });
            spare = settled.into_handles().or(spare);
        }
        good.extend(threads.into_iter().map(|t| t.join().unwrap()));
        for at in 0..events {
            let wanted = match good.iter().all(|branch| branch[at]) {
                true => Outcome::Delivered,
                false => Outcome::Failed,
            };
            assert_eq!(told[&(first + at as u64)], wanted);
        }
    }
}

#[test]
fn a_group_that_is_used_again_has_one_outcome_for_each_event() {
    shuttle::check_random(|| lives(2, 1, 3), schedules());
    shuttle::check_pct(|| lives(2, 2, 3), schedules(), 3);
}

/// A node in the middle tracks what a source tracks already: both are told the same.
fn passes_outwards() {
    let (outer, inner) = (
        Arc::new(Letterbox::default()),
        Arc::new(Letterbox::default()),
    );
    let (group, acks) = track(0, vec![Ack::none(), Ack::none()], &outer);
    drop(group);
    let (group, acks) = track(10, acks, &inner);
    drop(group);
    let settling = {
        let acks = acks.clone();
        thread::spawn(move || acks.into_iter().map(end).collect::<Vec<bool>>())
    };
    let middle = thread::spawn(move || collect(&inner, 2));
    for ack in acks {
        ack.settle(Outcome::Delivered);
    }
    let source = collect(&outer, 2);
    let middle = middle.join().unwrap();
    let good = settling.join().unwrap();
    for at in 0..2 {
        let wanted = if good[at as usize] {
            Outcome::Delivered
        } else {
            Outcome::Failed
        };
        assert_eq!((source[&at], middle[&(at + 10)]), (wanted, wanted));
    }
}

#[test]
fn an_event_that_is_tracked_twice_has_one_outcome_for_both() {
    shuttle::check_random(passes_outwards, schedules());
}

/// Slots are taken one by one while earlier events are settled already.
fn grows() {
    let home = Arc::new(Letterbox::default());
    let group = Group::new(0, 3, home.clone());
    let threads: Vec<_> = (0..3)
        .map(|at| {
            let mut ack = Ack::none();
            group.clone().track(at, &mut ack);
            thread::spawn(move || end(ack))
        })
        .collect();
    let told = collect(&home, 3);
    for (at, thread) in threads.into_iter().enumerate() {
        let delivered = told[&(at as u64)] == Outcome::Delivered;
        assert_eq!(thread.join().unwrap(), delivered);
    }
}

#[test]
fn a_group_that_is_still_filled_loses_no_outcome() {
    shuttle::check_random(grows, schedules());
}
