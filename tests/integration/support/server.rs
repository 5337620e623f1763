//! Programs that serve: started on free ports with directories of their own, ended with the value.

use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tributary::{Error, ErrorKind, Result};

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port of the loopback that was free a moment ago.
pub fn free_port() -> u16 {
    // The system may name one again that nobody has taken yet.
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
pub struct Process(Child);

impl Process {
    /// Starts the command, whose output is let go, and waits until this port of the loopback takes
    /// connections.
    pub fn start(command: &mut Command, port: u16) -> Result<Self> {
        let shown = format!("{command:?}");
        let wrong = |why: String| Error::new(ErrorKind::Unavailable, format!("{shown}: {why}"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A script may have started the server, and would be ended without it.
            .process_group(0);
        let child = command.spawn().map_err(|error| Error::io(&shown, &error))?;
        let mut server = Process(child);
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Ok(Some(status)) = server.0.try_wait() {
                return Err(wrong(format!("it ended: {status}")));
            }
            if Instant::now() > until {
                return Err(wrong(format!("port {port} is not taken")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Process {
    /// Asks it to read its configuration again.
    #[cfg(feature = "mqtt")]
    pub fn reload(&self) -> Result<()> {
        let id = rustix::process::Pid::from_child(&self.0);
        let asked = rustix::process::kill_process(id, rustix::process::Signal::HUP);
        asked.map_err(|error| Error::io("a signal", &error.into()))
    }

    /// Asks it to end, so that it may write what it has in memory, and waits until it has.
    #[cfg(feature = "mqtt")]
    pub fn end(mut self) -> Result<()> {
        let id = rustix::process::Pid::from_child(&self.0);
        let asked = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        asked.map_err(|error| Error::io("a signal", &error.into()))?;
        let ended = self.0.wait();
        ended
            .map(drop)
            .map_err(|error| Error::io("a server that ends", &error))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that takes connections and never answers, as long as the value lives.
pub struct Silent(TcpListener);

impl Silent {
    pub fn start() -> Self {
        // What connects waits in the queue of the system, which is an answer to connect alone.
        Silent(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().expect("its address").port()
    }
}

#[test]
fn a_program_that_ends_is_no_server() {
    let error = Process::start(&mut Command::new("true"), free_port()).err();
    assert!(
        error
            .expect("it has ended")
            .message()
            .contains("it ended: exit status: 0")
    );
}
