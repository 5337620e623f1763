//! Nodes that send and take, without their code: they do what a worker does with its links.

use super::id::Ids;
use super::link::{
    Aborted, Capacity, LinkReceiver, LinkSender, LinkSettings, LinkTimeout, Message, Overflow,
    SendContext, WakeSender, Woken, link, wait,
};
use super::stats::{LinkAccount, Stopwatch};
use super::routes::{Balance, Route, Routes};
use crate::ack::Ack;
use crate::event::{Batch, Event, Meta};
use crate::name::{Endpoint, Name};
use crate::payload::Payload;
use crate::time::Timestamp;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

pub fn any(range: std::ops::RangeInclusive<usize>) -> usize {
    thread_rng().gen_range(range)
}

/// A capacity that a few events exceed, in number or in bytes.
pub fn small() -> LinkSettings {
    let bytes = [1, 3, 5, 1_000][any(0..=3)];
    LinkSettings::from(Capacity::new().events(any(1..=3)).bytes(bytes))
}

pub fn overflowing(overflow: Overflow) -> LinkSettings {
    LinkSettings {
        overflow,
        ..small()
    }
}

/// An event of some size. The number is the instant: what a payload has is only its size.
pub fn event(number: u64) -> Event {
    let payload = Payload::from(&[0; 4][..any(0..=4)]);
    let time = Timestamp::from_micros(number as i64);
    Event::from_parts(payload, time, Meta::default(), Ack::none())
}

/// So many events, of sizes that differ, in batches that differ.
pub fn batches(events: u64) -> Vec<Batch> {
    let mut batches = vec![Batch::default()];
    for at in 0..events {
        let event = event(at);
        if batches.last().unwrap().len() == any(1..=4) {
            batches.push(Batch::default());
        }
        batches.last_mut().unwrap().push(event);
    }
    batches
}

/// The account of a link whose ends are elsewhere.
pub struct Accounted(pub Arc<LinkAccount>);

impl Accounted {
    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::SeqCst)
    }

    pub fn received(&self) -> u64 {
        Self::get(&self.0.received)
    }

    pub fn lost(&self) -> u64 {
        Self::get(&self.0.lost)
    }

    pub fn dropped(&self) -> u64 {
        Self::get(&self.0.dropped)
    }

    /// Nothing is left in it, and nothing was counted twice.
    pub fn assert_balanced(&self) {
        let ended = self.received() + self.lost() + self.dropped();
        assert_eq!(Self::get(&self.0.sent), ended, "{:?}", self.0);
    }
}

/// What the control channel of a node carries.
#[derive(Debug, PartialEq)]
pub enum Control {
    Room,
    Wake,
    Stop,
    Abort,
}

impl WakeSender for flume::Sender<Control> {
    fn wake(&self) {
        let _ = self.send(Control::Room);
    }
}

/// A node that waits for room, as a worker does.
struct NodeContext<'a> {
    control: &'a flume::Receiver<Control>,
    sent: &'a mut Sent,
    blocked: Stopwatch,
}

impl SendContext for NodeContext<'_> {
    fn is_aborted(&self) -> bool {
        self.sent.received.contains(&Control::Abort)
    }

    fn wait(&mut self, until: Option<Instant>) -> Woken {
        loop {
            let message = match until {
                None => self.control.recv().unwrap_or(Control::Abort),
                Some(until) => match self.control.recv_deadline(until) {
                    Ok(message) => message,
                    Err(flume::RecvTimeoutError::Disconnected) => Control::Abort,
                    Err(flume::RecvTimeoutError::Timeout) => return Woken::Deadline,
                },
            };
            match message {
                Control::Room => return Woken::Room,
                Control::Abort => {
                    self.sent.received.push_back(Control::Abort);
                    return Woken::Abort;
                }
                other => self.sent.received.push_back(other),
            }
        }
    }

    fn blocked(&self) -> &Stopwatch {
        &self.blocked
    }

    fn timed_out(&mut self, timeout: LinkTimeout) {
        self.sent.timeouts.push(timeout);
    }
}

/// A node that sends: its control channel, and its links.
pub struct Node {
    pub control: (flume::Sender<Control>, flume::Receiver<Control>),
    routes: Routes,
}

impl Node {
    pub fn new() -> Self {
        Node {
            control: flume::unbounded(),
            routes: Routes::default(),
        }
    }

