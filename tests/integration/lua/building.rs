//! What a script leaves behind: all that it says, or nothing; on networks that run too.

use crate::lua::script::Seen;
use crate::support::wait::eventually;
use serde_json::json;
use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;
use tributary::{ErrorKind, Event, Network, Result, Runtime, pipeline, sink, source};

type Tested = std::result::Result<(), Box<dyn Error>>;

/// A ticker, a forwarder and their link, and a global for later scripts.
const FIRST: &str = r#"
local tb = require("tributary")
tb.create_ticker("ticker", "10ms")
tb.create_forwarder("forwarder")
tb.link("ticker", "forwarder")
made = {"ticker", "forwarder"}
"#;

#[test]
fn a_compiled_script_runs_when_it_is_executed_and_not_before() -> Result<()> {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    let script = runtime.compile_text("first.lua", FIRST)?;
    assert!(network.nodes().is_empty());
    runtime.execute(&script)?;
    assert!(network.is_connected("ticker", "forwarder"));
    let again = runtime.execute(&script).expect_err("its nodes are there");
    assert_eq!(
        again.to_string(),
        r#"first.lua:3: node "ticker" already defined at first.lua:3"#
    );
    Ok(())
}

#[test]
fn a_later_script_builds_on_an_earlier_one() -> Result<()> {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run_text("first.lua", FIRST)?;
    runtime.run_text(
        "second.lua",
        r#"
        local tb = require("tributary")
        for _, name in ipairs(made) do assert(tb.node_exists(name) == true) end
        assert(tb.node_exists("sink") == false)
        tb.create_discarder("sink")
        assert(tb.node_exists("sink") == true)
        tb.link("forwarder", "sink")
        "#,
    )?;
    assert!(network.is_connected("forwarder", "sink"));
    assert!(network.check().is_empty());
    Ok(())
}

#[test]
fn a_later_script_builds_on_a_network_that_runs() -> Result<()> {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run_text("first.lua", FIRST)?;
    network.start()?;
    let (ticks, sink) = sink::channel();
    network.add_sink("host", sink)?;
    runtime.run_text(
        "second.lua",
        r#"
        local tb = require("tributary")
        tb.create_forwarder("late")
        tb.chain("forwarder", "late", "host")
        "#,
    )?;
    let tick = ticks.recv_timeout(Duration::from_secs(20));
    assert!(tick.is_some(), "a tick comes through what was added");
    network.stop()
}

#[test]
fn a_script_that_fails_leaves_no_node_no_link_and_no_table() -> Result<()> {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run_text("first.lua", FIRST)?;
    let failing = r#"
        local tb = require("tributary")
        tb.create_table("t", {columns = {a = "integer"}})
        tb.create_window("stored", "t")
        tb.create_discarder("sink")
        tb.link("forwarder", "stored")
        tb.link("stored", "snk")
    "#;
    let error = runtime.run_text("second.lua", failing).expect_err("snk");
    assert_eq!(
        error.to_string(),
        r#"second.lua:7: no target node "snk"; did you mean "sink"?"#
    );
    assert_eq!((network.nodes().len(), network.edges().len()), (2, 1));
    assert!(runtime.database().tables().is_empty());
    // The same script in order is not hindered by what failed.
    runtime.run_text("second.lua", failing.replace("snk", "sink"))?;
    assert!(network.check().is_empty());
    Ok(())
}

#[test]
fn a_script_that_fails_leaves_a_running_network_as_it_is() -> Tested {
    let directory = tempfile::tempdir()?;
    let missing = directory.path().join("missing.jsonl");
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run_text("first.lua", FIRST)?;
    network.start()?;
    for (text, wanted) in [
        (
            r#"local tb = require("tributary")
            tb.create_discarder("sink")
            tb.link("forwarder", "sink")
            error("half-way")"#
                .to_owned(),
            "second.lua:4: half-way".to_owned(),
        ),
        (
            format!(
                "local tb = require('tributary')\ntb.create_discarder('sink')\n\
                 tb.create_file_source('lines', '{0}')\ntb.fanin('sink', 'forwarder', 'lines')",
                missing.display()
            ),
            format!(
                "second.lua:3: node lines: {:?}: no such file or directory",
                missing.display().to_string()
            ),
        ),
    ] {
        let error = runtime.run_text("second.lua", text).expect_err("it fails");
        assert_eq!(error.to_string(), wanted);
        assert_eq!((network.nodes().len(), network.edges().len()), (2, 1));
        assert_eq!(network.stats().nodes.len(), 2);
    }
    // What ran goes on.
    let before = network.stats().node("forwarder").map(|n| n.received);
    eventually("the ticker goes on", || {
        network.stats().node("forwarder").map(|n| n.received) != before
    });
    network.stop()?;
    let error = runtime.run_text("third.lua", "require('tributary').create_forwarder('f')");
    let error = error.expect_err("it has ended");
    assert_eq!(error.to_string(), "third.lua: the network has ended");
    Ok(())
}

