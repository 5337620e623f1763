//! Helpers of the user's own.

use crate::lua::functions::error;
use crate::support::binary::{Site, functions};
use crate::support::probe::{START, Seen};
use std::error::Error;
use std::fs;
use tributary::{Network, Runtime};

type Tested = Result<(), Box<dyn Error>>;

const HELPERS: &str = "local tb = ...\n\n\
    --- drops what is smaller than this\n---@param least number\n\
    function tb.create_at_least(name, field, least)\n\
      return tb.create_filter_fn(name, tb.at_least(field, least))\nend\n\n\
    --- whether a field is large enough\n\
    function tb.at_least(field, least)\n\
      return function(e) return e.data[field] >= least end\nend\n\n\
    --- both, as a whole\n\
    function tb.pair(a, b)\n  tb.create_forwarder(a)\n  tb.create_forwarder(b)\nend\n";

#[test]
fn helpers_are_there_in_scripts_and_in_nodes() -> Tested {
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("sizes.lua"), HELPERS)?;
    fs::write(directory.path().join("notes.txt"), "no Lua")?;
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let runtime = Runtime::new(&network)?;
    runtime.add_prelude(directory.path())?;
    runtime.run_text(
        "net.lua",
        "local tb = require('tributary')\ntb.create_at_least('f', 'n', 3)\n\
         local check = tb.at_least\n\
         tb.create_map('g', function(e)\n  if e.data.n == 5 then tb.pair('x', 'y') end\n\
         return { ok = tb.at_least('n', 4)(e), same = check == tb.at_least }\nend)\n\
         tb.chain('f', 'g', 'seen') tb.link('g.errors', 'rejected')",
    )?;
    let mut simulation = network.simulate(START)?;
    for n in [1, 3, 4, 5] {
        simulation.inject("f", serde_json::json!({"n": n}))?;
    }
    assert_eq!(
        seen.texts(),
        [r#"{"ok":false,"same":true}"#, r#"{"ok":true,"same":true}"#]
    );
    // The user's line, not the helper's.
    assert_eq!(
        errors.events().iter().map(error).collect::<Vec<_>>(),
        ["net.lua:5: only stats, now and log can be called while events flow"]
    );
    let own = directory.path().to_str().ok_or("a path in UTF-8")?;
    let found: Vec<String> = functions(&["--prelude", own])?
        .iter()
        .skip(functions(&[])?.len())
        .map(|f| format!("{}({}): {}", f.name, f.arguments, f.about))
        .collect();
    assert_eq!(
        found,
        [
            "at_least(field, least): whether a field is large enough",
            "create_at_least(name, field, least): drops what is smaller than this",
            "pair(a, b): both, as a whole",
        ]
    );
    Ok(())
}

#[test]
fn a_helper_takes_effect_as_a_whole_and_its_errors_name_the_users_line() -> Tested {
    let directory = tempfile::tempdir()?;
    let with = |text: &str| -> Result<Runtime, Box<dyn Error>> {
        fs::write(directory.path().join("h.lua"), text)?;
        let runtime = Runtime::new(&Network::new())?;
        runtime.add_prelude(directory.path())?;
        Ok(runtime)
    };
    let runtime = with(HELPERS)?;
    for (call, wanted) in [
        (
            "tb.pair('a', 'a')",
            "node \"a\" already defined at net.lua:2",
        ),
        (
            "tb.create_at_least('f', nil, 1)(1)",
            "attempt to call a boolean value",
        ),
        (
            "tb.at_least('f', 1)(nil)",
            "attempt to index a nil value (local 'e')",
        ),
        (
            "tb.paire('a')",
            "tributary has no function \"paire\"; did you mean \"pair\"?",
        ),
    ] {
        let script = format!("local tb = require('tributary')\n{call}");
        let error = runtime.run_text("net.lua", script).expect_err(call);
        assert_eq!(
            error.to_string(),
            format!("net.lua:2: {wanted}"),
            "of {call}"
        );
        assert!(
            runtime.network().nodes().is_empty(),
            "{call} left a node behind"
        );
    }
    let shown = directory.path().join("h.lua").display().to_string();
    for (text, wanted) in [
        (
            "local tb = ...\nfunction tb.link() end",
            format!("{shown}: tributary has a function \"link\" already"),
        ),
        (
            "local tb = = ...",
            format!("{shown}:1:12: unexpected symbol near '=', in the line: local tb = = ..."),
        ),
        (
            "error('no', 0)",
            format!("{}: no", directory.path().display()),
        ),
    ] {
        let error = with(text).expect_err("refused");
        assert_eq!(error.to_string(), wanted);
    }
    let error = Runtime::new(&Network::new())?
        .add_prelude("no/such")
        .expect_err("missing");
    assert_eq!(
        error.to_string(),
        "prelude \"no/such\": no such file or directory"
    );
    Ok(())
}

#[test]
fn the_command_line_takes_helpers_from_an_option_or_the_environment() -> Tested {
    let site = Site::with(&[(
        "net.lua",
        "local tb = require('tributary')\ntb.create_at_least('f', 'n', 2)\ntb.chain('in', 'f', 'out')\n",
    )])?;
    fs::create_dir(site.path("helpers"))?;
    fs::write(site.path("helpers/sizes.lua"), HELPERS)?;
    let run = ["run", "net.lua", "--input", "in=-", "--output", "out=-"];
    let given = [&run[..], &["--prelude", "helpers"]].concat();
    site.feed(&given, "{\"n\":1}\n{\"n\":2}\n")?
        .expect(0, "{\"n\":2}\n", "");
    let mut command = site.command(&["check", "net.lua", "--input", "in=-", "--output", "out=-"]);
    let output = command.env("TRIBUTARY_PRELUDE", "helpers").output()?;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "ok: 3 nodes, 2 links\n"
    );
    let done = site.call(&["functions", "--prelude", "helpers"])?;
    assert!(
        done.stdout.ends_with("pair(a, b)\n    both, as a whole\n"),
        "{}",
        done.stdout
    );
    Ok(())
}
