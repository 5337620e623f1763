//! Each fault of the original program that concerns the engine: none of them is here. (Those of
//! scripts, windows and pictures are tested with these.)

use crate::support::probe::{Log, START, Scripted, Seen, burst, soon, text, tracking};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tributary::pipeline::{Filter, FilterKey, Forwarder, RateLimit, injector, interceptor};
use tributary::sink::{Discarder, handler};
use tributary::source::Ticker;
use tributary::{Capacity, Error, Event, Network, Outcome, Result, source};

#[test]
fn fault_01_a_typo_in_a_name_is_an_error_of_link_fanout_and_fanin() -> Result<()> {
    let network = Network::new();
    network.add_source("ticker", burst(&[]))?;
    network.add_sink("printer", Discarder)?;
    assert!(network.link("tickr", "printer").is_err());
    assert!(network.fanout("ticker", ["printr"]).is_err());
    assert!(network.fanin("printer", ["ticker", "tickr"]).is_err());
    assert!(network.edges().is_empty());
    Ok(())
}

#[test]
fn fault_03_a_second_node_of_a_name_is_refused_and_wipes_nothing() -> Result<()> {
    let network = Network::new();
    network.add_source("a", burst(&["x"]))?;
    let seen = Seen::at(&network, "b")?;
    network.link("a", "b")?;
    assert!(network.add_source("a", burst(&["y"])).is_err());
    assert!(network.add_pipeline("a", Forwarder).is_err());
    assert!(network.add_sink("a", Discarder).is_err());
    assert!(network.is_connected("a", "b"));
    network.simulate(START)?;
    assert_eq!(seen.texts(), ["x"]);
    Ok(())
}

#[test]
fn fault_04_two_links_into_a_node_are_merged() -> Result<()> {
    let network = Network::with_capacity(Capacity::new().events(1).bytes(1))?;
    network.add_source("a", source::from_iter(vec!["a"; 500]))?;
    network.add_source("b", source::from_iter(vec!["b"; 500]))?;
    let seen = Seen::at(&network, "out")?;
    network.link("a", "out")?;
    network.link("b", "out")?;
    network.start()?;
    network.wait()?;
    let count = |name: &str| seen.texts().iter().filter(|text| *text == name).count();
    assert_eq!((count("a"), count("b")), (500, 500));
    Ok(())
}

#[test]
fn fault_05_two_links_from_a_node_copy_and_do_not_split() -> Result<()> {
    let network = Network::new();
    network.add_source("in", source::from_iter(["1", "2", "3"]))?;
    let (left, right) = (Seen::at(&network, "left")?, Seen::at(&network, "right")?);
    network.link("in", "left")?;
    network.link("in", "right")?;
    network.start()?;
    network.wait()?;
    assert_eq!(
        (left.texts().concat(), right.texts().concat()),
        ("123".into(), "123".into())
    );
    Ok(())
}

#[test]
fn fault_06_a_fanout_or_fanin_that_fails_half_way_leaves_nothing() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&[]))?;
    network.add_sink("out", Discarder)?;
    assert!(network.fanout("in", ["out", "nobody"]).is_err());
    assert!(network.fanin("out", ["in", "nobody"]).is_err());
    assert!(network.node_unconnected("in") && network.node_unconnected("out"));
    Ok(())
}