    fn ends(&self, settings: &LinkSettings) -> (LinkSender, LinkReceiver, Accounted) {
        let account = Arc::<LinkAccount>::default();
        let from = Endpoint::new("a").unwrap();
        let to = Name::new("b").unwrap();
        let control = self.control.0.clone();
        let (tx, rx) = link(Ids::default().link(), &from, &to, settings, true, account.clone(), control);
        (tx, rx, Accounted(account))
    }

    pub fn link(&mut self, settings: &LinkSettings) -> (LinkReceiver, Accounted) {
        let (tx, rx, account) = self.ends(settings);
        self.routes.add(Route::Link(tx));
        (rx, account)
    }

    pub fn balance(&mut self, members: &[LinkSettings]) -> Vec<(LinkReceiver, Accounted)> {
        let ends = members.iter().map(|settings| self.ends(settings));
        let split = |(tx, rx, account)| (tx, (rx, account));
        let (senders, receivers) = ends.map(split).unzip();
        self.routes.add(Route::Balance(Balance::new(senders, None)));
        receivers
    }

    /// Sends these on a thread of its own, as a worker does, and lets its links go.
    pub fn send(self, batches: Vec<Batch>) -> thread::JoinHandle<Sent> {
        thread::spawn(move || {
            let (_own, control) = self.control;
            let mut sent = Sent::default();
            for batch in batches {
                sent.received.extend(control.try_iter());
                let mut pending = Vec::new();
                self.routes.begin(batch, &mut pending);
                let mut context = NodeContext {
                    control: &control,
                    sent: &mut sent,
                    blocked: Stopwatch::default(),
                };
                if !pending.is_empty()
                    && let Err(Aborted) = wait(pending, &mut context)
                {
                    break;
                }
            }
            drop(self.routes);
            sent.received.extend(control.try_iter());
            sent
        })
    }
}

/// What a node met while it sent.
#[derive(Default)]
pub struct Sent {
    received: VecDeque<Control>,
    pub timeouts: Vec<LinkTimeout>,
}

impl Sent {
    /// What control messages it got, beside that there is room.
    pub fn controls(self) -> Vec<Control> {
        let all = self.received.into_iter();
        all.filter(|message| *message != Control::Room).collect()
    }
}

/// What waits in a link is no more than its capacity, but for a single event that is larger.
pub fn assert_bound(link: &LinkReceiver, capacity: Capacity) {
    let (events, bytes) = link.rx.look(|queue| {
        let batches = queue.iter().filter_map(|message| match message {
            Message::Batch(batch) => Some((batch.len(), batch.bytes())),
            Message::Ready => None,
        });
        batches.fold((0, 0), |(events, bytes), batch| {
            (events + batch.0, bytes + batch.1)
        })
    });
    let held = format!("{events} events of {bytes} bytes in a link of {capacity:?}");
    assert!(
        events <= capacity.events && bytes <= capacity.bytes || events == 1,
        "{held}"
    );
}

/// The numbers of events.
pub fn numbers(batch: &Batch) -> Vec<u64> {
    let number = |event: &Event| event.time().as_micros() as u64;
    batch.events().iter().map(number).collect()
}

/// Takes a batch from a link, as a worker does; `None` when it has ended.
pub fn take(link: &LinkReceiver, capacity: Capacity, batch_size: usize) -> Option<Vec<u64>> {
    assert_bound(link, capacity);
    let mut batch = link.accept(link.rx.recv().ok()?).unwrap_or_default();
    while !link.fills(&batch, batch_size)
        && let Ok(message) = link.rx.try_recv()
    {
        if let Some(more) = link.accept(message) {
            batch.append(more);
        }
    }
    Some(numbers(&batch))
}

/// Takes at most so many batches on a thread of its own, and lets the link go.
pub fn take_some(link: LinkReceiver, settings: &LinkSettings, most: usize) -> thread::JoinHandle<Vec<u64>> {
    let (capacity, batch_size) = (settings.capacity, any(1..=3));
    thread::spawn(move || {
        let batches = (0..most).map_while(|_| take(&link, capacity, batch_size));
        batches.flatten().collect()
    })
}

pub fn take_all(link: LinkReceiver, settings: &LinkSettings) -> thread::JoinHandle<Vec<u64>> {
    take_some(link, settings, usize::MAX)
}
