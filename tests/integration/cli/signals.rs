//! How the binary ends when it is told to: drained, or not.

use crate::cli::verbs::{COPY, STREAMS};
use crate::support::binary::{Running, Signal, Site};
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Tested = Result<(), Box<dyn Error>>;

/// Writes lines to a process for as long as it reads, numbered or all the same.
fn flood(running: &mut Running, numbered: bool) -> Result<JoinHandle<()>, Box<dyn Error>> {
    let mut stdin = running.stdin.take().ok_or("no standard input")?;
    let line = move |number: u64| {
        if numbered {
            format!("{number}\n")
        } else {
            "12345678\n".to_owned()
        }
    };
    Ok(std::thread::spawn(move || {
        for thousand in 0.. {
            let numbers = thousand * 1_000..(thousand + 1) * 1_000;
            let lines: String = numbers.map(line).collect();
            if stdin.write_all(lines.as_bytes()).is_err() {
                break;
            }
        }
    }))
}

/// Starts the binary so that it ignores no signal, also where the tests themselves run under `nohup`.
fn ignoring_nothing(site: &Site, args: &[&str]) -> std::io::Result<Running> {
    Running::of(site.command_by(&["env", "--default-signal=HUP,USR1,USR2"], args))
}

/// The signals that drain whether there is a terminal or not.
const SIGNALS: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::USR1, Signal::USR2];

#[test]
fn a_signal_drains_what_the_source_has_accepted() -> Tested {
    for signal in SIGNALS {
        let site = Site::with(&[("net.lua", COPY)])?;
        let args = [
            "run",
            "net.lua",
            "--input",
            "in=-",
            "--output",
            "out=out.jsonl",
            "--stats",
        ];
        let mut running = ignoring_nothing(&site, &args)?;
        let writer = flood(&mut running, true)?;
        running.until("100,000 bytes", || {
            site.read("out.jsonl").unwrap_or_default().len() >= 100_000
        })?;
        running.signal(signal)?;
        let done = running.wait()?;
        writer.join().map_err(|_| "the writer panicked")?;
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (Some(0), ""),
            "{}",
            done.stderr
        );
        let written = site.read("out.jsonl")?;
        assert!(written.ends_with('\n'));
        let gap = (0u64..)
            .zip(written.lines())
            .find(|(n, line)| n.to_string() != *line);
        assert_eq!(gap, None, "a line is missing after {signal:?}");
        let count = written.lines().count();
        let sent = done.stderr.lines().find(|line| line.contains("in -> out"));
        let sent = sent.ok_or("no account of the link")?;
        let all = sent
            .split(|c: char| !c.is_ascii_digit())
            .any(|n| n == count.to_string());
        assert!(all, "{count} lines in the file, but {sent}");
    }
    Ok(())
}

#[test]
fn a_second_signal_aborts_what_does_not_drain() -> Tested {
    let site = Site::with(&[("net.lua", STREAMS)])?;
    let mut running = site.start(&["run", "net.lua", "--drain", "50s"])?;
    let (writer, mut stdout) = (flood(&mut running, false)?, running.stdout()?);
    let mut first = String::new();
    stdout.read_line(&mut first)?;
    assert_eq!(first, "12345678\n");
    // The links fill meanwhile.
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::TERM)?;
    // It would have ended meanwhile.
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.status().is_none(), "it drains, so it waits");
    let done = running.stop()?;
    drop(stdout);
    writer.join().map_err(|_| "the writer panicked")?;
    assert_eq!(done.code, Some(75), "{}", done.stderr);
    assert!(
        done.stderr
            .contains("tributary: aborted by a second signal: "),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("out"),
        "the stuck node is named: {}",
        done.stderr
    );
    Ok(())
}

#[test]
fn a_drain_that_takes_too_long_is_given_up() -> Tested {
    let site = Site::with(&[("net.lua", STREAMS)])?;
    let args = ["run", "net.lua", "--for", "300ms", "--drain", "200ms"];
    let mut running = site.start(&args)?;
    let (writer, stdout) = (flood(&mut running, false)?, running.stdout()?);
    let done = running.wait()?;
    drop(stdout);
    writer.join().map_err(|_| "the writer panicked")?;
    assert_eq!(done.code, Some(75), "{}", done.stderr);
    Ok(())
}

#[test]
fn a_signal_ends_a_network_that_does_not_come_to_start() -> Tested {
    let net = "local tb = require('tributary')
        tb.create_file_source('in', 'net.lua') tb.create_file_sink('out', 'out.jsonl')
        tb.create_file_sink('stuck', 'pipe') tb.fanout('in', 'out', 'stuck')";
    let site = Site::with(&[("net.lua", net)])?;
    // Opening a pipe to write waits for somebody who reads.
    let made = Command::new("mkfifo").arg(site.path("pipe")).status()?;
    assert!(made.success());
    let begun = Instant::now();
    let mut running = site.start(&["run", "net.lua"])?;
    running.until("an output file", || site.path("out.jsonl").exists())?;
    let done = running.stop()?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(begun.elapsed() < Duration::from_secs(20));
    Ok(())
}

