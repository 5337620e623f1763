//! Scripts that are loaded again: what has changed in them changes in the network, the rest goes on.

use crate::support::probe::START;
use crate::support::process::free_port;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tributary::network::{ChangeAction, ChangePlan};
use tributary::script::{ReloadOptions, ScriptLimits};
use tributary::{Database, DrawingFormat, ErrorKind, Network, Runtime, sink};

type Tested = Result<(), Box<dyn std::error::Error>>;

const HEAD: &str = "local tb = require('tributary')\n";

/// A runtime whose script `net.lua` has this text.
fn loaded(text: &str) -> tributary::Result<(Network, Runtime)> {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run_text("net.lua", format!("{HEAD}{text}"))?;
    Ok((network, runtime))
}

fn reload(runtime: &Runtime, text: &str) -> tributary::Result<ChangePlan> {
    runtime.reload_text("net.lua", format!("{HEAD}{text}"))
}

/// The names that have this action.
fn with(plan: &ChangePlan, action: ChangeAction) -> Vec<&str> {
    let all = plan.nodes.iter().chain(&plan.links);
    let of = all.filter(|change| change.action == action);
    of.map(|change| change.name.as_str()).collect()
}

const FLOW: &str = "
local LIMIT = 3
local names = { a = 1, b = { 2, 3 } }
tb.create_ticker('ticker', '1h')
tb.create_map('count', function(e) return { n = e.data.tick * LIMIT, names = names } end)
tb.create_filter('once', '1m', { by = { 'n' }, max_keys = 1000 })
tb.create_discarder('out')
tb.chain('ticker', 'count', 'once', 'out')
";

#[test]
fn a_script_that_was_only_written_otherwise_changes_nothing() -> Tested {
    let (_, runtime) = loaded(FLOW)?;
    let written = FLOW
        .replace("local LIMIT", "\n\n-- a remark\nlocal LIMIT")
        .replace("LIMIT", "MOST")
        .replace("{ a = 1, b = { 2, 3 } }", "{ b = { 2, 3 }, a = 1 }")
        .replace("function(e) return", "function(event)\n  return")
        .replace("e.data", "event.data")
        .replace(
            "{ by = { 'n' }, max_keys = 1000 }",
            "{ max_keys = 1000, by = { 'n' } }",
        );
    let plan = reload(&runtime, &written)?;
    assert!(plan.is_empty(), "{plan}");
    assert_eq!((plan.nodes.len(), plan.links.len()), (4, 3));
    assert_eq!(plan.to_string(), "nothing changed\n");
    // The places are those of the new text.
    let nodes = runtime.network().nodes();
    assert_eq!(nodes[1].place.as_deref(), Some("net.lua:9"));
    Ok(())
}

#[test]
fn only_the_nodes_whose_recipe_has_changed_are_made_again() -> Tested {
    for (from, to, expected) in [
        ("LIMIT = 3", "LIMIT = 4", "count"),
        ("LIMIT = 3", "LIMIT = 3.0", "count"),
        ("{ 2, 3 }", "{ 2, 4 }", "count"),
        ("{ 2, 3 }", "{ 2, '3' }", "count"),
        ("e.data.tick *", "e.data.tick +", "count"),
        ("'1m'", "'2m'", "once"),
        ("{ 'n' }", "{ 'n', 'm' }", "once"),
        ("'1h'", "'2h'", "ticker"),
    ] {
        let (_, runtime) = loaded(FLOW)?;
        let plan = reload(&runtime, &FLOW.replace(from, to))?;
        let replaced: BTreeSet<&str> = with(&plan, ChangeAction::Replace)
            .into_iter()
            .chain(with(&plan, ChangeAction::ReplaceWithState))
            .collect();
        assert_eq!(
            replaced,
            BTreeSet::from([expected]),
            "{from} -> {to}: {plan}"
        );
        assert_eq!(with(&plan, ChangeAction::Keep).len(), 6, "{plan}");
        // Once more it is the same.
        let plan = reload(&runtime, &FLOW.replace(from, to))?;
        assert!(plan.is_empty(), "{plan}");
    }
    Ok(())
}

