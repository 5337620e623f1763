//! The nodes that come with the engine, apart from files (see `connect::lines`).

use crate::support::probe::{Log, START, Scripted, Seen, burst, soon, text, tracking};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::pipeline::{Filter, FilterKey, RateLimit, Verdict, injector, interceptor};
use tributary::sink::{Tester, handler};
use tributary::source::Ticker;
use tributary::{Error, Event, Network, Outcome, Pipeline, Result, Simulation, sink, source};

/// One pipeline between the host and a sink, in virtual time; what it rejects and what it drops.
struct Bench {
    simulation: Simulation,
    out: Seen,
    errors: Seen,
    dropped: Seen,
}

fn bench(node: impl Pipeline + 'static) -> Result<Bench> {
    let network = Network::new();
    network.add_pipeline("node", node)?;
    let out = Seen::at(&network, "out")?;
    let errors = Seen::at(&network, "bad")?;
    let dropped = Seen::at(&network, "gone")?;
    network.link("node", "out")?;
    network.link("node.errors", "bad")?;
    network.link("node.dropped", "gone")?;
    Ok(Bench {
        simulation: network.simulate(START)?,
        out,
        errors,
        dropped,
    })
}

impl Bench {
    fn feed(&mut self, payloads: &[&str]) -> Result<()> {
        payloads
            .iter()
            .try_for_each(|&payload| self.simulation.inject("node", payload))
    }
}

#[test]
fn intervals_of_zero_are_refused() {
    let key = || FilterKey::Payload;
    let short = Duration::from_nanos(999);
    for zero in [Duration::ZERO, short] {
        let text = |error: Option<Error>| error.map(|e| e.to_string()).unwrap_or_default();
        assert!(text(Ticker::new(zero).err()).contains("more than zero"));
        assert!(text(RateLimit::new(zero).err()).contains("more than zero"));
        assert!(text(Filter::new(zero, key()).err()).contains("more than zero"));
    }
    assert!(Filter::new(Duration::from_secs(1), FilterKey::Fields(Vec::new())).is_err());
}

#[test]
fn a_filter_by_payload_compares_bytes_only() -> Result<()> {
    let mut bench = bench(Filter::new(Duration::from_secs(10), FilterKey::Payload)?)?;
    bench.feed(&["a", "a", "b", "", "", "{\"x\":1}", "{ \"x\":1}", "a"])?;
    assert_eq!(bench.out.texts(), ["a", "b", "", "{\"x\":1}", "{ \"x\":1}"]);
    assert_eq!(bench.dropped.texts(), ["a", "", "a"]);
    let dropped = &bench.dropped.events()[0];
    assert_eq!(dropped.meta().get("reason"), Some(&json!("duplicate")));
    assert_eq!(dropped.meta().get("node"), Some(&json!("node")));
    Ok(())
}

