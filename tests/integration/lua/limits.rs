//! What a script may use: memory, time, and nothing outside.

use crate::lua::functions::error;
use crate::support::probe::{START, Seen};
use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};
use tributary::script::ScriptLimits;
use tributary::{Database, ErrorKind, Network, Result, Runtime};

type Tested = std::result::Result<(), Box<dyn Error>>;

const SHORT: Duration = Duration::from_millis(100);

fn short() -> ScriptLimits {
    ScriptLimits::new()
        .memory(16 << 20)
        .call_time(SHORT)
        .load_time(SHORT)
        .allow_os(false)
}

/// Little memory, and time enough to fill it on a busy machine.
fn small() -> ScriptLimits {
    ScriptLimits::new().memory(16 << 20)
}

fn limited(network: &Network, limits: ScriptLimits) -> Result<Runtime> {
    Runtime::with_limits(network, &Database::open("sqlite::memory:")?, limits)
}

/// What a script is told that is loaded within short limits.
fn told(script: &str) -> Result<String> {
    told_within(short(), script)
}

fn told_within(limits: ScriptLimits, script: &str) -> Result<String> {
    let runtime = limited(&Network::new(), limits)?;
    let begun = Instant::now();
    let error = runtime.run_text("s.lua", script).expect_err(script);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{script} took {took:?}");
    assert_eq!(error.kind(), ErrorKind::Data);
    // The VM still works.
    runtime.run_text("good.lua", "assert(#('x'):rep(10) == 10)")?;
    Ok(error.to_string())
}

/// A node `f` that calls this with each event, and what was rejected of some.
fn rejected(function: &str, payloads: &[&str]) -> Result<Vec<String>> {
    rejected_within(short(), function, payloads)
}

fn rejected_within(limits: ScriptLimits, function: &str, payloads: &[&str]) -> Result<Vec<String>> {
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let script = format!(
        "local tb = require('tributary')\ntb.create_map('f', function(e)\n{function}\nend)\n\
         tb.link('f', 'seen') tb.link('f.errors', 'rejected')"
    );
    limited(&network, limits)?.run_text("s.lua", script)?;
    let mut simulation = network.simulate(START)?;
    for payload in payloads {
        simulation.inject("f", *payload)?;
    }
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    assert_eq!(seen.len() + errors.len(), payloads.len());
    Ok(errors.events().iter().map(error).collect())
}

/// Loops that try to get away.
const ENDLESS: [&str; 9] = [
    "while true do end",
    "pcall(function() while true do end end)",
    "while true do pcall(function() while true do end end) end",
    "xpcall(error, function() while true do end end)",
    "xpcall(function() while true do end end, function() while true do end end)",
    "coroutine.wrap(function() while true do end end)()",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "local co = coroutine.create(function() pcall(function() while true do end end) end) \
     while true do pcall(coroutine.resume, co) coroutine.close(co) end",
    "table.sort({ 3, 2, 1 }, function() while true do end end)",
];

#[test]
fn an_endless_loop_is_ended_wherever_it_hides_while_a_script_is_loaded() -> Result<()> {
    // Row 17 and 18.
    for script in ENDLESS {
        let told = told(&format!("\n{script}"))?;
        assert_eq!(
            told, "s.lua:2: load time budget 100ms exceeded",
            "of {script}"
        );
    }
    Ok(())
}

#[test]
fn an_endless_loop_costs_its_event_and_not_the_node() -> Result<()> {
    for function in ENDLESS {
        let function = format!("if e.data == 1 then {function} end return e");
        let told = rejected(&function, &["0", "1", "2"])?;
        assert_eq!(
            told,
            ["s.lua:3: call time budget 100ms exceeded"],
            "of {function}"
        );
    }
    Ok(())
}

