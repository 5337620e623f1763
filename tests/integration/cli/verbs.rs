//! The binary as a person uses it: its verbs, what they print, and how they end.

use crate::lua::script::SCRIPTED;
use crate::support::binary::{Done, Site};
use std::error::Error;
use std::process::Stdio;

type Tested = Result<(), Box<dyn Error>>;

/// Copies lines from `in` to `out`, which the command line adds.
pub const COPY: &str = "require('tributary').link('in', 'out')\n";

/// Copies standard input to standard output.
pub const STREAMS: &str = "\
local tb = require('tributary')
tb.create_stdin('in')
tb.create_stdout('out')
tb.link('in', 'out')
";

#[test]
fn lines_run_through_a_network_which_ends_by_itself() -> Tested {
    let site = Site::with(&[("net.lua", STREAMS)])?;
    let lines = "{\"a\":1}\n2\n\"three\"\n";
    site.feed(&["run", "net.lua"], lines)?.expect(0, lines, "");
    site.feed(&["run", "net.lua"], "1\n2")?
        .expect(0, "1\n2\n", "");
    site.call(&["run", "net.lua"])?.expect(0, "", "");
    Ok(())
}

#[test]
fn input_and_output_add_the_nodes_that_a_host_would_have_added() -> Tested {
    let site = Site::with(&[
        ("net.lua", COPY),
        ("in.jsonl", "1\n2\n"),
        ("out.jsonl", "old\n"),
    ])?;
    let (file_in, file_out) = (["--input", "in=in.jsonl"], ["--output", "out=out.jsonl"]);
    let run = |more: &[&str], text| site.feed(&[&["run", "net.lua"], more].concat(), text);
    run(&[file_in, file_out].concat(), "")?.expect(0, "", "");
    assert_eq!(
        site.read("out.jsonl")?,
        "1\n2\n",
        "what was there is overwritten"
    );
    run(&[file_in, ["--output", "out=-"]].concat(), "")?.expect(0, "1\n2\n", "");
    run(&[["--input", "in=-"], file_out].concat(), "3\n")?.expect(0, "", "");
    assert_eq!(site.read("out.jsonl")?, "3\n");
    Ok(())
}

#[test]
fn several_scripts_build_one_network_in_their_order() -> Tested {
    let site = Site::with(&[
        (
            "a.lua",
            "local tb = require('tributary') tb.create_stdin('in')",
        ),
        (
            "b.lua",
            "local tb = require('tributary') tb.create_stdout('out') tb.link('in', 'out')",
        ),
    ])?;
    site.feed(&["run", "a.lua", "b.lua"], "1\n")?
        .expect(0, "1\n", "");
    site.call(&["run", "b.lua", "a.lua"])?.expect(
        65,
        "",
        "tributary: b.lua:1: no source node \"in\"\n  \
         hint: --input NODE=FILE adds a node from outside the scripts",
    );
    Ok(())
}

#[test]
fn a_word_that_is_a_node_is_explained_whatever_lies_in_the_directory() -> Tested {
    let net = "\
local tb = require('tributary')
tb.create_table('things', { key = 'k', columns = { k = 'text', t = 'integer' } })
for _, name in ipairs { 'one', 'two', 'three' } do
    tb.window(name, name .. '_out', {
        table = 'things', time = 't', size = '10s', query = 'select count(*) as n from things',
    })
end
";
    let more = "require('tributary').create_forwarder('four')\n";
    let site = Site::with(&[("net.lua", net), ("two", more), ("more.lua", more)])?;
    std::fs::create_dir(site.path("one"))?;
    let explained = |args: &[&str]| -> Result<Vec<String>, Box<dyn Error>> {
        let done = site.call(&[&["explain"], args].concat())?;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{args:?}");
        let names = done.stdout.lines().filter(|line| !line.starts_with(' '));
        Ok(names
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect())
    };
    assert_eq!(explained(&["net.lua"])?, ["one", "three", "two"]);
    for node in ["one", "two", "three"] {
        assert_eq!(explained(&["net.lua", node])?, [node]);
        assert_eq!(explained(&["net.lua", "more.lua", node])?, [node]);
    }
    // Scripts are scripts, if no node is called so.
    assert_eq!(
        explained(&["net.lua", "more.lua"])?,
        ["one", "three", "two"]
    );
    assert_eq!(explained(&["net.lua", "./two"])?, ["one", "three", "two"]);
    site.call(&["explain", "net.lua", "more.lua", "four"])?
        .expect(
            65,
            "",
            "tributary: no window \"four\"\n  hint: the windows are one, two, three",
        );
    site.call(&["explain", "net.lua", "tow"])?.expect(
        65,
        "",
        "tributary: no window \"tow\"\n  hint: did you mean \"two\"?",
    );
    Ok(())
}

