//! Changing a running network: nodes and links are removed and replaced, and no event is lost, doubled or
//! out of order.

use crate::support::probe::{Log, Seen, soon, text, tracking};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use tributary::pipeline::{Forwarder, interceptor};
use tributary::sink::Discarder;
use tributary::{
    Context, Error, ErrorKind, Event, Handover, LinkOptions, Network, Node, OnError, Outcome,
    Pipeline, Result, Sink, sink, source,
};

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

fn numbers(of: std::ops::Range<u64>) -> Vec<String> {
    of.map(|n| n.to_string()).collect()
}

fn send(sender: &source::Sender, of: std::ops::Range<u64>) -> Result<()> {
    of.into_iter().try_for_each(|n| sender.send(n.to_string()))
}

/// Counts what passes, and hands its count over.
struct Counting {
    count: u64,
    label: &'static str,
    opens: bool,
}

impl Counting {
    fn new(label: &'static str) -> Self {
        let (count, opens) = (0, true);
        Counting {
            count,
            label,
            opens,
        }
    }

    fn broken(label: &'static str) -> Self {
        let opens = false;
        Counting {
            opens,
            ..Self::new(label)
        }
    }
}

impl Node for Counting {
    fn open(&mut self) -> Result<()> {
        if self.opens {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Unavailable, "no server"))
        }
    }
    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(self.count))
    }
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        self.count = *state.downcast::<u64>()?;
        Ok(())
    }
}

impl Pipeline for Counting {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.count += 1;
        cx.emit(event.derive(format!("{}{}", self.label, self.count)));
        Ok(())
    }
}

#[test]
fn a_removed_link_carries_what_was_sent_before_and_nothing_after() -> Result<()> {
    let (network, sender, seen) = running()?;
    let side = Seen::default();
    network.change(|draft| {
        draft.add_sink("side", side.sink())?;
        draft.link("mid", "side")
    })?;
    send(&sender, 0..1_000)?;
    assert!(soon(|| seen.len() == 1_000));
    network.unlink("mid", "side")?;
    send(&sender, 1_000..2_000)?;
    drop(sender);
    network.wait()?;
    assert_eq!(seen.texts(), numbers(0..2_000));
    assert_eq!(side.texts(), numbers(0..1_000));
    let stats = network.stats();
    let link = stats.links.iter().find(|link| link.to.as_str() == "side");
    assert_eq!(
        link.map(|link| (link.sent, link.received)),
        Some((1_000, 1_000))
    );
    Ok(())
}

#[test]
fn a_node_that_is_no_longer_linked_stays_and_can_be_linked_again() -> Result<()> {
    let (network, sender, seen) = running()?;
    network.unlink("mid", "out")?;
    assert_eq!(sender.deliver("lost")?, Outcome::Delivered);
    network.link("mid", "out")?;
    assert_eq!(sender.deliver("found")?, Outcome::Delivered);
    drop(sender);
    network.wait()?;
    assert_eq!(seen.texts(), ["found"]);
    Ok(())
}

#[test]
fn a_removed_node_processes_what_waits_for_it_and_ends() -> Result<()> {
    let (network, sender, seen) = running()?;
    let (go, wait) = mpsc::channel::<()>();
    let slow = Seen::default();
    let mut inner = slow.sink();
    let mut first = true;
    let slow_sink = SlowSink(Box::new(move |event, cx| {
        if std::mem::take(&mut first) {
            let _ = wait.recv();
        }
        inner.write(event, cx)
    }));
    network.change(|draft| {
        draft.add_sink("slow", slow_sink)?;
        draft.link("mid", "slow")
    })?;
    send(&sender, 0..500)?;
    assert!(soon(|| seen.len() == 500));
    network.remove("slow")?;
    send(&sender, 500..1_000)?;
    assert!(soon(|| seen.len() == 1_000), "the others are not held back");
    assert!(slow.len() == 0 && !network.node_exists("slow"));
    go.send(()).expect("the node still runs");
    drop(sender);
    network.wait()?;
    assert_eq!(slow.texts(), numbers(0..500));
    let stats = network.stats();
    assert_eq!(stats.node("slow").map(|node| node.received), Some(500));
    Ok(())
}

type Write = Box<dyn FnMut(&Event, &mut Context<'_>) -> Result<()> + Send>;

struct SlowSink(Write);

impl Node for SlowSink {}

impl Sink for SlowSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        (self.0)(event, cx)
    }
}