#[test]
fn what_runs_beyond_the_reach_of_time_is_refused() -> Result<()> {
    for name in ["__gc", "__close"] {
        let meta = format!("setmetatable({{}}, {{ {name} = function() while true do end end }})");
        let wanted = format!("a metatable with {name} is not allowed in a script");
        assert_eq!(told(&meta)?, format!("s.lua:1: {wanted}"));
        assert_eq!(rejected(&meta, &["1"])?, [format!("s.lua:3: {wanted}")]);
    }
    // Added later it has no effect, or ends like any loop.
    let late = "local m = {} local t = setmetatable({}, m) m.__gc = function() while true do end end \
                t = nil collectgarbage()";
    limited(&Network::new(), short())?.run_text("s.lua", late)?;
    let close = "local m = {} local t = setmetatable({}, m) m.__close = function() while true do end end\n\
                 do local x <close> = t end";
    assert_eq!(told(close)?, "s.lua:1: load time budget 100ms exceeded");
    let in_coroutine = "local m = {} local t = setmetatable({}, m) m.__close = function() while true do end end\n\
                        local co = coroutine.create(function() local x <close> = t coroutine.yield() end)\n\
                        coroutine.resume(co) coroutine.close(co)";
    assert_eq!(
        told(in_coroutine)?,
        "s.lua:1: load time budget 100ms exceeded"
    );
    Ok(())
}

#[test]
fn memory_is_bounded_and_the_line_is_named() -> Result<()> {
    // Row 19.
    for (script, wanted) in [
        (
            "local s = string.rep('x', 1e10)",
            "s.lua:2: resulting string too large",
        ),
        (
            "local s = string.rep('x', 1e9)",
            "s.lua:2: memory limit of 16 MiB exceeded",
        ),
        (
            "local t = {} for i = 1, 1e9 do t[i] = {} end",
            "s.lua:2: memory limit of 16 MiB exceeded",
        ),
        (
            "local t = {} while true do t = { t } end",
            "s.lua:2: memory limit of 16 MiB exceeded",
        ),
        (
            "local function f() return 1 + f() end f()",
            // The stack fills it first.
            "s.lua:2: memory limit of 16 MiB exceeded",
        ),
        (
            "local s = 'x' while true do s = s .. s end",
            "s.lua: memory limit of 16 MiB exceeded",
        ),
    ] {
        let told = told_within(small(), &format!("\n{script}"))?;
        assert!(told.starts_with(wanted), "{told} of {script}");
        let told = rejected_within(small(), script, &["1"])?.remove(0);
        let wanted = wanted.replace("lua:2", "lua:3");
        assert!(told.starts_with(&wanted), "{told} of {script}");
    }
    let deep = "\nlocal function f() return 1 + f() end f()";
    let error = Runtime::new(&Network::new())?.run_text("s.lua", deep);
    let told = error.expect_err("too deep").to_string();
    assert!(told.starts_with("s.lua:2: stack overflow"), "{told}");
    Ok(())
}

#[test]
fn a_node_runs_again_after_its_memory_was_exhausted() -> Result<()> {
    let function = "if e.data == 1 then local t = {} for i = 1, 1e9 do t[i] = {} end end return e";
    let told = rejected_within(small(), function, &["0", "1", "2", "1", "3"])?;
    assert_eq!(told.len(), 2, "{told:?}");
    // What it keeps fills the VM, which is replaced then.
    let hoard = "kept = kept or {}\nif e.data == 1 then while true do kept[#kept + 1] = {} end end return e";
    let told = rejected_within(small(), hoard, &["0", "1", "2", "1", "3"])?;
    assert_eq!(told.len(), 2, "{told:?}");
    Ok(())
}

