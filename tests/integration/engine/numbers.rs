//! What a running network shows of itself: calls and waits under way, counters that move within a batch,
//! rates, ages, latencies, the bottleneck, states and errors.

use crate::support::probe::soon;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tributary::network::{LinkStats, NetworkState, NodeState, NodeStats};
use tributary::pipeline::{self, Forwarder};
use tributary::{
    Capacity, Context, Error, Event, LinkOptions, Network, Node, Overflow, ReadStatus, Result,
    Sink, Source, Spill, Stats, sink, source,
};

fn node(network: &Network, name: &str) -> NodeStats {
    let stats = network.stats();
    stats.node(name).cloned().expect("the node exists")
}

fn link(stats: &Stats, to: &str) -> LinkStats {
    let mut links = stats.links.iter();
    links
        .find(|l| l.to.as_str() == to)
        .cloned()
        .expect("it is linked")
}

/// A sink that takes an event for each message, and all of them when the sender is gone.
fn gated() -> (flume::Sender<()>, impl Sink) {
    let (open, wait) = flume::unbounded::<()>();
    let sink = sink::handler(move |_| {
        let _ = wait.recv();
        Ok(())
    });
    (open, sink)
}

/// Emits batches of these sizes, the last one first, then waits. The first one is taken before the next is
/// emitted.
#[derive(Clone)]
struct Batches {
    sizes: Vec<usize>,
    has_begun: bool,
}

fn batches(sizes: &[usize]) -> Batches {
    Batches {
        sizes: sizes.to_vec(),
        has_begun: false,
    }
}

impl Node for Batches {}

impl Source for Batches {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        match self.sizes.pop() {
            Some(size) => {
                if std::mem::replace(&mut self.has_begun, true) {
                    // The second batch is younger than the first.
                    std::thread::sleep(Duration::from_millis(50));
                }
                (0..size).for_each(|n| cx.emit(Event::new(n.to_string(), cx.now())));
                Ok(ReadStatus::More)
            }
            None => {
                // It waits for input.
                std::thread::sleep(wait);
                Ok(ReadStatus::Idle)
            }
        }
    }
}

fn small(overflow: Overflow) -> LinkOptions {
    LinkOptions::new().events(10).overflow(overflow)
}

#[test]
fn a_call_under_way_is_busy_and_a_wait_under_way_is_blocked() -> Result<()> {
    let network = Network::with_capacity(Capacity::new().events(10))?;
    network.add_source("in", batches(&[100]))?;
    let (open, sink) = gated();
    network.add_sink("slow", sink)?;
    network.link("in", "slow")?;
    network.start()?;
    assert!(soon(
        || node(&network, "slow").busy > Duration::from_millis(150)
    ));
    let stats = network.stats();
    let blocked = stats.node("in").expect("it exists").blocked;
    assert!(blocked > Duration::from_millis(100), "{blocked:?}");
    let link = link(&stats, "slow");
    assert!(link.blocked > Duration::from_millis(100), "{link:?}");
    // The sum goes on where the wait ends.
    drop(open);
    assert!(soon(|| node(&network, "slow").received == 100));
    let after = network.stats();
    assert!(after.node("in").expect("it exists").blocked >= blocked);
    assert!(after.links[0].blocked >= link.blocked);
    network.stop()
}

#[test]
fn a_source_that_waits_for_input_is_not_busy() -> Result<()> {
    let network = Network::new();
    network.add_source("in", batches(&[1]))?;
    network.add_sink("out", sink::handler(|_| Ok(())))?;
    network.link("in", "out")?;
    network.start()?;
    // As long as a source that waits would be busy.
    std::thread::sleep(Duration::from_millis(400));
    let busy = node(&network, "in").busy;
    assert!(busy < Duration::from_millis(100), "{busy:?}");
    network.stop()
}

#[test]
fn the_counters_of_a_node_move_while_it_works_on_a_batch() -> Result<()> {
    let network = Network::new();
    network.add_source("in", batches(&[100]))?;
    let (open, sink) = gated();
    network.add_sink("slow", sink)?;
    network.link("in", "slow")?;
    network.start()?;
    for done in 1..=5 {
        open.send(()).expect("the sink is there");
        assert!(soon(|| node(&network, "slow").processed == done));
        let stats = node(&network, "slow");
        assert_eq!((stats.received, stats.consumed, stats.held), (100, 0, 100));
    }
    drop(open);
    assert!(soon(|| node(&network, "slow").consumed == 100));
    assert_eq!(node(&network, "slow").processed, 100);
    network.stop()
}

