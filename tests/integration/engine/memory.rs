//! How much memory the process takes for what links and nodes hold, through the binary.

use crate::support::binary::{Done, Site, signal};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Tested = Result<(), Box<dyn Error>>;

/// Runs a network in an address space of 3 GB, with its output in our hands.
fn spawn(site: &Site) -> std::io::Result<Child> {
    let run = site.command(&["run", "net.lua"]);
    Command::new("sh")
        .arg("-c")
        .arg("ulimit -v 3000000; exec \"$0\" \"$@\"")
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(site.path(""))
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// The most memory that the process has had so far, in MB; 0 once it has ended.
fn peak(child: &Child) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) / 1_000
}

/// The same once it has not grown for a second.
fn settled(child: &Child) -> usize {
    let (begun, mut last, mut still) = (Instant::now(), 0, 0);
    while still < 4 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(250));
        let now = peak(child);
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    last
}

/// What a network has taken whose output nobody has read so far; it is read to its end then.
fn taken_by(net: &str, lines: usize) -> Result<usize, Box<dyn Error>> {
    let site = Site::with(&[("net.lua", net)])?;
    let mut child = spawn(&site)?;
    let taken = settled(&child);
    let stdout = child.stdout.take().ok_or("no output")?;
    let read = BufReader::new(stdout).lines().count();
    let done = Done::of(child)?;
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
        let child = spawn(&site)?;
        let taken = settled(&child);
        signal(&child, "TERM")?;
        let done = Done::of(child)?;
        assert_eq!(done.code, Some(0), "{node}: {}", done.stderr);
        assert!(taken < 160, "{node}: {taken} MB were taken");
    }
    Ok(())
}
