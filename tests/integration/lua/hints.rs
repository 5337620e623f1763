//! Hints at what a script with an error was meant to say.

use std::error::Error;
use tributary::{Network, Runtime};

type Tested = Result<(), Box<dyn Error>>;

/// The error of a script, with its hint.
fn refused(script: &str) -> Result<(String, String), Box<dyn Error>> {
    let error = Runtime::new(&Network::new())?
        .run_text("net.lua", script)
        .err()
        .ok_or("it was taken")?;
    let hint = error.hint().unwrap_or_default().to_owned();
    Ok((error.message().to_owned(), hint))
}

#[test]
fn a_link_to_a_node_that_is_made_further_down_names_the_line() -> Tested {
    let head = "local tb = require('tributary')\ntb.create_ticker('ticks', '1s')\n";
    for (link, made, node) in [
        ("tb.link('ticks', 'out')", "tb.create_stdout('out')", "out"),
        (
            "tb.link('ticks', 'out')",
            "tb.create_stdout(\"out\")",
            "out",
        ),
        (
            "tb.link('map.errors', 'ticks')",
            "tb.create_map('map', function(e) return e end)",
            "map",
        ),
        (
            "tb.chain('ticks', 'map', 'x')",
            "tb.create_map ( 'map', function(e) return e end)",
            "map",
        ),
        (
            "tb.link('answers', 'x')",
            "tb.window('w', 'answers', { table = 'ev' })",
            "answers",
        ),
        (
            "tb.on_error('*', 'letters')",
            "tb.create_dlq('letters', { path = 'x' })",
            "letters",
        ),
    ] {
        let script =
            format!("{head}{link}\n-- '{node}' in a comment\ntb.link('{node}', 'y')\n{made}\n");
        let (message, hint) = refused(&script)?;
        assert!(message.contains(&format!("node \"{node}\"")), "{message}");
        assert_eq!(
            hint,
            format!("line 6 makes \"{node}\": move it before this line"),
            "{link}"
        );
    }
    Ok(())
}

#[test]
fn a_node_that_no_line_makes_has_the_hint_that_it_had() -> Tested {
    let (_, hint) = refused(
        "local tb = require('tributary')\ntb.create_ticker('ticks', '1s')\n\
         tb.link('tick', 'x')\ntb.link('tick', 'y')",
    )?;
    assert_eq!(hint, "did you mean \"ticks\"?");
    Ok(())
}

#[test]
fn a_module_that_was_not_asked_for_is_named() -> Tested {
    for (script, variable) in [
        ("tb.create_stdin('in')", "tb"),
        ("tributary.create_stdin('in')", "tributary"),
        ("t.create_stdin('in')", "t"),
        ("local tb\ntb.create_stdin('in')", "tb"),
        (
            "local tb\nlocal function f() tb.create_stdin('in') end\nf()",
            "tb",
        ),
        (
            "local x = require('tributary')\ntb.create_stdin('in')",
            "tb",
        ),
    ] {
        let (message, hint) = refused(script)?;
        assert!(message.contains("a nil value"), "{message}");
        let expected = format!("write local {variable} = require(\"tributary\") before it");
        assert_eq!(hint, expected, "{script}");
    }
    let (_, hint) = refused("local tb = require('tributary')\ntb.log(rates.usd)")?;
    assert_eq!(hint, "", "that is a variable of the script's own");
    Ok(())
}

#[test]
fn a_node_for_changes_without_its_field_names_what_it_compares() -> Tested {
    let (message, hint) =
        refused("local tb = require('tributary')\ntb.create_changed('c', { key = 'k' })")?;
    assert_eq!(
        message,
        "a node for changes needs at least one field to compare"
    );
    assert_eq!(hint, "write by = {\"field\"}");
    let script = "tb.create_changed('f', { by = { 'state' }, key = 'id' })";
    let (mut simulation, _, errors) = crate::lua::functions::simulated(script)?;
    simulation.inject("f", "{\"id\":1}")?;
    simulation.inject("f", "{\"state\":1}")?;
    let errors: Vec<String> = errors
        .events()
        .iter()
        .map(crate::lua::functions::error)
        .collect();
    assert_eq!(
        errors,
        [
            "no field \"state\" to compare",
            "no field \"id\" to take the key from"
        ]
    );
    Ok(())
}

#[test]
fn an_address_that_is_filled_in_as_a_whole_shows_its_scheme() -> Tested {
    let file = tempfile::NamedTempFile::new()?;
    let url = format!("${{file:{}}}", file.path().display());
    let script = format!(
        "local tb = require('tributary')\ntb.create_sink('out', '{url}', {{ nothing = 1 }})\n"
    );
    std::fs::write(file.path(), "tcp://canary.example:1")?;
    let network = Network::new();
    let sink = tributary::connect::sink(&url, &tributary::connect::Options::new())?;
    network.add_sink("out", sink)?;
    std::fs::write(file.path(), "unix:/canary/socket")?;
    let sink = tributary::connect::sink(&url, &tributary::connect::Options::new())?;
    let network = Network::new();
    network.add_source("in", tributary::source::from_iter(["1"]))?;
    network.add_sink("out", sink)?;
    network.link("in", "out")?;
    network.fail_fast(true);
    let error = network.start().expect_err("it is not there").to_string();
    assert!(
        error.contains("unix:***") && !error.contains("canary"),
        "{error}"
    );
    // What is no scheme that is known may be a secret.
    std::fs::write(file.path(), "canary:1")?;
    let (message, _) = refused(&script)?;
    assert!(!message.contains("canary"), "{message}");
    Ok(())
}
