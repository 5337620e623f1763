//! Every pipeline between a file source with a checkpoint and a sink.

use super::{Arrived, MANY, Place, REFUSED, counts, ends};
use crate::support::probe::soon;
use std::collections::BTreeSet;
use std::time::Duration;
use tributary::{Network, Result};

/// Which events come out of a pipeline.
#[derive(Clone, Copy, PartialEq)]
pub enum Out {
    /// Each event.
    Each,
    /// Each event, some of them together: what fails fails together.
    Together,
    /// Some, by design: the rest is dropped on purpose.
    Some,
    /// Answers of a window when it ends, which need not be while the network runs.
    Answers,
}

/// A pipeline: the function of Lua that makes it, the script that makes `node`, what comes out at
/// `out`, and an event that it refuses, if there can be one.
pub struct Pipeline {
    pub function: &'static str,
    script: &'static str,
    out: Out,
    refuses: Option<&'static str>,
}

const fn pipeline(
    function: &'static str,
    script: &'static str,
    out: Out,
    refuses: Option<&'static str>,
) -> Pipeline {
    Pipeline {
        function,
        script,
        out,
        refuses,
    }
}

/// Declares the table of a window.
const TABLE: &str =
    "tb.create_table('ev', { key = 'n', columns = { n = 'integer', t = 'integer' } })\n";

/// A row that the table refuses.
const BAD_ROW: Option<&str> = Some(r#"{"n":13,"t":"x"}"#);
/// A payload that a function of the table fails on.
const BAD: Option<&str> = Some(r#"{"n":13,"bad":true}"#);

pub const PIPELINES: &[Pipeline] = &[
    pipeline(
        "create_forwarder",
        "tb.create_forwarder('node')",
        Out::Each,
        None,
    ),
    pipeline(
        "create_parse",
        "tb.create_parse('node', { format = 'logfmt', field = 'text', keep = true })",
        Out::Each,
        Some(r#"{"n":13,"text":"bare"}"#),
    ),
    pipeline(
        "create_ratelimit",
        "tb.create_ratelimit('node', '5ms')",
        Out::Some,
        None,
    ),
    pipeline(
        "create_filter",
        "tb.create_filter('node', '1h', { by = { 'n' } })",
        Out::Each,
        None,
    ),
    pipeline(
        "create_filter",
        "tb.create_filter('node', '1h', { by = { 'n' }, store = true })",
        Out::Each,
        None,
    ),
    pipeline(
        "create_batch",
        "tb.create_batch('node', { count = 7 })",
        Out::Together,
        None,
    ),
    pipeline(
        "create_batch",
        "tb.create_batch('node', { time = '5ms', key = 'n' })",
        Out::Each,
        None,
    ),
    pipeline(
        "create_batch",
        "tb.create_batch('node', { count = 100000 })",
        Out::Together,
        None,
    ),
    pipeline(
        "create_changed",
        "tb.create_changed('node', { by = { 'n' } })",
        Out::Each,
        None,
    ),
    pipeline(
        "create_changed",
        "tb.create_changed('node', { by = { 't' }, key = 'n' })",
        Out::Each,
        None,
    ),
    pipeline(
        "create_deadman",
        "tb.create_deadman('node', '1h', { key = 'n' })",
        Out::Each,
        None,
    ),
    pipeline(
        "create_debounce",
        "tb.create_debounce('node', '5ms', { key = 'n' })",
        Out::Each,
        None,
    ),
    pipeline(
        "create_debounce",
        "tb.create_debounce('node', '5ms')",
        Out::Some,
        None,
    ),
    pipeline(
        "create_delay",
        "tb.create_delay('node', '5ms')",
        Out::Each,
        None,
    ),
    pipeline(
        "create_sample",
        "tb.create_sample('node', '5ms', { key = 'n' })",
        Out::Each,
        None,
    ),
    pipeline(
        "create_sample",
        "tb.create_sample('node', '5ms')",
        Out::Some,
        None,
    ),
    pipeline(
        "create_throttle",
        "tb.create_throttle('node', 100, '1s', { key = 'n' })",
        Out::Each,
        None,
    ),
    pipeline(
        "create_throttle",
        "tb.create_throttle('node', 5, '1h')",
        Out::Some,
        None,
    ),
    pipeline(
        "create_queue",
        "tb.create_queue('node', '%/queue')",
        Out::Each,
        None,
    ),
    pipeline(
        "create_map",
        "tb.create_map('node', function(e) assert(not e.data.bad) return { n = e.data.n } end)",
        Out::Each,
        BAD,
    ),
    pipeline(
        "create_filter_fn",
        "tb.create_filter_fn('node', function(e) assert(not e.data.bad) return true end)",
        Out::Each,
        BAD,
    ),
    pipeline(
        "create_flat_map",
        "tb.create_flat_map('node', function(e, emit) assert(not e.data.bad) emit(e) end)",
        Out::Each,
        BAD,
    ),
    pipeline(
        "create_route",
        "tb.create_route('node', { even = function(e) assert(not e.data.bad) return true end })",
        Out::Each,
        BAD,
    ),
    pipeline(
        "create_process",
        "tb.create_process('node', { key = 'n', init = function() return { } end,
             process = function(e, emit, state) assert(not e.data.bad) emit({ n = e.data.n }) end })",
        Out::Each,
        BAD,
    ),
    pipeline(
        "create_process",
        "tb.create_process('node', { process = function(e, emit) assert(not e.data.bad) emit(e) end })",
        Out::Each,
        BAD,
    ),
    pipeline(
        "create_window",
        "tb.create_window('node', 'ev')",
        Out::Each,
        BAD_ROW,
    ),
    pipeline(
        "query_window",
        "tb.query_window('node', 'select 1 as n')",
        Out::Answers,
        None,
    ),
    pipeline(
        "sliding_window_time",
        "tb.sliding_window_time('node', 'answers', 'select n from ev where n = :n', 'ev', '1h', 't')",
        Out::Each,
        BAD_ROW,
    ),
    pipeline(
        "sliding_window_count",
        "tb.sliding_window_count('node', 'answers', 'select n from ev where n = :n', 'ev', 10)",
        Out::Each,
        BAD_ROW,
    ),
    pipeline(
        "window",
        "tb.window('node', 'answers', { table = 'ev', size = '1h', time = 't', emit = 'touched',
             query = 'select n, count(*) as c from ev group by n' })",
        Out::Each,
        BAD_ROW,
    ),
    pipeline(
        "window",
        "tb.window('node', 'answers', { table = 'ev', size = '1h', time = 't', emit = 'changes',
             query = 'select n, count(*) as c from ev group by n' })",
        Out::Each,
        BAD_ROW,
    ),
    pipeline(
        "window",
        "tb.window('node', 'answers', { table = 'ev', size = '1h', time = 't', emit = 'enter',
             plan = 'requery', query = 'select n, count(*) as c from ev group by n' })",
        Out::Each,
        BAD_ROW,
    ),
    pipeline(
        "session_window",
        "tb.session_window('node', 'answers', 'select n, count(*) as c from ev group by n', 'ev', '1s', 't')",
        Out::Answers,
        BAD_ROW,
    ),
    pipeline(
        "tumbling_window",
        "tb.tumbling_window('node', 'answers', 'select n, count(*) as c from ev group by n', 'ev', '1h', 't')",
        Out::Answers,
        BAD_ROW,
    ),
    pipeline(
        "hopping_window",
        "tb.hopping_window('node', 'answers', 'select n, count(*) as c from ev group by n', 'ev', '1h', '30m', 't')",
        Out::Answers,
        BAD_ROW,
    ),
];

