//! The timer thread: one for each running network, it wakes nodes at the instants that they set.
//!
//! Once a second it looks at the counters of all nodes and links, for their rates. It keeps a heap of instants and sends to the control channel of a node, which has no bound, so that it
//! never blocks. The worker decides by the clock whether the node is really due.

use super::control::Control;
use super::members::Shared;
use super::stats::LOOK;
use crate::time::{Clock, Timestamp, monotonic};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

/// An alarm: wake this node at this instant.
struct Alarm {
    at: Timestamp,
    control: flume::Sender<Control>,
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Alarm {}
impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// Where a worker sets its alarms.
#[derive(Clone)]
pub(crate) struct Timer(flume::Sender<Alarm>);

impl Timer {
    /// Starts the timer thread; it ends when the last `Timer` is gone.
    pub fn start(
        clock: Arc<dyn Clock>,
        network: Weak<Shared>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (tx, rx) = flume::unbounded();
        let thread = std::thread::Builder::new()
            .name("tributary-timer".to_owned())
            .spawn(move || run(&rx, &*clock, &network))?;
        Ok((Timer(tx), thread))
    }

    pub fn set(&self, at: Timestamp, control: flume::Sender<Control>) {
        // The timer outlives every worker of its network.
        let _ = self.0.send(Alarm { at, control });
    }
}

fn run(rx: &flume::Receiver<Alarm>, clock: &dyn Clock, network: &Weak<Shared>) {
    let mut alarms: BinaryHeap<Reverse<Alarm>> = BinaryHeap::new();
    let mut seen = clock.now();
    let (mut looked, mut looks) = (monotonic(), 0);
    loop {
        if looked.elapsed() >= LOOK
            && let Some(network) = network.upgrade()
        {
            (looked, looks) = (monotonic(), looks + 1);
            network.look(looked, looks);
        }
        let now = clock.now();
        // Set back: all nodes are woken, and set their alarms again.
        let all = now < seen;
        seen = now;
        while alarms
            .peek()
            .is_some_and(|Reverse(alarm)| all || alarm.at <= now)
        {
            if let Some(Reverse(alarm)) = alarms.pop() {
                // A node that has ended is not woken.
                let _ = alarm.control.send(Control::Wake);
            }
        }
        // A jump of the system's clock is noticed within this time too.
        let mut sleep = LOOK.saturating_sub(looked.elapsed());
        if let Some(Reverse(next)) = alarms.peek() {
            sleep = sleep.min(next.at.since(now));
        }
        match rx.recv_timeout(sleep) {
            Ok(alarm) => alarms.push(Reverse(alarm)),
            Err(flume::RecvTimeoutError::Timeout) => {}
            Err(flume::RecvTimeoutError::Disconnected) => return,
        }
    }
}
