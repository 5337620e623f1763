//! A sink behind a file source that keeps its place: the claims of `conformance`, for brokers.

use super::super::Connector;
use super::{PATIENCE, Reading, payload, sorted, texts};
use std::path::Path;
use std::time::Duration;
use tributary::source::{Follow, LineSource};
use tributary::{Error, Network, Result, connect};

/// A file of so many lines in a directory of its own.
fn lines(many: usize) -> (tempfile::TempDir, usize) {
    let place = tempfile::tempdir().expect("a directory");
    let text: String = (0..many).map(|n| format!("{}\n", payload(n))).collect();
    std::fs::write(place.path().join("in"), &text).expect("written");
    (place, text.len())
}

fn network<C: Connector>(server: &C, place: &Path, name: &str) -> Result<Network> {
    let (url, options) = server.sink(name);
    let network = Network::new();
    let source = LineSource::file(place.join("in"), Follow::No).checkpoint(place.join("place"));
    network.add_source("in", source)?;
    network.add_sink("out", connect::sink(&url, &options)?)?;
    network.link("in", "out")?;
    Ok(network)
}

fn ends(network: &Network) -> Result<()> {
    network.start()?;
    let ended = network.wait_timeout(2 * PATIENCE);
    ended.unwrap_or_else(|| Err(Error::data("it does not end by itself")))
}

fn is_at(place: &Path, offset: usize) -> bool {
    let text = std::fs::read_to_string(place.join("place")).unwrap_or_default();
    text.contains(&format!("\"offset\":{offset}"))
}

pub fn behind_a_checkpoint_it_ends_by_itself_and_its_place_is_the_end<C: Connector>() -> Result<()>
{
    let mut server = C::start()?;
    server.prepare("placed")?;
    let (place, size) = lines(300);
    let reading = Reading::start(server.source("placed"))?;
    ends(&network(&server, place.path(), "placed")?)?;
    assert!(is_at(place.path(), size), "its place is not the end");
    assert_eq!(sorted(reading.take(300)), sorted(texts(0..300)));
    reading.stop()
}

pub fn behind_a_checkpoint_a_stop_in_the_middle_loses_nothing<C: Connector>() -> Result<()> {
    let mut server = C::start()?;
    server.prepare("stopped")?;
    let (place, size) = lines(3_000);
    let reading = Reading::start(server.source("stopped"))?;
    let first = network(&server, place.path(), "stopped")?;
    first.start()?;
    let written = || first.stats().node("out").map_or(0, |out| out.consumed);
    while written() == 0 && first.wait_timeout(Duration::from_millis(1)).is_none() {}
    first.stop()?;
    drop(first);
    ends(&network(&server, place.path(), "stopped")?)?;
    assert!(is_at(place.path(), size), "its place is not the end");
    assert_eq!(sorted(reading.take(3_000)), sorted(texts(0..3_000)));
    reading.stop()
}
