//! TCP and Unix sockets that listen or connect; none of them ever blocks.
//!
//! What listens is read in one thread, its node's: `poll` finds the streams that are ready.

use super::address::{Address, Server};
use super::admission::Origin;
use crate::error::{Error, ErrorKind, Result};
use crate::time::monotonic;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The address of a socket.
#[derive(Clone, PartialEq)]
pub(crate) enum SocketAddress {
    Tcp(Server),
    Unix(PathBuf),
}

impl SocketAddress {
    /// `tcp://host:port` or `unix:path`.
    pub fn of(address: &Address) -> Result<Self> {
        if address.scheme() == "unix" {
            let rest = address.rest();
            return match rest.strip_prefix("//").unwrap_or(rest) {
                "" => Err(address.wrong("no path in the address")),
                path => Ok(SocketAddress::Unix(path.into())),
            };
        }
        let server = address.server(0)?;
        match server.path.as_str() {
            "" => Ok(SocketAddress::Tcp(server)),
            _ => Err(address.wrong("nothing can follow the port")),
        }
    }

    /// Whether it is reachable from this machine only.
    pub fn is_local(&self) -> bool {
        match self {
            SocketAddress::Unix(_) => true,
            SocketAddress::Tcp(server) => match server.host.parse::<std::net::IpAddr>() {
                Ok(address) => address.is_loopback(),
                Err(_) => server.host == "localhost",
            },
        }
    }
}

/// A socket that accepts connections. The file of a Unix socket is removed at its drop.
///
/// The invariant: nothing that goes wrong with one connection, and no lack of file handles or memory,
/// ends the network. The listener pauses then, with a warning, and accepts connections again later;
/// new ones wait in the backlog meanwhile.
pub(crate) struct Listener {
    socket: Socket,
    address: Address,
    /// No connection is taken before.
    paused: Option<Instant>,
    /// When the last warning of its kind was logged.
    failed: Option<Instant>,
    full: Option<Instant>,
    refused: Option<Instant>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// How long a listener pauses that cannot take a connection.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a listener logs the same warning at most.
const QUIET: Duration = Duration::from_secs(600);

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    /// A port that is taken, one that needs other rights, a host that is not here.
    pub fn bind(address: &Address, to: &SocketAddress) -> Result<Self> {
        let wrong = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::NoPermission,
                _ => ErrorKind::Unavailable,
            };
            Error::io(address, &error).with_kind(kind)
        };
        let socket = match to {
            SocketAddress::Unix(path) => {
                let left = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
                if left && UnixStream::connect(path).is_err() {
                    // Of a process that was killed.
                    fs::remove_file(path).map_err(wrong)?;
                }
                let listener = UnixListener::bind(path).map_err(wrong)?;
                listener.set_nonblocking(true).map_err(wrong)?;
                Socket::Unix(listener, path.clone())
            }
            SocketAddress::Tcp(server) => {
                let at = (server.host.as_str(), server.port);
                let listener = TcpListener::bind(at).map_err(wrong)?;
                listener.set_nonblocking(true).map_err(wrong)?;
                let port = listener.local_addr().map_err(wrong)?.port();
                if server.port == 0 {
                    // With port 0 the system has chosen the port.
                    log::warn!("{address}: listens at port {port}");
                } else {
                    log::info!("{address}: listens");
                }
                Socket::Tcp(listener)
            }
        };
        Ok(Listener {
            socket,
            address: address.clone(),
            paused: None,
            failed: None,
            full: None,
            refused: None,
        })
    }

    /// The port of a TCP socket.
    pub fn port(&self) -> Option<u16> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok().map(|at| at.port()),
            Socket::Unix(..) => None,
        }
    }

    /// How long no connection is taken yet; `None` where the next one is.
    pub fn pause(&self) -> Option<Duration> {
        let left = self.paused?.saturating_duration_since(monotonic());
        (!left.is_zero()).then_some(left)
    }

    /// Logs that as many connections as there may be are open while others wait; returns whether others
    /// wait.
    pub fn is_short(&mut self, most: usize) -> bool {
        let waits = wait_for(&mut [PollFd::new(self, PollFlags::IN)], Duration::ZERO);
        let waits = waits.unwrap_or(false);
        if waits && is_due(&mut self.full) {
            let address = &self.address;
            log::warn!(
                "{address}: {most} connections are open, and more clients are waiting; raise the option connections"
            );
        }
        waits
    }

    /// Logs that a connection from `origin`, which has `open` connections in use, is refused.
    pub fn warn_refused(&mut self, origin: Option<Origin>, open: usize) {
        if let Some(origin) = origin
            && is_due(&mut self.refused)
        {
            let address = &self.address;
            log::warn!(
                "{address}: a connection from {origin} is refused: {open} are open; see its option \
                 connections_per_address"
            );
        }
    }

    /// The next connection, if there is one, and its origin; a Unix socket has none.
    pub fn accept(&mut self) -> Option<(Stream, Option<Origin>)> {
        let accepted = match &self.socket {
            Socket::Tcp(listener) => listener.accept().and_then(|(stream, from)| {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Some(Origin::from(from.ip()))))
            }),
            Socket::Unix(listener, _) => listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(true)?;
                Ok((Stream::Unix(stream), None))
            }),
        };
        match accepted {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                let passes = [
                    io::ErrorKind::WouldBlock,
                    io::ErrorKind::Interrupted,
                    io::ErrorKind::ConnectionAborted,
                ];
                if !passes.contains(&error.kind()) {
                    self.paused = Some(monotonic() + PAUSE);
                    if is_due(&mut self.failed) {
                        let error = Error::io(&self.address, &error);
                        log::warn!("{error}: no connection can be accepted; trying again");
                    }
                }
                None
            }
        }
    }
}

