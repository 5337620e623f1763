//! A client of the API, for the command line: one request for each connection.

use crate::error::{Error, ErrorKind, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The longest head of an answer, and the longest answer that is read as a whole.
const HEAD: usize = 16 << 10;
const BODY: u64 = 64 << 20;

/// Where a network is shown, and the token for it.
pub(crate) struct Client {
    address: String,
    token: Option<String>,
    limit: Duration,
}

/// An answer.
pub(crate) struct Reply {
    pub status: u16,
    pub body: String,
}

impl Client {
    pub fn new(address: &str, token: Option<String>) -> Self {
        let address = address.trim_start_matches("http://");
        Client {
            address: address.trim_end_matches('/').to_owned(),
            token,
            limit: Duration::from_secs(10),
        }
    }

    fn wrong(&self, error: &std::io::Error) -> Error {
        let error = Error::io(format!("the network at {}", self.address), error);
        error.with_kind(ErrorKind::Unavailable)
    }

    /// Asks for a path, and gives the whole answer.
    ///
    /// # Errors
    /// No network is there, or what answers is none.
    pub fn get(&self, path: &str) -> Result<Reply> {
        self.whole(self.begin("GET", path, Duration::from_secs(60))?)
    }

    /// Posts to a path, and gives the whole answer, however long the change takes.
    ///
    /// # Errors
    /// Those of [`Client::get`].
    pub fn post(&self, path: &str) -> Result<Reply> {
        self.whole(self.begin("POST", path, Duration::from_secs(330))?)
    }

    fn whole(&self, (status, mut body): (u16, Body)) -> Result<Reply> {
        let mut text = String::new();
        let read = (&mut body).take(BODY).read_to_string(&mut text);
        read.map_err(|error| self.wrong(&error))?;
        Ok(Reply { status, body: text })
    }

    /// Asks for a stream of lines, and calls `each` with every line until it returns false or the stream ends.
    ///
    /// # Errors
    /// Those of [`Client::get`]; the error in an answer that is no stream.
    pub fn lines(&self, path: &str, mut each: impl FnMut(&str) -> Result<bool>) -> Result<()> {
        // An empty line comes at least every 15 seconds.
        let (status, body) = self.begin("GET", path, Duration::from_secs(60))?;
        let mut body = BufReader::new(body);
        if status != 200 {
            let mut text = String::new();
            let read = body.take(BODY).read_to_string(&mut text);
            read.map_err(|error| self.wrong(&error))?;
            return Err(refusal(&Reply { status, body: text }));
        }
        let mut line = String::new();
        loop {
            line.clear();
            let size = body
                .read_line(&mut line)
                .map_err(|error| self.wrong(&error))?;
            let text = line.trim_end();
            if size == 0 || (!text.is_empty() && !each(text)?) {
                return Ok(());
            }
        }
    }

    /// Sends a request; `quiet` is how long nothing may come.
    fn begin(&self, method: &str, path: &str, quiet: Duration) -> Result<(u16, Body)> {
        let io = |error: std::io::Error| self.wrong(&error);
        let found = self.address.to_socket_addrs().map_err(io)?;
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        let mut stream = None;
        for address in found {
            match TcpStream::connect_timeout(&address, self.limit) {
                Ok(connected) => {
                    stream = Some(connected);
                    break;
                }
                Err(error) => last = error,
            }
        }
        let mut stream = stream.ok_or_else(|| self.wrong(&last))?;
        stream.set_read_timeout(Some(quiet)).map_err(io)?;
        let token = self.token.as_ref();
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let length = if method == "POST" {
            "content-length: 0\r\n"
        } else {
            ""
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{length}{}\r\n",
            self.address,
            token.unwrap_or_default()
        );
        stream.write_all(head.as_bytes()).map_err(io)?;
        self.read_head(BufReader::new(stream))
    }

    fn read_head(&self, mut stream: BufReader<TcpStream>) -> Result<(u16, Body)> {
        let no_http = || {
            let error = format!(
                "what answers at {} is no network of tributary",
                self.address
            );
            Error::new(ErrorKind::Unavailable, error)
        };
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let read = (&mut stream).take(HEAD as u64).read_until(b'\n', &mut head);
            if read.map_err(|error| self.wrong(&error))? == 0 || head.len() > HEAD {
                return Err(no_http());
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        if !response
            .parse(&head)
            .is_ok_and(|status| status.is_complete())
        {
            return Err(no_http());
        }
        let status = response.code.unwrap_or_default();
        let value = |name: &str| {
            let mut headers = response.headers.iter();
            let found = headers.find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let chunked = value("transfer-encoding").is_some_and(|value| value == "chunked");
        let length = value("content-length").and_then(|value| value.trim().parse().ok());
        Ok((
            status,
            Body {
                stream,
                left: if chunked {
                    0
                } else {
                    length.unwrap_or(u64::MAX)
                },
                chunked,
            },
        ))
    }
}

/// The error in an answer that is not 200.
pub(crate) fn refusal(reply: &Reply) -> Error {
    let value: serde_json::Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(|value| value.as_str());
    let kind = match reply.status {
        401 | 403 => ErrorKind::NoPermission,
        503 => ErrorKind::Unavailable,
        _ => ErrorKind::Data,
    };
    let message = text("error").map_or_else(|| format!("status {}", reply.status), str::to_owned);
    let hint = match reply.status {
        401 => Some("give the token with --admin-token '${env:NAME}'".to_owned()),
        _ => text("hint").map(str::to_owned),
    };
    Error::new(kind, message).with_hint_opt(hint)
}

/// The body of an answer, in chunks or not.
struct Body {
    stream: BufReader<TcpStream>,
    /// Of the body, or of the chunk.
    left: u64,
    chunked: bool,
}

impl Body {
    /// Reads the line before a chunk; false at the end.
    fn next_chunk(&mut self) -> std::io::Result<bool> {
        let mut line = String::new();
        while line.trim().is_empty() {
            line.clear();
            if (&mut self.stream).take(64).read_line(&mut line)? == 0 {
                return Ok(false);
            }
        }
        let size = u64::from_str_radix(line.trim(), 16);
        self.left = size.map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
        Ok(self.left > 0)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && !(self.chunked && self.next_chunk()?) {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let size = self.stream.read(&mut buffer[..most])?;
        self.left -= size as u64;
        Ok(size)
    }
}
