//! Hostile functions through the binary: each costs its event, within twice its time and with bounded
//! memory; a second node answers within 100 ms meanwhile, and the process stops in time. The places that
//! take a function follow from the annotations of the module: one that is not under test here is a failure.

use crate::support::binary::{Done, Running, Signal, Site, functions};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{Duration, Instant};
use tributary::script::ScriptLimits;
use tributary::{Database, Network, Runtime};

type Tested = std::result::Result<(), Box<dyn Error>>;

/// What one call, or one instruction, does by itself.
const MECHANISMS: &[(&str, &str)] = &[
    ("an empty text repeated", "string.rep('', 1 << 62)"),
    (
        "a text too long",
        "while true do pcall(string.rep, 'x', 250e6) end",
    ),
    (
        "places far away",
        "while true do pcall(table.move, {}, 1, 1 << 60, 2) end",
    ),
    (
        "places one by one",
        "while true do table.move({}, 1, 9999999, 2) end",
    ),
    ("a proxy joined", "table.concat(proxy)"),
    ("a proxy of the library joined", "table.concat(sham)"),
    (
        "a proxy inserted into",
        "while true do pcall(table.insert, proxy, 1, 1) end",
    ),
    (
        "a proxy removed from",
        "while true do pcall(table.remove, sham, 1) end",
    ),
    (
        "a proxy sorted",
        "while true do pcall(table.sort, sham) end",
    ),
    (
        "a proxy unpacked",
        "while true do pcall(table.unpack, sham, 1, 900000) end",
    ),
    (
        "long texts sorted",
        "local t = {} for i = 1, 2000 do t[i] = long end while true do table.sort(t) end",
    ),
    ("a long text in UTF-8", "while true do utf8.len(long) end"),
    (
        "a long format packed",
        "while true do pcall(string.pack, (' '):rep(5e5) .. 'x', 1) end",
    ),
    (
        "a long format read",
        "local f = ('x'):rep(1e6) while true do string.packsize(f) pcall(string.unpack, f, long) end",
    ),
    (
        "a text cut many times",
        "local t = {} for i = 1, 2000 do t[i] = long end local f = ('%.1s'):rep(2000) while true do pcall(string.format, f, table.unpack(t)) end",
    ),
    (
        "a name cut many times",
        "local t, v = {}, setmetatable({}, { __name = long }) for i = 1, 2000 do t[i] = v end local f = ('%.1s'):rep(2000) while true do pcall(string.format, f, table.unpack(t)) end",
    ),
    ("a long number", "while true do tonumber(ones, 2) end"),
    (
        "long texts compared",
        "local a, b = long .. 'a', long .. 'b' while true do local _ = a == b, a < b end",
    ),
    (
        "long texts joined",
        "while true do local _ = long .. 'x' end",
    ),
    (
        "a text doubled and compared",
        "local s = 'x' for _ = 1, 25 do s = s .. s end local a, b = s .. 'a', s .. 'b' while true do local _ = a < b end",
    ),
    ("the collector called", "while true do collectgarbage() end"),
    (
        "a text loaded",
        "while true do load(('x = 1 '):rep(4e4)) end",
    ),
    (
        "a loop in a reader",
        "while true do load(function() while true do end end) end",
    ),
    (
        "a loop under pcall",
        "while true do pcall(function() while true do end end) end",
    ),
    (
        "a loop in a handler",
        "while true do xpcall(error, function() while true do end end) end",
    ),
    (
        "coroutines in coroutines",
        "local function f(n) if n > 0 then for _ = 1, 100 do coroutine.wrap(f)(n - 1) end end end f(30)",
    ),
    (
        "a pattern",
        "while true do pcall(string.find, long, '(.-)(.-)(.-)%3b$') end",
    ),
    (
        "a trim",
        "for _ = 1, 1e9 do local _ = (' '):rep(1e6):gsub('^%s*(.-)%s*x$', '') end",
    ),
    (
        "a finaliser set later",
        "getmetatable(setmetatable({}, {})).__gc = 1 getmetatable(e.data).__gc = 1 while true do end",
    ),
    (
        "an event read again and again",
        "while true do e.data = nil local _ = e.data end",
    ),
    (
        "memory filled again and again",
        "while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end",
    ),
];

