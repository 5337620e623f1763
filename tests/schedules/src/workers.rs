//! A model of what workers tell each other: batches over bounded links, stop, extension and wakes
//! over a control queue without bound, and outcomes over another one. It has the rules of the real
//! ones, and none of their code (that of links is tried itself): a wait for room is for any link that
//! still lacks the event, and for control, but not for outcomes; every other wait is for *any* of
//! what may come; links are closed before outcomes are waited for; links are added between batches.

use crate::schedules;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

#[derive(Clone, Copy)]
enum Control {
    Stop,
    Wake,
    /// One more link out.
    Attach(usize),
}

#[derive(Default)]
struct Link {
    queue: VecDeque<u64>,
    closed: bool,
}

/// All links and control queues; whoever waits is woken by every change and looks again.
#[derive(Default)]
struct Shared {
    links: Vec<Link>,
    control: Vec<VecDeque<Control>>,
    /// Outcomes that the source has not taken.
    outcomes: VecDeque<u64>,
    /// Of each event, how many parts are not settled.
    parts: Vec<u32>,
    settled: Vec<u32>,
    /// What arrived at each sink.
    arrived: Vec<Vec<u64>>,
}

#[derive(Clone, Default)]
struct World(Arc<(Mutex<Shared>, Condvar)>);

impl World {
    /// Waits until something comes of it; every change wakes.
    fn wait<T>(&self, mut look: impl FnMut(&mut Shared) -> Option<T>) -> T {
        let mut shared = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = look(&mut shared) {
                self.0.1.notify_all();
                return found;
            }
            shared = self.0.1.wait(shared).unwrap();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Shared)) {
        let mut change = Some(change);
        self.wait(|shared| change.take().map(|change| change(shared)));
    }

    fn tell(&self, worker: usize, message: Control) {
        self.change(|shared| shared.control[worker].push_back(message));
    }

    /// Sends an event into these links, each as soon as it has room; what is received meanwhile is kept
    /// for later.
    fn send(&self, at: usize, links: &[usize], event: u64, received: &mut VecDeque<Control>) {
        const CAPACITY: usize = 1;
        let mut links = links.to_vec();
        while !links.is_empty() {
            self.wait(|shared| {
                let before = links.len();
                links.retain(|link| {
                    let queue = &mut shared.links[*link].queue;
                    let has_room = queue.len() < CAPACITY;
                    if has_room {
                        queue.push_back(event);
                    }
                    !has_room
                });
                if links.len() < before {
                    return Some(());
                }
                let message = shared.control[at].pop_front()?;
                received.push_back(message);
                Some(())
            });
        }
    }
}

const SOURCE: usize = 0;
const MIDDLE: usize = 1;

/// What a worker found when it looked.
enum Found {
    Control(Control),
    Settled(u64),
    Event(u64),
    Ended,
    Nothing,
}

fn source(world: &World, events: u64) -> u64 {
    let mut received = VecDeque::new();
    let mut outs = vec![0];
    let (mut next, mut known) = (0, BTreeSet::new());
    let mut stopping = false;
    loop {
        let reading = !stopping && next < events;
        let found = world.wait(|shared| {
            let message = received
                .pop_front()
                .or_else(|| shared.control[SOURCE].pop_front());
            let settled = |shared: &mut Shared| shared.outcomes.pop_front().map(Found::Settled);
            match message.map(Found::Control).or_else(|| settled(shared)) {
                Some(found) => Some(found),
                None if reading => Some(Found::Nothing),
                None if known.len() as u64 == next => Some(Found::Ended),
                // It closes its links first, and then waits for outcomes.
                None if outs.iter().any(|link: &usize| !shared.links[*link].closed) => {
                    outs.iter()
                        .for_each(|link| shared.links[*link].closed = true);
                    Some(Found::Nothing)
                }
                None => None,
            }
        });
        match found {
            Found::Control(Control::Stop) => stopping = true,
            Found::Control(Control::Wake) => {}
            Found::Control(Control::Attach(link)) => {
                outs.push(link);
                if !reading {
                    world.change(|shared| shared.links[link].closed = true);
                }
            }
            Found::Settled(event) => assert!(known.insert(event), "settled twice"),
            Found::Nothing if reading => {
                world.change(|shared| shared.parts[next as usize] = outs.len() as u32);
                world.send(SOURCE, &outs, next, &mut received);
                next += 1;
            }
            Found::Event(_) | Found::Nothing => {}
            Found::Ended => {
                world.change(|shared| {
                    outs.iter()
                        .for_each(|link| shared.links[*link].closed = true);
                });
                return next;
            }
        }
    }
}