#[test]
fn a_function_that_fails_takes_no_effect_in_part() -> Result<()> {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run_text("first.lua", FIRST)?;
    // An error that the script catches is none: the rest of it counts.
    runtime.run_text(
        "second.lua",
        r#"
        local tb = require("tributary")
        assert(not pcall(tb.link, "forwarder", "nowhere"))
        assert(not pcall(tb.fanin, "forwarder", "ticker", "nowhere"))
        tb.create_discarder("sink")
        assert(not pcall(tb.fanout, "forwarder", "sink", "nowhere"))
        assert(not pcall(tb.chain, "forwarder", "sink", "nowhere"))
        tb.create_table("t", {columns = {at = "integer"}})
        assert(not pcall(tb.sliding_window_time, "w", "sink", "select 1", "t", "1s", "at"))
        assert(not tb.node_exists("w"))
        tb.sliding_window_time("w", "out", "select 1", "t", "1s", "at")
        "#,
    )?;
    assert!(network.node_exists("sink"));
    let links: Vec<String> = network.edges().iter().map(ToString::to_string).collect();
    assert_eq!(links, ["ticker -> forwarder", "w -> out"]);
    Ok(())
}

#[test]
fn a_host_exports_functions_and_nodes_of_its_own() -> Result<()> {
    let network = Network::new();
    let (seen, runtime) = (Seen::at(&network, "seen")?, Runtime::new(&network)?);
    let called = Rc::new(RefCell::new(Vec::new()));
    let calls = called.clone();
    runtime.export("my_custom_fn", move |args| {
        calls.borrow_mut().push((args.string(1)?, args.integer(2)?));
        Ok(true.into())
    })?;
    runtime.export_source("create_words", |args| {
        Ok(source::from_iter(args.strings(2)?))
    })?;
    runtime.export_pipeline("create_longer", |args| {
        let least = args.integer(2)? as usize;
        Ok(pipeline::interceptor(move |e| {
            Ok(e.payload().size() > least)
        }))
    })?;
    runtime.export_pipeline("create_repeat", |args| {
        let times = args.integer(2)? as usize;
        Ok(pipeline::injector(move |e: &Event| {
            Ok(vec![e.clone(); times])
        }))
    })?;
    let sum = Rc::new(RefCell::new(None));
    let (totals, made) = sink::channel();
    *sum.borrow_mut() = Some(made);
    runtime.export_sink("create_out", move |_| {
        let error = || tributary::Error::data("there is one only");
        sum.borrow_mut().take().ok_or_else(error)
    })?;
    runtime.run_text(
        "net.lua",
        r#"
        local tb = require("tributary")
        assert(tb.my_custom_fn("arg1", 2) == true)
        assert(tb.create_words("words", "a", "bcd", "efghi") == true)
        tb.create_longer("longer", 1)
        tb.create_repeat("twice", 2)
        tb.create_out("out")
        tb.chain("words", "longer", "twice", "out")
        tb.link("twice", "seen")
        "#,
    )?;
    assert_eq!(*called.borrow(), [("arg1".to_owned(), 2)]);
    let second = runtime.run_text("more.lua", "\n\nrequire('tributary').create_out('more')");
    let error = second.expect_err("there is one only");
    assert_eq!(error.to_string(), "more.lua:3: there is one only");
    network.start()?;
    network.wait()?;
    assert_eq!(seen.take(), ["bcd", "bcd", "efghi", "efghi"]);
    assert_eq!(totals.iter().count(), 4);
    Ok(())
}

#[test]
fn stats_are_the_account_of_the_running_network() -> Result<()> {
    let network = Network::new();
    let (sender, orders) = source::channel();
    network.add_source("orders", orders)?;
    network.add_sink("sink", sink::Discarder)?;
    network.link("orders", "sink")?;
    let runtime = Runtime::new(&network)?;
    runtime.run_text(
        "before.lua",
        "assert(next(require('tributary').stats().nodes) == nil)",
    )?;
    network.start()?;
    for number in 0..3 {
        sender.deliver(json!(number))?;
    }
    runtime.run_text(
        "stats.lua",
        r#"
        local stats = require("tributary").stats()
        assert(stats.nodes.orders.emitted == 3 and stats.nodes.sink.received == 3)
        assert(math.type(stats.nodes.sink.consumed) == "integer")
        local link = stats.links[1]
        assert(link.from == "orders" and link.to == "sink" and link.received == 3)
        "#,
    )?;
    network.stop()
}

#[test]
fn a_file_that_is_no_script_and_a_missing_one_are_different_errors() -> Tested {
    let directory = tempfile::tempdir()?;
    let runtime = Runtime::new(&Network::new())?;
    let missing = runtime
        .run(directory.path().join("no.lua"))
        .expect_err("missing");
    assert_eq!(missing.kind(), ErrorKind::NoInput);
    let error = runtime.run(directory.path()).expect_err("a directory");
    assert!(error.message().ends_with("it is a directory"), "{error}");
    Ok(())
}
