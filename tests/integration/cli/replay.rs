//! `tributary replay`: recorded events under virtual time, through the binary.

use crate::support::binary::{Done, Site};
use std::error::Error;
use std::time::{Duration, Instant};

type Tested = Result<(), Box<dyn Error>>;

const COPY: &str = "require('tributary').link('in', 'out')\n";
const MERGE: &str = "require('tributary').fanin('out', 'a', 'b')\n";
const TO_OUT: [&str; 2] = ["--output", "out=-"];

fn replay<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["replay", "net.lua", "--time", "t"], &TO_OUT[..], more].concat()
}

#[test]
fn inputs_are_merged_by_time_and_ties_go_in_the_order_of_the_flags() -> Tested {
    let site = Site::with(&[
        ("net.lua", MERGE),
        ("a.jsonl", "{\"t\":1,\"a\":1}\n{\"t\":3,\"a\":2}\n"),
        (
            "b.jsonl",
            "{\"t\":1,\"b\":1}\n{\"t\":2,\"b\":2}\n{\"t\":3,\"b\":3}",
        ),
    ])?;
    let (a, b) = (["--input", "a=a.jsonl"], ["--input", "b=b.jsonl"]);
    let a_first = "{\"t\":1,\"a\":1}\n{\"t\":1,\"b\":1}\n{\"t\":2,\"b\":2}\n\
                   {\"t\":3,\"a\":2}\n{\"t\":3,\"b\":3}\n";
    let b_first = "{\"t\":1,\"b\":1}\n{\"t\":1,\"a\":1}\n{\"t\":2,\"b\":2}\n\
                   {\"t\":3,\"b\":3}\n{\"t\":3,\"a\":2}\n";
    site.call(&replay(&[a, b].concat()))?.expect(0, a_first, "");
    site.call(&replay(&[b, a].concat()))?.expect(0, b_first, "");
    let stdin = site.feed(&replay(&[a, ["--input", "b=-"]].concat()), "{\"t\":2}\n")?;
    stdin.expect(0, "{\"t\":1,\"a\":1}\n{\"t\":2}\n{\"t\":3,\"a\":2}\n", "");
    Ok(())
}

/// A day of events, one in 20 seconds, of which each is there twice within ten.
fn day() -> (String, String) {
    let (mut all, mut once) = (String::new(), String::new());
    for n in 0..4_320 {
        let line = |at: i64| format!("{{\"t\":{},\"id\":7}}\n", 1_764_000_000 + 20 * n + at);
        all += &line(0);
        all += &line(9);
        once += &line(0);
    }
    (all, once)
}

