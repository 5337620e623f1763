//! A sink behind a file source with a checkpoint, whose server refuses one event: the claims of
//! `conformance`, for brokers.

use super::super::{At, Connector, Refusal};
use super::{PATIENCE, Reading};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tributary::sink::DeadLetterSink;
use tributary::source::{Follow, LineSource};
use tributary::store::{DeadLetters, LetterFilter};
use tributary::{Error, Network, OnError, Outcome, Result, connect};

const MANY: u64 = 40;
/// The event that the server refuses.
const REFUSED: u64 = 13;
/// After so much silence nothing more is expected.
const SILENCE: Duration = Duration::from_millis(500);

/// A file of events in a directory of its own.
struct Input {
    directory: tempfile::TempDir,
    size: usize,
}

impl Input {
    /// The refused event goes to `bad` and has so many bytes more than the others, which go to `good`.
    fn new(padding: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let event = |n| match n {
            REFUSED => {
                let padding = "x".repeat(padding);
                format!("{{\"n\":{n},\"to\":\"bad\",\"padding\":\"{padding}\"}}\n")
            }
            _ => format!("{{\"n\":{n},\"to\":\"good\"}}\n"),
        };
        let text: String = (0..MANY).map(event).collect();
        std::fs::write(directory.path().join("in"), &text).expect("written");
        let size = text.len();
        Input { directory, size }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn network(&self, sink: &At) -> Result<Network> {
        let network = Network::new();
        network.set_max_event_bytes(8 << 20);
        let source = LineSource::file(self.path("in"), Follow::No).checkpoint(self.path("offset"));
        network.add_source("in", source)?;
        network.add_sink("out", connect::sink(&sink.0, &sink.1)?)?;
        network.link("in", "out")?;
        Ok(network)
    }

    fn is_at_its_end(&self) -> bool {
        let text = std::fs::read_to_string(self.path("offset")).unwrap_or_default();
        text.contains(&format!("\"offset\":{}", self.size))
    }
}

/// What the sources read: numbers in the order of each source, those of `good` first.
struct Readers {
    readings: Vec<Reading>,
    numbers: Vec<u64>,
}

impl Readers {
    /// Starts the first source. What the others read may be refused to them too for now.
    fn start<C: Connector>(server: &C, name: &str) -> Result<Self> {
        let mut sources = server.picky_sources(name);
        Ok(Readers {
            readings: vec![Reading::start(sources.remove(0))?],
            numbers: Vec::new(),
        })
    }

    fn start_others<C: Connector>(&mut self, server: &C, name: &str) -> Result<()> {
        for source in server.picky_sources(name).into_iter().skip(1) {
            self.readings.push(Reading::start(source)?);
        }
        Ok(())
    }

    /// Takes what has come; waits for so much of it.
    fn take(&mut self, many: usize) {
        let until = Instant::now() + PATIENCE;
        while self.numbers.len() < many {
            assert!(Instant::now() < until, "only {:?} came", self.numbers);
            self.take_for(Duration::from_millis(10));
        }
    }

    fn take_for(&mut self, silence: Duration) {
        for reading in &self.readings {
            while let Some(event) = reading.events.recv_timeout(silence) {
                let n = event
                    .payload()
                    .json()
                    .ok()
                    .and_then(|json| json["n"].as_u64());
                self.numbers.push(n.expect("a number"));
                event.settle(Outcome::Delivered);
            }
        }
    }