#[test]
fn a_node_is_replaced_in_the_middle_of_a_stream() -> Result<()> {
    let (network, sender, seen) = running()?;
    let sending = Sending::begin(sender);
    for _ in 0..50 {
        network.replace("mid", interceptor(|event| Ok(Some(event.clone()))))?;
        network.replace("mid", Forwarder)?;
    }
    let sent = sending.end()?;
    network.wait()?;
    assert_eq!(seen.texts(), numbers(0..sent));
    let stats = network.stats();
    assert_eq!(stats.node("mid").map(|node| node.received), Some(sent));
    Ok(())
}

/// A thread that sends numbers until it is ended.
struct Sending {
    ended: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<u64>>,
}

impl Sending {
    fn begin(sender: source::Sender) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            while !end.load(Ordering::SeqCst) {
                sender.send(count.to_string())?;
                count += 1;
            }
            Ok(count)
        });
        Sending { ended, thread }
    }

    /// Ends it, and gives how many numbers were sent.
    fn end(self) -> Result<u64> {
        self.ended.store(true, Ordering::SeqCst);
        self.thread.join().expect("the thread does not panic")
    }
}

#[test]
fn a_successor_takes_the_state() -> Result<()> {
    let (network, sender, seen) = running()?;
    network.replace("mid", Counting::new("a"))?;
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    network.replace("mid", Counting::new("b"))?;
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    drop(sender);
    network.wait()?;
    assert_eq!(seen.texts(), ["a1", "a2", "b3"]);
    Ok(())
}

#[test]
fn a_change_is_undone_where_a_successor_does_not_open() -> Result<()> {
    let (network, sender, seen) = running()?;
    network.replace("mid", Counting::new("a"))?;
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    let refused = network.change(|draft| {
        draft.add_pipeline("last", Counting::new("last"))?;
        draft.link("mid", "last")?;
        draft.link("last", "out")?;
        draft.unlink("mid", "out")?;
        draft.replace("mid", Counting::new("b"))?;
        draft.replace("in", source::from_iter(Vec::<String>::new()))?;
        draft.replace("out", Failing)
    });
    let error = refused.expect_err("a node that does not open").to_string();
    assert!(error.contains("node out: no server"), "{error}");
    assert!(!network.node_exists("last"));
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    let refused = network.replace("mid", Counting::broken("c"));
    assert!(refused.is_err());
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    drop(sender);
    network.wait()?;
    assert_eq!(seen.texts(), ["a1", "a2", "a3"]);
    Ok(())
}

struct Failing;

impl Node for Failing {
    fn open(&mut self) -> Result<()> {
        Err(Error::new(ErrorKind::Unavailable, "no server"))
    }
}

impl Sink for Failing {
    fn write(&mut self, _: &Event, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}

/// Lets events go when it finishes.
#[derive(Default)]
struct Holding(Vec<Event>);

impl Node for Holding {
    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.0.drain(..).for_each(|event| cx.emit(event));
        Ok(())
    }
}

impl Pipeline for Holding {
    fn process(&mut self, event: &Event, _: &mut Context<'_>) -> Result<()> {
        self.0.push(event.derive(format!("held {}", text(event))));
        Ok(())
    }
}

#[test]
fn what_a_node_holds_back_leaves_before_a_successor_that_does_not_take_it() -> Result<()> {
    let (network, sender, seen) = running()?;
    network.replace("mid", Holding::default())?;
    send(&sender, 0..3)?;
    assert!(soon(|| network
        .stats()
        .node("mid")
        .is_some_and(|node| node.consumed == 3)));
    network.replace("mid", Counting::new("new"))?;
    send(&sender, 0..2)?;
    drop(sender);
    network.wait()?;
    assert_eq!(seen.texts(), ["held 0", "held 1", "held 2", "new1", "new2"]);
    Ok(())
}

/// A sink that has lost its server.
struct Lost(Arc<AtomicBool>);

impl Node for Lost {
    fn open(&mut self) -> Result<()> {
        if self.0.load(Ordering::SeqCst) {
            Err(Error::new(ErrorKind::Unavailable, "lost").retryable())
        } else {
            Ok(())
        }
    }
}

impl Sink for Lost {
    fn write(&mut self, _: &Event, _: &mut Context<'_>) -> Result<()> {
        self.0.store(true, Ordering::SeqCst);
        Err(Error::new(ErrorKind::Unavailable, "lost").retryable())
    }
}

