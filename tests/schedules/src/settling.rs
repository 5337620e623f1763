//! Every event has one outcome, and whoever tracks it gets it, in every schedule.

use crate::ack::{Ack, Group, OutcomeChannel, Outcome, Settled, UNUSED};
use crate::schedules;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Where decided groups are sent: a queue that can be waited for.
#[derive(Default)]
struct Letterbox {
    groups: Mutex<VecDeque<Settled>>,
    came: Condvar,
}

impl OutcomeChannel for Letterbox {
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

/// A group that nobody uses, for so many events.
fn unused(events: usize, channel: &Arc<dyn OutcomeChannel>) -> &'static Group {
    Group::unused(Group::size_for(events), channel)
}

/// Tracks these events as one group; what they held before is settled with them.
fn track(group: &'static Group, first: u64, held: Vec<Ack>) -> Vec<Ack> {
    group.open(first);
    let track = |(at, mut ack)| {
        group.track(at, &mut ack);
        ack
    };
    assert!(held.len() <= group.room());
    let acks: Vec<Ack> = held.into_iter().enumerate().map(track).collect();
    assert!(!group.close(acks.len()), "nothing is settled yet");
    acks
}

/// Acks of so many events that nobody waits for.
fn none(events: usize) -> Vec<Ack> {
    (0..events).map(|_| Ack::none()).collect()
}

/// Takes groups in until so many outcomes are known.
fn collect(channel: &Letterbox, count: usize) -> HashMap<u64, Outcome> {
    let mut outcomes = HashMap::new();
    while outcomes.len() < count {
        channel.wait().collect(|token, outcome, outer| {
            let before = outcomes.insert(token.0, outcome);
            assert!(before.is_none(), "{token:?} was settled twice");
            outer.settle(outcome);
        });
    }
    outcomes
}

/// Takes the outcomes of a message, without what waits for it; gives the group where it is free.
fn take(settled: Settled, mut each: impl FnMut(u64, Outcome)) -> Option<&'static Group> {
    match settled.collect_whole() {
        Ok(whole) => {
            let tokens = whole.first..whole.first + whole.events as u64;
            tokens.for_each(|token| each(token, whole.outcome));
            Some(whole.group)
        }
        Err(settled) => settled.collect(|token, outcome, _| each(token.0, outcome)),
    }
}

/// Ends a part in one of the ways there are; returns whether it was a good one.
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
    let channel = Arc::new(Letterbox::default());
    let to: Arc<dyn OutcomeChannel> = channel.clone();
    let acks = track(unused(events, &to), 0, none(events));
    let branch = |_| {
        let acks = acks.clone();
        thread::spawn(move || acks.into_iter().map(end).collect::<Vec<bool>>())
    };
    let threads: Vec<_> = (0..branches).map(branch).collect();
    for ack in acks {
        ack.settle(Outcome::Delivered);
    }
    let outcomes = collect(&channel, events);
    let good: Vec<Vec<bool>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    for at in 0..events {
        let wanted = if good.iter().all(|branch| branch[at]) {
Outcome::Delivered
        } else {
Outcome::Failed
        };
        assert_eq!(outcomes[&(at as u64)], wanted);
    }
    // What is on its way by now has nothing new.
    while let Some(settled) = { channel.groups.lock().unwrap().pop_front() } {
        settled.collect(|token, _, _| panic!("{token:?} was settled twice"));
    }
}

#[test]
fn every_event_of_a_group_has_one_outcome() {
    shuttle::check_random(|| settles(3, 2), schedules());
    shuttle::check_pct(|| settles(2, 3), schedules(), 3);
}

/// Ends parts together or one by one; returns which of them was a good one.
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

