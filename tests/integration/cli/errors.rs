//! What the binary says of bad input, and with which exit code it ends.

use crate::cli::verbs::{COPY, STREAMS};
use crate::support::binary::{Done, Site};
use std::error::Error;
use std::fs;

type Tested = Result<(), Box<dyn Error>>;

const TICKS: &str = "\
local tb = require('tributary')
tb.create_ticker('in', '1ms')
tb.create_stdout('out')
tb.link('in', 'out')
";

#[test]
fn a_script_that_is_wrong_ends_in_65_with_place_and_hint() -> Tested {
    let site = Site::with(&[
        (
            "typo.lua",
            "local tb = require('tributary')\ntb.create_ticker('ticker', '1s')\ntb.link('tickr', 'p')\n",
        ),
        ("broken.lua", "local x = = 1\n"),
    ])?;
    for verb in ["run", "check", "graph"] {
        site.call(&[verb, "typo.lua"])?.expect(
            65,
            "",
            "tributary: typo.lua:3: no source node \"tickr\"\n  hint: did you mean \"ticker\"?\n",
        );
        site.call(&[verb, "broken.lua"])?.expect(
            65,
            "",
            "tributary: broken.lua:1:11: unexpected symbol near '=', in the line: local x = = 1\n",
        );
        site.call(&[verb, "none.lua"])?.expect(
            66,
            "",
            "tributary: no such script: \"/…/none.lua\"\n",
        );
        site.call(&[verb, "."])?.expect(
            66,
            "",
            "tributary: cannot read script \".\": it is a directory\n",
        );
    }
    Ok(())
}

#[test]
fn a_wrong_command_line_ends_in_2_with_usage_and_suggestion() -> Tested {
    // Row 43.
    let site = Site::with(&[("net.lua", STREAMS)])?;
    let usage = "\nUsage: tributary…\n\nFor more information, try '--help'.";
    site.call(&["run", "net.lua", "--prot", "1"])?.expect(
        2,
        "",
        &format!("error: unexpected argument '--prot' found\n{usage}"),
    );
    for (wrong, meant) in [
        ("--fro", "--for"),
        ("--starts", "--stats"),
        ("--bd", "--db"),
    ] {
        site.call(&["run", "net.lua", wrong, "5s"])?.expect(
            2,
            "",
            &format!(
                "error: unexpected argument '{wrong}' found\n\n  \
                 tip: a similar argument exists: '{meant}'\n{usage}"
            ),
        );
    }
    site.call(&["rnu", "net.lua"])?.expect(
        2,
        "",
        &format!(
            "error: unrecognized subcommand 'rnu'\n\n  tip: a similar subcommand exists: 'run'\n{usage}"
        ),
    );
    site.call(&["run", "net.lua", "--ouput", "a=b"])?.expect(
        2,
        "",
        &format!(
            "error: unexpected argument '--ouput' found\n\n  \
             tip: a similar argument exists: '--output'\n{usage}"
        ),
    );
    site.call(&["rum", "net.lua"])?.expect(
        2,
        "",
        &format!(
            "error: unrecognized subcommand 'rum'\n\n  tip: a similar subcommand exists: 'run'\n{usage}"
        ),
    );
    for args in [
        &[][..],
        &["run"],
        &["check"],
        &["graph"],
        &["functions", "x", "y"],
    ] {
        let done = site.call(args)?;
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(done.stderr.contains("Usage: tributary"), "{}", done.stderr);
    }
    Ok(())
}

