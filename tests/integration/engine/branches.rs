//! Branches that take nothing: what their siblings get meanwhile, and how much waits where.

use crate::support::probe::{Log, Scripted, Seen, burst, soon};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tributary::pipeline::Forwarder;
use tributary::sink::{Discarder, handler};
use tributary::{
    Capacity, Context, Error, ErrorKind, Event, LinkOptions, Network, Overflow, ReadStatus, Result,
    Sink, Spill, Stats, source,
};

/// A sink that takes nothing before the sender is gone.
fn dead() -> (flume::Sender<()>, impl Sink) {
    let (open, wait) = flume::unbounded::<()>();
    let sink = handler(move |_| {
        let _ = wait.recv();
        Ok(())
    });
    (open, sink)
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// Waits until nothing moves any more, and gives the account of that moment.
fn at_rest(network: &Network) -> Stats {
    let received = |stats: &Stats| stats.nodes.iter().map(|n| n.received).sum::<u64>();
    loop {
        let before = received(&network.stats());
        // What moves would move meanwhile.
        std::thread::sleep(Duration::from_millis(100));
        let stats = network.stats();
        if before > 0 && received(&stats) == before {
            return stats;
        }
    }
}

/// A source that sends so many events, each as a batch of its own.
fn one_by_one(count: usize) -> Scripted {
    let mut left = count;
    Scripted::new(&Log::default()).on_read(move |cx| {
        if left == 0 {
            return Ok(ReadStatus::End);
        }
        left -= 1;
        cx.emit(Event::new("x", cx.now()));
        Ok(ReadStatus::More)
    })
}

#[test]
fn a_branch_that_takes_nothing_holds_back_its_sibling_no_earlier_than_when_its_link_is_full()
-> Result<()> {
    for order in [["dead", "live"], ["live", "dead"]] {
        for single in [false, true] {
            let network = Network::new();
            if single {
                network.add_source("in", one_by_one(20_000))?
            } else {
                // All of it in one batch.
                let events = numbers(20_000);
                network.add_source(
                    "in",
                    burst(&events.iter().map(String::as_str).collect::<Vec<_>>()),
                )?
            };
            let (open, sink) = dead();
            network.add_sink("dead", sink)?;
            let live = Seen::at(&network, "live")?;
            network.fanout("in", order)?;
            network.start()?;
            let stats = at_rest(&network);
            let dead = stats
                .links
                .iter()
                .find(|l| l.to.as_str() == "dead")
                .unwrap();
            assert!(live.len() >= 4_096, "{order:?}: {} events", live.len());
            // It is full, and nothing is kept from the sibling that was read.
            assert!(dead.queued >= 4_096, "{order:?}: {}", dead.queued);
            let read = stats.node("in").unwrap().emitted;
            assert_eq!(live.len() as u64, read, "{order:?}");
            assert_eq!(dead.sent, read, "{order:?}");
            drop(open);
            network.stop()?;
            assert_eq!(network.stats().breaches(), [""; 0]);
        }
    }
    Ok(())
}

#[test]
fn a_small_link_does_not_make_its_sibling_small() -> Result<()> {
    for order in [["dead", "live"], ["live", "dead"]] {
        let network = Network::new();
        network.add_source("in", source::from_iter(numbers(10_000)))?;
        let (open, sink) = dead();
        network.add_sink("dead", sink)?;
        let live = Seen::at(&network, "live")?;
        for to in order {
            let options = match to {
                "live" => LinkOptions::new().events(1),
                _ => LinkOptions::new(),
            };
            network.link_with("in", to, options)?;
        }
        network.start()?;
        at_rest(&network);
        assert!(live.len() >= 4_096, "{order:?}: {} events", live.len());
        drop(open);
        network.stop()?;
    }
    Ok(())
}

#[test]
fn a_port_whose_branch_takes_nothing_holds_back_no_other_port() -> Result<()> {
    let network = Network::new();
    network.add_source("in", one_by_one(1))?;
    let split = Scripted::new(&Log::default())
        .ports(&["left", "right"])
        .on_event(|event, cx| {
            for _ in 0..10_000 {
                cx.emit_to("left", event.clone())?;
                cx.emit_to("right", event.clone())?;
            }
            Ok(())
        });
    network.add_pipeline("split", split)?;
    let (open, sink) = dead();
    network.add_sink("dead", sink)?;
    let live = Seen::at(&network, "live")?;
    network.link("in", "split")?;
    network.link("split.left", "dead")?;
    network.link("split.right", "live")?;
    network.start()?;
    assert!(soon(|| live.len() == 10_000), "{}", live.len());
    let stats = network.stats();
    let left = &stats.links[1];
    assert_eq!((left.sent, left.received + left.queued), (10_000, 10_000));
    drop(open);
    network.wait()?;
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_member_of_a_balance_that_takes_nothing_holds_back_no_other_one() -> Result<()> {
    for key in [None, Some("n")] {
        let network = Network::new();
        let events: Vec<String> = (0..20_000).map(|n| format!("{{\"n\":{n}}}")).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        network.add_source("in", burst(&events))?;
        let (open, sink) = dead();
        network.add_sink("dead", sink)?;
        let live = Seen::at(&network, "live")?;
        network.balance("in", ["dead", "live"], key)?;
        network.start()?;
        let stats = at_rest(&network);
        // With a key one half is the other member's own.
        let least = if key.is_some() { 8_000 } else { 15_000 };
        assert!(live.len() >= least, "{key:?}: {} events", live.len());
        let queued: u64 = stats.links.iter().map(|link| link.queued).sum();
        let received: u64 = stats.links.iter().map(|link| link.received).sum();
        assert_eq!(queued + received, 20_000, "{key:?}");
        drop(open);
        network.stop()?;
        assert_eq!(network.stats().breaches(), [""; 0]);
    }
    Ok(())
}

#[test]
fn events_that_come_one_by_one_fill_a_link_by_their_number() -> Result<()> {
    let network = Network::with_capacity(Capacity::new().events(1_000).bytes(1 << 20))?;
    network.add_source("in", one_by_one(5_000))?;
    let (open, sink) = dead();
    network.add_sink("dead", sink)?;
    network.link("in", "dead")?;
    network.start()?;
    let link = &at_rest(&network).links[0];
    // One more waits at the sender.
    assert_eq!(link.queued, 1_001);
    drop(open);
    network.stop()?;
    Ok(())
}

#[test]
fn the_depth_of_a_link_includes_what_waits_to_be_sent_and_leaves_out_what_was_dropped() -> Result<()>
{
    let folder = tempfile::tempdir().unwrap();
    let spill = Overflow::Spill(Spill::new().dir(folder.path()).size(1_000));
    for overflow in [
        Overflow::Block,
        spill,
        Overflow::DropNewest,
        Overflow::DropOldest,
    ] {
        let drops = matches!(overflow, Overflow::DropNewest | Overflow::DropOldest);
        let network = Network::new();
        let events = numbers(10_000);
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        network.add_source("in", burst(&events))?;
        let (open, sink) = dead();
        network.add_sink("dead", sink)?;
        let options = LinkOptions::new().events(100).overflow(overflow.clone());
        network.link_with("in", "dead", options)?;
        network.start()?;
        let link = at_rest(&network).links[0].clone();
        assert_eq!(link.sent, 10_000, "{overflow:?}");
        assert_eq!(
            link.sent,
            link.received + link.queued + link.dropped,
            "{overflow:?}"
        );
        assert_eq!(link.queued > 100, !drops, "{overflow:?}: {}", link.queued);
        let error = network.stop_within(Duration::from_millis(10)).unwrap_err();
        let named = format!("link in -> dead ({} events waiting)", link.queued);
        let is_named = error.message().contains(&named);
        assert_eq!(is_named, link.queued > 0, "{overflow:?}: {error}");
        drop(open);
    }
    Ok(())
}

#[test]
fn the_law_of_a_link_holds_at_every_moment() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let overflows = [
        Overflow::Block,
        Overflow::DropNewest,
        Overflow::DropOldest,
        Overflow::Spill(Spill::new().dir(folder.path()).size(20_000)),
    ];
    let network = Network::new();
    network.add_source("in", source::from_iter(numbers(200_000)))?;
    for (n, overflow) in overflows.into_iter().enumerate() {
        let name = format!("sink{n}");
        network.add_sink(
            &name,
            handler(|_| {
                std::thread::yield_now();
                Ok(())
            }),
        )?;
        let options = LinkOptions::new().events(50).overflow(overflow);
        network.link_with("in", &*name, options)?;
    }
    network.start()?;
    let looks = AtomicUsize::new(0);
    while network.wait_timeout(Duration::from_micros(100)).is_none() {
        for link in network.stats().links {
            let counted = link.received + link.queued + link.dropped + link.lost;
            assert_eq!(link.sent, counted, "{} -> {}", link.from, link.to);
        }
        looks.fetch_add(1, Ordering::Relaxed);
    }
    assert!(looks.into_inner() > 10);
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_branch_that_ends_early_wakes_a_sender_that_waits_for_it() -> Result<()> {
    let network = Network::new();
    network.set_panic_limit(2);
    network.add_source("in", source::from_iter(numbers(50_000)))?;
    network.add_pipeline("between", Forwarder)?;
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let sink = handler(move |_| {
        // A slow sink.
        std::thread::sleep(Duration::from_millis(20));
        match count.fetch_add(1, Ordering::SeqCst) {
            10.. => std::panic::resume_unwind(Box::new("quietly")),
            _ => Ok(()),
        }
    });
    network.add_sink("fails", sink)?;
    network.add_sink("other", Discarder)?;
    network.link("in", "between")?;
    let small = LinkOptions::new().events(1);
    network.link_with("between", "fails", small)?;
    network.link("between", "other")?;
    network.start()?;
    let error = network.wait().unwrap_err();
    assert!(error.message().contains("panicked 2 times"), "{error}");
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_source_that_is_aborted_while_it_reads_does_not_wait_for_room_afterwards() -> Result<()> {
    let network = Network::new();
    let alive = Arc::new(());
    let (go_on, reading) = flume::unbounded::<()>();
    let (held, mut reads) = (alive.clone(), 0);
    let read = move |cx: &mut Context<'_>| {
        let _held = &held;
        reads += 1;
        if reads > 2 {
            let _ = reading.recv();
        }
        cx.emit(Event::new("x", cx.now()));
        Ok(ReadStatus::More)
    };
    network.add_source("in", Scripted::new(&Log::default()).on_read(read))?;
    let (open, sink) = dead();
    network.add_sink("dead", sink)?;
    network.link_with("in", "dead", LinkOptions::new().events(1))?;
    network.start()?;
    // One event is in the sink's hand, one fills the link, and the source is in its own code.
    assert!(soon(|| network.stats().node("in").unwrap().emitted == 2));
    let stopped = network.stop_within(Duration::from_millis(50));
    assert!(stopped.is_err(), "{stopped:?}");
    drop(go_on);
    assert!(soon(|| Arc::strong_count(&alive) == 1), "it still waits");
    drop(open);
    Ok(())
}

#[test]
fn a_sender_for_which_one_member_is_full_and_one_has_ended_waits_and_can_be_aborted() -> Result<()>
{
    let network = Network::with_capacity(Capacity::new().events(1))?;
    let alive = Arc::new(());
    let held = alive.clone();
    let read = move |cx: &mut Context<'_>| {
        let _held = &held;
        cx.emit(Event::new("x", cx.now()));
        Ok(ReadStatus::More)
    };
    network.add_source("in", Scripted::new(&Log::default()).on_read(read))?;
    let (open, sink) = dead();
    network.add_sink("dead", sink)?;
    // It is lost at its first event, and for good when it is opened again.
    let mut opened = 0;
    let ended = Scripted::new(&Log::default())
        .on_open(move || {
            opened += 1;
            match opened {
                1 => Ok(()),
                _ => Err(Error::new(ErrorKind::Failed, "gone")),
            }
        })
        .on_event(|_, _| Err(Error::new(ErrorKind::Unavailable, "away").retryable()));
    network.add_sink("ended", ended)?;
    network.balance("in", ["dead", "ended"], None)?;
    network.start()?;
    assert!(soon(|| network.stats().node("ended").unwrap().failed));
    let stopped = network.stop_within(Duration::from_millis(50));
    assert!(stopped.is_err(), "{stopped:?}");
    assert!(soon(|| Arc::strong_count(&alive) == 1), "it still sends");
    drop(open);
    Ok(())
}