#[test]
fn a_network_without_an_end_runs_for_the_time_it_is_given() -> Tested {
    let site = Site::with(&[("network.lua", SCRIPTED)])?;
    let done = site.call(&["run", "network.lua", "--for", "1200ms"])?;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    // The first tick passes both branches; how many follow is the machine's affair.
    assert!(done.stdout.starts_with("..") && done.stdout.trim_matches('.').is_empty());
    Ok(())
}

#[test]
fn the_seeds_listing_prints_its_thirteen_functions() -> Tested {
    let listing = r#"local tb = require("tributary")

print("functions:")
for i,v in pairs(tb) do
    if type(v) == "function" then
        print(i)
    end
end
"#;
    let seed = [
        "sliding_window_time",
        "create_filter",
        "node_exists",
        "fanin",
        "create_ratelimit",
        "create_tester",
        "create_window",
        "query_window",
        "link",
        "fanout",
        "create_ticker",
        "create_forwarder",
        "create_discarder",
    ];
    let site = Site::with(&[("list.lua", listing)])?;
    let done = site.call(&["check", "list.lua"])?;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let listed: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(listed.first(), Some(&"functions:"));
    let described = site.call(&["functions"])?;
    assert_eq!((described.code, described.stderr.as_str()), (Some(0), ""));
    for name in seed {
        assert!(listed.contains(&name), "{name} is not listed");
    }
    // What `functions` describes is what there is.
    for name in &listed[1..listed.len() - 1] {
        let call = format!("{name}(");
        let at = described
            .stdout
            .lines()
            .position(|line| line.starts_with(&call));
        let about = at.and_then(|at| described.stdout.lines().nth(at + 1));
        assert!(
            about.is_some_and(|line| line.trim().len() > 10),
            "{name} is not described"
        );
    }
    assert_eq!(described.stdout.lines().count(), 2 * (listed.len() - 2));
    Ok(())
}

#[test]
fn check_names_what_is_not_linked_and_touches_nothing() -> Tested {
    let text = "\
local tb = require('tributary')
tb.create_ticker('ticker', '1s')
tb.create_table('t', {columns = {at = 'integer'}})
tb.create_window('stored', 't')
tb.query_window('asked', 'select count(*) as n from t')
tb.create_file_sink('out', 'out.jsonl')
tb.link('stored', 'asked')
";
    let site = Site::with(&[("net.lua", text)])?;
    let args = ["check", "net.lua", "--db", "sqlite:t.db"];
    let warnings = "net.lua:2: node ticker has no output: what leaves it goes nowhere\n\
                    net.lua:4: node stored has no input: nothing is linked to it\n\
                    net.lua:5: node asked has no output: what leaves it goes nowhere\n\
                    net.lua:6: node out has no input: nothing is linked to it\n";
    let shown = warnings.replace("net.lua", "warning: net.lua");
    site.call(&args)?
        .expect(0, &format!("{shown}ok: 4 nodes, 1 link\n"), "");
    site.call(&[&args[..], &["--strict"]].concat())?.expect(
        65,
        "",
        &format!("tributary: {warnings}"),
    );
    let strict = ["run", "net.lua", "--strict", "--for", "1s"];
    site.call(&strict)?
        .expect(65, "", &format!("tributary: {warnings}"));
    assert!(!site.path("out.jsonl").exists());
    let database = tributary::Database::open(&format!("sqlite:{}", site.path("t.db").display()))?;
    assert!(
        database.prepare("select * from t").is_err(),
        "check made a table"
    );
    Ok(())
}

