//! What every connector is held to.

mod formats;
mod killed;
mod oversized;
mod placed;
mod process;
mod refused;
mod replaced;
mod threads;

pub use formats::every_format_is_read_and_written;
pub use killed::a_process_that_is_killed_loses_nothing;
pub use oversized::an_event_that_is_too_large_leaves_its_head_its_size_and_its_hash;
pub use placed::{
    behind_a_checkpoint_a_stop_in_the_middle_loses_nothing,
    behind_a_checkpoint_it_ends_by_itself_and_its_place_is_the_end,
};
pub use refused::{
    an_event_that_always_fails_goes_to_the_dead_letters,
    an_event_that_failed_once_is_delivered_when_its_source_sends_it_again,
    an_event_that_is_tried_again_in_place_is_delivered_once_and_the_others_keep_their_order,
};
pub use replaced::what_is_replaced_loses_doubles_and_reorders_nothing;
pub use threads::it_starts_no_thread_beside_those_of_its_client;

use super::{At, Connector};
use crate::support::process::{Silent, free_port};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tributary::connect;
use tributary::sink::{self, Receiver};
use tributary::{Error, ErrorKind, Network, Outcome, Result, source};

/// How long a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(10);

fn payload(number: usize) -> String {
    format!(
        r#"{{"n":{number},"customer":"customer-{}","stake":12.5}}"#,
        number % 7
    )
}

/// A network that writes the numbers and ends.
fn writing(at: At, numbers: std::ops::Range<usize>) -> Result<Network> {
    let network = Network::new();
    network.add_source("numbers", source::from_iter(numbers.map(payload)))?;
    network.add_sink("out", connect::sink(&at.0, &at.1)?)?;
    network.link("numbers", "out")?;
    Ok(network)
}

fn write(at: At, numbers: std::ops::Range<usize>) -> Result<()> {
    let many = numbers.len() as u64;
    let network = writing(at, numbers)?;
    network.start()?;
    let ended = network.wait_timeout(2 * PATIENCE);
    ended.unwrap_or_else(|| Err(Error::data("writing takes too long")))?;
    let out = network.stats();
    let out = out.node("out").expect("a node");
    assert_eq!((out.consumed, out.rejected), (many, 0), "what was written");
    Ok(())
}

/// A source that runs, and what comes of it; whoever takes an event settles it.
struct Reading {
    network: Network,
    events: Receiver,
}

impl Reading {
    fn start(at: At) -> Result<Self> {
        let network = Network::new();
        let (events, out) = sink::channel();
        network.add_source("in", connect::source(&at.0, &at.1)?)?;
        network.add_sink("out", out.settled_by_host())?;
        network.link("in", "out")?;
        network.start()?;
        Ok(Reading { network, events })
    }

    /// The next event.
    fn next(&self) -> tributary::Event {
        self.events
            .recv_timeout(PATIENCE)
            .expect("an event within 30 s")
    }

    /// The payloads of so many different events, each of which is delivered, in order.
    fn take(&self, many: usize) -> Vec<String> {
        let (mut seen, mut order) = (HashSet::new(), Vec::new());
        while seen.len() < many {
            let event = self.next();
            let text = event.payload().text().unwrap_or("?").to_owned();
            if seen.insert(text.clone()) {
                order.push(text);
            }
            event.settle(Outcome::Delivered);
        }
        order
    }

    fn stop(self) -> Result<()> {
        let Reading { network, events } = self;
        // What comes while it stops is refused, and so comes again.
        let drain = std::thread::spawn(move || events.iter().for_each(drop));
        let stopped = network.stop_within(DRAIN);
        drain.join().expect("a thread that ends");
        stopped
    }

    /// As when the process is killed: nothing is settled any more.
    fn kill(self) {
        self.network.abort();
    }
}