#[test]
fn a_lost_node_is_replaced_and_the_successor_gets_the_batch_in_hand() -> Result<()> {
    let (network, sender, _) = running()?;
    network.replace("out", Lost(Arc::default()))?;
    send(&sender, 0..100)?;
    assert!(soon(|| network
        .stats()
        .node("out")
        .is_some_and(|node| node.reopened > 0)));
    let refused = network.remove("out").expect_err("it would never end");
    assert!(
        refused.to_string().contains("waits to be opened again"),
        "{refused}"
    );
    let seen = Seen::default();
    network.replace("out", seen.sink())?;
    drop(sender);
    network.wait()?;
    assert_eq!(seen.texts(), numbers(0..100));
    Ok(())
}

#[test]
fn a_source_is_replaced_once_what_it_tracks_has_its_outcomes() -> Result<()> {
    let log = Log::default();
    let network = Network::new();
    network.add_source("in", tracking(&["a", "b"], &log))?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    assert!(soon(|| log.lines().len() == 2));
    network.replace("in", source::from_iter(["c", "d"]))?;
    network.wait()?;
    assert_eq!(log.lines(), ["source a Delivered", "source b Delivered"]);
    assert_eq!(seen.texts(), ["a", "b", "c", "d"]);
    Ok(())
}

#[test]
fn the_network_ends_when_its_last_source_is_removed() -> Result<()> {
    let (network, sender, seen) = running()?;
    assert_eq!(sender.deliver("a")?, Outcome::Delivered);
    network.remove("in")?;
    network.wait()?;
    assert_eq!(seen.texts(), ["a"]);
    assert!(sender.send("b").is_err());
    Ok(())
}

#[test]
fn a_link_that_takes_the_place_of_another_is_read_after_it() -> Result<()> {
    let (network, sender, seen) = running()?;
    let sending = Sending::begin(sender);
    for capacity in 1..50 {
        network.change(|draft| {
            draft.unlink("in", "mid")?;
            draft.link_with("in", "mid", LinkOptions::new().events(capacity * 10))?;
            draft.unlink("mid", "out")?;
            draft.link("mid", "out")
        })?;
    }
    let sent = sending.end()?;
    network.wait()?;
    assert_eq!(seen.texts(), numbers(0..sent));
    Ok(())
}

#[test]
fn a_keyed_balance_keeps_the_order_of_each_key_when_a_member_is_removed() -> Result<()> {
    let (sender, input) = source::channel();
    let network = Network::new();
    network.add_source("in", input)?;
    let seen = Seen::at(&network, "out")?;
    let members = ["m0", "m1", "m2", "m3"];
    for member in members {
        network.add_pipeline(member, Forwarder)?;
        network.link(member, "out")?;
    }
    network.balance("in", members, Some("key"))?;
    network.start()?;
    let sending = std::thread::spawn(move || {
        (0..40_000).try_for_each(|n| sender.send(format!("{{\"key\":{},\"n\":{n}}}", n % 7)))
    });
    for member in ["m2", "m0"] {
        assert!(soon(|| seen.len() > 1_000));
        network.remove(member)?;
    }
    sending.join().expect("the thread does not panic")?;
    network.wait()?;
    let mut last = [0; 7];
    let events = seen.events();
    assert_eq!(events.len(), 40_000);
    for event in events {
        let json = event.payload().json()?;
        let n = json["n"].as_u64().expect("a number");
        let last = &mut last[(n % 7) as usize];
        assert!(n == 0 || *last < n, "{n} after {last}");
        *last = n;
    }
    Ok(())
}

#[test]
fn a_port_that_the_successor_lacks_must_not_be_linked() -> Result<()> {
    let (network, sender, seen) = running()?;
    let log = Log::default();
    network.change(|draft| {
        draft.replace("mid", Splitting(&["even"]))?;
        draft.unlink("mid", "out")?;
        draft.link("mid.even", "out")
    })?;
    send(&sender, 0..5)?;
    assert!(soon(|| seen.len() == 3));
    let refused = network.replace("mid", Forwarder).expect_err("no port even");
    assert!(
        refused
            .to_string()
            .contains("has no port for the link mid.even -> out"),
        "{refused}"
    );
    network.change(|draft| {
        draft.replace("mid", Splitting(&["odd", "even"]))?;
        draft.link("mid.odd", "out")
    })?;
    send(&sender, 5..8)?;
    drop(sender);
    network.wait()?;
    let mut texts = seen.texts();
    texts.sort();
    assert_eq!(texts, ["0", "2", "4", "5", "6", "7"]);
    assert!(log.lines().is_empty());
    Ok(())
}