#[test]
fn a_vm_that_is_replaced_keeps_the_states_of_its_keys() -> Result<()> {
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let script = "local tb = require('tributary')\nlocal hoard = {}\n\
                  tb.create_process('f', { key = 'k', init = function() return { n = 0 } end,\n\
                    process = function(e, emit, state)\n\
                      state.n = state.n + 1\n\
                      while e.data.all do hoard[#hoard + 1] = {} end\n\
                      emit({ k = e.data.k, n = state.n, hoard = #hoard })\n\
                    end })\n\
                  tb.link('f', 'seen') tb.link('f.errors', 'rejected')";
    limited(&network, small())?.run_text("s.lua", script)?;
    let mut simulation = network.simulate(START)?;
    for payload in [
        r#"{"k":"a"}"#,
        r#"{"k":"b"}"#,
        r#"{"k":"a","all":true}"#,
        r#"{"k":"a"}"#,
        r#"{"k":"b"}"#,
    ] {
        simulation.inject("f", payload)?;
    }
    assert_eq!(
        seen.texts(),
        [
            r#"{"hoard":0,"k":"a","n":1}"#,
            r#"{"hoard":0,"k":"b","n":1}"#,
            r#"{"hoard":0,"k":"a","n":2}"#,
            r#"{"hoard":0,"k":"b","n":2}"#,
        ]
    );
    assert_eq!(errors.len(), 1);
    Ok(())
}

#[test]
fn what_the_library_does_in_one_go_is_bounded() -> Result<()> {
    for (script, wanted) in [
        (
            "table.move({}, 1, 1 << 60, 2)",
            "table.move of more than 10000000 places",
        ),
        (
            "table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 1)",
            "table.insert of a table whose length is given as 1152921504606846976",
        ),
        (
            "table.remove(setmetatable({}, { __len = function() return 1 << 60 end }), 1)",
            "table.remove of a table whose length is given as 1152921504606846976",
        ),
        (
            "table.insert()",
            "bad argument #1 to 'insert' (table expected, got no value)",
        ),
        (
            "table.insert({}, 5, 1)",
            "bad argument #2 to 'insert' (position out of bounds)",
        ),
        (
            "local s = ('x'):rep(4 << 20) string.format('%.1s%.1s%.1s%.1s%.1s', s, s, s, s, s)",
            "string.format of texts of more than 16 MiB",
        ),
        (
            "local s = ('x'):rep(4 << 20) print(s, s, s, s, s)",
            "memory limit of 16 MiB exceeded",
        ),
    ] {
        let raised = told_within(small(), script)?;
        assert_eq!(raised, format!("s.lua:1: {wanted}"), "of {script}");
    }
    Ok(())
}

#[test]
fn what_one_call_emits_is_bounded_and_gone_where_its_answer_is_refused() -> Result<()> {
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let script = "local tb = require('tributary')
tb.create_flat_map('f', function(e, emit)\n\
                  while e.data == 1 do emit('x') end emit('y')\n\
                  if e.data == 2 then return 'wrong' end end)\n\
                  tb.link('f', 'seen') tb.link('f.errors', 'rejected')";
    let limits = ScriptLimits::new()
        .memory(4 << 20)
        .call_time(Duration::from_secs(120));
    limited(&network, limits)?.run_text("s.lua", script)?;
    let mut simulation = network.simulate(START)?;
    for payload in ["1", "2", "3"] {
        simulation.inject("f", payload)?;
    }
    assert_eq!(seen.texts(), ["y"]);
    assert_eq!(
        errors.events().iter().map(error).collect::<Vec<_>>(),
        [
            "s.lua:3: emit: one call emits more than 4 MiB",
            "s.lua:2: the function must return nothing, since it emits, and returned \"wrong\"",
        ]
    );
    Ok(())
}

#[test]
fn binary_chunks_are_not_run() -> Result<()> {
    // Row 21.
    let refused = "binary chunks are not allowed";
    for script in [
        "assert(load(string.dump(function() end)))",
        "assert(load(string.dump(function() end), 'x', 'bt'))",
        "local d, n = string.dump(function() end), 0 \
         assert(load(function() n = n + 1 return d:sub(n, n) end))",
    ] {
        assert_eq!(told(script)?, format!("s.lua:1: {refused}"), "of {script}");
    }
    assert!(told("\u{1b}Lua")?.contains(refused));
    Ok(())
}