#[test]
fn helpers_and_modules_and_secrets_count_by_what_they_hold() -> Tested {
    let site = tempfile::tempdir()?;
    let write = |name: &str, text: &str| std::fs::write(site.path().join(name), text);
    std::fs::create_dir(site.path().join("helpers"))?;
    write(
        "helpers/own.lua",
        "local tb = ...\nfunction tb.twice(n) return 2 * n end",
    )?;
    write("rules.lua", "return { least = 3 }")?;
    write("secret", "k2w9-one")?;
    let directory = site.path().display();
    let text = format!(
        "{HEAD}
        local rules = require('rules')
        tb.create_map('helped', function(e) return {{ n = tb.twice(e.data.n) }} end)
        tb.create_map('ruled', function(e) return {{ n = rules.least }} end)
        tb.create_sink('posted', 'file:{directory}/${{file:{directory}/secret}}')"
    );
    write("net.lua", &text)?;
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.add_prelude(site.path().join("helpers"))?;
    let script = site.path().join("net.lua");
    runtime.run(&script)?;
    let replaced = || -> tributary::Result<Vec<String>> {
        let plan = runtime.reload(&script)?;
        let names = with(&plan, ChangeAction::Replace);
        Ok(names.into_iter().map(str::to_owned).collect())
    };
    assert_eq!(replaced()?, [""; 0]);
    write("secret", "k2w9-two")?;
    assert_eq!(replaced()?, ["posted"]);
    write("rules.lua", "return { least = 4 }")?;
    assert_eq!(replaced()?, ["ruled"]);
    write(
        "helpers/own.lua",
        "local tb = ...\nfunction tb.twice(n) return n + n end",
    )?;
    // Which helpers a function calls is not known.
    assert_eq!(replaced()?, ["helped", "ruled"]);
    let units = runtime.units();
    assert_eq!(
        units[0].files,
        [script.clone(), site.path().join("rules.lua")]
    );
    Ok(())
}

#[test]
fn links_are_compared_by_their_ends_and_options() -> Tested {
    let nodes = "
tb.create_ticker('a', '1h')
tb.create_discarder('b') tb.create_discarder('c') tb.create_discarder('d')
";
    let (network, runtime) = loaded(&format!(
        "{nodes} tb.link('a', 'b') tb.balance('a', 'c', 'd')"
    ))?;
    network.start()?;
    let plan = reload(
        &runtime,
        &format!("{nodes} tb.balance('a', 'c', 'd') tb.link('a', 'b')"),
    )?;
    assert!(plan.is_empty(), "{plan}");
    let plan = reload(
        &runtime,
        &format!("{nodes} tb.link('a', 'b', {{ capacity = 7 }}) tb.balance('a', 'c', 'd')"),
    )?;
    assert_eq!(with(&plan, ChangeAction::Add), ["a -> b"]);
    assert_eq!(with(&plan, ChangeAction::Remove), ["a -> b"]);
    let plan = reload(
        &runtime,
        &format!(
            "{nodes} tb.link('a', 'b', {{ capacity = 7 }}) tb.balance('a', 'c', 'd', {{ key = 'k' }})"
        ),
    )?;
    assert_eq!(with(&plan, ChangeAction::Add), ["a -> c", "a -> d"]);
    let plan = reload(&runtime, &format!("{nodes} tb.fanout('a', 'b', 'c', 'd')"))?;
    assert_eq!(with(&plan, ChangeAction::Keep).len(), 4, "{plan}");
    let plan = reload(&runtime, &format!("{nodes} tb.fanout('a', 'b', 'd')"))?;
    assert_eq!(with(&plan, ChangeAction::Remove), ["a -> c"]);
    assert!(!network.is_connected("a", "c"));
    network.stop()?;
    Ok(())
}

