//! The binary in a directory of its own, for tests in which it is killed and started again.

use crate::support::binary::{self, Done, Running};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// After this time a process that should have ended is killed, and the test fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A directory with the files of a run, in which `net.lua` is a script.
pub struct Site(binary::Site);

impl Site {
    pub fn with(script: &str) -> Self {
        let site = binary::Site::with(&[("net.lua", script)]);
        Site(site.expect("a temporary directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    pub fn root(&self) -> &Path {
        self.0.root()
    }

    pub fn write(&self, name: &str, text: &str) {
        self.0.write(name, text).expect("a file");
    }

    /// What a file holds; nothing where there is none.
    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How long a file is.
    pub fn len(&self, name: &str) -> u64 {
        std::fs::metadata(self.path(name)).map_or(0, |meta| meta.len())
    }

    /// Starts `tributary run net.lua` with these options.
    pub fn start(&self, options: &[&str]) -> Running {
        start(self.0.command(&arguments(options)))
    }

    /// The same by another program, to which the binary and its arguments are appended.
    pub fn start_by<S: AsRef<OsStr>>(&self, program: &[S], options: &[&str]) -> Running {
        start(self.0.command_by(program, &arguments(options)))
    }

    /// Runs it to its end and expects success.
    #[track_caller]
    pub fn finish(&self, options: &[&str]) {
        finish(self.start(options));
    }
}

fn arguments<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["run", "net.lua"], options].concat()
}

fn start(mut command: Command) -> Running {
    command
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Running::of(command).expect("the binary can be started")
}

/// Waits for the end of a process.
#[track_caller]
pub fn end(running: Running) -> Done {
    match running.wait_within(PATIENCE) {
        Ok(done) => done,
        Err(error) => panic!("{error}"),
    }
}

/// Waits for the end of a process and expects success.
#[track_caller]
pub fn finish(running: Running) {
    let done = end(running);
    assert_eq!(done.code, Some(0), "{}", tail(&done.stderr));
}

/// Has a process stop by SIGTERM and expects success.
#[track_caller]
pub fn stop(running: Running) {
    running.signal(binary::Signal::TERM).expect("it runs");
    finish(running);
}

/// Kills a process as `kill -9` does; whether it still ran.
pub fn kill(running: Running) -> bool {
    running.kill().expect("it ends").code.is_none()
}

/// The end of a log.
pub fn tail(log: &str) -> String {
    let skipped = log.chars().count().saturating_sub(2_000);
    log.chars().skip(skipped).collect()
}
