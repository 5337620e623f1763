//! How the binary ends when it is told to: drained, or not.

use super::binary::{Done, Site, signal};
use super::command_line::{COPY, STREAMS};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command};
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

#[test]
fn a_signal_drains_what_the_source_has_accepted() -> Tested {
    for name in ["TERM", "INT"] {
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
        let mut child = site.command(&args).spawn()?;
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
    let site = Site::with(&[("net.lua", COPY)])?;
    // Opening a pipe waits for somebody who writes.
    let made = Command::new("mkfifo").arg(site.path("pipe")).status()?;
    assert!(made.success());
    let begun = Instant::now();
    let args = [
        "run",
        "net.lua",
        "--input",
        "in=pipe",
        "--output",
        "out=out.jsonl",
    ];
    let mut child = site.command(&args).spawn()?;
    while !site.path("out.jsonl").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "TERM")?;
    std::thread::sleep(Duration::from_millis(100));
    assert!(
        child.try_wait()?.is_none(),
        "a first signal is kept for the start"
    );
    signal(&child, "TERM")?;
    Done::of(child)?.expect(75, "", "");
    assert!(begun.elapsed() < Duration::from_secs(20));
    Ok(())
}