#[test]
fn a_link_may_be_turned_round() -> Tested {
    let nodes = "
tb.create_ticker('t', '1h') tb.create_forwarder('a') tb.create_forwarder('b') tb.create_discarder('out')
";
    let (network, runtime) = loaded(&format!("{nodes} tb.chain('t', 'a', 'b', 'out')"))?;
    network.start()?;
    reload(&runtime, &format!("{nodes} tb.chain('t', 'b', 'a', 'out')"))?;
    assert!(network.is_connected("b", "a") && !network.is_connected("a", "b"));
    network.stop()?;
    Ok(())
}

#[test]
fn error_policies_belong_to_their_script() -> Tested {
    let nodes = "
tb.create_ticker('t', '1h') tb.create_forwarder('a') tb.create_discarder('out') tb.create_discarder('bad')
tb.create_discarder('worse') tb.chain('t', 'a', 'out')
";
    let (network, runtime) = loaded(&format!("{nodes} tb.on_error('*', 'bad')"))?;
    network.start()?;
    assert!(network.is_connected("a.errors", "bad"));
    let plan = reload(&runtime, &format!("{nodes} tb.on_error('*', 'bad')"))?;
    assert!(plan.is_empty(), "{plan}");
    reload(&runtime, &format!("{nodes} tb.on_error('*', 'worse')"))?;
    assert!(network.is_connected("a.errors", "worse"));
    assert!(!network.is_connected("a.errors", "bad"));
    reload(
        &runtime,
        &format!("{nodes} tb.on_error('a', {{ retry = 2, after = 'bad' }})"),
    )?;
    assert!(network.is_connected("a.errors", "bad"));
    assert!(!network.is_connected("t.errors", "worse"));
    reload(&runtime, nodes)?;
    assert!(!network.is_connected("a.errors", "bad"));
    network.stop()?;
    Ok(())
}

/// What a network looks like.
fn shape(network: &Network) -> String {
    network.draw(DrawingFormat::Mermaid)
}

#[test]
fn a_script_that_cannot_be_loaded_leaves_the_network_as_it_is() -> Tested {
    let (network, runtime) = loaded(FLOW)?;
    runtime.run_text(
        "other.lua",
        format!("{HEAD} tb.create_table('kept', {{ columns = {{ n = 'integer' }} }}) tb.create_discarder('more') tb.link('count', 'more')"),
    )?;
    network.start()?;
    let before = (shape(&network), runtime.units());
    for (text, expected) in [
        ("x = = 1".to_owned(), "net.lua:2:"),
        ("error('no')".to_owned(), "no"),
        (format!("{FLOW} tb.link('count', 'nobody')"), "nobody"),
        (format!("{FLOW} tb.link('once', 'count')"), "cycle"),
        (
            format!("{FLOW} tb.create_forwarder('more')"),
            "already defined",
        ),
        (
            format!("{FLOW} tb.create_table('kept', {{ columns = {{ m = 'text' }} }})"),
            "declared already",
        ),
        (
            format!("{FLOW} tb.create_sink('file', 'file:/nowhere/at/all')"),
            "cannot create",
        ),
        (
            FLOW.replace(
                "tb.create_filter('once', '1m', { by = { 'n' }, max_keys = 1000 })",
                "tb.create_sink('once', 'file:/nowhere/at/all')",
            ),
            "once",
        ),
        // A node that another script uses.
        (
            FLOW.replace("tb.create_map('count'", "tb.create_map('counted'")
                .replace("'ticker', 'count'", "'ticker', 'counted'"),
            "node count cannot be removed: script \"other.lua\" uses it, by the link count -> more at other.lua:2",
        ),
    ] {
        let error = match reload(&runtime, &text) {
            Err(error) => error,
            Ok(plan) => return Err(format!("{text}: {plan}").into()),
        };
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert_eq!(shape(&network), before.0, "{text}");
        assert_eq!(runtime.units(), before.1, "{text}");
    }
    let plan = reload(&runtime, FLOW)?;
    assert!(plan.is_empty(), "{plan}");
    network.stop()?;
    Ok(())
}