/// How many of this process's threads have names that begin so.
fn threads(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

#[test]
fn fault_07_fanin_and_fanout_leave_no_thread_behind() -> Result<()> {
    let network = Network::new();
    network.add_source("f07-in", burst(&["a"]))?;
    for name in ["f07-a", "f07-b", "f07-c"] {
        network.add_pipeline(name, Forwarder)?;
    }
    let seen = Seen::at(&network, "f07-out")?;
    network.fanout("f07-in", ["f07-a", "f07-b", "f07-c"])?;
    network.fanin("f07-out", ["f07-a", "f07-b", "f07-c"])?;
    network.start()?;
    assert_eq!(threads("f07-"), 5, "one for each node, none for a link");
    assert!(soon(|| seen.len() == 3));
    network.stop()?;
    assert!(soon(|| threads("f07-") == 0));
    Ok(())
}

#[test]
fn fault_08_cycles_are_refused_and_a_slow_branch_blocks_only_as_its_link_is_full() -> Result<()> {
    let network = Network::new();
    network.add_source("in", source::from_iter((0..4_000).map(|n| n.to_string())))?;
    network.add_pipeline("a", Forwarder)?;
    network.add_pipeline("b", Forwarder)?;
    network.link("a", "b")?;
    assert!(network.link("b", "a").is_err());
    let (free, held) = flume::bounded::<()>(0);
    let slow = handler(move |_| {
        let _ = held.recv();
        Ok(())
    });
    network.add_sink("slow", slow)?;
    let quick = Seen::at(&network, "quick")?;
    network.fanout("in", ["slow", "quick"])?;
    network.start()?;
    assert!(
        soon(|| quick.len() > 3_000),
        "the link to the slow one holds 4,096"
    );
    drop(free);
    network.wait()
}

#[test]
fn fault_09_a_stop_loses_nothing_and_waits() -> Result<()> {
    for _ in 0..20 {
        let network = Network::with_capacity(Capacity::new().events(2).bytes(1 << 20))?;
        let log = Log::default();
        let events: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        network.add_source("in", tracking(&events, &log))?;
        network.add_pipeline("mid", Forwarder)?;
        let seen = Seen::at(&network, "out")?;
        network.link("in", "mid")?;
        network.link("mid", "out")?;
        network.start()?;
        assert!(soon(|| seen.len() > 0));
        network.stop()?;
        assert_eq!(seen.texts(), events);
        assert!(log.lines().iter().all(|line| line.ends_with("Delivered")));
        assert_eq!(log.lines().len(), 200);
    }
    Ok(())
}

#[test]
fn fault_10_a_second_stop_is_harmless_and_a_second_start_an_error() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&["once"]))?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    assert!(network.start().is_err());
    assert!(soon(|| seen.len() > 0));
    network.stop()?;
    network.stop()?;
    assert!(network.start().is_err(), "and not nothing");
    assert_eq!(seen.len(), 1);
    Ok(())
}

#[test]
fn fault_11_what_is_not_linked_is_named_and_nodes_may_be_added_while_it_runs() -> Result<()> {
    let network = Network::new();
    network.add_pipeline("lonely", Forwarder)?;
    assert_eq!(
        network.check()[0].to_string(),
        "node lonely is not linked to anything"
    );
    network.start()?;
    let seen = Seen::default();
    network.change(|draft| {
        draft.add_source("late", burst(&["here"]))?;
        draft.add_sink("out", seen.sink())?;
        draft.link("late", "lonely")?;
        draft.link("lonely", "out")
    })?;
    assert!(soon(|| seen.len() == 1));
    network.stop()
}

#[test]
fn fault_12_what_the_network_shows_is_a_copy() -> Result<()> {
    let network = Network::new();
    network.add_pipeline("a", Forwarder)?;
    let nodes = network.nodes();
    let adds = network.clone();
    let other = std::thread::spawn(move || {
        (0..50).try_for_each(|n| adds.add_sink(&format!("s{n}"), Discarder).map(drop))
    });
    for n in 0..50 {
        network.add_pipeline(&format!("p{n}"), Forwarder)?;
        network.edges();
    }
    other.join().unwrap()?;
    assert_eq!((nodes.len(), network.nodes().len()), (1, 101));
    Ok(())
}

#[test]
fn fault_13_a_ticker_stops_at_once_and_refuses_zero() -> Result<()> {
    assert!(Ticker::new(Duration::ZERO).is_err());
    let network = Network::new();
    network.add_source("ticker", Ticker::new(Duration::from_secs(3_600))?)?;
    network.add_sink("out", Discarder)?;
    network.link("ticker", "out")?;
    network.start()?;
    let begun = Instant::now();
    network.stop()?;
    assert!(begun.elapsed() < Duration::from_secs(2));
    Ok(())
}

#[test]
fn fault_14_a_rate_limit_counts_its_drops_and_does_not_drift() -> Result<()> {
    let network = Network::new();
    network.add_pipeline("limit", RateLimit::new(Duration::from_secs(1))?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("limit", "out")?;
    let mut simulation = network.simulate(START)?;
    for n in 0..1_000 {
        // Every event comes 70 ms late: the limit goes by its own time.
        let time = START.saturating_add(Duration::from_millis(n * 100));
        simulation.set_clock(time.saturating_add(Duration::from_millis(70)));
        simulation.inject_event("limit", Event::new("x", time))?;
    }
    let times: Vec<i64> = seen.events().iter().map(|e| e.time().as_millis()).collect();
    let exact: Vec<i64> = (0..100).map(|n| START.as_millis() + n * 1_000).collect();
    assert_eq!(times, exact);
    let stats = simulation.finish()?;
    assert_eq!(
        stats.node("limit").map(|n| n.dropped["rate limit"]),
        Some(900)
    );
    Ok(())
}

#[test]
fn fault_15_events_that_fail_in_a_closure_leave_by_errors_and_are_counted() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&["a", "b"]))?;
    let refuse = |e: &Event| Err(Error::data(format!("no {}", text(e))));
    network.add_pipeline("one", interceptor(move |e| refuse(e).map(|()| true)))?;
    network.add_pipeline("many", injector(move |e| refuse(e).map(|()| Vec::new())))?;
    let bad = Seen::at(&network, "bad")?;
    network.fanout("in", ["one", "many"])?;
    network.fanin("bad", ["one.errors", "many.errors"])?;
    let stats = network.simulate(START)?.finish()?;
    let about = |key: &str| -> Vec<String> {
        let events = bad.events();
        let of = |e: &Event| {
            e.meta()
                .get(key)
                .and_then(|v| v.as_str().map(str::to_owned))
        };
        events.iter().filter_map(of).collect()
    };
    assert_eq!(about("node"), ["one", "one", "many", "many"]);
    assert_eq!(about("error"), ["no a", "no b", "no a", "no b"]);
    for node in ["one", "many"] {
        assert_eq!(stats.node(node).map(|n| n.rejected), Some(2));
    }
    Ok(())
}

