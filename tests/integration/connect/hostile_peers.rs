//! Listeners against hostile peers: one suite for every kind of listener, through the binary. Peers that
//! send nothing, half a message, random bytes or a message without an end, flood the listener, or read no
//! answers do not shut out other clients: a client is answered meanwhile, the memory of the process stays
//! bounded, and it stops within its drain limit.
//!
//! A listener is a source with the option `connections`. To add one: its line in `KINDS`.

use crate::support::binary::{Running, Signal, Site};
use crate::support::probe::soon;
use crate::support::process::free_port;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// More than the 256 connections that a listener keeps.
const CROWD: usize = 300;
/// The most memory that the process may have had, in KiB.
const MEMORY: usize = 160 << 10;
/// Within which time one of a few clients in a row is answered.
const ANSWER: Duration = Duration::from_millis(200);

/// A connection of either kind.
trait Stream: Read + Write + Send {
    fn limit(&self, limit: Duration);
}

impl Stream for TcpStream {
    fn limit(&self, limit: Duration) {
        let _ = self.set_read_timeout(Some(limit));
        let _ = self.set_write_timeout(Some(limit));
    }
}

impl Stream for UnixStream {
    fn limit(&self, limit: Duration) {
        let _ = self.set_read_timeout(Some(limit));
        let _ = self.set_write_timeout(Some(limit));
    }
}

/// A kind of listener.
struct Kind {
    scheme: &'static str,
    /// The whole of a message with this number.
    message: fn(usize) -> String,
    /// The beginnings of messages that never come to an end.
    halves: &'static [&'static str],
    /// What is repeated without an end after one of the halves.
    endless: &'static str,
    /// A message that is refused, whose answer is not read.
    refused: &'static str,
    /// Whether messages are answered; the others are looked for in the output.
    answers: bool,
}

const POST: &str = "POST /in HTTP/1.1\r\nhost: x\r\n";

fn lines(number: usize) -> String {
    format!("{{\"n\":{number}}}\n")
}

fn post(number: usize) -> String {
    let body = lines(number);
    format!("{POST}content-length: {}\r\n\r\n{body}", body.len())
}

const LINES: Kind = Kind {
    scheme: "",
    message: lines,
    halves: &["", "{\"n\":", "{\"text\":\"", "\u{feff}"],
    endless: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    refused: "{\"n\":1, \"text\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
    answers: false,
};

const KINDS: &[Kind] = &[
    #[cfg(feature = "http")]
    Kind {
        scheme: "http",
        message: post,
        halves: &[
            "",
            "PO",
            "POST /in HTTP/1.1\r\nhost: x\r\nx: ",
            "POST /in HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
            "POST /in HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n{",
            "POST /in HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;",
            "POST /in HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
        ],
        endless: "1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n",
        refused: "POST /in HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n{",
        answers: true,
    },
    Kind {
        scheme: "tcp",
        ..LINES
    },
    Kind {
        scheme: "unix",
        ..LINES
    },
];

#[test]
fn every_kind_of_listener_is_in_the_suite() {
    let listeners = tributary::connect::option_names().into_iter();
    let listeners = listeners
        .filter(|(_, source, _)| source.is_some_and(|options| options.contains(&"connections")));
    let mut listeners: Vec<&str> = listeners.map(|(scheme, _, _)| scheme).collect();
    listeners.sort_unstable();
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.scheme).collect();
    assert_eq!(listeners, known);
}

/// The binary with one listener, which it keeps until the value is dropped.
struct Listener {
    kind: &'static Kind,
    site: Site,
    port: u16,
    running: Option<Running>,
    sent: usize,
}

impl Listener {
    fn start(kind: &'static Kind, options: &str) -> Self {
        let (site, port) = (Site::new().expect("a directory"), free_port());
        let address = match kind.scheme {
            "http" => format!("http://127.0.0.1:{port}/in"),
            "tcp" => format!("tcp://127.0.0.1:{port}"),
            _ => "unix:socket".to_owned(),
        };
        Listener::at(kind, site, port, &address, options)
    }

