//! The states of a node whose functions have changed.

use crate::error::Result;
use crate::network::{Network, Simulation};
use crate::script::Runtime;
use crate::sink;
use crate::time::Timestamp;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A network with the node `f` of a script.
fn built(script: &str) -> Result<Network> {
    let network = Network::new();
    let script = format!("local tb = require('tributary')\n{script}");
    Runtime::new(&network)?.run_text("net.lua", script)?;
    Ok(network)
}

struct Bench {
    simulation: Simulation,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new(script: &str) -> Result<Self> {
        let network = built(script)?;
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let to = seen.clone();
        let out = sink::handler(move |event| {
            to.lock()
                .push(event.payload().text().unwrap_or_default().to_owned());
            Ok(())
        });
        network.add_sink("out", out)?;
        network.link("f", "out")?;
        let simulation = network.simulate(Timestamp::from_secs(1_000))?;
        Ok(Bench { simulation, seen })
    }

    fn replace(&mut self, script: &str) -> Result<()> {
        let other = built(script)?;
        self.simulation
            .change(|draft| draft.replace_by_node_of(&other, "f"))
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock())
    }
}

/// Counts per key, with this factor; emits the state in the end and every ten seconds.
fn counting(factor: u32) -> String {
    format!(
        "tb.create_process('f', {{ key = 'k',\n\
           init = function(key) return {{ key = key, list = {{}} }} end,\n\
           process = function(e, emit, state)\n\
             if e.data.last then return false end\n\
             table.insert(state.list, e.data.n * {factor})\n\
           end,\n\
           every = {{ ['10s'] = function(emit, state) emit(state) end }},\n\
           finish = function(emit, state) emit({{ finished = state.key }}) end }})"
    )
}

#[test]
fn a_successor_with_another_function_continues_with_the_states_of_the_keys() -> Result<()> {
    let mut bench = Bench::new(&counting(1))?;
    bench.simulation.inject("f", r#"{"k":"a","n":1}"#)?;
    bench.simulation.inject("f", r#"{"k":"b","n":2}"#)?;
    bench.simulation.advance(Duration::from_secs(4));
    bench.replace(&counting(100))?;
    bench.simulation.inject("f", r#"{"k":"a","n":3}"#)?;
    bench.simulation.inject("f", r#"{"k":"b","last":true}"#)?;
    bench.simulation.inject("f", r#"{"k":"c","n":4}"#)?;
    // The timer goes on too.
    bench.simulation.advance(Duration::from_secs(6));
    assert_eq!(
        bench.taken(),
        [
            r#"{"key":"a","list":[1,300]}"#,
            r#"{"key":"c","list":[400]}"#
        ]
    );
    bench.simulation.finish()?;
    assert_eq!(
        *bench.seen.lock(),
        [r#"{"finished":"a"}"#, r#"{"finished":"c"}"#]
    );
    Ok(())
}

#[test]
fn a_node_that_is_replaced_by_its_like_does_what_it_would_have_done() -> Result<()> {
    let run = |at: Option<u32>| -> Result<Vec<String>> {
        let mut bench = Bench::new(&counting(1))?;
        for second in 0..60 {
            if at == Some(second) {
                bench.replace(&counting(1))?;
            }
            let event = match second % 13 {
                5 => serde_json::json!({"k": second % 7, "last": true}),
                _ => serde_json::json!({"k": second % 7, "n": second}),
            };
            bench.simulation.inject("f", event)?;
            bench.simulation.advance(Duration::from_secs(1));
        }
        let Bench { simulation, seen } = bench;
        simulation.finish()?;
        Ok(std::mem::take(&mut seen.lock()))
    };
    let expected = run(None)?;
    assert!(expected.len() > 30, "{expected:?}");
    for at in [0, 1, 10, 30, 31, 59] {
        assert_eq!(run(Some(at))?, expected, "replaced at {at}");
    }
    Ok(())
}

#[test]
fn a_state_without_a_key_is_continued_too() -> Result<()> {
    let script = |step: u32| {
        format!(
            "tb.create_process('f', {{\n\
               init = function() return {{ n = 0 }} end,\n\
               process = function(e, emit, state) state.n = state.n + {step} emit({{ n = state.n }}) end }})"
        )
    };
    let mut bench = Bench::new(&script(1))?;
    bench.simulation.inject("f", "{}")?;
    bench.simulation.inject("f", "{}")?;
    bench.replace(&script(10))?;
    bench.simulation.inject("f", "{}")?;
    assert_eq!(bench.taken(), [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":12}"#]);
    Ok(())
}

#[test]
fn a_successor_with_other_keys_begins_anew_and_the_old_one_finishes() -> Result<()> {
    let mut bench = Bench::new(&counting(1))?;
    bench.simulation.inject("f", r#"{"k":"a","n":1}"#)?;
    bench.replace(&counting(1).replace("key = 'k'", "key = 'n'"))?;
    assert_eq!(bench.taken(), [r#"{"finished":"a"}"#]);
    bench.simulation.inject("f", r#"{"k":"a","n":5}"#)?;
    bench.simulation.advance(Duration::from_secs(10));
    assert_eq!(bench.taken(), [r#"{"key":5,"list":[5]}"#]);
    Ok(())
}

#[test]
fn a_state_that_cannot_move_is_not_handed_over_and_the_node_finishes() -> Result<()> {
    let script = "tb.create_process('f', { key = 'k',\n\
                    process = function(e, emit, state) state.thread = coroutine.create(function() end) end,\n\
                    finish = function(emit, state, key) emit({ finished = key }) end })";
    let mut bench = Bench::new(script)?;
    bench.simulation.inject("f", r#"{"k":"a"}"#)?;
    bench.replace(&counting(1))?;
    assert_eq!(bench.taken(), [r#"{"finished":"a"}"#]);
    Ok(())
}

#[test]
fn states_move_between_the_threads_of_a_running_network() -> Result<()> {
    let network = built(&counting(1))?;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let to = seen.clone();
    let out = sink::handler(move |event| {
        let text = event.payload().text().unwrap_or_default();
        to.lock().push(text.to_owned());
        Ok(())
    });
    let (sender, events) = crate::source::channel();
    network.add_source("in", events)?;
    network.add_sink("out", out)?;
    network.link("in", "f")?;
    network.link("f", "out")?;
    network.start()?;
    let script = |times: usize| {
        let finish = "finish = function(emit, state) emit({ finished = state.key }) end";
        let counted =
            "finish = function(emit, state) emit({ key = state.key, n = #state.list }) end";
        counting(times as u32 + 1).replace(finish, counted)
    };
    for number in 0..1_000_usize {
        sender.send(serde_json::json!({"k": number % 10, "n": number}))?;
        if number % 100 == 50 {
            let other = built(&script(number))?;
            network.change(|draft| draft.replace_by_node_of(&other, "f"))?;
        }
    }
    drop(sender);
    network.wait()?;
    let mut seen = std::mem::take(&mut *seen.lock());
    seen.retain(|text| text.contains("\"n\":"));
    let expected = (0..10).map(|key| format!(r#"{{"key":{key},"n":100}}"#));
    assert_eq!(seen, expected.collect::<Vec<_>>());
    Ok(())
}