#[test]
fn a_plan_changes_nothing() -> Tested {
    let site = tempfile::tempdir()?;
    let script = site.path().join("net.lua");
    std::fs::write(&script, format!("{HEAD}{FLOW}"))?;
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run(&script)?;
    network.start()?;
    let before = (shape(&network), runtime.units());
    let changed = FLOW
        .replace("LIMIT = 3", "LIMIT = 4")
        .replace("'1m'", "'2m'");
    let changed =
        format!("{HEAD}{changed} tb.create_discarder('new') tb.link('once.dropped', 'new')");
    std::fs::write(&script, changed)?;
    let plan = runtime.plan(&script)?;
    assert_eq!(with(&plan, ChangeAction::Replace), ["count"]);
    assert_eq!(with(&plan, ChangeAction::ReplaceWithState), ["once"]);
    assert_eq!(
        with(&plan, ChangeAction::Add),
        ["new", "once.dropped -> new"]
    );
    assert_eq!((shape(&network), runtime.units()), before);
    assert_eq!(runtime.reload(&script)?, plan);
    network.stop()?;
    Ok(())
}

#[test]
fn nodes_of_the_host_and_of_other_scripts_are_not_touched() -> Tested {
    let network = Network::new();
    network.add_sink("host", sink::Discarder)?;
    let runtime = Runtime::new(&network)?;
    runtime.export_sink("create_own", |args| {
        args.integer(2)?;
        Ok(sink::Discarder)
    })?;
    let first = |n: u8| {
        format!(
            "{HEAD} tb.create_ticker('t', '1h') tb.create_own('own', {n}) tb.fanout('t', 'host', 'own')"
        )
    };
    runtime.run_text("first.lua", first(1))?;
    runtime.run_text(
        "second.lua",
        format!("{HEAD} tb.create_discarder('s') tb.link('t', 's')"),
    )?;
    network.start()?;
    assert!(runtime.reload_text("first.lua", first(1))?.is_empty());
    let plan = runtime.reload_text("first.lua", first(2))?;
    assert_eq!(
        with(&plan, ChangeAction::Replace),
        ["own"],
        "exported functions compare by their arguments"
    );
    let error = runtime
        .unload("first.lua")
        .expect_err("another script uses its node");
    assert!(error.to_string().contains("second.lua"), "{error}");
    let plan = runtime.unload("second.lua")?;
    assert_eq!(with(&plan, ChangeAction::Remove), ["s", "t -> s"]);
    let error = runtime.unload("secnd.lua").expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::Data);
    runtime.unload("first.lua")?;
    let names: Vec<String> = network
        .nodes()
        .iter()
        .map(|node| node.name.to_string())
        .collect();
    assert_eq!(names, ["host"]);
    assert!(runtime.units().is_empty());
    Ok(())
}

#[test]
fn a_script_may_change_what_it_has_made_by_a_call_that_it_catches() -> Tested {
    let text = "
tb.create_ticker('t', '1h')
pcall(function() tb.create_map('m', function(e) return e end) error('late') end)
pcall(tb.create_map, 'm', 'no function')
tb.create_discarder('out')
tb.chain('t', 'm', 'out')
";
    let (_, runtime) = loaded(text)?;
    let plan = reload(&runtime, text)?;
    assert!(plan.is_empty(), "{plan}");
    Ok(())
}

