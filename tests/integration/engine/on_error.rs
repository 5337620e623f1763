//! `on_error`: what is tried again, in which order, and where it goes after that.

use crate::support::probe::{Log, START, Scripted, Seen, burst, soon, text, tracking};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tributary::pipeline::Forwarder;
use tributary::sink::Discarder;
use tributary::{Error, Network, OnError, Result, Runtime, source};

const MS: Duration = Duration::from_millis(1);

/// A node that fails each event with this text the first `times`.
fn failing(bad: &'static str, times: u32, log: &Log) -> Scripted {
    let mut left = times;
    Scripted::new(log).on_event(move |event, cx| {
        cx.pass();
        if text(event) == bad && left > 0 {
            left -= 1;
            return Err(Error::data("not now").at("net.lua:9"));
        }
        Ok(())
    })
}

/// `burst -> node -> out`, and a sink `bad` that nothing leads to.
fn around(payloads: &[&str], node: Scripted) -> Result<(Network, Seen, Seen)> {
    let network = Network::new();
    network.add_source("burst", burst(payloads))?;
    network.add_pipeline("node", node)?;
    let out = Seen::at(&network, "out")?;
    let bad = Seen::at(&network, "bad")?;
    network.link("burst", "node")?;
    network.link("node", "out")?;
    Ok((network, out, bad))
}

fn five() -> OnError {
    OnError::retry(5).jitter(false)
}

#[test]
fn an_event_is_tried_again_in_its_place_and_the_order_is_kept() -> Result<()> {
    let log = Log::default();
    let (network, out, bad) = around(&["a", "b", "c"], failing("b", 2, &log))?;
    network.on_error("node", five().after("bad"))?;
    let mut simulation = network.simulate(START)?;
    assert_eq!(log.take(), ["open", "a", "b", "commit"]);
    assert_eq!(out.texts(), ["a"], "what came before it does not wait");
    simulation.advance(99 * MS);
    assert_eq!(log.take(), [""; 0], "virtual time passes, not real time");
    simulation.advance(MS);
    assert_eq!(log.take(), ["b", "commit"]);
    simulation.advance(200 * MS);
    assert_eq!(
        log.take(),
        ["b", "c", "commit"],
        "and it is not opened again"
    );
    assert_eq!(out.texts(), ["a", "b", "c"]);
    assert_eq!(bad.len(), 0);
    let stats = simulation.finish()?;
    assert_eq!(stats.breaches(), [""; 0]);
    let node = stats.node("node").unwrap();
    assert_eq!((node.received, node.passed, node.rejected), (3, 3, 0));
    Ok(())
}

#[test]
fn after_the_last_attempt_it_goes_to_the_target_byte_for_byte_with_its_error() -> Result<()> {
    let (network, out, bad) = around(&["a", "b", "c"], failing("b", 9, &Log::default()))?;
    network.on_error("node", five().after("bad"))?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(10));
    assert_eq!(out.texts(), ["a", "c"]);
    assert_eq!(bad.texts(), ["b"]);
    let event = &bad.events()[0];
    let meta = |key: &str| event.meta().get(key).cloned().unwrap_or_default();
    assert_eq!(meta("node"), "node");
    assert_eq!(meta("reason"), "not now");
    assert_eq!(meta("place"), "net.lua:9");
    assert_eq!(meta("attempts"), 6);
    // 0.1 0.2 0.4 0.8 1.6 make 3.1.
    assert_eq!(meta("time"), START.saturating_add(3_100 * MS).to_string());
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn without_a_target_it_leaves_by_errors_as_it_always_did() -> Result<()> {
    let (network, _, bad) = around(&["b"], failing("b", 9, &Log::default()))?;
    network.on_error("node", OnError::retry(1).jitter(false))?;
    network.link("node.errors", "bad")?;
    let mut simulation = network.simulate(START)?;
    assert_eq!(bad.len(), 0);
    simulation.advance(100 * MS);
    assert_eq!(bad.texts(), ["b"]);
    Ok(())
}

#[test]
fn a_link_from_errors_gets_its_copy_beside_the_target() -> Result<()> {
    for who in ["node", "*"] {
        let (network, _, bad) = around(&["b"], failing("b", 9, &Log::default()))?;
        let own = Seen::at(&network, "own")?;
        network.link("node.errors", "own")?;
        network.on_error(who, OnError::to("bad"))?;
        network.simulate(START)?.finish()?;
        assert_eq!(
            (own.texts(), bad.texts()),
            (vec!["b".to_owned()], vec!["b".to_owned()])
        );
    }
    Ok(())
}

