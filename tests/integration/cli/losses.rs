//! What the log says of events that nobody gets: a few lines, and one at the end with the counts.

use crate::support::binary::Site;
use std::error::Error;

type Tested = Result<(), Box<dyn Error>>;

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

const REJECTS: &str = "\
local tb = require('tributary')
tb.create_map('m', function(e) return e.data.nope.x end)
tb.chain('in', 'm', 'out')
";

#[test]
fn a_flood_of_rejected_events_is_a_few_lines_in_a_replay_and_in_a_run() -> Tested {
    // An hour of virtual time between two events.
    let input = lines(20_000, |n| format!("{{\"at\":{}}}", n * 3_600));
    let site = Site::with(&[("net.lua", REJECTS), ("in.jsonl", &input)])?;
    let ends = ["--input", "in=in.jsonl", "--output", "out=-"];
    let calls = [
        &["replay", "net.lua", "--time", "at"][..],
        &["run", "net.lua"],
    ];
    for call in calls {
        let done = site.call(&[call, &ends[..]].concat())?;
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""));
        let lines: Vec<&str> = done.stderr.lines().collect();
        assert!(lines.len() <= 60, "{} lines", lines.len());
        let rest = lines
            .iter()
            .rev()
            .find(|line| line.contains("more like it"));
        assert!(rest.is_some(), "{}", done.stderr);
        let last = lines.last().ok_or("no line")?;
        let named = "events not delivered in this run: node m: 20000 rejected (";
        assert!(last.contains(named), "{last}");
        assert!(last.contains("nope"), "{last}");
    }
    Ok(())
}

#[test]
fn what_is_led_somewhere_or_dropped_on_purpose_is_not_mentioned() -> Tested {
    let network = "\
local tb = require('tributary')
tb.create_map('m', function(e) if e.data.n == 3 then error('three') end return e end)
tb.create_filter('once', '1h')
tb.create_ratelimit('limit', '1h')
tb.create_filter_fn('none', function(e) return false end)
tb.create_discarder('bad')
tb.chain('in', 'm', 'once', 'limit', 'out')
tb.chain('limit', 'none', 'bad')
tb.link('m.errors', 'bad')
";
    let site = Site::with(&[
        ("net.lua", network),
        ("in.jsonl", &lines(9, |n| format!("{{\"n\":{}}}", n % 5))),
    ])?;
    let args = [
        "run",
        "net.lua",
        "--input",
        "in=in.jsonl",
        "--output",
        "out=-",
    ];
    site.call(&args)?.expect(0, "{\"n\":0}\n", "");
    Ok(())
}

#[test]
fn late_events_without_a_listener_are_one_warning_with_the_port_and_counted_at_the_end() -> Tested {
    let network = "\
local tb = require('tributary')
tb.create_table('rows', {columns = {at = 'integer'}})
tb.tumbling_window('w', 'answers', 'select count(*) as n from rows', 'rows', '10s', 'at')
tb.link('in', 'w')
tb.link('answers', 'out')
";
    let network = network.replace(
        "tb.tumbling_window('w', 'answers', 'select count(*) as n from rows', 'rows', '10s', 'at')",
        "tb.window('w', 'answers', {table = 'rows', query = 'select count(*) as n from rows', \
         time = 'at', size = '10s', slide = '10s', clock = 'event', emit = 'close'})",
    );
    let input = "{\"at\":1000}\n{\"at\":5}\n{\"at\":6}\n{\"at\":7}\n";
    let site = Site::with(&[("net.lua", &network), ("in.jsonl", input)])?;
    let args = [
        "run",
        "net.lua",
        "--input",
        "in=in.jsonl",
        "--output",
        "out=-",
    ];
    let done = site.call(&args)?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    // That the times are far from the clock is another warning.
    let lines = done.stderr.lines();
    let lines: Vec<&str> = lines.filter(|line| line.contains("late")).collect();
    assert_eq!(lines.len(), 2, "{}", done.stderr);
    assert!(
        lines[0].contains("port w.late is not linked"),
        "{}",
        lines[0]
    );
    let named = "events not delivered in this run: node w: 3 dropped (late)";
    assert!(lines[1].contains(named), "{}", lines[1]);
    Ok(())
}

#[test]
fn a_map_that_returns_nothing_for_every_event_is_one_warning() -> Tested {
    for (function, warns) in [
        ("function(e) e.data.x = 1 end", true),
        ("function(e) if e.data.n > 3 then return e end end", false),
    ] {
        let network = format!(
            "local tb = require('tributary')\ntb.create_map('m', {function})\ntb.chain('in', 'm', 'out')\n"
        );
        let site = Site::with(&[
            ("net.lua", &network),
            ("in.jsonl", &lines(5, |n| format!("{{\"n\":{n}}}"))),
        ])?;
        let args = [
            "run",
            "net.lua",
            "--input",
            "in=in.jsonl",
            "--output",
            "out=-",
        ];
        let done = site.call(&args)?;
        assert_eq!(done.code, Some(0));
        let message = "node m (net.lua:2): the function returned nothing for any of 5 events";
        assert_eq!(done.stderr.contains(message), warns, "{}", done.stderr);
        assert_eq!(
            done.stderr.lines().count(),
            usize::from(warns),
            "{}",
            done.stderr
        );
    }
    Ok(())
}

#[test]
fn an_answer_with_too_many_rows_is_counted_at_the_end() -> Tested {
    let network = "\
local tb = require('tributary')
tb.create_table('rows', {columns = {at = 'integer', k = 'integer'}})
tb.window('w', 'answers', {table = 'rows', query = 'select k, count(*) as n from rows group by k',
    time = 'at', size = '10s', slide = '10s', clock = 'event', emit = 'close'})
tb.link('in', 'w')
tb.link('answers', 'out')
";
    let input = lines(30, |n| format!("{{\"at\":5,\"k\":{n}}}"));
    let site = Site::with(&[("net.lua", network), ("in.jsonl", &input)])?;
    let args = [
        "run",
        "net.lua",
        "--query-rows",
        "20",
        "--input",
        "in=in.jsonl",
        "--output",
        "out=-",
    ];
    let done = site.call(&args)?;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), ""),
        "{}",
        done.stderr
    );
    let last = done.stderr.lines().last().ok_or("no line")?;
    assert!(
        last.contains("events not delivered in this run: node answers: 1 rejected (")
            || last.contains("events not delivered in this run: node w: 1 rejected ("),
        "{last}"
    );
    assert!(last.contains("20 rows"), "{last}");
    Ok(())
}