/// Whether a warning is due that was logged then.
fn is_due(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= QUIET);
    if due {
        *last = Some(monotonic());
    }
    due
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = &self.socket {
            // It may be gone already.
            let _ = fs::remove_file(path);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener, _) => listener.as_fd(),
        }
    }
}

/// A connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Connects within a time limit.
    ///
    /// # Errors
    /// The server is not available: retryable.
    pub fn connect(address: &Address, to: &SocketAddress, limit: Duration) -> Result<Self> {
        let wrong = |error: io::Error| Error::io(address, &error).with_kind(ErrorKind::Unavailable);
        let stream = match to {
            SocketAddress::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
            SocketAddress::Tcp(server) => {
                let at = (server.host.as_str(), server.port);
                let found = at.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
                found
                    .and_then(|found| connect_to(&found, limit))
                    .map(Stream::Tcp)
            }
        };
        let stream = stream.map_err(|error| wrong(error).retryable())?;
        let set = match &stream {
            Stream::Tcp(stream) => stream.set_nonblocking(true),
            Stream::Unix(stream) => stream.set_nonblocking(true),
        };
        set.map_err(wrong)?;
        Ok(stream)
    }

    /// Writes all bytes within a time limit.
    pub fn write_within(&mut self, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
        let until = monotonic() + limit;
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = until.saturating_duration_since(monotonic());
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    wait_for(&mut [PollFd::new(self, PollFlags::OUT)], left)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether bytes can be read without waiting.
    pub fn has_input(&self) -> bool {
        let mut fds = [PollFd::new(self, PollFlags::IN)];
        wait_for(&mut fds, Duration::ZERO).unwrap_or(false)
    }

    /// Whether nothing can be sent any more: the peer has refused it, or closed both directions.
    /// Waits up to `wait` for that.
    pub fn is_broken(&self, wait: Duration) -> bool {
        let mut fds = [PollFd::new(self, PollFlags::empty())];
        wait_for(&mut fds, wait).unwrap_or(true)
            && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }

    /// Whether the peer sends no more, which is all that is visible of a peer that is gone. Its
    /// bytes are discarded.
    pub fn has_ended(&mut self) -> bool {
        let mut scrap = [0; 1024];
        loop {
            match self.read(&mut scrap) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

fn connect_to(found: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in found {
        match TcpStream::connect_timeout(address, limit) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Waits up to `wait` until one of them is ready. Returns whether one is.
pub(crate) fn wait_for(fds: &mut [PollFd<'_>], wait: Duration) -> io::Result<bool> {
    let wait = Timespec::try_from(wait).ok();
    match poll(fds, wait.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
