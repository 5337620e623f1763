//! How the binary ends when it is told to: drained, or not.

use crate::cli::verbs::{COPY, STREAMS};
use crate::support::binary::{Done, Site, signal};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Tested = Result<(), Box<dyn Error>>;

/// Writes lines to a process for as long as it reads, numbered or all the same.
fn flood(child: &mut Child, numbered: bool) -> Result<JoinHandle<()>, Box<dyn Error>> {
    let mut stdin: ChildStdin = child.stdin.take().ok_or("no standard input")?;
    let line = move |number: u64| match numbered {
        true => format!("{number}\n"),
        false => "12345678\n".to_owned(),
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

/// A call of the binary that ignores no signal, also where the tests themselves run under `nohup`.
fn ignoring_nothing(site: &Site, args: &[&str]) -> Command {
    let run = site.command(args);
    let mut command = Command::new("env");
    command
        .arg("--default-signal=HUP,USR1,USR2")
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(site.path("."))
        .env_remove("RUST_LOG");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_signal_drains_what_the_source_has_accepted() -> Tested {
    for name in ["TERM", "INT", "HUP", "USR1", "USR2"] {
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
        let mut child = ignoring_nothing(&site, &args).spawn()?;
        let writer = flood(&mut child, true)?;
        while site.read("out.jsonl").unwrap_or_default().len() < 100_000 {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(&child, name)?;
        let done = Done::of(child)?;
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
        assert_eq!(gap, None, "a line is missing after SIG{name}");
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
    let mut child = site
        .command(&["run", "net.lua", "--drain", "50s"])
        .spawn()?;
    let (writer, stdout) = (flood(&mut child, false)?, child.stdout.take());
    let mut first = String::new();
    let mut stdout = BufReader::with_capacity(16, stdout.ok_or("no standard output")?);
    stdout.read_line(&mut first)?;
    assert_eq!(first, "12345678\n");
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "TERM")?;
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait()?.is_none(), "it drains, so it waits");
    signal(&child, "TERM")?;
    let done = Done::of(child)?;
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
    let mut child = site.command(&args).spawn()?;
    let (writer, stdout) = (flood(&mut child, false)?, child.stdout.take());
    let done = Done::of(child)?;
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
    let child = site.command(&["run", "net.lua"]).spawn()?;
    while !site.path("out.jsonl").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "TERM")?;
    let done = Done::of(child)?;
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

/// Starts a command and waits until its network has.
fn started(mut command: Command) -> Result<Child, Box<dyn Error>> {
    let mut child = command.stdin(Stdio::null()).spawn()?;
    let stderr = child.stderr.as_mut().ok_or("no standard error")?;
    let mut first = [0; 1];
    stderr.read_exact(&mut first)?;
    // The line says that it has started; what is in the file is read within this time.
    std::thread::sleep(Duration::from_millis(700));
    Ok(child)
}

#[test]
fn a_hang_up_lets_go_what_a_node_holds_back() -> Tested {
    for name in ["HUP", "USR1", "USR2"] {
        let site = Site::with(&[("net.lua", HOLDS), ("in", "{\"n\":1}\n")])?;
        let child = started(ignoring_nothing(&site, &["run", "net.lua", "-v"]))?;
        signal(&child, name)?;
        // One more of these never aborts.
        signal(&child, name)?;
        let done = Done::of(child)?;
        assert_eq!(done.code, Some(0), "{name}: {}", done.stderr);
        assert_eq!(site.read("out")?, "[{\"n\":1}]\n", "{name}");
    }
    Ok(())
}

#[test]
fn a_hang_up_that_is_ignored_at_the_start_stays_ignored() -> Tested {
    let site = Site::with(&[("net.lua", HOLDS), ("in", "{\"n\":1}\n")])?;
    let run = site.command(&["run", "net.lua", "-v"]);
    let mut command = Command::new("sh");
    let program = run.get_program().to_string_lossy().into_owned();
    let script = format!("trap '' HUP; exec '{program}' run net.lua -v");
    command.args(["-c", &script]).current_dir(site.path("."));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = started(command)?;
    signal(&child, "HUP")?;
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait()?.is_none(), "it goes on");
    assert_eq!(site.read("out")?, "", "nothing was drained");
    signal(&child, "TERM")?;
    let done = Done::of(child)?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(site.read("out")?, "[{\"n\":1}]\n");
    Ok(())
}

#[test]
fn a_log_that_nobody_reads_any_more_loses_no_event() -> Tested {
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
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    for n in 0..10_000 {
        writeln!(stdin, "{{\"n\":{n}}}")?;
    }
    drop(stdin);
    assert_eq!(Done::of(child)?.code, Some(0));
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