/// The names of the functions that `tb` has, each with the parts of its arguments that are functions. They
/// follow from the annotations, which another test compares with what the functions take.
fn places() -> BTreeSet<String> {
    const META: &str = include_str!("../../../lua/meta/tributary.lua");
    let mut classes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut class = "";
    for line in META.lines() {
        if let Some(head) = line.strip_prefix("---@class ") {
            class = head.split(':').next().unwrap_or(head);
        } else if let Some(field) = line.strip_prefix("---@field ")
            && field.contains("fun(")
        {
            let name = field.split(['?', ' ']).next().unwrap_or(field);
            classes.entry(class).or_default().push(name);
        }
    }
    let mut found = BTreeSet::new();
    let mut given: Vec<&str> = Vec::new();
    for line in META.lines() {
        if let Some(parameter) = line.strip_prefix("---@param ") {
            given.push(parameter);
        } else if let Some(rest) = line.strip_prefix("function tb.") {
            let name = rest.split('(').next().unwrap_or(rest);
            for parameter in given.drain(..) {
                let (argument, kind) = parameter.split_once(' ').unwrap_or((parameter, ""));
                if kind.contains("fun(") {
                    found.insert(format!("{name} {}", argument.trim_end_matches('?')));
                }
                for (_, fields) in classes
                    .iter()
                    .filter(|(class, _)| kind.starts_with(**class))
                {
                    found.extend(fields.iter().map(|field| format!("{name} {field}")));
                }
            }
        }
    }
    found
}

/// A node `f` for each place, where `WHAT` is done about the event, key or call that is hostile.
const PLACES: &[(&str, &str)] = &[
    (
        "create_map f",
        "tb.create_map('f', function(e) if e.data.k == 'bad' then WHAT end return e end) tb.link('in', 'f')",
    ),
    (
        "create_filter_fn f",
        "tb.create_filter_fn('f', function(e) if e.data.k == 'bad' then WHAT end return true end) tb.link('in', 'f')",
    ),
    (
        "create_flat_map f",
        "tb.create_flat_map('f', function(e, emit) if e.data.k == 'bad' then WHAT end emit(e) end) tb.link('in', 'f')",
    ),
    (
        "create_route routes",
        "tb.create_route('f', { a = function(e) if e.data.k == 'bad' then WHAT end return true end }) tb.link('in', 'f')",
    ),
    (
        "create_process process",
        "tb.create_process('f', { process = function(e, emit) if e.data.k == 'bad' then WHAT end emit(e) end }) tb.link('in', 'f')",
    ),
    (
        "create_process process",
        "tb.create_process('f', { key = 'k', process = function(e, emit) if e.data.k == 'bad' then WHAT end emit(e) end }) tb.link('in', 'f')",
    ),
    (
        "create_process init",
        "tb.create_process('f', { key = 'k', init = function(key) if key == 'bad' then WHAT end return {} end, process = function() end }) tb.link('in', 'f')",
    ),
    (
        "create_process every",
        "tb.create_process('f', { key = 'k', process = function() end, every = { ['20ms'] = function(emit, state, key) if key == 'bad' then WHAT end end } }) tb.link('in', 'f')",
    ),
    (
        "create_process finish",
        "tb.create_process('f', { key = 'k', process = function() end, finish = function(emit, state, key) if key == 'bad' then WHAT end end }) tb.link('in', 'f')",
    ),
    (
        "create_handler f",
        "tb.create_handler('f', function(e) if e.data.k == 'bad' then WHAT end end) tb.link('in', 'f')",
    ),
    (
        "create_generator f",
        "tb.create_generator('f', function(emit, count) if count > 1 then WHAT end end)",
    ),
    (
        "create_generator f",
        "tb.create_generator('f', function(emit, count) if count > 1 then WHAT end end, { every = '20ms' })",
    ),
];

/// Of `tests/…_test.lua`, which no network runs.
const IN_TESTS: &str = "test f";

/// What scripts have at hand.
const BEGIN: &str = "local tb = require('tributary')
local long = ('x'):rep(8 << 20)
local ones = ('1'):rep(8 << 20)
local proxy = setmetatable({}, { __len = function() return 1 << 62 end, __index = function() return 'x' end })
local sham = setmetatable({}, { __len = function() return 9000000 end, __index = type, __newindex = rawequal })
";

fn net(place: &str, what: &str) -> String {
    let node = place.replace("WHAT", what);
    format!(
        "{BEGIN}tb.create_stdin('in') tb.create_stdout('out')
{node}
tb.create_map('g', function(e) return e end)
tb.link('in', 'g') tb.link('g', 'out')
"
    )
}

