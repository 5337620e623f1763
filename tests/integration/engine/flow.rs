//! How events flow under load: capacities, slow receivers, diamonds, many nodes.

use crate::support::probe::{Log, Scripted, Seen, burst, soon, text};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tributary::pipeline::{Forwarder, injector};
use tributary::sink::{Discarder, handler};
use tributary::{Capacity, Context, Event, Network, Node, ReadStatus, Result, Sink, source};

/// A gate: a sink behind it takes no event before it is opened.
fn gate() -> (flume::Sender<()>, flume::Receiver<()>) {
    flume::unbounded()
}

/// How far a source runs ahead of a sink that takes nothing.
fn runs_ahead(capacity: Capacity, size: usize) -> Result<usize> {
    let network = Network::with_capacity(capacity)?;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let source = Scripted::new(&Log::default()).on_read(move |cx| {
        count.fetch_add(1, Ordering::SeqCst);
        cx.emit(Event::new(vec![b'x'; size], cx.now()));
        Ok(ReadStatus::More)
    });
    network.add_source("in", source)?;
    let (open, wait) = gate();
    network.add_sink(
        "out",
        handler(move |_| {
            let _ = wait.recv();
            Ok(())
        }),
    )?;
    network.link("in", "out")?;
    network.start()?;
    let mut before = 0;
    let still = || {
        let now = sent.load(Ordering::SeqCst);
        std::mem::replace(&mut before, now) == now && now > 0
    };
    let still = std::cell::RefCell::new(still);
    assert!(soon(|| {
        // What moves would move meanwhile.
        std::thread::sleep(Duration::from_millis(50));
        (still.borrow_mut())()
    }));
    let ahead = sent.load(Ordering::SeqCst);
    drop(open);
    network.stop()?;
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(ahead)
}

#[test]
fn a_slow_sink_holds_back_its_source() -> Result<()> {
    // In the sink's hands, in the link, and waiting for room in the source's: one event each. A
    // receiver may have woken for one and taken one more while the source tried the next.
    let one = Capacity::new().events(1).bytes(1 << 20);
    let ahead = runs_ahead(one, 10)?;
    assert!(ahead <= 4, "{ahead} events with a capacity of one");
    let some = Capacity::new().events(100).bytes(1 << 20);
    let ahead = runs_ahead(some, 10)?;
    assert!(ahead <= 300, "{ahead} events with a capacity of 100");
    Ok(())
}

#[test]
fn a_slow_sink_holds_back_its_source_by_bytes_too() -> Result<()> {
    let capacity = Capacity::new().events(4_096).bytes(1 << 20);
    let ahead = runs_ahead(capacity, 64 << 10)?;
    // The link holds a mebibyte, which is 16 of them, one in each slot; one slot is on either side.
    assert!(ahead <= 16 + 4, "{ahead} events of 64 KiB");
    let ahead = runs_ahead(Capacity::new().events(1).bytes(1), 1 << 20)?;
    assert!(ahead <= 4, "{ahead} events that are larger than the link");
    Ok(())
}

#[test]
fn batches_are_cut_to_the_capacity_and_keep_their_order() -> Result<()> {
    for events in [1, 2, 7, 255, 256, 257, 4_096] {
        let network = Network::with_capacity(Capacity::new().events(events).bytes(64))?;
        network.add_source("in", source::from_iter(["seed"]))?;
        let many = injector(|e| {
            Ok((0..1_000)
                .map(|n| e.derive(n.to_string()))
                .collect::<Vec<_>>())
        });
        network.add_pipeline("many", many)?;
        let seen = Seen::at(&network, "out")?;
        network.link("in", "many")?;
        network.link("many", "out")?;
        network.start()?;
        network.wait()?;
        let expected: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        assert_eq!(seen.texts(), expected);
    }
    Ok(())
}

#[test]
fn a_full_diamond_flows_on() -> Result<()> {
    let network = Network::with_capacity(Capacity::new().events(1).bytes(1))?;
    let numbers: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    network.add_source("in", source::from_iter(numbers))?;
    for name in ["left", "right", "join"] {
        network.add_pipeline(name, Forwarder)?;
    }
    let seen = Seen::at(&network, "out")?;
    network.fanout("in", ["left", "right", "join"])?;
    network.fanin("join", ["left", "right"])?;
    network.link("join", "out")?;
    network.start()?;
    network.wait()?;
    assert_eq!(seen.len(), 1_500);
    let first = seen.texts().iter().filter(|text| *text == "0").count();
    assert_eq!(first, 3, "every branch carries every event");
    Ok(())
}

#[test]
fn every_branch_of_a_fanout_gets_every_event_in_order() -> Result<()> {
    let network = Network::with_capacity(Capacity::new().events(3).bytes(1 << 20))?;
    let numbers: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
    network.add_source("in", source::from_iter(numbers.clone()))?;
    let quick = Seen::at(&network, "quick")?;
    let log = Log::default();
    let noted = log.clone();
    let slow = handler(move |e| {
        std::thread::yield_now();
        noted.note(text(e));
        Ok(())
    });
    network.add_sink("slow", slow)?;
    network.fanout("in", ["quick", "slow"])?;
    network.start()?;
    network.wait()?;
    assert_eq!(quick.texts(), numbers);
    assert_eq!(log.lines(), numbers);
    Ok(())
}