    fn at(kind: &'static Kind, site: Site, port: u16, address: &str, options: &str) -> Self {
        let script = format!(
            "local tb = require('tributary')\n\
             tb.create_source('in', '{address}', {{ {options} }})\n\
             tb.create_file_sink('out', 'out') tb.chain('in', 'out')"
        );
        site.write("net.lua", script).expect("a file");
        let args = ["run", "net.lua", "--drain", "5s"];
        let mut command = site.command_after("ulimit -v 3000000", &args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let running = Running::of(command).expect("it starts");
        let mut listener = Listener {
            kind,
            site,
            port,
            running: Some(running),
            sent: 0,
        };
        let begun = soon(|| {
            listener
                .kind
                .try_connect(listener.site.root(), port)
                .is_some()
        });
        assert!(begun, "{}", listener.running().log());
        listener.is_served();
        listener
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    fn connect(&self) -> Box<dyn Stream> {
        let stream = self.kind.try_connect(self.site.root(), self.port);
        stream.expect("connected")
    }

    /// How long one more client waits for its message to be taken.
    fn answers_in(&mut self) -> Duration {
        self.sent += 1;
        let number = 1_000_000 + self.sent;
        let begun = Instant::now();
        let mut stream = self.connect();
        stream.limit(Duration::from_secs(10));
        let message = (self.kind.message)(number);
        if stream.write_all(message.as_bytes()).is_err() {
            return Duration::MAX;
        }
        if self.kind.answers {
            let mut head = [0; 12];
            return match stream.read_exact(&mut head) {
                Ok(()) if &head == b"HTTP/1.1 204" => begun.elapsed(),
                _ => Duration::MAX,
            };
        }
        let line = lines(number);
        while !self.tail().contains(&line) {
            if begun.elapsed() > Duration::from_secs(10) {
                return Duration::MAX;
            }
            // Until the next look.
            std::thread::sleep(Duration::from_millis(2));
        }
        begun.elapsed()
    }

    /// The end of what was written.
    fn tail(&self) -> String {
        use std::io::{Seek as _, SeekFrom};
        let Ok(mut file) = std::fs::File::open(self.site.path("out")) else {
            return String::new();
        };
        let size = file.metadata().expect("known").len();
        let from = size.saturating_sub(1 << 20);
        file.seek(SeekFrom::Start(from)).expect("a place");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("it can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Clients are answered, one of a few within [`ANSWER`].
    fn is_served(&mut self) {
        let mut best = Duration::MAX;
        for _ in 0..20 {
            best = best.min(self.answers_in());
            if best < ANSWER {
                return;
            }
        }
        panic!(
            "{}: answered in {best:?}; {}",
            self.kind.scheme,
            self.running().log()
        );
    }

    /// It answers, has taken little memory, and stops in time.
    fn ends_well(mut self, case: &str) {
        let kind = self.kind.scheme;
        let peak = self.running().memory("VmHWM") >> 10;
        assert!(peak < MEMORY, "{kind}, {case}: {peak} KiB");
        self.is_served();
        let running = self.running.take().expect("it runs");
        running.signal(Signal::TERM).expect("it runs");
        let done = running.wait_within(Duration::from_secs(6));
        let done = done.unwrap_or_else(|error| panic!("{kind}, {case}: {error:.2000}"));
        let log: String = done.stderr.chars().take(2_000).collect();
        assert_eq!(done.code, Some(0), "{kind}, {case}: {log}");
        assert!(!log.contains("panic"), "{kind}, {case}: {log}");
    }
}

impl Kind {
    fn try_connect(&self, place: &Path, port: u16) -> Option<Box<dyn Stream>> {
        if self.scheme == "unix" {
            let stream = UnixStream::connect(place.join("socket")).ok()?;
            return Some(Box::new(stream));
        }
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        Some(Box::new(stream))
    }
}

/// Peers in threads of their own, which do the same again and again until the value is dropped.
struct Peers(Arc<AtomicBool>, Vec<JoinHandle<()>>);

impl Peers {
    fn start(listener: &Listener, many: usize, act: fn(&Kind, &mut dyn Stream, usize)) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (kind, port) = (listener.kind, listener.port);
        let threads = (0..many).map(|at| {
            let (over, place) = (over.clone(), listener.site.root().to_owned());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let Some(mut stream) = kind.try_connect(&place, port) else {
                        continue;
                    };
                    stream.limit(Duration::from_millis(300));
                    let begun = Instant::now();
                    while begun.elapsed() < Duration::from_secs(20) && !over.load(Ordering::Relaxed)
                    {
                        act(kind, &mut *stream, at);
                        // Connects again where the listener has closed the connection.
                        if stream.write_all(b"").is_err() {
                            break;
                        }
                    }
                }
            })
        });
        Peers(over.clone(), threads.collect())
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for thread in self.1.drain(..) {
            let _ = thread.join();
        }
    }
}