#[test]
fn the_system_is_out_of_reach_unless_it_is_allowed() -> Tested {
    // Row 24.
    for call in [
        "os.execute",
        "os.getenv",
        "io.open",
        "io.popen",
        "debug.getregistry",
        "debug.getupvalue",
        "package.loadlib",
        "dofile",
        "loadfile",
    ] {
        let wanted = format!("{call} is not available to this script");
        assert_eq!(told(&format!("{call}('x')"))?, format!("s.lua:1: {wanted}"));
        assert_eq!(
            rejected(&format!("{call}('x')"), &["1"])?,
            [format!("s.lua:3: {wanted}")]
        );
    }
    assert_eq!(
        told("require 'socket'")?,
        "s.lua:1: no module \"socket\": there is \"tributary\""
    );
    let network = Network::new();
    let (seen, limits) = (Seen::at(&network, "seen")?, short().allow_os(true));
    let script = "local tb = require('tributary') assert(os.time() > 0 and io.write)\n\
                  tb.create_map('f', function(e) return { time = os.time() > 0 } end) tb.link('f', 'seen')";
    limited(&network, limits)?.run_text("s.lua", script)?;
    network.simulate(START)?.inject("f", "1")?;
    assert_eq!(seen.texts(), [r#"{"time":true}"#]);
    Ok(())
}

#[test]
fn require_loads_files_of_the_scripts_own_directory() -> Tested {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("lib"))?;
    fs::write(
        path("lib/rules.lua"),
        "loads = (loads or 0) + 1\nlocal M = { limit = 3 }\n\
         function M.big(n) return n > M.limit end\nfunction M.bad() error('bad rule') end\nreturn M",
    )?;
    fs::write(path("again.lua"), "return require('lib.rules')")?;
    fs::write(path("ring.lua"), "return require('ring')")?;
    fs::write(path("wrong.lua"), "\nlocal x = = 1")?;
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let runtime = Runtime::new(&network)?;
    fs::write(
        path("net.lua"),
        "local tb, rules = require('tributary'), require('lib.rules')\n\
         assert(rules == require('again') and loads == 1)\n\
         tb.create_filter_fn('f', function(e) if e.data == 9 then rules.bad() end return rules.big(e.data) end)\n\
         tb.link('f', 'seen') tb.link('f.errors', 'rejected')",
    )?;
    runtime.run(path("net.lua"))?;
    let shown = |name: &str| path(name).display().to_string();
    for (script, wanted) in [
        (
            "require('ring')",
            format!("{}:1: module \"ring\" requires itself", shown("ring.lua")),
        ),
        (
            "require('wrong')",
            format!(
                "{}:2:11: unexpected symbol near '=', in the line: local x = = 1",
                shown("wrong.lua")
            ),
        ),
        (
            "require('none')",
            format!(
                "{}:1: no module \"none\": there is no file \"{}\"",
                shown("s.lua"),
                shown("none.lua")
            ),
        ),
        (
            "require('../elsewhere')",
            format!(
                "{}:1: bad name of a module \"../elsewhere\"; a module is a file in the script's own \
                 directory: require(\"lib.rules\") loads lib/rules.lua",
                shown("s.lua")
            ),
        ),
        (
            "require('lib.rules').bad()",
            format!("{}:4: bad rule", shown("lib/rules.lua")),
        ),
    ] {
        fs::write(path("s.lua"), script)?;
        let error = runtime.run(path("s.lua")).expect_err(script);
        assert_eq!(error.to_string(), wanted);
    }
    let mut simulation = network.simulate(START)?;
    for n in ["3", "4", "9"] {
        simulation.inject("f", n)?;
    }
    assert_eq!(seen.texts(), ["4"]);
    let told: Vec<String> = errors.events().iter().map(error).collect();
    assert_eq!(told, [format!("{}:4: bad rule", shown("lib/rules.lua"))]);
    Ok(())
}

#[test]
fn limits_in_which_nothing_fits_are_refused() -> Result<()> {
    for (limits, wanted) in [
        (
            short().memory(1 << 10),
            "bad memory limit of scripts: 1 KiB, less than 4 MiB",
        ),
        (
            short().call_time(Duration::ZERO),
            "bad time limit of scripts: it must be more than zero",
        ),
    ] {
        let error = limited(&Network::new(), limits).expect_err("refused");
        assert_eq!(error.to_string(), wanted);
    }
    Ok(())
}

#[test]
fn a_table_that_stands_in_many_places_is_bounded_while_it_becomes_json() -> Result<()> {
    // As JSON it would be 16 GB.
    let table = "local t = { ('x'):rep(1e6) } for _ = 1, 14 do t = { t, t } end ";
    let wanted = "more than 1048576 bytes as JSON (max_event_bytes)";
    for (function, within) in [
        ("return t", "the function's answer: "),
        ("e.data = t return e", "the function's answer: "),
        ("e.meta.x = t return e", "the function's answer: "),
    ] {
        let function = format!("if e.data == 1 then {table}{function} end return e");
        let begun = Instant::now();
        let told = rejected_within(ScriptLimits::default(), &function, &["0", "1", "2"])?;
        assert!(begun.elapsed() < Duration::from_secs(10), "{function}");
        assert_eq!(
            told,
            [format!("s.lua:2: {within}{wanted}")],
            "of {function}"
        );
    }
    let network = Network::new();
    let errors = Seen::at(&network, "rejected")?;
    let script = format!(
        "local tb = require('tributary')\ntb.create_flat_map('f', function(e, emit)\n\
         {table}emit(t) end)\ntb.link('f.errors', 'rejected')"
    );
    limited(&network, ScriptLimits::default())?.run_text("s.lua", script)?;
    network.simulate(START)?.inject("f", "1")?;
    let told: Vec<String> = errors.events().iter().map(error).collect();
    assert_eq!(told, [format!("s.lua:3: emit: {wanted}")]);
    Ok(())
}

#[test]
fn an_event_has_the_size_of_its_text() -> Result<()> {
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let script = "local tb = require('tributary')
        tb.create_map('f', function(e)
            local list = {}
            for i = 1, e.data do list[i] = 1 end
            return list
        end)
        tb.link('f', 'seen') tb.link('f.errors', 'rejected')";
    limited(&network, ScriptLimits::default())?.run_text("s.lua", script)?;
    let mut simulation = network.simulate(START)?;
    // Each takes two bytes: 1 MiB, and one more.
    for count in ["524287", "524288"] {
        simulation.inject("f", count)?;
    }
    assert_eq!(seen.events()[0].payload().size(), (1 << 20) - 1);
    assert_eq!(seen.events()[0].payload().bytes().len(), (1 << 20) - 1);
    assert_eq!((seen.len(), errors.len()), (1, 1));
    Ok(())
}

#[test]
fn what_a_network_allows_its_events_lua_may_make() -> Result<()> {
    let network = Network::new();
    network.set_max_event_bytes(3 << 20);
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let script = "local tb = require('tributary')
        tb.create_map('f', function(e) return { ('x'):rep(e.data << 20) } end)
        tb.link('f', 'seen') tb.link('f.errors', 'rejected')";
    limited(&network, ScriptLimits::default())?.run_text("s.lua", script)?;
    let mut simulation = network.simulate(START)?;
    for size in ["2", "4"] {
        simulation.inject("f", size)?;
    }
    assert_eq!((seen.len(), errors.len()), (1, 1));
    Ok(())
}

#[test]
fn an_object_of_many_fields_is_changed_in_time_that_grows_with_it() -> Result<()> {
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    let script = "local tb = require('tributary')
        tb.create_map('f', function(e) e.data.x = 1 e.data.f7 = nil return e end)
        tb.link('f', 'seen')";
    let limits = ScriptLimits::new().call_time(Duration::from_secs(20));
    limited(&network, limits)?.run_text("s.lua", script)?;
    let fields: Vec<String> = (0..60_000).map(|n| format!("\"f{n}\":{n}")).collect();
    let begun = Instant::now();
    let mut simulation = network.simulate(START)?;
    simulation.inject("f", format!("{{{}}}", fields.join(",")).as_str())?;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    let text = &seen.texts()[0];
    assert!(
        text.starts_with("{\"f0\":0,\"f1\":1,"),
        "in the order that it had"
    );
    assert!(
        text.ends_with("\"f59999\":59999,\"x\":1}"),
        "and what is new at the end"
    );
    assert!(!text.contains("\"f7\":"));
    Ok(())
}

/// More than the stack of Lua holds.
const MANY: usize = 1_010_000;

#[test]
fn a_function_may_capture_more_tables_than_the_stack_of_lua_holds() -> Result<()> {
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    let limits = ScriptLimits::new()
        .call_time(Duration::from_secs(60))
        .load_time(Duration::from_secs(60))
        .memory(1 << 30);
    let script = format!(
        "local tb = require('tributary')
        local text, many = ('x'):rep(1000), {{}}
        for i = 1, {MANY} do many[i] = {{ text }} end
        tb.create_map('f', function(e) return {{ #many, #many[#many][1] }} end)
        tb.link('f', 'seen')"
    );
    limited(&network, limits)?.run_text("s.lua", script)?;
    network.simulate(START)?.inject("f", "1")?;
    assert_eq!(seen.texts(), [format!("[{MANY},1000]")]);
    Ok(())
}

#[test]
fn many_states_are_kept_when_a_vm_is_replaced() -> Result<()> {
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let limits = ScriptLimits::new()
        .call_time(Duration::from_secs(120))
        .memory(350 << 20);
    let script = format!(
        "local tb = require('tributary')
        local hoard = {{}}
        tb.create_process('f', {{ key = 'k',
            process = function(e, emit, state)
                if e.data.fill then for i = 1, {MANY} do state[i] = {{}} end end
                while e.data.all do hoard[#hoard + 1] = {{}} end
                emit({{ n = #state, hoard = #hoard }})
            end }})
        tb.link('f', 'seen') tb.link('f.errors', 'rejected')"
    );
    limited(&network, limits)?.run_text("s.lua", script)?;
    let mut simulation = network.simulate(START)?;
    for payload in [
        r#"{"k":"a","fill":true}"#,
        r#"{"k":"b","all":true}"#,
        r#"{"k":"b"}"#,
        r#"{"k":"a"}"#,
    ] {
        simulation.inject("f", payload)?;
    }
    let told: Vec<String> = errors.events().iter().map(error).collect();
    assert_eq!(told, ["s.lua:6: memory limit of 350 MiB exceeded"]);
    let counted = format!(r#"{{"hoard":0,"n":{MANY}}}"#);
    assert_eq!(seen.texts(), [&*counted, r#"{"hoard":0,"n":0}"#, &counted]);
    Ok(())
}

#[test]
fn a_state_that_does_not_fit_costs_its_event_and_nothing_else() -> Result<()> {
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let script = "local tb = require('tributary')
        tb.create_process('f', { key = 'k',
            process = function(e, emit, state)
                state.n = (state.n or 0) + 1
                for i = 1, e.data.fill or 0 do state[i] = { i } end
                emit({ k = e.data.k, n = state.n, size = #state })
            end })
        tb.link('f', 'seen') tb.link('f.errors', 'rejected')";
    limited(&network, small())?.run_text("s.lua", script)?;
    let mut simulation = network.simulate(START)?;
    for payload in [
        r#"{"k":"a","fill":60000}"#,
        r#"{"k":"b","fill":1000000}"#,
        r#"{"k":"b","fill":1000000}"#,
        r#"{"k":"c","fill":1}"#,
        r#"{"k":"b","fill":2}"#,
    ] {
        simulation.inject("f", payload)?;
    }
    assert_eq!(errors.len(), 2, "{:?}", errors.texts());
    assert_eq!(
        seen.texts(),
        [
            r#"{"k":"a","n":1,"size":60000}"#,
            r#"{"k":"c","n":1,"size":1}"#,
            r#"{"k":"b","n":1,"size":2}"#,
        ]
    );
    Ok(())
}