#[test]
fn the_depth_of_a_link_is_what_was_sent_and_not_taken_whatever_it_does_when_it_is_full()
-> Result<()> {
    let spill = Overflow::Spill(Spill::default());
    for overflow in [
        Overflow::Block,
        Overflow::DropNewest,
        Overflow::DropOldest,
        spill,
    ] {
        let network = Network::new();
        network.add_source("in", batches(&[40, 40, 20, 1]))?;
        let (open, sink) = gated();
        network.add_sink("slow", sink)?;
        network.link_with("in", "slow", small(overflow.clone()))?;
        network.start()?;
        // The first event is in hand, and the others wait: in the link, on disk, or at the sender.
        let waits = match overflow {
            Overflow::DropNewest | Overflow::DropOldest => (90, 10),
            // The batches of 40 are not read.
            Overflow::Block => (0, 20),
            _ => (0, 100),
        };
        let settled = || {
            let link = link(&network.stats(), "slow");
            (link.dropped, link.queued + link.received) == (waits.0, waits.1 + 1)
        };
        assert!(soon(settled), "{overflow:?}: {:?}", network.stats().links);
        for _ in 0..200 {
            let link = link(&network.stats(), "slow");
            let taken = link.received + link.dropped + link.lost;
            assert_eq!(link.queued, link.sent - taken, "{link:?}");
        }
        // While it empties too.
        drop(open);
        while node(&network, "slow").consumed + waits.0 < 101 {
            let link = link(&network.stats(), "slow");
            assert!(link.queued <= 100, "{link:?}");
        }
        network.stop()?;
        assert_eq!(network.stats().links[0].queued, 0);
    }
    Ok(())
}

#[test]
fn the_age_of_the_oldest_event_in_a_link_is_shown() -> Result<()> {
    for overflow in [Overflow::Block, Overflow::DropNewest, Overflow::DropOldest] {
        let network = Network::new();
        network.add_source("in", batches(&[5, 1]))?;
        let (open, sink) = gated();
        network.add_sink("slow", sink)?;
        network.link_with("in", "slow", small(overflow.clone()))?;
        let begun = Instant::now();
        network.start()?;
        assert!(soon(|| network.stats().links[0].queued == 5));
        // The events in the link grow older.
        std::thread::sleep(Duration::from_millis(200));
        let (stats, passed) = (network.stats(), begun.elapsed());
        let oldest = stats.links[0].oldest;
        let fits = Duration::from_millis(200) <= oldest && oldest <= passed;
        assert!(fits, "{overflow:?}: {oldest:?} of {passed:?}");
        assert_eq!(stats.node("slow").expect("it exists").oldest, oldest);
        drop(open);
        assert!(soon(|| network.stats().links[0].queued == 0));
        assert_eq!(network.stats().links[0].oldest, Duration::ZERO);
        network.stop()?;
    }
    Ok(())
}

#[test]
fn the_latency_from_the_source_is_that_of_all_nodes_on_the_way() -> Result<()> {
    let network = Network::new();
    network.add_source("in", batches(&[1; 20]))?;
    network.add_pipeline(
        "slow",
        pipeline::interceptor(|_| {
            // A slow node.
            std::thread::sleep(Duration::from_millis(20));
            Ok(true)
        }),
    )?;
    network.add_sink("out", sink::handler(|_| Ok(())))?;
    network.link("in", "slow")?;
    network.link("slow", "out")?;
    network.start()?;
    assert!(soon(|| node(&network, "out").consumed == 20));
    let latency = node(&network, "out").latency.expect("events came");
    // The batch takes 20 times 20 ms, and all of it leaves together.
    assert!(latency.p50 > Duration::from_millis(15), "{latency:?}");
    assert!(latency.p99 >= latency.p50, "{latency:?}");
    assert!(latency.p99 < Duration::from_secs(20), "{latency:?}");
    assert_eq!(node(&network, "in").latency, None);
    network.stop()
}

#[test]
fn the_rate_of_a_node_is_what_it_processes_in_a_second() -> Result<()> {
    let network = Network::new();
    network.add_source("in", batches(&[200]))?;
    // A batch of 200 takes 4 seconds: the rate does not wait for its end.
    network.add_sink(
        "slow",
        sink::handler(|_| {
            // A slow node.
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        }),
    )?;
    network.link("in", "slow")?;
    network.start()?;
    // Rates are measured once a second.
    std::thread::sleep(Duration::from_millis(1500));
    let stats = node(&network, "slow");
    assert!((5.0..=50.0).contains(&stats.rate), "{stats:?}");
    assert!(stats.busy_share > 0.5, "{stats:?}");
    let source = node(&network, "in");
    assert!(source.rate > 50.0, "{source:?}");
    assert!(network.stats().links[0].rate > 50.0);
    network.abort();
    network.wait()
}

