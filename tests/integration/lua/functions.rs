//! Functions of Lua move to their nodes with what they have captured, or are refused.

use crate::support::probe::{START, Seen};
use tributary::{Network, Result, Runtime, Simulation};

/// A network with a node `f` that the script makes, in virtual time, and what comes out of it.
pub fn simulated(script: &str) -> Result<(Simulation, Seen, Seen)> {
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let script = format!("local tb = require('tributary')\n{script}");
    Runtime::new(&network)?.run_text("net.lua", script)?;
    network.link("f", "seen")?;
    network.link("f.errors", "rejected")?;
    Ok((network.simulate(START)?, seen, errors))
}

/// The texts that come out of `f` when these go in.
pub fn out(script: &str, payloads: &[&str]) -> Result<Vec<String>> {
    let (mut simulation, seen, errors) = simulated(script)?;
    for payload in payloads {
        simulation.inject("f", *payload)?;
    }
    let errors: Vec<String> = errors.events().iter().map(error).collect();
    assert_eq!(errors, [""; 0], "of {script}");
    Ok(seen.texts())
}

/// The error of a rejected event.
pub fn error(event: &tributary::Event) -> String {
    let error = event.meta().get("error").and_then(|e| e.as_str());
    error.unwrap_or("?").to_owned()
}

/// What a script is told when it is loaded.
fn told(script: &str) -> Result<String> {
    let runtime = Runtime::new(&Network::new())?;
    let script = format!("local tb = require('tributary')\n{script}");
    let error = runtime.run_text("net.lua", script).expect_err("refused");
    Ok(error.to_string())
}

#[test]
fn plain_data_travels_with_the_function() -> Result<()> {
    let script = "local yes, whole, real, text = true, math.maxinteger, 0.5, 'a\\0b'\n\
                  local list = { 1, 2, { deep = 'x' } }\n\
                  tb.create_map('f', function(e)\n\
                    assert(yes == true and whole == math.maxinteger and real == 0.5)\n\
                    assert(text == 'a\\0b' and #text == 3)\n\
                    assert(#list == 3 and list[3].deep == 'x')\n\
                    return e\n\
                  end)";
    assert_eq!(out(script, &["1"])?, ["1"]);
    Ok(())
}