/// Takes from a link until it has ended; a pipeline sends on, a sink settles.
fn taker(world: &World, at: usize, link: usize, out: Option<usize>) {
    let mut received = VecDeque::new();
    loop {
        let found = world.wait(|shared| {
            if let Some(message) = received.pop_front().or_else(|| shared.control[at].pop_front()) {
                return Some(Found::Control(message));
            }
            match shared.links[link].queue.pop_front() {
                Some(event) => Some(Found::Event(event)),
                None if shared.links[link].closed => Some(Found::Ended),
                None => None,
            }
        });
        match (found, out) {
            (Found::Event(event), Some(out)) => world.send(at, &[out], event, &mut received),
            (Found::Event(event), None) => world.change(|shared| {
                shared.arrived[at].push(event);
                let parts = &mut shared.parts[event as usize];
                *parts -= 1;
                if *parts == 0 {
                    shared.settled[event as usize] += 1;
                    shared.outcomes.push_back(event);
                }
            }),
            (Found::Ended, out) => {
                world.change(|shared| {
                    out.into_iter()
                        .for_each(|out| shared.links[out].closed = true);
                });
                return;
            }
            (Found::Control(_) | Found::Settled(_) | Found::Nothing, _) => {}
        }
    }
}

/// Source, pipeline, sink; a second sink is added, all are woken, and all is stopped, whenever.
fn network(events: u64) {
    let world = World::default();
    world.change(|shared| {
        shared.links.resize_with(3, Link::default);
        shared.control.resize_with(4, VecDeque::new);
        shared.parts.resize(events as usize, 0);
        shared.settled.resize(events as usize, 0);
        shared.arrived.resize(4, Vec::new());
    });
    let spawn = |at: usize, link: usize, out: Option<usize>| {
        let world = world.clone();
        thread::spawn(move || taker(&world, at, link, out))
    };
    let mut threads = vec![spawn(MIDDLE, 0, Some(1)), spawn(2, 1, None)];
    let reader = {
        let world = world.clone();
        thread::spawn(move || source(&world, events))
    };
    let stopper = {
        let world = world.clone();
        thread::spawn(move || {
            for _ in 0..thread_rng().gen_range(0..4) {
                world.tell(thread_rng().gen_range(0..3), Control::Wake);
            }
            (SOURCE..=2).for_each(|at| world.tell(at, Control::Stop));
            world.tell(SOURCE, Control::Stop);
        })
    };
    let extends = thread_rng().gen_bool(0.5);
    if extends {
        threads.push(spawn(3, 2, None));
        world.tell(SOURCE, Control::Attach(2));
    }
    let sent = reader.join().unwrap();
    // One that has ended takes no more links: whoever adds them closes them.
    if extends {
        world.change(|shared| shared.links[2].closed = true);
    }
    stopper.join().unwrap();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let shared = world.0.0.lock().unwrap();
    let all: Vec<u64> = (0..sent).collect();
    assert_eq!(shared.arrived[2], all, "the first sink gets all, in order");
    let later = &shared.arrived[3];
    assert!(
        all.ends_with(later),
        "the second gets all from when it was added: {later:?}"
    );
    let once = shared
        .settled
        .iter()
        .take(sent as usize)
        .all(|times| *times == 1);
    assert!(once, "{:?}", shared.settled);
}

#[test]
fn workers_neither_hang_nor_lose_nor_settle_twice() {
    shuttle::check_random(|| network(3), schedules());
    shuttle::check_pct(|| network(3), schedules(), 4);
}