/// Emits what is even to the port `even`, and the rest to the port `odd`, where it has that.
struct Splitting(&'static [&'static str]);

impl Node for Splitting {
    fn ports(&self) -> Vec<String> {
        self.0.iter().map(|&port| port.to_owned()).collect()
    }
}

impl Pipeline for Splitting {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let even = text(event).parse::<u64>().is_ok_and(|n| n % 2 == 0);
        match (even, self.0.len()) {
            (true, _) => cx.emit_to("even", event.derive(text(event)))?,
            (false, 2) => cx.emit_to("odd", event.derive(text(event)))?,
            (false, _) => cx.drop_event("odd"),
        }
        Ok(())
    }
}

#[test]
fn a_node_that_gets_the_rejected_events_of_others_is_not_removed() -> Result<()> {
    let network = Network::new();
    network.add_source("in", source::channel().1)?;
    network.add_sink("out", Discarder)?;
    network.add_sink("bad", Discarder)?;
    network.link("in", "out")?;
    network.on_error("*", OnError::to("bad"))?;
    let refused = network.remove("bad").expect_err("it is used");
    assert!(
        refused
            .to_string()
            .contains("gets the rejected events of \"*\""),
        "{refused}"
    );
    Ok(())
}

#[test]
fn a_node_does_not_remove_or_replace_nodes_of_its_own_network() -> Result<()> {
    let (network, sender, _) = running()?;
    let (own, (report, result)) = (network.clone(), mpsc::channel());
    network.replace(
        "mid",
        interceptor(move |event| {
            let _ = report.send(own.remove("out").map_err(|error| error.to_string()));
            Ok(Some(event.clone()))
        }),
    )?;
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    let refused = result
        .recv()
        .expect("the node has run")
        .expect_err("its own network");
    assert!(
        refused.contains("cannot remove or replace nodes of its own network"),
        "{refused}"
    );
    network.stop()
}

#[test]
fn a_stop_cancels_a_change_that_waits() -> Result<()> {
    let (network, sender, _) = running()?;
    let (go, wait) = mpsc::channel::<()>();
    let stuck = SlowSink(Box::new(move |_, _| {
        let _ = wait.recv();
        Ok(())
    }));
    network.replace("out", stuck)?;
    sender.send("x")?;
    assert!(soon(|| network
        .stats()
        .node("out")
        .is_some_and(|node| node.held == 1)));
    let changing = network.clone();
    let change = std::thread::spawn(move || changing.replace("out", Discarder));
    // The account is there while the change waits.
    assert!(soon(|| network
        .stats()
        .node("mid")
        .is_some_and(|node| node.received == 1)));
    network.request_stop();
    let refused = change.join().expect("the thread does not panic");
    assert!(
        refused
            .expect_err("the network ends")
            .to_string()
            .contains("is ending")
    );
    go.send(()).expect("the node still runs");
    network.wait()
}

#[test]
fn nodes_of_a_network_that_was_not_started_are_removed_and_replaced() -> Result<()> {
    let network = Network::new();
    network.add_source("in", source::from_iter(["a", "b"]))?;
    network.add_pipeline("mid", Forwarder)?;
    network.add_sink("old", Discarder)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "mid")?;
    network.link("mid", "old")?;
    network.change(|draft| {
        draft.remove("old")?;
        draft.replace("mid", Counting::new("n"))?;
        draft.link("mid", "out")
    })?;
    network.start()?;
    network.wait()?;
    assert_eq!(seen.texts(), ["n1", "n2"]);
    assert!(network.stats().node("old").is_none());
    Ok(())
}

#[test]
fn a_node_that_a_change_adds_can_be_replaced_in_the_same_change() -> Result<()> {
    let (network, sender, seen) = running()?;
    network.change(|draft| {
        draft.add_pipeline("last", NeverOpened)?;
        draft.replace("last", Counting::new("n"))?;
        draft.unlink("mid", "out")?;
        draft.link("mid", "last")?;
        draft.link("last", "out")
    })?;
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    drop(sender);
    network.wait()?;
    assert_eq!(seen.texts(), ["n1"]);
    Ok(())
}

/// A pipeline that must not be opened.
struct NeverOpened;

impl Node for NeverOpened {
    fn open(&mut self) -> Result<()> {
        Err(Error::data("it was replaced"))
    }
}

