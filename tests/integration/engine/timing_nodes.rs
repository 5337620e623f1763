//! Nodes that thin out, hold back or put together events, for each key apart.

use crate::lua::functions::simulated;
use crate::support::probe::{START, Seen, soon};
use std::time::{Duration, Instant};
use tributary::pipeline::{
    BatchLimits, Changed, Collect, Deadman, Debounce, Delay, Key, Sample, Throttle,
};
use tributary::{ErrorKind, Network, Outcome, Pipeline, Result, Runtime, source};

/// What comes out of `f`, with the second at which it came, when each of these goes in a second
/// after the other, and what comes after that, up to a minute.
fn timed(script: &str, payloads: &[&str]) -> Result<Vec<String>> {
    let (mut simulation, seen, errors) = simulated(script)?;
    let mut out = Vec::new();
    let mut note = |seconds: usize, seen: &Seen| {
        for text in seen.texts().split_off(out.len()) {
            out.push(format!("{seconds} {text}"));
        }
    };
    for second in 0..60 {
        if let Some(payload) = payloads.get(second).filter(|payload| !payload.is_empty()) {
            simulation.inject("f", *payload)?;
        }
        note(second, &seen);
        simulation.advance(Duration::from_secs(1));
    }
    let stats = simulation.finish()?;
    assert_eq!(stats.breaches(), [""; 0]);
    note(60, &seen);
    assert_eq!(errors.len(), 0);
    Ok(out)
}