#[test]
fn a_filter_over_a_day_ends_at_once_and_prints_the_same_twice() -> Tested {
    let (all, once) = day();
    let network = "\
local tb = require('tributary')
tb.create_filter('once', '10s', {by = {'id'}})
tb.chain('in', 'once', 'out')
";
    let site = Site::with(&[("net.lua", network), ("in.jsonl", &all)])?;
    let begun = Instant::now();
    let args = replay(&["--input", "in=in.jsonl"]);
    for _ in 0..2 {
        let done = site.call(&args)?;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
        assert!(done.stdout == once, "{:.200}", done.stdout);
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    Ok(())
}

#[test]
fn a_ticker_ticks_and_a_window_slides_at_the_instants_of_the_data() -> Tested {
    let network = "\
local tb = require('tributary')
tb.create_table('bets', {columns = {t = 'integer'}})
tb.sliding_window_time('window', 'answers',
    'select count(*) as n, unix_timestamp() as now from bets where t > unix_timestamp() - 10',
    'bets', '10s', 't')
tb.create_ticker('ticker', '30s')
tb.link('in', 'window')
tb.fanin('out', 'answers', 'ticker')
";
    let lines = "{\"t\":1000}\n{\"t\":1005}\n{\"t\":1012}\n{\"t\":1040}\n{\"t\":1061}\n";
    let site = Site::with(&[("net.lua", network), ("in.jsonl", lines)])?;
    let wanted = "\
{\"n\":1,\"now\":1000}
{\"n\":2,\"now\":1005}
{\"n\":2,\"now\":1012}
{\"tick\":1,\"time\":\"1970-01-01T00:17:10Z\"}
{\"n\":1,\"now\":1040}
{\"tick\":2,\"time\":\"1970-01-01T00:17:40Z\"}
{\"n\":1,\"now\":1061}
";
    let args = replay(&["--input", "in=in.jsonl", "--db", "sqlite:t.db"]);
    site.call(&args)?.expect(0, wanted, "");
    Ok(())
}

#[test]
fn a_bad_line_is_reported_in_its_place_and_counted() -> Tested {
    let lines = "{\"t\":1}\n\n{broken\n \n{\"t\":\"soon\"}\n{}\n{\"t\":2}\n";
    let site = Site::with(&[("net.lua", COPY), ("in.jsonl", lines)])?;
    let args = replay(&["--input", "in=in.jsonl", "--stats"]);
    let done = site.call(&args)?;
    assert_eq!(done.code, Some(0));
    assert_eq!(done.stdout, "{\"t\":1}\n{\"t\":2}\n");
    // A line a second, of the network's time, is logged.
    let warned = "WARN ] node in: event rejected: in.jsonl:3: malformed JSON at byte 1: \
                  key must be a string, near \"broken\": \"{broken\"";
    assert!(done.stderr.contains(warned), "{}", done.stderr);
    let refused: Vec<&str> = done
        .stderr
        .lines()
        .filter(|line| line.starts_with("in  "))
        .flat_map(str::split_whitespace)
        .collect();
    assert_eq!(refused[5], "3", "{}", done.stderr);
    // Where somebody listens, they go there, in their place.
    let linked = format!("{COPY}require('tributary').link('in.errors', 'out')\n");
    let site = Site::with(&[("net.lua", &linked), ("in.jsonl", lines)])?;
    let args = replay(&["--input", "in=in.jsonl"]);
    let not_blank = lines.replace("\n\n", "\n").replace(" \n", "");
    site.call(&args)?.expect(0, &not_blank, "");
    Ok(())
}

#[test]
fn times_are_whole_or_real_seconds_or_text_and_may_be_out_of_order() -> Tested {
    let network = "\
local tb = require('tributary')
tb.create_ratelimit('limit', '500ms')
tb.chain('in', 'limit', 'out')
";
    let cases = [
        // Late ones are of the clock's instant: too soon.
        (
            "{\"t\":10}\n{\"t\":1}\n{\"t\":10}\n{\"t\":11}\n",
            "{\"t\":10}\n{\"t\":11}\n",
        ),
        (
            "{\"t\":1.25}\n{\"t\":1.749999}\n{\"t\":1.75}\n",
            "{\"t\":1.25}\n{\"t\":1.75}\n",
        ),
        (
            "{\"t\":\"2025-11-24T16:00:00.1Z\"}\n{\"t\":\"2025-11-24T17:00:00.4+01:00\"}\n\
             {\"t\":1764000000.6}\n",
            "{\"t\":\"2025-11-24T16:00:00.1Z\"}\n{\"t\":1764000000.6}\n",
        ),
    ];
    for (lines, wanted) in cases {
        let site = Site::with(&[("net.lua", network), ("in.jsonl", lines)])?;
        let args = replay(&["--input", "in=in.jsonl"]);
        site.call(&args)?.expect(0, wanted, "");
    }
    Ok(())
}

#[test]
fn a_source_of_the_script_is_read_under_virtual_time_too() -> Tested {
    let network = "\
local tb = require('tributary')
tb.create_file_source('known', 'known.jsonl')
tb.fanin('out', 'known', 'in')
";
    let site = Site::with(&[
        ("net.lua", network),
        ("known.jsonl", "1\n2\n"),
        ("in.jsonl", "{\"t\":1}\n"),
    ])?;
    let args = replay(&["--input", "in=in.jsonl"]);
    site.call(&args)?.expect(0, "1\n2\n{\"t\":1}\n", "");
    Ok(())
}

#[test]
fn what_is_wrong_ends_in_the_codes_of_run() -> Tested {
    let site = Site::with(&[
        ("net.lua", COPY),
        ("typo.lua", "require('tributary').link('in', 'otu')\n"),
        ("in.jsonl", "{\"t\":1}\n"),
    ])?;
    let missing = "tributary: --input in=none.jsonl: node in: \"none.jsonl\": \
                   no such file or directory\n";
    site.call(&replay(&["--input", "in=none.jsonl"]))?
        .expect(66, "", missing);
    for (given, wanted) in [
        (&["--input", "in=in.jsonl"][..], "--time <FIELD>"),
        (&["--time", "t"], "--input <NODE=FILE>"),
    ] {
        let done = site.call(&[&["replay", "net.lua"], &TO_OUT[..], given].concat())?;
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
        let message = "error: the following required arguments were not provided:";
        assert!(done.stderr.starts_with(message), "{}", done.stderr);
        assert!(done.stderr.contains(wanted), "{}", done.stderr);
    }
    let typo = [
        "replay",
        "typo.lua",
        "--time",
        "t",
        "--input",
        "in=in.jsonl",
    ];
    site.call(&[&typo[..], &TO_OUT].concat())?.expect(
        65,
        "",
        "tributary: typo.lua:1: no target node \"otu\"\n  hint: did you mean \"out\"?\n",
    );
    let alone = format!("{COPY}require('tributary').create_forwarder('alone')\n");
    let site = Site::with(&[("net.lua", &alone), ("in.jsonl", "{\"t\":1}\n")])?;
    let args = replay(&["--input", "in=in.jsonl"]);
    let unlinked = "net.lua:2: node alone is not linked to anything";
    site.call(&args)?
        .expect(0, "{\"t\":1}\n", &format!("[… WARN …] {unlinked}"));
    site.call(&[&args[..], &["--strict"]].concat())?.expect(
        65,
        "",
        &format!("tributary: {unlinked}\n"),
    );
    Ok(())
}

#[test]
fn no_bar_is_drawn_in_a_pipe_and_the_end_is_logged_if_that_is_set() -> Tested {
    let (all, _) = day();
    let site = Site::with(&[("net.lua", COPY), ("in.jsonl", &all)])?;
    let args = replay(&["--input", "in=in.jsonl"]);
    site.call(&args)?.expect(0, &all, "");
    let done = site.call(&[&args[..], &["-v"]].concat())?;
    let end = "INFO ] ended: 8640 events, at 2025-11-25T15:59:49Z\n";
    assert!(done.stderr.ends_with(end), "{}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    Ok(())
}

#[test]
fn a_bar_is_drawn_on_a_terminal_and_gone_at_the_end() -> Tested {
    let (all, _) = day();
    let site = Site::with(&[("net.lua", COPY), ("in.jsonl", &all)])?;
    // util-linux's script gives what it runs a terminal.
    let script = "exec script --quiet --return --command \"$0 $*\" /dev/null";
    let args = "replay net.lua --time t --input in=in.jsonl --output out=out.jsonl";
    let args: Vec<&str> = args.split(' ').collect();
    let mut command = site.command_by(&["sh", "-c", script], &args);
    command.env("TERM", "xterm");
    let done = Done::fed(command, "")?;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert_eq!(site.read("out.jsonl")?, all);
    let bar = done.stdout.rfind("events/s, 2025-11-2");
    let cleared = done.stdout.rfind("\u{1b}[2K");
    assert!(bar.is_some() && cleared > bar, "{:?}", done.stdout);
    Ok(())
}

#[test]
fn help_describes_inputs_and_the_time() -> Tested {
    let done = Site::new()?.call(&["replay", "--help"])?;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    for message in [
        "Usage: tributary replay [OPTIONS] --time <FIELD> --input <NODE=FILE> <SCRIPT>...",
        "unix seconds",
        "each at its time",
        "equal times in the order of the inputs",
    ] {
        let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            text.contains(message),
            "{message:?} is not in:\n{}",
            done.stdout
        );
    }
    assert!(!done.stdout.contains("--buffer"), "{}", done.stdout);
    Ok(())
}

#[test]
fn a_window_that_asks_again_for_most_of_the_time_is_named() -> Tested {
    let window = |plan: &str, query: &str| {
        format!(
            "local tb = require('tributary')
             tb.create_table('rows', {{ columns = {{ t = 'integer' }} }})
             tb.window('w', 'totals', {{ table = 'rows', time = 't', size = '1h', plan = '{plan}', query = '{query}' }})
             tb.link('in', 'w') tb.link('totals', 'out')"
        )
    };
    // Each event costs the square of the rows before it.
    let slow = window("requery", "select count(*) as n from rows as a, rows as b");
    let fast = window("incremental", "select count(*) as n from rows");
    let lines: String = (0..700).map(|t| format!("{{\"t\":{t}}}\n")).collect();
    for (script, is_named) in [(slow, true), (fast, false)] {
        let site = Site::with(&[("net.lua", &script), ("in.jsonl", &lines)])?;
        let done = site.call(&replay(&["--input", "in=in.jsonl"]))?;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let named: Vec<&str> = done
            .stderr
            .lines()
            .filter(|line| line.contains("plan requery"))
            .collect();
        assert_eq!(named.len(), usize::from(is_named), "{}", done.stderr);
        for line in named {
            let share = line
                .split_once("WARN ] node w: plan requery, ")
                .and_then(|(_, rest)| rest.split_once(" % "));
            let (share, rest) = share.ok_or(line)?;
            let share: f64 = share.parse()?;
            assert!((50.0..=100.0).contains(&share), "{line}");
            assert_eq!(rest, "of the time; `tributary explain` shows why");
        }
    }
    Ok(())
}
