//! How networks end: twice, too early, in a panic, from within, and when a node does not.

use crate::support::probe::{Log, Scripted, Seen, burst, soon, tracking};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tributary::pipeline::Forwarder;
use tributary::sink::{Discarder, handler};
use tributary::{Error, ErrorKind, Event, Network, ReadStatus, Result, source};

/// `in -> out`, where `in` reads for ever.
fn endless() -> Result<(Network, Seen)> {
    let network = Network::new();
    let source = Scripted::new(&Log::default()).on_read(|cx| {
        cx.emit(Event::new("x", cx.now()));
        Ok(ReadStatus::More)
    });
    network.add_source("in", source)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    Ok((network, seen))
}

#[test]
fn a_stop_drains_what_was_read() -> Result<()> {
    let (network, seen) = endless()?;
    network.start()?;
    assert!(soon(|| seen.len() > 1_000));
    network.stop()?;
    let stats = network.stats();
    assert_eq!(stats.node("in").map(|n| n.emitted), Some(seen.len() as u64));
    assert_eq!(stats.breaches(), [""; 0]);
    assert!(
        stats
            .links
            .iter()
            .all(|link| link.queued == 0 && link.lost == 0)
    );
    Ok(())
}

#[test]
fn a_second_stop_and_a_stop_before_the_start_do_nothing() -> Result<()> {
    let (network, _) = endless()?;
    network.stop()?;
    network.request_stop();
    network.abort();
    network.wait()?;
    network.start()?;
    network.stop()?;
    network.stop()?;
    network.wait()?;
    network.request_stop();
    network.abort();
    Ok(())
}

#[test]
fn a_network_starts_once() -> Result<()> {
    let (network, _) = endless()?;
    network.start()?;
    let error = network.start().unwrap_err().to_string();
    assert_eq!(error, "the network is running already");
    network.stop()?;
    let error = network.start().unwrap_err().to_string();
    assert_eq!(error, "the network has ended and does not start again");
    let error = network.add_sink("late", Discarder).unwrap_err().to_string();
    assert_eq!(error, "the network has ended");
    Ok(())
}

#[test]
fn many_may_stop_and_wait_at_the_same_time() -> Result<()> {
    let (network, seen) = endless()?;
    network.start()?;
    assert!(soon(|| seen.len() > 0));
    let hosts: Vec<_> = (0..8)
        .map(|n| {
            let network = network.clone();
            std::thread::spawn(move || {
                if n % 2 == 0 {
                    network.stop()
                } else {
                    network.wait()
                }
            })
        })
        .collect();
    for host in hosts {
        host.join().unwrap()?;
    }
    Ok(())
}

#[test]
fn a_network_that_goes_out_of_scope_in_a_panic_is_stopped() -> Result<()> {
    let (network, seen) = endless()?;
    network.start()?;
    let panicked = std::thread::spawn(move || {
        let _network = network;
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    let after = seen.len();
    // Threads that were left would go on meanwhile.
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(seen.len(), after);
    Ok(())
}

#[test]
fn a_node_may_stop_its_own_network() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&["a"]))?;
    let own = network.clone();
    network.add_sink("out", handler(move |_| own.stop()))?;
    network.link("in", "out")?;
    network.start()?;
    network.wait()?;
    assert_eq!(network.stats().node("out").map(|n| n.consumed), Some(1));
    Ok(())
}

#[test]
fn a_node_that_waits_for_its_own_network_gets_an_error() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&["a"]))?;
    let (own, log) = (network.clone(), Log::default());
    let told = log.clone();
    let waits = handler(move |_| {
        told.note(
            own.wait()
                .map_or_else(|error| error.to_string(), |()| "waited".into()),
        );
        Ok(())
    });
    network.add_sink("out", waits)?;
    network.link("in", "out")?;
    network.start()?;
    assert!(soon(|| !log.lines().is_empty()));
    assert_eq!(log.lines(), ["a node cannot wait for its own network"]);
    let error = network.start().unwrap_err().to_string();
    assert_eq!(error, "the network is running already");
    network.stop()
}

#[test]
fn a_node_may_stop_another_network_and_waits_for_it() -> Result<()> {
    let (other, seen) = endless()?;
    other.start()?;
    let network = Network::new();
    network.add_source("in", source::from_iter(["a"]))?;
    let (told, stop) = (Log::default(), other.clone());
    let log = told.clone();
    let stops = handler(move |_| {
        stop.stop()?;
        log.note(stop.start().unwrap_err().to_string());
        Ok(())
    });
    network.add_sink("out", stops)?;
    network.link("in", "out")?;
    network.start()?;
    network.wait()?;
    assert!(seen.len() > 0 || other.stats().breaches().is_empty());
    assert_eq!(
        told.lines(),
        ["the network has ended and does not start again"]
    );
    Ok(())
}

#[test]
fn a_stop_while_the_nodes_still_open_ends_the_start() -> Result<()> {
    let network = Network::new();
    let opening = Arc::new(OnceLock::new());
    let opens = opening.clone();
    let slow = Scripted::new(&Log::default()).on_open(move || {
        let _ = opens.set(());
        // It still opens when it is stopped.
        std::thread::sleep(Duration::from_millis(200));
        Ok(())
    });
    network.add_source("in", slow)?;
    let starter = network.clone();
    let start = std::thread::spawn(move || starter.start());
    assert!(soon(|| opening.get().is_some()));
    network.stop()?;
    let error = start.join().unwrap().unwrap_err().to_string();
    assert_eq!(error, "the network is ending and takes in nothing new");
    Ok(())
}