impl Pipeline {
    fn build(&self, place: &Place, arrived: &Arrived, more: &str) -> Result<Network> {
        let out = match self.function {
            "create_route" => "node.even",
            _ if self.script.contains("'answers'") => "answers",
            _ => "node",
        };
        let table = if self.script.contains("'ev'") {
            TABLE
        } else {
            ""
        };
        let script = format!(
            "{table}{}\ntb.link('in', 'node') tb.link('{out}', 'seen')\n{more}",
            self.script
        );
        place.build(&script, |network| arrived.add_to(network))
    }
}

/// Runs a claim over every pipeline; all that are wrong are named.
fn over_all(claim: impl Fn(&Pipeline) -> std::result::Result<(), String> + Sync) {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let half = PIPELINES.len().div_ceil(4);
        let runs: Vec<_> = PIPELINES
            .chunks(half)
            .map(|some| {
                let claim = &claim;
                scope.spawn(move || {
                    let wrong = some.iter().filter_map(|pipeline| {
                        let error = claim(pipeline).err()?;
                        Some(format!("{}: {error}\n", pipeline.script))
                    });
                    wrong.collect::<Vec<_>>()
                })
            })
            .collect();
        runs.into_iter()
            .flat_map(|run| run.join().expect("no panic"))
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

fn text(error: tributary::Error) -> String {
    error.to_string()
}

fn check(holds: bool, error: impl FnOnce() -> String) -> std::result::Result<(), String> {
    if holds { Ok(()) } else { Err(error()) }
}

#[test]
fn behind_every_pipeline_a_network_ends_by_itself_with_its_place_at_the_end() {
    over_all(|pipeline| {
        let (place, arrived) = (Place::with(MANY, &[]), Arrived::default());
        let network = pipeline.build(&place, &arrived, "").map_err(text)?;
        ends(&network).map_err(text)?;
        check(place.is_at_the_end(), || "its place is not the end".into())?;
        let got = arrived.counts();
        let each = match pipeline.out {
            Out::Each | Out::Together => got == counts(place.ids.iter().copied()),
            Out::Some => !got.is_empty() && got.values().all(|times| *times == 1),
            Out::Answers => true,
        };
        check(each, || format!("{got:?}"))
    });
}

#[test]
fn behind_every_pipeline_an_event_that_failed_once_is_delivered_at_another_attempt() {
    over_all(|pipeline| {
        let (place, arrived) = (Place::with(MANY, &[]), Arrived::refusing(1));
        let network = pipeline.build(&place, &arrived, "").map_err(text)?;
        ends(&network).map_err(text)?;
        check(place.is_at_the_end(), || "its place is not the end".into())?;
        let got = arrived.counts();
        let once = |id: &i64| got.get(id) == Some(&1);
        let is_right = match pipeline.out {
            Out::Each => place.ids.iter().all(once),
            Out::Together => place.ids.iter().all(|id| got.contains_key(id)),
            Out::Some | Out::Answers => true,
        };
        check(is_right, || format!("{got:?}"))
    });
}

#[test]
fn behind_every_pipeline_an_event_that_always_fails_goes_to_the_dead_letters() {
    over_all(|pipeline| {
        let (place, arrived) = (Place::with(MANY, &[]), Arrived::refusing(usize::MAX));
        let letters =
            "tb.create_dlq('letters', { path = '%/letters' }) tb.on_error('*', 'letters')";
        let network = pipeline.build(&place, &arrived, letters).map_err(text)?;
        ends(&network).map_err(text)?;
        check(place.is_at_the_end(), || "its place is not the end".into())?;
        let (got, letters) = (arrived.counts(), place.letters().map_err(text)?);
        let all: BTreeSet<i64> = got.keys().chain(&letters).copied().collect();
        let is_right = match pipeline.out {
            Out::Each => letters == [REFUSED] && got.len() + 1 == place.ids.len(),
            Out::Together => letters.contains(&REFUSED) && all == place.ids,
            Out::Some | Out::Answers => true,
        };
        check(is_right, || format!("{got:?}, letters {letters:?}"))
    });
}

#[test]
fn an_event_that_a_pipeline_refuses_goes_to_the_dead_letters() {
    over_all(|pipeline| {
        let Some(bad) = pipeline.refuses else {
            return Ok(());
        };
        let (place, arrived) = (Place::with(5, &[bad]), Arrived::default());
        let letters =
            "tb.create_dlq('letters', { path = '%/letters' }) tb.on_error('*', 'letters')";
        let network = pipeline.build(&place, &arrived, letters).map_err(text)?;
        ends(&network).map_err(text)?;
        check(place.is_at_the_end(), || "its place is not the end".into())?;
        let letters = place.letters().map_err(text)?;
        check(letters == [REFUSED], || format!("letters {letters:?}"))
    });
}

#[test]
fn an_event_that_failed_is_not_dropped_when_it_comes_again() {
    for script in [
        "tb.create_filter('node', '1h', { by = { 'n' } })",
        "tb.create_changed('node', { by = { 'n' } })",
        "tb.create_throttle('node', 1, '1h')",
        "tb.create_ratelimit('node', '1h')",
    ] {
        let mut place = Place::with(0, &[r#"{"n":13}"#]);
        place.ids.insert(REFUSED);
        let arrived = Arrived::refusing(2);
        let links = "tb.link('in', 'node') tb.link('node', 'seen')";
        let script = format!("{script}\n{links}");
        let network = place.build(&script, |network| arrived.add_to(network));
        ends(&network.expect("a network")).expect("it ends");
        assert_eq!(arrived.counts(), counts([REFUSED]), "{script}");
    }
}

#[test]
fn behind_every_pipeline_a_stop_in_the_middle_loses_nothing() {
    over_all(|pipeline| {
        let place = Place::with(600, &[]);
        let mut arrived = Arrived {
            pause: Duration::from_micros(200),
            ..Arrived::default()
        };
        let network = pipeline.build(&place, &arrived, "").map_err(text)?;
        network.start().map_err(text)?;
        match pipeline.out {
            Out::Each | Out::Together => {
                let _ = soon(|| {
                    arrived.ids().len() > 100 || network.wait_timeout(Duration::ZERO).is_some()
                });
            }
            // Nothing shows how far it is: the stop comes at any moment.
            Out::Some | Out::Answers => std::thread::sleep(Duration::from_millis(20)),
        }
        network.stop().map_err(text)?;
        arrived.pause = Duration::ZERO;
        let network = pipeline.build(&place, &arrived, "").map_err(text)?;
        ends(&network).map_err(text)?;
        check(place.is_at_the_end(), || "its place is not the end".into())?;
        let got: BTreeSet<i64> = arrived.ids().into_iter().collect();
        let is_right = matches!(pipeline.out, Out::Some | Out::Answers) || got == place.ids;
        check(is_right, || {
            let lost: Vec<_> = place.ids.difference(&got).take(9).collect();
            format!("lost {} events: {lost:?}", place.ids.len() - got.len())
        })
    });
}