#[test]
fn a_throttle_lets_so_many_pass_in_any_interval() -> Result<()> {
    assert_eq!(
        timed(
            "tb.create_throttle('f', 2, '4s')",
            &["0", "1", "2", "3", "4", "5", "6"]
        )?,
        ["0 0", "1 1", "4 4", "5 5"]
    );
    let keyed = "tb.create_throttle('f', 1, '10s', { key = 'k' })";
    assert_eq!(
        timed(keyed, &[r#"{"k":1}"#, r#"{"k":2}"#, r#"{"k":1}"#])?,
        [r#"0 {"k":1}"#, r#"1 {"k":2}"#]
    );
    Ok(())
}

#[test]
fn a_debounce_emits_the_last_before_a_silence() -> Result<()> {
    assert_eq!(
        timed(
            "tb.create_debounce('f', '3s')",
            &["0", "1", "2", "", "", "", "6"]
        )?,
        ["5 2", "9 6"]
    );
    let keyed = "tb.create_debounce('f', '3s', { key = { 'k' } })";
    assert_eq!(
        timed(keyed, &[r#"{"k":1}"#, r#"{"k":2}"#, r#"{"k":1,"n":2}"#])?,
        [r#"4 {"k":2}"#, r#"5 {"k":1,"n":2}"#]
    );
    Ok(())
}

#[test]
fn a_sample_emits_the_last_of_each_interval() -> Result<()> {
    assert_eq!(
        timed(
            "tb.create_sample('f', '3s')",
            &["0", "1", "2", "3", "", "5"]
        )?,
        ["3 2", "6 5"]
    );
    Ok(())
}

#[test]
fn a_batch_ends_with_the_first_limit_that_is_reached() -> Result<()> {
    assert_eq!(
        timed("tb.create_batch('f', { count = 2 })", &["0", "1", "2"])?,
        ["1 [0,1]", "60 [2]"]
    );
    assert_eq!(
        timed(
            "tb.create_batch('f', { count = 9, time = '2s' })",
            &["0", "1", "2", "", "", "5"]
        )?,
        ["2 [0,1]", "4 [2]", "7 [5]"]
    );
    assert_eq!(
        timed(
            "tb.create_batch('f', { bytes = 5 })",
            &["\"a\"", "\"b\"", "\"c\""]
        )?,
        ["1 [\"a\",\"b\"]", "60 [\"c\"]"]
    );
    let keyed = "tb.create_batch('f', { count = 2, key = 'k' })";
    assert_eq!(
        timed(keyed, &[r#"{"k":1}"#, r#"{"k":2}"#, r#"{"k":1}"#])?,
        [r#"2 [{"k":1},{"k":1}]"#, r#"60 [{"k":2}]"#]
    );
    Ok(())
}

#[test]
fn only_changes_pass_until_a_key_is_forgotten() -> Result<()> {
    let script = "tb.create_changed('f', { by = 'v', key = 'k', forget = '5s' })";
    let (a, b) = (r#"{"k":1,"v":1}"#, r#"{"k":1,"v":2}"#);
    assert_eq!(
        timed(script, &[a, a, r#"{"k":2,"v":1}"#, b, b, "", "", "", "", b])?,
        [
            format!("0 {a}"),
            r#"2 {"k":2,"v":1}"#.to_owned(),
            format!("3 {b}"),
            format!("9 {b}")
        ]
    );
    Ok(())
}

#[test]
fn a_deadman_emits_one_event_for_each_silence() -> Result<()> {
    let script = "tb.create_deadman('f', '5s', { key = 'k' }) tb.link('f.silent', 'seen')";
    let k = r#"{"k":1}"#;
    assert_eq!(
        timed(script, &[k, "", k, "", "", "", "", "", "", "", k])?,
        [
            format!("0 {k}"),
            format!("2 {k}"),
            r#"7 {"k":1,"since":1002.0}"#.to_owned(),
            format!("10 {k}"),
            r#"15 {"k":1,"since":1010.0}"#.to_owned(),
        ]
    );
    let alone = "tb.create_deadman('f', '5s') tb.link('f.silent', 'seen')";
    assert_eq!(timed(alone, &[])?, [r#"5 {"since":1000.0}"#]);
    Ok(())
}

#[test]
fn a_delay_keeps_the_distances() -> Result<()> {
    assert_eq!(
        timed("tb.create_delay('f', '10s')", &["0", "", "2", "3"])?,
        ["10 0", "12 2", "13 3"]
    );
    Ok(())
}

#[test]
fn a_full_delay_rejects_events_until_there_is_room() -> Result<()> {
    let (mut simulation, seen, errors) = simulated("tb.create_delay('f', '1h', { limit = 2 })")?;
    for text in ["1", "2", "3"] {
        simulation.inject("f", text)?;
    }
    assert_eq!((errors.texts(), seen.len()), (vec!["3".to_owned()], 0));
    simulation.advance(Duration::from_secs(3_600));
    simulation.inject("f", "4")?;
    assert_eq!(
        (seen.texts(), errors.len()),
        (vec!["1".into(), "2".into()], 1)
    );
    simulation.finish()?;
    assert_eq!(seen.texts(), ["1", "2", "4"]);
    assert!(Delay::new(Duration::from_secs(1))?.limit(0).is_err());
    Ok(())
}

#[test]
fn a_stop_waits_for_no_time_that_a_node_is_set_to() -> Result<()> {
    let script = "tb = require('tributary')
tb.create_generator('hourly', function(emit) emit({}) end, {every = '1h'})
tb.create_delay('delay', '1h')
tb.create_debounce('debounce', '1h', {key = 'k'})
tb.create_sample('sample', '1h', {key = 'k'})
tb.create_batch('batch', {time = '1h', key = 'k'})
tb.create_deadman('deadman', '1h', {key = 'k'})
tb.fanout('in', 'delay', 'debounce', 'sample', 'batch', 'deadman')
for _, node in ipairs{'delay', 'debounce', 'sample', 'batch', 'deadman.silent', 'hourly'} do
  tb.link(node, 'out')
end";
    let network = Network::new();
    let (sender, channel) = source::channel();
    network.add_source("in", channel)?;
    let seen = Seen::at(&network, "out")?;
    Runtime::new(&network)?.run_text("net.lua", script)?;
    network.start()?;
    for key in 0..5_000 {
        sender.send(format!("{{\"k\":{key}}}"))?;
    }
    assert!(soon(|| {
        let stats = network.stats();
        ["delay", "debounce", "sample", "batch", "deadman"]
            .iter()
            .all(|name| stats.node(name).is_some_and(|n| n.received == 5_000))
    }));
    assert_eq!(seen.len(), 0);
    let begun = Instant::now();
    network.stop()?;
    assert!(begun.elapsed() < Duration::from_secs(9));
    // Each of the four lets go what it holds; the deadman raises no alarm.
    assert_eq!(seen.len(), 20_000);
    assert_eq!(network.stats().breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_generator_whose_calls_take_long_keeps_back_neither_its_events_nor_a_stop() -> Result<()> {
    let script = "tb = require('tributary')
tb.create_generator('slow', function(emit)
  for _ = 1, 5e6 do end
  emit({})
end)
tb.link('slow', 'out')";
    let network = Network::new();
    let seen = Seen::at(&network, "out")?;
    Runtime::new(&network)?.run_text("net.lua", script)?;
    network.start()?;
    let begun = Instant::now();
    assert!(soon(|| seen.len() > 0));
    network.stop()?;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    Ok(())
}

/// What becomes of two events that go through this and come to a sink.
fn outcomes(node: impl Pipeline + 'static) -> Result<Vec<Outcome>> {
    let network = Network::new();
    let (sender, channel) = source::channel();
    network.add_source("in", channel)?;
    network.add_pipeline("f", node)?;
    let _seen = Seen::at(&network, "out")?;
    network.link("in", "f")?;
    network.link("f", "out")?;
    network.start()?;
    let waiting: Vec<_> = ["1", "2"]
        .into_iter()
        .map(|text| {
            let sender = sender.clone();
            std::thread::spawn(move || sender.deliver(text))
        })
        .collect();
    let outcomes = waiting
        .into_iter()
        .map(|thread| thread.join().expect("no panic"));
    let outcomes = outcomes.collect::<Result<Vec<Outcome>>>();
    drop(sender);
    network.wait()?;
    outcomes
}

#[test]
fn what_is_held_back_has_its_outcome_in_the_end() -> Result<()> {
    let short = Duration::from_millis(20);
    let both = [Outcome::Delivered; 2];
    assert_eq!(outcomes(Delay::new(short)?)?, both);
    assert_eq!(outcomes(Debounce::new(short, Key::none())?)?, both);
    assert_eq!(outcomes(Sample::new(short, Key::none())?)?, both);
    let limits = BatchLimits::new().count(2);
    assert_eq!(outcomes(Collect::new(limits, Key::none())?)?, both);
    assert_eq!(outcomes(Throttle::new(1, short, Key::none())?)?, both);
    assert_eq!(outcomes(Deadman::new(short, Key::none())?)?, both);
    assert!(Changed::new(Key::none(), Key::none(), None).is_err());
    Ok(())
}

#[test]
fn what_goes_through_lua_keeps_its_outcome() -> Result<()> {
    let network = Network::new();
    let (sender, channel) = source::channel();
    network.add_source("in", channel)?;
    let _seen = Seen::at(&network, "out")?;
    let script = "local tb = require('tributary')\n\
                  tb.create_map('change', function(e) e.data.x = 1 return e end)\n\
                  tb.create_flat_map('twice', function(e, emit) emit(e) emit({}) end)\n\
                  tb.create_route('route', { a = function(e) return e.data.drop == nil end })\n\
                  tb.create_process('state', { process = function(e, emit) if e.data.bad then error('bad') end emit(e) end })\n\
                  tb.create_filter_fn('last', function(e) return true end)\n\
                  tb.chain('in', 'change', 'twice', 'route') tb.chain('route.a', 'state', 'last', 'out')";
    Runtime::new(&network)?.run_text("net.lua", script)?;
    network.start()?;
    assert_eq!(sender.deliver("{}")?, Outcome::Delivered);
    assert_eq!(sender.deliver(r#"{"drop":1}"#)?, Outcome::Delivered);
    assert_eq!(sender.deliver(r#"{"bad":1}"#)?, Outcome::Failed);
    assert_eq!(sender.deliver("no json")?, Outcome::Failed);
    drop(sender);
    network.wait()
}

#[test]
fn wrong_arguments_are_refused() -> Result<()> {
    let (mut simulation, _, errors) = simulated("tb.create_throttle('f', 1, '1s', { key = 'k' })")?;
    simulation.inject("f", "{}")?;
    assert_eq!(
        crate::lua::functions::error(&errors.events()[0]),
        "no field \"k\" to take the key from"
    );
    assert_eq!(simulation.now(), START);
    for (call, wanted) in [
        (
            "create_throttle('f', 0, '1s')",
            "bad count 0: it must be more than zero",
        ),
        (
            "create_throttle('f', 1, '0s')",
            "bad argument #3 to create_throttle: bad duration \"0s\": it must be more than zero",
        ),
        (
            "create_batch('f')",
            "a batch needs a limit; give it count, bytes or time",
        ),
        (
            "create_batch('f', { count = -1 })",
            "bad count -1: it must be more than zero",
        ),
        (
            "create_batch('f', { time = '1' })",
            "option time: bad duration \"1\": no unit; did you mean \"1s\"?",
        ),
        (
            "create_changed('f', {})",
            "a node for changes needs at least one field to compare; write by = {\"field\"}",
        ),
        (
            "create_sample('f', '1s', { keys = 'k' })",
            "create_sample has no option \"keys\"; did you mean \"key\"?",
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
    }
    Ok(())
}