/// Groups that are free are used again, while messages of other lives may be on their way.
fn lives(events: usize, branches: usize, lives: u64) {
    let channel = Arc::new(Letterbox::default());
    let to: Arc<dyn OutcomeChannel> = channel.clone();
    let mut free: Vec<&'static Group> = Vec::new();
    let mut freed = 0;
    for life in 0..lives {
        let first = life * events as u64;
        let group = free.pop().unwrap_or_else(|| unused(events, &to));
        let acks = track(group, first, none(events));
        let branch = |_| {
            let acks = acks.clone();
            thread::spawn(move || end_all(acks))
        };
        let threads: Vec<_> = (0..branches).map(branch).collect();
        let mut good = vec![end_all(acks)];
        let mut outcomes = HashMap::new();
        while outcomes.len() < events {
            let is_free = take(channel.wait(), |token, outcome| {
                assert!(token >= first, "{token} is of a life before");
                let before = outcomes.insert(token, outcome);
                assert!(before.is_none(), "{token} was settled twice");
            });
            freed += is_free.iter().count();
            free.extend(is_free);
        }
        good.extend(threads.into_iter().map(|t| t.join().unwrap()));
        for at in 0..events {
            let wanted = if good.iter().all(|branch| branch[at]) {
Outcome::Delivered
            } else {
Outcome::Failed
            };
            assert_eq!(outcomes[&(first + at as u64)], wanted);
        }
    }
    // What is on its way by now has nothing new, but that a group is free.
    while let Some(settled) = { channel.groups.lock().unwrap().pop_front() } {
        let is_free = settled.collect(|token, _, _| panic!("{token:?} was settled twice"));
        freed += is_free.iter().count();
    }
    assert_eq!(freed, lives as usize, "groups that were free");
}

#[test]
fn a_group_that_is_used_again_has_one_outcome_for_each_event() {
    shuttle::check_random(|| lives(2, 1, 3), schedules());
    shuttle::check_pct(|| lives(2, 2, 3), schedules(), 3);
}

/// Whoever tracks them goes meanwhile: what their events held before fails, whatever became of
/// them, and each group can be used again, once.
fn gone(events: usize) {
    // No other test has groups of this size.
    const SIZE: usize = 3;
    let outer = Arc::new(Letterbox::default());
    let to: Arc<dyn OutcomeChannel> = outer.clone();
    let held = track(unused(events, &to), 0, none(events));
    let channel: Arc<dyn OutcomeChannel> = Arc::new(Letterbox::default());
    let group = Group::unused(SIZE, &channel);
    group.open(100);
    let track = |(at, mut ack)| {
        group.track(at, &mut ack);
        let more = ack.clone();
        (ack, more)
    };
    let (acks, more): (Vec<Ack>, Vec<Ack>) = held.into_iter().enumerate().map(track).unzip();
    let threads = [acks, more].map(|acks| thread::spawn(move || end_all(acks)));
    if group.close(events) {
        group.give_back();
    }
    // With all that was sent there.
    drop(channel);
    for thread in threads {
        thread.join().unwrap();
    }
    let outcomes = collect(&outer, events);
    assert!(outcomes.values().all(|outcome| *outcome == Outcome::Failed));
    let unused = std::mem::take(&mut *UNUSED[SIZE].lock());
    assert_eq!(unused.len(), 1, "times that the group was given back");
}

#[test]
fn a_group_without_a_receiver_is_returned_once_and_fails_what_waits_for_it() {
    shuttle::check_random(|| gone(2), schedules());
    shuttle::check_pct(|| gone(3), schedules(), 3);
}

/// A node in the middle tracks what a source tracks already: both get the same outcome.
fn passes_outwards() {
    let (outer, inner) = (
        Arc::new(Letterbox::default()),
        Arc::new(Letterbox::default()),
    );
    let channels: [Arc<dyn OutcomeChannel>; 2] = [outer.clone(), inner.clone()];
    let acks = track(unused(2, &channels[0]), 0, none(2));
    let acks = track(unused(2, &channels[1]), 10, acks);
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
    let channel = Arc::new(Letterbox::default());
    let to: Arc<dyn OutcomeChannel> = channel.clone();
    let group = unused(3, &to);
    group.open(0);
    let threads: Vec<_> = (0..3)
        .map(|at| {
            let mut ack = Ack::none();
            group.track(at, &mut ack);
            thread::spawn(move || end(ack))
        })
        .collect();
    let mut freed = usize::from(group.close(3));
    let mut outcomes = HashMap::new();
    while outcomes.len() < 3 || freed == 0 {
        let is_free = take(channel.wait(), |token, outcome| {
            let before = outcomes.insert(token, outcome);
            assert!(before.is_none(), "{token} was settled twice");
        });
        freed += is_free.iter().count();
    }
    assert_eq!(freed, 1, "times that the group was free");
    for (at, thread) in threads.into_iter().enumerate() {
        let delivered = outcomes[&(at as u64)] == Outcome::Delivered;
        assert_eq!(thread.join().unwrap(), delivered);
    }
}

#[test]
fn a_group_that_is_still_filled_loses_no_outcome() {
    shuttle::check_random(grows, schedules());
}