#[test]
fn a_panic_and_a_failed_commit_are_tried_again_too() -> Result<()> {
    let mut panics = 2;
    let panicking = Scripted::new(&Log::default()).on_event(move |_, cx| {
        cx.pass();
        panics -= 1;
        assert!(panics < 0, "on purpose");
        Ok(())
    });
    let mut commits = 0;
    let refusing = Scripted::new(&Log::default()).on_commit(move |_| {
        commits += 1;
        match commits {
            1..=3 => Err(Error::data("a deadlock")),
            _ => Ok(()),
        }
    });
    for node in [panicking, refusing] {
        let (network, out, bad) = around(&["a", "b", "c"], node)?;
        network.on_error("*", five().after("bad"))?;
        let mut simulation = network.simulate(START)?;
        assert_eq!(out.len(), 0);
        simulation.advance(Duration::from_secs(5));
        assert_eq!((out.texts().concat(), bad.len()), ("abc".to_owned(), 0));
        assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    }
    Ok(())
}

#[test]
fn a_source_settles_an_event_only_after_its_last_attempt() -> Result<()> {
    let log = Log::default();
    let network = Network::new();
    network.add_source("in", tracking(&["a", "b"], &log))?;
    let sink = Scripted::new(&Log::default()).on_event(|event, _| match text(event).as_str() {
        "a" => Err(Error::data("no")),
        _ => Ok(()),
    });
    network.add_sink("sink", sink)?;
    network.link("in", "sink")?;
    network.on_error("sink", OnError::retry(1).jitter(false))?;
    let mut simulation = network.simulate(START)?;
    assert_eq!(log.take(), [""; 0]);
    simulation.advance(100 * MS);
    assert_eq!(log.take(), ["source a Failed", "source b Delivered"]);
    Ok(())
}

#[test]
fn every_node_is_all_but_the_target_and_what_it_leads_to() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&[]))?;
    for name in ["a", "letters", "after"] {
        network.add_pipeline(name, Forwarder)?;
    }
    network.add_sink("end", Discarder)?;
    network.add_sink("out", Discarder)?;
    network.on_error("*", OnError::to("letters"))?;
    network.fanout("in", ["a"])?;
    network.link("a", "out")?;
    network.link("letters", "after")?;
    // What is linked later is looked at too: here `after` becomes part of what the target leads to.
    network.link("after", "end")?;
    let from = |network: &Network| -> Vec<String> {
        let edges = network.edges();
        let made = edges.iter().filter(|edge| edge.on_error);
        made.map(|edge| edge.from.to_string()).collect()
    };
    assert_eq!(from(&network), ["in.errors", "a.errors", "out.errors"]);
    assert_eq!(network.check(), []);
    network.add_pipeline("late", Forwarder)?;
    network.link("late", "letters")?;
    assert!(from(&network).contains(&"late.errors".to_owned()));
    network.simulate(START)?;
    Ok(())
}

#[test]
fn the_policy_of_one_node_precedes_that_of_all() -> Result<()> {
    for all_first in [true, false] {
        let (network, _, bad) = around(&["b"], failing("b", 9, &Log::default()))?;
        let own = Seen::at(&network, "own")?;
        if all_first {
            network.on_error("*", OnError::to("bad"))?;
        }
        network.on_error("node", OnError::to("own"))?;
        if !all_first {
            network.on_error("*", OnError::to("bad"))?;
        }
        network.simulate(START)?.finish()?;
        assert_eq!((own.len(), bad.len()), (1, 0));
    }
    Ok(())
}

#[test]
fn a_running_network_learns_of_it_and_so_do_nodes_that_come_later() -> Result<()> {
    let network = Network::new();
    let (sender, input) = source::channel();
    network.add_source("in", input)?;
    network.add_sink("first", failing("b", u32::MAX, &Log::default()))?;
    network.link("in", "first")?;
    network.start()?;
    let bad = Seen::default();
    network.change(|draft| {
        draft.add_sink("bad", bad.sink())?;
        let quick = OnError::retry(2).backoff(MS, MS);
        draft.on_error("*", quick.after("bad"))
    })?;
    network.change(|draft| {
        draft.add_sink("second", failing("b", u32::MAX, &Log::default()))?;
        draft.link("in", "second")
    })?;
    sender.send("b")?;
    assert!(soon(|| bad.len() == 2));
    for event in bad.events() {
        assert_eq!(event.meta().get("attempts"), Some(&3.into()));
    }
    let error = network.on_error("first", OnError::retry(1)).unwrap_err();
    assert_eq!(
        error.message(),
        "node first runs already, and what it rejects goes to bad, by on_error of \"*\""
    );
    drop(sender);
    network.wait()
}

