//! Virtual time: the same to the byte, every instant exact.

use crate::support::probe::{Log, START, Scripted, Seen, burst, text};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tributary::pipeline::{Filter, FilterKey, Forwarder, RateLimit, interceptor};
use tributary::source::Ticker;
use tributary::time::Timestamp;
use tributary::{Event, Network, Result, Simulation};

const SECOND: Duration = Duration::from_secs(1);

/// Three tickers into limits and filters, three hours of it, with every event's text and instant.
fn busy_hours() -> Result<Vec<String>> {
    let network = Network::new();
    for (name, millis) in [("quick", 700), ("slow", 1_100), ("odd", 1_700)] {
        network.add_source(name, Ticker::new(Duration::from_millis(millis))?)?;
    }
    network.add_pipeline("limit", RateLimit::new(5 * SECOND)?)?;
    let filter = Filter::new(7 * SECOND, FilterKey::Fields(vec!["tick".into()]))?;
    network.add_pipeline("filter", filter)?;
    network.add_pipeline(
        "all",
        interceptor(|e| Ok(e.derive(format!("{} {}", e.time(), text(e))))),
    )?;
    let seen = Seen::at(&network, "out")?;
    network.fanout("quick", ["limit", "filter"])?;
    network.fanout("slow", ["filter", "limit"])?;
    network.fanin("all", ["limit", "filter", "odd"])?;
    network.link("all", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(3 * 60 * 60));
    let mut lines = seen.texts();
    let stats = simulation.finish()?;
    assert_eq!(stats.breaches(), [""; 0]);
    lines.extend(
        stats
            .nodes
            .iter()
            .map(|n| format!("{} {} {:?}", n.name, n.emitted, n.dropped)),
    );
    Ok(lines)
}

#[test]
fn two_runs_are_equal_to_the_byte() -> Result<()> {
    let once = busy_hours()?;
    assert!(once.len() > 10_000, "{}", once.len());
    assert_eq!(once, busy_hours()?);
    Ok(())
}

#[test]
fn a_day_passes_in_a_moment() -> Result<()> {
    let network = Network::new();
    network.add_source("ticker", Ticker::new(10 * SECOND)?)?;
    network.add_pipeline("mid", Forwarder)?;
    let seen = Seen::at(&network, "out")?;
    network.link("ticker", "mid")?;
    network.link("mid", "out")?;
    let mut simulation = network.simulate(START)?;
    let begun = Instant::now();
    simulation.advance(Duration::from_secs(86_400));
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(seen.len(), 8_640);
    assert_eq!(
        simulation.now(),
        START.saturating_add(Duration::from_secs(86_400))
    );
    Ok(())
}

