//! Private servers: on free ports of the loopback, ended with their value, and with this process
//! however that ends.
//!
//! Beside each server runs a shell that reads its standard input. Its end is the end of this process; the
//! shell kills the process group of the server then.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a server may take until it accepts connections.
const STARTUP: Duration = Duration::from_secs(60);

/// Kills a process group once its input ends, and removes directories.
const GUARD: &str = "read -r _; kill -s KILL -- \"-$0\" 2>/dev/null; \
                     rm -rf -- \"$@\" || { sleep 1; rm -rf -- \"$@\"; }";

/// A port of the loopback that was free a moment ago, and that this process has not been given before.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        if given.insert(port) {
            return port;
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Process {
    server: Child,
    guard: Child,
}

impl Process {
    /// Starts the command, with its output discarded, and waits until this port of the loopback accepts
    /// connections.
    #[track_caller]
    pub fn start(command: &mut Command, port: u16) -> Self {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        Process::start_with(command, port, &[])
    }

    /// The same with the output as it was set, and directories that are removed when this process ends
    /// without dropping the value.
    #[track_caller]
    pub fn start_with(command: &mut Command, port: u16, directories: &[&Path]) -> Self {
        // A script may have started the server, and would be ended without it.
        command.stdin(Stdio::null()).process_group(0);
        let server = command.spawn();
        let server = server.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let guard = Command::new("sh")
            .args(["-c", GUARD, &server.id().to_string()])
            .args(directories)
            .stdin(Stdio::piped())
            // The signals of a terminal go to its foreground group.
            .process_group(0)
            .spawn();
        let mut process = Process {
            server,
            guard: guard.expect("sh"),
        };
        let deadline = Instant::now() + STARTUP;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Ok(Some(status)) = process.server.try_wait() {
                panic!("{command:?}: it ended: {status}");
            }
            assert!(
                Instant::now() < deadline,
                "{command:?}: nothing listens on port {port}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        process
    }

    /// Sends a signal to the server.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).expect("a server that runs");
    }

    /// Has the server end by itself, so that it can write what it has in memory, and waits for that.
    #[track_caller]
    pub fn end(mut self) {
        self.signal(Signal::TERM);
        self.server.wait().expect("its status");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard first: the number of the group may be in use again later.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = kill_process_group(Pid::from_child(&self.server), Signal::KILL);
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A port that accepts connections and never answers, as long as the value lives.
pub struct Silent(TcpListener);

impl Silent {
    pub fn start() -> Self {
        // Connections wait in the queue of the system, which accepts them.
        Silent(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().expect("its address").port()
    }
}

#[test]
#[should_panic(expected = "it ended: exit status: 0")]
fn a_program_that_ends_is_no_server() {
    Process::start(&mut Command::new("true"), free_port());
}

#[test]
fn a_server_ends_with_the_process_that_started_it() {
    let place = tempfile::tempdir().expect("a directory");
    let kept = place.path().join("data");
    std::fs::create_dir(&kept).expect("a directory");
    let mut server = Command::new("sleep")
        .arg("600")
        .process_group(0)
        .spawn()
        .expect("sleep");
    let mut guard = Command::new("sh")
        .args(["-c", GUARD, &server.id().to_string()])
        .arg(&kept)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh");
    // As the system does when the process that holds the other end is gone.
    drop(guard.stdin.take());
    assert!(guard.wait().expect("it ends").success());
    assert!(
        server.wait().expect("it ends").code().is_none(),
        "by a signal"
    );
    assert!(!kept.exists());
}
