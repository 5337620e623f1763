//! What is too large for an event.

use super::{Connector, PATIENCE, Reading, payload, write};
use crate::support::probe::Seen;
use crate::support::wait::eventually;
use serde_json::json;
use tributary::sink;
use tributary::{Network, Outcome, Result, connect, source};

const LIMIT: usize = 2_000;

/// Its head leaves by `errors`, and it does not come again.
pub fn an_event_that_is_too_large_leaves_its_head_its_size_and_its_hash<C: Connector>() -> Result<()>
{
    let mut server = C::start()?;
    server.prepare("large")?;
    let network = Network::new();
    network.set_max_event_bytes(LIMIT);
    let (events, out) = sink::channel();
    let at = server.source("large");
    network.add_source("in", connect::source(&at.0, &at.1)?)?;
    network.add_sink("out", out.settled_by_host())?;
    let bad = Seen::at(&network, "bad")?;
    network.link("in", "out")?;
    network.link("in.errors", "bad")?;
    network.start()?;
    let reading = Reading { network, events };
    write(server.sink("large"), 0..1)?;
    let large = format!(
        "{{\"n\":9,\"customer\":\"c\",\"large\":\"{}\"}}",
        "x".repeat(8_000)
    );
    let writing = Network::new();
    writing.add_source("one", source::from_iter([large.clone()]))?;
    let at = server.sink("large");
    writing.add_sink("out", connect::sink(&at.0, &at.1)?)?;
    writing.link("one", "out")?;
    writing.start()?;
    writing.wait()?;
    let rejected = writing.stats().node("out").map(|node| node.rejected);
    assert_eq!(rejected, Some(0), "what was written");
    write(server.sink("large"), 1..2)?;
    assert_eq!(reading.take(2), [payload(0), payload(1)]);
    eventually("an event at the port errors", || bad.len() > 0);
    let refused = bad.events();
    let refused = refused.first().expect("what is refused leaves by errors");
    assert_eq!(refused.payload().bytes(), &large.as_bytes()[..4_096]);
    let meta = |key: &str| refused.meta().get(key).cloned().unwrap_or_default();
    let hash = xxhash_rust::xxh3::xxh3_128(large.as_bytes());
    assert_eq!(meta("size"), json!(large.len()));
    assert_eq!(meta("xxh3"), json!(format!("{hash:032x}")));
    reading.stop()?;

    // Where nobody listens at errors either.
    let network = Network::new();
    network.set_max_event_bytes(LIMIT);
    let (events, out) = sink::channel();
    let at = server.source("large");
    network.add_source("in", connect::source(&at.0, &at.1)?)?;
    network.add_sink("out", out.settled_by_host())?;
    network.link("in", "out")?;
    network.start()?;
    write(server.sink("large"), 2..3)?;
    let event = events.recv_timeout(PATIENCE).expect("an event");
    event.settle(Outcome::Delivered);
    let again = network.stats().node("in").map(|node| node.refused);
    assert_eq!(again, Some(0), "it has come again");
    Reading { network, events }.stop()
}
