//! `tcp:` and `unix:`, whose server is the source.

use super::{At, Connector, Promises, Refusal, conforms};
use crate::support::binary::{Running, Site, command_in};
use crate::support::probe::{Seen, soon};
use crate::support::process::{Process, free_port};
use std::collections::HashMap;
use std::io::{BufRead as _, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tributary::connect::{self, Options};
use tributary::{Error, ErrorKind, Network, Result, source};

const PROMISES: Promises = Promises {
    order: true,
    redelivery: false,
    acks: false,
    groups: false,
    durable: false,
};

#[derive(Default)]
struct Tcp(Mutex<HashMap<String, u16>>);

impl Tcp {
    fn at(&self, name: &str) -> At {
        let mut ports = self.0.lock().unwrap();
        let port = ports.entry(name.to_owned()).or_insert_with(free_port);
        (format!("tcp://127.0.0.1:{port}"), Options::new())
    }
}

struct Unix(TempDir);

impl Unix {
    fn at(&self, name: &str) -> At {
        let path = self.0.path().join(name);
        (format!("unix:{}", path.display()), Options::new())
    }
}

impl Connector for Tcp {
    const PROMISES: Promises = PROMISES;

    fn start() -> Result<Self> {
        Ok(Self::default())
    }
    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
    fn resume(&mut self) -> Result<()> {
        Ok(())
    }
    fn prepare(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
    fn source(&self, name: &str) -> At {
        self.at(name)
    }
    fn sink(&self, name: &str) -> At {
        self.at(name)
    }

    fn picky_sink(&self, name: &str) -> At {
        self.sink(name)
    }

    /// What it writes to takes any line: see the table of `conformance`.
    fn refuse(&mut self, _name: &str, _: Refusal) -> Result<Option<usize>> {
        Ok(None)
    }

    fn relent(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }
}

impl Connector for Unix {
    const PROMISES: Promises = PROMISES;

    fn start() -> Result<Self> {
        let place = tempfile::tempdir();
        place
            .map(Unix)
            .map_err(|error| Error::io("a directory", &error))
    }
    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
    fn resume(&mut self) -> Result<()> {
        Ok(())
    }
    fn prepare(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
    fn source(&self, name: &str) -> At {
        self.at(name)
    }
    fn sink(&self, name: &str) -> At {
        self.at(name)
    }

    fn picky_sink(&self, name: &str) -> At {
        self.sink(name)
    }

    /// What it writes to takes any line: see the table of `conformance`.
    fn refuse(&mut self, _name: &str, _: Refusal) -> Result<Option<usize>> {
        Ok(None)
    }

    fn relent(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }
}

mod tcp {
    super::conforms!(super::Tcp, "takes seconds");
}

mod unix {
    super::conforms!(super::Unix, "takes seconds");
}

fn refused(url: &str) -> Error {
    let made = connect::source(url, &Options::new());
    made.err().expect("it is refused")
}

#[test]
fn an_address_that_cannot_be_bound_is_refused() -> Result<()> {
    for (url, expected) in [
        (
            "tcp://127.0.0.1:99999",
            "its port is not a number from 0 to 65535",
        ),
        ("tcp://[::1:80", "bad host"),
        ("tcp:127.0.0.1:80", "// is missing"),
        ("tcp://127.0.0.1:80/x", "nothing can follow the port"),
        (
            "tcp://0.0.0.0:0",
            "any host could write to it; listen at 127.0.0.1",
        ),
        ("unix:", "no path in the address"),
    ] {
        let error = refused(url);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("tcp://{}", taken.local_addr().expect("an address"));
    let network = Network::new();
    network.add_source("in", connect::source(&url, &Options::new())?)?;
    let error = network.start().expect_err("it is taken");
    assert_eq!(
        error.to_string(),
        format!("node in: {url}: address already in use")
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let network = Network::new();
    network.add_source("in", connect::source("tcp://[::1]:0", &Options::new())?)?;
    network.start()?;
    network.stop()
}

#[test]
fn lines_that_are_none_are_rejected_and_the_last_one_needs_no_end() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("in");
    let network = Network::new();
    let url = format!("unix:{}", path.display());
    network.add_source("in", connect::source(&url, &Options::new())?)?;
    let (seen, errors) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
    network.link("in", "out")?;
    network.link("in.errors", "bad")?;
    network.start()?;
    let mut stream = UnixStream::connect(&path).expect("connected");
    let long = "x".repeat((1 << 20) + 1);
    write!(stream, "1\r\n\n{{\n{long}\n2").expect("written");
    drop(stream);
    assert!(
        soon(|| seen.len() == 2 && errors.len() == 2),
        "{:?}",
        errors.len()
    );
    assert_eq!(seen.texts(), ["1", "2"]);
    let error = errors.events()[1].meta().get("error").cloned();
    assert!(error.is_some_and(|e| e.to_string().contains("1048577 bytes > max_event_bytes")));
    network.stop()?;
    assert!(!path.exists());
    Ok(())
}

#[test]
fn a_sink_waits_for_who_listens_and_connects_again() -> Result<()> {
    let port = free_port();
    let url = format!("tcp://127.0.0.1:{port}");
    let reader = || -> Result<(Network, Seen)> {
        let network = Network::new();
        network.add_source("in", connect::source(&url, &Options::new())?)?;
        let seen = Seen::at(&network, "out")?;
        network.link("in", "out")?;
        Ok((network, seen))
    };
    let (numbers, sender) = source::channel();
    let writer = Network::new();
    writer.add_source("numbers", sender)?;
    writer.add_sink("out", connect::sink(&url, &Options::new())?)?;
    writer.link("numbers", "out")?;
    writer.start()?;
    numbers.send("1")?;
    for number in ["1", "2"] {
        let (network, seen) = reader()?;
        network.start()?;
        if number != "1" {
            numbers.send(number)?;
        }
        assert!(soon(|| seen.len() == 1), "{number}");
        assert_eq!(seen.texts(), [number]);
        network.stop()?;
    }
    drop(numbers);
    writer.wait()
}

#[test]
fn the_binary_serves_a_socket() {
    let place = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let script = format!(
        "tb = require('tributary')
         tb.create_source('in', 'tcp://127.0.0.1:{port}')
         tb.create_sink('out', 'file:out.jsonl')
         tb.link('in', 'out')"
    );
    std::fs::write(place.path().join("net.lua"), script).expect("written");
    let mut command = command_in(place.path(), &["run", "net.lua"]);
    let server = Process::start(&mut command, port);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.write_all(b"{\"a\":1}\n").expect("written");
    let out = place.path().join("out.jsonl");
    assert!(soon(
        || std::fs::read(&out).is_ok_and(|text| text == b"{\"a\":1}\n")
    ));
    drop(server);
}

/// What the binary logs of a script whose only node listens, run with few file handles, and what it
/// wrote; `clients` is called once it listens.
fn with_few_handles(source: &str, port: u16, clients: impl FnOnce()) -> (String, String) {
    let site = Site::new().expect("a directory");
    let script = format!(
        "local tb = require('tributary')\n{source}\n\
         tb.create_file_sink('out', 'out') tb.chain('in', 'out')"
    );
    site.write("net.lua", script).expect("a file");
    let command = site.command_after("ulimit -n 40", &["run", "net.lua", "--for", "60s"]);
    let mut running = Running::of(command).expect("it starts");
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    running.until("a listener", listens).expect("it listens");
    clients();
    let out = || site.read("out").unwrap_or_default();
    let written = running.until("an event", || out().contains("{\"n\":1}"));
    written.expect("it is served");
    let done = running.kill().expect("it ends");
    (done.stderr, out())
}

#[test]
fn a_listener_without_file_handles_waits_for_some() {
    let plain = b"{\"n\":1}\n".as_slice();
    let posted = b"POST /in HTTP/1.1\r\nhost: x\r\ncontent-length: 7\r\n\r\n{\"n\":1}".as_slice();
    for (scheme, path, message) in [("tcp", "", plain), ("http", "/in", posted)] {
        if scheme == "http" && !cfg!(feature = "http") {
            continue;
        }
        let port = free_port();
        let source = format!("tb.create_source('in', '{scheme}://127.0.0.1:{port}{path}')");
        let (log, _) = with_few_handles(&source, port, || {
            let connect = || std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected");
            let many: Vec<_> = (0..60).map(|_| connect()).collect();
            // By then no handle is left, and that is logged.
            std::thread::sleep(std::time::Duration::from_millis(700));
            drop(many);
            let mut one = connect();
            one.write_all(message).expect("written");
            std::mem::forget(one);
        });
        assert_eq!(log.matches("too many open files").count(), 1, "{log}");
        assert!(log.contains("no connection can be accepted"), "{log}");
    }
}

#[test]
fn clients_that_lock_out_another_are_logged_once() {
    let port = free_port();
    let source = format!(
        "tb.create_source('in', 'tcp://127.0.0.1:{port}', \
         {{ connections = 2, connections_per_address = 2 }})"
    );
    let (log, _) = with_few_handles(&source, port, || {
        // The one that has found out whether it listens is gone.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let connect = || std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected");
        let mut busy = [connect(), connect()];
        let mut third = None;
        for at in 0..12 {
            for stream in &mut busy {
                stream.write_all(b"{\"m\":1}\n").expect("written");
            }
            if at == 2 {
                let mut stream = connect();
                stream.write_all(b"{\"n\":1}\n").expect("written");
                third = Some(stream);
            }
            // It must be let in while the others are busy.
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        drop(busy);
        std::mem::forget(third);
    });
    let lines = log.matches(
        "2 connections are open, and more clients are waiting; raise the option connections",
    );
    assert_eq!(lines.count(), 1, "{log}");
}

/// A receiver that takes every connection, ends its own direction of it, and reads: `lines` of each
/// connection, or all.
fn receiver(lines: Option<usize>) -> (u16, Arc<Mutex<Vec<Vec<String>>>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    let got = Arc::new(Mutex::new(Vec::new()));
    let all = got.clone();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            all.lock().unwrap().push(Vec::new());
            if lines.is_none() {
                stream
                    .shutdown(std::net::Shutdown::Write)
                    .expect("shut down");
            }
            let all = all.clone();
            std::thread::spawn(move || {
                let read = std::io::BufReader::new(stream)
                    .lines()
                    .map_while(|line| line.ok());
                for line in read.take(lines.unwrap_or(usize::MAX)) {
                    all.lock().unwrap()[at].push(line);
                }
            });
        }
    });
    (port, got)
}

#[test]
fn a_receiver_that_ends_its_own_direction_keeps_its_connection() -> Result<()> {
    let (port, got) = receiver(None);
    let (sender, events) = source::channel();
    let network = Network::new();
    network.add_source("in", events)?;
    let url = format!("tcp://127.0.0.1:{port}");
    network.add_sink("out", connect::sink(&url, &Options::new())?)?;
    network.link("in", "out")?;
    network.start()?;
    let count = || got.lock().unwrap().iter().map(Vec::len).sum::<usize>();
    for n in 1..=30 {
        sender.send(format!("{{\"n\":{n}}}"))?;
        assert!(soon(|| count() == n), "{n}: {}", count());
    }
    network.stop()?;
    let connections = got.lock().unwrap().len();
    assert!(connections <= 3, "{connections}");
    let stats = network.stats();
    assert_eq!(stats.node("out").expect("a node").rejected, 0);
    Ok(())
}

#[test]
fn a_receiver_that_closes_after_each_batch_gets_all_of_them() -> Result<()> {
    let (port, got) = receiver(Some(1));
    let (sender, events) = source::channel();
    let network = Network::new();
    network.add_source("in", events)?;
    let url = format!("tcp://127.0.0.1:{port}");
    network.add_sink("out", connect::sink(&url, &Options::new())?)?;
    network.link("in", "out")?;
    network.start()?;
    let seen = |n: usize| {
        let line = format!("{{\"n\":{n}}}");
        got.lock().unwrap().iter().flatten().any(|got| *got == line)
    };
    for n in 1..=10 {
        sender.send(format!("{{\"n\":{n}}}"))?;
        assert!(soon(|| seen(n)), "{n} is missing");
        // It closes meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    network.stop()
}