#[test]
fn a_network_that_does_not_open_leaves_no_thread() -> Result<()> {
    let network = Network::new();
    let log = Log::default();
    network.add_source("in", burst(&["a"]))?;
    let closed = Scripted::new(&log).on_open(|| Err(Error::data("no such broker")));
    network.add_pipeline("mid", closed)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "mid")?;
    network.link("in", "out")?;
    let error = network.start().unwrap_err();
    assert_eq!(error.to_string(), "node mid: no such broker");
    assert_eq!((log.lines().concat(), seen.len()), ("open".into(), 0));
    network.stop()
}

#[test]
fn a_sink_stuck_in_its_own_code_is_named_when_the_limit_is_over() -> Result<()> {
    let network = Network::new();
    let log = Log::default();
    network.add_source("in", tracking(&["a", "b"], &log))?;
    network.add_pipeline("mid", Forwarder)?;
    let (free, stuck) = flume::bounded::<()>(0);
    let (reached, reach) = flume::unbounded();
    let sink = handler(move |_| {
        let _ = reached.send(());
        let _ = stuck.recv();
        Ok(())
    });
    network.add_sink("stuck", sink)?;
    network.link("in", "mid")?;
    network.link("mid", "stuck")?;
    network.start()?;
    reach.recv().unwrap();
    let begun = Instant::now();
    let error = network.stop_within(Duration::from_millis(200)).unwrap_err();
    assert!(
        begun.elapsed() < Duration::from_millis(1_200),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        (error.kind(), error.kind().exit_code()),
        (ErrorKind::DrainTimeout, 75)
    );
    let text = error.to_string();
    assert!(
        text.starts_with("not drained within 200ms: node in (2 events without an outcome), "),
        "{text}"
    );
    assert!(text.contains("node stuck (2 events in hand)"), "{text}");
    assert!(
        text.ends_with("left behind in their own code: stuck"),
        "{text}"
    );
    network.stop()?;
    drop(free);
    Ok(())
}

/// A sink that tells when it was reached and then sticks until what comes back is let go.
fn sticking(network: &Network) -> Result<(flume::Receiver<()>, flume::Sender<()>)> {
    let (free, stuck) = flume::bounded::<()>(0);
    let (reached, reach) = flume::unbounded();
    let sink = handler(move |_| {
        let _ = reached.send(());
        let _ = stuck.recv();
        Ok(())
    });
    network.add_sink("stuck", sink)?;
    Ok((reach, free))
}

#[test]
fn a_stop_that_takes_too_long_reports_how_much_waited_in_which_link() -> Result<()> {
    let network = Network::new();
    let (sender, input) = source::channel();
    network.add_source("in", input)?;
    let (reach, free) = sticking(&network)?;
    network.link("in", "stuck")?;
    network.start()?;
    sender.send("first")?;
    reach.recv().unwrap();
    for _ in 0..5 {
        sender.send("more")?;
    }
    assert!(soon(|| network.stats().links[0].queued == 5));
    let error = network.stop_within(Duration::from_millis(50)).unwrap_err();
    assert!(
        error
            .message()
            .contains("node stuck (1 events in hand), link in -> stuck (5 events waiting)"),
        "{error}"
    );
    drop(free);
    Ok(())
}

#[test]
fn a_stop_that_takes_too_long_names_the_nodes_that_send_and_that_wait_for_outcomes() -> Result<()> {
    let network = Network::new();
    let log = Log::default();
    network.add_source("in", tracking(&["a"; 20], &log))?;
    let (reach, free) = sticking(&network)?;
    let one = tributary::Capacity::new().events(1);
    network.link_with("in", "stuck", one)?;
    network.start()?;
    reach.recv().unwrap();
    let error = network.stop_within(Duration::from_millis(50)).unwrap_err();
    let wanted = "node in (sending 20 events, 20 events without an outcome), node stuck (";
    assert!(error.message().contains(wanted), "{error}");
    drop(free);
    Ok(())
}

#[test]
fn a_source_whose_broker_is_gone_does_not_hold_up_a_stop() -> Result<()> {
    let network = Network::new();
    let gone = || Error::data("the broker is gone").retryable();
    let source = Scripted::new(&Log::default()).on_read(move |_| Err(gone()));
    network.add_source("in", source)?;
    network.add_sink("out", Discarder)?;
    network.link("in", "out")?;
    network.start()?;
    assert!(soon(|| network
        .stats()
        .node("in")
        .is_some_and(|n| n.reopened > 2)));
    let begun = Instant::now();
    network.stop()?;
    assert!(begun.elapsed() < Duration::from_secs(2));
    Ok(())
}

#[test]
fn a_limit_without_end_is_no_limit() -> Result<()> {
    let (network, _) = endless()?;
    network.start()?;
    network.stop_within(Duration::MAX)
}

#[test]
fn an_abort_lets_everything_go_and_is_no_error_of_the_account() -> Result<()> {
    let log = Log::default();
    let network = Network::new();
    network.add_source("in", tracking(&["a"], &log))?;
    let tried = Log::default();
    let never = Scripted::new(&tried).on_event(|_, _| Err(Error::data("gone").retryable()));
    network.add_pipeline("mid", never)?;
    network.add_sink("out", Discarder)?;
    network.link("in", "mid")?;
    network.link("mid", "out")?;
    network.start()?;
    assert!(soon(|| tried.count("a") > 0));
    network.abort();
    network.wait()
}

#[test]
fn a_failure_is_reported_by_the_first_who_ends_the_network() -> Result<()> {
    let network = Network::new();
    network.add_source("in", burst(&["a"]))?;
    let fatal = Scripted::new(&Log::default()).on_commit(|_| Err(Error::data("no disk").fatal()));
    network.add_pipeline("mid", fatal)?;
    network.link("in", "mid")?;
    network.start()?;
    assert_eq!(network.wait().unwrap_err().to_string(), "node mid: no disk");
    network.stop()
}
