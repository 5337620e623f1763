//! `tcp://host:port` and `unix:path`: lines over a socket. A source listens, a sink connects.
//!
//! Nothing is acknowledged: bytes that the system has accepted count as delivered, and are lost if the
//! receiver dies. A source under backpressure stops reading, which blocks its writers. Where no
//! more connections may be open, an idle one is closed for a new one ([`admission`]).
//!
//! [`admission`]: super::support::admission

use super::support::admission::{Admission, Entry, Open, Origin, STALLED, Usage};
use super::support::lines::Lines;
use super::support::socket::{Listener, SocketAddress, Stream, wait_for};
use super::{Address, Connector, Make, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::format::{Encoder, Format, Framing};
use crate::node::{Context, Handover, Node, ReadStatus, Sink, Source};
use crate::time::{Timestamp, monotonic};
use rustix::event::{PollFd, PollFlags};
use std::io::{self, Read as _};
use std::time::{Duration, Instant};

const SINK: Make<dyn Sink> = Make {
    options: &["timeout"],
    bytes: Some(Framing::Stream),
    make: sink,
};

pub(super) const TCP: Connector = Connector {
    scheme: "tcp",
    templates: &["template"],
    source: Some(Make {
        options: &["connections", "connections_per_address", "insecure"],
        bytes: Some(Framing::Stream),
        make: source,
    }),
    sink: Some(SINK),
    ..Connector::NONE
};

pub(super) const UNIX: Connector = Connector {
    scheme: "unix",
    templates: &["template"],
    // Its peers have no addresses.
    source: Some(Make {
        options: &["connections", "insecure"],
        bytes: Some(Framing::Stream),
        make: source,
    }),
    sink: Some(SINK),
    ..Connector::NONE
};

/// The bytes that are read of all connections before new ones are accepted, and the least per connection.
const CHUNK: usize = 64 << 10;
const SHARE: usize = 4 << 10;
/// The interval between checks for waiting clients while no more connections may be open.
const LOOK: Duration = Duration::from_millis(250);
/// The most connections that are accepted before the open ones have their turn.
const TURN: usize = 64;

struct Listening {
    address: Address,
    socket: SocketAddress,
    format: Format,
    admission: Admission,
    listener: Option<Listener>,
    peers: Vec<Peer>,
    chunk: Vec<u8>,
    looked: Instant,
}

struct Peer {
    stream: Stream,
    origin: Option<Origin>,
    lines: Lines,
    is_used: bool,
    /// When bytes last arrived.
    moved: Instant,
}

fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let socket = SocketAddress::of(address)?;
    if !socket.is_local() && !settings.boolean("insecure", false)? {
        let error = address.wrong("any host could write to it");
        return Err(error.with_hint("listen at 127.0.0.1 or [::1], or set insecure = true"));
    }
    Ok(Box::new(Listening {
        address: address.clone(),
        socket,
        format: settings.format(Framing::Stream)?,
        admission: Admission::of(settings)?,
        listener: None,
        peers: Vec::new(),
        chunk: vec![0; CHUNK],
        looked: monotonic(),
    }))
}

impl Listening {
    /// Accepts the connections that are waiting, at most [`TURN`].
    fn accept(&mut self, name: &str, cx: &mut Context<'_>) {
        let Some(listener) = &mut self.listener else {
            return;
        };
        let mut left = TURN;
        while left > 0
            && self.admission.has_room(open(&self.peers))
            && let Some((stream, origin)) = listener.accept()
        {
            left -= 1;
            let may_close = |at: usize| !self.peers[at].stream.has_input();
            match self.admission.admit(origin, open(&self.peers), may_close) {
                Entry::Free => {}
                Entry::Replaces(at) => {
                    log::info!("{name}: an idle connection is closed for a new one");
                    self.peers.remove(at).lines.cut(name, cx);
                }
                Entry::Refused => {
                    listener.warn_refused(origin, self.admission.per_address);
                    continue;
                }
            }
            self.peers.push(Peer {
                stream,
                origin,
                lines: Lines::new(&self.format),
                is_used: false,
                moved: monotonic(),
            });
        }
    }
}

/// A listener and its connections, on their way to a successor.
struct GivenListener {
    socket: SocketAddress,
    listener: Option<Listener>,
    peers: Vec<Peer>,
}