#[test]
fn a_value_out_of_range_is_refused_with_the_range() -> Tested {
    // Row 46.
    let site = Site::with(&[("net.lua", STREAMS)])?;
    for value in [
        "0",
        "-1",
        "1e9",
        "1000001",
        "",
        "many",
        "99999999999999999999",
    ] {
        site.call(&["run", "net.lua", "--buffer", value])?.expect(
            2,
            "",
            &format!(
                "error: invalid value '{value}' for '--buffer <EVENTS>': \
                 a whole number from 1 to 1000000 is expected\n\nFor more…"
            ),
        );
    }
    site.feed(&["run", "net.lua", "--buffer", "1"], "1\n2\n")?
        .expect(0, "1\n2\n", "");
    for (flag, value, wanted) in [
        (
            "--for",
            "0s",
            "bad duration \"0s\": it must be more than zero",
        ),
        (
            "--for",
            "10",
            "bad duration \"10\": no unit; did you mean \"10s\"?",
        ),
        ("--for", "-1s", "bad duration \"-1s\": it is negative"),
        (
            "--drain",
            "",
            "bad duration \"\": it is empty; write whole numbers…",
        ),
        (
            "--input",
            "in",
            "write NODE=FILE, as in bets=bets.jsonl, or NODE=-",
        ),
        (
            "--input",
            "in=",
            "write NODE=FILE, as in bets=bets.jsonl, or NODE=-",
        ),
        ("--output", "=out", "bad name \"\"; allowed is…"),
        (
            "--output",
            "a.b=out",
            "bad name \"a.b\"; allowed is [A-Za-z_][A-Za-z0-9_-]{0,127}; a dot…",
        ),
    ] {
        let done = site.call(&["run", "net.lua", flag, value])?;
        done.expect(
            2,
            "",
            &format!("error: invalid value '{value}' for '{flag} <…>': {wanted}\n\nFor more…"),
        );
    }
    Ok(())
}

#[test]
fn closed_streams_end_the_process_without_an_error() -> Tested {
    // Row 47.
    let site = Site::with(&[("net.lua", STREAMS), ("ticks.lua", TICKS)])?;
    let shell = |call: &str| -> Result<Done, Box<dyn Error>> {
        let script = call.replace("tributary", "\"$0\"");
        Done::fed(site.command_by(&["bash", "-c", &script], &[]), "")
    };
    shell("tributary run net.lua <&-")?.expect(0, "", "");
    shell("echo 1 | tributary run net.lua >&-")?.expect(0, "", "");
    let head = "| head -1; exit ${PIPESTATUS[0]}";
    shell(&format!("tributary run ticks.lua {head}"))?.expect(0, "{\"tick\":…}", "");
    shell(&format!("tributary functions {head}"))?.expect(0, "array(…)", "");
    shell(&format!("tributary graph net.lua {head}"))?.expect(0, "digraph…", "");
    shell(&format!("tributary --help {head}"))?.expect(0, "Runs…", "");
    shell("echo 1 | tributary run net.lua --stats 2> >(true)")?.expect(0, "1", "");
    shell("tributary run none.lua 2> >(true)")?.expect(66, "", "");
    Ok(())
}

#[test]
fn what_cannot_be_written_is_waited_for_and_named() -> Tested {
    let site = Site::with(&[("net.lua", COPY), ("streams.lua", STREAMS)])?;
    fs::write(site.path("in.jsonl"), "1\n".repeat(5_000))?;
    let limits = ["--for", "500ms", "--drain", "300ms"];
    let held = |done: &Done, name: &str| {
        assert_eq!(done.code, Some(75), "{}", done.stderr);
        let full =
            format!("node out: {name}: no space left on device; it is opened again in 100ms");
        assert!(done.stderr.contains(&full), "{}", done.stderr);
        let last = done.stderr.lines().last().unwrap_or_default();
        let named = last.starts_with("tributary: not drained within ");
        assert!(named && last.contains("node out ("), "{}", done.stderr);
    };
    let mut command = site.command(&[&["run", "streams.lua"], &limits[..]].concat());
    command.stdin(fs::File::open(site.path("in.jsonl"))?);
    command.stdout(fs::OpenOptions::new().write(true).open("/dev/full")?);
    held(&Done::of(command)?, "standard output");

    let args = [
        "run",
        "net.lua",
        "--input",
        "in=in.jsonl",
        "--output",
        "out=/dev/full",
    ];
    held(&site.call(&[&args, &limits[..]].concat())?, "\"/dev/full\"");
    Ok(())
}