#[test]
fn the_bottleneck_is_the_node_that_the_others_wait_for() -> Result<()> {
    let network = Network::with_capacity(Capacity::new().events(10))?;
    let stop = Arc::new(AtomicBool::new(false));
    let endless = {
        let stop = stop.clone();
        std::iter::from_fn(move || (!stop.load(Ordering::Relaxed)).then_some("x"))
    };
    network.add_source("in", source::from_iter(endless))?;
    network.add_pipeline("first", Forwarder)?;
    network.add_pipeline("second", Forwarder)?;
    network.add_pipeline(
        "slow",
        pipeline::interceptor(|_| {
            // A slow node.
            std::thread::sleep(Duration::from_millis(1));
            Ok(true)
        }),
    )?;
    network.add_sink("out", sink::handler(|_| Ok(())))?;
    for (from, to) in [
        ("in", "first"),
        ("first", "second"),
        ("second", "slow"),
        ("slow", "out"),
    ] {
        network.link(from, to)?;
    }
    network.start()?;
    let named = || {
        let found = network.stats().bottleneck?;
        let waiting = found.waiting.iter().map(ToString::to_string).collect();
        Some((found.node.to_string(), waiting))
    };
    let slow = Some(("slow".to_owned(), vec!["second".to_owned()]));
    assert!(soon(|| named() == slow), "{:?}", network.stats());
    stop.store(true, Ordering::Relaxed);
    network.wait()?;
    Ok(())
}

#[test]
fn where_no_node_waits_for_another_there_is_no_bottleneck() -> Result<()> {
    let network = Network::new();
    network.add_source("in", batches(&[1; 50]))?;
    network.add_sink("out", sink::handler(|_| Ok(())))?;
    network.link("in", "out")?;
    network.start()?;
    assert!(soon(|| node(&network, "out").consumed == 50));
    assert_eq!(network.stats().bottleneck, None);
    network.stop()
}

/// A source that opens when it may.
struct Opens(flume::Receiver<Result<()>>);

impl Node for Opens {
    fn open(&mut self) -> Result<()> {
        self.0.recv().unwrap_or(Ok(()))
    }
}

impl Source for Opens {
    fn read(&mut self, _: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        // It waits for input.
        std::thread::sleep(wait);
        Ok(ReadStatus::Idle)
    }
}

#[test]
fn what_a_network_shows_never_waits_for_a_node_that_opens() -> Result<()> {
    let network = Network::new();
    let (open, opens) = flume::unbounded();
    network.add_source("in", Opens(opens))?;
    network.add_sink("out", sink::handler(|_| Ok(())))?;
    network.link("in", "out")?;
    assert_eq!(network.state(), NetworkState::Built);
    let starts = {
        let network = network.clone();
        std::thread::spawn(move || network.start())
    };
    assert!(soon(|| network.state() == NetworkState::Starting));
    assert_eq!(node(&network, "in").state, NodeState::Opening);
    // What it needs is not available: it is lost, and the network runs.
    let lost = Error::data("the broker is down").retryable();
    open.send(Err(lost)).expect("it opens");
    starts.join().expect("the start returns")?;
    assert_eq!(network.state(), NetworkState::Running);
    assert_eq!(node(&network, "in").state, NodeState::Lost);
    assert_eq!(node(&network, "out").state, NodeState::Open);
    let errors = network.errors();
    let (name, report) = &errors[0];
    assert_eq!((name.as_str(), report.what.as_str()), ("in", "node lost"));
    assert!(report.error.contains("the broker is down"), "{report:?}");
    drop(open);
    assert!(soon(|| node(&network, "in").state == NodeState::Open));
    network.stop()?;
    assert_eq!(network.state(), NetworkState::Ended);
    assert_eq!(node(&network, "in").state, NodeState::Ended);
    assert_eq!(network.errors(), errors);
    Ok(())
}

#[test]
fn the_last_errors_of_a_node_are_kept_and_a_flood_of_them_is_counted() -> Result<()> {
    let network = Network::new();
    network.add_source("in", batches(&[1, 5_000]))?;
    let refuse = |_: &Event| Err(Error::data("no good"));
    network.add_sink("picky", sink::handler(refuse))?;
    network.link("in", "picky")?;
    network.start()?;
    assert!(soon(|| node(&network, "picky").rejected == 5_001));
    let errors = network.errors();
    assert!((1..=16).contains(&errors.len()), "{}", errors.len());
    let first = &errors[0].1;
    assert_eq!(first.what, "event rejected");
    assert_eq!(
        (first.error.as_str(), first.payload.as_deref()),
        ("no good", Some("0"))
    );
    network.stop()
}