#[test]
fn a_reload_in_a_simulation_takes_no_time_and_keeps_state() -> Tested {
    let site = tempfile::tempdir()?;
    let script = site.path().join("net.lua");
    let text = |interval: &str| {
        format!(
            "{HEAD} tb.create_forwarder('in') tb.create_filter('once', '{interval}') tb.chain('in', 'once', 'out')"
        )
    };
    std::fs::write(&script, text("1m"))?;
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    let (sender, events) = std::sync::mpsc::channel();
    network.add_sink(
        "out",
        sink::handler(move |event| {
            let _ = sender.send(event.payload().text().unwrap_or_default().to_owned());
            Ok(())
        }),
    )?;
    runtime.run(&script)?;
    let mut simulation = network.simulate(START)?;
    simulation.inject("in", "1")?;
    simulation.advance(Duration::from_secs(30));
    std::fs::write(&script, text("10m"))?;
    let now = simulation.now();
    let plan = runtime.reload_in(&mut simulation, &script.to_string_lossy(), &script)?;
    assert_eq!(with(&plan, ChangeAction::ReplaceWithState), ["once"]);
    assert_eq!(simulation.now(), now);
    simulation.advance(Duration::from_secs(60));
    simulation.inject("in", "1")?;
    simulation.inject("in", "2")?;
    let stats = simulation.finish()?;
    assert_eq!(stats.breaches(), [""; 0]);
    assert_eq!(
        events.try_iter().collect::<Vec<_>>(),
        ["1", "2"],
        "the filter has its keys yet"
    );
    Ok(())
}

/// A script of a few nodes of several kinds, with settings and links chosen by numbers.
fn random(nodes: &[(u8, u8)], links: &[(u8, u8, u8)]) -> String {
    let mut text = HEAD.to_owned();
    text.push_str("tb.create_ticker('s', '1h')\n");
    for (index, (kind, setting)) in nodes.iter().enumerate() {
        let name = format!("n{index}");
        let setting = setting % 3 + 1;
        text.push_str(&match kind % 5 {
            0 => format!("tb.create_forwarder('{name}')\n"),
            1 => format!("tb.create_ratelimit('{name}', '{setting}s')\n"),
            2 => format!("tb.create_map('{name}', function(e) return {{ n = {setting} }} end)\n"),
            3 => format!("tb.create_filter('{name}', '{setting}m')\n"),
            _ => format!("tb.create_delay('{name}', '{setting}s')\n"),
        });
    }
    text.push_str("tb.create_discarder('out')\n");
    let name = |at: u8| match usize::from(at) % (nodes.len() + 2) {
        0 => "s".to_owned(),
        at if at == nodes.len() + 1 => "out".to_owned(),
        at => format!("n{}", at - 1),
    };
    let mut seen = BTreeSet::new();
    for (from, to, capacity) in links {
        let count = nodes.len() + 2;
        let (from, to) = (usize::from(*from) % count, usize::from(*to) % count);
        // From the first to the last, so that there is no cycle.
        if from < to && seen.insert((from, to)) {
            let (from, to) = (name(from as u8), name(to as u8));
            let capacity = u32::from(capacity % 2) * 100 + 100;
            text.push_str(&format!(
                "tb.link('{from}', '{to}', {{ capacity = {capacity} }})\n"
            ));
        }
    }
    text
}

/// What belongs to a network, in no order.
fn contents(network: &Network) -> BTreeSet<String> {
    let nodes = network.nodes().into_iter();
    let nodes = nodes.map(|node| {
        format!(
            "{} {:?} {:?} {:?}",
            node.name, node.kind, node.ports, node.place
        )
    });
    let links = network.edges().into_iter();
    nodes
        .chain(links.map(|link| format!("{link} {:?} {:?}", link.capacity, link.place)))
        .collect()
}

type Chosen = (Vec<(u8, u8)>, Vec<(u8, u8, u8)>);

