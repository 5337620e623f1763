//! What is read by a process that is killed.

use super::super::{At, Connector};
use super::{PATIENCE, Reading, payload, texts, writing};
use serde_json::Value;
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tributary::{Error, Result};

const EVENTS: usize = 6_000;

/// The binary with a script that writes what it reads to a file; killed when it is dropped.
struct Reader(Child);

impl Reader {
    fn start(script: &Path) -> io::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.arg("run").arg(script).env("RUST_LOG", "error");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Reader(command.spawn()?))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A value as Lua writes it.
fn literal(value: &Value) -> String {
    let all = |items: Vec<String>| format!("{{ {} }}", items.join(", "));
    match value {
        Value::Array(items) => all(items.iter().map(literal).collect()),
        Value::Object(members) => {
            let member = |(name, value)| format!("[{name:?}] = {}", literal(value));
            all(members.iter().map(member).collect())
        }
        Value::Null => "nil".to_owned(),
        value => value.to_string(),
    }
}

fn script((url, options): At, out: &Path) -> String {
    let options = literal(&options.to_json());
    format!(
        "local tb = require('tributary')\n\
         tb.create_source('in', {url:?}, {options})\n\
         tb.create_sink('out', {:?}, {{ append = true }})\n\
         tb.link('in', 'out')\n",
        format!("file:{}", out.display())
    )
}

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
    let (path, out) = (folder.path().join("s.lua"), folder.path().join("out.jsonl"));
    let start = || Reader::start(&path).map_err(|error| Error::io("the binary", &error));
    std::fs::write(&path, script(server.source("slain"), &out))
        .map_err(|error| Error::io("a script", &error))?;

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