#[test]
fn a_finite_network_ends_by_itself_also_with_parts_that_are_not_linked() -> Result<()> {
    let network = Network::new();
    network.add_source("in", source::from_iter(["a"]))?;
    network.add_source("more", source::from_iter(["b"]))?;
    network.add_pipeline("alone", Forwarder)?;
    network.add_sink("alone-too", Discarder)?;
    let seen = Seen::at(&network, "out")?;
    network.fanin("out", ["in", "more"])?;
    network.start()?;
    network.wait()?;
    network.wait()?;
    assert_eq!(seen.len(), 2);
    Ok(())
}

/// Eight links end at the same moment as the last event enters them.
#[test]
fn an_event_that_is_sent_just_before_its_link_ends_arrives() -> Result<()> {
    const SOURCES: u64 = 8;
    for _ in 0..400 {
        let network = Network::new();
        let together = Arc::new(std::sync::Barrier::new(SOURCES as usize));
        let arrived = Arc::new(AtomicUsize::new(0));
        let count = arrived.clone();
        let sink = handler(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        network.add_sink("out", sink)?;
        for number in 0..SOURCES {
            let (name, together) = (format!("in{number}"), together.clone());
            let once = source::from_iter(std::iter::once_with(move || {
                together.wait();
                "1"
            }));
            network.add_source(&name, once)?;
            network.link(name.as_str(), "out")?;
        }
        network.start()?;
        network.wait()?;
        assert_eq!(arrived.load(Ordering::SeqCst) as u64, SOURCES);
    }
    Ok(())
}

/// How many threads this process has whose names begin so, and how many open files.
fn threads(prefix: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let names = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

#[test]
fn a_thousand_nodes_start_and_leave_nothing_behind() -> Result<()> {
    let files = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = files();
    let network = Network::new();
    network.change(|draft| {
        draft.add_source("thou-0", burst(&["a"]))?;
        for n in 1..999 {
            draft.add_pipeline(&format!("thou-{n}"), Forwarder)?;
            draft.link(format!("thou-{}", n - 1), format!("thou-{n}"))?;
        }
        Ok(())
    })?;
    let seen = Seen::at(&network, "thou-999")?;
    network.link("thou-998", "thou-999")?;
    network.start()?;
    assert_eq!(threads("thou-"), 1_000);
    assert!(soon(|| seen.len() == 1));
    network.stop()?;
    assert!(
        soon(|| threads("thou-") == 0),
        "{} threads are left",
        threads("thou-")
    );
    // Other tests open files of their own meanwhile.
    assert!(
        soon(|| files() <= before + 40),
        "{} files, {before} before",
        files()
    );
    Ok(())
}

/// A sink whose commit is dear: it asks for many events at once, and knows how many it got at most.
struct Dear {
    wait: flume::Receiver<()>,
    in_hand: usize,
    most: Arc<AtomicUsize>,
}

impl Node for Dear {
    fn batch_size(&self) -> usize {
        1_000
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        let events = std::mem::take(&mut self.in_hand);
        self.most.fetch_max(events, Ordering::SeqCst);
        Ok(())
    }
}

impl Sink for Dear {
    fn write(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        let _ = self.wait.recv();
        self.in_hand += 1;
        Ok(())
    }
}

#[test]
fn a_node_gets_as_many_events_at_once_as_it_requests_and_its_link_holds() -> Result<()> {
    // In a box as by itself.
    for (events, expected, boxed) in [
        (4_096, 257..=1_000, false),
        (4_096, 257..=1_000, true),
        (300, 1..=300, false),
        (10, 1..=10, false),
    ] {
        let network = Network::with_capacity(Capacity::new().events(events).bytes(1 << 20))?;
        let numbers = (0..10_000).map(|n: u32| n.to_string());
        network.add_source("in", source::from_iter(numbers))?;
        let (open, wait) = gate();
        let most = Arc::new(AtomicUsize::new(0));
        let sink = Dear {
            wait,
            in_hand: 0,
            most: most.clone(),
        };
        if boxed {
            network.add_sink("out", Box::new(sink) as Box<dyn Sink>)?;
        } else {
            network.add_sink("out", sink)?;
        }
        network.link("in", "out")?;
        network.start()?;
        // A batch that waits for room in a link of one slot counts as sent when it is taken.
        let full = || network.stats().links[0].queued >= 1_024;
        assert!(events < 4_096 || soon(full));
        drop(open);
        network.wait()?;
        let most = most.load(Ordering::SeqCst);
        assert!(expected.contains(&most), "{most} of {events}");
        assert_eq!(network.stats().node("out").unwrap().received, 10_000);
    }
    Ok(())
}