impl Pipeline for NeverOpened {
    fn process(&mut self, _: &Event, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}

/// Panics when it is to take a state.
struct Refusing;

impl Node for Refusing {
    fn take(&mut self, _: Handover) -> std::result::Result<(), Handover> {
        panic!("it takes nothing")
    }
}

impl Pipeline for Refusing {
    fn process(&mut self, _: &Event, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_successor_that_panics_when_it_takes_the_state_is_refused() -> Result<()> {
    let (network, sender, seen) = running()?;
    network.replace("mid", Counting::new("a"))?;
    let refused = network.replace("mid", Refusing).expect_err("it panics");
    assert!(
        refused.to_string().contains("it takes nothing"),
        "{refused}"
    );
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    drop(sender);
    network.wait()?;
    assert_eq!(seen.texts(), ["a1"]);
    Ok(())
}

#[test]
fn a_draft_restores_what_was_removed_where_a_later_step_fails() -> Result<()> {
    let (network, sender, seen) = running()?;
    let refused = network.change(|draft| {
        draft.remove("mid")?;
        draft.link("in", "nowhere")
    });
    assert!(refused.is_err() && network.is_connected("mid", "out"));
    assert_eq!(sender.deliver("x")?, Outcome::Delivered);
    drop(sender);
    network.wait()?;
    assert_eq!(seen.texts(), ["x"]);
    Ok(())
}

#[test]
fn a_name_keeps_its_account_when_another_node_gets_it() -> Result<()> {
    let (network, sender, _) = running()?;
    send(&sender, 0..10)?;
    assert!(soon(|| network
        .stats()
        .node("out")
        .is_some_and(|node| node.consumed == 10)));
    let count = Arc::new(AtomicU64::new(0));
    let counter = count.clone();
    network.change(|draft| {
        draft.remove("out")?;
        draft.add_pipeline(
            "out",
            interceptor(move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(None)
            }),
        )?;
        draft.link("mid", "out")
    })?;
    send(&sender, 0..5)?;
    drop(sender);
    network.wait()?;
    let stats = network.stats();
    assert_eq!(stats.node("out").map(|node| node.received), Some(15));
    assert_eq!(count.load(Ordering::SeqCst), 5);
    let links = stats.links.iter().filter(|link| link.to.as_str() == "out");
    assert_eq!(links.map(|link| link.sent).collect::<Vec<_>>(), [15]);
    Ok(())
}

#[test]
fn threads_of_removed_nodes_are_joined() -> Result<()> {
    let threads = || -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("removed-")).count()
    };
    let (network, sender, _) = running()?;
    for n in 0..20 {
        let name = format!("removed-{n}");
        network.change(|draft| {
            draft.add_sink(&name, sink::handler(|_| Ok(())))?;
            draft.link("mid", name.as_str())
        })?;
        sender.send("x")?;
        network.remove(&name)?;
    }
    assert!(soon(|| threads() == 0), "{} threads are left", threads());
    network.stop()
}

#[test]
fn two_nodes_under_load_change_their_places() -> std::result::Result<(), Box<dyn std::error::Error>>
{
    const EVENTS: u64 = 60_000;
    let (sender, input) = source::channel();
    let network = Network::new();
    network.add_source("in", input)?;
    network.add_pipeline("a", Forwarder)?;
    network.add_pipeline("b", Forwarder)?;
    let seen = Seen::at(&network, "out")?;
    // Links that are full at once.
    let options = LinkOptions::new().events(4);
    let links = |first, second| [("in", first), (first, second), (second, "out")];
    for (from, to) in links("a", "b") {
        network.link_with(from, to, options.clone())?;
    }
    network.start()?;
    let load = std::thread::spawn(move || send(&sender, 0..EVENTS));
    for turn in 0..40 {
        let (first, second) = if turn % 2 == 0 {
            ("a", "b")
        } else {
            ("b", "a")
        };
        network.change(|draft| {
            for (from, to) in links(first, second) {
                draft.unlink(from, to)?;
            }
            links(second, first)
                .into_iter()
                .try_for_each(|(from, to)| draft.link_with(from, to, options.clone()))
        })?;
    }
    load.join().map_err(|_| "the load panicked")??;
    network.wait()?;
    let mut numbers: Vec<u64> = seen
        .events()
        .iter()
        .filter_map(|e| text(e).parse().ok())
        .collect();
    assert!(
        numbers.is_sorted(),
        "each turn waits until the links before it are empty"
    );
    numbers.dedup();
    assert_eq!(numbers.len() as u64, EVENTS);
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(())
}