impl Node for Listening {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(GivenListener {
            socket: self.socket.clone(),
            listener: self.listener.take(),
            peers: std::mem::take(&mut self.peers),
        }))
    }

    /// It listens on: no connection is refused meanwhile. One that is open goes on in the format in which it
    /// began.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<GivenListener>()?;
        if old.socket != self.socket {
            return Err(old);
        }
        (self.listener, self.peers) = (old.listener, old.peers);
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        if self.listener.is_none() {
            self.listener = Some(Listener::bind(&self.address, &self.socket)?);
        }
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        self.peers.iter().filter_map(|peer| peer.lines.due()).min()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let name = self.address.to_string();
        // What waits may be more lines of the same event.
        let idle = self
            .peers
            .iter_mut()
            .filter(|peer| !peer.stream.has_input());
        idle.for_each(|peer| peer.lines.flush(&name, cx));
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.listener = None;
        for mut peer in self.peers.drain(..) {
            peer.lines.end(&self.address.to_string(), cx);
        }
        Ok(())
    }
}

impl Source for Listening {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        let wrong = |error: io::Error| Error::io(&self.address, &error).with_kind(ErrorKind::Io);
        let Some(listener) = &mut self.listener else {
            return Ok(ReadStatus::Idle);
        };
        let is_full = self.peers.len() >= self.admission.most;
        if is_full && self.looked.elapsed() >= LOOK {
            self.looked = monotonic();
            listener.is_short(self.admission.most);
        }
        let takes = listener.pause().is_none() && self.admission.has_room(open(&self.peers));
        let wait = if takes {
            wait
        } else {
            wait.min(listener.pause().unwrap_or(LOOK))
        };
        let streams = self
            .peers
            .iter()
            .map(|peer| PollFd::new(&peer.stream, PollFlags::IN));
        let mut fds: Vec<PollFd<'_>> = streams.collect();
        if takes {
            fds.push(PollFd::new(&*listener, PollFlags::IN));
        }
        if !wait_for(&mut fds, wait).map_err(wrong)? {
            return Ok(ReadStatus::Idle);
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let name = self.address.to_string();
        let many = ready.iter().filter(|ready| **ready).count();
        let share = (CHUNK / many.max(1)).max(SHARE);
        let mut ready_peers = ready.iter();
        self.peers.retain_mut(|peer| {
            let is_ready = ready_peers.next().is_some_and(|ready| *ready);
            !is_ready || peer.read(&mut self.chunk[..share], &name, cx)
        });
        // The listener comes last, if it was polled.
        if ready_peers.next() == Some(&true) {
            self.accept(&name, cx);
        }
        Ok(ReadStatus::More)
    }
}

/// The connections, as the admission counts them.
fn open(peers: &[Peer]) -> impl ExactSizeIterator<Item = Open<usize>> {
    peers.iter().enumerate().map(|(key, peer)| Open {
        key,
        origin: peer.origin,
        usage: peer.usage(),
    })
}

impl Peer {
    fn usage(&self) -> Usage {
        match (self.is_used, self.lines.is_empty()) {
            (false, _) => Usage::Unused(self.moved),
            // What its peer is about to send would be lost.
            _ if self.moved.elapsed() < STALLED => Usage::Busy,
            (true, true) => Usage::Idle(self.moved),
            (true, false) => Usage::Stalled(self.moved),
        }
    }

    /// Emits the lines that can be read at once. Returns false if the connection has ended.
    fn read(&mut self, chunk: &mut [u8], name: &str, cx: &mut Context<'_>) -> bool {
        match self.stream.read(chunk) {
            Ok(0) => {}
            Ok(len) => {
                (self.is_used, self.moved) = (true, monotonic());
                self.lines.add(&chunk[..len], name, cx);
                return true;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return true,
                _ => log::info!("{name}: a connection is lost: {error}"),
            },
        }
        self.lines.end(name, cx);
        false
    }
}

struct Connecting {
    address: Address,
    socket: SocketAddress,
    limit: Duration,
    stream: Option<Stream>,
    /// Whether the connection is that of a node that is replaced, and was not used yet.
    is_taken: bool,
    encoder: Encoder,
    buffer: Vec<u8>,
    /// Whether something was written to this connection, and what is known of the receiver.
    is_used: bool,
    other: Other,
}

