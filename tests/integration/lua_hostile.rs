//! Hostile functions through the binary: each costs its event, within twice its time and with bounded
//! memory; a second node answers meanwhile, and the process stops in time.

use super::binary::{Done, Site, signal};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::time::{Duration, Instant};

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

const KINDS: &[(&str, &str, &str)] = &[
    ("map", "tb.create_map('f', function(e)", "return e end)"),
    (
        "filter",
        "tb.create_filter_fn('f', function(e)",
        "return true end)",
    ),
    (
        "flat map",
        "tb.create_flat_map('f', function(e, emit)",
        "emit(e) end)",
    ),
    (
        "route",
        "tb.create_route('f', { a = function(e)",
        "return true end })",
    ),
    (
        "process",
        "tb.create_process('f', { process = function(e, emit)",
        "emit(e) end })",
    ),
    (
        "process by key",
        "tb.create_process('f', { key = 'k', process = function(e, emit)",
        "emit(e) end })",
    ),
    ("handler", "tb.create_handler('f', function(e)", "end)"),
];

fn net(begin: &str, what: &str, end: &str) -> String {
    format!(
        "local tb = require('tributary')
tb.create_stdin('in') tb.create_stdout('out')
local long = ('x'):rep(8 << 20)
local ones = ('1'):rep(8 << 20)
local proxy = setmetatable({{}}, {{ __len = function() return 1 << 62 end, __index = function() return 'x' end }})
local sham = setmetatable({{}}, {{ __len = function() return 9000000 end, __index = type, __newindex = rawequal }})
{begin} if e.data.k == 'bad' then {what} end {end}
tb.create_map('g', function(e) return e end)
tb.link('in', 'f') tb.link('in', 'g') tb.link('g', 'out')
"
    )
}

/// Runs one hostile event between two that are not, and stops.
fn survive(name: &str, net: &str) -> Tested {
    const CALL: Duration = Duration::from_millis(300);
    let site = Site::with(&[("net.lua", net)])?;
    let run = site.command(&["run", "net.lua", "--lua-call-time", "300ms"]);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("ulimit -v 3000000; exec \"$0\" \"$@\"")
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(site.path(""))
        .env_remove("RUST_LOG")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (mut stdin, stdout) = (stdin.ok_or("no input")?, stdout.ok_or("no output")?);
    let mut lines = BufReader::new(stdout).lines();
    let mut answered = |payload: &str| -> std::result::Result<Duration, Box<dyn Error>> {
        let begun = Instant::now();
        writeln!(stdin, "{payload}")?;
        match lines.next() {
            Some(line) => assert_eq!(line?, payload, "{name}"),
            None => return Err(format!("{name}: the process has ended").into()),
        }
        Ok(begun.elapsed())
    };
    answered(r#"{"k":"good"}"#)?;
    answered(r#"{"k":"bad"}"#)?;
    // While `f` is busy, and several tests are.
    let took = answered(r#"{"k":"next"}"#)?;
    assert!(
        took < Duration::from_millis(500),
        "{name}: an answer took {took:?}"
    );
    std::thread::sleep(CALL * 2);
    let begun = Instant::now();
    signal(&child, "TERM")?;
    drop(stdin);
    let done = Done::of(child)?;
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{name}: {}",
        done.stderr
    );
    assert!(
        !done.stderr.contains("did not end"),
        "{name}: {}",
        done.stderr
    );
    assert!(!done.stderr.contains("panic"), "{name}: {}", done.stderr);
    Ok(())
}

#[test]
fn what_the_library_does_by_itself_costs_its_event_and_nothing_else() -> Tested {
    for (name, what) in MECHANISMS {
        let (_, begin, end) = KINDS[0];
        survive(name, &net(begin, what, end))?;
    }
    Ok(())
}

#[test]
fn every_node_that_takes_a_function_survives_a_hostile_one() -> Tested {
    for (name, begin, end) in KINDS {
        for mechanism in [
            "an empty text repeated",
            "a text loaded",
            "a loop in a reader",
        ] {
            let found = MECHANISMS.iter().find(|(name, _)| *name == mechanism);
            let (_, what) = found.ok_or(mechanism)?;
            survive(name, &net(begin, what, end))?;
        }
    }
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
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(
            said.contains("load time budget 5s exceeded"),
            "{args:?}: {said}"
        );
    }
    Ok(())
}
