//! What each error makes the engine do: the table at the head of `src/node.rs`, row by row.

use crate::support::probe::{Log, START, Scripted, Seen, burst, text};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::pipeline::{Forwarder, interceptor};
use tributary::sink::{Discarder, handler};
use tributary::{Error, Event, Network, Result, Simulation, Sink};

/// `burst -> node -> out`, and `node.errors -> bad`: what passed, what was rejected.
fn around(payloads: &[&str], node: Scripted) -> Result<(Simulation, Seen, Seen)> {
    let network = Network::new();
    network.add_source("burst", burst(payloads))?;
    network.add_pipeline("node", node)?;
    let out = Seen::at(&network, "out")?;
    let bad = Seen::at(&network, "bad")?;
    network.link("burst", "node")?;
    network.link("node", "out")?;
    network.link("node.errors", "bad")?;
    Ok((network.simulate(START)?, out, bad))
}

/// A closure that fails the first `times` with this error.
fn first(times: u32, error: Error) -> impl FnMut() -> Result<()> + Send + 'static {
    let mut left = times;
    move || match left {
        0 => Ok(()),
        _ => {
            left -= 1;
            Err(error.clone())
        }
    }
}

fn gone() -> Error {
    Error::data("the database is gone").retryable()
}

#[test]
fn a_retryable_error_of_process_opens_the_node_again_and_feeds_the_batch_again() -> Result<()> {
    let log = Log::default();
    let mut fail = first(2, gone());
    let node = Scripted::new(&log).on_event(move |event, cx| {
        cx.pass();
        if text(event) == "b" { fail() } else { Ok(()) }
    });
    let (mut simulation, out, bad) = around(&["a", "b", "c"], node)?;
    assert_eq!(log.take(), ["open", "a", "b", "rollback"]);
    simulation.advance(Duration::from_micros(99_999));
    assert_eq!(log.take(), [""; 0]);
    simulation.advance(Duration::from_micros(1));
    assert_eq!(log.take(), ["open", "a", "b", "rollback"]);
    simulation.advance(Duration::from_micros(199_999));
    assert_eq!(log.take(), [""; 0], "the pause doubles");
    simulation.advance(Duration::from_micros(1));
    assert_eq!(log.take(), ["open", "a", "b", "c", "commit"]);
    assert_eq!(out.texts(), ["a", "b", "c"]);
    assert_eq!(bad.len(), 0);
    let stats = simulation.finish()?;
    assert_eq!(
        stats
            .node("node")
            .map(|n| (n.reopened, n.received, n.passed)),
        Some((2, 3, 3))
    );
    assert_eq!(stats.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_retryable_error_of_commit_feeds_the_same_batch_again_and_keeps_the_order() -> Result<()> {
    let log = Log::default();
    let mut fail = first(1, gone());
    let node = Scripted::new(&log).on_commit(move |_| fail());
    let (mut simulation, out, _) = around(&["a", "b"], node)?;
    simulation.inject("burst", "c")?;
    simulation.inject("node", "d")?;
    assert_eq!(out.len(), 0, "nothing leaves before a commit");
    simulation.advance(Duration::from_secs(1));
    assert_eq!(
        out.texts().concat(),
        "abdc",
        "what is handed to the node itself goes before its links"
    );
    assert_eq!(log.lines()[..5], ["open", "a", "b", "commit", "rollback"]);
    assert_eq!(log.lines()[5..9], ["open", "a", "b", "commit"]);
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn the_pause_before_opening_again_grows_to_two_seconds() -> Result<()> {
    let log = Log::default();
    let mut times = 0;
    let node = Scripted::new(&log)
        .on_open(move || {
            times += 1;
            if times == 1 { Ok(()) } else { Err(gone()) }
        })
        .on_event(|_, _| Err(gone()));
    let (mut simulation, ..) = around(&["a"], node)?;
    simulation.advance(Duration::from_secs(6));
    // 0.1 0.2 0.4 0.8 1.6 make 3.1, then 2 each.
    assert_eq!(log.count("open"), 7);
    simulation.advance(Duration::from_secs(2));
    assert_eq!(log.count("open"), 8);
    simulation.advance(Duration::from_secs(2));
    assert_eq!(log.count("open"), 9);
    Ok(())
}

#[test]
fn an_error_or_a_panic_of_process_rejects_that_event_and_no_other() -> Result<()> {
    let log = Log::default();
    let node = Scripted::new(&log).on_event(|event, cx| match text(event).as_str() {
        "b" => Err(Error::data("b is bad").at("net.lua:7")),
        "d" => panic!("d panics"),
        _ => {
            cx.pass();
            Ok(())
        }
    });
    let (simulation, out, bad) = around(&["a", "b", "c", "d", "e"], node)?;
    assert_eq!(out.texts().concat(), "ace");
    assert_eq!(bad.texts().concat(), "bd");
    assert_eq!(log.lines().concat(), "openabcdecommit");
    let meta = |at: usize, key: &str| bad.events()[at].meta().get(key).cloned();
    assert_eq!(meta(0, "error"), Some("net.lua:7: b is bad".into()));
    assert_eq!(meta(0, "reason"), Some("b is bad".into()));
    assert_eq!(meta(0, "node"), Some("node".into()));
    assert_eq!(meta(0, "place"), Some("net.lua:7".into()));
    assert_eq!(meta(1, "reason"), Some("panicked: d panics".into()));
    let stats = simulation.finish()?;
    assert_eq!(
        stats.node("node").map(|n| (n.passed, n.rejected)),
        Some((3, 2))
    );
    assert_eq!(stats.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn what_an_event_emitted_before_its_error_is_taken_back() -> Result<()> {
    let node = Scripted::new(&Log::default())
        .ports(&["side"])
        .on_event(|event, cx| {
            cx.pass();
            cx.emit(event.derive("more"));
            cx.emit_to("side", event.derive("aside"))?;
            cx.reject(event.derive("own"), Error::data("a node's own"));
            match text(event).as_str() {
                "b" => Err(Error::data("no")),
                "c" => panic!("no"),
                _ => Ok(()),
            }
        });
    let (simulation, out, bad) = around(&["a", "b", "c", "d"], node)?;
    assert_eq!(out.texts(), ["a", "more", "d", "more"]);
    assert_eq!(bad.texts(), ["own", "b", "c", "own"]);
    let stats = simulation.finish()?;
    assert_eq!(stats.breaches(), [""; 0]);
    assert_eq!(
        stats.node("node").map(|n| (n.rejected, n.refused)),
        Some((2, 2))
    );
    Ok(())
}

#[test]
fn another_error_of_commit_is_isolated_event_by_event() -> Result<()> {
    let log = Log::default();
    let pending = Arc::new(Mutex::new(Vec::new()));
    let (wrote, commits) = (pending.clone(), pending);
    let node = Scripted::new(&log)
        .on_event(move |event, cx| {
            wrote.lock().unwrap().push(text(event));
            cx.pass();
            Ok(())
        })
        .on_commit(move |_| {
            let batch = std::mem::take(&mut *commits.lock().unwrap());
            if batch.iter().any(|text| text == "b") {
                Err(Error::data("b breaks the batch"))
            } else {
                Ok(())
            }
        });
    let (simulation, out, bad) = around(&["a", "b", "c"], node)?;
    assert_eq!(out.texts().concat(), "ac");
    assert_eq!(bad.texts().concat(), "b");
    assert_eq!(
        log.lines().join(" "),
        "open a b c commit rollback a commit b commit rollback c commit"
    );
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_panic_in_commit_is_isolated_too() -> Result<()> {
    let mut commits = 0;
    let node = Scripted::new(&Log::default()).on_commit(move |_| {
        commits += 1;
        assert!(commits != 1 && commits != 3, "on purpose");
        Ok(())
    });
    let (_, out, bad) = around(&["a", "b", "c"], node)?;
    assert_eq!(
        (out.texts().concat(), bad.texts().concat()),
        ("ac".into(), "b".into())
    );
    Ok(())
}

#[test]
fn a_fatal_error_of_commit_rejects_the_batch_and_ends_the_network() -> Result<()> {
    let mut fail = first(u32::MAX, Error::data("the disk is gone").fatal());
    let node = Scripted::new(&Log::default()).on_commit(move |_| fail());
    let (simulation, out, bad) = around(&["a", "b"], node)?;
    assert_eq!((out.len(), bad.texts().concat()), (0, "ab".into()));
    let error = simulation.finish().unwrap_err();
    assert_eq!(error.to_string(), "node node: the disk is gone");
    Ok(())
}

#[test]
fn a_fatal_error_that_shows_only_when_events_are_fed_singly_ends_the_network() -> Result<()> {
    let mut commits = 0;
    let node = Scripted::new(&Log::default()).on_commit(move |_| {
        commits += 1;
        match commits {
            1 => Err(Error::data("something is wrong")),
            2 | 3 => Err(Error::data("the disk is gone").fatal()),
            _ => Ok(()),
        }
    });
    let (simulation, _, bad) = around(&["a", "b"], node)?;
    assert_eq!(bad.texts().concat(), "ab");
    let error = simulation.finish().unwrap_err();
    assert_eq!(error.to_string(), "node node: the disk is gone");
    Ok(())
}

/// A source of nothing that keeps a network alive, and a node that ticks at every second.
fn ticking(log: &Log) -> Scripted {
    let last = Arc::new(Mutex::new(START));
    let due = last.clone();
    Scripted::new(log)
        .on_wake(move || Some(due.lock().unwrap().saturating_add(Duration::from_secs(1))))
        .on_commit(move |cx| {
            *last.lock().unwrap() = cx.now();
            Ok(())
        })
}

#[test]
fn a_retryable_error_of_tick_opens_the_node_again_and_ticks_again() -> Result<()> {
    let log = Log::default();
    let mut fail = first(1, gone());
    let node = ticking(&log).on_tick(move |cx| {
        cx.emit(Event::new("tick", cx.now()));
        fail()
    });
    let (mut simulation, out, _) = around(&[], node)?;
    log.take();
    simulation.advance(Duration::from_secs(1));
    assert_eq!(log.take(), ["tick", "rollback"]);
    assert_eq!(out.len(), 0, "what a failed tick emitted is taken back");
    simulation.advance(Duration::from_millis(100));
    assert_eq!(log.take(), ["open", "tick", "commit"]);
    assert_eq!(out.texts(), ["tick"]);
    assert_eq!(
        out.events()[0].time(),
        START.saturating_add(Duration::from_millis(1_100))
    );
    Ok(())
}

#[test]
fn another_error_of_tick_is_counted_and_the_node_runs_on() -> Result<()> {
    let log = Log::default();
    let next = Arc::new(Mutex::new(Some(
        START.saturating_add(Duration::from_secs(1)),
    )));
    let wake = next.clone();
    let node = Scripted::new(&log)
        .on_wake(move || *wake.lock().unwrap())
        .on_tick(move |_| {
            *next.lock().unwrap() = None;
            panic!("on purpose")
        });
    let (mut simulation, out, _) = around(&[], node)?;
    simulation.advance(Duration::from_secs(2));
    assert_eq!(log.take(), ["open", "tick", "rollback"]);
    simulation.inject("node", "still here")?;
    assert_eq!(out.texts(), ["still here"]);
    let stats = simulation.finish()?;
    assert_eq!(stats.node("node").map(|n| n.errors), Some(1));
    Ok(())
}

#[test]
fn a_node_whose_tick_fails_for_good_rests_for_a_second_though_it_stays_due() -> Result<()> {
    let log = Log::default();
    let node = Scripted::new(&log)
        .on_wake(|| Some(START))
        .on_tick(|_| Err(Error::data("it is no use")));
    let (mut simulation, out, _) = around(&[], node)?;
    log.take();
    simulation.advance(Duration::from_secs(5));
    assert_eq!(log.count("tick"), 5);
    simulation.inject("node", "served meanwhile")?;
    assert_eq!(out.texts(), ["served meanwhile"]);
    Ok(())
}

#[test]
fn a_sink_that_emits_rejects_its_event() -> Result<()> {
    let network = Network::new();
    network.add_source("burst", burst(&["a", "b", "c"]))?;
    let sink = Scripted::new(&Log::default()).on_event(|event, cx| {
        match text(event).as_str() {
            "a" => cx.emit(event.clone()),
            "b" => cx.pass(),
            _ => {}
        }
        Ok(())
    });
    fn as_sink(sink: impl Sink) -> impl Sink {
        sink
    }
    network.add_sink("sink", as_sink(sink))?;
    let bad = Seen::at(&network, "bad")?;
    network.link("burst", "sink")?;
    network.link("sink.errors", "bad")?;
    let stats = network.simulate(START)?.finish()?;
    assert_eq!(bad.texts().concat(), "ab");
    let reason = |at: usize| bad.events()[at].meta().get("reason").cloned();
    assert_eq!(reason(0), Some("a sink has no output to emit to".into()));
    assert_eq!(reason(1), Some("a sink has no output to pass to".into()));
    assert_eq!(
        stats.node("sink").map(|n| (n.rejected, n.consumed)),
        Some((2, 1))
    );
    Ok(())
}

#[test]
fn an_unknown_port_rejects_the_event_and_names_the_one_that_was_meant() -> Result<()> {
    let node = Scripted::new(&Log::default())
        .ports(&["left"])
        .on_event(|event, cx| cx.emit_to("lefft", event.clone()));
    let (_, out, bad) = around(&["a"], node)?;
    assert_eq!(out.len(), 0);
    let error = bad.events()[0].meta().get("error").cloned();
    assert_eq!(
        error,
        Some("no port \"lefft\"; did you mean \"left\"?".into())
    );
    Ok(())
}

#[test]
fn finish_lets_what_a_node_holds_back_leave() -> Result<()> {
    let log = Log::default();
    let held = Arc::new(Mutex::new(Vec::new()));
    let kept = held.clone();
    let node = Scripted::new(&log)
        .on_event(move |event, _| {
            kept.lock().unwrap().push(event.detached());
            Ok(())
        })
        .on_finish(move |cx| {
            held.lock()
                .unwrap()
                .drain(..)
                .for_each(|event| cx.emit(event));
            Ok(())
        });
    let (simulation, out, _) = around(&["a", "b"], node)?;
    assert_eq!(out.len(), 0);
    let stats = simulation.finish()?;
    assert_eq!(out.texts().concat(), "ab");
    assert_eq!(log.lines().join(" "), "open a b commit finish commit");
    assert_eq!(
        stats.node("node").map(|n| (n.consumed, n.emitted)),
        Some((2, 2))
    );
    Ok(())
}

#[test]
fn a_retryable_error_of_finish_is_tried_again() -> Result<()> {
    let log = Log::default();
    let mut fail = first(1, gone());
    let node = Scripted::new(&log).on_finish(move |cx| {
        cx.emit(Event::new("last", cx.now()));
        fail()
    });
    let network = Network::new();
    network.add_source("in", tributary::source::from_iter(["a"]))?;
    network.add_pipeline("node", node)?;
    let out = Seen::at(&network, "out")?;
    network.link("in", "node")?;
    network.link("node", "out")?;
    network.start()?;
    network.wait()?;
    assert_eq!(out.texts(), ["a", "last"]);
    assert_eq!(log.count("finish"), 2);
    Ok(())
}

#[test]
fn an_error_of_read_ends_the_network_and_is_reported() -> Result<()> {
    let network = Network::new();
    let mut reads = 0;
    let source = Scripted::new(&Log::default()).on_read(move |cx| {
        cx.emit(Event::new("good", cx.now()));
        reads += 1;
        match reads {
            1 => Err(gone()),
            2 => panic!("the source breaks"),
            _ => unreachable!("it is not asked again"),
        }
    });
    network.add_source("in", source)?;
    network.add_pipeline("mid", Forwarder)?;
    let out = Seen::at(&network, "out")?;
    network.link("in", "mid")?;
    network.link("mid", "out")?;
    network.start()?;
    let error = network.wait().unwrap_err();
    assert_eq!(error.to_string(), "node in: panicked: the source breaks");
    assert_eq!(
        out.texts(),
        ["good", "good"],
        "what was read before an error is good"
    );
    assert_eq!(network.stats().node("in").map(|n| n.reopened), Some(1));
    Ok(())
}

#[test]
fn a_panic_in_wake_ends_the_network_and_is_reported() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&["a"]))?;
    let mid = Scripted::new(&Log::default()).on_wake(|| panic!("wake breaks"));
    network.add_pipeline("mid", mid)?;
    network.add_sink("out", Discarder)?;
    network.link("in", "mid")?;
    network.link("mid", "out")?;
    network.start()?;
    let error = network.wait().unwrap_err();
    assert_eq!(error.to_string(), "node mid: panicked: wake breaks");
    Ok(())
}

#[test]
fn a_node_that_cannot_be_opened_again_ends_the_network() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&["a"]))?;
    let mut opened = 0;
    let node = Scripted::new(&Log::default())
        .on_open(move || {
            opened += 1;
            if opened == 1 {
                Ok(())
            } else {
                Err(Error::data("wrong password"))
            }
        })
        .on_event(|_, _| Err(gone()));
    network.add_pipeline("node", node)?;
    network.add_sink("out", handler(|_| Ok(())))?;
    network.add_pipeline("other", interceptor(|_| Ok(true)))?;
    network.link("in", "node")?;
    network.link("in", "other")?;
    network.fanin("out", ["node", "other"])?;
    network.start()?;
    let error = network.wait().unwrap_err();
    assert_eq!(error.to_string(), "node node: wrong password");
    Ok(())
}
