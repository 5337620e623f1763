//! Who hears what became of an event, and when.

use crate::support::probe::{Log, START, Scripted, Seen, burst, text, tracking};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::pipeline::{Filter, FilterKey, Forwarder, RateLimit, injector, interceptor};
use tributary::sink::{Discarder, handler};
use tributary::{Error, Event, Network, Node, Outcome, ReadStatus, Result, Token, sink, source};

/// Delivers one event through a network that `build` links to the source `in`.
fn deliver(build: impl FnOnce(&Network) -> Result<()>) -> Result<Outcome> {
    let (sender, input) = source::channel();
    let network = Network::new();
    network.add_source("in", input)?;
    build(&network)?;
    network.start()?;
    let outcome = sender.deliver("x")?;
    network.stop()?;
    Ok(outcome)
}

/// The same through one pipeline and a discarder.
fn through(pipeline: impl tributary::Pipeline + 'static) -> Result<Outcome> {
    deliver(|network| {
        network.add_pipeline("p", pipeline)?;
        network.add_sink("out", Discarder)?;
        network.link("in", "p")?;
        network.link("p", "out")
    })
}

#[test]
fn an_event_that_passes_everything_is_delivered() -> Result<()> {
    assert_eq!(through(Forwarder)?, Outcome::Delivered);
    Ok(())
}

#[test]
fn an_event_that_is_consumed_is_delivered() -> Result<()> {
    let nothing = injector(|_| Ok(Vec::<Event>::new()));
    assert_eq!(through(nothing)?, Outcome::Delivered);
    Ok(())
}

#[test]
fn an_event_that_a_rate_limit_or_an_interceptor_drops_is_delivered() -> Result<()> {
    assert_eq!(through(interceptor(|_| Ok(false)))?, Outcome::Delivered);

    let log = Log::default();
    let network = Network::new();
    network.add_source("in", tracking(&["a", "b"], &log))?;
    network.add_pipeline("limit", RateLimit::new(Duration::from_secs(1))?)?;
    network.add_sink("out", Discarder)?;
    network.link("in", "limit")?;
    network.link("limit", "out")?;
    network.simulate(START)?;
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["source a Delivered", "source b Delivered"]);
    Ok(())
}

#[test]
fn an_event_behind_which_nothing_is_linked_is_delivered() -> Result<()> {
    assert_eq!(deliver(|_| Ok(()))?, Outcome::Delivered);
    Ok(())
}

#[test]
fn an_event_that_is_rejected_or_panics_has_failed() -> Result<()> {
    let refuse = interceptor(|_| Err::<bool, _>(Error::data("no")));
    assert_eq!(through(refuse)?, Outcome::Failed);
    let panics = interceptor(|_| -> Result<bool> { panic!("on purpose") });
    assert_eq!(through(panics)?, Outcome::Failed);
    Ok(())
}

#[test]
fn a_rejected_event_that_the_port_errors_leads_to_a_sink_is_delivered() -> Result<()> {
    let outcome = deliver(|network| {
        network.add_sink("bad", handler(|_| Err(Error::data("no"))))?;
        network.add_sink("letters", Discarder)?;
        network.link("in", "bad")?;
        network.link("bad.errors", "letters")
    })?;
    assert_eq!(outcome, Outcome::Delivered);
    Ok(())
}

#[test]
fn clones_and_derived_events_each_hold_the_outcome() -> Result<()> {
    for (bad, expected) in [("", Outcome::Delivered), ("2", Outcome::Failed)] {
        let outcome = deliver(|network| {
            let three = injector(|e| Ok([e.clone(), e.derive("2"), e.derive("3")]));
            network.add_pipeline("three", three)?;
            let picky = handler(move |e| {
                if text(e) == bad {
                    Err(Error::data("not this one"))
                } else {
                    Ok(())
                }
            });
            network.add_sink("out", picky)?;
            network.link("in", "three")?;
            network.link("three", "out")
        })?;
        assert_eq!(outcome, expected);
    }
    Ok(())
}

#[test]
fn a_fanout_of_three_fails_when_one_branch_fails() -> Result<()> {
    for failing in [None, Some(0), Some(1), Some(2)] {
        let outcome = deliver(|network| {
            for at in 0..3 {
                let node = handler(move |_| {
                    if Some(at) == failing {
                        Err(Error::data("this branch fails"))
                    } else {
                        Ok(())
                    }
                });
                network.add_sink(&format!("s{at}"), node)?;
            }
            network.fanout("in", ["s0", "s1", "s2"])
        })?;
        let expected = match failing {
            None => Outcome::Delivered,
            Some(_) => Outcome::Failed,
        };
        assert_eq!(outcome, expected);
    }
    Ok(())
}

