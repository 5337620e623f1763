//! The law of the account: nothing is lost without a line that says so, in any network, whenever
//! it ends.

use crate::support::probe::{Log, START, Seen, text, tracking};
use proptest::prelude::*;
use std::time::Duration;
use tributary::pipeline::{Filter, FilterKey, Forwarder, RateLimit, injector, interceptor};
use tributary::sink::handler;
use tributary::{Capacity, Error, Network, OnError, Result, Stats, source};

/// What a node in the middle does.
#[derive(Debug, Clone, Copy)]
enum Does {
    Forward,
    Filter,
    Limit,
    DropSome,
    FailSome,
    PanicSome,
    Double,
    Consume,
}

/// A random network: what each node does, and from which nodes before it (by number, modulo) it
/// gets its events.
#[derive(Debug, Clone)]
struct Plan {
    capacity: usize,
    events: usize,
    sources: usize,
    middle: Vec<(Does, Vec<usize>, bool)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let does = prop_oneof![
        3 => Just(Does::Forward),
        1 => Just(Does::Filter),
        1 => Just(Does::Limit),
        1 => Just(Does::DropSome),
        1 => Just(Does::FailSome),
        1 => Just(Does::PanicSome),
        1 => Just(Does::Double),
        1 => Just(Does::Consume),
    ];
    let node = (
        does,
        prop::collection::vec(0..100_usize, 1..4),
        any::<bool>(),
    );
    let middle = prop::collection::vec(node, 0..12);
    (1..17_usize, 0..600_usize, 1..3_usize, middle).prop_map(
        |(capacity, events, sources, middle)| Plan {
            capacity,
            events,
            sources,
            middle,
        },
    )
}

fn every(n: usize, event: &tributary::Event) -> bool {
    text(event)
        .parse::<usize>()
        .is_ok_and(|number| number % n == 0)
}

fn build(plan: &Plan, endless: bool) -> Result<Network> {
    let capacity = Capacity::new().events(plan.capacity).bytes(1 << 20);
    let network = Network::with_capacity(capacity)?;
    // Some nodes get little else than what they panic at.
    network.set_panic_limit(u32::MAX);
    let mut names = Vec::new();
    for n in 0..plan.sources {
        let events = if endless { usize::MAX } else { plan.events };
        names.push(format!("source{n}"));
        network.add_source(
            &names[n],
            source::from_iter((0..events).map(|n| n.to_string())),
        )?;
    }
    for (n, (does, from, errors)) in plan.middle.iter().enumerate() {
        let name = format!("node{n}");
        match does {
            Does::Forward => network.add_pipeline(&name, Forwarder),
            Does::Filter => {
                let key = FilterKey::Payload;
                network.add_pipeline(&name, Filter::new(Duration::from_secs(1), key)?)
            }
            Does::Limit => network.add_pipeline(&name, RateLimit::new(Duration::from_micros(50))?),
            Does::DropSome => network.add_pipeline(&name, interceptor(|e| Ok(!every(3, e)))),
            Does::FailSome => network.add_pipeline(
                &name,
                interceptor(|e| {
                    if every(5, e) {
                        Err(Error::data("every fifth"))
                    } else {
                        Ok(true)
                    }
                }),
            ),
            Does::PanicSome => network.add_pipeline(
                &name,
                interceptor(|e| {
                    if every(101, e) {
                        std::panic::resume_unwind(Box::new("quietly"))
                    } else {
                        Ok(true)
                    }
                }),
            ),
            Does::Double => network.add_pipeline(&name, injector(|e| Ok([e.clone(), e.clone()]))),
            Does::Consume => {
                network.add_pipeline(&name, injector(|e| Ok(every(2, e).then(|| e.clone()))))
            }
        }?;
        let mut linked = Vec::new();
        for from in from {
            let from = &names[from % names.len()];
            if !linked.contains(&from) {
                network.link(from, &name)?;
                linked.push(from);
            }
        }
        if *errors {
            network.add_sink(&format!("errors{n}"), handler(|_| Ok(())))?;
            network.link(format!("{name}.errors"), format!("errors{n}"))?;
        }
        names.push(name);
    }
    Seen::at(&network, "out")?;
    let last = names.len().saturating_sub(3);
    network.fanin("out", &names[last..])?;
    Ok(network)
}