/// A batch that holds what it gets until the end, between files.
const HOLDS: &str = "\
local tb = require('tributary')
tb.create_file_source('in', 'in', {follow = true})
tb.create_batch('batch', {count = 100})
tb.create_file_sink('out', 'out')
tb.chain('in', 'batch', 'out')
";

/// Waits until a network has started and has read its file.
fn started(mut running: Running) -> Result<Running, Box<dyn Error>> {
    running.until_log("started: ")?;
    // Nothing shows that the line of the file is in the batch.
    std::thread::sleep(Duration::from_millis(700));
    Ok(running)
}

#[test]
fn a_terminal_that_is_closed_has_the_network_drain() -> Tested {
    let site = Site::with(&[("net.lua", HOLDS), ("in", "{\"n\":1}\n")])?;
    let binary = env!("CARGO_BIN_EXE_tributary");
    // `script` has the terminal, of which the shell and what it becomes are the session.
    let shell = format!("exec {binary} run net.lua -v 2> log");
    let mut terminal = Command::new("script")
        .args(["--quiet", "--command", &shell, "/dev/null"])
        .current_dir(site.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let until = |what: &dyn Fn() -> bool| {
        let limit = Instant::now() + Duration::from_secs(30);
        while Instant::now() < limit && !what() {
            std::thread::sleep(Duration::from_millis(20));
        }
        what()
    };
    let log = || site.read("log").unwrap_or_default();
    assert!(until(&|| log().contains("started: ")), "{}", log());
    // Nothing shows that the line of the file is in the batch.
    std::thread::sleep(Duration::from_millis(700));
    terminal.kill()?;
    terminal.wait()?;
    assert!(until(&|| log().contains("ended")), "{}", log());
    assert_eq!(site.read("out")?, "[{\"n\":1}]\n", "{}", log());
    Ok(())
}

#[test]
fn signals_for_users_drain_what_a_node_holds() -> Tested {
    for signal in [Signal::USR1, Signal::USR2] {
        let site = Site::with(&[("net.lua", HOLDS), ("in", "{\"n\":1}\n")])?;
        let running = started(ignoring_nothing(&site, &["run", "net.lua", "-v"])?)?;
        running.signal(signal)?;
        // One more of these never aborts.
        running.signal(signal)?;
        let done = running.wait()?;
        assert_eq!(done.code, Some(0), "{signal:?}: {}", done.stderr);
        assert_eq!(site.read("out")?, "[{\"n\":1}]\n", "{signal:?}");
    }
    Ok(())
}

#[test]
fn a_hang_up_that_is_ignored_at_the_start_stays_ignored() -> Tested {
    let site = Site::with(&[("net.lua", HOLDS), ("in", "{\"n\":1}\n")])?;
    let command = site.command_after("trap '' HUP", &["run", "net.lua", "-v"]);
    let mut running = started(Running::of(command)?)?;
    running.signal(Signal::HUP)?;
    // As long as draining would take.
    std::thread::sleep(Duration::from_millis(500));
    assert!(running.status().is_none(), "it has ended");
    assert_eq!(site.read("out")?, "", "nothing was drained");
    let done = running.stop()?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(site.read("out")?, "[{\"n\":1}]\n");
    Ok(())
}

#[test]
fn a_log_without_a_reader_loses_no_event() -> Tested {
    let network = "\
local tb = require('tributary')
tb.create_map('some', function(e) if e.data.n % 2 == 1 then error('odd') end return e end)
tb.chain('in', 'some', 'out')
";
    let site = Site::with(&[("net.lua", network)])?;
    let args = [
        "run", "net.lua", "-v", "--input", "in=-", "--output", "out=out",
    ];
    let mut child = site.command(&args).spawn()?;
    drop((child.stderr.take(), child.stdout.take()));
    let mut running = Running::from(child);
    for n in 0..10_000 {
        running.send(&format!("{{\"n\":{n}}}\n"))?;
    }
    drop(running.stdin.take());
    assert_eq!(running.wait()?.code, Some(0));
    assert_eq!(site.read("out")?.lines().count(), 5_000);
    Ok(())
}

#[test]
fn a_limit_of_draining_is_named_as_it_was_set() -> Tested {
    let network = "\
local tb = require('tributary')
tb.create_generator('gen', function(emit) emit({}) end)
tb.create_sink('out', 'tcp://127.0.0.1:1')
tb.chain('gen', 'out')
";
    let site = Site::with(&[("net.lua", network)])?;
    let done = site.call(&["run", "net.lua", "--for", "300ms", "--drain", "300ms"])?;
    assert_eq!(done.code, Some(75));
    let named = "tributary: not drained within 300ms: node ";
    assert!(done.stderr.contains(named), "{}", done.stderr);
    Ok(())
}