#[test]
fn idle_connections_give_way() {
    for kind in KINDS {
        let mut listener = Listener::start(kind, "");
        let mut crowd: Vec<_> = (0..CROWD).map(|_| listener.connect()).collect();
        listener.is_served();
        // Those that have sent a message, and are idle then.
        for (at, stream) in crowd.iter_mut().enumerate() {
            let _ = stream.write_all((kind.message)(at).as_bytes());
        }
        // By then they count as idle.
        std::thread::sleep(Duration::from_millis(2_100));
        listener.is_served();
        listener.ends_well("idle");
        drop(crowd);
    }
}

#[test]
fn connections_in_the_middle_of_a_message_give_way_once_they_stall() {
    for kind in KINDS {
        let mut listener = Listener::start(kind, "");
        let connect = |at: usize| {
            let mut stream = listener.connect();
            let _ = stream.write_all(kind.halves[at % kind.halves.len()].as_bytes());
            stream
        };
        let crowd: Vec<_> = (0..CROWD).map(connect).collect();
        // By then they are closed.
        std::thread::sleep(Duration::from_millis(2_500));
        listener.is_served();
        listener.ends_well("halves");
        drop(crowd);
    }
}

#[test]
fn a_client_that_reads_no_answers_is_not_read_from() {
    for kind in KINDS {
        let mut listener = Listener::start(kind, "");
        let peers = Peers::start(&listener, 6, |kind, stream, _| {
            let _ = stream.write_all(kind.refused.repeat(500).as_bytes());
        });
        // By then the buffers of the system are full.
        std::thread::sleep(Duration::from_secs(3));
        listener.is_served();
        drop(peers);
        listener.ends_well("reads nothing");
    }
}

#[test]
fn a_message_without_an_end_takes_little_memory() {
    for kind in KINDS {
        let mut listener = Listener::start(kind, "");
        let peers = Peers::start(&listener, 12, |kind, stream, at| {
            let begin = kind.halves[at % kind.halves.len()];
            let _ = stream.write_all(begin.as_bytes());
            for _ in 0..100 {
                if stream
                    .write_all(kind.endless.repeat(100).as_bytes())
                    .is_err()
                {
                    return;
                }
            }
        });
        // By then many events have come.
        std::thread::sleep(Duration::from_secs(2));
        listener.is_served();
        drop(peers);
        listener.ends_well("no end");
    }
}

#[test]
fn rubbish_is_refused() {
    for kind in KINDS {
        let mut listener = Listener::start(kind, "");
        let peers = Peers::start(&listener, 4, |_, stream, at| {
            let mut seed = at as u64 + 1;
            let bytes = (0..4_000).map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) as u8
            });
            let _ = stream.write_all(&bytes.collect::<Vec<u8>>());
            // One connection after the other.
            std::thread::sleep(Duration::from_millis(5));
        });
        // By then many of them have come.
        std::thread::sleep(Duration::from_secs(1));
        listener.is_served();
        drop(peers);
        listener.ends_well("rubbish");
    }
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    for kind in KINDS {
        let mut listener = Listener::start(kind, "");
        for at in 0..2_000 {
            let mut stream = listener.connect();
            let message = (kind.message)(at);
            let _ = stream.write_all(&message.as_bytes()[..at % message.len()]);
        }
        listener.is_served();
        let handles = format!("/proc/{}/fd", listener.running().id());
        let few = soon(|| std::fs::read_dir(&handles).is_ok_and(|all| all.count() < 64));
        assert!(few, "{}: connections are left open", kind.scheme);
        listener.ends_well("come and go");
    }
}

#[test]
fn one_address_cannot_take_all_connections() {
    let kinds = KINDS.iter().filter(|kind| kind.scheme != "unix");
    for kind in kinds {
        let (site, port) = (Site::new().expect("a directory"), free_port());
        let mut address = format!("{}://[::]:{port}", kind.scheme);
        if kind.scheme == "http" {
            address.push_str("/in");
        }
        let mut listener = Listener::at(kind, site, port, &address, "insecure = true");
        // By IPv6: another address than that of the clients.
        let half = kind.halves.iter().rev().find(|half| half.len() > 2);
        let half = half.expect("one that is a beginning");
        let connect = |_| {
            let stream = TcpStream::connect(("::1", port)).ok();
            if let Some(mut stream) = stream.as_ref() {
                let _ = stream.write_all(half.as_bytes());
            }
            stream
        };
        let crowd: Vec<_> = (0..CROWD).map(connect).collect();
        listener.is_served();
        let refused = "a connection from ::/64 is refused: 128 are open";
        let warned = soon(|| listener.running().log().contains(refused));
        let log = listener.running().log();
        assert!(warned, "{log}");
        assert_eq!(log.matches("is refused").count(), 1, "{log}");
        listener.ends_well("one address");
        drop(crowd);
    }
}