#[test]
fn a_node_that_waits_handles_control_messages() -> Result<()> {
    let network = Network::new();
    let (sender, input) = source::channel();
    network.add_source("in", input)?;
    network.add_pipeline("node", failing("b", 1, &Log::default()))?;
    let out = Seen::at(&network, "out")?;
    network.link("in", "node")?;
    network.link("node", "out")?;
    let hour = Duration::from_secs(3_600);
    network.on_error("node", OnError::retry(1).backoff(hour, hour))?;
    network.start()?;
    sender.send("a")?;
    sender.send("b")?;
    assert!(soon(|| out.len() == 1));
    // It takes in a link while it waits, and lets go when it is told to.
    let more = Seen::default();
    network.change(|draft| {
        draft.add_sink("more", more.sink())?;
        draft.link("node", "more")
    })?;
    let error = network.stop_within(50 * MS).unwrap_err();
    assert!(
        error.message().contains("node node (1 events in hand)"),
        "{error}"
    );
    assert!(!error.message().contains("left behind"), "{error}");
    Ok(())
}

#[test]
fn a_node_that_is_lost_while_an_event_waits_resumes_the_attempts() -> Result<()> {
    let log = Log::default();
    let mut calls = 0;
    let gone = Arc::new(AtomicBool::new(false));
    let node = Scripted::new(&log).on_event(move |_, cx| {
        cx.pass();
        calls += 1;
        match calls {
            1 | 3 => Err(Error::data("no")),
            2 => {
                gone.store(true, Ordering::SeqCst);
                Err(Error::data("the database is gone").retryable())
            }
            _ => Ok(()),
        }
    });
    let (network, out, bad) = around(&["a"], node)?;
    network.on_error("node", OnError::retry(1).jitter(false).after("bad"))?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(5));
    assert_eq!((out.len(), bad.len()), (0, 1));
    let attempts = bad.events()[0].meta().get("attempts").cloned();
    assert_eq!(attempts, Some(2.into()), "a lost database is no attempt");
    Ok(())
}

#[test]
fn jitter_cuts_a_pause_by_half_at_most_and_a_simulation_stays_the_same() -> Result<()> {
    let run = || -> Result<Vec<i64>> {
        let log = Log::default();
        let times = Log::default();
        let noted = times.clone();
        let node = Scripted::new(&log).on_event(move |_, cx| {
            noted.note(cx.now().since(START).as_micros().to_string());
            Err(Error::data("no"))
        });
        let (network, ..) = around(&["a"], node)?;
        network.on_error("node", OnError::retry(4).backoff(1_000 * MS, 2_000 * MS))?;
        network.simulate(START)?.advance(Duration::from_secs(60));
        Ok(times
            .lines()
            .iter()
            .map(|line| line.parse().unwrap())
            .collect())
    };
    let times = run()?;
    assert_eq!(times, run()?);
    let pauses: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((500_000..=1_000_000).contains(&pauses[0]), "{pauses:?}");
    assert!(
        pauses[1..]
            .iter()
            .all(|pause| (1_000_000..=2_000_000).contains(pause)),
        "{pauses:?}"
    );
    Ok(())
}

#[test]
fn what_is_asked_for_wrongly_is_refused_with_the_reason() -> Result<()> {
    let script = |text: &str| -> String {
        let network = Network::new();
        let runtime = Runtime::new(&network).unwrap();
        let head = "local tb = require('tributary')\n\
                    tb.create_ticker('in', '1s') tb.create_forwarder('a') tb.create_discarder('bad')\n\
                    tb.link('in', 'a') tb.link('a', 'bad')\n";
        let run = runtime.run_text("net.lua", format!("{head}{text}"));
        run.map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    };
    for (text, expected) in [
        ("tb.on_error('*', 'bad')", "fine"),
        (
            "tb.on_error('a', { retry = 2, backoff = '1s..1m', jitter = false })",
            "fine",
        ),
        (
            "tb.on_error('inn', 'bad')",
            "net.lua:4: no node \"inn\"; did you mean \"in\"?",
        ),
        (
            "tb.on_error('a', 'bat')",
            "net.lua:4: no target node \"bat\"; did you mean \"bad\"?",
        ),
        (
            "tb.on_error('a', 'in')",
            "net.lua:4: in is a source and has no input",
        ),
        (
            "tb.on_error('bad', 'a')",
            "net.lua:4: a cycle would block for ever: bad.errors -> a (net.lua:4) -> bad (net.lua:3)",
        ),
        (
            "tb.on_error('*', 'bad')\ntb.on_error('*', 'bad')",
            "net.lua:5: on_error of \"*\" was given already at net.lua:4",
        ),
        (
            "tb.on_error('a', { retry = -1 })",
            "net.lua:4: bad retry -1: allowed is 0 to 10000",
        ),
        (
            "tb.on_error('a', { backoff = '10s..1s' })",
            "net.lua:4: bad backoff 10s..1s; the first pause, then the longest",
        ),
        (
            "tb.on_error('a', { retry = 0 })",
            "net.lua:4: on_error needs a target, or retries; name a node, or write {retry = 5, after = \"node\"}",
        ),
        (
            "tb.on_error('a', { retri = 1 })",
            "net.lua:4: on_error has no option \"retri\"; did you mean \"retry\"?",
        ),
    ] {
        assert_eq!(script(text), expected, "{text}");
    }
    Ok(())
}