#[test]
fn nodes_in_conflict_are_named_with_both_places() -> Tested {
    // Row 48.
    let site = Site::with(&[
        (
            "a.lua",
            "local tb = require('tributary')\ntb.create_forwarder('n')\n",
        ),
        (
            "b.lua",
            "local tb = require('tributary')\n\ntb.create_discarder('n')\n",
        ),
    ])?;
    site.call(&["run", "a.lua", "b.lua"])?.expect(
        65,
        "",
        "tributary: b.lua:3: node \"n\" already defined at a.lua:2\n",
    );
    site.call(&["run", "a.lua", "--input", "n=-"])?.expect(
        65,
        "",
        "tributary: a.lua:2: node \"n\" already defined at --input n=-\n",
    );
    site.call(&["run", "a.lua", "--input", "n=-", "--output", "n=-"])?
        .expect(
            65,
            "",
            "tributary: --output n=-: node \"n\" already defined at --input n=-\n",
        );
    Ok(())
}

#[test]
fn standard_input_is_read_by_one_node() -> Tested {
    let two = "local tb = require('tributary')\ntb.create_stdin('a')\ntb.create_stdin('b')\n\
               tb.create_stdout('out')\ntb.fanin('out', 'a', 'b')\n";
    let site = Site::with(&[("two.lua", two)])?;
    site.feed(&["run", "two.lua"], "1\n2\n")?.expect(
        65,
        "",
        "tributary: two.lua:…: node …: another node already reads standard input\n",
    );
    Ok(())
}

#[test]
fn two_sinks_on_one_file_add_to_it_and_do_not_overwrite_each_other() -> Tested {
    let text = "require('tributary').fanout('in', 'a', 'b')\n";
    let site = Site::with(&[("net.lua", text), ("out.jsonl", "old\n")])?;
    let args = [
        "run",
        "net.lua",
        "--input",
        "in=-",
        "--output",
        "a=out.jsonl",
        "--output",
        "b=out.jsonl",
    ];
    let lines: String = (0..2_000).map(|n| format!("{n}\n")).collect();
    site.feed(&args, &lines)?.expect(0, "", "");
    assert_eq!(site.read("out.jsonl")?.lines().count(), 4_000);
    Ok(())
}

#[test]
fn files_that_cannot_be_opened_are_named_by_their_kind() -> Tested {
    let site = Site::with(&[("net.lua", COPY)])?;
    fs::create_dir(site.path("dir"))?;
    for (input, output, code, wanted) in [
        (
            "in=no.jsonl",
            "out=-",
            66,
            "--input in=no.jsonl: node in: \"no.jsonl\": no such file or directory",
        ),
        (
            "in=dir",
            "out=-",
            66,
            "--input in=dir: node in: \"dir\": is a directory",
        ),
        (
            "in=-",
            "out=no/such",
            73,
            "--output out=no/such: node out: cannot create \"no/such\": no such file or directory",
        ),
        (
            "in=-",
            "out=dir",
            73,
            "--output out=dir: node out: cannot create \"dir\": is a directory",
        ),
    ] {
        let args = ["run", "net.lua", "--input", input, "--output", output];
        site.call(&args)?
            .expect(code, "", &format!("tributary: {wanted}"));
    }
    Ok(())
}

#[test]
fn a_network_without_a_source_has_nothing_to_run() -> Tested {
    let site = Site::with(&[("net.lua", "require('tributary').create_forwarder('f')\n")])?;
    site.call(&["run", "net.lua"])?.expect(
        65,
        "",
        "tributary: nothing to run: the network has no source\n  hint: create one in a script, …",
    );
    Ok(())
}
