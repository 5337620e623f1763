//! The kinds of nodes that are written in Lua, and what they do with wrong answers.

use crate::lua::functions::{error, out, simulated};
use crate::support::probe::{START, Seen};
use std::time::Duration;
use tributary::{ErrorKind, Network, Result, Runtime};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Events in, texts out of `f` and errors of `f`.
fn both(script: &str, payloads: &[&str]) -> Result<(Vec<String>, Vec<String>)> {
    let (mut simulation, seen, errors) = simulated(script)?;
    for payload in payloads {
        simulation.inject("f", *payload)?;
    }
    let stats = simulation.finish()?;
    assert_eq!(stats.breaches(), [""; 0]);
    let errors = errors.events().iter().map(error).collect();
    Ok((seen.texts(), errors))
}

#[test]
fn a_map_changes_passes_or_drops() -> Result<()> {
    let script = "local threshold = 100\n\
                  tb.create_map('f', function(e)\n\
                    if e.data.stake > threshold then e.data.big = true return e end\n\
                  end)";
    assert_eq!(
        out(script, &[r#"{"stake":101,"id":1}"#, r#"{"stake":100}"#])?,
        [r#"{"stake":101,"id":1,"big":true}"#]
    );
    let (mut simulation, _, _) = simulated(script)?;
    simulation.inject("f", r#"{"stake":1}"#)?;
    let stats = simulation.finish()?;
    let node = stats
        .nodes
        .iter()
        .find(|n| n.name.as_str() == "f")
        .expect("f is there");
    assert_eq!(format!("{:?}", node.dropped), r#"{"map": 1}"#);
    Ok(())
}

#[test]
fn what_is_only_read_passes_byte_for_byte() -> Result<()> {
    let odd = r#" { "b" : 1.50, "a" : [ ], "n" : null, "big":9007199254740993, "o":{} } "#;
    let look = "tb.create_map('f', function(e)\n\
                  assert(e.data.b == 1.5 and e.data.n == tb.null and #e.data.a == 0)\n\
                  assert(e.data.big == 9007199254740993 and e.payload and e.time == 1000.0)\n\
                  e.data.b = 1.5\n\
                  return e end)";
    assert_eq!(out(look, &[odd])?, [odd]);
    Ok(())
}

#[test]
fn a_change_keeps_order_null_and_empty_lists() -> Result<()> {
    let script = "tb.create_map('f', function(e) e.data.z = tb.array() e.data.b = nil\n\
                  e.data.new = { tb.null, tb.array(), {} } return e end)";
    assert_eq!(
        out(
            script,
            &[r#"{"c":null,"b":1,"a":[],"n":9007199254740993,"o":{},"d":1.0}"#]
        )?,
        [r#"{"c":null,"a":[],"n":9007199254740993,"o":{},"d":1.0,"new":[null,[],{}],"z":[]}"#]
    );
    // Row 28.
    let whole =
        "tb.create_map('f', function(e) return { n = e.data.n + 1, least = math.mininteger } end)";
    assert_eq!(
        out(whole, &[r#"{"n":9007199254740993}"#])?,
        [r#"{"least":-9223372036854775808,"n":9007199254740994}"#]
    );
    let minus = "tb.create_map('f', function(e) return { z = -0.0 } end)";
    assert_eq!(out(minus, &["1"])?, [r#"{"z":-0.0}"#]);
    Ok(())
}

#[test]
fn payload_time_and_meta_can_be_changed_too() -> Result<()> {
    let script = "tb.create_map('f', function(e)\n\
                    e.payload = e.payload .. '!' e.time = e.time + 0.5 e.meta.seen = { by = 'f' }\n\
                    return e end)";
    let (mut simulation, seen, _) = simulated(script)?;
    simulation.inject("f", "no json")?;
    let event = &seen.events()[0];
    assert_eq!(event.payload().text(), Some("no json!"));
    assert_eq!(event.time(), START.saturating_add(SECOND / 2));
    assert_eq!(
        event.meta().get("seen"),
        Some(&serde_json::json!({"by": "f"}))
    );
    Ok(())
}

#[test]
fn a_change_does_not_reach_another_branch() -> Result<()> {
    // Row 27.
    let network = Network::new();
    let (a, b) = (Seen::at(&network, "a")?, Seen::at(&network, "b")?);
    let script = "local tb = require('tributary')\ntb.create_forwarder('f')\n\
                  tb.create_map('m', function(e) e.data.list[1].n = 2 e.data.x = 1 return e end)\n\
                  tb.create_map('n', function(e) assert(e.data.list[1].n == 1) return e end)\n\
                  tb.fanout('f', 'm', 'n') tb.link('m', 'a') tb.link('n', 'b')";
    Runtime::new(&network)?.run_text("net.lua", script)?;
    let mut simulation = network.simulate(START)?;
    simulation.inject("f", r#"{"list":[{"n":1}]}"#)?;
    assert_eq!(a.texts(), [r#"{"list":[{"n":2}],"x":1}"#]);
    assert_eq!(b.texts(), [r#"{"list":[{"n":1}]}"#]);
    Ok(())
}

#[test]
fn a_filter_a_flat_map_and_a_route_emit_what_they_select() -> Result<()> {
    let filter = "tb.create_filter_fn('f', function(e) if e.data > 1 then return true end end)";
    assert_eq!(out(filter, &["1", "2", "3"])?, ["2", "3"]);
    let flat = "tb.create_flat_map('f', function(e, emit)\n\
                  for _, s in ipairs(e.data.list) do emit(s) end emit('bytes') emit(e)\n\
                  e.data.list = nil emit(e) end)";
    assert_eq!(
        out(flat, &[r#"{"list":[{"a":1},{"a":2}],"k":1}"#])?,
        [
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            "bytes",
            r#"{"list":[{"a":1},{"a":2}],"k":1}"#,
            r#"{"k":1}"#
        ]
    );
    let network = Network::new();
    let (low, even, rest) = (
        Seen::at(&network, "low")?,
        Seen::at(&network, "even")?,
        Seen::at(&network, "rest")?,
    );
    let script = "local tb = require('tributary')\ntb.create_route('f', {\n\
                    even = function(e) return e.data % 2 == 0 end,\n\
                    low = function(e) return e.data < 3 end })\n\
                  tb.link('f.low', 'low') tb.link('f.even', 'even') tb.link('f.unmatched', 'rest')";
    Runtime::new(&network)?.run_text("net.lua", script)?;
    let mut simulation = network.simulate(START)?;
    for n in ["1", "2", "3", "4"] {
        simulation.inject("f", n)?;
    }
    assert_eq!(low.texts(), ["1", "2"]);
    assert_eq!(even.texts(), ["2", "4"]);
    assert_eq!(rest.texts(), ["3"]);
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_wrong_answer_is_the_error_of_its_event() -> Result<()> {
    // Row 25.
    let place = "net.lua:2: ";
    let map = "the function must return an event, a table, a string or nil, and returned ";
    let filter = "the function must return a boolean or nil, and returned ";
    let answer = "the function's answer: ";
    for (call, wanted) in [
        (
            "map('f', function() return 1 end)",
            format!("{map}number 1"),
        ),
        (
            "map('f', function() return true end)",
            format!("{map}boolean"),
        ),
        (
            "map('f', function() return print end)",
            format!("{map}function"),
        ),
        (
            "map('f', function() return { f = print } end)",
            format!("{answer}a value of type function has no form in JSON"),
        ),
        (
            "map('f', function(e) return { x = 0/0 } end)",
            format!("{answer}the number NaN has no form in JSON"),
        ),
        (
            "map('f', function(e) return { x = 1e308 * 10 } end)",
            format!("{answer}the number inf has no form in JSON"),
        ),
        (
            // Row 29.
            "map('f', function(e) return { x = '\\xff' } end)",
            format!("{answer}a string that is not UTF-8 has no form in JSON"),
        ),
        (
            "map('f', function(e) return ('x'):rep(2 << 20) end)",
            format!("{answer}an event of 2097152 bytes, more than 1048576 (max_event_bytes)"),
        ),
        (
            "map('f', function(e) e.payload = 1 return e end)",
            format!("{answer}the payload of an event is a string, got number 1"),
        ),
        (
            "map('f', function(e) e.time = 'now' return e end)",
            format!("{answer}the time of an event is in seconds, got \"now\""),
        ),
        (
            "filter_fn('f', function() return 1 end)",
            format!("{filter}number 1"),
        ),
        (
            "route('f', { a = function() return 'x' end })",
            format!("{filter}\"x\""),
        ),
        (
            "flat_map('f', function() return {} end)",
            "the function must return nothing, since it emits, and returned table".to_owned(),
        ),
        (
            "flat_map('f', function(e, emit) emit(print) end)",
            "emit: an event, a table or a string expected, got function".to_owned(),
        ),
        (
            "map('f', function(e) return e.dta end)",
            "an event has no \"dta\"; did you mean \"data\"?".to_owned(),
        ),
        (
            "map('f', function(e) e.extra = 1 end)",
            "an event has no \"extra\"; it has payload, data, meta and time".to_owned(),
        ),
        (
            "process('f', { process = function() return 1 end })",
            "the function must return nothing or false, and returned number 1".to_owned(),
        ),
    ] {
        let (seen, errors) = both(&format!("tb.create_{call}"), &["{}"])?;
        assert_eq!(errors, [format!("{place}{wanted}")], "of {call}");
        assert_eq!(seen, [""; 0], "of {call}");
    }
    Ok(())
}

#[test]
fn one_bad_event_is_one_error_and_what_it_emitted_is_taken_back() -> Result<()> {
    // Row 26.
    let script = "local n = 0\ntb.create_flat_map('f', function(e, emit)\n  n = n + 1\n  emit(e)\n\
                  if n == 5 then error('the fifth') end\nend)";
    let payloads: Vec<String> = (1..=10).map(|n| n.to_string()).collect();
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    let (seen, errors) = both(script, &payloads)?;
    assert_eq!(seen, ["1", "2", "3", "4", "6", "7", "8", "9", "10"]);
    assert_eq!(errors, ["net.lua:6: the fifth"]);
    let (_, errors) = both(
        "tb.create_map('f', function(e)\n  return e.data.x.y\nend)",
        &["{}", "no json"],
    )?;
    assert_eq!(
        errors,
        [
            "net.lua:3: attempt to index a nil value (field 'x')",
            "net.lua:3: malformed JSON at byte 1: expected ident, near \"o json\""
        ]
    );
    Ok(())
}

#[test]
fn an_event_may_be_kept_and_emitted_later() -> Result<()> {
    let script = "local last\ntb.create_flat_map('f', function(e, emit)\n\
                  if last then emit(last) end last = e end)";
    let (mut simulation, seen, _) = simulated(script)?;
    for n in ["1", "2", "3"] {
        simulation.inject("f", n)?;
        simulation.advance(SECOND);
    }
    let seen: Vec<_> = seen
        .events()
        .iter()
        .map(|e| (e.payload().clone(), e.time()))
        .collect();
    assert_eq!(
        seen,
        [
            ("1".into(), START),
            ("2".into(), START.saturating_add(SECOND))
        ]
    );
    Ok(())
}

#[test]
fn a_process_has_a_state_timers_and_a_last_word() -> Result<()> {
    let script = "tb.create_process('f', {\n\
                    init = function() return { n = 0 } end,\n\
                    process = function(e, emit, state) state.n = state.n + 1 end,\n\
                    every = { ['5s'] = function(emit, state) emit({ n = state.n, at = tb.now() }) end },\n\
                    finish = function(emit, state) emit({ last = state.n }) end })";
    let (mut simulation, seen, _) = simulated(script)?;
    for _ in 0..3 {
        simulation.inject("f", "{}")?;
        simulation.advance(at(3));
    }
    assert_eq!(seen.texts(), [r#"{"at":1005.0,"n":2}"#]);
    simulation.advance(at(20));
    assert_eq!(seen.len(), 5);
    simulation.finish()?;
    assert_eq!(seen.texts()[5], r#"{"last":3}"#);
    Ok(())
}

#[test]
fn each_key_has_a_state_of_its_own_which_a_failed_call_leaves_as_it_was() -> Result<()> {
    let script = "tb.create_process('f', { key = 'who',\n\
                    init = function(who) return { who = who, list = {} } end,\n\
                    process = function(e, emit, state)\n\
                      table.insert(state.list, e.data.n)\n\
                      if e.data.n == 13 then error('unlucky') end\n\
                      emit({ who = state.who, n = #state.list })\n\
                      if e.data.n == 99 then return false end\n\
                    end,\n\
                    every = { ['1m'] = function(emit, state, who)\n\
                      if who == 'b' then error('not for b') end\n\
                      emit({ key = who, total = #state.list }) return false end } })";
    let (mut simulation, seen, errors) = simulated(script)?;
    for (who, n) in [("a", 1), ("b", 1), ("a", 13), ("a", 2), ("c", 99), ("c", 1)] {
        simulation.inject("f", serde_json::json!({"who": who, "n": n}))?;
    }
    simulation.inject("f", "{}")?;
    simulation.advance(at(61));
    assert_eq!(
        seen.texts(),
        [
            r#"{"n":1,"who":"a"}"#,
            r#"{"n":1,"who":"b"}"#,
            r#"{"n":2,"who":"a"}"#,
            r#"{"n":1,"who":"c"}"#,
            r#"{"n":1,"who":"c"}"#,
            r#"{"key":"a","total":2}"#,
            r#"{"key":"c","total":1}"#,
        ]
    );
    let told: Vec<String> = errors.events().iter().map(error).collect();
    assert_eq!(
        told,
        [
            "net.lua:6: unlucky",
            "no field \"who\" to take the key from",
            "net.lua:11: not for b"
        ]
    );
    assert_eq!(errors.texts()[2], r#"{"every":"1m","key":"b"}"#);
    // Those whose timer has returned `false` begin again.
    simulation.inject("f", serde_json::json!({"who": "a", "n": 5}))?;
    assert_eq!(seen.texts()[7], r#"{"n":1,"who":"a"}"#);
    Ok(())
}

#[test]
fn a_generator_emits_events_until_it_returns_false() -> Result<()> {
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    let script = "local tb = require('tributary')\n\
                  tb.create_generator('f', function(emit, n)\n\
                    if n == 2 then error('second') end\n\
                    emit({ n = n, at = tb.now() })\n\
                    return n < 4\n\
                  end, { every = '10s' })\n\
                  tb.link('f', 'seen') tb.create_discarder('d') tb.link('f.errors', 'd')";
    Runtime::new(&network)?.run_text("net.lua", script)?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(at(100));
    assert_eq!(
        seen.texts(),
        [
            r#"{"at":1010.0,"n":1}"#,
            r#"{"at":1030.0,"n":3}"#,
            r#"{"at":1040.0,"n":4}"#,
        ]
    );
    Ok(())
}

#[test]
fn a_handler_takes_each_event() -> Result<()> {
    let network = Network::new();
    let script = "local tb = require('tributary')\nlocal n = 0\n\
                  tb.create_handler('h', function(e) n = n + 1 assert(n < 3, 'enough') end)";
    Runtime::new(&network)?.run_text("net.lua", script)?;
    let rejected = Seen::at(&network, "rejected")?;
    network.link("h.errors", "rejected")?;
    let mut simulation = network.simulate(START)?;
    for n in ["1", "2", "3"] {
        simulation.inject("h", n)?;
    }
    assert_eq!(
        rejected.events().iter().map(error).collect::<Vec<_>>(),
        ["net.lua:3: enough"]
    );
    Ok(())
}

#[test]
fn wrong_arguments_are_refused_when_the_script_is_loaded() -> Result<()> {
    for (call, wanted) in [
        (
            "create_map('f', 1)",
            "bad argument #2 to create_map: function expected, got number 1",
        ),
        (
            "create_map('f')",
            "bad argument #2 to create_map: function expected, got nothing",
        ),
        (
            "create_map(print, print)",
            "bad argument #1 to create_map: string expected, got function",
        ),
        (
            "create_map('f', print, 1)",
            "too many arguments to create_map: 2 at most, got 3",
        ),
        (
            "create_route('f', {})",
            "create_route takes 1 to 62 routes, got 0",
        ),
        (
            "create_route('f', { a = 1 })",
            "route \"a\" of \"f\": function expected, got number 1",
        ),
        (
            "create_route('f', { print })",
            "a route has the name of a port, got number 1; write {port = function(event) ... end}",
        ),
        (
            "create_process('f', {})",
            "option process of create_process: function expected, got nil",
        ),
        (
            "create_process('f', { proces = print })",
            "create_process has no option \"proces\"; did you mean \"process\"?",
        ),
        (
            "create_process('f', { process = print, every = { ['5'] = print } })",
            "option every of create_process: bad duration \"5\": no unit; did you mean \"5s\"?",
        ),
        (
            "create_process('f', { process = print, key = 1 })",
            "option key of create_process: the name of a field or a list of names expected, got number 1",
        ),
    ] {
        let runtime = Runtime::new(&Network::new())?;
        let script = format!("require('tributary').{call}");
        let error = runtime.run_text("net.lua", script).expect_err(call);
        assert_eq!(
            error.to_string(),
            format!("net.lua:1: {wanted}"),
            "of {call}"
        );
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(runtime.network().nodes().is_empty());
    }
    Ok(())
}

#[test]
fn stats_and_log_work_while_events_flow() -> Result<()> {
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    let script = "local tb = require('tributary')\n\
                  tb.create_generator('g', function(emit, n) emit({ n = n }) return false end)\n\
                  tb.create_map('f', function(e)\n\
                    tb.log('debug', 'here')\n\
                    local stats = tb.stats()\n\
                    return { nodes = stats.nodes.f ~= nil and stats.nodes.g ~= nil }\n\
                  end)\n\
                  tb.chain('g', 'f', 'seen')";
    Runtime::new(&network)?.run_text("net.lua", script)?;
    network.start()?;
    network.wait()?;
    // While nodes start the network may be busy with itself.
    assert!(seen.len() <= 1);
    Ok(())
}

#[test]
fn an_error_in_a_node_never_has_an_empty_message() -> Result<()> {
    // Row 16, while events flow.
    for (raised, wanted) in [
        (
            "error()",
            "net.lua: the script raised an error with the value nil",
        ),
        (
            "error({})",
            "net.lua: the script raised an error that is no text",
        ),
        (
            "error('', 0)",
            "net.lua: the script raised an error with an empty message",
        ),
        ("error('\\27[31mred')", "net.lua:2: \\u{1b}[31mred"),
        (
            "local x = nil + 1",
            "net.lua:2: attempt to perform arithmetic on a nil value",
        ),
        (
            "string.rep()",
            "net.lua:2: bad argument #1 to 'rep' (string expected, got no value)",
        ),
        (
            "coroutine.wrap(function() error('in it') end)()",
            "net.lua:2: in it",
        ),
    ] {
        let (_, errors) = both(
            &format!("tb.create_map('f', function(e) {raised} end)"),
            &["1"],
        )?;
        assert_eq!(errors, [wanted], "of {raised}");
    }
    Ok(())
}