#[test]
fn a_filter_by_fields_compares_these_fields_and_their_types() -> Result<()> {
    let fields = FilterKey::Fields(vec!["a".into(), "b".into()]);
    let mut bench = bench(Filter::new(Duration::from_secs(10), fields)?)?;
    let good = [
        r#"{"a":1,"b":2,"c":3}"#,
        r#"{"a":12,"b":""}"#,
        r#"{"a":1,"b":"2"}"#,
        r#"{"a":"1","b":2}"#,
        r#"{"a":null,"b":[1,2]}"#,
    ];
    bench.feed(&good)?;
    bench.feed(&[r#"{"c":9,"b":2,"a":1}"#, r#"{"a":1}"#, r#"[1]"#, "nonsense"])?;
    assert_eq!(bench.out.texts(), good);
    assert_eq!(bench.dropped.len(), 1);
    let reasons: Vec<String> = bench
        .errors
        .events()
        .iter()
        .map(|e| e.meta().get("reason").unwrap().as_str().unwrap().to_owned())
        .collect();
    assert_eq!(reasons[0], "no field \"b\" to filter by");
    assert_eq!(reasons[1], "a JSON object was expected, this is an array");
    assert!(
        reasons[2].starts_with("malformed JSON at byte"),
        "{}",
        reasons[2]
    );
    Ok(())
}

#[test]
fn an_event_that_failed_behind_a_filter_passes_again() -> Result<()> {
    let (network, log) = (Network::new(), Log::default());
    network.add_source("in", tracking(&["a"], &log))?;
    network.add_pipeline(
        "filter",
        Filter::new(Duration::from_secs(60), FilterKey::Payload)?,
    )?;
    let mut times = 0;
    let seen = Log::default();
    let saw = seen.clone();
    let out = handler(move |e| {
        times += 1;
        saw.note(text(e));
        if times == 1 {
            Err(Error::data("no"))
        } else {
            Ok(())
        }
    });
    network.add_sink("out", out)?;
    network.link("in", "filter")?;
    network.link("filter", "out")?;
    let mut simulation = network.simulate(START)?;
    assert_eq!(log.lines(), ["source a Failed"]);
    simulation.inject("filter", "a")?;
    simulation.inject("filter", "a")?;
    assert_eq!(seen.lines(), ["a", "a"]);
    Ok(())
}

#[test]
fn a_late_failure_does_not_let_a_duplicate_of_a_later_event_pass() -> Result<()> {
    let kept: Arc<Mutex<Vec<Event>>> = Arc::default();
    let keep = kept.clone();
    let (network, log) = (Network::new(), Log::default());
    network.add_source("in", tracking(&["a"], &log))?;
    network.add_pipeline(
        "filter",
        Filter::new(Duration::from_secs(10), FilterKey::Payload)?,
    )?;
    let keeper = handler(move |e| {
        keep.lock().unwrap().push(e.clone());
        Ok(())
    });
    network.add_sink("out", keeper)?;
    network.link("in", "filter")?;
    network.link("filter", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(Duration::from_secs(15));
    simulation.inject("filter", "a")?;
    assert_eq!(
        kept.lock().unwrap().len(),
        2,
        "the time of the first one is over"
    );
    let first = kept.lock().unwrap().remove(0);
    first.settle(Outcome::Failed);
    simulation.inject("filter", "a")?;
    assert_eq!(
        kept.lock().unwrap().len(),
        1,
        "the second one still keeps others out"
    );
    Ok(())
}

#[test]
fn an_interceptor_passes_drops_and_replaces() -> Result<()> {
    let mut bench = bench(interceptor(|e| {
        Ok(match text(e).as_str() {
            "pass" => Verdict::Pass,
            "drop" => Verdict::Drop,
            _ => Verdict::Replace(e.derive("replaced")),
        })
    }))?;
    bench.feed(&["pass", "drop", "x"])?;
    assert_eq!(bench.out.texts(), ["pass", "replaced"]);
    assert_eq!(bench.dropped.texts(), ["drop"]);
    let stats = bench.simulation.finish()?;
    assert_eq!(
        stats.node("node").map(|n| n.dropped["interceptor"]),
        Some(1)
    );
    Ok(())
}

#[test]
fn an_injector_makes_none_or_many_in_order() -> Result<()> {
    let words = injector(|e| {
        let text = text(e);
        Ok(text
            .split_whitespace()
            .map(|word| e.derive(word))
            .collect::<Vec<_>>())
    });
    let mut bench = bench(words)?;
    bench.feed(&["one two three", "", "four"])?;
    assert_eq!(bench.out.texts(), ["one", "two", "three", "four"]);
    let stats = bench.simulation.finish()?;
    let node = stats.node("node");
    assert_eq!(
        node.map(|n| (n.received, n.passed, n.consumed, n.emitted)),
        Some((3, 2, 1, 4))
    );
    Ok(())
}

#[test]
fn an_iterator_ends_its_network_and_one_that_panics_fails_it() -> Result<()> {
    let network = Network::new();
    network.add_source("in", source::from_iter((0..1_000).map(|n| n.to_string())))?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    network.wait()?;
    assert_eq!(seen.len(), 1_000);

    let network = Network::new();
    let broken = (0..10).map(|n| {
        if n < 5 {
            "x"
        } else {
            std::panic::resume_unwind(Box::new("!"))
        }
    });
    network.add_source("in", source::from_iter(broken))?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    assert_eq!(
        network.wait().unwrap_err().to_string(),
        "node in: panicked: !"
    );
    assert_eq!(seen.len(), 5);
    Ok(())
}

#[test]
fn a_host_sends_from_many_threads_and_ends_the_network_by_letting_go() -> Result<()> {
    let (sender, input) = source::channel();
    let network = Network::new();
    network.add_source("in", input)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    let hosts: Vec<_> = (0..4)
        .map(|host| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                (0..2_000).try_for_each(|n| sender.send(json!({"host": host, "n": n})))
            })
        })
        .collect();
    drop(sender);
    for host in hosts {
        host.join().unwrap()?;
    }
    network.wait()?;
    assert_eq!(seen.len(), 8_000);
    Ok(())
}