/// What is known of a receiver that ends its own direction of connections.
#[derive(Clone, Copy, PartialEq)]
enum Other {
    /// So many connections in a row had ended before the second batch: 0 or 1.
    Ended(u8),
    /// It ends its direction of every connection, and is taken to read on. Whether that is so of this
    /// connection was found out.
    ReadsOn(bool),
    /// It does not read on: each time a new connection is made.
    Closes,
}

/// How long it is waited for a receiver to refuse what was written after it had ended its direction.
const REFUSAL: Duration = Duration::from_millis(250);

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let socket = SocketAddress::of(address)?;
    if let SocketAddress::Tcp(server) = &socket
        && server.port == 0
    {
        return Err(address.wrong("no port in the address"));
    }
    Ok(Box::new(Connecting {
        address: address.clone(),
        socket,
        limit: settings.duration("timeout", Duration::from_secs(5))?,
        stream: None,
        is_taken: false,
        encoder: settings.encoder(Framing::Stream)?,
        buffer: Vec::new(),
        is_used: false,
        other: Other::Ended(0),
    }))
}

/// A connection, on its way to a successor.
struct GivenConnection {
    socket: SocketAddress,
    stream: Option<Stream>,
    is_used: bool,
    other: Other,
}

impl Node for Connecting {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(GivenConnection {
            socket: self.socket.clone(),
            stream: self.stream.take(),
            is_used: self.is_used,
            other: self.other,
        }))
    }

    /// It writes on by the same connection: what comes by two of them has no order.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<GivenConnection>()?;
        if old.socket != self.socket {
            return Err(old);
        }
        (self.stream, self.is_used, self.other) = (old.stream, old.is_used, old.other);
        self.is_taken = true;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_taken) && self.stream.is_some() {
            return Ok(());
        }
        self.connect()
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.is_taken = false;
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.look()?;
        let gone = || {
            self.address
                .unavailable("the receiver has closed the connection")
        };
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        if !self.is_used {
            let header = self.encoder.header();
            self.buffer.splice(..0, header);
        }
        let written = stream.write_within(&self.buffer, self.limit);
        written.map_err(|error| {
            Error::io(&self.address, &error)
                .with_kind(ErrorKind::Unavailable)
                .retryable()
        })?;
        if self.other == Other::ReadsOn(false) {
            if stream.is_broken(REFUSAL) {
                self.other = Other::Closes;
                return Err(gone());
            }
            self.other = Other::ReadsOn(true);
        }
        self.is_used = true;
        self.buffer.clear();
        Ok(())
    }

    fn rollback(&mut self) {
        self.buffer.clear();
        // Half a line may have left by it.
        self.stream = None;
    }
}

impl Connecting {
    fn connect(&mut self) -> Result<()> {
        self.stream = None;
        self.is_used = false;
        if let Other::ReadsOn(found) = &mut self.other {
            *found = false;
        }
        self.stream = Some(Stream::connect(&self.address, &self.socket, self.limit)?);
        Ok(())
    }

    /// Sees to it that there is a connection to which can be written. One whose other side sends no more
    /// may be over, or only half of it: a new one shows which, since a receiver that has gone for good takes
    /// none, and one that ends its direction does so again.
    fn look(&mut self) -> Result<()> {
        let gone = || {
            self.address
                .unavailable("the receiver has closed the connection")
        };
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        match (stream.has_ended(), self.other) {
            (false, Other::Ended(_)) => {
                if self.is_used {
                    self.other = Other::Ended(0);
                }
                Ok(())
            }
            (false, _) => Ok(()),
            (true, Other::ReadsOn(_)) => {
                if stream.is_broken(Duration::ZERO) {
                    self.connect()
                } else {
                    Ok(())
                }
            }
            (true, Other::Ended(0)) => {
                self.other = Other::Ended(1);
                self.connect()
            }
            (true, Other::Ended(_)) => {
                self.other = Other::ReadsOn(false);
                let address = &self.address;
                log::warn!(
                    "{address}: the other side ends its own direction of every connection; it is taken \
                     to read on"
                );
                if stream.is_broken(Duration::ZERO) {
                    self.connect()
                } else {
                    Ok(())
                }
            }
            (true, Other::Closes) => self.connect(),
        }
    }
}

impl Sink for Connecting {
    fn write(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.encoder.encode_line(event, &mut self.buffer)
    }
}
