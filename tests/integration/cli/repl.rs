//! `tributary repl`, fed from a pipe.

use crate::support::binary::Site;
use std::error::Error;

type Tested = std::result::Result<(), Box<dyn Error>>;

#[test]
fn a_network_is_built_and_run_line_by_line() -> Tested {
    let site = Site::with(&[(
        "net.lua",
        "require('tributary').create_discarder('nowhere')\n",
    )])?;
    let typed = "tb.create_generator('g', function(emit, n)\n  emit({ n = n })\n  return n < 3\nend)\n\
                 tb.create_handler('h', function(e) print(e.payload) end)\n\
                 tb.link('g', 'h')\n\
                 1 + 1, 'text', { list = { 1, 2 } }\n\
                 = tb.node_exists('nowhere')\n\
                 x = 5\n\
                 x * 2\n\
                 :check\n\
                 :start\n\
                 :wait\n";
    let mut command = site.command(&["repl", "net.lua"]);
    command.env("XDG_STATE_HOME", site.path("state"));
    let done = crate::support::binary::Done::fed(command, typed)?;
    let lines: Vec<&str> = done.stdout.lines().collect();
    let wanted = [
        "true",
        "true",
        "true",
        "2\ttext\t{\"list\":[1,2]}",
        "true",
        "10",
        "net.lua:1: node nowhere has no input: nothing is linked to it",
        "{\"n\":1}",
        "{\"n\":2}",
        "{\"n\":3}",
    ];
    assert_eq!(lines, wanted, "{}", done.stderr);
    assert_eq!(done.code, Some(0));
    Ok(())
}

#[test]
fn an_error_is_printed_and_the_next_line_is_read() -> Tested {
    let site = Site::new()?;
    let typed = "tb.lnk('a', 'b')\nlocal x = = 1\nerror('oh')\n:strt\n'still here'\n";
    let mut command = site.command(&["repl"]);
    command.env("XDG_STATE_HOME", site.path("state"));
    let done = crate::support::binary::Done::fed(command, typed)?;
    done.expect(
        0,
        "still here\n",
        "tributary: typed:1: tributary has no function \"lnk\"\n  hint: did you mean \"link\"?\n\
         tributary: typed:1:11: unexpected symbol near '=', in the line: local x = = 1\n\
         tributary: typed:1: oh\n\
         tributary: no word \":strt\"\n  hint: did you mean \":start\"?\n",
    );
    Ok(())
}
