//! A connection: commands are packed and replies are parsed by the client, over a stream of our own,
//! so that a reply is bounded ([`Guarded`]).

use super::guard::Guarded;
use super::link::Place;
use crate::error::{Error, Result};
use redis::{Cmd, Parser, RedisError, RedisResult, Value, cmd};
use std::io::{self, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// A connection to a server. It is not used again after an error that is no answer of the server.
pub(super) struct Connection {
    stream: Guarded<TcpStream>,
    parser: Parser,
}

impl Connection {
    /// Connects, logs in and chooses the database.
    pub fn open(place: &Place) -> Result<Self> {
        let stream = connect(place).map_err(|error| place.error(&error.into()))?;
        let mut connection = Connection {
            stream: Guarded::new(stream),
            parser: Parser::new(),
        };
        let server = &place.server;
        if !server.password.is_empty() {
            let mut auth = cmd("AUTH");
            if !server.user.is_empty() {
                auth.arg(&server.user);
            }
            auth.arg(&server.password);
            connection.expect(&auth, place, |error| match error.is_retryable() {
                true => error,
                false => place.refused(),
            })?;
        }
        if place.database != 0 {
            let mut select = cmd("SELECT");
            select.arg(place.database);
            connection.expect(&select, place, |error| error)?;
        }
        Ok(connection)
    }

    fn expect(
        &mut self,
        command: &Cmd,
        place: &Place,
        explain: impl FnOnce(Error) -> Error,
    ) -> Result<()> {
        let answer = self.send(&command.get_packed_command());
        let answer = answer.and_then(|()| self.receive());
        match answer.and_then(Value::extract_error) {
            Ok(_) => Ok(()),
            Err(error) => Err(explain(place.error(&error))),
        }
    }

    /// Sends commands that are packed already.
    pub fn send(&mut self, commands: &[u8]) -> RedisResult<()> {
        self.stream
            .get_mut()
            .write_all(commands)
            .map_err(RedisError::from)
    }

    /// The next reply.
    pub fn receive(&mut self) -> RedisResult<Value> {
        self.parser.parse_value(&mut self.stream)
    }

    /// How long a reply may take.
    pub fn set_limit(&self, limit: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(limit))
    }

    /// Whether a reply was refused because of its size.
    pub fn is_too_large(&self) -> bool {
        self.stream.is_too_large()
    }
}

fn connect(place: &Place) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (place.server.host.as_str(), place.server.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, place.timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(place.timeout))?;
                stream.set_write_timeout(Some(place.timeout))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
