//! Links that are full: what waits, what is dropped, what goes to disk, and what is an error.

use crate::support::probe::{Log, START, Scripted, Seen, burst, soon, text, tracking};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tributary::pipeline::Forwarder;
use tributary::sink::{Discarder, handler};
use tributary::{
    Capacity, ErrorKind, Event, LinkOptions, Network, Outcome, Overflow, ReadStatus, Runtime, Sink,
    Spill, source,
};

type Tested = Result<(), Box<dyn Error>>;

fn spill(folder: &TempDir, size: u64) -> Overflow {
    Overflow::Spill(Spill::new().dir(folder.path()).size(size))
}

/// A sink that takes nothing before the sender is gone, and then what it is told to.
fn behind_a_gate(mut sink: impl FnMut(&Event) + Send + 'static) -> (flume::Sender<()>, impl Sink) {
    let (open, wait) = flume::unbounded::<()>();
    let sink = handler(move |event| {
        let _ = wait.recv();
        sink(event);
        Ok(())
    });
    (open, sink)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

#[test]
fn in_a_simulation_a_full_link_drops_as_it_does_on_threads() -> Tested {
    let ten = names(10);
    let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
    for (overflow, kept) in [
        (Overflow::DropNewest, ["0", "1", "2", "3"].as_slice()),
        (Overflow::DropOldest, &["6", "7", "8", "9"]),
        (Overflow::Block, &ten),
        (Overflow::Spill(Spill::default()), &ten),
    ] {
        let (log, network) = (Log::default(), Network::new());
        network.add_source("in", tracking(&ten, &log))?;
        let seen = Seen::at(&network, "out")?;
        let options = LinkOptions::new().events(4).overflow(overflow);
        network.link_with("in", "out", options)?;
        let simulation = network.simulate(START)?;
        assert_eq!(seen.texts(), kept);
        // What is dropped was let go on purpose.
        let delivered = log
            .lines()
            .iter()
            .filter(|line| line.ends_with("Delivered"))
            .count();
        assert_eq!(delivered, kept.len().max(10));
        let stats = simulation.finish()?;
        let link = &stats.links[0];
        assert_eq!((link.sent, link.received), (10, kept.len() as u64));
        assert_eq!(link.dropped, 10 - kept.len() as u64);
        assert_eq!((link.queued, link.lost), (0, 0));
        assert_eq!(stats.breaches(), [""; 0]);
    }
    Ok(())
}

#[test]
fn bytes_fill_a_link_too_and_one_event_is_let_through_however_large() -> Tested {
    for (overflow, kept) in [
        (Overflow::DropNewest, ["aaaa", "bbb"].as_slice()),
        (Overflow::DropOldest, &["dddddddddddd"]),
    ] {
        let network = Network::new();
        network.add_source("in", burst(&["aaaa", "bbb", "cccc", "dddddddddddd"]))?;
        let seen = Seen::at(&network, "out")?;
        let options = LinkOptions::new().bytes(8).overflow(overflow);
        network.link_with("in", "out", options)?;
        let stats = network.simulate(START)?.finish()?;
        assert_eq!(seen.texts(), kept);
        assert_eq!(stats.breaches(), [""; 0]);
    }
    Ok(())
}

#[test]
fn a_sink_that_takes_nothing_does_not_hold_back_a_link_that_drops() -> Tested {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let newest = overflow == Overflow::DropNewest;
        let network = Network::new();
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        // One event in each batch: they count as events, not as batches.
        let source = Scripted::new(&Log::default()).on_read(move |cx| {
            let n = count.load(Ordering::SeqCst);
            if n == 10_000 {
                return Ok(ReadStatus::Idle);
            }
            cx.emit(Event::new(n.to_string(), cx.now()));
            count.store(n + 1, Ordering::SeqCst);
            Ok(ReadStatus::More)
        });
        network.add_source("in", source)?;
        let log = Log::default();
        let noted = log.clone();
        let (open, sink) = behind_a_gate(move |event| noted.note(text(event)));
        network.add_sink("out", sink)?;
        let options = LinkOptions::new().events(100).overflow(overflow);
        network.link_with("in", "out", options)?;
        network.start()?;
        assert!(soon(|| sent.load(Ordering::SeqCst) == 10_000));
        drop(open);
        network.stop()?;
        let stats = network.stats();
        let link = &stats.links[0];
        let got: Vec<usize> = log.lines().iter().map(|n| n.parse().unwrap()).collect();
        // What the link held, and what the sink had taken before.
        assert!((100..=600).contains(&got.len()), "{}", got.len());
        assert!(got.is_sorted());
        let (first, last) = (got[0], got[got.len() - 1]);
        assert!(first == 0 || !newest, "{first}");
        assert!(last == 9_999 || newest, "{last}");
        assert_eq!(link.sent, 10_000);
        assert_eq!(link.received + link.dropped, 10_000);
        assert_eq!(link.received, got.len() as u64);
        assert_eq!(stats.breaches(), [""; 0]);
    }
    Ok(())
}