#[test]
fn fault_16_a_panic_in_a_sink_costs_one_event() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&["a", "b", "c"]))?;
    let seen = Log::default();
    let saw = seen.clone();
    let sink = handler(move |e| match text(e).as_str() {
        "b" => panic!("on purpose"),
        text => {
            saw.note(text);
            Ok(())
        }
    });
    network.add_sink("out", sink)?;
    let bad = Seen::at(&network, "bad")?;
    network.link("in", "out")?;
    network.link("out.errors", "bad")?;
    network.simulate(START)?;
    assert_eq!(seen.lines(), ["a", "c"]);
    assert_eq!(bad.texts(), ["b"]);
    Ok(())
}

#[test]
fn fault_17_a_filter_remembers_only_what_was_delivered() -> Result<()> {
    let network = Network::new();
    let (sender, input) = source::channel();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    network.add_source("in", input)?;
    network.add_pipeline(
        "filter",
        Filter::new(Duration::from_secs(60), FilterKey::Payload)?,
    )?;
    let seen = Log::default();
    let saw = seen.clone();
    let sink = handler(move |e| {
        if is_broken.load(Ordering::SeqCst) {
            return Err(Error::data("the sink is down"));
        }
        saw.note(text(e));
        Ok(())
    });
    network.add_sink("out", sink)?;
    network.link("in", "filter")?;
    network.link("filter", "out")?;
    network.start()?;
    for _ in 0..50 {
        // At once, again and again: no failure may count as a duplicate, which is delivered.
        assert_eq!(sender.deliver("a")?, Outcome::Failed);
    }
    broken.store(false, Ordering::SeqCst);
    assert_eq!(sender.deliver("a")?, Outcome::Delivered);
    assert_eq!(sender.deliver("a")?, Outcome::Delivered);
    assert_eq!(seen.lines(), ["a"]);
    network.stop()
}

#[test]
fn fault_26_no_branch_sees_what_another_makes_of_an_event() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&[r#"{"n":1}"#]))?;
    let change = interceptor(|e| {
        let mut value = e.payload().json()?.clone();
        value["time"] = json!(e.time().to_string());
        Ok(e.derive(value).with_meta("changed", true))
    });
    network.add_pipeline("change", change)?;
    let (changed, plain) = (Seen::at(&network, "changed")?, Seen::at(&network, "plain")?);
    network.fanout("in", ["change", "plain"])?;
    network.link("change", "changed")?;
    network.simulate(START)?;
    assert_eq!(plain.texts(), [r#"{"n":1}"#]);
    assert_eq!(plain.events()[0].payload().json()?, &json!({"n": 1}));
    assert_eq!(plain.events()[0].meta().iter().count(), 0);
    assert_eq!(
        changed.events()[0].payload().json()?["time"],
        "1970-01-01T00:16:40Z"
    );
    Ok(())
}

#[test]
fn fault_28_an_event_is_acknowledged_once_it_was_delivered_and_not_before() -> Result<()> {
    let (network, log) = (Network::new(), Log::default());
    network.add_source("in", tracking(&["a"], &log))?;
    let mut first = true;
    let down = Scripted::new(&log).label("sink").on_commit(move |_| {
        if std::mem::take(&mut first) {
            Err(Error::data("the database is gone").retryable())
        } else {
            Ok(())
        }
    });
    network.add_sink("out", down)?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    assert_eq!(
        log.take(),
        ["sink open", "sink a", "sink commit", "sink rollback"]
    );
    simulation.advance(Duration::from_secs(1));
    assert_eq!(
        log.take(),
        ["sink open", "sink a", "sink commit", "source a Delivered"]
    );
    Ok(())
}
