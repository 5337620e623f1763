//! One connection of the server: what came by it, what leaves by it, and what it waits for.
//!
//! The invariant: no more than one answer waits to be read. While one does, nothing is read of the
//! connection and no further request of it is taken.

use super::request::{Head, Length, Refused, chunks, head};
use crate::connect::support::admission::{Origin, STALLED, Usage};
use crate::connect::support::socket::Stream;
use crate::time::monotonic;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// How long what a refused client still sends is read, so that it sees why it was refused.
const LINGER: Duration = Duration::from_secs(2);

pub(crate) struct Peer {
    stream: Stream,
    pub origin: Option<Origin>,
    input: Vec<u8>,
    output: Vec<u8>,
    head: Option<Head>,
    body: Vec<u8>,
    /// Whether the request in hand is to be answered without a body.
    is_head: bool,
    is_used: bool,
    /// Whether its stream leaves in chunks.
    is_chunked: bool,
    /// Whether something came that is not looked at before its turn.
    pub has_more: bool,
    pub state: State,
    /// Since when it is in this state.
    since: Instant,
    /// When something was read or written last.
    moved: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum State {
    /// It has sent nothing so far.
    Quiet,
    /// A request comes.
    Reading,
    /// So many of its events have no outcome yet, and whether one has failed.
    Waiting {
        left: usize,
        failed: bool,
        closes: bool,
    },
    /// It gets an error response and is closed.
    Lingering,
    /// It gets an answer that has no end of its own.
    Streaming,
    Ended,
}

/// An answer with a body.
pub(crate) struct Response {
    pub status: u16,
    pub content_type: &'static str,
    /// More lines of the head, each with its line end.
    pub headers: &'static str,
    pub body: Vec<u8>,
}

/// How many bytes may wait to be read of a connection that gets a stream.
const BEHIND: usize = 256 << 10;
/// How long such a connection may read nothing at all.
const UNREAD: Duration = Duration::from_secs(60);

/// A request that is there.
pub(crate) struct Whole {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Peer {
    pub fn new(stream: Stream, origin: Option<Origin>) -> Self {
        Peer {
            stream,
            origin,
            input: Vec::new(),
            output: Vec::new(),
            head: None,
            body: Vec::new(),
            is_head: false,
            is_used: false,
            is_chunked: false,
            has_more: false,
            state: State::Quiet,
            since: monotonic(),
            moved: monotonic(),
        }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    pub fn is_writing(&self) -> bool {
        !self.output.is_empty()
    }

    /// Whether what comes is to be read.
    pub fn reads(&self) -> bool {
        match self.state {
            State::Quiet | State::Reading => !self.is_writing() && !self.has_more,
            State::Lingering | State::Streaming => true,
            State::Waiting { .. } | State::Ended => false,
        }
    }

    /// How far it is in use.
    pub fn usage(&self) -> Usage {
        match self.state {
            State::Ended => Usage::Unused(self.since),
            State::Quiet if !self.is_used => Usage::Unused(self.since),
            State::Quiet if !self.is_writing() => Usage::Idle(self.since),
            State::Waiting { .. } | State::Streaming => Usage::Busy,
            _ if self.moved.elapsed() >= STALLED => Usage::Stalled(self.moved),
            _ => Usage::Busy,
        }
    }

    pub fn turn(&mut self, state: State) {
        self.state = state;
        self.since = monotonic();
    }

    /// Reads what there is.
    pub fn read(&mut self, chunk: &mut [u8]) {
        match self.stream.read(chunk) {
            Ok(0) => self.turn(State::Ended),
            Ok(_) if matches!(self.state, State::Lingering | State::Streaming) => {}
            Ok(len) => {
                (self.is_used, self.moved) = (true, monotonic());
                self.input.extend(&chunk[..len]);
                if self.state == State::Quiet {
                    self.turn(State::Reading);
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => self.turn(State::Ended),
            },
        }
    }

    /// The next request, once all of it is there. `check` looks at its head before its body is
    /// taken.
    pub fn next(
        &mut self,
        limit: usize,
        check: impl FnOnce(&Head) -> Result<(), Refused>,
    ) -> Result<Option<Whole>, Refused> {
        if self.head.is_none() {
            let Some((head, size)) = head(&self.input)? else {
                return Ok(None);
            };
            self.is_head = head.method == "HEAD";
            check(&head)?;
            if matches!(head.length, Length::Known(length) if length > limit) {
                return Err((413, "the body is too long"));
            }
            self.input.drain(..size);
            if head.expects && self.input.is_empty() {
                self.output.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
                self.flush();
            }
            self.head = Some(head);
        }
        let whole = match self.head.as_ref().map(|head| head.length) {
            None => false,
            Some(Length::Chunked) => chunks(&mut self.input, &mut self.body, limit)?,
            Some(Length::Known(length)) if self.input.len() >= length => {
                let rest = self.input.split_off(length);
                self.body = std::mem::replace(&mut self.input, rest);
                true
            }
            Some(Length::Known(_)) => false,
        };
        if !whole {
            return Ok(None);
        }
        let body = std::mem::take(&mut self.body);
        Ok(self.head.take().map(|head| Whole { head, body }))
    }

    /// Whether something came that was not looked at yet.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Answers with an error, or with nothing; one that closes lets go of the connection once the answer has
    /// left.
    pub fn answer(&mut self, status: u16, text: &str, closes: bool) {
        let body = match text {
            "" => String::new(),
            text => serde_json::json!({ "error": text }).to_string(),
        };
        let response = Response {
            status,
            content_type: "application/json",
            headers: match status {
                401 => "www-authenticate: Bearer\r\n",
                405 => "allow: POST\r\n",
                429 | 503 => "retry-after: 1\r\n",
                _ => "",
            },
            body: body.into_bytes(),
        };
        self.respond(&response, closes);
    }

    /// Answers; one that closes lets go of the connection once the answer has left.
    pub fn respond(&mut self, response: &Response, closes: bool) {
        let status = response.status;
        let mut head = head_of(response);
        if closes {
            head.push_str("connection: close\r\n");
        }
        if status != 204 {
            let (kind, length) = (response.content_type, response.body.len());
            head.push_str(&format!(
                "content-type: {kind}\r\ncontent-length: {length}\r\n"
            ));
        }
        head.push_str("\r\n");
        self.output.extend(head.as_bytes());
        if !self.is_head {
            self.output.extend(&response.body);
        }
        self.turn(match closes {
            true => State::Lingering,
            false if self.input.is_empty() => State::Quiet,
            false => State::Reading,
        });
        self.moved = self.since;
        self.flush();
    }

    /// Begins an answer that has no end of its own, in chunks unless the client is of HTTP/1.0.
    pub fn begin_stream(&mut self, response: &Response, is_old: bool) {
        let kind = response.content_type;
        let mut head = head_of(response);
        head.push_str(&format!("content-type: {kind}\r\nconnection: close\r\n"));
        if !is_old {
            head.push_str("transfer-encoding: chunked\r\n");
        }
        head.push_str("\r\n");
        self.output.extend(head.as_bytes());
        self.is_chunked = !is_old;
        self.turn(if self.is_head {
            State::Lingering
        } else {
            State::Streaming
        });
        self.moved = self.since;
        self.flush();
    }

    /// Whether more of a stream can be sent: its client reads.
    pub fn takes_more(&self) -> bool {
        self.state == State::Streaming && self.output.len() < BEHIND
    }

    /// Sends more of a stream.
    pub fn send(&mut self, bytes: &[u8]) {
        if self.is_chunked {
            self.output
                .extend(format!("{:x}\r\n", bytes.len()).as_bytes());
        }
        self.output.extend(bytes);
        if self.is_chunked {
            self.output.extend(b"\r\n");
        }
        self.flush();
    }

    /// Ends a stream.
    pub fn end_stream(&mut self) {
        if self.is_chunked {
            self.output.extend(b"0\r\n\r\n");
        }
        self.turn(State::Lingering);
        self.moved = self.since;
        self.flush();
    }

    /// Writes what is to be written, as much as is taken.
    pub fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(len) if len > 0 => {
                    self.output.drain(..len);
                    self.moved = monotonic();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return self.turn(State::Ended),
            }
        }
        if self.state == State::Lingering {
            // It reads the end, and closes; if not, its time runs out.
            let _ = match &self.stream {
                Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
                Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            };
        }
    }