#[test]
fn a_kept_clone_holds_the_outcome_back_and_fails_when_it_is_let_go() -> Result<()> {
    let kept: Arc<Mutex<Vec<Event>>> = Arc::default();
    let (log, keep) = (Log::default(), kept.clone());
    let network = Network::new();
    network.add_source("in", tracking(&["a", "b"], &log))?;
    let keeper = handler(move |e| {
        keep.lock().unwrap().push(e.clone());
        Ok(())
    });
    network.add_sink("out", keeper)?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    assert_eq!(log.lines(), [""; 0]);

    let mut kept = std::mem::take(&mut *kept.lock().unwrap());
    kept.remove(1).settle(Outcome::Delivered);
    simulation.advance(Duration::ZERO);
    assert_eq!(log.take(), ["source b Delivered"]);
    drop(kept);
    simulation.advance(Duration::ZERO);
    assert_eq!(log.take(), ["source a Failed"]);
    Ok(())
}

#[test]
fn an_event_that_the_host_drops_unsettled_has_failed() -> Result<()> {
    let log = Log::default();
    let (receiver, out) = sink::channel();
    let network = Network::new();
    network.add_source("in", tracking(&["a", "b"], &log))?;
    network.add_sink("out", out.settled_by_host())?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    receiver.recv().unwrap().settle(Outcome::Delivered);
    drop(receiver.recv());
    simulation.advance(Duration::ZERO);
    assert_eq!(log.lines(), ["source a Delivered", "source b Failed"]);
    Ok(())
}

#[test]
fn each_event_of_a_batch_has_its_own_outcome() -> Result<()> {
    let log = Log::default();
    let names: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let network = Network::new();
    network.add_source("in", tracking(&names, &log))?;
    let odd_fails = handler(|e| {
        if text(e).parse::<u32>().is_ok_and(|n| n % 2 == 1) {
            Err(Error::data("odd"))
        } else {
            Ok(())
        }
    });
    network.add_sink("out", odd_fails)?;
    network.link("in", "out")?;
    network.simulate(START)?;
    let mut lines = log.lines();
    lines.sort();
    let outcome = |n: u32| if n % 2 == 1 { "Failed" } else { "Delivered" };
    let mut expected: Vec<String> = (0..600)
        .map(|n| format!("source {n} {}", outcome(n)))
        .collect();
    expected.sort();
    assert_eq!(lines, expected);
    Ok(())
}

/// A pipeline that tracks what passes it.
fn tracker(log: &Log) -> Scripted {
    Scripted::new(log).label("mid").on_event(|event, cx| {
        cx.emit_tracked(event.clone());
        Ok(())
    })
}

#[test]
fn a_node_in_the_middle_settles_before_the_source() -> Result<()> {
    for (fails, outcome) in [(false, "Delivered"), (true, "Failed")] {
        let log = Log::default();
        let network = Network::new();
        network.add_source("in", tracking(&["a"], &log))?;
        network.add_pipeline("mid", tracker(&log))?;
        let out = handler(move |_| {
            if fails {
                Err(Error::data("no"))
            } else {
                Ok(())
            }
        });
        network.add_sink("out", out)?;
        network.link("in", "mid")?;
        network.link("mid", "out")?;
        network.simulate(START)?;
        let settle = format!("mid settle 0 {outcome}");
        let source = format!("source a {outcome}");
        let expected = [
            "mid open",
            "mid a",
            "mid commit",
            &settle,
            "mid commit",
            &source,
        ];
        assert_eq!(log.lines(), expected);
    }
    Ok(())
}

#[test]
fn a_source_that_sends_a_failed_event_again_at_once_gets_it_past_a_filter() -> Result<()> {
    let network = Network::new();
    let mut failed = true;
    let log = Log::default();
    let again: Arc<Mutex<Vec<Token>>> = Arc::default();
    let told = again.clone();
    let mut due = true;
    let source = Scripted::new(&log)
        .on_settle(move |token, outcome, cx| {
            if outcome == Outcome::Failed {
                let mut event = Event::new("a", cx.now());
                cx.track(&mut event);
                cx.emit(event);
            } else {
                told.lock().unwrap().push(token);
            }
            Ok(())
        })
        .on_read(move |cx| {
            if std::mem::take(&mut due) {
                let mut event = Event::new("a", cx.now());
                cx.track(&mut event);
                cx.emit(event);
            }
            Ok(ReadStatus::Idle)
        });
    network.add_source("in", source)?;
    let filter = Filter::new(Duration::from_secs(60), FilterKey::Payload)?;
    network.add_pipeline("filter", filter)?;
    let seen = Log::default();
    let saw = seen.clone();
    let once = handler(move |e| {
        if std::mem::take(&mut failed) {
            Err(Error::data("the first time fails"))
        } else {
            saw.note(text(e));
            Ok(())
        }
    });
    network.add_sink("out", once)?;
    network.link("in", "filter")?;
    network.link("filter", "out")?;
    network.simulate(START)?;
    assert_eq!(seen.lines(), ["a"]);
    assert_eq!(*again.lock().unwrap(), [Token(1)]);
    Ok(())
}

