//! Extending a running network: as a whole or not at all, and nothing is missed.

use crate::support::probe::{Log, Scripted, Seen, burst, soon};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tributary::pipeline::Forwarder;
use tributary::sink::Discarder;
use tributary::{Error, Event, Network, Outcome, ReadStatus, Result, source};

/// `in -> mid -> out` running, with a host that sends.
fn running() -> Result<(Network, source::Sender, Seen)> {
    let (sender, input) = source::channel();
    let network = Network::new();
    network.add_source("in", input)?;
    network.add_pipeline("mid", Forwarder)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "mid")?;
    network.link("mid", "out")?;
    network.start()?;
    Ok((network, sender, seen))
}

#[test]
fn a_new_branch_gets_every_event_from_then_on() -> Result<()> {
    let (network, sender, seen) = running()?;
    assert_eq!(sender.deliver("before")?, Outcome::Delivered);
    let branch = Seen::default();
    network.change(|draft| {
        draft.add_pipeline("side", Forwarder)?;
        draft.add_sink("branch", branch.sink())?;
        draft.link("mid", "side")?;
        draft.link("side", "branch")
    })?;
    let numbers: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    for number in &numbers {
        sender.send(number.as_str())?;
    }
    drop(sender);
    network.wait()?;
    assert_eq!(seen.len(), 1_001);
    assert_eq!(branch.texts(), numbers);
    Ok(())
}

#[test]
fn no_event_sent_after_extend_has_returned_is_missed() -> Result<()> {
    // The counter is raised before each event leaves; what was raised after the extension must
    // arrive on the new branch.
    let network = Network::new();
    let count = Arc::new(AtomicU64::new(0));
    let counter = count.clone();
    let source = Scripted::new(&Log::default()).on_read(move |cx| {
        for _ in 0..100 {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            cx.emit(Event::new(n.to_string(), cx.now()));
        }
        Ok(ReadStatus::More)
    });
    network.add_source("in", source)?;
    let all = Seen::at(&network, "all")?;
    network.link("in", "all")?;
    network.start()?;
    let mut branches = Vec::new();
    for n in 0..10 {
        assert!(soon(|| all.len() > n * 500));
        let seen = Seen::default();
        network.change(|draft| {
            draft.add_sink(&format!("branch{n}"), seen.sink())?;
            draft.link("in", format!("branch{n}"))
        })?;
        branches.push((count.load(Ordering::SeqCst), seen));
    }
    network.stop()?;
    let sent = count.load(Ordering::SeqCst);
    for (from, seen) in branches {
        let numbers: Vec<u64> = seen
            .texts()
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert!(
            numbers.first().is_none_or(|first| *first <= from),
            "{from}: {numbers:?}"
        );
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        assert_eq!(numbers.last().map_or(from, |last| last + 1), sent);
    }
    Ok(())
}

#[test]
fn a_new_source_may_feed_a_node_that_runs() -> Result<()> {
    let (network, sender, seen) = running()?;
    network.change(|draft| {
        draft.add_source("more", source::from_iter(["1", "2", "3"]))?;
        draft.link("more", "mid")
    })?;
    assert!(soon(|| seen.len() == 3));
    assert_eq!(sender.deliver("still open")?, Outcome::Delivered);
    assert_eq!(seen.texts(), ["1", "2", "3", "still open"]);
    network.stop()?;
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_link_alone_may_be_added_between_nodes_that_run() -> Result<()> {
    let (network, sender, seen) = running()?;
    network.link("in", "out")?;
    sender.deliver("x")?;
    assert_eq!(seen.texts(), ["x", "x"]);
    assert!(network.link("out.errors", "mid").is_err(), "a cycle");
    network.stop()
}

#[test]
fn an_extension_whose_node_does_not_open_changes_nothing() -> Result<()> {
    let (network, sender, seen) = running()?;
    let log = Log::default();
    let extended = network.change(|draft| {
        draft.add_source("good", burst(&["never"]))?;
        let bad = Scripted::new(&log).on_open(|| Err(Error::data("no such table")));
        draft.add_sink("bad", bad)?;
        draft.fanin("mid", ["good"])?;
        draft.fanout("in", ["bad"])
    });
    assert_eq!(extended.unwrap_err().to_string(), "node bad: no such table");
    assert!(!network.node_exists("good") && !network.node_exists("bad"));
    assert_eq!((network.nodes().len(), network.edges().len()), (3, 2));
    assert_eq!(sender.deliver("still here")?, Outcome::Delivered);
    assert_eq!(seen.texts(), ["still here"]);
    network.add_sink("bad", Discarder)?;
    network.stop()?;
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(())
}

#[test]
fn an_extension_that_panics_while_opening_changes_nothing() -> Result<()> {
    let (network, _sender, _) = running()?;
    let bad = Scripted::new(&Log::default()).on_open(|| panic!("open breaks"));
    let error = network.add_sink("bad", bad).unwrap_err().to_string();
    assert_eq!(error, "node bad: panicked: open breaks");
    network.stop()
}

#[test]
fn nothing_is_linked_to_a_node_that_has_ended() -> Result<()> {
    let (network, _sender, seen) = running()?;
    network.change(|draft| {
        draft.add_source("short", source::from_iter(["a"]))?;
        draft.add_pipeline("brief", Forwarder)?;
        draft.link("short", "brief")?;
        draft.link("brief", "out")
    })?;
    assert!(soon(|| seen.len() == 1));
    let linked = || {
        network
            .link("in", "brief")
            .map_err(|error| error.to_string())
    };
    let ended = "link in -> brief: node brief has ended".to_owned();
    // It ends a moment after its event has arrived, and a link made before that is good.
    assert!(soon(|| linked() != Ok(())));
    let refused = linked().unwrap_err();
    assert!(
        refused == ended || refused.starts_with("in is already linked"),
        "{refused}"
    );
    network.stop()?;
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_network_that_ends_meanwhile_either_takes_an_extension_in_or_refuses_it() -> Result<()> {
    for n in 0..25_u32 {
        let (network, sender, _) = running()?;
        let stops = network.clone();
        let stop = std::thread::spawn(move || {
            (0..n * 100).for_each(|_| std::hint::spin_loop());
            stops.stop()
        });
        let extended = network.change(|draft| {
            let endless = Scripted::new(&Log::default()).on_read(|cx| {
                cx.emit(Event::new("x", cx.now()));
                Ok(ReadStatus::More)
            });
            draft.add_source("late", endless)?;
            draft.link("late", "mid")
        });
        // Whatever came first, the stop ends all of it in time.
        stop.join().unwrap()?;
        assert_eq!(extended.is_ok(), network.node_exists("late"));
        assert_eq!(network.stats().breaches(), [""; 0]);
        drop(sender);
    }
    Ok(())
}