#[test]
fn a_ticker_ticks_at_exact_instants() -> Result<()> {
    let network = Network::new();
    network.add_source("ticker", Ticker::new(Duration::from_millis(1_500))?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("ticker", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_micros(1_499_999));
    assert_eq!(seen.len(), 0);
    assert_eq!(
        simulation.next_wake(),
        Some(START.saturating_add(Duration::from_millis(1_500)))
    );
    simulation.advance(Duration::from_micros(1));
    assert_eq!(
        seen.texts(),
        [r#"{"tick":1,"time":"1970-01-01T00:16:41.5Z"}"#]
    );
    simulation.advance(3 * SECOND);
    let times: Vec<i64> = seen.events().iter().map(|e| e.time().as_millis()).collect();
    assert_eq!(times, [1_001_500, 1_003_000, 1_004_500]);
    Ok(())
}

#[test]
fn a_ticker_keeps_ticking_when_the_clock_is_set_back_or_far_forward() -> Result<()> {
    let network = Network::new();
    network.add_source("ticker", Ticker::new(10 * SECOND)?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("ticker", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(10 * SECOND);
    assert_eq!(seen.len(), 1);
    simulation.set_clock(START.saturating_sub(Duration::from_secs(500)));
    simulation.advance(10 * SECOND);
    assert_eq!(seen.len(), 2, "it ticks within an interval of the new time");
    simulation.set_clock(START.saturating_add(Duration::from_secs(90_000)));
    assert_eq!(seen.len(), 3, "what was missed is left out");
    simulation.advance(10 * SECOND);
    assert_eq!(seen.len(), 4);
    Ok(())
}

/// Injects events of these instants (milliseconds after the start) and says which passed.
fn passed(simulation: &mut Simulation, seen: &Seen, millis: &[i64]) -> Result<Vec<i64>> {
    let before = seen.len();
    for &at in millis {
        let time = Timestamp::from_micros(START.as_micros() + at * 1_000);
        simulation.set_clock(time);
        simulation.inject_event("node", Event::new("same", time))?;
    }
    let new = &seen.events()[before..];
    Ok(new
        .iter()
        .map(|e| e.time().as_millis() - START.as_millis())
        .collect())
}

#[test]
fn a_rate_limit_counts_from_the_event_that_passed_also_when_the_clock_is_set_back() -> Result<()> {
    let network = Network::new();
    network.add_pipeline("node", RateLimit::new(SECOND)?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("node", "out")?;
    let mut simulation = network.simulate(START)?;
    let passes = passed(
        &mut simulation,
        &seen,
        &[0, 999, 1_000, 1_500, 1_999, 2_000, 2_999, 3_000],
    )?;
    assert_eq!(passes, [0, 1_000, 2_000, 3_000]);
    // An hour back: at once, and not after an hour.
    let passes = passed(&mut simulation, &seen, &[-600_000, -599_500, -599_000])?;
    assert_eq!(passes, [-600_000, -599_000]);
    let stats = simulation.finish()?;
    assert_eq!(stats.node("node").map(|n| n.dropped["rate limit"]), Some(5));
    Ok(())
}

#[test]
fn a_filter_is_exact_also_when_the_clock_is_set_back() -> Result<()> {
    let network = Network::new();
    network.add_pipeline("node", Filter::new(SECOND, FilterKey::Payload)?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("node", "out")?;
    let mut simulation = network.simulate(START)?;
    let passes = passed(&mut simulation, &seen, &[0, 1, 999, 1_000, 1_999, 2_000])?;
    assert_eq!(passes, [0, 1_000, 2_000]);
    let passes = passed(&mut simulation, &seen, &[-600_000, -599_500, -599_000])?;
    assert_eq!(passes, [-600_000, -599_000]);
    // Nothing of the time that the clock was ahead is kept: it wakes once more and is empty.
    assert_eq!(
        simulation.next_wake(),
        Some(START.saturating_sub(Duration::from_secs(598)))
    );
    simulation.advance(SECOND);
    assert_eq!(simulation.next_wake(), None);
    Ok(())
}

#[test]
fn wakes_happen_in_order_of_their_instants() -> Result<()> {
    let (network, log) = (Network::new(), Log::default());
    for (name, periods) in [("a", [3, 8]), ("b", [1, 8]), ("c", [2, 5])] {
        let due = Arc::new(Mutex::new(
            periods.map(|s| START.saturating_add(s * SECOND)).to_vec(),
        ));
        let (wake, log) = (due.clone(), log.clone());
        let node = Scripted::new(&Log::default())
            .on_wake(move || wake.lock().unwrap().first().copied())
            .on_tick(move |cx| {
                due.lock().unwrap().remove(0);
                log.note(format!("{name} at {}", cx.now().since(START).as_secs()));
                Ok(())
            });
        network.add_pipeline(name, node)?;
    }
    network.simulate(START)?.advance(Duration::from_secs(100));
    assert_eq!(
        log.lines(),
        ["b at 1", "c at 2", "a at 3", "c at 5", "a at 8", "b at 8"]
    );
    Ok(())
}

#[test]
fn what_is_injected_flows_to_its_end_at_once() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&[]))?;
    network.add_pipeline("mid", Forwarder)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "mid")?;
    network.link("mid", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.inject("in", "from the source")?;
    simulation.inject("mid", "into the middle")?;
    simulation.inject("out", "at the end")?;
    assert_eq!(
        seen.texts(),
        ["from the source", "into the middle", "at the end"]
    );
    assert!(seen.events().iter().all(|e| e.time() == START));
    let error = simulation.inject("mdi", "x").unwrap_err().to_string();
    assert_eq!(error, "no node \"mdi\"; did you mean \"mid\"?");
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_node_that_cannot_open_cannot_be_simulated() -> Result<()> {
    let network = Network::new();
    let closed = Scripted::new(&Log::default()).on_open(|| Err(tributary::Error::data("no")));
    network.add_pipeline("p", closed)?;
    let error = network.simulate(START).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("node p: no"));
    Ok(())
}
