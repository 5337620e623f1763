//! The binary, with a script that joins two connectors.

use super::super::At;
use crate::support::binary::{Running, Site};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use tributary::{Error, Result};

/// A process of the binary; killed when it is dropped.
pub(super) struct Process {
    running: Running,
    _site: Site,
}

impl Process {
    /// Starts one that sends what comes from `source`, to its node `in`, on to `sink`, by its node
    /// `out`.
    pub fn start(source: At, sink: At) -> Result<Self> {
        let site = Site::with(&[("s.lua", &script(&source, &sink))]);
        let site = site.map_err(|error| Error::io("a directory", &error))?;
        let mut command = site.command(&["run", "s.lua"]);
        command.env("RUST_LOG", "error");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let running = Running::of(command);
        Ok(Process {
            running: running.map_err(|error| Error::io("the binary", &error))?,
            _site: site,
        })
    }

    /// The names of its threads, as far as the system keeps them: 15 bytes.
    pub fn threads(&self) -> Result<Vec<String>> {
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = std::fs::read_to_string(entry?.path().join("comm"))?;
            Ok(name.trim_end().to_owned())
        };
        let tasks = Path::new("/proc").join(self.running.id().to_string());
        let tasks = std::fs::read_dir(tasks.join("task"));
        let names = tasks.and_then(|tasks| tasks.map(name).collect());
        names.map_err(|error| Error::io("the threads of the binary", &error))
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

fn script(source: &At, sink: &At) -> String {
    format!(
        "local tb = require('tributary')\n\
         tb.create_source('in', {:?}, {})\n\
         tb.create_sink('out', {:?}, {})\n\
         tb.link('in', 'out')\n",
        source.0,
        literal(&source.1.to_json()),
        sink.0,
        literal(&sink.1.to_json())
    )
}
