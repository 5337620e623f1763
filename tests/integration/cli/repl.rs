//! `tributary repl`, fed from a pipe.

use crate::support::binary::{Done, Running, Site};
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
    let done = Done::fed(command, typed)?;
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
    let done = Done::fed(command, typed)?;
    done.expect(
        0,
        "still here\n",
        "tributary: typed:1: tributary has no function \"lnk\"\n  hint: did you mean \"link\"?\n\
         tributary: typed:1:11: unexpected symbol near '=', in the line: local x = = 1\n\
         tributary: typed:1: oh\n\
         tributary: no command \":strt\"\n  hint: did you mean \":start\"?\n",
    );
    Ok(())
}

/// What the REPL prints for these lines, and its errors.
fn typed(site: &Site, args: &[&str], lines: &str) -> std::result::Result<Done, Box<dyn Error>> {
    let mut command = site.command(&[&["repl"], args].concat());
    command.env("XDG_STATE_HOME", site.path("state"));
    Done::fed(command, lines)
}

#[test]
fn events_are_injected_and_a_node_is_removed_while_the_network_runs() -> Tested {
    let site = Site::new()?;
    let lines = "tb.create_map('m', function(e) return { twice = e.data.n * 2 } end)\n\
                 tb.create_file_sink('out', 'out')\n\
                 tb.create_file_sink('old', 'old')\n\
                 tb.fanout('m', 'out', 'old')\n\
                 :inject m {\"n\": 1}\n\
                 :start\n\
                 :inject m {\"n\": 2}\n\
                 :remove old\n\
                 tb.node_exists('old')\n\
                 :inject m {\"n\": 3}\n\
                 :wait\n";
    let done = typed(&site, &[], lines)?;
    done.expect(0, "true\ntrue\ntrue\ntrue\nfalse\n", "");
    assert_eq!(
        site.read("out")?,
        "{\"twice\":2}\n{\"twice\":4}\n{\"twice\":6}\n"
    );
    Ok(())
}

#[test]
fn a_tap_prints_the_next_events_of_a_node() -> Tested {
    let site = Site::new()?;
    let lines = "tb.create_ticker('t', '10ms')\n\
                 tb.create_discarder('out')\n\
                 tb.link('t', 'out')\n\
                 :start\n\
                 :tap t.out 2\n\
                 :tap out 1\n\
                 :stop\n";
    let done = typed(&site, &[], lines)?;
    assert_eq!((done.code, &*done.stderr), (Some(0), ""));
    let events = done.stdout.lines().skip(3);
    let events: Vec<serde_json::Value> =
        events.map(serde_json::from_str).collect::<Result<_, _>>()?;
    let from = |event: &serde_json::Value| format!("{}.{}", event["node"], event["port"]);
    let from: Vec<String> = events.iter().map(from).collect();
    assert_eq!(from, ["\"t\".\"out\"", "\"t\".\"out\"", "\"out\".\"in\""]);
    let ticks: Vec<u64> = events
        .iter()
        .filter_map(|event| event["data"]["tick"].as_u64())
        .collect();
    // The sink may take then what was seen last.
    assert!(
        ticks.len() == 3 && ticks.is_sorted() && ticks[0] < ticks[1],
        "{ticks:?}"
    );
    Ok(())
}

#[test]
fn windows_are_explained_and_functions_described() -> Tested {
    let script = "local tb = require('tributary')\n\
                  tb.create_table('t', { columns = { g = 'text', at = 'integer' } })\n\
                  tb.sliding_window_time('in', 'totals', 'select g, count(*) as n from t group by g', 't', '10s', 'at')\n";
    let site = Site::with(&[("net.lua", script)])?;
    let done = typed(
        &site,
        &["net.lua"],
        "tb.node_exists('totals')\n:explain in\n:help tb.create_ticker\n",
    )?;
    assert_eq!((done.code, &*done.stderr), (Some(0), ""));
    let explained = site.call(&["explain", "net.lua", "in"])?.stdout;
    let (_, explained) = explained.split_once('\n').ok_or("an explanation")?;
    let explained: String = explained
        .lines()
        .map(|line| format!("{}\n", &line[2..]))
        .collect();
    let described = site.call(&["functions", "create_ticker"])?.stdout;
    assert_eq!(done.stdout, format!("true\n{explained}{described}"));
    Ok(())
}

#[test]
fn a_wrong_command_is_an_error_with_a_hint() -> Tested {
    let site = Site::new()?;
    let lines = "tb.create_ticker('t', '1s')\n\
                 tb.create_discarder('out')\n\
                 :remove\n\
                 :remove uot\n\
                 :tap out\n\
                 :inject out\n\
                 :inject out {\"n\": \n\
                 :inject t 1\n\
                 :inject ot 1\n\
                 :explain out\n\
                 :help create_tiker\n\
                 :start now\n\
                 :start\n\
                 :tap out.x\n\
                 :tap out none\n\
                 :stop\n\
                 :inject out 1\n";
    let done = typed(&site, &[], lines)?;
    let errors = "tributary: :remove needs the name of a node
tributary: no node \"uot\"
  hint: did you mean \"out\"?
tributary: the network does not run
tributary: :inject needs JSON behind the name of the node
tributary: event \"{\"n\":\": malformed JSON at byte 4: EOF while parsing a value, near \":\"
tributary: t is a source and has no input
tributary: no target node \"ot\"
  hint: did you mean \"out\"?
tributary: no window \"out\"
  hint: no script has made a window
tributary: no function \"create_tiker\"
  hint: did you mean \"create_ticker\"?
tributary: :start takes nothing, not \"now\"
… WARN ] typed:1: node t has no output: what leaves it goes nowhere
… WARN ] typed:1: node out has no input: nothing is linked to it
tributary: node out has no port \"x\"
  hint: its ports are out, errors, dropped
tributary: bad number of events \"none\"
tributary: the network has ended
";
    done.expect(0, "true\ntrue\n", errors);
    Ok(())
}

#[test]
fn a_script_is_loaded_again_by_a_command() -> Tested {
    let text = "local tb = require('tributary') tb.create_ticker('t', '1h') tb.create_discarder('d') tb.link('t', 'd')";
    let site = Site::with(&[("net.lua", text)])?;
    let mut command = site.command(&["repl", "net.lua"]);
    command.env("XDG_STATE_HOME", site.root());
    let mut running = Running::of(command)?;
    running.send(":start\n:reload\n:reload nte.lua\n")?;
    running.until_log("nte.lua")?;
    site.write("net.lua", text.replace("1h", "2h"))?;
    running.send(":reload net.lua\n:quit\n")?;
    let done = running.wait()?;
    let expected =
        "nothing changed\nkeep 1 node\nkeep 1 link\nreplace with state node t (net.lua:1)\n";
    assert_eq!(done.stdout, expected, "{}", done.stderr);
    Ok(())
}