#[test]
fn run_warns_of_what_is_not_linked() -> Tested {
    let text = format!("{STREAMS}tb.create_forwarder('alone')\n");
    let site = Site::with(&[("net.lua", text.as_str())])?;
    site.feed(&["run", "net.lua"], "1\n")?.expect(
        0,
        "1\n",
        "[… WARN …] net.lua:5: node alone is not linked to anything",
    );
    Ok(())
}

#[test]
fn graph_draws_in_three_formats() -> Tested {
    let site = Site::with(&[("net.lua", STREAMS)])?;
    for (format, begins, ends) in [
        ("dot", "digraph", "}\n"),
        ("svg", "<svg", "</svg>\n"),
        ("mermaid", "flowchart", "\n"),
    ] {
        let done = site.call(&["graph", "net.lua", "--format", format])?;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
        let drawn = &done.stdout;
        assert!(
            drawn.starts_with(begins) && drawn.ends_with(ends),
            "{format}: {drawn}"
        );
    }
    let same = site.call(&["graph", "net.lua"])?;
    assert_eq!(
        same.stdout,
        site.call(&["graph", "net.lua", "--format", "dot"])?.stdout
    );
    site.call(&["graph", "net.lua", "--format", "svgg"])?.expect(
        2,
        "",
        "error: invalid value 'svgg' for '--format <FORMAT>': no format \"svgg\"; did you mean \"svg\"?\n\n…",
    );
    Ok(())
}

#[test]
fn help_and_version_go_to_standard_output() -> Tested {
    let site = Site::new()?;
    for verb in ["run", "replay", "check", "graph", "functions"] {
        let done = site.call(&[verb, "--help"])?;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
        let usage = format!("Usage: tributary {verb}");
        assert!(done.stdout.contains(&usage), "{}", done.stdout);
    }
    let version = format!("tributary {}\n", env!("CARGO_PKG_VERSION"));
    site.call(&["--version"])?.expect(0, &version, "");
    let all = site.call(&["--help"])?;
    for verb in ["run", "replay", "check", "graph", "functions"] {
        assert!(
            all.stdout.contains(&format!("\n  {verb} ")),
            "{}",
            all.stdout
        );
    }
    Ok(())
}

#[test]
fn a_run_logs_its_start_and_end_if_that_is_set() -> Tested {
    let site = Site::with(&[("net.lua", STREAMS)])?;
    let done = site.call(&["run", "net.lua", "-v"])?;
    assert_eq!(done.code, Some(0));
    let lines: Vec<_> = done
        .stderr
        .lines()
        .filter_map(|line| line.split_once("INFO ] "))
        .collect();
    let lines: Vec<_> = lines.iter().map(|(_, line)| *line).collect();
    assert_eq!(
        lines,
        ["started: 2 nodes, 1 link", "ended"],
        "{}",
        done.stderr
    );
    Ok(())
}

#[test]
fn the_level_of_the_log_is_as_set() -> Tested {
    let site = Site::with(&[("net.lua", STREAMS), ("empty.lua", "")])?;
    let quiet = |args: &[&str], level: &str| -> Result<Done, Box<dyn Error>> {
        let mut command = site.command(args);
        command.env("RUST_LOG", level).stdin(Stdio::null());
        Done::of(command)
    };
    let warning = "[… WARN …] empty.lua: the script is empty";
    site.call(&["check", "empty.lua"])?
        .expect(0, "ok: 0 nodes, 0 links", warning);
    quiet(&["check", "empty.lua"], "off")?.expect(0, "ok: 0 nodes, 0 links", "");
    quiet(&["-vv", "check", "empty.lua"], "off")?.expect(0, "ok: 0 nodes, 0 links", "");
    Ok(())
}

#[test]
fn stats_are_printed_to_standard_error_at_the_end() -> Tested {
    let site = Site::with(&[("net.lua", STREAMS)])?;
    let done = site.feed(&["run", "net.lua", "--stats"], "1\n2\n")?;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "1\n2\n"));
    assert!(done.stderr.contains("in -> out"), "{}", done.stderr);
    Ok(())
}