    /// Ends what has taken too long.
    pub fn expire(&mut self, reading: Duration, settling: Duration) {
        const QUIET: Duration = Duration::from_secs(60);
        let past = self.since.elapsed();
        match self.state {
            // Its peer does not read.
            State::Streaming if self.is_writing() && self.moved.elapsed() >= UNREAD => {
                self.turn(State::Ended);
            }
            State::Streaming => {}
            _ if self.is_writing() && self.moved.elapsed() >= reading => self.turn(State::Ended),
            State::Quiet if past >= QUIET => self.turn(State::Ended),
            State::Reading if past >= reading => {
                self.answer(408, "the request takes too long", true)
            }
            State::Waiting { .. } if past >= settling => {
                self.answer(
                    503,
                    "its events take too long; they may be delivered yet",
                    true,
                );
            }
            State::Lingering if past >= LINGER => self.turn(State::Ended),
            _ => {}
        }
    }
}

/// The first lines of an answer.
fn head_of(response: &Response) -> String {
    let status = response.status;
    let reason = match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    format!("HTTP/1.1 {status} {reason}\r\n{}", response.headers)
}

/// What is taken of bytes that come in pieces of this size: requests with their bodies, or the status
/// with which one is refused. For fuzz targets.
pub(crate) fn taken(
    bytes: &[u8],
    piece: usize,
    limit: usize,
) -> Vec<Result<(String, Vec<u8>), u16>> {
    let mut all = Vec::new();
    let Ok((one, _other)) = std::os::unix::net::UnixStream::pair() else {
        return all;
    };
    let mut peer = Peer::new(Stream::Unix(one), None);
    for piece in bytes.chunks(piece.max(1)) {
        peer.input.extend(piece);
        loop {
            match peer.next(limit, |_| Ok(())) {
                Ok(None) => break,
                Ok(Some(Whole { head, body })) => all.push(Ok((
                    format!("{} {}?{}", head.method, head.path, head.query),
                    body,
                ))),
                Err((status, _)) => {
                    all.push(Err(status));
                    return all;
                }
            }
        }
    }
    all
}
