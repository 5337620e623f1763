//! By which link an event came, and which links are open.

use crate::support::probe::{Log, START, Scripted, Seen, burst, soon, text};
use std::time::Duration;
use tributary::sink::Discarder;
use tributary::{Context, Error, Network, Node, Result, source};

/// Notes down each call with the link of the event in hand and the links that are open.
fn telling(log: &Log) -> Scripted {
    let (events, commits, ticks, ends) = (log.clone(), log.clone(), log.clone(), log.clone());
    let tell = |log: &Log, what: &str, cx: &Context<'_>| {
        let input = cx.input().map_or("-".to_owned(), |input| input.to_string());
        log.note(format!("{what} {input} {:?}", cx.inputs()));
    };
    Scripted::new(&Log::default())
        .on_event(move |event, cx| {
            tell(&events, &text(event), cx);
            cx.pass();
            Ok(())
        })
        .on_commit(move |cx| {
            tell(&commits, "commit", cx);
            Ok(())
        })
        .on_tick(move |cx| {
            tell(&ticks, "tick", cx);
            Ok(())
        })
        .on_finish(move |cx| {
            tell(&ends, "finish", cx);
            Ok(())
        })
}

fn gone() -> Error {
    Error::data("the database is gone").retryable()
}

/// Adds these sources, each linked to `node` in this order, and what `node` is.
fn fanned_in(sources: &[(&str, &[&str])], node: Scripted) -> Result<Network> {
    let network = Network::new();
    network.add_pipeline("node", node)?;
    for (name, payloads) in sources {
        network.add_source(name, burst(payloads))?;
        network.link(*name, "node")?;
    }
    Ok(network)
}

#[test]
fn a_batch_comes_by_one_link_which_the_node_can_read() -> Result<()> {
    let log = Log::default();
    let sources: [(&str, &[&str]); 3] = [("x", &["a", "b"]), ("y", &["c"]), ("z", &["d"])];
    let mut simulation = fanned_in(&sources, telling(&log))?.simulate(START)?;
    let told = [
        "a 0 [0, 1, 2]",
        "b 0 [0, 1, 2]",
        "commit - [0, 1, 2]",
        "c 1 [0, 1, 2]",
        "commit - [0, 1, 2]",
        "d 2 [0, 1, 2]",
        "commit - [0, 1, 2]",
    ];
    assert_eq!(log.take(), told);
    simulation.inject("z", "e")?;
    simulation.inject("node", "from outside")?;
    assert_eq!(
        log.take(),
        [
            "e 2 [0, 1, 2]",
            "commit - [0, 1, 2]",
            "from outside - [0, 1, 2]",
            "commit - [0, 1, 2]"
        ]
    );
    simulation.finish()?;
    assert_eq!(
        log.take(),
        ["finish - []", "commit - []"],
        "all links have ended at once"
    );
    Ok(())
}

#[test]
fn a_node_is_notified_of_an_ended_link_while_others_remain() -> Result<()> {
    let log = Log::default();
    let network = fanned_in(&[("x", &["a"])], telling(&log))?;
    network.add_source("y", source::from_iter(["b"]))?;
    network.link("y", "node")?;
    let mut simulation = network.simulate(START)?;
    assert_eq!(
        log.take(),
        [
            "a 0 [0, 1]",
            "commit - [0, 1]",
            "b 1 [0, 1]",
            "commit - [0, 1]",
            "tick - [0]",
            "commit - [0]"
        ]
    );
    simulation.advance(Duration::from_secs(60));
    assert_eq!(log.take(), [""; 0], "once");
    simulation.finish()?;
    assert_eq!(log.take(), ["finish - []", "commit - []"]);
    Ok(())
}

#[test]
fn a_tick_after_a_link_has_ended_is_tried_again_and_may_emit() -> Result<()> {
    let mut fail = true;
    let node = Scripted::new(&Log::default()).on_tick(move |cx| {
        cx.emit(tributary::Event::new("all the others", cx.now()));
        if std::mem::take(&mut fail) {
            Err(gone())
        } else {
            Ok(())
        }
    });
    let network = fanned_in(&[("x", &[])], node)?;
    network.add_source("y", source::from_iter([""; 0]))?;
    network.link("y", "node")?;
    let seen = Seen::at(&network, "out")?;
    network.link("node", "out")?;
    let mut simulation = network.simulate(START)?;
    assert_eq!(seen.len(), 0);
    simulation.advance(Duration::from_secs(10));
    assert_eq!(seen.texts(), ["all the others"]);
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn what_waits_in_one_link_is_taken_together_and_links_take_turns() -> Result<()> {
    let log = Log::default();
    let mut fail = true;
    let noted = log.clone();
    let node = telling(&log).on_event(move |event, cx| {
        if std::mem::take(&mut fail) {
            return Err(gone());
        }
        noted.note(format!("{} {:?}", text(event), cx.input()));
        Ok(())
    });
    let mut simulation = fanned_in(&[("x", &[]), ("y", &[])], node)?.simulate(START)?;
    for (source, payload) in [("x", "a"), ("x", "b"), ("y", "c"), ("x", "d"), ("y", "e")] {
        simulation.inject(source, payload)?;
    }
    simulation.advance(Duration::from_secs(1));
    let lines = log.take();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        lines,
        [
            "a Some(0)",
            "commit - [0, 1]",
            "c Some(1)",
            "e Some(1)",
            "commit - [0, 1]",
            "b Some(0)",
            "d Some(0)",
            "commit - [0, 1]"
        ]
    );
    Ok(())
}

