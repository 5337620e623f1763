//! Recorded events under virtual time: which is next, what happens between them, how it ends.

use crate::support::probe::{Log, START, Scripted, Seen, text};
use serde_json::{Value, json};
use std::time::Duration;
use tributary::network::InjectedSource;
use tributary::pipeline::{Filter, FilterKey, Forwarder, RateLimit, interceptor};
use tributary::source::{Ticker, from_iter};
use tributary::time::Timestamp;
use tributary::{Batch, Error, Event, Network, ReadStatus, Replay, Result, source};

/// Events `{"at": .., "id": ..}`.
fn recorded(events: &[(i64, &str)]) -> source::FromIter<std::vec::IntoIter<Value>> {
    let events: Vec<Value> = events
        .iter()
        .map(|(at, id)| json!({"at": at, "id": id}))
        .collect();
    from_iter(events)
}

fn ids(seen: &Seen) -> Vec<String> {
    let id = |event: &Event| match event.payload().json() {
        Ok(value) => value["id"].as_str().unwrap_or("?").to_owned(),
        Err(_) => text(event),
    };
    seen.events().iter().map(id).collect()
}

/// Two inputs into one sink.
fn merged(x: &[(i64, &str)], y: &[(i64, &str)]) -> Result<(Seen, Vec<i64>)> {
    let network = Network::new();
    let seen = Seen::at(&network, "out")?;
    let mut replay = Replay::new("at");
    for (name, events) in [("x", x), ("y", y)] {
        network.add_source(name, InjectedSource)?;
        network.link(name, "out")?;
        replay.input(name, name, recorded(events));
    }
    let stats = replay.run(&network)?;
    assert_eq!(stats.breaches(), [""; 0]);
    let times = seen.events().iter().map(|e| e.time().as_secs()).collect();
    Ok((seen, times))
}

#[test]
fn the_smallest_time_is_next_and_equal_ones_go_in_the_order_of_the_inputs() -> Result<()> {
    let x = [(1, "a"), (3, "b"), (3, "c"), (9, "d")];
    let y = [(1, "e"), (2, "f"), (3, "g"), (10, "h")];
    let (seen, times) = merged(&x, &y)?;
    assert_eq!(ids(&seen).concat(), "aefbcgdh");
    assert_eq!(times, [1, 1, 2, 3, 3, 3, 9, 10]);
    Ok(())
}

#[test]
fn an_event_that_is_late_keeps_its_place_and_the_clock_does_not_go_back() -> Result<()> {
    let (seen, times) = merged(&[(5, "a"), (2, "b"), (6, "c")], &[(4, "d"), (5, "e")])?;
    assert_eq!(ids(&seen).concat(), "dabec");
    assert_eq!(times, [4, 5, 5, 5, 6]);
    Ok(())
}

#[test]
fn everything_due_before_an_event_happens_before_it() -> Result<()> {
    let network = Network::new();
    network.add_source("in", InjectedSource)?;
    network.add_source("ticker", Ticker::new(Duration::from_secs(4))?)?;
    network.add_pipeline(
        "once",
        Filter::new(Duration::from_secs(10), FilterKey::Payload)?,
    )?;
    let when = interceptor(|e| Ok(e.derive(json!({"id": e.time().as_secs().to_string()}))));
    network.add_pipeline("when", when)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "once")?;
    network.link("once", "out")?;
    network.link("ticker", "when")?;
    network.link("when", "out")?;
    let mut replay = Replay::new("at");
    let events = [(1_000, "a"), (1_008, "b"), (1_009, "c"), (1_013, "d")];
    replay.input("in", "in", recorded(&events));
    replay.run(&network)?;
    // A tick at 1008 is before the event of 1008; none comes after the last event.
    assert_eq!(ids(&seen), ["a", "1004", "1008", "b", "c", "1012", "d"]);
    Ok(())
}

