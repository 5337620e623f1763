//! A node that panics again and again has failed: what waits for it is told, and nothing is dropped.

use crate::support::probe::{Log, START, Scripted, Seen, text, tracking};
use tributary::{Network, OnError, Result, Simulation};

/// `in -> node -> out` with tracked events, and a node that panics on each that begins with `p`.
fn around(
    payloads: &[&str],
    limit: Option<u32>,
    all: bool,
) -> Result<(Simulation, Log, Log, Seen)> {
    let (log, told) = (Log::default(), Log::default());
    let network = Network::new();
    if let Some(limit) = limit {
        network.set_panic_limit(limit);
    }
    network.add_source("in", tracking(payloads, &told))?;
    let node = Scripted::new(&log).on_event(|event, cx| {
        assert!(!text(event).starts_with('p'), "on purpose");
        cx.pass();
        Ok(())
    });
    network.add_pipeline("node", node)?;
    Seen::at(&network, "out")?;
    network.link("in", "node")?;
    network.link("node", "out")?;
    let bad = Seen::at(&network, "bad")?;
    if all {
        network.on_error("*", OnError::to("bad"))?;
    }
    Ok((network.simulate(START)?, log, told, bad))
}

#[test]
fn ten_panics_in_a_row_make_a_node_failed_and_what_comes_then_counts_as_failed() -> Result<()> {
    let payloads: Vec<String> = (0..14).map(|n| format!("p{n}")).collect();
    let mut payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    payloads.push("well");
    let (simulation, log, told, bad) = around(&payloads, None, true)?;
    // It was rejected ten times and then not called any more.
    assert_eq!(bad.len(), 10);
    assert_eq!(
        log.lines()
            .iter()
            .filter(|line| line.starts_with('p'))
            .count(),
        10
    );
    assert_eq!(log.count("well"), 0);
    assert_eq!(
        told.count("source p9 Delivered"),
        1,
        "that is among the dead letters"
    );
    for lost in ["p10", "p13", "well"] {
        assert_eq!(told.count(&format!("source {lost} Failed")), 1, "{lost}");
    }
    let stats = simulation.stats();
    let node = stats.node("node").unwrap();
    assert!(node.failed);
    assert_eq!((node.received, node.rejected, node.held), (15, 15, 0));
    assert!(!stats.node("out").unwrap().failed);
    assert!(stats.to_string().contains(" failed\n"));
    assert_eq!(stats.breaches(), [""; 0]);
    assert_eq!(
        simulation.finish().unwrap_err().to_string(),
        "node node: panicked 10 times in a row and has failed; the last time it panicked: on purpose"
    );
    Ok(())
}

#[test]
fn panics_with_something_good_between_them_are_only_rejections() -> Result<()> {
    let payloads: Vec<&str> = ["p", "p", "p", "well"].repeat(10);
    let (simulation, _, told, bad) = around(&payloads, Some(4), true)?;
    assert_eq!(bad.len(), 30);
    assert_eq!(told.count("source well Delivered"), 10);
    let stats = simulation.finish()?;
    assert!(!stats.node("node").unwrap().failed);
    Ok(())
}

#[test]
fn the_limit_can_be_set_and_nothing_is_dropped_where_nothing_handles_errors() -> Result<()> {
    let (simulation, log, told, _) = around(&["p1", "p2", "p3"], Some(2), false)?;
    assert_eq!(
        log.lines()
            .iter()
            .filter(|line| line.starts_with('p'))
            .count(),
        2
    );
    assert_eq!(told.lines().len(), 3);
    assert!(told.lines().iter().all(|line| line.ends_with("Failed")));
    assert!(simulation.finish().is_err());
    Ok(())
}

#[test]
fn a_panic_that_goes_away_on_a_further_attempt_does_not_count() -> Result<()> {
    let mut calls = 0;
    let network = Network::new();
    network.add_source("in", tracking(&["a"; 30], &Log::default()))?;
    let node = Scripted::new(&Log::default()).on_event(move |_, _| {
        calls += 1;
        assert!(calls % 2 == 0, "every second time");
        Ok(())
    });
    network.add_sink("node", node)?;
    network.link("in", "node")?;
    network.on_error("node", OnError::retry(1))?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(std::time::Duration::from_secs(60));
    let stats = simulation.finish()?;
    let node = stats.node("node").unwrap();
    assert_eq!((node.consumed, node.rejected, node.failed), (30, 0, false));
    Ok(())
}