/// A bound on the memory of a process.
const BOUND: &str = "ulimit -v 3000000";

/// How long one call may take here.
const CALL: Duration = Duration::from_millis(300);

/// How long the second node may take to answer.
const ANSWER: Duration = Duration::from_millis(100);

/// A process that stands still for a while does so for each hostile event; a machine with other work does
/// so now and then. So one of so many hostile events has no late answer beside it.
const ATTEMPTS: usize = 4;

/// Runs hostile events between others that are not, and stops.
fn survive(name: &str, net: &str) -> Tested {
    let site = Site::with(&[("net.lua", net)])?;
    let args = ["run", "net.lua", "--lua-call-time", "300ms"];
    let mut running = Running::of(site.command_after(BOUND, &args))?;
    let mut answered = |payload: &str| -> std::result::Result<Duration, Box<dyn Error>> {
        let begun = Instant::now();
        let answer = running.ask(payload);
        assert_eq!(answer.map_err(|error| format!("{name}: {error}"))?, payload);
        Ok(begun.elapsed())
    };
    answered(r#"{"k":"good"}"#)?;
    let mut latest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        let begun = Instant::now();
        let mut worst = answered(r#"{"k":"bad"}"#)?;
        // As long as `f` may be busy, and a little longer.
        while begun.elapsed() < CALL * 2 {
            worst = worst.max(answered(r#"{"k":"next"}"#)?);
            // One question after the other, with a pause between them.
            std::thread::sleep(Duration::from_millis(20));
        }
        latest = latest.min(worst);
        if latest <= ANSWER {
            break;
        }
    }
    assert!(latest <= ANSWER, "{name}: an answer took {latest:?}");
    let begun = Instant::now();
    running.signal(Signal::TERM)?;
    drop(running.stdin.take());
    let done = running.wait()?;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{name}: {}", done.stderr);
    for wrong in ["did not end", "panic"] {
        assert!(!done.stderr.contains(wrong), "{name}: {}", done.stderr);
    }
    Ok(())
}

#[test]
fn what_the_library_does_by_itself_costs_its_event_and_nothing_else() -> Tested {
    for (name, what) in MECHANISMS {
        survive(name, &net(PLACES[0].1, what))?;
    }
    Ok(())
}

/// What is tried in each place.
const IN_EACH: [&str; 4] = [
    "an empty text repeated",
    "a text loaded",
    "a loop in a reader",
    "memory filled again and again",
];

fn mechanism(name: &str) -> std::result::Result<&'static str, Box<dyn Error>> {
    let found = MECHANISMS.iter().find(|(known, _)| *known == name);
    Ok(found.ok_or_else(|| format!("no {name}"))?.1)
}

#[test]
fn every_place_that_takes_a_function_is_under_test() {
    let mut tested: BTreeSet<String> = PLACES.iter().map(|(name, _)| (*name).to_owned()).collect();
    tested.insert(IN_TESTS.to_owned());
    assert_eq!(places(), tested);
    for function in functions(&[]).expect("the list of functions") {
        if function.arguments.contains("function") {
            let begin = format!("{} ", function.name);
            assert!(
                tested.iter().any(|place| place.starts_with(&begin)),
                "{begin}"
            );
        }
    }
}

#[test]
fn every_place_that_takes_a_function_survives_a_hostile_one() -> Tested {
    for (name, place) in PLACES {
        for tried in IN_EACH {
            survive(&format!("{name}: {tried}"), &net(place, mechanism(tried)?))?;
        }
    }
    Ok(())
}

/// What a function can have captured that is hostile when it moves, and what must be in the error, if there
/// must be one.
const CAPTURED: &[(&str, &str)] = &[
    (
        "local t = {} for i = 1, 1e9 do t[i] = { i } end local function hold() return t end",
        "memory limit of 32 MiB exceeded",
    ),
    (
        "local t = {} for i = 1, 220000 do t[i] = { i } end local function hold() return t end",
        "would have to move",
    ),
    (
        "local t = {} t[1], t[t] = t, t setmetatable(t, t) t.__index = t local function hold() return t, hold end",
        "",
    ),
    (
        "local t = ('x'):rep(300000) for i = 1, 14 do t = { t, t } end local function hold() return t end",
        "",
    ),
    (
        "local t = setmetatable({}, { __index = proxy, __pairs = proxy, __len = proxy, __metatable = proxy }) local function hold() return t, proxy, sham end",
        "",
    ),
];

#[test]
fn every_place_refuses_or_takes_what_is_hostile_when_a_script_is_loaded() -> Tested {
    let begin = BEGIN.replace("8 << 20", "1 << 20");
    for (name, place) in PLACES {
        for (captured, wanted) in CAPTURED {
            let node = place.replace("WHAT", "hold()");
            let net = format!("{begin}{captured}\ntb.create_stdin('in')\n{node}\n");
            let site = Site::with(&[("net.lua", &net)])?;
            let begun = Instant::now();
            let done = Done::fed(
                site.command_after(BOUND, &["check", "net.lua", "--lua-memory", "32MiB"]),
                "",
            )?;
            let took = begun.elapsed();
            assert!(
                took < Duration::from_secs(10),
                "{name}: {captured} took {took:?}"
            );
            let code = if wanted.is_empty() { 0 } else { 65 };
            assert_eq!(done.code, Some(code), "{name}: {captured}: {}", done.stderr);
            assert!(done.stderr.contains(wanted), "{name}: {}", done.stderr);
        }
    }
    Ok(())
}

#[test]
fn a_loop_in_the_arguments_of_every_place_is_ended_while_a_script_is_loaded() -> Tested {
    const LOAD: Duration = Duration::from_millis(100);
    let limits = ScriptLimits::new().load_time(LOAD).call_time(LOAD);
    for place in places().iter().filter(|place| *place != IN_TESTS) {
        let (function, _) = place.split_once(' ').ok_or("no place")?;
        for tried in IN_EACH {
            let what = mechanism(tried)?;
            let wanted = match tried {
                "an empty text repeated" => "string.rep of more than 10000000 times",
                _ => "load time budget 100ms exceeded",
            };
            let script = format!(
                "local tb = require('tributary')\n\
                 pcall(tb.{function}, 'f', (function() {what} end)())"
            );
            let network = Network::new();
            let database = Database::open("sqlite::memory:")?;
            let runtime = Runtime::with_limits(&network, &database, limits)?;
            let begun = Instant::now();
            let error = runtime.run_text("net.lua", &script);
            let took = begun.elapsed();
            assert!(
                took < Duration::from_secs(2),
                "{place}: {tried} took {took:?}"
            );
            let error = error.expect_err("it does not end").to_string();
            assert!(error.contains(wanted), "{place}: {tried}: {error}");
            assert_eq!(network.nodes().len(), 0);
        }
    }
    Ok(())
}

#[test]
fn a_hostile_test_fails_and_the_next_one_runs() -> Tested {
    let hostile = "require('tributary').test('hostile', function(t)\n\
                   local all = {} for i = 1, 1e9 do all[i] = { i } end end)\n\
                   require('tributary').test('shy', function(t)\n\
                   pcall(t.inject, setmetatable({}, { __index = function() while true do error('x') end end }), t)\n\
                   error(setmetatable({}, { __tostring = function() error('x') end })) end)\n\
                   require('tributary').test('good', function(t) end)\n";
    let site = Site::with(&[("net_test.lua", hostile)])?;
    let begun = Instant::now();
    let done = Done::fed(site.command_after(BOUND, &["test", "net_test.lua"]), "")?;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    assert_eq!(done.code, Some(1), "{}{}", done.stdout, done.stderr);
    let output = format!("{}{}", done.stdout, done.stderr);
    assert!(
        output.contains("memory limit of 256 MiB exceeded"),
        "{output}"
    );
    assert!(
        output.contains("2 failed") || output.contains("1 passed"),
        "{output}"
    );
    Ok(())
}

#[test]
fn a_hostile_script_is_ended_wherever_it_is_loaded() -> Tested {
    let endless = "while true do load(function() while true do end end) end\n";
    let test = format!("require('tributary').test('t', function(t) {endless} end)\n{endless}");
    let site = Site::with(&[("net.lua", endless), ("net_test.lua", &test)])?;
    for (args, input) in [
        (&["check", "net.lua"][..], ""),
        (&["graph", "net.lua"], ""),
        (&["test", "net_test.lua"], ""),
        (&["repl"], endless),
    ] {
        let begun = Instant::now();
        let done = site.feed(args, input)?;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{args:?} took {took:?}");
        let output = format!("{}{}", done.stdout, done.stderr);
        assert!(
            output.contains("load time budget 5s exceeded"),
            "{args:?}: {output}"
        );
    }
    Ok(())
}
