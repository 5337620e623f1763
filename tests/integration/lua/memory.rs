//! What functions of nodes keep and make in memory: meta and captured values count, and states move
//! to another VM in linear time and little memory.

use crate::lua::functions::error;
use crate::support::binary::Site;
use crate::support::probe::{START, Seen};
use std::error::Error;
use std::fs;
use std::time::Duration;
use tributary::script::ScriptLimits;
use tributary::{Database, Network, Result, Runtime};

type Tested = std::result::Result<(), Box<dyn Error>>;

fn limits(memory: usize) -> ScriptLimits {
    ScriptLimits::new()
        .memory(memory)
        .call_time(Duration::from_secs(120))
        .load_time(Duration::from_secs(120))
        .allow_os(false)
}

fn load(network: &Network, memory: usize, script: &str) -> Result<()> {
    let database = Database::open("sqlite::memory:")?;
    Runtime::with_limits(network, &database, limits(memory))?.run_text("s.lua", script)
}

/// A node `f`, which this makes, and what was rejected of some events.
fn rejected(network: &Network, make: &str, payloads: &[&str]) -> Result<Vec<String>> {
    let (_, errors) = (Seen::at(network, "seen")?, Seen::at(network, "rejected")?);
    let script = format!(
        "local tb = require('tributary')\n{make}\ntb.link('f', 'seen') tb.link('f.errors', 'rejected')"
    );
    load(network, 16 << 20, &script)?;
    let mut simulation = network.simulate(START)?;
    for payload in payloads {
        simulation.inject("f", *payload)?;
    }
    simulation.finish()?;
    Ok(errors.events().iter().map(error).collect())
}

/// A table of so many levels, each of which holds the one below twice.
const DOUBLED: &str = "local t = ('x'):rep(300000) for i = 1, 14 do t = { t, t } end";

#[test]
fn the_meta_of_what_one_call_emits_counts() -> Result<()> {
    let make = "tb.create_flat_map('f', function(e, emit)\n\
                e.meta.big = ('x'):rep(100000)\nwhile true do emit(e) end end)";
    let errors = rejected(&Network::new(), make, &["1"])?;
    assert_eq!(errors, ["s.lua:4: emit: one call emits more than 16 MiB"]);
    Ok(())
}

#[test]
fn meta_is_bounded_by_the_greatest_event() -> Result<()> {
    for (make, wanted) in [
        (
            "tb.create_map('f', function(e) e.meta = { a = ('x'):rep(20000) } return e end)",
            "s.lua:2: the function's answer: more than 10000 bytes as JSON (max_event_bytes)",
        ),
        (
            "tb.create_flat_map('f', function(e, emit) e.meta.a = ('x'):rep(20000) emit(e) end)",
            "s.lua:2: emit: more than 10000 bytes as JSON (max_event_bytes)",
        ),
    ] {
        let network = Network::new();
        network.set_max_event_bytes(10_000);
        assert_eq!(rejected(&network, make, &["1"])?, [wanted]);
    }
    Ok(())
}

#[test]
fn a_table_that_doubles_at_each_level_is_refused_wherever_it_becomes_json() -> Result<()> {
    let most = "more than 1048576 bytes as JSON (max_event_bytes)";
    for (body, wanted) in [
        (
            "return t",
            format!("s.lua:2: the function's answer: {most}"),
        ),
        (
            "e.data = t return e",
            format!("s.lua:2: the function's answer: {most}"),
        ),
        (
            "e.meta = t return e",
            format!("s.lua:2: the function's answer: {most}"),
        ),
        ("emit(t)", format!("s.lua:2: emit: {most}")),
        ("e.meta.t = t emit(e)", format!("s.lua:2: emit: {most}")),
    ] {
        let kind = if body.contains("emit") {
            "flat_map"
        } else {
            "map"
        };
        // Captured it is as small as it was: its tables stay shared.
        let make = format!("{DOUBLED} tb.create_{kind}('f', function(e, emit) {body} end)");
        assert_eq!(
            rejected(&Network::new(), &make, &["1"])?,
            [wanted],
            "{body}"
        );
    }
    let options = format!(
        "local tb = require('tributary')\n{DOUBLED}\ntb.create_generator('f', function() end, {{ every = t }})"
    );
    let error = load(&Network::new(), 16 << 20, &options).expect_err("too large");
    assert!(error.to_string().starts_with("s.lua:3: "), "{error}");
    assert!(error.to_string().ends_with(most), "{error}");
    Ok(())
}

#[test]
fn captured_values_that_take_more_than_a_vm_may_hold_are_refused_while_a_script_is_loaded()
-> Result<()> {
    // Outside the VM a small table takes more than inside.
    let script = "local tb = require('tributary')\nlocal t = {}\n\
                  for i = 1, 80000 do t[i] = { i } end\n\
                  tb.create_map('f', function(e) return t[1] end)";
    let error = load(&Network::new(), 12 << 20, script).expect_err("too large");
    assert_eq!(
        error.to_string(),
        "s.lua:4: create_map of \"f\": more than 12 MiB would have to move"
    );
    Ok(())
}