#[test]
fn functions_travel_with_what_they_have_captured_themselves() -> Result<()> {
    let script = "local factor = 3\n\
                  local function times(n) return n * factor end\n\
                  local rules = { triple = times }\n\
                  function rules.again(n) return rules.triple(rules.triple(n)) end\n\
                  local function fact(n) return n <= 1 and 1 or n * fact(n - 1) end\n\
                  tb.create_map('f', function(e)\n\
                    return { again = rules.again(e.data.n), fact = fact(e.data.n) }\n\
                  end)";
    // `fact` is a global there, which is not defined yet: a local function refers to itself.
    let script = script.replace("local function fact(n)", "local fact; fact = function(n)");
    assert_eq!(
        out(&script, &[r#"{"n":5}"#])?,
        [r#"{"again":45,"fact":120}"#]
    );
    Ok(())
}

#[test]
fn shared_and_cyclic_references_stay_what_they_were() -> Result<()> {
    let script = "local ring = { name = 'ring' }\nring.self = ring\n\
                  local one, other = { ring }, { ring }\n\
                  local count = 0\n\
                  local function up() count = count + 1 end\n\
                  local class = {} class.__index = class\n\
                  function class:hello() return 'hello ' .. self.name end\n\
                  local object = setmetatable({ name = 'you' }, class)\n\
                  tb.create_map('f', function(e)\n\
                    assert(ring.self == ring and one[1] == other[1] and one[1] == ring)\n\
                    up() up()\n\
                    return { count = count, says = object:hello() }\n\
                  end)";
    assert_eq!(
        out(script, &["1", "2"])?,
        [
            r#"{"count":2,"says":"hello you"}"#,
            r#"{"count":4,"says":"hello you"}"#
        ]
    );
    Ok(())
}

#[test]
fn each_node_has_its_own_copy() -> Result<()> {
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    let script = "local tb = require('tributary')\nlocal state = { n = 0 }\n\
                  local function count() state.n = state.n + 1 return { n = state.n } end\n\
                  tb.create_map('a', count)\ntb.create_map('b', count)\n\
                  tb.fanin('seen', 'a', 'b')\nstate.n = 100\n\
                  tb.create_map('c', count) tb.link('c', 'seen')";
    Runtime::new(&network)?.run_text("net.lua", script)?;
    let mut simulation = network.simulate(START)?;
    for node in ["a", "a", "b", "c"] {
        simulation.inject(node, "{}")?;
    }
    assert_eq!(
        seen.texts(),
        [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":1}"#, r#"{"n":101}"#]
    );
    Ok(())
}

#[test]
fn globals_and_additions_to_libraries_travel_where_they_are_named() -> Result<()> {
    let script = "limit = 5\n\
                  function helper(n) return n + limit end\n\
                  function string.shout(s) return s:upper() .. '!' end\n\
                  unused = coroutine.create(print)\n\
                  tb.create_map('f', function(e)\n\
                    return { n = helper(e.data.n), s = ('a'):shout() }\n\
                  end)";
    assert_eq!(out(script, &[r#"{"n":1}"#])?, [r#"{"n":6,"s":"A!"}"#]);
    Ok(())
}

#[test]
fn the_standard_library_and_the_module_are_bound_again() -> Result<()> {
    let script = "local format, t, G = string.format, table, _G\n\
                  local now, null = tb.now, tb.null\n\
                  tb.create_map('f', function(e)\n\
                    assert(format == string.format and t == table and G == _G)\n\
                    assert(tb == require('tributary') and now == tb.now and null == tb.null)\n\
                    return { now = now(), pi = format('%.2f', math.pi), at = e.time }\n\
                  end)";
    assert_eq!(
        out(script, &["1"])?,
        [r#"{"at":1000.0,"now":1000.0,"pi":"3.14"}"#]
    );
    Ok(())
}

#[test]
fn what_cannot_move_is_refused_when_the_script_is_loaded_with_its_path() -> Result<()> {
    let hint = "what a node's function captures is plain data and functions; make the rest inside";
    for (captured, wanted) in [
        (
            "local co = coroutine.create(print)\nlocal function f() return co end",
            "the captured variable co is a coroutine",
        ),
        (
            "local config = { files = { { at = coroutine.create(print) } } }\n\
             local function f() return config end",
            "the captured variable config.files[1].at is a coroutine",
        ),
        (
            "local odd = { ['a b'] = string.gmatch('a', 'b') }\nlocal function f() return odd end",
            "the captured variable odd[\"a b\"] is a function that is not written in Lua",
        ),
        (
            "local co = coroutine.wrap(print)\nlocal function f() return co end",
            "the captured variable co is a coroutine",
        ),
        (
            "local _, e = pcall(tb.link, 'x', 'y')\nlocal function f() return e end",
            "the captured variable e is an error",
        ),
        (
            "worker = coroutine.create(print)\nlocal function f() return worker end",
            "the global worker is a coroutine",
        ),
    ] {
        let lines = captured.lines().count();
        assert_eq!(
            told(&format!("{captured}\ntb.create_map('m', f)"))?,
            format!(
                "net.lua:{}: create_map of \"m\": {wanted}, which cannot move to the thread of the \
                 node; {hint}",
                lines + 2
            )
        );
    }
    Ok(())
}

#[test]
fn an_open_file_is_refused_too() -> Result<()> {
    let (network, database) = (
        Network::new(),
        tributary::Database::open("sqlite::memory:")?,
    );
    let limits = tributary::script::ScriptLimits::new().allow_os(true);
    let runtime = Runtime::with_limits(&network, &database, limits)?;
    let script = "local file = io.stderr\n\
                  require('tributary').create_handler('m', function() file:write('x') end)";
    let error = runtime.run_text("net.lua", script).expect_err("a file");
    assert!(
        error
            .message()
            .contains("the captured variable file is an open file"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_function_that_builds_the_network_is_an_error_in_a_node() -> Result<()> {
    // Row 30.
    for call in [
        "tb.link('a', 'b')",
        "tb.chain('a', 'b')",
        "link('a', 'b')",
        "tb.create_forwarder('x')",
        "require('tributary').node_exists('f')",
    ] {
        let script = format!(
            "local link = tb.link\ntb.create_map('f', function(e)\n  {call}\n  return e\nend)"
        );
        let (mut simulation, seen, errors) = simulated(&script)?;
        simulation.inject("f", "1")?;
        assert_eq!(
            errors.events().iter().map(error).collect::<Vec<_>>(),
            ["net.lua:4: only stats, now and log can be called while events flow"],
            "of {call}"
        );
        assert_eq!(seen.len(), 0);
    }
    let script = "tb.create_map('f', function(e)\n  return tb.lgo('x')\nend)";
    let (mut simulation, _, errors) = simulated(script)?;
    simulation.inject("f", "1")?;
    assert_eq!(
        error(&errors.events()[0]),
        r#"net.lua:3: tributary has no function "lgo"; did you mean "log"?"#
    );
    Ok(())
}

#[test]
fn nodes_run_on_their_own_threads() -> Result<()> {
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    let script = "local tb = require('tributary')\nlocal add = 10\n\
                  tb.create_generator('numbers', function(emit, n) emit({ n = n }) return n < 500 end)\n\
                  tb.create_map('f', function(e) e.data.n = e.data.n + add return e end)\n\
                  tb.create_filter_fn('g', function(e) return e.data.n % 2 == 0 end)\n\
                  tb.chain('numbers', 'f', 'g', 'seen')";
    Runtime::new(&network)?.run_text("net.lua", script)?;
    network.start()?;
    network.wait()?;
    assert_eq!(network.stats().breaches(), [""; 0]);
    assert_eq!(seen.len(), 250);
    assert_eq!(seen.texts()[249], r#"{"n":510}"#);
    Ok(())
}