fn chosen() -> impl Strategy<Value = Chosen> {
    let nodes = proptest::collection::vec(any::<(u8, u8)>(), 0..6);
    (
        nodes,
        proptest::collection::vec(any::<(u8, u8, u8)>(), 0..12),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_network_is_after_a_reload_what_the_script_makes_of_an_empty_one(
        scripts in proptest::collection::vec(chosen(), 2..5),
        running in any::<bool>(),
    ) {
        let network = Network::new();
        let runtime = Runtime::new(&network).expect("a runtime");
        for (index, (nodes, links)) in scripts.iter().enumerate() {
            let text = random(nodes, links);
            runtime.reload_text("net.lua", text.as_str()).expect("it is loaded again");
            let fresh = Network::new();
            let other = Runtime::new(&fresh).expect("a runtime");
            other.run_text("net.lua", text.as_str()).expect("it is loaded");
            prop_assert_eq!(contents(&network), contents(&fresh), "{}", text);
            let plan = runtime.reload_text("net.lua", text.as_str()).expect("once more");
            prop_assert!(plan.is_empty(), "{}", plan);
            if index == 0 && running {
                network.start().expect("it starts");
            }
        }
        network.stop().expect("it stops");
        let breaches = network.stats().breaches();
        prop_assert!(breaches.is_empty(), "{:?}", breaches);
    }
}

/// One call for each kind of node, with `V` where a setting changes.
const KINDS: &str = r"
tb.create_table('rows', { key = 'n', columns = { n = 'integer', at = 'real' } })
tb.create_table('last', { key = 'n', columns = { n = 'integer' } })
tb.create_ticker('ticker', 'Vh')
tb.create_generator('generator', function(emit) return V > 0 end, { every = '1h' })
tb.create_source('lines', 'file:DIR/in', { follow = true, checkpoint = 'DIR/place', in_flight = 100V })
tb.create_source('posted', 'http://127.0.0.1:HTTP/', { in_flight = 100V })
tb.create_source('listened', 'unix:DIR/socket', { connections = 1V })
tb.create_source('asked', 'sql:sqlite:DIR/db', { query = 'select 1 as n where 1 > :cursor', cursor = 'n', every = 'Vs' })
tb.create_source('made', 'exec:sleep', { args = { '100V' } })
tb.create_forwarder('forward')
tb.create_ratelimit('limit', 'Vs')
tb.create_filter('filter', 'Vs')
tb.create_filter('stored', 'Vs', { store = true })
tb.create_filter_fn('filter_fn', function(e) return e.data.n == V end)
tb.create_delay('delay', 'Vs')
tb.create_debounce('debounce', 'Vs')
tb.create_sample('sample', 'Vs')
tb.create_throttle('throttle', V, '1s')
tb.create_changed('changed', { by = { 'nV' } })
tb.create_deadman('deadman', 'Vs')
tb.create_batch('batch', { count = V })
tb.create_queue('queue', 'DIR/queue')
tb.create_map('map', function(e) return { n = V } end)
tb.create_flat_map('flat_map', function(e, emit) emit(V) end)
tb.create_route('route', { high = function(e) return e.data.n > V end })
tb.create_process('process', { process = function(e, emit, state) state.n = V end })
tb.create_window('inserted', 'rows')
tb.query_window('query', 'select V as n')
tb.window('window', 'answers', { table = 'rows', time = 'at', size = '9s', query = 'select sum(n) as n from rows having sum(n) > V' })
tb.sliding_window_count('counted', 'counts', 'select sum(n) as n from last having sum(n) > V', 'last', 9, {})
tb.create_handler('handler', function(e) return V end)
tb.create_sink('file', 'file:DIR/out', { rotate_bytes = 1000V })
tb.create_sink('program', 'exec:cat', { timeout = 'Vs' })
tb.create_sink('wired', 'tcp://127.0.0.1:PORT', { timeout = 'Vs' })
tb.create_sql_sink('rows_sink', { table = 'rows', mode = 'MODE' })
tb.create_dlq('letters', { path = 'DIR/letters' })
tb.create_tester('tester', 'V')
tb.create_discarder('discarder')
";

#[test]
fn each_kind_of_node_is_replaced_while_the_network_runs() -> Tested {
    let site = tempfile::tempdir()?;
    std::fs::write(site.path().join("in"), "")?;
    // Connections wait in its backlog.
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let ports = [listener.local_addr()?.port(), free_port()];
    let text = |value: u8| kinds(site.path(), ports, value);
    let network = Network::new();
    let mut limits = ScriptLimits::default();
    limits.allow_os = true;
    let runtime = Runtime::with_limits(&network, &Database::open("sqlite::memory:")?, limits)?;
    runtime.run_text("net.lua", text(1))?;
    network.start()?;
    let plan = runtime.reload_text("net.lua", text(1))?;
    assert!(plan.is_empty(), "{plan}");
    for value in [2, 3] {
        let plan = runtime.reload_text("net.lua", text(value));
        let plan =
            plan.map_err(|error| format!("{error}: {:?}", network.wait_timeout(Duration::ZERO)))?;
        let kept = with(&plan, ChangeAction::Keep);
        let mut kept: Vec<&str> = kept
            .into_iter()
            .filter(|name| !name.contains("->"))
            .collect();
        kept.sort_unstable();
        assert_eq!(
            kept,
            ["discarder", "forward", "inserted", "letters", "queue"],
            "{plan}"
        );
    }
    network.stop()?;
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(())
}

fn kinds(site: &Path, ports: [u16; 2], value: u8) -> String {
    // The paths last: they may have any letter.
    let calls = KINDS
        .replace("MODE", if value == 2 { "upsert" } else { "insert" })
        .replace('V', &value.to_string())
        .replace("PORT", &ports[0].to_string())
        .replace("HTTP", &ports[1].to_string())
        .replace("DIR", &site.display().to_string());
    format!("{HEAD}{calls}")
}

#[test]
fn what_a_new_query_would_lack_is_planned_and_refused_unless_it_is_accepted() -> Tested {
    let text = |query: &str| {
        format!(
            "{HEAD}
            tb.create_table('rows', {{ columns = {{ n = 'integer', at = 'real' }} }})
            tb.create_ticker('ticker', '1h')
            tb.window('sums', 'answers', {{ table = 'rows', time = 'at', size = '1h', store = false,
                query = '{query}' }})
            tb.create_discarder('out')
            tb.link('ticker', 'sums') tb.link('answers', 'out')"
        )
    };
    let site = tempfile::tempdir()?;
    let script = site.path().join("net.lua");
    let write = |query: &str| std::fs::write(&script, text(query));
    write("select sum(n) as s from rows having sum(n) > 3")?;
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run(&script)?;
    network.start()?;
    write("select sum(n) as s from rows having sum(n) > 5")?;
    let plan = runtime.reload(&script)?;
    assert_eq!(with(&plan, ChangeAction::ReplaceWithState), ["sums"]);
    write("select max(n) as s from rows")?;
    let lossy = runtime.plan(&script)?;
    let sums = lossy.nodes.iter().find(|node| node.name == "sums");
    let loss = sums.and_then(|sums| sums.loss.clone()).ok_or("no loss")?;
    assert!(loss.complete_from().is_some(), "{loss}");
    assert!(lossy.to_string().contains(": incomplete until "), "{lossy}");
    let error = runtime.reload(&script).expect_err("rows would be missing");
    assert!(error.to_string().contains("incomplete until"), "{error}");
    let accepting = ReloadOptions::new().accept_loss();
    runtime.reload_with(&script, &accepting)?;
    assert!(runtime.plan(&script)?.is_empty());
    network.stop()?;
    Ok(())
}

#[test]
fn an_empty_script_is_not_loaded_again() -> Tested {
    let (network, runtime) = loaded(FLOW)?;
    let error = runtime
        .reload_text("net.lua", " \n")
        .expect_err("it is being written");
    assert!(
        error.to_string().contains("net.lua: the script is empty"),
        "{error}"
    );
    assert_eq!(network.nodes().len(), 4);
    Ok(())
}

/// A script that reads lines of numbers, and writes what comes to `out`; `more` links them.
fn reader(site: &Path, source: &str, more: &str) -> String {
    let directory = site.display();
    format!(
        "{HEAD} tb.create_source('in', 'file:{directory}/in', {{ {source} }})
        tb.create_sink('out', 'file:{directory}/out.jsonl')
        {more}"
    )
}

/// How many events were written.
fn written(site: &Path) -> usize {
    let text = std::fs::read_to_string(site.join("out.jsonl")).unwrap_or_default();
    text.lines().count()
}

/// Waits until this is so, or for half a minute.
fn wait_for(so: impl Fn() -> bool) {
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while !so() && std::time::Instant::now() < until {
        // Another thread writes.
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_is_read_on_in_another_format() -> Tested {
    for (before, after) in [
        (
            "format = 'csv'",
            "format = 'csv', types = { n = 'integer' }",
        ),
        (
            "format = 'text'",
            "format = { pattern = '(?<n>[a-z0-9]+)' }",
        ),
    ] {
        let site = tempfile::tempdir()?;
        let lines = |of: std::ops::Range<u32>| of.map(|n| format!("{n}\n")).collect::<String>();
        std::fs::write(site.path().join("in"), format!("n\n{}", lines(0..5_000)))?;
        let text = |format: &str| {
            let source = format!("follow = true, {format}");
            reader(site.path(), &source, "tb.link('in', 'out')")
        };
        let network = Network::new();
        let runtime = Runtime::new(&network)?;
        runtime.run_text("net.lua", text(before))?;
        network.start()?;
        // As a text the header is a line like the others.
        let expected = 6_000 + usize::from(before.contains("text"));
        wait_for(|| written(site.path()) >= 100);
        let plan = runtime.reload_text("net.lua", text(after))?;
        assert_eq!(with(&plan, ChangeAction::ReplaceWithState), ["in"]);
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(site.path().join("in"))?;
        std::io::Write::write_all(&mut file, lines(5_000..6_000).as_bytes())?;
        wait_for(|| written(site.path()) >= expected);
        network.stop()?;
        assert_eq!(written(site.path()), expected, "{before}: each line once");
    }
    Ok(())
}

#[test]
fn a_queue_that_is_removed_delivers_what_it_has_stored() -> Tested {
    const SLOW: &str = "tb.create_map('slow', function(e)
        local x = 0 for i = 1, 300 do x = x + i end return e end)";
    let site = tempfile::tempdir()?;
    let lines: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    std::fs::write(site.path().join("in"), lines)?;
    let queued = |path: &str| {
        let queue = format!(
            "tb.create_queue('q', '{}')",
            site.path().join(path).display()
        );
        let more = format!("{SLOW} {queue} tb.chain('in', 'q', 'slow', 'out')");
        reader(site.path(), "follow = true", &more)
    };
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run_text("net.lua", queued("q.db"))?;
    network.start()?;
    wait_for(|| written(site.path()) >= 100);
    let error = runtime.reload_text("net.lua", queued("other.db"));
    let error = error.expect_err("events are stored");
    assert!(
        error.to_string().contains("holds events in store"),
        "{error}"
    );
    let without = format!("{SLOW} tb.chain('in', 'slow', 'out')");
    runtime.reload_text("net.lua", reader(site.path(), "follow = true", &without))?;
    // While the queue still delivers, what it leads to can be replaced.
    let begun = std::time::Instant::now();
    let faster = without.replace("300", "200");
    runtime.reload_text("net.lua", reader(site.path(), "follow = true", &faster))?;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it has not waited for the queue"
    );
    wait_for(|| written(site.path()) >= 20_000);
    network.stop()?;
    assert_eq!(written(site.path()), 20_000, "each event once");
    Ok(())
}