#[test]
fn a_day_takes_no_time_and_a_filter_forgets_in_it() -> Result<()> {
    let network = Network::new();
    network.add_source("in", InjectedSource)?;
    let filter = Filter::new(
        Duration::from_secs(10),
        FilterKey::Fields(vec!["id".into()]),
    )?;
    network.add_pipeline("once", filter)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "once")?;
    network.link("once", "out")?;
    let mut replay = Replay::new("at");
    let events = [(0, "a"), (9, "a"), (10, "a"), (86_400, "a"), (86_405, "a")];
    replay.input("in", "in", recorded(&events));
    let begun = std::time::Instant::now();
    replay.run(&network)?;
    assert!(begun.elapsed() < Duration::from_secs(2));
    let times: Vec<i64> = seen.events().iter().map(|e| e.time().as_secs()).collect();
    assert_eq!(times, [0, 10, 86_400]);
    Ok(())
}

#[test]
fn an_input_that_ends_closes_its_links_while_the_others_go_on() -> Result<()> {
    let (network, log) = (Network::new(), Log::default());
    let (events, ticks) = (log.clone(), log.clone());
    let node = Scripted::new(&Log::default())
        .on_event(move |event, cx| {
            let id = event.payload().json()?["id"].clone();
            events.note(format!("{id} by {:?}", cx.input()));
            Ok(())
        })
        .on_tick(move |cx| {
            ticks.note(format!("{:?} at {}", cx.inputs(), cx.now().as_secs()));
            Ok(())
        });
    network.add_pipeline("node", node)?;
    let mut replay = Replay::new("at");
    for (name, events) in [("x", &[(1, "a")][..]), ("y", &[(1, "b"), (5, "c")])] {
        network.add_source(name, InjectedSource)?;
        network.link(name, "node")?;
        replay.input(name, name, recorded(events));
    }
    replay.run(&network)?;
    assert_eq!(
        log.lines(),
        [
            "\"a\" by Some(0)",
            "[1] at 1",
            "\"b\" by Some(1)",
            "\"c\" by Some(1)"
        ]
    );
    Ok(())
}

#[test]
fn an_event_without_a_time_is_refused_in_its_place() -> Result<()> {
    let network = Network::new();
    network.add_source("in", InjectedSource)?;
    let (out, bad) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
    network.link("in", "out")?;
    network.link("in.errors", "bad")?;
    let all = Seen::at(&network, "all")?;
    network.link("in", "all")?;
    network.link("in.errors", "all")?;
    let lines = [
        r#"{"id":"first"}"#,
        r#"{"at":7,"id":"a"}"#,
        "[7]",
        r#"{"at":null}"#,
        r#"{"at":1764000000000}"#,
        r#"{"at":8,"id":"b"}"#,
    ];
    let mut replay = Replay::new("at");
    replay.input("in", "in.jsonl", from_iter(lines));
    let stats = replay.run(&network)?;
    assert_eq!(all.texts(), lines);
    assert_eq!((out.len(), bad.len()), (2, 4));
    let node = stats.node("in").map(|n| (n.emitted, n.refused));
    assert_eq!(node, Some((6, 4)));
    let message: Vec<String> = bad
        .events()
        .iter()
        .filter_map(|e| Some(e.meta().get("error")?.as_str()?.to_owned()))
        .collect();
    let hint = "write unix seconds, as in 1764000000.5, or a text as in \"2025-11-24T16:00:00.5Z\"";
    assert_eq!(
        message,
        [
            "in.jsonl:1: no field \"at\"; the replay takes the time of an event from that field"
                .to_owned(),
            "in.jsonl:3: a JSON object was expected, this is an array".to_owned(),
            format!("in.jsonl:4: \"at\": bad time null; {hint}"),
            "in.jsonl:5: \"at\": bad time 1764000000000: there is no such year; \
             numbers are unix seconds, not milliseconds"
                .to_owned(),
        ]
    );
    let times: Vec<i64> = all.events().iter().map(|e| e.time().as_secs()).collect();
    assert_eq!(times, [7, 7, 7, 7, 7, 8]);
    Ok(())
}

#[test]
fn inputs_without_any_event_end_at_once() -> Result<()> {
    let (network, log) = (Network::new(), Log::default());
    network.add_source("in", InjectedSource)?;
    network.add_pipeline("node", Scripted::new(&log))?;
    network.link("in", "node")?;
    let mut replay = Replay::new("at");
    replay.input("in", "in", recorded(&[]));
    let replaying = replay.begin(&network)?;
    assert_eq!((replaying.now(), replaying.events()), (Timestamp::EPOCH, 0));
    replaying.finish()?;
    assert_eq!(log.lines(), ["open", "finish", "commit"]);
    Ok(())
}

