//! Building networks: names, links, what is refused and in which words.

use crate::support::probe::{Log, START, Scripted, Seen, burst};
use std::collections::BTreeMap;
use std::error::Error;
use tributary::pipeline::Forwarder;
use tributary::sink::Discarder;
use tributary::{Capacity, Name, Network, NodeKind, Result, Runtime, source};

/// `ticker` (a source), `a` to `e` (pipelines), `printer` (a sink), none of them linked.
fn parts() -> Result<Network> {
    let network = Network::new();
    network.add_source("ticker", burst(&[]))?;
    for name in ["a", "b", "c", "d", "e"] {
        network.add_pipeline(name, Forwarder)?;
    }
    network.add_sink("printer", Discarder)?;
    Ok(network)
}

#[test]
fn names_outside_the_grammar_are_refused_with_the_grammar() -> Result<()> {
    let long = "x".repeat(300);
    let grammar = "allowed is [A-Za-z_][A-Za-z0-9_-]{0,127}";
    for bad in [
        "", "_", "a b", &long, "x\";drop", "a\0b", "🦀", "../x", "1a", "-a", "a.b", "é",
    ] {
        let error = Network::new().add_pipeline(bad, Forwarder).unwrap_err();
        assert_eq!(error.kind().exit_code(), 65);
        let text = error.to_string();
        assert!(text.starts_with("bad name \""), "{text}");
        assert!(
            text.contains(grammar) || text.contains("a dot separates"),
            "{text}"
        );
        assert!(
            !text.contains(['\0', '\u{1b}']) && text.chars().count() < 300,
            "{text}"
        );
    }
    for good in ["a", "_a", "A-1", &"x".repeat(128)] {
        assert_eq!(Name::new(good)?.as_str(), good);
    }
    assert!(Name::new(&"x".repeat(129)).is_err());
    Ok(())
}