fn texts(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(payload).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

pub fn it_opens_and_closes_again<C: Connector>() -> Result<()> {
    let mut server = C::start()?;
    server.prepare("quiet")?;
    for _ in 0..3 {
        let reading = Reading::start(server.source("quiet"))?;
        write(server.sink("quiet"), 0..0)?;
        reading.stop()?;
    }
    Ok(())
}

pub fn what_is_written_is_read<C: Connector>() -> Result<()> {
    let mut server = C::start()?;
    server.prepare("batches")?;
    // Where nothing is kept for those who come later, the source is there first.
    let reading = Reading::start(server.source("batches"))?;
    write(server.sink("batches"), 0..5_000)?;
    assert_eq!(sorted(reading.take(5_000)), sorted(texts(0..5_000)));
    reading.stop()
}

pub fn order_is_kept<C: Connector>() -> Result<()> {
    if !C::PROMISES.order {
        return Ok(());
    }
    let mut server = C::start()?;
    server.prepare("order")?;
    let reading = Reading::start(server.source("order"))?;
    write(server.sink("order"), 0..3_000)?;
    assert!(reading.take(3_000) == texts(0..3_000), "in another order");
    reading.stop()
}

pub fn sources_share_the_work<C: Connector>() -> Result<()> {
    if !C::PROMISES.groups {
        return Ok(());
    }
    let mut server = C::start()?;
    server.prepare("shared")?;
    let seen = [(); 2].map(|()| Arc::new(Mutex::new(Vec::new())));
    let mut networks = Vec::new();
    for seen in &seen {
        let at = server.source("shared");
        let network = Network::new();
        network.add_source("in", connect::source(&at.0, &at.1)?)?;
        network.add_sink("out", sink::collect(seen))?;
        network.link("in", "out")?;
        network.start()?;
        networks.push(network);
    }
    let until = Instant::now() + PATIENCE;
    let count = |at: usize| seen[at].lock().expect("no panic").len();
    let mut written = 0;
    // A group may take a while to make room for a second one.
    while count(0) == 0 || count(1) == 0 || count(0) + count(1) < written {
        assert!(
            Instant::now() < until,
            "{} and {} of {written}",
            count(0),
            count(1)
        );
        if written < 20_000 && (written == 0 || count(0) == 0 || count(1) == 0) {
            write(server.sink("shared"), written..written + 1_000)?;
            written += 1_000;
        }
        // Until the next look.
        std::thread::sleep(Duration::from_millis(50));
    }
    for network in networks {
        network.stop_within(DRAIN)?;
    }
    let all = seen
        .iter()
        .flat_map(|seen| seen.lock().expect("no panic").clone());
    let all: BTreeSet<String> = all
        .map(|event| event.payload().text().unwrap_or("?").to_owned())
        .collect();
    assert!(
        all == texts(0..written).into_iter().collect(),
        "{} of {written}",
        all.len()
    );
    Ok(())
}

pub fn what_is_refused_comes_again<C: Connector>() -> Result<()> {
    if !C::PROMISES.redelivery {
        return Ok(());
    }
    let mut server = C::start()?;
    server.prepare("refused")?;
    let reading = Reading::start(server.source("refused"))?;
    write(server.sink("refused"), 0..500)?;
    let (mut delivered, mut refused) = (HashSet::new(), HashSet::new());
    while delivered.len() < 500 {
        let event = reading.next();
        let text = event.payload().text().unwrap_or("?").to_owned();
        let tenth = event.payload().json()?["n"]
            .as_u64()
            .is_some_and(|n| n % 10 == 0);
        if tenth && refused.insert(text.clone()) {
            event.settle(Outcome::Failed);
        } else {
            delivered.insert(text);
            event.settle(Outcome::Delivered);
        }
    }
    assert_eq!(refused.len(), 50);
    reading.stop()
}

pub fn a_late_outcome_is_not_skipped<C: Connector>() -> Result<()> {
    if !C::PROMISES.acks {
        return Ok(());
    }
    let mut server = C::start()?;
    server.prepare("late")?;
    let reading = Reading::start(server.source("late"))?;
    write(server.sink("late"), 0..200)?;
    let mut held = Vec::new();
    for _ in 0..200 {
        let event = reading.next();
        match event.payload().json()?["n"].as_u64() {
            Some(5 | 100) => held.push(event),
            _ => event.settle(Outcome::Delivered),
        }
    }
    assert_eq!(held.len(), 2);
    // The outcomes get home.
    std::thread::sleep(Duration::from_millis(500));
    reading.kill();
    drop(held);
    let reading = Reading::start(server.source("late"))?;
    let mut missing: BTreeSet<String> = [payload(5), payload(100)].into();
    while !missing.is_empty() {
        let event = reading.next();
        missing.remove(event.payload().text().unwrap_or("?"));
        event.settle(Outcome::Delivered);
    }
    reading.stop()
}

pub fn what_was_not_delivered_comes_to_the_next_one<C: Connector>() -> Result<()> {
    if !C::PROMISES.acks {
        return Ok(());
    }
    let mut server = C::start()?;
    server.prepare("killed")?;
    let reading = Reading::start(server.source("killed"))?;
    write(server.sink("killed"), 0..2_000)?;
    let mut seen: BTreeSet<String> = reading.take(700).into_iter().collect();
    reading.kill();
    let reading = Reading::start(server.source("killed"))?;
    while seen.len() < 2_000 {
        let event = reading.next();
        seen.insert(event.payload().text().unwrap_or("?").to_owned());
        event.settle(Outcome::Delivered);
    }
    reading.stop()
}

pub fn a_source_without_outcomes_reads_up_to_its_bound_and_resumes<C: Connector>() -> Result<()> {
    if !C::PROMISES.acks {
        return Ok(());
    }
    let mut server = C::start()?;
    server.prepare("full")?;
    let reading = Reading::start(server.source("full"))?;
    let writer = writing(server.sink("full"), 0..3_000)?;
    writer.start()?;
    // Nothing is settled for a while.
    let first = reading.next();
    std::thread::sleep(Duration::from_millis(500));
    let mut seen: BTreeSet<String> = [first.payload().text().unwrap_or("?").to_owned()].into();
    first.settle(Outcome::Delivered);
    while seen.len() < 3_000 {
        let event = reading.next();
        seen.insert(event.payload().text().unwrap_or("?").to_owned());
        event.settle(Outcome::Delivered);
    }
    writer.wait()?;
    reading.stop()
}

pub fn a_restart_of_the_server_loses_nothing<C: Connector>() -> Result<()> {
    if !C::PROMISES.durable {
        return Ok(());
    }
    let mut server = C::start()?;
    server.prepare("restarted")?;
    let reading = Reading::start(server.source("restarted"))?;
    write(server.sink("restarted"), 0..500)?;
    let mut seen: BTreeSet<String> = reading.take(250).into_iter().collect();
    server.stop()?;
    let writer = writing(server.sink("restarted"), 500..1_000)?;
    writer.start()?;
    // The sink finds out that there is no server.
    std::thread::sleep(Duration::from_millis(300));
    server.resume()?;
    while seen.len() < 1_000 {
        let event = reading.next();
        seen.insert(event.payload().text().unwrap_or("?").to_owned());
        event.settle(Outcome::Delivered);
    }
    writer.wait()?;
    reading.stop()
}

pub fn a_server_that_is_not_there_is_waited_for<C: Connector>() -> Result<()> {
    let Some((source, sink)) = C::elsewhere(free_port()) else {
        return Ok(());
    };
    let reading = Reading::start(source.clone())?;
    reading.stop()?;
    let network = Network::new();
    network.add_source("numbers", source::from_iter([payload(0)]))?;
    network.add_sink("out", connect::sink(&sink.0, &sink.1)?)?;
    network.link("numbers", "out")?;
    network.fail_fast(true);
    let error = network.start().expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let network = Network::new();
    network.add_source("in", connect::source(&source.0, &source.1)?)?;
    network.add_sink("out", sink::Discarder)?;
    network.link("in", "out")?;
    network.fail_fast(true);
    let error = network.start().expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    Ok(())
}

pub fn a_server_that_never_answers_does_not_hold_up_the_stop<C: Connector>() -> Result<()> {
    let silent = Silent::start();
    let Some((source, sink)) = C::elsewhere(silent.port()) else {
        return Ok(());
    };
    let begun = Instant::now();
    let reading = Reading::start(source)?;
    let writer = writing(sink, 0..10)?;
    writer.start()?;
    // Both find out that there is no answer.
    std::thread::sleep(Duration::from_millis(500));
    // Whether it drained is another question: events may be in hand.
    let _ = writer.stop_within(DRAIN / 2);
    let _ = reading.stop();
    let took = begun.elapsed();
    assert!(took < 3 * DRAIN, "{took:?}");
    Ok(())
}

pub fn a_wrong_password_is_an_error_that_does_not_show_it<C: Connector>() -> Result<()> {
    let server = C::start()?;
    let Some((at, password)) = server.with_wrong_password() else {
        return Ok(());
    };
    let error = Reading::start(at)
        .err()
        .expect("a wrong password")
        .to_string();
    assert!(!error.contains(password), "{error}");
    Ok(())
}

pub fn what_is_missing_is_an_error_with_a_hint<C: Connector>() -> Result<()> {
    let server = C::start()?;
    let Some((at, advice)) = server.missing() else {
        return Ok(());
    };
    let error = Reading::start(at).err().expect("it is missing").to_string();
    assert!(error.contains(advice), "{error}");
    Ok(())
}
