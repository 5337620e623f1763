//! What is read by a process that is killed.

use super::super::Connector;
use super::process::Process;
use super::{PATIENCE, Reading, payload, texts, writing};
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};
use tributary::connect::Options;
use tributary::{Error, Result};

const EVENTS: usize = 6_000;

/// The lines that were written so far.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn until(path: &Path, what: &str, holds: impl Fn(&HashSet<String>) -> bool) -> Result<()> {
    let limit = Instant::now() + 2 * PATIENCE;
    loop {
        let seen: HashSet<String> = lines(path).into_iter().collect();
        if holds(&seen) {
            return Ok(());
        }
        if Instant::now() > limit {
            let error = format!("{what}: {} of {EVENTS} were read", seen.len());
            return Err(Error::data(error));
        }
        // Until the next look.
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn a_process_that_is_killed_loses_nothing<C: Connector>() -> Result<()> {
    if !C::PROMISES.acks {
        return Ok(());
    }
    let mut server = C::start()?;
    server.prepare("slain")?;
    let folder = tempfile::tempdir().map_err(|error| Error::io("a directory", &error))?;
    let out = folder.path().join("out.jsonl");
    let sink = (
        format!("file:{}", out.display()),
        Options::new().with("append", true),
    );
    let start = || Process::start(server.source("slain"), sink.clone());

    // The server knows from here on who reads.
    Reading::start(server.source("slain"))?.stop()?;
    let reader = start()?;
    let writer = writing(server.sink("slain"), 0..EVENTS)?;
    writer.start()?;
    until(&out, "before the first kill", |seen| {
        seen.len() > EVENTS / 10
    })?;
    drop(reader);
    let reader = start()?;
    until(&out, "before the second kill", |seen| {
        seen.len() > EVENTS / 3
    })?;
    drop(reader);
    let _reader = start()?;
    writer.wait()?;
    until(&out, "after the kills", |seen| {
        (0..EVENTS).all(|number| seen.contains(&payload(number)))
    })?;
    let sent: HashSet<String> = texts(0..EVENTS).into_iter().collect();
    let strange = lines(&out).into_iter().find(|line| !sent.contains(line));
    assert_eq!(strange, None, "what was never sent");
    Ok(())
}