#[test]
fn what_cannot_be_linked_is_refused_in_words() -> Result<()> {
    let network = parts()?;
    let refused = |from: &str, to: &str| network.link(from, to).unwrap_err().to_string();
    assert_eq!(
        refused("tickr", "a"),
        r#"no source node "tickr"; did you mean "ticker"?"#
    );
    assert_eq!(
        refused("ticker", "printr"),
        r#"no target node "printr"; did you mean "printer"?"#
    );
    assert_eq!(refused("zzz", "a"), r#"no source node "zzz""#);
    assert_eq!(
        refused("printer", "a"),
        "printer is a sink and has no output"
    );
    assert_eq!(
        refused("a", "ticker"),
        "ticker is a source and has no input"
    );
    assert_eq!(
        refused("a", "b.out"),
        r#"a link leads to a node, not to a port: "b.out""#
    );
    assert_eq!(
        refused("a.eror", "b"),
        r#"node a has no port "eror"; did you mean "error s"?"#.replace("error s", "errors")
    );
    assert_eq!(
        refused("a.nothing", "b"),
        r#"node a has no port "nothing"; its ports are out, errors, dropped"#
    );
    assert!(refused("", "a").starts_with("bad name \"\""));
    assert!(network.edges().is_empty());
    Ok(())
}

#[test]
fn a_name_is_taken_once() -> Result<()> {
    let network = parts()?;
    let error = network.add_sink("ticker", Discarder).unwrap_err();
    assert_eq!(error.to_string(), r#"node "ticker" already defined"#);
    let script = "local tb = require('tributary')\n\n\
        tb.create_forwarder('x')\ntb.create_ticker('x', '1s')";
    let error = Runtime::new(&network)?.run_text("net.lua", script);
    assert_eq!(
        error.unwrap_err().message(),
        r#"node "x" already defined at net.lua:3"#
    );
    let twice = Scripted::new(&Log::default()).ports(&["left", "left"]);
    let error = network.add_pipeline("p", twice).unwrap_err();
    assert_eq!(error.to_string(), r#"port "left" of node p is there twice"#);
    assert!(!network.node_exists("p"));
    Ok(())
}

#[test]
fn the_same_link_twice_is_refused() -> Result<()> {
    let network = parts()?;
    network.link("a", "b")?;
    let error = network.link("a", "b").unwrap_err().to_string();
    assert!(error.starts_with("a is already linked to b; "), "{error}");
    let error = network.link("a.out", "b").unwrap_err().to_string();
    assert!(error.starts_with("a is already linked to b; "), "{error}");
    network.link("a.errors", "b")?;
    assert!(network.fanout("c", ["d", "d"]).is_err());
    assert!(network.balance("c", ["d", "d"], None).is_err());
    assert_eq!(network.edges().len(), 2);
    Ok(())
}

#[test]
fn a_cycle_is_refused_with_its_path() -> Result<()> {
    let network = parts()?;
    let cycle = |error: tributary::Error| error.to_string();
    let refused = cycle(network.link("a", "a").unwrap_err());
    assert_eq!(refused, "a cycle would block for ever: a -> a");
    network.link("a", "b")?;
    let refused = cycle(network.link("b", "a").unwrap_err());
    assert_eq!(refused, "a cycle would block for ever: b -> a -> b");
    let script = "local tb = require('tributary')\n\
        tb.link('b', 'c')\ntb.link('c', 'd')\ntb.link('d', 'e')\n\
        \n\n\n\ntb.link('e.errors', 'a')";
    let error = Runtime::new(&network)?.run_text("net.lua", script);
    assert_eq!(
        error.unwrap_err().message(),
        "a cycle would block for ever: e.errors -> a (net.lua:9) -> b -> c (net.lua:2) \
         -> d (net.lua:3) -> e (net.lua:4)"
    );
    Ok(())
}

#[test]
fn fanout_fanin_and_balance_need_somebody() -> Result<()> {
    let network = parts()?;
    let none: [&str; 0] = [];
    let error = network.fanout("a", none).unwrap_err().to_string();
    assert!(error.contains("at least one"), "{error}");
    let error = network.fanin("a", none).unwrap_err().to_string();
    assert_eq!(error, "fanin of a needs at least one source");
    let error = network.balance("a", ["b"], None).unwrap_err().to_string();
    assert_eq!(error, "balance of a needs at least two members");
    Ok(())
}

#[test]
fn several_links_are_made_all_or_none() -> Result<()> {
    let network = parts()?;
    assert!(network.fanout("a", ["b", "c", "nobody"]).is_err());
    assert!(network.fanin("e", ["a", "b", "nobody"]).is_err());
    assert!(network.balance("a", ["b", "c", "ticker"], None).is_err());
    let half = network.change(|draft| {
        draft.add_pipeline("f", Forwarder)?;
        draft.link("f", "a")?;
        draft.link("f", "nobody")
    });
    assert!(half.is_err());
    assert!(network.edges().is_empty());
    assert!(!network.node_exists("f"));
    let mut draft = network.draft();
    assert!(draft.fanin("e", ["a", "b", "nobody"]).is_err());
    draft.link("a", "e")?;
    network.apply(draft)?;
    assert_eq!(network.edges().len(), 1);
    Ok(())
}

#[test]
fn the_network_lists_its_nodes_and_links() -> Result<()> {
    let network = parts()?;
    network.link("ticker", "a")?;
    network.fanout("a", ["b", "c"])?;
    network.fanin("printer", ["b.errors", "c"])?;
    let edges: Vec<String> = network.edges().iter().map(ToString::to_string).collect();
    let expected = [
        "ticker -> a",
        "a -> b",
        "a -> c",
        "b.errors -> printer",
        "c -> printer",
    ];
    assert_eq!(edges, expected);
    let nodes = network.nodes();
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["ticker", "a", "b", "c", "d", "e", "printer"]);
    assert_eq!(
        (nodes[0].kind, nodes[1].kind, nodes[6].kind),
        (NodeKind::Source, NodeKind::Pipeline, NodeKind::Sink)
    );
    assert!(network.node_exists("a") && !network.node_exists("aa"));
    assert!(network.node_unconnected("d") && !network.node_unconnected("a"));
    assert!(!network.node_unconnected("nobody"));
    assert!(network.is_connected("a", "b") && !network.is_connected("b", "a"));
    assert!(network.is_connected("b.errors", "printer") && !network.is_connected("b", "printer"));
    assert!(!network.is_connected("", "x y"));
    let missing: Vec<String> = network.check().iter().map(ToString::to_string).collect();
    assert_eq!(
        missing,
        [
            "node d is not linked to anything",
            "node e is not linked to anything"
        ]
    );
    network.link("d", "printer")?;
    network.link("ticker", "e")?;
    let missing: Vec<String> = network.check().iter().map(ToString::to_string).collect();
    assert_eq!(
        missing,
        [
            "node d has no input: nothing is linked to it",
            "node e has no output: what leaves it goes nowhere"
        ]
    );
    Ok(())
}

#[test]
fn changes_from_many_threads_all_succeed() -> std::result::Result<(), Box<dyn Error>> {
    let network = Network::new();
    network.add_sink("all", Discarder)?;
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let network = network.clone();
            std::thread::spawn(move || -> Result<()> {
                for n in 0..25 {
                    let node = network.add_pipeline(&format!("n{thread}-{n}"), Forwarder)?;
                    network.link(&node, "all")?;
                }
                Ok(())
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    assert_eq!((network.nodes().len(), network.edges().len()), (201, 200));
    Ok(())
}

#[test]
fn a_draft_that_was_overtaken_is_refused() -> Result<()> {
    let network = parts()?;
    let mut draft = network.draft();
    draft.link("a", "b")?;
    network.link("b", "a")?;
    let error = network.apply(draft).unwrap_err().to_string();
    assert_eq!(error, "the network was changed while this draft was made");
    Ok(())
}

#[test]
fn a_capacity_out_of_range_is_refused() -> Result<()> {
    let refused = |events, bytes| {
        let error = Network::with_capacity(Capacity::new().events(events).bytes(bytes)).err();
        error.map(|error| (error.kind().exit_code(), error.to_string()))
    };
    let events = "bad capacity of 0 events: allowed is 1 to 1000000";
    assert_eq!(refused(0, 1), Some((2, events.into())));
    assert_eq!(
        refused(1, 0),
        Some((2, "bad capacity of 0 bytes: at least 1".into()))
    );
    assert!(refused(1_000_001, 1).is_some());
    assert!(refused(1_000_000, 1).is_none() && refused(1, usize::MAX).is_none());
    let network = parts()?;
    let none = Capacity::new().events(0).bytes(1);
    assert!(network.link_with("a", "b", none).is_err());
    Ok(())
}

/// How many events of each payload the members of a balance got.
fn balanced(key: Option<&str>) -> Result<Vec<Seen>> {
    let network = Network::with_capacity(Capacity::new().events(4).bytes(1 << 20))?;
    let events = (0..3_000).map(|n| format!("{{\"user\":{},\"n\":{n}}}", n % 17));
    network.add_source("in", source::from_iter(events.collect::<Vec<_>>()))?;
    let seen: Vec<Seen> = ["x", "y", "z"]
        .iter()
        .map(|name| Seen::at(&network, name))
        .collect::<Result<_>>()?;
    network.balance("in", ["x", "y", "z"], key)?;
    network.start()?;
    network.wait()?;
    Ok(seen)
}

#[test]
fn a_balance_shares_the_work() -> Result<()> {
    let seen = balanced(None)?;
    assert_eq!(seen.iter().map(Seen::len).sum::<usize>(), 3_000);
    assert!(seen.iter().all(|seen| seen.len() > 0));
    Ok(())
}

#[test]
fn a_balance_with_a_key_keeps_a_key_with_one_member_and_in_order() -> Result<()> {
    let seen = balanced(Some("user"))?;
    assert_eq!(seen.iter().map(Seen::len).sum::<usize>(), 3_000);
    let mut homes: BTreeMap<u64, usize> = BTreeMap::new();
    for (member, seen) in seen.iter().enumerate() {
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for event in seen.events() {
            let json = event.payload().json()?;
            let of = |key: &str| json[key].as_u64().unwrap();
            assert_eq!(*homes.entry(of("user")).or_insert(member), member);
            let before = last.insert(of("user"), of("n"));
            assert!(before.is_none_or(|before| before < of("n")));
        }
    }
    assert_eq!(homes.len(), 17);
    Ok(())
}

#[test]
fn a_linked_network_can_be_simulated_only_once_and_not_started() -> Result<()> {
    let network = parts()?;
    let _simulation = network.simulate(START)?;
    assert!(network.simulate(START).is_err());
    assert!(network.start().is_err());
    let error = network.add_sink("late", Discarder).unwrap_err().to_string();
    assert_eq!(error, "the network is being simulated");
    Ok(())
}