#[test]
fn a_million_captured_tables_arrive_within_the_default_limit() -> Result<()> {
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    let script = "local tb = require('tributary')\nlocal t = {}\n\
                  for i = 1, 1200000 do t[i] = { i } end\n\
                  tb.create_map('f', function(e) return t[1200000] end)\n\
                  tb.link('f', 'seen')";
    load(&network, ScriptLimits::default().memory, script)?;
    let mut simulation = network.simulate(START)?;
    simulation.inject("f", "1")?;
    simulation.finish()?;
    assert_eq!(seen.texts(), ["[1200000]"]);
    Ok(())
}

/// How long this thread has had a processor.
fn busy() -> std::result::Result<Duration, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().ok_or("no time")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

/// How long a VM of this size takes for four events too many, once the states of its keys fill it, and
/// to be replaced.
fn overfull(memory: usize) -> std::result::Result<Duration, Box<dyn Error>> {
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let script = "local tb = require('tributary')\n\
                  tb.create_process('f', { key = 'k', process = function(e, emit, state)\n\
                  if e.data.all then hoard = {} for i = 1, 1e9 do hoard[i] = { i } end end\n\
                  state.s = state.s or ('x'):rep(1500) .. e.data.k\n\
                  if e.data.ask then emit({ k = e.data.k, size = #state.s }) end end })\n\
                  tb.link('f', 'seen') tb.link('f.errors', 'rejected')";
    load(&network, memory, script)?;
    let mut simulation = network.simulate(START)?;
    let keys = memory / 2 / 1_650;
    for key in 0..keys {
        simulation.inject("f", format!(r#"{{"k":"{key}"}}"#))?;
    }
    assert_eq!(errors.len(), 0);
    let begun = busy()?;
    for _ in 0..4 {
        simulation.inject("f", r#"{"k":"0","all":true}"#)?;
    }
    let took = busy()? - begun;
    assert_eq!(errors.len(), 4);
    // No state is lost, nor mixed up.
    for key in [0, 1, keys / 2, keys - 1] {
        simulation.inject("f", format!(r#"{{"k":"{key}","ask":true}}"#))?;
        let text = seen.texts().pop().unwrap_or_default();
        let size = 1_500 + key.to_string().len();
        assert_eq!(text, format!(r#"{{"k":"{key}","size":{size}}}"#));
    }
    Ok(took)
}

#[test]
#[cfg(target_os = "linux")]
fn events_too_many_for_a_full_vm_take_time_that_grows_with_its_memory() -> Tested {
    let (small, large) = (overfull(6 << 20)?, overfull(24 << 20)?);
    let ratio = large.as_secs_f64() / small.as_secs_f64();
    assert!(
        ratio < 10.0,
        "4 times the memory took {ratio:.1} times the time"
    );
    Ok(())
}

#[test]
#[cfg(target_os = "linux")]
fn a_vm_that_is_replaced_takes_less_than_one_and_a_half_times_its_memory() -> Tested {
    const LIMIT: usize = 64 << 20;
    const KEYS: usize = 12_000;
    let net = "local tb = require('tributary')\n\
               tb.create_stdin('in') tb.create_stdout('out')\n\
               tb.create_process('f', { key = 'k', process = function(e, emit, state)\n\
               state.n = (state.n or 0) + 1\n\
               state.s = state.s or (e.data.k .. 'x'):rep(500)\n\
               if e.data.all then hoard = {} for i = 1, 1e9 do hoard[i] = { i } end end\n\
               if e.data.say then emit({ k = e.data.k, n = state.n }) end end })\n\
               tb.create_map('why', function(e) return { error = e.meta.error } end)\n\
               tb.chain('in', 'f', 'out') tb.link('f.errors', 'why') tb.link('why', 'out')";
    let site = Site::with(&[("net.lua", net)])?;
    let args = [
        "run",
        "net.lua",
        "--lua-memory",
        "64MiB",
        "--lua-call-time",
        "60s",
    ];
    let mut running = site.start(&args)?;
    running.ask(r#"{"k":"first","say":true}"#)?;
    let before = running.memory("VmRSS");
    for key in 0..KEYS {
        running.ask(&format!(r#"{{"k":"{key}","say":true}}"#))?;
    }
    let refused = running.ask(r#"{"k":"first","all":true}"#)?;
    assert!(
        refused.contains("memory limit of 64 MiB exceeded"),
        "{refused}"
    );
    // Kept, and counted on.
    assert_eq!(
        running.ask(r#"{"k":"7","say":true}"#)?,
        r#"{"k":"7","n":2}"#
    );
    let most = running.memory("VmHWM") - before;
    eprintln!("at most {} MiB of {}", most >> 20, LIMIT >> 20);
    assert!(most < LIMIT / 2 * 3, "{} MiB", most >> 20);
    running.stop()?;
    Ok(())
}