#[test]
fn a_host_gets_an_error_when_the_network_accepts_no_more_events() -> Result<()> {
    let (sender, input) = source::channel();
    let network = Network::new();
    network.add_source("in", input)?;
    network.start()?;
    sender.send("a")?;
    network.stop()?;
    let error = sender.send("b").unwrap_err().to_string();
    assert_eq!(error, "the network has ended and accepts no more events");
    assert!(sender.deliver("c").is_err());
    Ok(())
}

#[test]
fn an_event_handed_to_the_host_is_delivered_unless_the_host_settles_itself() -> Result<()> {
    for by_host in [false, true] {
        let log = Log::default();
        let (receiver, out) = sink::channel();
        let network = Network::new();
        network.add_source("in", tracking(&["a"], &log))?;
        let out = if by_host { out.settled_by_host() } else { out };
        network.add_sink("out", out)?;
        network.link("in", "out")?;
        let mut simulation = network.simulate(START)?;
        assert_eq!(log.lines().len(), usize::from(!by_host));
        let event = receiver.try_recv().unwrap();
        assert_eq!((text(&event), event.is_tracked()), ("a".into(), by_host));
        event.settle(Outcome::Delivered);
        simulation.advance(Duration::ZERO);
        assert_eq!(log.lines(), ["source a Delivered"]);
        assert!(receiver.try_recv().is_none());
        drop(simulation);
        assert!(receiver.recv().is_none(), "the network has ended");
    }
    Ok(())
}

#[test]
fn a_host_that_drops_its_receiver_ends_the_network() -> Result<()> {
    let (receiver, out) = sink::channel();
    let network = Network::new();
    let endless = Scripted::new(&Log::default()).on_read(|cx| {
        cx.emit(Event::new("x", cx.now()));
        Ok(tributary::ReadStatus::More)
    });
    network.add_source("in", endless)?;
    network.add_sink("out", out)?;
    network.link("in", "out")?;
    network.start()?;
    assert!(receiver.recv_timeout(Duration::from_secs(5)).is_some());
    drop(receiver);
    let error = network.wait().unwrap_err().to_string();
    assert_eq!(error, "node out: the host dropped its receiver");
    Ok(())
}

#[test]
fn a_ticker_ticks_on_a_thread_of_its_own() -> Result<()> {
    let network = Network::new();
    network.add_source("ticker", Ticker::new(Duration::from_millis(5))?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("ticker", "out")?;
    network.start()?;
    assert!(soon(|| seen.len() >= 5));
    network.stop()?;
    let events = seen.events();
    for pair in events.windows(2) {
        let between = pair[1].time().since(pair[0].time());
        assert!(between >= Duration::from_millis(5), "{between:?}");
    }
    Ok(())
}

#[test]
fn a_tester_in_a_simulation_counts_what_it_shows() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&["a", "b"]))?;
    network.add_sink("dots", Tester::new(""))?;
    network.link("in", "dots")?;
    let stats = network.simulate(START)?.finish()?;
    assert_eq!(stats.node("dots").map(|n| n.consumed), Some(2));
    Ok(())
}
