//! How many threads a connector starts.

use super::super::Connector;
use super::process::Process;
use super::{PATIENCE, Reading, write};
use std::time::{Duration, Instant};
use tributary::{Outcome, Result};

/// The threads of a process that runs `in -> out`, whatever their connectors are.
const ALWAYS: [&str; 5] = [
    "tributary",
    "tributary-timer",
    // The watchdog.
    "tributary-watch",
    "in",
    "out",
];
/// The names of those that clients start for themselves.
const OF_CLIENTS: [&str; 4] = [
    // lapin, and what it runs its connection on.
    "lapin-io-loop",
    "async-compat/to",
    // Looks up the name of a server, and ends when there is nothing to look up.
    "tokio-rt-worker",
    // librdkafka.
    "rdk:",
];

pub fn it_starts_no_thread_beside_those_of_its_client<C: Connector>() -> Result<()> {
    let mut server = C::start()?;
    server.prepare("threads")?;
    server.prepare("threads-too")?;
    let reading = Reading::start(server.source("threads-too"))?;
    let process = Process::start(server.source("threads"), server.sink("threads-too"))?;
    let until = Instant::now() + PATIENCE;
    loop {
        // Again, where nothing is kept for those who come later.
        write(server.sink("threads"), 0..100)?;
        if let Some(event) = reading.events.recv_timeout(Duration::from_secs(1)) {
            event.settle(Outcome::Delivered);
            break;
        }
        assert!(Instant::now() < until, "nothing has come");
    }
    let mut threads = process.threads()?;
    for known in ALWAYS {
        // One each: a thread without a name has that of the one that started it.
        if let Some(at) = threads.iter().position(|name| name == known) {
            threads.remove(at);
        }
    }
    threads.retain(|name| !OF_CLIENTS.iter().any(|start| name.starts_with(start)));
    assert_eq!(threads, [""; 0]);
    drop(process);
    reading.stop()
}