    /// All that came, once nothing more does.
    fn finish(mut self, many: usize) -> Result<Vec<u64>> {
        self.take(many);
        self.take_for(SILENCE);
        for reading in self.readings {
            reading.stop()?;
        }
        Ok(self.numbers)
    }
}

fn counts(numbers: &[u64]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    numbers
        .iter()
        .for_each(|n| *counts.entry(*n).or_default() += 1);
    counts
}

fn each_once() -> BTreeMap<u64, usize> {
    (0..MANY).map(|n| (n, 1)).collect()
}

fn ended(network: &Network) -> Result<()> {
    let ended = network.wait_timeout(2 * PATIENCE);
    ended.unwrap_or_else(|| {
        let stats = network.stats();
        network.abort();
        Err(Error::data(format!("it does not end by itself:\n{stats}")))
    })
}

/// Runs a network until its refused event was refused at least once and then taken; gives what was
/// read, in order, and the network.
fn refused_once<C: Connector>(
    name: &str,
    prepare: impl FnOnce(&Network) -> Result<()>,
) -> Result<Option<(Vec<u64>, Network)>> {
    let mut server = C::start()?;
    let Some(padding) = server.refuse(name, Refusal::Once)? else {
        return Ok(None);
    };
    let input = Input::new(padding);
    let mut readers = Readers::start(&server, name)?;
    let network = input.network(&server.picky_sink(name))?;
    prepare(&network)?;
    network.start()?;
    readers.take(MANY as usize - 1);
    server.relent(name)?;
    readers.start_others(&server, name)?;
    ended(&network)?;
    let numbers = readers.finish(MANY as usize)?;
    assert!(input.is_at_its_end(), "its offset is not the end");
    Ok(Some((numbers, network)))
}

pub fn an_event_that_failed_once_is_delivered_when_its_source_sends_it_again<C: Connector>()
-> Result<()> {
    let Some((numbers, network)) = refused_once::<C>("again", |_| Ok(()))? else {
        return Ok(());
    };
    assert_eq!(counts(&numbers), each_once(), "{numbers:?}");
    let rejected = network.stats().node("out").map(|out| out.rejected);
    assert!(rejected > Some(0), "it was never refused");
    Ok(())
}

pub fn an_event_that_is_tried_again_in_place_is_delivered_once_and_the_others_keep_their_order<
    C: Connector,
>() -> Result<()> {
    let pause = Duration::from_millis(20);
    let again = OnError::retry(1_000).backoff(pause, pause).jitter(false);
    let done = refused_once::<C>("inplace", |network| network.on_error("out", again))?;
    let Some((numbers, network)) = done else {
        return Ok(());
    };
    assert_eq!(counts(&numbers), each_once(), "{numbers:?}");
    let others: Vec<u64> = numbers.into_iter().filter(|n| *n != REFUSED).collect();
    assert!(others.is_sorted(), "{others:?}");
    let rejected = network.stats().node("out").map(|out| out.rejected);
    assert_eq!(rejected, Some(0));
    Ok(())
}

/// The numbers of the events among the dead letters.
fn letters(path: &Path) -> Result<Vec<u64>> {
    let letters = DeadLetters::file(path);
    let listed = letters.list(&LetterFilter::default(), 1)?;
    let mut numbers = Vec::new();
    for letter in listed {
        let payload = letters.get(letter.id)?.payload;
        let json: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        numbers.extend(json["n"].as_u64());
    }
    Ok(numbers)
}

pub fn an_event_that_always_fails_goes_to_the_dead_letters<C: Connector>() -> Result<()> {
    for again in [OnError::retry(0), OnError::retry(2)] {
        let mut server = C::start()?;
        let Some(padding) = server.refuse("letters", Refusal::Always)? else {
            return Ok(());
        };
        let input = Input::new(padding);
        let mut readers = Readers::start(&server, "letters")?;
        readers.start_others(&server, "letters")?;
        let network = input.network(&server.picky_sink("letters"))?;
        network.add_sink("letters", DeadLetterSink::file(input.path("letters")))?;
        let pause = Duration::from_millis(5);
        network.on_error("out", again.backoff(pause, pause).after("letters"))?;
        network.start()?;
        readers.take(MANY as usize - 1);
        ended(&network)?;
        drop(network);
        assert!(input.is_at_its_end(), "its offset is not the end");
        let numbers = readers.finish(MANY as usize - 1)?;
        let mut expected = each_once();
        expected.remove(&REFUSED);
        assert_eq!(counts(&numbers), expected, "{numbers:?}");
        assert_eq!(letters(&input.path("letters"))?, [REFUSED]);
    }
    Ok(())
}