#[test]
fn an_event_is_tracked_alike_whatever_left_the_node_before_it() -> Result<()> {
    let log = Log::default();
    let network = Network::new();
    let mut due = true;
    let source = Scripted::new(&log).on_read(move |cx| {
        let event = |text: &str, cx: &tributary::Context<'_>| Event::new(text, cx.now());
        if std::mem::take(&mut due) {
            cx.emit_tracked(event("a", cx));
            cx.emit_tracked(event("b", cx));
            cx.reject(event("bad", cx), Error::data("on purpose"));
            cx.emit_tracked(event("c", cx));
            let mut last = event("d", cx);
            cx.track(&mut last);
            cx.emit(last);
        }
        Ok(ReadStatus::Idle)
    });
    network.add_source("in", source)?;
    let seen = Log::default();
    let saw = seen.clone();
    let out = handler(move |event| {
        saw.note(text(event));
        match text(event).as_ref() {
            "c" => Err(Error::data("on purpose")),
            _ => Ok(()),
        }
    });
    network.add_sink("out", out)?;
    network.link("in", "out")?;
    network.simulate(START)?;
    assert_eq!(seen.lines(), ["a", "b", "c", "d"]);
    let outcomes = ["Delivered", "Delivered", "Failed", "Delivered"];
    for (token, outcome) in outcomes.iter().enumerate() {
        assert_eq!(log.count(&format!("settle {token} {outcome}")), 1);
    }
    Ok(())
}

#[test]
fn what_was_taken_back_counts_as_failed_to_the_node_that_tracked_it() -> Result<()> {
    let log = Log::default();
    let network = Network::new();
    network.add_source("in", burst(&["a"]))?;
    let mid = Scripted::new(&log).on_event(|event, cx| {
        cx.emit_tracked(event.clone());
        Err(Error::data("after the emission"))
    });
    network.add_pipeline("mid", mid)?;
    let out = Seen::at(&network, "out")?;
    network.link("in", "mid")?;
    network.link("mid", "out")?;
    network.simulate(START)?;
    assert_eq!(
        log.lines(),
        ["open", "a", "commit", "settle 0 Failed", "commit"]
    );
    assert_eq!(out.len(), 0);
    Ok(())
}

#[test]
fn a_node_that_fails_to_settle_one_event_settles_the_others() -> Result<()> {
    let log = Log::default();
    let network = Network::new();
    network.add_source("in", burst(&["a", "b", "c"]))?;
    let mid = tracker(&log).on_settle(|token, _, _| match token.0 {
        0 => Err(Error::data("cannot settle")),
        1 => panic!("on purpose"),
        _ => Ok(()),
    });
    network.add_pipeline("mid", mid)?;
    network.add_sink("out", Discarder)?;
    network.link("in", "mid")?;
    network.link("mid", "out")?;
    let simulation = network.simulate(START)?;
    for token in 0..3 {
        assert_eq!(log.count(&format!("mid settle {token} Delivered")), 1);
    }
    assert!(
        simulation
            .finish()?
            .node("mid")
            .is_some_and(|n| n.errors > 0)
    );
    Ok(())
}

#[test]
fn a_node_that_tracks_ends_only_when_all_outcomes_are_home() -> Result<()> {
    struct Slow;
    impl Node for Slow {}
    impl tributary::Sink for Slow {
        fn write(&mut self, _: &Event, _: &mut tributary::Context<'_>) -> Result<()> {
            // A slow sink.
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        }
    }
    let log = Log::default();
    let network = Network::new();
    network.add_source("in", tracking(&["a", "b", "c"], &log))?;
    network.add_pipeline("mid", tracker(&Log::default()))?;
    network.add_sink("out", Slow)?;
    network.link("in", "mid")?;
    network.link("mid", "out")?;
    network.start()?;
    crate::support::probe::soon(|| network.stats().node("in").is_some_and(|n| n.emitted == 3));
    network.stop()?;
    let expected = [
        "source a Delivered",
        "source b Delivered",
        "source c Delivered",
    ];
    assert_eq!(log.lines(), expected);
    Ok(())
}

#[test]
fn a_delivery_that_the_end_of_the_network_overtakes_has_failed() -> Result<()> {
    let (sender, input) = source::channel();
    let network = Network::new();
    network.add_source("in", input)?;
    let (report, reported) = std::sync::mpsc::channel();
    let host = std::thread::spawn(move || report.send(sender.deliver("never read")));
    // The network is never started; its end must not leave the host waiting.
    std::thread::sleep(Duration::from_millis(20));
    drop(network);
    let outcome = reported.recv_timeout(Duration::from_secs(5));
    assert!(
        matches!(outcome, Ok(Ok(Outcome::Failed) | Err(_))),
        "{outcome:?}"
    );
    let _ = host.join();
    Ok(())
}