/// A source that tracks so many events of about a hundred bytes, ends when all are delivered, and
/// says how many were read.
fn many(count: usize, outcomes: &Log) -> (Arc<AtomicUsize>, Scripted) {
    let (read, settled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (reading, settling, outcomes) = (read.clone(), settled.clone(), outcomes.clone());
    let source = Scripted::new(&Log::default())
        .on_read(move |cx| {
            let from = reading.load(Ordering::SeqCst);
            let to = count.min(from + 100);
            for n in from..to {
                let mut event = Event::new(format!("{n:0>100}"), START).with_meta("n", n);
                cx.track(&mut event);
                cx.emit(event);
            }
            reading.store(to, Ordering::SeqCst);
            Ok(match settled.load(Ordering::SeqCst) == count {
                true => ReadStatus::End,
                false if from == to => ReadStatus::Idle,
                false => ReadStatus::More,
            })
        })
        .on_settle(move |_, outcome, _| {
            settling.fetch_add(1, Ordering::SeqCst);
            if outcome == Outcome::Failed {
                outcomes.note("failed");
            }
            Ok(())
        });
    (read, source)
}

/// Checks that an event is as it was, and which one it is.
fn number(event: &Event) -> usize {
    let n: usize = text(event).parse().unwrap();
    assert_eq!(
        event.meta().get("n").and_then(|n| n.as_u64()),
        Some(n as u64)
    );
    assert_eq!((event.time(), event.payload().size()), (START, 100));
    n
}

#[test]
fn what_finds_no_room_waits_on_disk_in_order() -> Tested {
    let folder = TempDir::new()?;
    let network = Network::new();
    let (log, seen) = (Log::default(), Arc::new(AtomicUsize::new(0)));
    let (read, source) = many(50_000, &log);
    network.add_source("in", source)?;
    let next = seen.clone();
    let (open, sink) = behind_a_gate(move |event| {
        assert_eq!(number(event), next.fetch_add(1, Ordering::SeqCst));
    });
    network.add_sink("out", sink)?;
    let options = LinkOptions::new()
        .events(1_000)
        .overflow(spill(&folder, 64 << 20));
    network.link_with("in", "out", options)?;
    network.start()?;
    assert!(
        soon(|| read.load(Ordering::SeqCst) == 50_000),
        "it was held back"
    );
    // It has no name.
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
    drop(open);
    network.wait()?;
    assert_eq!(seen.load(Ordering::SeqCst), 50_000);
    assert_eq!(log.lines(), [""; 0]);
    let stats = network.stats();
    let link = &stats.links[0];
    assert!(link.spilled > 40_000, "{}", link.spilled);
    assert_eq!((link.received, link.dropped, link.lost), (50_000, 0, 0));
    assert_eq!(stats.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_link_whose_disk_is_full_blocks_and_loses_nothing() -> Tested {
    let folder = TempDir::new()?;
    for size in [1, 100_000, 300_000] {
        let network = Network::new();
        let (log, seen) = (Log::default(), Arc::new(AtomicUsize::new(0)));
        let (read, source) = many(30_000, &log);
        network.add_source("in", source)?;
        let next = seen.clone();
        let sink = handler(move |event| {
            let n = next.fetch_add(1, Ordering::SeqCst);
            assert_eq!(number(event), n);
            // The source comes to where there is no room, however slow the machine is.
            let pause = if n == 0 { 500 } else { 5 };
            if n % 1_000 == 0 {
                // A slow sink.
                std::thread::sleep(Duration::from_millis(pause));
            }
            Ok(())
        });
        network.add_sink("out", sink)?;
        let options = LinkOptions::new().events(50).overflow(spill(&folder, size));
        network.link_with("in", "out", options)?;
        network.start()?;
        network.wait()?;
        assert_eq!(read.load(Ordering::SeqCst), 30_000);
        assert_eq!(seen.load(Ordering::SeqCst), 30_000);
        assert_eq!(log.lines(), [""; 0]);
        let stats = network.stats();
        assert!(stats.links[0].blocked > Duration::ZERO);
        assert_eq!(stats.links[0].spilled > 0, size > 1);
        assert_eq!(stats.breaches(), [""; 0]);
    }
    Ok(())
}

#[test]
fn what_waits_on_disk_fails_when_its_receiver_goes() -> Tested {
    let folder = TempDir::new()?;
    let network = Network::new();
    let log = Log::default();
    let (read, source) = many(10_000, &log);
    network.add_source("in", source)?;
    let (open, sink) = behind_a_gate(|_| {});
    network.add_sink("out", sink)?;
    let options = LinkOptions::new()
        .events(10)
        .overflow(spill(&folder, 64 << 20));
    network.link_with("in", "out", options)?;
    network.start()?;
    assert!(soon(|| read.load(Ordering::SeqCst) == 10_000));
    network.abort();
    drop(open);
    network.wait()?;
    let link = &network.stats().links[0];
    assert_eq!(link.received + link.lost, link.sent);
    assert!(link.lost > 5_000, "{}", link.lost);
    Ok(())
}

#[test]
fn an_abort_ends_a_sender_that_waits_for_the_disk() -> Tested {
    let folder = TempDir::new()?;
    let network = Network::new();
    let (read, source) = many(100_000, &Log::default());
    network.add_source("in", source)?;
    let (open, sink) = behind_a_gate(|_| {});
    network.add_sink("out", sink)?;
    network.link_with(
        "in",
        "out",
        LinkOptions::new()
            .events(10)
            .overflow(spill(&folder, 9_999)),
    )?;
    network.start()?;
    assert!(soon(|| read.load(Ordering::SeqCst) > 100));
    // As much is sent as finds room, and the source waits.
    std::thread::sleep(Duration::from_millis(20));
    network.abort();
    drop(open);
    network.wait()?;
    assert!(read.load(Ordering::SeqCst) < 100_000);
    Ok(())
}

#[test]
fn a_node_that_takes_nothing_for_as_long_as_its_link_allows_is_named() -> Tested {
    let folder = TempDir::new()?;
    for overflow in [Overflow::Block, spill(&folder, 20_000)] {
        let network = Network::new();
        let log = Log::default();
        let (_, source) = many(2_000, &log);
        network.add_source("in", source)?;
        network.add_pipeline("between", Forwarder)?;
        let (open, sink) = behind_a_gate(|_| {});
        network.add_sink("stuck", sink)?;
        network.link("in", "between")?;
        let options = LinkOptions::new().events(10).overflow(overflow);
        network.link_with(
            "between",
            "stuck",
            options.timeout(Duration::from_millis(100)),
        )?;
        let begun = Instant::now();
        network.start()?;
        // It comes to itself, but not in time.
        assert_eq!(
            network.wait_timeout(Duration::from_millis(500)).map(|_| ()),
            None
        );
        drop(open);
        let error = network.wait().unwrap_err();
        assert_eq!(
            error.to_string(),
            "node stuck: it has taken nothing from between for 100ms"
        );
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(begun.elapsed() < Duration::from_secs(5));
        // What it did not take has failed, and nothing is missing from the account.
        assert!(log.lines().len() > 100, "{}", log.lines().len());
        assert_eq!(network.stats().breaches(), [""; 0]);
    }
    Ok(())
}

#[test]
fn waiting_for_a_network_does_not_include_a_node_that_receives_nothing() -> Tested {
    let network = Network::new();
    network.add_source("in", source::from_iter(names(1_000)))?;
    let (open, sink) = behind_a_gate(|_| {});
    network.add_sink("stuck", sink)?;
    let options = LinkOptions::new()
        .events(1)
        .timeout(Duration::from_millis(50));
    network.link_with("in", "stuck", options)?;
    network.start()?;
    let begun = Instant::now();
    let error = network.wait().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("node stuck: it has taken nothing"),
        "{error}"
    );
    assert!(begun.elapsed() < tributary::network::STOP_LIMIT + Duration::from_secs(3));
    drop(open);
    Ok(())
}

#[test]
fn a_slow_node_that_still_receives_is_not_stuck() -> Tested {
    let network = Network::new();
    network.add_source("in", source::from_iter(names(40)))?;
    let sink = handler(|_| {
        // A slow sink.
        std::thread::sleep(Duration::from_millis(20));
        Ok(())
    });
    network.add_sink("slow", sink)?;
    let options = LinkOptions::new()
        .events(1)
        .timeout(Duration::from_millis(400));
    network.link_with("in", "slow", options)?;
    network.start()?;
    network.wait()?;
    Ok(())
}

#[test]
fn bad_options_are_refused() -> Tested {
    let network = Network::new();
    network.add_source("in", source::from_iter(names(1)))?;
    network.add_sink("out", Discarder)?;
    let refused = |options: LinkOptions| network.link_with("in", "out", options).unwrap_err();
    let zero = refused(LinkOptions::new().timeout(Duration::ZERO));
    assert_eq!(
        zero.to_string(),
        "bad timeout of a link: it must be more than zero"
    );
    let spill = |dir: &str, size| Overflow::Spill(Spill::new().dir(dir).size(size));
    let error = refused(LinkOptions::new().overflow(spill("/no/such/place", 1)));
    assert_eq!(
        error.to_string(),
        "there is no directory \"/no/such/place\" to spill to"
    );
    let error = refused(LinkOptions::new().overflow(spill("/", 0)));
    assert_eq!(
        error.to_string(),
        "bad size of what a link spills: at least 1 byte"
    );
    let none = Capacity::new().events(0).bytes(1);
    assert!(network.link_with("in", "out", none).is_err());
    assert_eq!(network.edges().len(), 0);
    Ok(())
}

#[test]
fn scripts_set_the_overflow_of_their_links() -> Tested {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    let run = |script: &str| runtime.run_text("net.lua", script);
    run("tb = require('tributary')
for _, name in ipairs {'a', 'b', 'c', 'd'} do tb.create_forwarder(name) end
tb.link('a', 'b', {capacity = 7, bytes = 100, overflow = 'drop_oldest', timeout = '30s'})
tb.fanout('b', 'c', 'd', {overflow = 'spill', spill_dir = '.', spill_size = 5000})
tb.fanin('d', 'a', 'c', {overflow = 'drop_newest'})")?;
    let edges: Vec<String> = network
        .edges()
        .iter()
        .map(|e| format!("{e} {} {:?} {:?}", e.capacity.events, e.overflow, e.timeout))
        .collect();
    let spilled = "4096 Spill(Spill { dir: Some(\".\"), size: 5000 }) None";
    assert_eq!(
        edges,
        [
            "a -> b 7 DropOldest Some(30s)".to_owned(),
            format!("b -> c {spilled}"),
            format!("b -> d {spilled}"),
            "a -> d 4096 DropNewest None".to_owned(),
            "c -> d 4096 DropNewest None".to_owned(),
        ]
    );
    for (call, expected) in [
        (
            "{overflow = 'dropnewest'}",
            "bad overflow \"dropnewest\"; it is one of block,",
        ),
        ("{capacity = -1}", "bad capacity of -1 events"),
        ("{capacity = 0}", "bad capacity of 0 events"),
        ("{timeout = '0s'}", "option timeout of link"),
        (
            "{spill_size = 1}",
            "spill_dir and spill_size are for a link with overflow",
        ),
        (
            "{overflow = 'spill', spill_dir = 'nowhere'}",
            "there is no directory \"nowhere\"",
        ),
        (
            "{overflow = 'spill', spill_size = 0}",
            "bad size of what a link spills",
        ),
        ("{limit = 1}", "link has no option \"limit\""),
    ] {
        let error = run(&format!("tb.link('c', 'a', {call})"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{call}: {error}");
    }
    Ok(())
}

#[test]
fn whatever_a_link_does_the_account_holds_and_the_order_is_kept() -> Tested {
    let folder = TempDir::new()?;
    let seed = u64::from(std::process::id());
    let mut random = seed;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    for round in 0..60 {
        let network = Network::new();
        let log = Log::default();
        network.add_source("in", many(3_000, &log).1)?;
        let mut last = "in".to_owned();
        let mut drops = false;
        for at in 0..=next(3) {
            let overflow = match next(4) {
                0 => Overflow::Block,
                1 => Overflow::DropNewest,
                2 => Overflow::DropOldest,
                _ => spill(&folder, 1 + next(60_000)),
            };
            drops |= matches!(overflow, Overflow::DropNewest | Overflow::DropOldest);
            let options = LinkOptions::new()
                .events(1 + next(300) as usize)
                .overflow(overflow);
            let name = format!("n{at}");
            let pause = next(60);
            network.add_pipeline(
                &name,
                tributary::pipeline::interceptor(move |event| {
                    if number(event) % 61 == pause as usize {
                        // A slow node.
                        std::thread::sleep(Duration::from_micros(300));
                    }
                    Ok(tributary::pipeline::Verdict::Pass)
                }),
            )?;
            network.link_with(&last, &name, options)?;
            last = name;
        }
        let seen = Seen::at(&network, "out")?;
        network.link(&last, "out")?;
        network.start()?;
        let early = next(4) == 0;
        if early {
            // The moment of the stop is what is tried.
            std::thread::sleep(Duration::from_micros(next(20_000)));
            network.stop()?;
        } else {
            network.wait()?;
        }
        let stats = network.stats();
        assert_eq!(stats.breaches(), [""; 0], "seed {seed}, round {round}");
        let got: Vec<usize> = seen.events().iter().map(number).collect();
        assert!(got.is_sorted_by(|a, b| a < b), "seed {seed}, round {round}");
        assert_eq!(log.lines(), [""; 0], "seed {seed}, round {round}");
        if !drops && !early {
            assert_eq!(got.len(), 3_000, "seed {seed}, round {round}");
        }
    }
    Ok(())
}
