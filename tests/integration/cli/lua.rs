//! Nodes written in Lua, through the binary.

use crate::support::binary::Site;
use std::error::Error;

type Tested = std::result::Result<(), Box<dyn Error>>;

const NET: &str = "local tb = require('tributary')\n\
                   tb.create_map('f', function(e)\n  if e.data.n == 2 then error('two') end\n\
                   e.data.n = e.data.n * 10\n  return e\nend)\n\
                   tb.create_handler('out', function(e) print(e.payload, 'seen') end)\n\
                   tb.chain('in', 'f', 'out')\n";

#[test]
fn a_network_of_functions_runs_between_pipes_and_names_the_line_of_an_error() -> Tested {
    let site = Site::with(&[("net.lua", NET)])?;
    site.feed(
        &["run", "net.lua", "--input", "in=-"],
        "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n",
    )?
    .expect(
        0,
        "{\"n\":10}\tseen\n{\"n\":30}\tseen\n",
        "[… WARN ] node f: event rejected: net.lua:3: two…\n\
         […] events not delivered in this run: node f: 1 rejected (net.lua:3: two)",
    );
    Ok(())
}

#[test]
fn limits_can_be_set_and_are_checked() -> Tested {
    let site = Site::with(&[
        (
            "loop.lua",
            "local tb = require('tributary')\ntb.create_handler('h', function()\n  while true do end\nend)\ntb.link('in', 'h')\n",
        ),
        (
            "os.lua",
            "print(os.getenv('HOME') ~= nil)\nrequire('tributary').create_ticker('t', '1s')\n",
        ),
        ("big.lua", "local s = ('x'):rep(20e6)\n"),
    ])?;
    site.feed(
        &[
            "run",
            "loop.lua",
            "--input",
            "in=-",
            "--lua-call-time",
            "50ms",
        ],
        "1\n",
    )?
    .expect(
        0,
        "",
        "[… WARN ] node h: event rejected: loop.lua:3: call time budget 50ms exceeded…\n\
         […] events not delivered in this run: node h: 1 rejected (loop.lua:3: call time budget 50ms exceeded)",
    );
    site.call(&["check", "os.lua"])?.expect(
        65,
        "",
        "tributary: os.lua:1: os.getenv is not available to this script\n  hint: --allow-os gives \
         it, to scripts that may do what you may\n",
    );
    site.call(&["check", "os.lua", "--allow-os"])?.expect(
        0,
        "true\nwarning: os.lua:2: …\nok: 1 node, 0 links\n",
        "",
    );
    site.call(&["check", "big.lua", "--lua-memory", "8MiB"])?
        .expect(
            65,
            "",
            "tributary: big.lua:1: memory limit of 8 MiB exceeded\n",
        );
    for (option, value) in [
        ("--lua-memory", "8"),
        ("--lua-memory", "1MiB"),
        ("--lua-memory", "-8MiB"),
        ("--lua-memory", "99999999999999999999GiB"),
        ("--lua-call-time", "0s"),
    ] {
        site.call(&["check", "os.lua", option, value])?.expect(
            2,
            "",
            &format!("error: invalid value '{value}' for '{option} <…>': …\n\nFor more information, try '--help'.\n"),
        );
    }
    Ok(())
}