#[test]
fn the_link_stays_known_and_open_while_its_last_batch_is_fed_again_or_one_by_one() -> Result<()> {
    let log = Log::default();
    let mut commits = 0;
    let node = telling(&log).on_commit(move |_| {
        commits += 1;
        match commits {
            1 => Err(gone()),
            2 => Err(Error::data("one of them is bad")),
            _ => Ok(()),
        }
    });
    let network = fanned_in(&[("x", &[])], node)?;
    network.add_source("y", source::from_iter(["a", "b"]))?;
    network.link("y", "node")?;
    let mut simulation = network.simulate(START)?;
    let once = ["a 1 [0, 1]", "b 1 [0, 1]"];
    assert_eq!(log.take(), once);
    simulation.advance(Duration::from_secs(1));
    // Once more, and then each by itself.
    let again = [&once[..], &once[..], &["tick - [0]"]].concat();
    assert_eq!(log.take(), again);
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn what_is_handed_in_while_a_node_is_closed_keeps_to_itself() -> Result<()> {
    let log = Log::default();
    let mut fail = true;
    let noted = log.clone();
    let node = Scripted::new(&Log::default()).on_event(move |event, cx| {
        noted.note(format!("{} {:?}", text(event), cx.input()));
        if std::mem::take(&mut fail) {
            Err(gone())
        } else {
            Ok(())
        }
    });
    let mut simulation = fanned_in(&[("x", &["a"])], node)?.simulate(START)?;
    simulation.inject("node", "b")?;
    simulation.inject("node", "c")?;
    simulation.advance(Duration::from_secs(1));
    assert_eq!(log.take(), ["a Some(0)", "a Some(0)", "b None", "c None"]);
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn on_threads_links_come_and_go_and_no_number_comes_again() -> Result<()> {
    let log = Log::default();
    let network = Network::new();
    network.add_sink("out", Discarder)?;
    network.add_pipeline("node", telling(&log))?;
    network.link("node", "out")?;
    let mut senders = Vec::new();
    let mut add = |name: &str| {
        let (sender, input) = source::channel();
        senders.push(sender);
        network.change(|draft| {
            draft.add_source(name, input)?;
            draft.link(name, "node")
        })
    };
    add("x")?;
    network.start()?;
    add("y")?;
    assert!(soon(|| log.count("tick - [0, 1]") == 1));
    let y = senders.pop().ok_or_else(|| Error::data("no sender"))?;
    y.deliver("b")?;
    assert_eq!(log.count("b 1 [0, 1]"), 1);
    drop(y);
    assert!(soon(|| log.count("tick - [0]") == 1));
    let (z, input) = source::channel();
    network.change(|draft| {
        draft.add_source("z", input)?;
        draft.link("z", "node")
    })?;
    assert!(soon(|| log.count("tick - [0, 2]") == 1));
    drop(senders);
    assert!(soon(|| log.count("tick - [2]") == 1));
    z.deliver("c")?;
    drop(z);
    network.wait()?;
    let lines: Vec<String> = log.take();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let without: Vec<&str> = lines
        .iter()
        .filter(|line| !line.starts_with("commit"))
        .copied()
        .collect();
    assert_eq!(
        without,
        [
            "tick - [0, 1]",
            "b 1 [0, 1]",
            "tick - [0]",
            "tick - [0, 2]",
            "tick - [2]",
            "c 2 [2]",
            "finish - []"
        ]
    );
    Ok(())
}

#[test]
fn every_event_of_a_busy_fan_in_has_the_number_of_its_link() -> Result<()> {
    struct Checks;
    impl Node for Checks {}
    impl tributary::Sink for Checks {
        fn write(&mut self, event: &tributary::Event, cx: &mut Context<'_>) -> Result<()> {
            let link: usize = text(event).parse().map_err(|_| Error::data("no number"))?;
            if cx.input() == Some(link) && cx.inputs().contains(&link) {
                Ok(())
            } else {
                Err(Error::data(format!("{link} came by {:?}", cx.input())))
            }
        }
    }
    let network = Network::new();
    network.add_sink("checks", Checks)?;
    for number in 0..4 {
        let name = format!("in{number}");
        let events = vec![number.to_string(); 5_000 * (number + 1)];
        network.add_source(&name, source::from_iter(events))?;
        network.link(&name, "checks")?;
    }
    network.start()?;
    network.wait()?;
    let stats = network.stats();
    let checks = stats.node("checks").map(|n| (n.received, n.rejected));
    assert_eq!(checks, Some((50_000, 0)));
    Ok(())
}
