//! Sources and sinks that are replaced in the middle of a stream.

use super::{PATIENCE, Reading, payload, sorted, texts};
use crate::connect::{At, Connector};
use std::collections::VecDeque;
use std::time::Duration;
use tributary::connect;
use tributary::{Error, Event, Network, Outcome, Result, source};

/// How many events there are, and how often each end is replaced.
const MANY: usize = 3_000;
const TIMES: usize = 6;
/// How many events are in hand while a source is replaced.
const IN_HAND: usize = 20;

/// A source whose bound is another one, where it has one.
fn other_source((url, options): &At, time: usize) -> Result<Box<dyn tributary::Source>> {
    let bound = 300 + 100 * time;
    for name in ["in_flight", "prefetch"] {
        let bounded = options.clone().with(name, bound);
        if let Ok(source) = connect::source(url, &bounded) {
            return Ok(source);
        }
    }
    connect::source(url, options)
}

/// Writes the numbers, and replaces the sink meanwhile.
fn write(at: &At) -> Result<()> {
    let network = Network::new();
    let (sender, numbers) = source::channel();
    network.add_source("numbers", numbers)?;
    network.add_sink("out", connect::sink(&at.0, &at.1)?)?;
    network.link("numbers", "out")?;
    network.start()?;
    for number in 0..MANY {
        sender.send(payload(number))?;
        if number % (MANY / TIMES) == MANY / TIMES / 2 {
            network.replace("out", connect::sink(&at.0, &at.1)?)?;
        }
    }
    drop(sender);
    let ended = network.wait_timeout(2 * PATIENCE);
    ended.unwrap_or_else(|| Err(Error::data("writing takes too long")))?;
    let stats = network.stats();
    let out = stats.node("out").expect("a node");
    assert_eq!((out.consumed, out.rejected), (MANY as u64, 0));
    Ok(())
}

pub fn what_is_replaced_loses_doubles_and_reorders_nothing<C: Connector>() -> Result<()> {
    let mut server = C::start()?;
    server.prepare("replaced")?;
    let at = server.source("replaced");
    let reading = Reading::start(at.clone())?;
    let to = server.sink("replaced");
    let writing = std::thread::spawn(move || write(&to));
    let mut seen = Vec::new();
    let mut in_hand: VecDeque<Event> = VecDeque::new();
    for number in 0..MANY {
        let event = reading.next();
        seen.push(event.payload().text().unwrap_or("?").to_owned());
        in_hand.push_back(event);
        if number % (MANY / TIMES) == MANY / TIMES - 1 {
            let time = number / (MANY / TIMES);
            reading.network.replace("in", other_source(&at, time)?)?;
        }
        while in_hand.len() > IN_HAND || number + 1 == MANY && !in_hand.is_empty() {
            if let Some(event) = in_hand.pop_front() {
                event.settle(Outcome::Delivered);
            }
        }
    }
    writing.join().expect("no panic")?;
    let more = reading.events.recv_timeout(Duration::from_millis(500));
    assert!(more.is_none(), "an event came twice");
    if C::PROMISES.order {
        assert!(seen == texts(0..MANY), "in another order");
    } else {
        assert_eq!(sorted(seen), sorted(texts(0..MANY)));
    }
    reading.stop()
}
