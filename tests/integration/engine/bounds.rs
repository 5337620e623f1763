//! Every node that keeps keys or holds events has bounds, and what happens there is as documented.

use crate::lua::functions::{error, simulated};
use crate::support::binary::{Site, functions};
use std::error::Error;
use std::time::Duration;
use tributary::pipeline::{
    BatchLimits, Bounds, Changed, Collect, Deadman, Debounce, Delay, Filter, FilterKey, Key,
    Sample, Throttle,
};
use tributary::{Network, Result, Runtime};

type Tested = std::result::Result<(), Box<dyn Error>>;

/// What a node does with an event for which there is no room.
#[derive(Clone, Copy, PartialEq)]
enum Full {
    /// It is rejected, with this reason.
    Rejects(&'static str),
    /// The oldest leaves early.
    Leaves,
    /// The oldest key is forgotten, so that its next event passes.
    Forgets,
}

use Full::{Forgets, Leaves, Rejects};

const KEYS: &str = "2 other keys are kept already";
const BYTES: &str = "7 bytes beside the 14 held would exceed 20";

/// Each function that makes a node which keeps something, with each bound such that two of the events
/// are held and a third one is too much.
const BOUNDED: &[(&str, &str, &str, Full)] = &[
    (
        "create_batch",
        "{count = 9, key = 'k', ?}",
        "max_keys = 2",
        Leaves,
    ),
    (
        "create_batch",
        "{count = 9, key = 'k', ?}",
        "max_events = 2",
        Leaves,
    ),
    (
        "create_batch",
        "{count = 9, key = 'k', ?}",
        "max_bytes = 20",
        Leaves,
    ),
    (
        "create_changed",
        "{by = 'k', key = 'k', ?}",
        "max_keys = 2",
        Forgets,
    ),
    (
        "create_deadman",
        "'1h', {key = 'k', ?}",
        "max_keys = 2",
        Rejects(KEYS),
    ),
    (
        "create_deadman",
        "'1h', {key = 'k', ?}",
        "max_bytes = 2",
        Rejects("1 bytes beside the 2 held would exceed 2"),
    ),
    (
        "create_debounce",
        "'1h', {key = 'k', ?}",
        "max_keys = 2",
        Rejects(KEYS),
    ),
    (
        "create_debounce",
        "'1h', {key = 'k', ?}",
        "max_events = 2",
        Rejects(KEYS),
    ),
    (
        "create_debounce",
        "'1h', {key = 'k', ?}",
        "max_bytes = 20",
        Rejects(BYTES),
    ),
    (
        "create_delay",
        "'1h', {?}",
        "max_events = 2",
        Rejects("2 events are delayed already"),
    ),
    (
        "create_delay",
        "'1h', {?}",
        "max_bytes = 20",
        Rejects(BYTES),
    ),
    (
        "create_filter",
        "'1h', {by = 'k', ?}",
        "max_keys = 2",
        Forgets,
    ),
    (
        "create_process",
        "{process = function() end, key = 'k', ?}",
        "max_keys = 2",
        Rejects("2 other keys have a state already"),
    ),
    (
        "create_sample",
        "'1h', {key = 'k', ?}",
        "max_keys = 2",
        Rejects(KEYS),
    ),
    (
        "create_sample",
        "'1h', {key = 'k', ?}",
        "max_events = 2",
        Rejects(KEYS),
    ),
    (
        "create_sample",
        "'1h', {key = 'k', ?}",
        "max_bytes = 20",
        Rejects(BYTES),
    ),
    (
        "create_throttle",
        "1, '1h', {key = 'k', ?}",
        "max_keys = 2",
        Rejects(KEYS),
    ),
    (
        "create_throttle",
        "1, '1h', {key = 'k', ?}",
        "max_events = 2",
        Rejects("2 events have passed in the time already"),
    ),
];

/// Functions that make nodes which keep no key and hold no event beyond the batch in hand, or hold
/// them on disk or in a database.
const UNBOUNDED: &[&str] = &[
    "create_discarder",
    "create_dlq",
    "create_file_sink",
    "create_file_source",
    "create_filter_fn",
    "create_flat_map",
    "create_forwarder",
    "create_generator",
    "create_handler",
    "create_map",
    "create_parse",
    "create_queue",
    "create_ratelimit",
    "create_route",
    "create_sink",
    "create_source",
    "create_sql_sink",
    "create_stdin",
    "create_stdout",
    "create_table",
    "create_tester",
    "create_ticker",
    "create_window",
];

#[test]
fn every_function_that_makes_a_node_is_bounded_or_keeps_nothing() {
    let made = functions(&[]).expect("the list of functions");
    let made = made.into_iter().map(|function| function.name);
    for name in made.filter(|name| name.starts_with("create_")) {
        let bounded = BOUNDED.iter().any(|(known, ..)| *known == name);
        let plain = UNBOUNDED.contains(&&*name);
        assert!(
            bounded != plain,
            "{name} keeps keys or events, and a test of its bounds belongs to BOUNDED; or it does \
             not, and it belongs to UNBOUNDED"
        );
    }
}

fn script(function: &str, arguments: &str, bound: &str) -> String {
    format!("tb.{function}('f', {})", arguments.replace('?', bound))
}

#[test]
fn at_its_bound_a_node_rejects_or_lets_the_oldest_go() -> Result<()> {
    let payloads = [r#"{"k":1}"#, r#"{"k":2}"#, r#"{"k":3}"#];
    for (function, arguments, bound, full) in BOUNDED {
        let script = script(function, arguments, bound);
        let (mut simulation, seen, errors) = simulated(&script)?;
        for payload in payloads {
            simulation.inject("f", payload)?;
        }
        let rejected: Vec<String> = errors.events().iter().map(error).collect();
        let texts = seen.texts();
        match full {
            Rejects(reason) => {
                assert_eq!(rejected.len(), 1, "of {script}");
                let hint = bound.split(' ').next().unwrap_or_default();
                // What holds an event for each key has one bound by two names.
                let hint = match hint {
                    "max_events" if *reason == KEYS => "max_keys",
                    other => other,
                };
                let wanted = format!("the option {hint} allows more");
                assert!(rejected[0].starts_with(reason), "{script}: {rejected:?}");
                assert!(rejected[0].ends_with(&wanted), "{script}: {rejected:?}");
                assert_eq!(errors.texts(), payloads[2..], "of {script}");
            }
            Leaves => assert_eq!((texts, rejected.len()), (vec![r#"[{"k":1}]"#.into()], 0)),
            Forgets => {
                assert_eq!((texts.len(), rejected.len()), (3, 0), "of {script}");
                simulation.inject("f", payloads[2])?;
                assert_eq!(seen.len(), 3, "the last one is known: {script}");
                simulation.inject("f", payloads[0])?;
                assert_eq!(seen.len(), 4, "the first one is not: {script}");
            }
        }
        assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    }
    Ok(())
}

#[test]
fn a_bound_is_a_whole_number_above_zero() {
    for (function, arguments, bound, _) in BOUNDED {
        let name = bound.split(' ').next().unwrap_or_default();
        let wrong = format!("option {name} of {function}: integer expected, got");
        for (value, wanted) in [
            ("0", format!("bad {name} 0: it must be more than zero")),
            ("-1", format!("bad {name} -1: it must be more than zero")),
            ("1.5", wrong.clone()),
            ("'2'", wrong),
        ] {
            let script = script(function, arguments, &format!("{name} = {value}"));
            let script = format!("local tb = require('tributary')\n{script}");
            let runtime = Runtime::new(&Network::new()).expect("a runtime");
            let refused = runtime.run_text("net.lua", script.as_str());
            let message = refused.expect_err(&script).to_string();
            assert!(
                message.starts_with(&format!("net.lua:2: {wanted}")),
                "{script}: {message}"
            );
        }
    }
}

#[test]
fn nodes_made_in_rust_have_the_same_bounds() -> Result<()> {
    let (time, key) = (Duration::from_secs(1), || Key::fields(["k"]));
    let all = Bounds::new().max_keys(1).max_events(1).max_bytes(1);
    let count = BatchLimits::new().count(1);
    Collect::new(count, key())?.bounds(all)?;
    Debounce::new(time, key())?.bounds(all)?;
    Sample::new(time, key())?.bounds(all)?;
    Delay::new(time)?.bounds(Bounds::new().max_events(1).max_bytes(1))?;
    Throttle::new(1, time, key())?.bounds(Bounds::new().max_keys(1).max_events(1))?;
    Deadman::new(time, key())?.bounds(Bounds::new().max_keys(1).max_bytes(1))?;
    Changed::new(key(), key(), None)?.bounds(Bounds::new().max_keys(1))?;
    let filter = Filter::new(time, FilterKey::Payload)?;
    let refused = filter.bounds(all).err().map(|error| error.to_string());
    let wanted = "a filter has no bound max_events; its bounds are max_keys";
    assert_eq!(refused.as_deref(), Some(wanted));
    let zero = Delay::new(time)?.bounds(Bounds::new().max_bytes(0)).err();
    let wanted = "bad max_bytes 0 of a delay: it must be more than zero";
    assert_eq!(zero.map(|error| error.to_string()).as_deref(), Some(wanted));
    Ok(())
}

#[test]
fn what_leaves_makes_room() -> Result<()> {
    let keyed = "tb.create_debounce('f', '10s', {key = 'k', max_keys = 2, max_bytes = 30})";
    let (mut simulation, seen, errors) = simulated(keyed)?;
    simulation.inject("f", r#"{"k":1}"#)?;
    simulation.inject("f", r#"{"k":2}"#)?;
    // In place of the one that is held.
    simulation.inject("f", r#"{"k":2,"n":12345678}"#)?;
    simulation.inject("f", r#"{"k":1,"n":12345678}"#)?;
    assert_eq!(errors.texts(), [r#"{"k":1,"n":12345678}"#]);
    simulation.advance(Duration::from_secs(10));
    assert_eq!(seen.len(), 2);
    simulation.inject("f", r#"{"k":3,"n":12345678}"#)?;
    simulation.inject("f", r#"{"k":4}"#)?;
    assert_eq!(errors.len(), 1);
    simulation.finish()?;
    assert_eq!(seen.len(), 4);
    Ok(())
}

#[test]
fn meta_counts_among_the_bytes_that_a_node_holds() -> Result<()> {
    let script = "tb.create_map('f', function(e) e.meta = {m = ('x'):rep(1000)} return e end)
        tb.create_delay('d', '1h', {max_bytes = 2500})
        tb.link('f', 'd') tb.link('d.errors', 'rejected')";
    let (mut simulation, seen, errors) = simulated(script)?;
    for _ in 0..3 {
        simulation.inject("f", "1")?;
    }
    assert_eq!((seen.len(), errors.len()), (3, 1));
    Ok(())
}

#[test]
fn a_batch_of_endless_count_leaves_at_its_bound() -> Result<()> {
    let script = "tb.create_batch('f', {count = 10000000000, max_bytes = 30})";
    let (mut simulation, seen, errors) = simulated(script)?;
    for n in 0..10 {
        simulation.inject("f", format!("\"event {n}\""))?;
    }
    assert_eq!(errors.len(), 0);
    assert_eq!(seen.texts()[0], r#"["event 0","event 1","event 2"]"#);
    simulation.inject("f", format!("\"{}\"", "x".repeat(40)))?;
    let message = "43 bytes beside the 0 held would exceed 30; \
                the option max_bytes allows more";
    assert_eq!(
        errors.events().iter().map(error).collect::<Vec<_>>(),
        [message]
    );
    simulation.finish()?;
    assert_eq!(seen.len(), 4);
    Ok(())
}

#[test]
fn an_event_too_deep_for_the_list_of_a_batch_is_rejected_alone() -> Result<()> {
    let (mut simulation, seen, errors) = simulated("tb.create_batch('f', {count = 2})")?;
    for levels in [126, 127, 126] {
        simulation.inject("f", "[".repeat(levels) + &"]".repeat(levels))?;
    }
    assert_eq!((seen.len(), errors.len()), (1, 1));
    for event in seen.events() {
        event.payload().json()?;
        tributary::Payload::from(event.payload().bytes().to_vec()).json()?;
    }
    Ok(())
}

#[test]
fn what_is_let_go_at_a_bound_is_logged_once_and_counted_at_the_end() -> Tested {
    let net = "local tb = require('tributary')
tb.create_stdin('in') tb.create_filter('f', '1h', {max_keys = 2}) tb.create_stdout('out')
tb.create_batch('b', {count = 9, max_events = 1}) tb.create_discarder('nil')
tb.link('in', 'f') tb.link('f', 'out') tb.link('in', 'b') tb.link('b', 'nil')
";
    let site = Site::with(&[("net.lua", net)])?;
    let done = site.feed(&["run", "net.lua"], "1\n2\n3\n1\n")?;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "1\n2\n3\n1\n"));
    for (message, times) in [
        (
            "node f: max_keys is reached: the oldest key is removed; others like it are only \
             counted",
            1,
        ),
        (
            "let go before their time in this run: node f: 2 (max_keys is reached: the oldest \
             key is removed); node b: 3 (max_keys, max_events or max_bytes is reached, so the \
             oldest batch is emitted early)",
            1,
        ),
        ("events not delivered", 0),
    ] {
        assert_eq!(
            done.stderr.matches(message).count(),
            times,
            "{}",
            done.stderr
        );
    }
    Ok(())
}