#[test]
fn branches_that_meet_are_fed_event_by_event() -> Result<()> {
    let network = Network::new();
    network.add_source("in", InjectedSource)?;
    for name in ["left", "right", "join"] {
        network.add_pipeline(name, Forwarder)?;
    }
    let seen = Seen::at(&network, "out")?;
    network.fanout("in", ["left", "right"])?;
    network.fanin("join", ["left", "right"])?;
    network.link("join", "out")?;
    let mut replay = Replay::new("at");
    replay.input("in", "in", recorded(&[(1, "a"), (1, "b"), (1, "c")]));
    replay.run(&network)?;
    assert_eq!(ids(&seen).concat(), "aabbcc");
    Ok(())
}

#[test]
fn an_input_that_breaks_ends_the_replay_and_what_came_before_is_good() -> Result<()> {
    let network = Network::new();
    network.add_source("in", InjectedSource)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    let mut reads = 0;
    let broken = Scripted::new(&Log::default()).on_read(move |cx| {
        reads += 1;
        cx.emit(Event::new(json!({"at": reads, "id": "a"}), cx.now()));
        match reads {
            1 => Ok(ReadStatus::More),
            _ => Err(Error::data("the disk is gone")),
        }
    });
    let mut replay = Replay::new("at");
    replay.input("in", "in", broken);
    let error = replay.run(&network).unwrap_err();
    assert_eq!(error.to_string(), "node in: the disk is gone");
    assert_eq!(seen.len(), 1);
    Ok(())
}

#[test]
fn a_network_that_fails_ends_the_replay_with_its_error() -> Result<()> {
    let network = Network::new();
    network.add_source("in", InjectedSource)?;
    let mut left = 2;
    let node = Scripted::new(&Log::default()).on_commit(move |_| {
        left -= 1;
        match left {
            0 => Err(Error::data("the disk is full").fatal()),
            _ => Ok(()),
        }
    });
    network.add_pipeline("node", node)?;
    network.link("in", "node")?;
    let mut replay = Replay::new("at");
    replay.input("in", "in", recorded(&[(1, "a"), (2, "b"), (3, "c")]));
    let mut replaying = replay.begin(&network)?;
    while replaying.step()? {}
    assert_eq!(replaying.stats().node("node").map(|n| n.received), Some(2));
    let error = replaying.finish().unwrap_err();
    assert_eq!(error.to_string(), "node node: the disk is full");
    Ok(())
}

#[test]
fn only_a_source_of_the_network_is_fed() -> Result<()> {
    let network = Network::new();
    network.add_source("bets", InjectedSource)?;
    network.add_pipeline("limit", RateLimit::new(Duration::from_secs(1))?)?;
    let refused = |node: &str| {
        let mut replay = Replay::new("at");
        replay.input(node, "in", recorded(&[]));
        replay.run(&network).unwrap_err().to_string()
    };
    assert_eq!(
        refused("bats"),
        "no source node \"bats\"; did you mean \"bets\"?"
    );
    assert_eq!(refused("limit"), "node \"limit\" is no source");
    Ok(())
}

#[test]
fn a_batch_is_injected_as_one_and_a_source_can_be_ended() -> Result<()> {
    let (network, log) = (Network::new(), Log::default());
    network.add_source("in", InjectedSource)?;
    network.add_pipeline("node", Scripted::new(&log))?;
    network.link("in", "node")?;
    let mut simulation = network.simulate(START)?;
    let batch = || Batch::from_iter(["a", "b"].map(|payload| Event::new(payload, START)));
    simulation.inject_batch("in", batch())?;
    assert_eq!(log.take(), ["open", "a", "b", "commit"]);
    simulation.inject_batch("node", batch())?;
    assert_eq!(log.take(), ["a", "b", "commit"]);
    let error = simulation.end_source("node").unwrap_err().to_string();
    assert_eq!(error, "node \"node\" is no source");
    simulation.end_source("in")?;
    simulation.end_source("in")?;
    assert_eq!(log.take(), ["finish", "commit"]);
    let error = simulation.inject("in", "c").unwrap_err().to_string();
    assert_eq!(error, "node \"in\" has ended");
    Ok(())
}
