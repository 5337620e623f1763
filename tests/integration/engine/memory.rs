//! How much memory the process takes for what links and nodes hold, through the binary.

use crate::support::binary::{Running, Site};
use std::error::Error;
use std::io::BufRead as _;
use std::time::{Duration, Instant};

type Tested = Result<(), Box<dyn Error>>;

/// Runs a network in an address space of 3 GB.
fn start(site: &Site) -> std::io::Result<Running> {
    Running::of(site.command_after("ulimit -v 3000000", &["run", "net.lua"]))
}

/// The most memory that the process has had, in MB, once that has not grown for a second.
fn settled(running: &Running) -> usize {
    let (begun, mut last, mut still) = (Instant::now(), 0, 0);
    while still < 4 && begun.elapsed() < Duration::from_secs(60) {
        // As long as it would grow meanwhile.
        std::thread::sleep(Duration::from_millis(250));
        let now = running.memory("VmHWM") / 1_000_000;
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    last
}

/// What a network has taken whose output nobody has read so far; it is read to its end then.
fn taken_by(net: &str, lines: usize) -> Result<usize, Box<dyn Error>> {
    let site = Site::with(&[("net.lua", net)])?;
    let mut running = start(&site)?;
    drop(running.stdin.take());
    let taken = settled(&running);
    let read = running.stdout()?.lines().count();
    let done = running.wait()?;
    assert_eq!((done.code, read), (Some(0), lines), "{}", done.stderr);
    Ok(taken)
}

#[test]
fn links_count_meta_as_they_count_payload() -> Tested {
    let net = "local tb = require('tributary')
tb.create_generator('in', function(emit, n) emit({n = n, x = ('x'):rep(1000)}) return n < 1000 end)
tb.create_map('m', function(e) e.meta = {m = ('x'):rep(1000000)} return e end)
tb.create_stdout('out') tb.chain('in', 'm', 'out')
";
    let taken = taken_by(net, 1_000)?;
    assert!(taken < 300, "1,000 events of 1 MB of meta took {taken} MB");
    Ok(())
}

#[test]
fn links_count_the_text_of_errors_as_they_count_payload() -> Tested {
    let net = "local tb = require('tributary')
tb.create_generator('in', function(emit, n) emit({n = n, x = ('x'):rep(1000)}) return n < 1000 end)
tb.create_map('m', function(e) error(('y'):rep(500000)) end)
tb.create_stdout('out') tb.link('in', 'm') tb.link('m.errors', 'out')
";
    let taken = taken_by(net, 1_000)?;
    assert!(taken < 300, "1,000 errors of 0.5 MB took {taken} MB");
    Ok(())
}

#[test]
fn nodes_that_hold_events_of_1_mb_take_no_more_than_their_bound() -> Tested {
    // The key of each event is 1 MB.
    for node in [
        "create_debounce('f', '1h', {key = 'k', max_bytes = 16777216})",
        "create_deadman('f', '1h', {key = 'k', max_bytes = 16777216})",
        "create_delay('f', '1h', {max_bytes = 16777216})",
        "create_batch('f', {count = 10000000000, max_bytes = 16777216})",
    ] {
        let net = format!(
            "local tb = require('tributary')
local long = ('x'):rep(1000000)
tb.create_generator('in', function(emit, n) emit({{k = long .. n}}) return n < 300 end)
tb.{node} tb.create_discarder('out') tb.create_discarder('bad')
tb.link('in', 'f', {{bytes = 8000000}}) tb.link('f', 'out', {{bytes = 8000000}})
tb.link('f.errors', 'bad')
tb.create_ticker('t', '1h') tb.link('t', 'out')
"
        );
        let site = Site::with(&[("net.lua", &net)])?;
        let running = start(&site)?;
        let taken = settled(&running);
        let done = running.stop()?;
        assert_eq!(done.code, Some(0), "{node}: {}", done.stderr);
        assert!(taken < 160, "{node}: {taken} MB were taken");
    }
    Ok(())
}