/// The law, written out, beside what the engine itself finds.
fn lawful(stats: &Stats) -> std::result::Result<(), TestCaseError> {
    prop_assert_eq!(stats.breaches(), Vec::<String>::new());
    for node in &stats.nodes {
        let dropped: u64 = node.dropped.values().sum();
        let ended = node.passed + node.consumed + dropped + node.rejected;
        prop_assert_eq!(node.received, ended, "node {}", &node.name);
        prop_assert_eq!(node.held, 0);
        let sent = stats.links.iter().filter(|link| link.to == node.name);
        prop_assert_eq!(node.received, sent.map(|link| link.sent).sum::<u64>());
    }
    for link in &stats.links {
        prop_assert_eq!((link.sent, link.queued, link.lost), (link.received, 0, 0));
        let node = stats.node(link.from.node.as_str());
        prop_assert!(node.is_some_and(|node| link.sent <= node.emitted));
    }
    Ok(())
}

fn failed(error: Error) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_account_balances_in_a_simulation(plan in plan()) {
        let network = build(&plan, false).map_err(failed)?;
        let mut simulation = network.simulate(START).map_err(failed)?;
        simulation.advance(Duration::from_secs(5));
        lawful(&simulation.finish().map_err(failed)?)?;
    }

    #[test]
    fn the_account_balances_when_a_finite_network_has_ended(plan in plan()) {
        let network = build(&plan, false).map_err(failed)?;
        network.start().map_err(failed)?;
        network.wait().map_err(failed)?;
        lawful(&network.stats())?;
    }

    #[test]
    fn the_account_balances_after_a_stop_at_any_moment(plan in plan(), micros in 0..20_000_u64) {
        let network = build(&plan, true).map_err(failed)?;
        network.start().map_err(failed)?;
        // The moment of the stop is what is tried.
        std::thread::sleep(Duration::from_micros(micros));
        let running = network.stats();
        for node in &running.nodes {
            let dropped: u64 = node.dropped.values().sum();
            prop_assert!(node.passed + node.consumed + dropped + node.rejected <= node.received);
        }
        network.stop().map_err(failed)?;
        lawful(&network.stats())?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn each_event_of_a_source_has_exactly_one_outcome(plan in plan(), retry in 0..3_u32) {
        let network = build(&plan, false).map_err(failed)?;
        let log = Log::default();
        let payloads: Vec<String> = (0..plan.events).map(|n| format!("{n}")).collect();
        let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
        network.add_source("tracked", tracking(&payloads, &log)).map_err(failed)?;
        let first = if plan.middle.is_empty() { "out" } else { "node0" };
        network.link("tracked", first).map_err(failed)?;
        network.add_sink("letters", handler(|_| Ok(()))).map_err(failed)?;
        let quick = OnError::retry(retry).backoff(MS, MS).after("letters");
        network.on_error("*", quick).map_err(failed)?;
        network.start().map_err(failed)?;
        network.stop().map_err(failed)?;
        let stats = network.stats();
        lawful(&stats)?;
        let node = stats.node("tracked").unwrap();
        prop_assert_eq!(node.tracked, log.lines().len() as u64);
        // Whatever fails somewhere is among the letters, and so delivered.
        prop_assert_eq!(node.tracked, node.delivered);
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_account_is_a_table_with_a_line_for_each_node_and_link() -> Result<()> {
    let network = Network::new();
    network.add_source("numbers", source::from_iter(["1", "2", "3"]))?;
    network.add_pipeline("odd", interceptor(|e| Ok(!every(2, e))))?;
    network.add_sink("a-sink-of-a-long-name", handler(|_| Err(Error::data("no"))))?;
    network.link("numbers", "odd")?;
    network.link("odd", "a-sink-of-a-long-name")?;
    network.start()?;
    network.wait()?;
    let table = network.stats().to_string();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 1 + 3 + 1 + 2, "{table}");
    assert_eq!(rows[0][..4], ["node", "received", "passed", "consumed"]);
    assert_eq!(rows[1][..8], ["numbers", "0", "0", "0", "0", "0", "0", "3"]);
    assert_eq!(rows[2][..8], ["odd", "3", "2", "0", "1", "0", "0", "2"]);
    assert_eq!(
        rows[3][..8],
        ["a-sink-of-a-long-name", "2", "0", "0", "0", "2", "0", "0"]
    );
    assert_eq!(rows[5][..7], ["numbers", "->", "odd", "3", "3", "0", "0"]);
    let widths: Vec<usize> = table.lines().take(4).map(|l| l.chars().count()).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
    Ok(())
}
